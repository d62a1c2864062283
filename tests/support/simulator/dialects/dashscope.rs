//! Alibaba's DashScope: the native text and multimodal generation, streamed when a header says so with usage that grows,
//! and the endpoints that are compatible with others.

use super::super::reply::Reply;
use super::{Asked, anthropic, openai, quote};

const GENERATION: &str = "/api/v1/services/aigc/text-generation/generation";
const MULTIMODAL: &str = "/api/v1/services/aigc/multimodal-generation/generation";

/// The answer; `None` when there is no such endpoint.
pub(super) fn answer(asked: &Asked<'_>) -> Option<Reply> {
    let path = asked.request.path();
    let reply = match path.split_once("/compatible-mode") {
        Some((_, rest)) => openai::answer(asked, rest)?,
        None if path == "/apps/anthropic/v1/messages" => anthropic::messages(asked),
        None if asked.request.method() == "POST" && matches!(path, GENERATION | MULTIMODAL) => generation(asked),
        None => return None,
    };
    Some(reply.with_header("x-dashscope-call-gateway", "true").with_header("req-cost-time", "12"))
}

fn generation(asked: &Asked<'_>) -> Reply {
    let header_is =
        |name, wanted: &str| asked.request.header(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
    let (pieces, cut) = asked.answer();
    let finish = if cut { "length" } else { "stop" };
    if !header_is("x-dashscope-sse", "enable") && !header_is("accept", "text/event-stream") {
        return Reply::json(200, body(asked, &pieces.concat(), finish, pieces.len()));
    }
    let incremental = asked.flag("/parameters/incremental_output");
    let mut text = String::new();
    let mut events = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let count = index + 1;
        if incremental {
            text.clear();
        }
        text.push_str(piece);
        let finish = if count == pieces.len() { finish } else { "null" };
        let body = body(asked, &text, finish, count);
        events.push(format!("id:{count}\nevent:result\n:HTTP_STATUS/200\ndata:{body}\n\n").into_bytes());
    }
    Reply::events(asked.with_stream_error(events, || {
        b"id:99\nevent:error\n:HTTP_STATUS/500\ndata:{\"code\":\"InternalError\",\"message\":\"An internal error has occurred.\",\"request_id\":\"4f2c0a5e-sim\"}\n\n".to_vec()
    }))
}

fn body(asked: &Asked<'_>, text: &str, finish: &str, output_words: usize) -> String {
    let counts = asked.counts(output_words);
    let usage = if asked.knobs.no_usage {
        String::new()
    } else {
        format!(
            r#""usage":{{"total_tokens":{},"input_tokens":{},"output_tokens":{},"prompt_tokens_details":{{"cached_tokens":{}}},"output_tokens_details":{{"reasoning_tokens":{}}}}},"#,
            counts.total(),
            counts.input,
            counts.output(),
            counts.cached,
            counts.reasoning
        )
    };
    format!(
        r#"{{"output":{{"choices":[{{"message":{{"content":{},"role":"assistant"}},"finish_reason":"{finish}"}}]}},{usage}"request_id":"4f2c0a5e-sim{}"}}"#,
        quote(text),
        asked.request.sequence
    )
}

/// DashScope's native error answers.
pub(super) fn error(status: u16) -> Reply {
    let (code, message) = match status {
        401 => ("InvalidApiKey", "Invalid API-key provided."),
        403 => ("AccessDenied", "Access denied."),
        404 => ("ModelNotFound", "Model not found."),
        429 => ("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
        400 => ("InvalidParameter", "Invalid parameter."),
        _ => ("InternalError", "An internal error has occurred."),
    };
    Reply::json(status, format!(r#"{{"code":"{code}","message":"{message}","request_id":"4f2c0a5e-sim"}}"#))
}
