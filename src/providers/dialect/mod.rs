//! Wire dialects: how each reads its answers. One file a dialect; the meter itself is in `metering/`.

pub mod anthropic;
pub mod ark;
pub mod dashscope;
pub mod gemini;
pub mod mulerouter;
pub mod openai;
pub mod realtime;

use super::provider::Dialect;
use crate::metering::{
    format::AnswerFormat,
    meter::{AnswerHead, AnswerMeter},
};

/// The meter of one answer, by its endpoint's name.
pub fn answer_meter(dialect: Dialect, endpoint: &str, head: &AnswerHead<'_>) -> AnswerMeter {
    AnswerMeter::new(answer_format(dialect, endpoint), head)
}

/// The meter of a WebSocket, by its endpoint's name; `extensions` are those that the provider agreed to.
pub fn socket_meter(dialect: Dialect, endpoint: &str, extensions: &str) -> AnswerMeter {
    AnswerMeter::of_socket(socket_format(dialect, endpoint), extensions)
}

/// The format of what a provider says on a WebSocket.
fn socket_format(dialect: Dialect, endpoint: &str) -> &'static dyn AnswerFormat {
    match (dialect, endpoint) {
        (Dialect::Gemini, _) => &gemini::Live,
        (Dialect::DashScope, "inference.websocket") => &realtime::Inference,
        _ => &realtime::Realtime,
    }
}

/// The format of an endpoint's answers. Providers serve the protocols of `OpenAI` and Anthropic beside their own, and
/// their endpoints are called alike wherever they are, so the name decides before the dialect does.
pub fn answer_format(dialect: Dialect, endpoint: &str) -> &'static dyn AnswerFormat {
    let is_anthropic = endpoint == "messages" || endpoint.starts_with("messages.");
    match dialect {
        Dialect::Anthropic => &anthropic::Anthropic,
        _ if is_anthropic => &anthropic::Anthropic,
        Dialect::OpenAi => &openai::OpenAi,
        Dialect::Ark => &ark::Ark,
        _ if OPENAI_ENDPOINTS.contains(&endpoint) => &openai::OpenAi,
        Dialect::Gemini => &gemini::Gemini,
        Dialect::DashScope => &dashscope::DashScope,
        Dialect::MuleRouter => &mulerouter::MuleRouter,
    }
}

/// Names of endpoints that speak `OpenAI`'s protocol under a provider of another dialect.
const OPENAI_ENDPOINTS: &[&str] =
    &["chat.completions", "completions", "embeddings", "images.generations", "responses", "responses.get"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_decides_where_a_provider_speaks_several_protocols() {
        let cases = [
            (Dialect::OpenAi, "chat.completions", "OpenAi"),
            (Dialect::OpenAi, "messages", "Anthropic"),
            (Dialect::Anthropic, "messages", "Anthropic"),
            (Dialect::Anthropic, "complete", "Anthropic"),
            (Dialect::Gemini, "chat.completions", "OpenAi"),
            (Dialect::Gemini, "stream_generate_content", "Gemini"),
            (Dialect::DashScope, "responses", "OpenAi"),
            (Dialect::DashScope, "messages", "Anthropic"),
            (Dialect::DashScope, "text.generation", "DashScope"),
            (Dialect::DashScope, "embeddings.text", "DashScope"),
            (Dialect::Ark, "chat.completions", "Ark"),
            (Dialect::Ark, "messages.count_tokens", "Anthropic"),
            (Dialect::MuleRouter, "chat.completions", "OpenAi"),
            (Dialect::MuleRouter, "media.create", "MuleRouter"),
        ];
        for (dialect, endpoint, expected) in cases {
            assert_eq!(format!("{:?}", answer_format(dialect, endpoint)), expected, "{dialect:?} {endpoint}");
        }
    }

    #[test]
    fn a_websocket_has_a_format_of_its_own() {
        let cases = [
            (Dialect::OpenAi, "realtime", "Realtime"),
            (Dialect::OpenAi, "responses.websocket", "Realtime"),
            (Dialect::DashScope, "realtime", "Realtime"),
            (Dialect::DashScope, "inference.websocket", "Inference"),
            (Dialect::Gemini, "live", "Live"),
        ];
        for (dialect, endpoint, expected) in cases {
            assert_eq!(format!("{:?}", socket_format(dialect, endpoint)), expected, "{dialect:?} {endpoint}");
        }
    }
}
