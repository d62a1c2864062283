//! Answers of Google's Gemini API: `generateContent` as a document, an array of chunks or events; embeddings, Imagen;
//! interactions.
//!
//! The output leaves out thoughts and the input leaves out what tools put in; both are added. Cached tokens and
//! modalities are inside. Figures are cumulative, and a zero may be missing. Streams have no end of their own but a
//! reason to finish. Live tells figures turn by turn. Leaves out video jobs and batches; the compatible endpoint is
//! `OpenAI`'s format.

use crate::metering::{
    format::{Actions, AnswerFormat, Meaning, Used, count, text},
    json::{Node, Take},
    reading::{Tokens, Units},
};
use serde_json::{Map, Value};

/// The format.
#[derive(Debug)]
pub struct Gemini;

const INTERACTION: &[Node] = &[
    Node::take("id", Take::Id),
    Node::take("model", Take::Model),
    Node::take("service_tier", Take::Tier),
    Node::take("usage", Take::Usage),
    Node::take("error", Take::Error),
];

static WANTED: Node = Node::inside(
    "",
    &[
        Node::take("responseId", Take::Id),
        Node::take("modelVersion", Take::Model),
        Node::take("usageMetadata", Take::Usage),
        Node::take("error", Take::Error),
        Node::inside(
            "candidates",
            &[
                Node::inside("content", &[Node::inside("parts", &[Node::take("text", Take::Text)])]),
                Node::take("finishReason", Take::Finish),
                Node::inside("groundingMetadata", &[Node::take("webSearchQueries", Take::Search)]),
            ],
        ),
        Node::inside("promptFeedback", &[Node::take("blockReason", Take::Finish)]),
        Node::inside("predictions", &[Node::take("bytesBase64Encoded", Take::Image)]),
        Node::take("event_type", Take::Kind),
        Node::inside("interaction", INTERACTION),
        Node::inside("delta", &[Node::take("text", Take::Text)]),
        Node::take("id", Take::Id),
        Node::take("model", Take::Model),
        Node::take("service_tier", Take::Tier),
        Node::take("usage", Take::Usage),
    ],
);

impl AnswerFormat for Gemini {
    fn wanted(&self) -> &'static Node {
        &WANTED
    }

    fn meaning(&self, kind: &[u8]) -> Meaning {
        let base = Meaning { actions: Actions::All, ..Meaning::default() };
        match kind {
            b"interaction.completed" | b"interaction.complete" => Meaning { is_end: true, ..base },
            b"error" => Meaning { is_failure: true, ..base },
            _ => base,
        }
    }

    fn ends_with_finish(&self) -> bool {
        true
    }

    fn used(&self, figures: &Map<String, Value>) -> Option<Used> {
        let names = if figures.contains_key("total_input_tokens") { &INTERACTIONS } else { &CONTENT };
        used(figures, names)
    }

    fn known(&self) -> &'static [&'static str] {
        KNOWN
    }
}

/// Messages of a Live WebSocket. Each turn's figures are its own, its context read again included, and turns are summed.
/// No message of the provider's names the model: the caller's first one does.
#[derive(Debug)]
pub struct Live;

static MESSAGE: Node = Node::inside(
    "",
    &[
        Node::inside("setupComplete", &[Node::take("sessionId", Take::Id)]),
        Node::take("usageMetadata", Take::Usage),
        Node::inside(
            "serverContent",
            &[
                Node::take("turnComplete", Take::PartEnd),
                Node::inside("groundingMetadata", &[Node::take("webSearchQueries", Take::Search)]),
            ],
        ),
        Node::take("error", Take::Error),
    ],
);

impl AnswerFormat for Live {
    fn wanted(&self) -> &'static Node {
        &MESSAGE
    }

    fn meaning(&self, _: &[u8]) -> Meaning {
        Meaning { actions: Actions::New, ..Meaning::default() }
    }

    fn used(&self, figures: &Map<String, Value>) -> Option<Used> {
        used(figures, &LIVE)
    }

    fn known(&self) -> &'static [&'static str] {
        KNOWN
    }
}

fn used(figures: &Map<String, Value>, names: &Names) -> Option<Used> {
    let figure = |name: &str| count(figures, &[name]);
    let (prompt, output) = (figure(names.prompt), figure(names.output));
    prompt.or(output).or_else(|| figure(names.thoughts))?;
    let modality = |list: &str, which: &str| of_modality(figures, list, which);
    let uncached = |which| modality(names.prompt_by, which).saturating_sub(modality(names.cached_by, which));
    let cached = figure(names.cached).unwrap_or_default();
    let thoughts = figure(names.thoughts).unwrap_or_default();
    let audio_input = uncached("AUDIO");
    let image_input = uncached("IMAGE");
    let audio_output = modality(names.output_by, "AUDIO");
    let image_output = modality(names.output_by, "IMAGE");
    let text_output = output.unwrap_or_default().saturating_sub(audio_output).saturating_sub(image_output);
    let text_input =
        prompt.unwrap_or_default().saturating_sub(cached).saturating_sub(audio_input).saturating_sub(image_input);
    let tokens = Tokens {
        input: text_input.saturating_add(figure(names.tools).unwrap_or_default()),
        cached_input: cached,
        output: text_output.saturating_add(thoughts),
        reasoning: thoughts,
        audio_input,
        audio_output,
        image_input,
        image_output,
        ..Tokens::default()
    };
    let units = Units { searches: searches(figures), ..Units::default() };
    let tier = text(figures, &["serviceTier"]).map(str::to_owned);
    Some(Used { tokens, units, tier, ..Used::default() })
}

/// What the three APIs call the same figures.
struct Names {
    prompt: &'static str,
    prompt_by: &'static str,
    cached: &'static str,
    cached_by: &'static str,
    tools: &'static str,
    output: &'static str,
    output_by: &'static str,
    thoughts: &'static str,
}

const CONTENT: Names = Names {
    prompt: "promptTokenCount",
    prompt_by: "promptTokensDetails",
    cached: "cachedContentTokenCount",
    cached_by: "cacheTokensDetails",
    tools: "toolUsePromptTokenCount",
    output: "candidatesTokenCount",
    output_by: "candidatesTokensDetails",
    thoughts: "thoughtsTokenCount",
};

const LIVE: Names = Names { output: "responseTokenCount", output_by: "responseTokensDetails", ..CONTENT };

const INTERACTIONS: Names = Names {
    prompt: "total_input_tokens",
    prompt_by: "input_tokens_by_modality",
    cached: "total_cached_tokens",
    cached_by: "cached_tokens_by_modality",
    tools: "total_tool_use_tokens",
    output: "total_output_tokens",
    output_by: "output_tokens_by_modality",
    thoughts: "total_thought_tokens",
};

/// The tokens of one modality in a list of them.
fn of_modality(figures: &Map<String, Value>, list: &str, which: &str) -> u64 {
    let entries = figures.get(list).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    let wanted =
        entries.filter(|entry| text(entry, &["modality"]).is_some_and(|name| name.eq_ignore_ascii_case(which)));
    wanted
        .filter_map(|entry| count(entry, &["tokenCount"]).or_else(|| count(entry, &["tokens"])))
        .fold(0, u64::saturating_add)
}

/// The searches that an interaction lists among its tools.
fn searches(figures: &Map<String, Value>) -> u64 {
    let tools = figures.get("grounding_tool_count").and_then(Value::as_array).into_iter().flatten();
    let searches = tools.filter_map(Value::as_object).filter(|tool| text(tool, &["type"]) == Some("google_search"));
    searches.filter_map(|tool| count(tool, &["count"])).fold(0, u64::saturating_add)
}

const KNOWN: &[&str] = &[
    "promptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "responseTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    "totalTokenCount",
    "total_input_tokens",
    "total_cached_tokens",
    "total_output_tokens",
    "total_thought_tokens",
    "total_tool_use_tokens",
    "total_tokens",
    // part of the input, told apart for information
    "initial_input_tokens",
];
