//! Answers of BytePlus ModelArk: `OpenAI`'s, and images that are counted rather than measured in tokens.
//!
//! Leaves out video, whose jobs report usage when they are polled, and the storage of caches, which no answer
//! reports.

use super::openai::{self, OpenAi};
use crate::metering::{
    format::{AnswerFormat, Figures, Meaning, Used, count},
    json::Node,
    reading::Tokens,
};
use serde_json::{Map, Value};

/// The format.
#[derive(Debug)]
pub struct Ark;

impl AnswerFormat for Ark {
    fn wanted(&self) -> &'static Node {
        OpenAi.wanted()
    }

    fn meaning(&self, kind: &[u8]) -> Meaning {
        // one event tells of all images
        Meaning { figures: Figures::Latest, ..openai::meaning(kind) }
    }

    fn used(&self, figures: &Map<String, Value>) -> Option<Used> {
        let mut used =
            OpenAi.used(figures).or_else(|| count(figures, &["generated_images"]).map(|_| Used::default()))?;
        if let Some(images) = count(figures, &["generated_images"]) {
            // the tokens say how large they are, the price is for each
            used.tokens = Tokens::default();
            used.units.images = images;
        }
        used.units.searches = count(figures, &["tool_usage", "web_search"]).unwrap_or_default();
        Some(used)
    }

    fn known(&self) -> &'static [&'static str] {
        KNOWN
    }
}

const KNOWN: &[&str] = &[
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "text_tokens",
    "image_tokens",
    "audio_tokens",
    "reasoning_tokens",
    "generated_images",
    "input_images",
    "web_search",
];
