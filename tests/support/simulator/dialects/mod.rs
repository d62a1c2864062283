//! The providers' dialects: which family a request speaks, whether its credential is good, and what the answer is.

mod anthropic;
mod ark;
mod dashscope;
mod gemini;
mod mulerouter;
mod openai;
pub mod usage;

use super::{knobs::Knobs, record::Request, reply::Reply};
use serde_json::Value;

/// When every answer was made.
const CREATED: u64 = 1_795_300_000;

/// A provider's family of endpoints, told by path and headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    OpenAi,
    Anthropic,
    Gemini,
    DashScope,
    Ark,
    MuleRouter,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 6] =
        [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::DashScope, Self::Ark, Self::MuleRouter];

    /// The family that a request is for.
    pub fn of(request: &Request) -> Self {
        let path = request.path();
        let has = |name| request.header(name).is_some();
        if path.starts_with("/vendors/") {
            Self::MuleRouter
        } else if path.starts_with("/api/v3/") {
            Self::Ark
        } else if ["/api/v1/", "/api/v2/", "/compatible-mode/", "/apps/"].iter().any(|start| path.starts_with(start)) {
            Self::DashScope
        } else if path.starts_with("/v1beta")
            || path.starts_with("/v1alpha")
            || has("x-goog-api-key")
            || (path.starts_with("/v1/models/") && path.contains([':', '%']))
        {
            Self::Gemini
        } else if path.starts_with("/v1/messages") || has("anthropic-version") || has("x-api-key") {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }

    /// Every secret that stands where this family accepts one.
    fn presented(self, request: &Request) -> Vec<String> {
        let bearer = request.head.values("authorization").filter_map(|value| value.strip_prefix("Bearer "));
        let mut found: Vec<String> = bearer.map(str::to_owned).collect();
        let header = match self {
            Self::Anthropic => Some("x-api-key"),
            Self::Gemini => Some("x-goog-api-key"),
            _ => None,
        };
        found.extend(header.into_iter().flat_map(|name| request.head.values(name)).map(str::to_owned));
        if self == Self::Gemini {
            found.extend(request.query_value("key"));
        }
        if self == Self::OpenAi {
            let offered = request.head.values("sec-websocket-protocol").flat_map(|value| value.split(','));
            let keys = offered.filter_map(|one| one.trim().strip_prefix("openai-insecure-api-key."));
            found.extend(keys.map(str::to_owned));
        }
        found
    }

    /// Whether the request may be answered: it presents something, and all of it is accepted.
    fn authenticates(self, request: &Request, credentials: &[(Self, String)]) -> bool {
        let presented = self.presented(request);
        let mut accepted =
            credentials.iter().filter(|(family, _)| *family == self).map(|(_, secret)| secret).peekable();
        if accepted.peek().is_none() {
            return true;
        }
        let accepted: Vec<_> = accepted.collect();
        !presented.is_empty() && presented.iter().all(|secret| accepted.contains(&secret))
    }

    /// The provider's own error answer of a status.
    fn error(self, request: &Request, status: u16) -> Reply {
        match self {
            Self::OpenAi | Self::MuleRouter => openai::error(status),
            Self::Anthropic => anthropic::error(status),
            Self::Gemini => gemini::error(status),
            Self::DashScope if request.path().contains("/compatible-mode/") => openai::error(status),
            Self::DashScope => dashscope::error(status),
            Self::Ark => ark::error(status),
        }
    }
}

/// One request for work, as all dialects see it.
struct Asked<'a> {
    request: &'a Request,
    knobs: &'a Knobs,
    body: Value,
}

impl Asked<'_> {
    /// The model that the body names, or the one that the answer shall name.
    fn model(&self) -> String {
        let asked = || self.body.get("model").and_then(Value::as_str).unwrap_or("sim-model").to_owned();
        self.knobs.served.clone().unwrap_or_else(asked)
    }

    fn flag(&self, pointer: &str) -> bool {
        self.body.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
    }

    /// The pieces of the answer, and whether it was cut to the request's bound.
    fn answer(&self) -> (Vec<String>, bool) {
        let mut pieces = match self.knobs.words {
            Some(count) => {
                (1..=count).map(|index| format!("{}word{index}", if index > 1 { " " } else { "" })).collect()
            }
            None => usage::split(&format!("Echo: {}", usage::question(&self.body))),
        };
        let max = usage::output_tokens_max(&self.body).unwrap_or(usize::MAX);
        let cut = pieces.len() > max;
        pieces.truncate(max);
        (pieces, cut)
    }

    /// The counts that the answer reports, cached tokens being part of the input.
    fn counts(&self, output_words: usize) -> Counts {
        let input = usage::prompt_tokens(&self.body);
        let reasoning = self.knobs.reasoning;
        Counts { input, cached: self.knobs.cached.min(input), visible: output_words as u64, reasoning }
    }

    /// Cuts a stream short with the provider's error event, where the request asks for it.
    fn with_stream_error(&self, mut events: Vec<Vec<u8>>, error: impl FnOnce() -> Vec<u8>) -> Vec<Vec<u8>> {
        if let Some(after) = self.knobs.stream_error {
            events.truncate(after);
            events.push(error());
        }
        events
    }
}

/// What one answer used.
#[derive(Debug, Clone, Copy)]
struct Counts {
    input: u64,
    /// Part of `input`.
    cached: u64,
    /// Words of the answer.
    visible: u64,
    /// Thought besides the answer.
    reasoning: u64,
}

impl Counts {
    fn output(self) -> u64 {
        self.visible + self.reasoning
    }

    fn total(self) -> u64 {
        self.input + self.output()
    }
}

/// The answer to a request, its credential checked.
pub(super) fn answer(request: &Request, knobs: &Knobs, credentials: &[(Family, String)]) -> Reply {
    let family = Family::of(request);
    if !family.authenticates(request, credentials) {
        return family.error(request, 401);
    }
    match knobs.status {
        Some(200) | None => {}
        Some(status @ 300..=399) => {
            return Reply::empty(status).with_header("location", "https://elsewhere.example/sim");
        }
        Some(status @ 201..=299) => return Reply::empty(status),
        Some(status) => return family.error(request, status),
    }
    let body = request.json().unwrap_or_default();
    let asked = Asked { request, knobs, body };
    let answered = match family {
        Family::OpenAi => openai::answer(&asked, request.path()),
        Family::Anthropic => anthropic::answer(&asked),
        Family::Gemini => gemini::answer(&asked),
        Family::DashScope => dashscope::answer(&asked),
        Family::Ark => ark::answer(&asked),
        Family::MuleRouter => mulerouter::answer(&asked),
    };
    answered.unwrap_or_else(|| family.error(request, 404))
}

/// Text as JSON, quotes included.
fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

/// One server-sent event without a name.
fn data(json: &str) -> Vec<u8> {
    format!("data: {json}\n\n").into_bytes()
}

/// One server-sent event with a name.
fn event(name: &str, json: &str) -> Vec<u8> {
    format!("event: {name}\ndata: {json}\n\n").into_bytes()
}
