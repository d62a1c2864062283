//! Which tokenizer a model reads and writes with, and how many tokens of it a text is.
//!
//! Only for estimates, so only at the end of an answer that reported no usage. That may happen on a thread that relays
//! other answers: a text above a bound is counted by samples, so that no count takes longer than about a millisecond (20 to
//! 38 MB/s were measured). The time is linear in the size, whatever the text.

use super::text::{Characters, scaled};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A text up to this size is counted whole; of a larger one, as much of it in samples.
const COUNTED_BYTES_MAX: usize = 8 * 1024;
/// Samples are spread evenly. More and shorter ones see more of a mixed text, but each cuts a word at either end.
const SAMPLES: usize = 32;
const SAMPLE_BYTES: usize = COUNTED_BYTES_MAX / SAMPLES;
/// How far a sample is moved to begin with a word.
const WORD_BYTES_MAX: usize = 32;
/// Stands between texts that are no continuation of each other.
pub const BETWEEN: u8 = 0;

/// A tokenizer, or what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokenizer {
    /// `o200k_base`: `OpenAI`'s models from gpt-4o on, and its open ones.
    O200k,
    /// `cl100k_base`: `OpenAI`'s models before, and its embeddings.
    Cl100k,
    /// That of a model that Chinese makers trained: it needs fewer tokens for Chinese.
    Chinese,
    /// Any other.
    Other,
}

/// Names by which models of Chinese makers are told.
const CHINESE: &[&str] = &[
    "qwen", "qwq", "qvq", "deepseek", "doubao", "seed-", "glm", "kimi", "moonshot", "minimax", "ernie", "hunyuan",
    "yi-", "step-", "baichuan", "skylark", "ep-",
];

impl Tokenizer {
    /// That of a model, by its name: `gpt-5.4`, `openai/gpt-4o`, `ft:gpt-4o-mini:acme::id`.
    pub fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        if let Some(version) = name.strip_prefix("gpt-") {
            let is_old = version == "4" || version.starts_with("4-") || version.starts_with("3.5");
            return if is_old { Self::Cl100k } else { Self::O200k };
        }
        let is_reasoning = name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_reasoning || ["chatgpt-", "codex-", "computer-use-"].iter().any(|start| name.starts_with(start)) {
            return Self::O200k;
        }
        let is_old = ["text-embedding-", "davinci-002", "babbage-002"].iter().any(|start| name.starts_with(start));
        let is_chinese = || {
            let name = name.to_ascii_lowercase();
            CHINESE.iter().any(|start| name.starts_with(start))
        };
        match name {
            _ if is_old => Self::Cl100k,
            _ if is_chinese() => Self::Chinese,
            _ => Self::Other,
        }
    }

    /// By how much more tokens it makes of a text than the tokenizer that counts in its place, in thousandths: of Chinese,
    /// Japanese and other scripts of three bytes, and of the rest. Measured with the tokenizers of Qwen 2 and DeepSeek 3,
    /// and of Llama 3 and Mistral 3, on six kinds of text.
    const fn thousandths(self) -> (u64, u64) {
        match self {
            Self::O200k | Self::Cl100k => (1000, 1000),
            Self::Chinese => (790, 1120),
            Self::Other => (1070, 1070),
        }
    }

    /// How many tokens the texts are: exactly for a tokenizer that is known, up to a bound; else nearly. `None` when it
    /// cannot be said.
    pub fn count(self, texts: &[u8]) -> Option<u64> {
        let counted = self.counted(texts)?;
        let (of_three, of_others) = self.thousandths();
        if of_three == of_others {
            return Some(scaled(counted, of_others, 1000));
        }
        let three = Characters::of(texts).of_three_bytes() * 3;
        let all = (texts.len() as u64).max(1);
        Some(scaled(counted, three * of_three + all.saturating_sub(three) * of_others, all * 1000))
    }

    fn counted(self, texts: &[u8]) -> Option<u64> {
        let tokenizer = match self {
            Self::Cl100k => bpe_openai::cl100k_base(),
            Self::O200k | Self::Chinese | Self::Other => bpe_openai::o200k_base(),
        };
        let whole = |text: &[u8]| -> u64 {
            let pieces = text.split(|byte| *byte == BETWEEN);
            pieces.map(|piece| tokenizer.count(&*String::from_utf8_lossy(piece)) as u64).sum()
        };
        // It is not ours, and an exchange that settles must not be lost to a fault in it.
        catch_unwind(AssertUnwindSafe(|| {
            if texts.len() <= COUNTED_BYTES_MAX {
                return whole(texts);
            }
            let (mut tokens, mut bytes) = (0, 0);
            for sample in samples(texts) {
                tokens += whole(sample);
                bytes += sample.len() as u64;
            }
            scaled(tokens, texts.len() as u64, bytes)
        }))
        .ok()
    }
}

/// Reads the tokenizer of today's models into memory, so that the first estimate does not wait for it.
pub fn load() {
    Tokenizer::O200k.count(b"a word");
}

/// Parts of a text, each from the beginning of a word to the beginning of another where words are told by spaces.
fn samples(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..SAMPLES).filter_map(|number| {
        let from = number * (text.len() - SAMPLE_BYTES) / (SAMPLES - 1);
        let start = if from == 0 { 0 } else { word_start(text, from) };
        let end = if number + 1 == SAMPLES { text.len() } else { word_start(text, from + SAMPLE_BYTES) };
        text.get(start..end)
    })
}

/// The next space from here on, which begins a word; else the next character.
fn word_start(text: &[u8], at: usize) -> usize {
    let near = text.get(at..).unwrap_or_default();
    let near = near.get(..WORD_BYTES_MAX).unwrap_or(near);
    let space = near.iter().position(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\r' | &BETWEEN));
    let character = || near.iter().position(|byte| !matches!(byte, 0x80..=0xbf));
    at + space.or_else(character).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_tokenizer() {
        let cases = [
            ("gpt-4o", Tokenizer::O200k),
            ("gpt-4o-mini-2024-07-18", Tokenizer::O200k),
            ("gpt-4.1-nano", Tokenizer::O200k),
            ("gpt-5.4-2026-03-05", Tokenizer::O200k),
            ("gpt-6.1-sol", Tokenizer::O200k),
            ("gpt-oss-120b", Tokenizer::O200k),
            ("openai/gpt-oss-20b", Tokenizer::O200k),
            ("ft:gpt-4o-mini:acme::id", Tokenizer::O200k),
            ("o1", Tokenizer::O200k),
            ("o3-mini", Tokenizer::O200k),
            ("chatgpt-4o-latest", Tokenizer::O200k),
            ("gpt-4", Tokenizer::Cl100k),
            ("gpt-4-turbo", Tokenizer::Cl100k),
            ("gpt-3.5-turbo-0125", Tokenizer::Cl100k),
            ("ft:gpt-3.5-turbo:acme::id", Tokenizer::Cl100k),
            ("text-embedding-3-small", Tokenizer::Cl100k),
            ("claude-sonnet-5-5", Tokenizer::Other),
            ("gemini-2.5-flash", Tokenizer::Other),
            ("olmo", Tokenizer::Other),
            ("", Tokenizer::Other),
            ("qwen3-max", Tokenizer::Chinese),
            ("deepseek-ai/DeepSeek-V3", Tokenizer::Chinese),
            ("doubao-seed-1-6-250615", Tokenizer::Chinese),
            ("ep-20260101-abcde", Tokenizer::Chinese),
        ];
        for (model, expected) in cases {
            assert_eq!(Tokenizer::of(model), expected, "{model}");
        }
    }

    #[test]
    fn samples_cover_both_ends_and_cut_no_word() {
        let text = "word ".repeat(10_000);
        let parts: Vec<&[u8]> = samples(text.as_bytes()).collect();
        assert_eq!(parts.len(), SAMPLES);
        assert!(parts[0].starts_with(b"word") && parts[SAMPLES - 1].ends_with(b"word "));
        assert!(parts[1..].iter().all(|part| part.starts_with(b" ")));
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        assert!(bytes <= COUNTED_BYTES_MAX + SAMPLES * WORD_BYTES_MAX);
    }

    #[test]
    fn bytes_that_are_no_text_are_counted_too() {
        let cases: [(&[u8], usize); 5] =
            [(b"\xff", 5), (b"\xe2\x82", 1), (b"\x80", 100_000), (b"\x00", 100_000), (b"\x00a\x00", 1)];
        for (bytes, times) in cases {
            assert!(Tokenizer::O200k.count(&bytes.repeat(times)).is_some());
        }
        assert_eq!(Tokenizer::O200k.count(b""), Some(0));
        assert_eq!(Tokenizer::Chinese.count(b""), Some(0));
    }
}
