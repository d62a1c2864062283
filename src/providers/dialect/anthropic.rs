//! Answers of Anthropic's Messages API.
//!
//! `input_tokens` leaves out what was read from and written to the cache. In a stream, `message_start` tells the
//! input and a placeholder for the output; `message_delta` tells cumulative figures that replace them one by one,
//! without the cache writes' division, which stays as it was. Counting tokens is free and tells no usage. Leaves out
//! batches.

use crate::metering::{
    format::{AnswerFormat, Figures, Meaning, Used, count, member, text},
    json::{Node, Take},
    reading::{Tokens, Units},
};
use serde_json::{Map, Value};

/// The format.
#[derive(Debug)]
pub struct Anthropic;

static WANTED: Node = Node::inside(
    "",
    &[
        Node::take("type", Take::Kind),
        Node::take("id", Take::Id),
        Node::take("model", Take::Model),
        Node::take("usage", Take::Usage),
        Node::take("error", Take::Error),
        Node::take("stop_reason", Take::Finish),
        Node::inside(
            "delta",
            &[
                Node::take("text", Take::Text),
                Node::take("partial_json", Take::Text),
                Node::take("thinking", Take::Thought),
                Node::take("stop_reason", Take::Finish),
            ],
        ),
        Node::inside(
            "message",
            &[Node::take("id", Take::Id), Node::take("model", Take::Model), Node::take("usage", Take::Usage)],
        ),
        Node::take("request_id", Take::Id),
    ],
);

impl AnswerFormat for Anthropic {
    fn wanted(&self) -> &'static Node {
        &WANTED
    }

    fn meaning(&self, kind: &[u8]) -> Meaning {
        let base = Meaning::default();
        match kind {
            b"message_start" => Meaning { figures: Figures::Preliminary, ..base },
            b"message_stop" => Meaning { is_end: true, ..base },
            b"error" => Meaning { is_failure: true, ..base },
            _ => base,
        }
    }

    fn used(&self, figures: &Map<String, Value>) -> Option<Used> {
        count(figures, &["input_tokens"]).or_else(|| count(figures, &["output_tokens"]))?;
        let (mut tokens, mut asides) = (Tokens::default(), Vec::new());
        // what other passes over the context used is told in them alone, so they stand for the whole
        match member(figures, &["iterations"]).and_then(Value::as_array).filter(|passes| !passes.is_empty()) {
            Some(passes) => add_passes(&mut tokens, &mut asides, passes),
            None => add(&mut tokens, figures),
        }
        let searches = count(figures, &["server_tool_use", "web_search_requests"]).unwrap_or_default();
        let tier = text(figures, &["service_tier"]);
        // a fast answer has a price of its own, as a tier has
        let tier = if text(figures, &["speed"]) == Some("fast") { Some("fast") } else { tier };
        let units = Units { searches, ..Units::default() };
        Some(Used { tokens, units, tier: tier.map(str::to_owned), asides })
    }

    fn known(&self) -> &'static [&'static str] {
        KNOWN
    }
}

/// Adds passes of the answer's model. Where several models had a part (an adviser, one that another fell back to), each is
/// told apart, as each has its price.
fn add_passes(tokens: &mut Tokens, asides: &mut Vec<(String, Tokens)>, passes: &[Value]) {
    let passes = passes.iter().filter_map(Value::as_object);
    let model = |pass| text(pass, &["model"]);
    let first = passes.clone().find_map(model);
    let is_one_model = passes.clone().filter_map(model).all(|model| Some(model) == first);
    for pass in passes {
        let Some(model) = model(pass).filter(|_| !is_one_model) else {
            add(tokens, pass);
            continue;
        };
        let place = asides.iter().position(|(known, _)| known == model).unwrap_or_else(|| {
            asides.push((model.to_owned(), Tokens::default()));
            asides.len() - 1
        });
        if let Some((_, tokens)) = asides.get_mut(place) {
            add(tokens, pass);
        }
    }
}

fn add(tokens: &mut Tokens, figures: &Map<String, Value>) {
    let figure = |path: &[&str]| count(figures, path).unwrap_or_default();
    let written = figure(&["cache_creation_input_tokens"]);
    let written_1h = figure(&["cache_creation", "ephemeral_1h_input_tokens"]);
    let written_5m = figure(&["cache_creation", "ephemeral_5m_input_tokens"]);
    let output = figure(&["output_tokens"]);
    let mut add = |class: fn(&mut Tokens) -> &mut u64, more: u64| {
        let class = class(tokens);
        *class = class.saturating_add(more);
    };
    add(|tokens| &mut tokens.input, figure(&["input_tokens"]));
    add(|tokens| &mut tokens.cached_input, figure(&["cache_read_input_tokens"]));
    // writes that are not divided, or that came after the division was told, are short-lived
    add(|tokens| &mut tokens.cache_write_5m, written_5m.max(written.saturating_sub(written_1h)));
    add(|tokens| &mut tokens.cache_write_1h, written_1h);
    add(|tokens| &mut tokens.output, output);
    add(|tokens| &mut tokens.reasoning, figure(&["output_tokens_details", "thinking_tokens"]).min(output));
}

const KNOWN: &[&str] = &[
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
    "thinking_tokens",
    "web_search_requests",
    // free beyond the tokens that they read
    "web_fetch_requests",
];
