//! Counts the characters of text inside JSON strings, keeps the beginning of it, and estimates how many tokens it is.
//!
//! For answers whose provider reports nothing. What is kept is counted by a tokenizer; beyond that characters are
//! counted by the length of their UTF-8 form, which separates the scripts well enough: today's tokenizers make a token of
//! about four ASCII characters but of little more than one Chinese one. An estimate cannot see hidden reasoning, cached
//! tokens or images.

use super::tokenizer::Tokenizer;

/// Thousandths of a token that one character makes, by the length of its UTF-8 form. Measured with `o200k_base`:
/// English prose and code 240 to 310; Russian, Greek, Arabic 260 to 340; Chinese and Japanese 780 to 810, Korean 470;
/// emoji 1400. Other scripts of three bytes are estimated too high, up to twofold (Hindi, Thai).
const MILLITOKENS: [u64; 4] = [250, 300, 750, 1500];
/// Bytes of a request body for one token of prompt, where nothing is known of it but its size: 3.9 were measured for
/// prose, 3.2 for JSON, of which the names and quotes around the messages are no part of the prompt.
const PROMPT_BYTES_PER_TOKEN: u64 = 4;
/// How much of what a model wrote is kept, and as much of what it thought.
pub const WRITTEN_BYTES_MAX: usize = 24 * 1024;
/// No model reads more than this at once, so a body full of images is not taken for text without end.
const PROMPT_TOKENS_MAX: u64 = 1_000_000;

/// Characters seen, by the length of their UTF-8 form (one to four bytes).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Characters([u64; 4]);

impl Characters {
    /// How many there are.
    pub fn total(self) -> u64 {
        self.0.iter().sum()
    }

    /// How many tokens they probably are.
    pub fn tokens_estimated(self) -> u64 {
        let millis: u64 = self.0.iter().zip(MILLITOKENS).map(|(count, each)| count.saturating_mul(each)).sum();
        millis.div_ceil(1000)
    }

    /// Adds another count.
    pub fn add(&mut self, more: Self) {
        for (sum, more) in self.0.iter_mut().zip(more.0) {
            *sum += more;
        }
    }

    /// How many of them take three bytes.
    pub fn of_three_bytes(self) -> u64 {
        self.0.get(2).copied().unwrap_or_default()
    }

    /// Of a text.
    pub fn of(text: &[u8]) -> Self {
        let mut counted = Self::default();
        counted.count_raw(text);
        counted
    }

    fn count(&mut self, utf8_len: usize, by: u64) {
        if let Some(sum) = self.0.get_mut(utf8_len.saturating_sub(1)) {
            *sum += by;
        }
    }

    fn count_raw(&mut self, text: &[u8]) {
        if text.is_ascii() {
            self.count(1, u64::try_from(text.len()).unwrap_or(u64::MAX));
            return;
        }
        for byte in text {
            match byte {
                0x00..=0x7f => self.count(1, 1),
                0x80..=0xbf => {} // not the first byte of a character
                0xc0..=0xdf => self.count(2, 1),
                0xe0..=0xef => self.count(3, 1),
                0xf0..=0xff => self.count(4, 1),
            }
        }
    }

    fn count_escaped(&mut self, unit: u16) {
        match unit {
            0x0000..=0x007f => self.count(1, 1),
            0x0080..=0x07ff => self.count(2, 1),
            0xd800..=0xdbff => self.count(4, 1),
            0xdc00..=0xdfff => {} // the second half of the one before
            _ => self.count(3, 1),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Backslash,
    /// `\u` and so many of its digits.
    Unit(u8, u16),
}

/// Text that was counted, its beginning kept up to a bound.
#[derive(Debug, Default)]
pub struct Kept {
    counted: Characters,
    text: Vec<u8>,
    bytes_max: usize,
    /// Where the text begins that is not counted yet.
    open: usize,
}

impl Kept {
    /// Keeps that much.
    pub fn up_to(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Keeps more text, which counts only once it is said what it was: `settle`, or `give_up`.
    pub fn push(&mut self, more: &[u8]) {
        let room = self.bytes_max.saturating_sub(self.text.len());
        let more = more.get(..room).unwrap_or(more);
        if self.text.capacity() - self.text.len() < more.len() {
            // doubled as usual, but never beyond the bound
            self.text.reserve_exact(more.len().max(self.text.len()).min(room));
        }
        self.text.extend_from_slice(more);
    }

    /// What was pushed since the last time are these characters.
    pub fn settle(&mut self, characters: Characters) {
        self.counted.add(characters);
        self.open = self.text.len();
    }

    /// What was pushed since the last time is no text; `other` gets what it was instead, if it was anything.
    pub fn give_up(&mut self, other: Option<&mut Self>) {
        if let Some(other) = other {
            other.push(self.text.get(self.open..).unwrap_or_default());
        }
        self.text.truncate(self.open);
    }

    /// How many characters there were.
    pub fn total(&self) -> u64 {
        self.counted.total()
    }

    /// How many tokens they are, or probably are.
    pub fn tokens(&self, tokenizer: Tokenizer) -> u64 {
        let estimated = self.counted.tokens_estimated();
        let Some(tokens) = tokenizer.count(&self.text) else { return estimated };
        if self.text.len() < self.bytes_max {
            return tokens;
        }
        // more came than was kept: as many times more as it would be by its characters
        scaled(tokens, estimated, Characters::of(&self.text).tokens_estimated())
    }
}

/// `tokens × whole / part`, rounded.
pub fn scaled(tokens: u64, whole: u64, part: u64) -> u64 {
    let (product, part) = (u128::from(tokens) * u128::from(whole), u128::from(part.max(1)));
    u64::try_from((product + part / 2) / part).unwrap_or(u64::MAX)
}

/// Counts the characters of JSON strings that arrive in fragments, escapes resolved, and keeps them as text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counter {
    counted: Characters,
    escape: Escape,
    /// The first half of a character that two escapes make.
    high: u16,
}

impl Counter {
    /// Part of a string, as it stands between the quotes.
    pub fn read(&mut self, mut part: &[u8], kept: &mut Kept) {
        while let Some((first, rest)) = part.split_first() {
            match self.escape {
                Escape::None => {
                    let end = memchr::memchr(b'\\', part);
                    let Some((plain, escape)) = part.split_at_checked(end.unwrap_or(part.len())) else { return };
                    self.counted.count_raw(plain);
                    kept.push(plain);
                    part = escape.get(1..).unwrap_or_default();
                    if end.is_some() {
                        self.escape = Escape::Backslash;
                    }
                    continue;
                }
                Escape::Backslash if *first == b'u' => self.escape = Escape::Unit(0, 0),
                Escape::Backslash => {
                    self.counted.count(1, 1);
                    kept.push(&[meant(*first)]);
                    self.escape = Escape::None;
                }
                Escape::Unit(digits, unit) => self.digit(*first, (digits, unit), kept),
            }
            part = rest;
        }
    }

    fn digit(&mut self, byte: u8, (digits, unit): (u8, u16), kept: &mut Kept) {
        let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok()).unwrap_or_default();
        let unit = unit << 4 | digit;
        if digits < 3 {
            self.escape = Escape::Unit(digits + 1, unit);
        } else {
            self.counted.count_escaped(unit);
            self.escape = Escape::None;
            self.keep_unit(unit, kept);
        }
    }

    fn keep_unit(&mut self, unit: u16, kept: &mut Kept) {
        let high = std::mem::take(&mut self.high);
        if matches!(unit, 0xd800..=0xdbff) {
            self.high = unit;
            return;
        }
        let units = [high, unit];
        for character in char::decode_utf16(units.into_iter().skip(usize::from(high == 0))) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            kept.push(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// The string is over; what was counted since the last [`Counter::take`] stays.
    pub fn end_string(&mut self) {
        self.escape = Escape::None;
        self.high = 0;
    }

    /// What was counted, and starts again from zero.
    pub fn take(&mut self) -> Characters {
        std::mem::take(self).counted
    }
}

/// The character that a backslash makes of another.
fn meant(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 0x08,
        b'f' => 0x0c,
        other => other,
    }
}

/// How many tokens the prompt in a JSON request body of this size probably is.
pub fn prompt_tokens_estimated(body_bytes: u64) -> u64 {
    body_bytes.div_ceil(PROMPT_BYTES_PER_TOKEN).min(PROMPT_TOKENS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> ([u64; 4], String) {
        let (mut counter, mut kept) = (Counter::default(), Kept::up_to(100));
        parts.into_iter().for_each(|part| counter.read(part, &mut kept));
        counter.end_string();
        (counter.take().0, String::from_utf8(kept.text).unwrap())
    }

    #[test]
    fn characters_are_counted_by_their_length_however_they_are_written_and_cut() {
        let cases: &[(&str, [u64; 4], &str)] = &[
            ("", [0; 4], ""),
            ("plain text", [10, 0, 0, 0], "plain text"),
            (r#"a\nb\"c\\d\/"#, [8, 0, 0, 0], "a\nb\"c\\d/"),
            (r"\t\r\b\f", [4, 0, 0, 0], "\t\r\u{8}\u{c}"),
            ("é漢🙂", [0, 1, 1, 1], "é漢🙂"),
            (r"\u0041\u00e9\u6f22\ud83d\ude42", [1, 1, 1, 1], "Aé漢🙂"),
            (r"\ude42\ud83dA", [1, 0, 0, 1], "\u{fffd}A"),
            (r"\\u0041", [6, 0, 0, 0], "\\u0041"),
        ];
        for (text, characters, meaning) in cases {
            let expected = (*characters, (*meaning).to_owned());
            assert_eq!(counted([text.as_bytes()]), expected, "{text}");
            assert_eq!(counted(text.as_bytes().chunks(1)), expected, "byte by byte: {text}");
        }
    }

    #[test]
    fn an_escape_cut_off_by_the_end_of_its_string_does_not_reach_into_the_next() {
        let (mut counter, mut kept) = (Counter::default(), Kept::up_to(100));
        counter.read(br"\u00", &mut kept);
        counter.end_string();
        counter.read(b"ab", &mut kept);
        assert_eq!(counter.take().total(), 2);
        assert_eq!(counter.take().total(), 0);
    }

    #[test]
    fn what_exceeds_the_bound_is_counted_as_what_was_kept_is() {
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(2000);
        let whole = Tokenizer::O200k.count(text.as_bytes()).unwrap();
        let mut kept = Kept::up_to(WRITTEN_BYTES_MAX);
        for part in text.as_bytes().chunks(1000) {
            kept.push(part);
            kept.settle(Characters::of(part));
        }
        assert!(kept.text.capacity() <= WRITTEN_BYTES_MAX);
        let estimated = kept.tokens(Tokenizer::O200k);
        assert!(estimated.abs_diff(whole) * 50 < whole, "{estimated} for {whole}");
    }

    #[test]
    fn text_that_was_none_leaves_nothing_and_a_thought_goes_where_it_belongs() {
        let (mut text, mut thought) = (Kept::up_to(100), Kept::up_to(100));
        text.push(b"text");
        text.settle(Characters::of(b"text"));
        text.push(b"base64");
        text.give_up(None);
        text.push(b"thought");
        text.give_up(Some(&mut thought));
        thought.settle(Characters::of(b"thought"));
        assert_eq!((text.text.as_slice(), text.total()), (&b"text"[..], 4));
        assert_eq!((thought.text.as_slice(), thought.total()), (&b"thought"[..], 7));
    }

    #[test]
    fn estimates_round_up_and_stay_within_what_a_model_can_read() {
        assert_eq!(Characters::default().tokens_estimated(), 0);
        assert_eq!(Characters([1, 0, 0, 0]).tokens_estimated(), 1);
        assert_eq!(Characters([100, 0, 0, 0]).tokens_estimated(), 25);
        assert_eq!(Characters([0, 0, 100, 0]).tokens_estimated(), 75);
        assert_eq!(prompt_tokens_estimated(0), 0);
        assert_eq!(prompt_tokens_estimated(401), 101);
        assert_eq!(prompt_tokens_estimated(u64::MAX), 1_000_000);
    }
}
