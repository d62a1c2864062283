//! Anthropic: messages, token counts and models. `input_tokens` leaves cached ones out; thinking is inside the output.

use super::super::reply::Reply;
use super::{Asked, event, quote, usage};

/// The answer; `None` when there is no such endpoint.
pub(super) fn answer(asked: &Asked<'_>) -> Option<Reply> {
    let reply = match (asked.request.method(), asked.request.path()) {
        ("POST", "/v1/messages") => messages(asked),
        ("POST", "/v1/messages/count_tokens") => {
            Reply::json(200, format!(r#"{{"input_tokens":{}}}"#, usage::prompt_tokens(&asked.body)))
        }
        ("GET" | "HEAD", "/v1/models") => Reply::json(
            200,
            r#"{"data":[{"type":"model","id":"claude-sonnet-5-5","display_name":"Claude Sonnet 5.5","created_at":"2026-09-01T00:00:00Z"}],"has_more":false,"first_id":"claude-sonnet-5-5","last_id":"claude-sonnet-5-5"}"#,
        ),
        _ => return None,
    };
    Some(
        reply
            .with_header("request-id", &format!("req_011CSim{:08}", asked.request.sequence))
            .with_header("anthropic-organization-id", "0000-sim")
            .with_header("anthropic-ratelimit-requests-remaining", "999"),
    )
}

/// A message, whole or streamed.
pub(super) fn messages(asked: &Asked<'_>) -> Reply {
    let id = format!("msg_01Sim{:08}", asked.request.sequence);
    let model = quote(&asked.model());
    let (pieces, cut) = asked.answer();
    let counts = asked.counts(pieces.len());
    let stop = if cut { "max_tokens" } else { "end_turn" };
    let input = counts.input - counts.cached;
    let cache = format!(
        r#""input_tokens":{input},"cache_creation_input_tokens":0,"cache_read_input_tokens":{}"#,
        counts.cached
    );
    let split = r#""cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}"#;
    let output = counts.output();
    if !asked.flag("/stream") {
        let text = quote(&pieces.concat());
        return Reply::json(
            200,
            format!(
                r#"{{"id":"{id}","type":"message","role":"assistant","model":{model},"content":[{{"type":"text","text":{text}}}],"stop_reason":"{stop}","stop_sequence":null,"usage":{{{cache},{split},"output_tokens":{output},"output_tokens_details":{{"thinking_tokens":{}}},"service_tier":"standard","inference_geo":"global"}}}}"#,
                counts.reasoning
            ),
        );
    }
    let mut events = vec![
        event(
            "message_start",
            &format!(
                r#"{{"type":"message_start","message":{{"id":"{id}","type":"message","role":"assistant","model":{model},"content":[],"stop_reason":null,"stop_sequence":null,"usage":{{{cache},{split},"output_tokens":1,"service_tier":"standard","inference_geo":"global"}}}}}}"#
            ),
        ),
        event(
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ),
        event("ping", r#"{"type":"ping"}"#),
    ];
    for piece in &pieces {
        let text = quote(piece);
        let delta =
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":{text}}}}}"#);
        events.push(event("content_block_delta", &delta));
    }
    events.push(event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#));
    events.push(event(
        "message_delta",
        &format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"{stop}","stop_sequence":null}},"usage":{{{cache},"output_tokens":{output}}}}}"#
        ),
    ));
    events.push(event("message_stop", r#"{"type":"message_stop"}"#));
    Reply::events(asked.with_stream_error(events, || {
        event(
            "error",
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_011CSim"}"#,
        )
    }))
}

/// Anthropic's error answers.
pub(super) fn error(status: u16) -> Reply {
    let (kind, message) = match status {
        400 => ("invalid_request_error", "Invalid request."),
        401 => ("authentication_error", "invalid x-api-key"),
        403 => ("permission_error", "Your API key does not have permission to use the specified resource."),
        404 => ("not_found_error", "Not found."),
        413 => ("request_too_large", "Request exceeds the maximum size."),
        429 => ("rate_limit_error", "This request would exceed your organization's rate limit."),
        504 => ("timeout_error", "The request timed out."),
        529 => ("overloaded_error", "Overloaded"),
        _ => ("api_error", "Internal server error."),
    };
    let body =
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_011CSim"}}"#);
    let reply = Reply::json(status, body).with_header("request-id", "req_011CSim");
    if status == 429 { reply.with_header("retry-after", "2") } else { reply }
}
