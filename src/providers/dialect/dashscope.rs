//! Answers of Alibaba DashScope's native API: text, multimodal, embeddings, images, speech.
//!
//! Every event tells cumulative figures, so a stream that was cut is metered exactly up to the cut. A stream ends
//! when its reason to finish is no longer the word `null`. Leaves out jobs; the compatible mode is `OpenAI`'s format.

use super::openai::OpenAi;
use crate::metering::{
    format::{AnswerFormat, Meaning, Used, count, thousandths_of},
    json::{Node, Take},
};
use serde_json::{Map, Value};

/// The format.
#[derive(Debug)]
pub struct DashScope;

static WANTED: Node = Node::inside(
    "",
    &[
        Node::take("request_id", Take::Id),
        Node::take("usage", Take::Usage),
        // an error's; a success has none, or an empty one
        Node::take("code", Take::Error),
        Node::inside(
            "output",
            &[
                Node::take("finish_reason", Take::Finish),
                Node::inside("choices", &[Node::take("finish_reason", Take::Finish)]),
            ],
        ),
    ],
);

impl AnswerFormat for DashScope {
    fn wanted(&self) -> &'static Node {
        &WANTED
    }

    fn meaning(&self, kind: &[u8]) -> Meaning {
        Meaning { is_failure: kind == b"error", ..Meaning::default() }
    }

    fn ends_with_finish(&self) -> bool {
        true
    }

    fn used(&self, figures: &Map<String, Value>) -> Option<Used> {
        let images = count(figures, &["image_count"]);
        let characters = count(figures, &["characters"]);
        let tokens = OpenAi.used(figures);
        if tokens.is_none() && images.is_none() && characters.is_none() {
            return None;
        }
        let mut used = tokens.unwrap_or_default();
        used.units.images = images.unwrap_or_default();
        used.units.characters = characters.unwrap_or_default();
        used.units.millis = thousandths_of(figures, &["duration"]).unwrap_or_default();
        Some(used)
    }

    fn known(&self) -> &'static [&'static str] {
        KNOWN
    }
}

const KNOWN: &[&str] = &[
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_creation_input_tokens",
    "reasoning_tokens",
    "text_tokens",
    "image_tokens",
    "audio_tokens",
    "video_tokens",
    "image_count",
    "characters",
    "duration",
    // how large images are
    "width",
    "height",
];
