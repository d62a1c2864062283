//! Gemini: `generateContent`, its stream as events or as one JSON array, token counts, models, and the OpenAI-compatible
//! endpoint. Thoughts stand beside `candidatesTokenCount`; zeros are left out, as proto3 JSON does.

use super::super::reply::Reply;
use super::{Asked, Counts, data, openai, quote, usage};

/// The answer; `None` when there is no such endpoint.
pub(super) fn answer(asked: &Asked<'_>) -> Option<Reply> {
    let path = asked.request.path().replace("%3A", ":").replace("%3a", ":");
    let (_, rest) = path.strip_prefix('/')?.split_once('/')?;
    if let Some(rest) = rest.strip_prefix("openai/") {
        return openai::answer(asked, &format!("/v1/{rest}"));
    }
    if asked.request.method() != "POST" {
        return (rest == "models").then(|| {
            Reply::json(200, r#"{"models":[{"name":"models/gemini-3.8-flash","version":"001","displayName":"Gemini 3.8 Flash","supportedGenerationMethods":["generateContent","countTokens"]}]}"#)
        });
    }
    let (model, verb) = rest.strip_prefix("models/")?.rsplit_once(':')?;
    let model = asked.knobs.served.as_deref().unwrap_or(model);
    let reply = match verb {
        "generateContent" => {
            let (pieces, cut) = asked.answer();
            let usage = usage_metadata(asked, pieces.len());
            Reply::json(200, chunk(model, &pieces.concat(), Some(cut), &usage))
        }
        "streamGenerateContent" => stream(asked, model),
        "countTokens" => Reply::json(200, format!(r#"{{"totalTokens":{}}}"#, usage::prompt_tokens(&asked.body))),
        _ => return None,
    };
    Some(reply.with_header("x-gemini-service-tier", "standard").with_header("server-timing", "gfet4t7; dur=12"))
}

/// One chunk a word, with usage that grows. Events with `alt=sse`, else one array over all chunks.
fn stream(asked: &Asked<'_>, model: &str) -> Reply {
    let (pieces, cut) = asked.answer();
    let last = pieces.len().saturating_sub(1);
    let chunks = pieces.iter().enumerate().map(|(index, piece)| {
        let usage = usage_metadata(asked, index + 1);
        chunk(model, piece, (index == last).then_some(cut), &usage)
    });
    let error = r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    if asked.request.query_value("alt").as_deref() == Some("sse") {
        let events = chunks.map(|chunk| format!("data: {chunk}\r\n\r\n").into_bytes()).collect();
        return Reply::events(asked.with_stream_error(events, || data(error)));
    }
    let mut chunks: Vec<String> = chunks.collect();
    if let Some(after) = asked.knobs.stream_error {
        chunks.truncate(after);
        chunks.push(error.to_owned());
    }
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        pieces.push(format!("{}{chunk}", if index == 0 { "[" } else { ",\r\n" }).into_bytes());
    }
    pieces.push(if pieces.is_empty() { b"[]".to_vec() } else { b"]".to_vec() });
    Reply::pieces("application/json; charset=UTF-8", pieces)
}

/// One answer or part of one; `finish` says that it is the last, and whether it was cut to its bound.
fn chunk(model: &str, text: &str, finish: Option<bool>, usage: &str) -> String {
    let finish = match finish {
        None => "",
        Some(true) => r#","finishReason":"MAX_TOKENS""#,
        Some(false) => r#","finishReason":"STOP""#,
    };
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"text":{}}}],"role":"model"}}{finish},"index":0}}]{usage},"modelVersion":{},"responseId":"simResp1"}}"#,
        quote(text),
        quote(model)
    )
}

fn usage_metadata(asked: &Asked<'_>, output_words: usize) -> String {
    if asked.knobs.no_usage {
        return String::new();
    }
    let counts = asked.counts(output_words);
    let Counts { input, cached, visible, reasoning } = counts;
    let optional = |name: &str, count: u64| if count == 0 { String::new() } else { format!(r#""{name}":{count},"#) };
    format!(
        r#","usageMetadata":{{"promptTokenCount":{input},{}{}{}"totalTokenCount":{},"promptTokensDetails":[{{"modality":"TEXT","tokenCount":{input}}}],"serviceTier":"standard"}}"#,
        optional("cachedContentTokenCount", cached),
        optional("candidatesTokenCount", visible),
        optional("thoughtsTokenCount", reasoning),
        counts.total()
    )
}

/// Gemini's error answers; a wrong key is 400 there.
pub(super) fn error(status: u16) -> Reply {
    let (status, word, message, detail) = match status {
        401 => (
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            r#"{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}"#,
        ),
        400 => (400, "INVALID_ARGUMENT", "Invalid request.", ""),
        403 => (403, "PERMISSION_DENIED", "Permission denied.", ""),
        404 => (404, "NOT_FOUND", "Not found.", ""),
        429 => (
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota.",
            r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"35s"}"#,
        ),
        503 => (503, "UNAVAILABLE", "The model is overloaded.", ""),
        other => (other, "INTERNAL", "An internal error has occurred.", ""),
    };
    Reply::json(
        status,
        format!(r#"{{"error":{{"code":{status},"message":"{message}","status":"{word}","details":[{detail}]}}}}"#),
    )
}
