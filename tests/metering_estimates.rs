//! How good estimates are: texts of six kinds as answers that report no usage. Their exact counts are those of other
//! implementations: `tiktoken-rs` 0.12 for `OpenAI`'s tokenizers, `tiktoken` 3.1 (crates.io) for those of Qwen 2, DeepSeek 3,
//! Llama 3 and Mistral 3.
#![cfg(test)]

use serde_json::json;
use sociaro_gateway::{
    metering::{
        meter::{AnswerHead, AnswerMeter},
        prompt::Prompt,
        reading::UsageSource,
        tokenizer::Tokenizer,
    },
    providers::{dialect::answer_meter, provider::Dialect},
};

/// A text, and how many tokens it is.
struct Text {
    name: &'static str,
    content: &'static str,
    o200k: u64,
    cl100k: u64,
    /// Models without a tokenizer of ours, and what one of their family makes of it.
    others: [(&'static str, u64); 4],
}

const TEXTS: &[Text] = &[
    Text {
        name: "english",
        content: include_str!("fixtures/texts/english.txt"),
        o200k: 279,
        cl100k: 284,
        others: [("qwen3-max", 284), ("deepseek-v4-pro", 281), ("llama-3.3-70b", 283), ("mistral-large-latest", 284)],
    },
    Text {
        name: "german",
        content: include_str!("fixtures/texts/german.txt"),
        o200k: 295,
        cl100k: 370,
        others: [("qwen3-max", 366), ("deepseek-v4-pro", 358), ("llama-3.3-70b", 370), ("mistral-large-latest", 304)],
    },
    Text {
        name: "russian",
        content: include_str!("fixtures/texts/russian.txt"),
        o200k: 328,
        cl100k: 537,
        others: [("qwen3-max", 419), ("deepseek-v4-pro", 391), ("llama-3.3-70b", 370), ("mistral-large-latest", 363)],
    },
    Text {
        name: "chinese",
        content: include_str!("fixtures/texts/chinese.txt"),
        o200k: 325,
        cl100k: 476,
        others: [("qwen3-max", 266), ("deepseek-v4-pro", 246), ("llama-3.3-70b", 330), ("mistral-large-latest", 360)],
    },
    Text {
        name: "code",
        content: include_str!("fixtures/texts/code.txt"),
        o200k: 474,
        cl100k: 466,
        others: [("qwen3-max", 472), ("deepseek-v4-pro", 522), ("llama-3.3-70b", 466), ("mistral-large-latest", 517)],
    },
    Text {
        name: "json",
        content: include_str!("fixtures/texts/json.txt"),
        o200k: 580,
        cl100k: 582,
        others: [("qwen3-max", 677), ("deepseek-v4-pro", 597), ("llama-3.3-70b", 582), ("mistral-large-latest", 691)],
    },
];

fn meter() -> AnswerMeter {
    let head = AnswerHead { status: 200, content_type: Some("text/event-stream"), content_encoding: None };
    answer_meter(Dialect::OpenAi, "chat.completions", &head)
}

fn chunk(model: &str, delta: &str) -> String {
    format!("data: {}\n\n", json!({"model": model, "choices": [{"index": 0, "delta": {"content": delta}}]}))
}

/// What is estimated for a stream of that text, a few characters in each chunk.
fn streamed(model: &str, text: &str) -> u64 {
    let mut meter = meter().with_prompt(Prompt::of_size(4));
    let characters: Vec<char> = text.chars().collect();
    for delta in characters.chunks(5) {
        meter.read(chunk(model, &delta.iter().collect::<String>()).as_bytes());
    }
    meter.read(b"data: [DONE]\n\n");
    let reading = meter.finish();
    assert_eq!((reading.source, reading.tokens.input), (UsageSource::Estimated, 1));
    reading.tokens.output
}

/// How far off an estimate is, in thousandths.
fn off(estimated: u64, exact: u64) -> u64 {
    estimated.abs_diff(exact) * 1000 / exact
}

#[test]
fn a_stream_of_a_model_whose_tokenizer_is_known_is_counted_exactly() {
    for Text { name, content, o200k, cl100k, .. } in TEXTS {
        assert_eq!(streamed("gpt-5.4-2026-03-05", content), *o200k, "{name}");
        assert_eq!(streamed("gpt-4-turbo", content), *cl100k, "{name}");
    }
}

#[test]
fn a_stream_of_any_other_model_is_within_fifteen_in_a_hundred() {
    for Text { name, content, others, .. } in TEXTS {
        for (model, exact) in others {
            let estimated = streamed(model, content);
            assert!(off(estimated, *exact) <= 150, "{name} {model}: {estimated} for {exact}");
        }
    }
}

#[test]
fn a_prompt_is_counted_wherever_it_stands_in_the_body() {
    for Text { name, content, o200k, cl100k, .. } in TEXTS {
        for (model, exact) in [("gpt-5.4", *o200k), ("gpt-4", *cl100k)] {
            let messages = json!([{"role": "user", "content": [{"type": "text", "text": content}]}]);
            let body = json!({"model": model, "stream": true, "messages": messages}).to_string();
            let prompt = Prompt::of_body(model, body.into_bytes().into());
            assert_eq!(prompt.tokens(Tokenizer::of(model)), exact + 7, "{name} {model}");
        }
    }
}

/// What is too long to be counted whole is sampled; beyond what is kept, it is scaled.
#[test]
fn long_texts_are_estimated_within_three_in_a_hundred() {
    for Text { name, content, o200k, .. } in TEXTS {
        for times in [5, 15, 100] {
            let (long, exact) = (content.repeat(times), o200k * times as u64);
            let estimated = streamed("gpt-5.4", &long);
            assert!(off(estimated, exact) <= 30, "{name} × {times}: {estimated} for {exact}");
        }
    }
    let mixed: String = TEXTS.iter().map(|text| text.content).collect();
    let exact: u64 = TEXTS.iter().map(|text| text.o200k).sum();
    for times in [1, 3] {
        let estimated = streamed("gpt-5.4", &mixed.repeat(times));
        assert!(off(estimated, exact * times as u64) <= 30, "mixed × {times}: {estimated} for {exact} each");
    }
}
