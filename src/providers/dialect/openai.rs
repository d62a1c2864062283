//! Answers of the APIs of `OpenAI` and of the many that speak like them: chat and legacy completions, embeddings,
//! Responses, images, transcriptions.
//!
//! The totals hold everything: cached, cache-write, audio and image tokens are inside the input, reasoning inside
//! the output. Where a provider's total is larger than input and output together, the rest is reasoning that it
//! left out of the output (xAI). Leaves out batches.

use crate::metering::{
    format::{Actions, AnswerFormat, Figures, Meaning, Text, Used, count, member, text, thousandths_of},
    json::{Node, Take},
    reading::{Tokens, Units},
};
use serde_json::{Map, Value};

/// The format.
#[derive(Debug)]
pub struct OpenAi;

pub(super) const ACTIONS: &[Node] = &[Node::inside("action", &[Node::take("type", Take::ToolAction)])];

static WANTED: Node = Node::inside(
    "",
    &[
        Node::take("id", Take::Id),
        Node::take("type", Take::Kind),
        Node::take("model", Take::Model),
        Node::take("service_tier", Take::Tier),
        Node::take("usage", Take::Usage),
        // drawings as SVG are another model's
        Node::take("svg_usage", Take::AsideUsage),
        Node::take("error", Take::Error),
        Node::take("delta", Take::Text),
        Node::inside(
            "choices",
            &[Node::inside("delta", DELTA), Node::take("text", Take::Text), Node::take("finish_reason", Take::Finish)],
        ),
        Node::inside("output", ACTIONS),
        Node::inside("item", ACTIONS),
        Node::inside(
            "response",
            &[
                Node::take("id", Take::Id),
                Node::take("model", Take::Model),
                Node::take("service_tier", Take::Tier),
                Node::take("usage", Take::Usage),
                Node::take("error", Take::Error),
                Node::inside("output", ACTIONS),
            ],
        ),
        // one or the other of each image
        Node::inside("data", &[Node::take("url", Take::Image), Node::take("b64_json", Take::Image)]),
        Node::inside("x_groq", &[Node::take("usage", Take::Usage), Node::take("error", Take::Error)]),
        // a verbose transcription's
        Node::take("duration", Take::Seconds),
        Node::take("request_id", Take::Id),
    ],
);

const DELTA: &[Node] = &[
    Node { key: "content", take: Some(Take::Text), inside: &[Node::take("text", Take::Text)] },
    Node::take("reasoning_content", Take::Thought),
    Node::take("reasoning", Take::Thought),
    Node::take("refusal", Take::Text),
    Node::inside("tool_calls", CALL),
    Node::inside("function_call", &[Node::take("name", Take::Text), Node::take("arguments", Take::Text)]),
];

const CALL: &[Node] =
    &[Node::inside("function", &[Node::take("name", Take::Text), Node::take("arguments", Take::Text)])];

/// The meanings of its events, for dialects that have others besides.
pub(super) fn meaning(kind: &[u8]) -> Meaning {
    let base = Meaning::default();
    match kind {
        // a document, or a chunk of a chat: neither names a kind
        b"" => Meaning { actions: Actions::All, ..base },
        b"response.completed" | b"response.incomplete" => Meaning { actions: Actions::All, is_end: true, ..base },
        b"response.failed" => Meaning { actions: Actions::All, is_end: true, is_failure: true, ..base },
        b"response.output_item.done" => Meaning { actions: Actions::New, ..base },
        b"response.reasoning_text.delta" | b"response.reasoning_summary_text.delta" => {
            Meaning { text: Text::Thought, ..base }
        }
        b"response.audio.delta" => Meaning { text: Text::Nothing, ..base },
        b"image_generation.completed" | b"image_edit.completed" => {
            Meaning { figures: Figures::Part, is_end: true, ..base }
        }
        b"transcript.text.done" | b"speech.audio.done" => Meaning { is_end: true, ..base },
        b"error" => Meaning { is_failure: true, ..base },
        _ => base,
    }
}

impl AnswerFormat for OpenAi {
    fn wanted(&self) -> &'static Node {
        &WANTED
    }

    fn meaning(&self, kind: &[u8]) -> Meaning {
        meaning(kind)
    }

    fn used(&self, figures: &Map<String, Value>) -> Option<Used> {
        let input = count(figures, &["prompt_tokens"]).or_else(|| count(figures, &["input_tokens"]));
        let output = count(figures, &["completion_tokens"]).or_else(|| count(figures, &["output_tokens"]));
        let total = count(figures, &["total_tokens"]);
        let millis = thousandths_of(figures, &["seconds"]).filter(|_| text(figures, &["type"]) == Some("duration"));
        input.or(output).or(total).or(millis)?;
        let total = total.unwrap_or_default();
        let (input, output) = match (input, output) {
            (Some(input), output) => (input, output.unwrap_or_default().max(total.saturating_sub(input))),
            (None, Some(output)) => (0, output),
            (None, None) => (total, 0),
        };
        let mut tokens = Tokens::default();
        divide_input(&mut tokens, input, figures);
        divide_output(&mut tokens, output, figures);
        Some(Used {
            tokens,
            units: Units { millis: millis.unwrap_or_default(), ..Units::default() },
            ..Used::default()
        })
    }

    fn known(&self) -> &'static [&'static str] {
        KNOWN
    }
}

/// The names under which the details of a side stand: chat, Responses, transcriptions.
const INPUT_DETAILS: [&str; 3] = ["prompt_tokens_details", "input_tokens_details", "input_token_details"];
const OUTPUT_DETAILS: [&str; 3] = ["completion_tokens_details", "output_tokens_details", "output_token_details"];

/// The details of one side, under whichever of its names they stand.
type Details<'f> = [Option<&'f Map<String, Value>>; 3];

fn details<'f>(figures: &'f Map<String, Value>, names: [&str; 3]) -> Details<'f> {
    names.map(|name| figures.get(name)?.as_object())
}

fn detail(sides: &Details<'_>, path: &[&str]) -> Option<u64> {
    sides.iter().flatten().find_map(|side| count(side, path))
}

fn divide_input(tokens: &mut Tokens, total: u64, figures: &Map<String, Value>) {
    let sides = details(figures, INPUT_DETAILS);
    let detail = |path: &[&str]| detail(&sides, path);
    let cached = detail(&["cached_tokens"])
        .or_else(|| count(figures, &["prompt_cache_hit_tokens"]))
        .or_else(|| count(figures, &["cached_tokens"]));
    let written = detail(&["cache_write_tokens"]).or_else(|| detail(&["cache_creation_input_tokens"]));
    let written_long = detail(&["cache_write_tokens_details", "ttl_12h_tokens"]).unwrap_or_default();
    tokens.cached_input = cached.unwrap_or_default();
    tokens.cache_write_5m = written.unwrap_or_default().saturating_sub(written_long);
    tokens.cache_write_1h = written_long;
    let mut left = total
        .saturating_sub(tokens.cached_input)
        .saturating_sub(tokens.cache_write_5m)
        .saturating_sub(tokens.cache_write_1h);
    // what was cached of a kind is counted as cached, and not again as its kind; where the kinds of what was cached
    // are not told, the kinds together are no more than what is left
    let mut uncached = |kind: &str| {
        let cached = detail(&["cached_tokens_details", kind]).unwrap_or_default();
        let uncached = detail(&[kind]).unwrap_or_default().saturating_sub(cached).min(left);
        left -= uncached;
        uncached
    };
    tokens.audio_input = uncached("audio_tokens");
    tokens.image_input = uncached("image_tokens");
    tokens.input = left;
}

fn divide_output(tokens: &mut Tokens, total: u64, figures: &Map<String, Value>) {
    let sides = details(figures, OUTPUT_DETAILS);
    let detail = |path: &[&str]| detail(&sides, path);
    tokens.audio_output = detail(&["audio_tokens"]).unwrap_or_default();
    tokens.image_output = match detail(&["image_tokens"]) {
        Some(image) => image,
        None if is_of_image(figures) => total,
        None => 0,
    };
    tokens.output = total.saturating_sub(tokens.audio_output).saturating_sub(tokens.image_output);
    tokens.reasoning = detail(&["reasoning_tokens"]).unwrap_or_default().min(tokens.output);
}

/// The first image models divide their input alone: all that they write is an image.
fn is_of_image(figures: &Map<String, Value>) -> bool {
    member(figures, &["input_tokens_details", "image_tokens"]).is_some()
        && OUTPUT_DETAILS.iter().all(|side| !figures.get(*side).is_some_and(Value::is_object))
}

const KNOWN: &[&str] = &[
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "seconds",
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "prompt_cache_miss_tokens",
    "cache_write_tokens",
    "cache_creation_input_tokens",
    "ttl_30m_tokens",
    "ttl_12h_tokens",
    "audio_tokens",
    "image_tokens",
    "text_tokens",
    "reasoning_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
    "num_sources_used",
    "prompt_audio_seconds",
    // told for information: what they stand for is billed by the figures above
    "cost",
    "cost_in_usd_ticks",
    "upstream_inference_cost",
    "upstream_inference_prompt_cost",
    "upstream_inference_completions_cost",
    "queue_time",
    "prompt_time",
    "completion_time",
    "total_time",
];
