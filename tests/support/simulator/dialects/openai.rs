//! The `openai` dialect: chat completions, responses, embeddings, models, transcriptions, images, files and the realtime WebSocket.
//! Other families use its chat under paths of their own.

use super::super::reply::Reply;
use super::{Asked, CREATED, Counts, data, event, quote, usage};

/// The answer to a request for that path; `None` when there is no such endpoint.
pub(super) fn answer(asked: &Asked<'_>, path: &str) -> Option<Reply> {
    let reply = match (asked.request.method(), path) {
        ("POST", "/v1/chat/completions" | "/chat/completions") => chat(asked),
        ("POST", "/v1/responses") => responses(asked),
        ("POST", "/v1/embeddings") => embeddings(asked),
        ("POST", "/v1/audio/transcriptions") => transcription(asked),
        ("POST", "/v1/images/generations") => images(asked),
        ("POST", "/v1/files") => file(asked),
        ("GET", "/v1/files") => Reply::json(200, r#"{"object":"list","data":[],"has_more":false}"#),
        ("GET" | "HEAD", "/v1/models") => Reply::json(200, models()),
        ("GET", "/v1/realtime") => Reply::realtime(&asked.request.query_value("model").unwrap_or_default()),
        _ => return None,
    };
    Some(with_headers(reply, asked))
}

fn with_headers(reply: Reply, asked: &Asked<'_>) -> Reply {
    reply
        .with_header("date", "Wed, 25 Nov 2026 04:00:00 GMT")
        .with_header("openai-version", "2020-10-01")
        .with_header("openai-processing-ms", "12")
        .with_header("x-request-id", &format!("req_sim{:08}", asked.request.sequence))
        .with_header("x-ratelimit-remaining-requests", "9999")
}

/// A chat completion, whole or streamed.
pub(super) fn chat(asked: &Asked<'_>) -> Reply {
    let id = format!("chatcmpl-Sim{:08}", asked.request.sequence);
    let model = quote(&asked.model());
    let (pieces, cut) = asked.answer();
    let counts = asked.counts(pieces.len());
    let finish = if cut { "length" } else { "stop" };
    if asked.flag("/stream") {
        let include = asked.flag("/stream_options/include_usage") && !asked.knobs.no_usage;
        return chat_stream(
            asked,
            &format!(
                r#""id":"{id}","object":"chat.completion.chunk","created":{CREATED},"model":{model},"service_tier":"default""#
            ),
            include,
        );
    }
    let content = quote(&pieces.concat());
    let usage = if asked.knobs.no_usage { String::new() } else { format!(r#""usage":{},"#, chat_usage(counts)) };
    Reply::json(
        200,
        format!(
            r#"{{"id":"{id}","object":"chat.completion","created":{CREATED},"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant","content":{content},"refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"{finish}"}}],{usage}"service_tier":"default","system_fingerprint":null}}"#
        ),
    )
}

fn chat_stream(asked: &Asked<'_>, head: &str, include_usage: bool) -> Reply {
    let (pieces, cut) = asked.answer();
    let finish = if cut { r#""length""# } else { r#""stop""# };
    let usage = if include_usage { r#","usage":null"# } else { "" };
    let chunk = |delta: &str, finish: &str| {
        data(&format!(
            r#"{{{head},"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]{usage},"obfuscation":"{}"}}"#,
            "x".repeat(delta.len() % 7)
        ))
    };
    let mut events = vec![chunk(r#"{"role":"assistant","content":""}"#, "null")];
    events.extend(pieces.iter().map(|piece| chunk(&format!(r#"{{"content":{}}}"#, quote(piece)), "null")));
    events.push(chunk("{}", finish));
    if include_usage {
        let counts = chat_usage(asked.counts(pieces.len()));
        events.push(data(&format!(r#"{{{head},"choices":[],"usage":{counts},"obfuscation":""}}"#)));
    }
    events.push(data("[DONE]"));
    Reply::events(asked.with_stream_error(events, || {
        data(r#"{"error":{"message":"The server had an error while processing your request.","type":"server_error","param":null,"code":null}}"#)
    }))
}

fn chat_usage(counts: Counts) -> String {
    format!(
        r#"{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":{},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
        counts.input,
        counts.output(),
        counts.total(),
        counts.cached,
        counts.reasoning
    )
}

fn responses(asked: &Asked<'_>) -> Reply {
    let (pieces, cut) = asked.answer();
    let text = quote(&pieces.concat());
    let counts = asked.counts(pieces.len());
    let status = if cut { "incomplete" } else { "completed" };
    let message = format!(
        r#"{{"id":"msg_1","type":"message","status":"{status}","role":"assistant","content":[{{"type":"output_text","text":{text},"annotations":[]}}]}}"#
    );
    if !asked.flag("/stream") {
        return Reply::json(200, response(asked, status, &message, Some(counts)));
    }
    let mut sequence = 0_u32;
    let mut next = |name: &str, members: &str| {
        let made = event(name, &format!(r#"{{"type":"{name}","sequence_number":{sequence},{members}}}"#));
        sequence += 1;
        made
    };
    let begun = format!(r#""response":{}"#, response(asked, "in_progress", "", None));
    let place = r#""item_id":"msg_1","output_index":0,"content_index":0"#;
    let mut events = vec![
        next("response.created", &begun),
        next("response.in_progress", &begun),
        next(
            "response.output_item.added",
            r#""output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}"#,
        ),
        next(
            "response.content_part.added",
            &format!(r#"{place},"part":{{"type":"output_text","text":"","annotations":[]}}"#),
        ),
    ];
    for piece in &pieces {
        let delta = format!(r#"{place},"delta":{},"logprobs":[]"#, quote(piece));
        events.push(next("response.output_text.delta", &delta));
    }
    events.push(next("response.output_text.done", &format!(r#"{place},"text":{text},"logprobs":[]"#)));
    events.push(next(
        "response.content_part.done",
        &format!(r#"{place},"part":{{"type":"output_text","text":{text},"annotations":[]}}"#),
    ));
    events.push(next("response.output_item.done", &format!(r#""output_index":0,"item":{message}"#)));
    let last = format!(r#""response":{}"#, response(asked, status, &message, Some(counts)));
    events.push(next(&format!("response.{status}"), &last));
    Reply::events(asked.with_stream_error(events, || {
        event("error", r#"{"type":"error","code":"server_error","message":"The server had an error.","param":null,"sequence_number":99}"#)
    }))
}

fn response(asked: &Asked<'_>, status: &str, output: &str, counts: Option<Counts>) -> String {
    let usage = match counts.filter(|_| !asked.knobs.no_usage) {
        None => "null".to_owned(),
        Some(counts) => format!(
            r#"{{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{},"cache_write_tokens":0}},"output_tokens":{},"output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{}}}"#,
            counts.input,
            counts.cached,
            counts.output(),
            counts.reasoning,
            counts.total()
        ),
    };
    let incomplete = if status == "incomplete" { r#"{"reason":"max_output_tokens"}"# } else { "null" };
    format!(
        r#"{{"id":"resp_Sim{:08}","object":"response","created_at":{CREATED},"status":"{status}","background":false,"error":null,"incomplete_details":{incomplete},"instructions":null,"metadata":{{}},"model":{},"output":[{output}],"parallel_tool_calls":true,"temperature":1.0,"tool_choice":"auto","tools":[],"top_p":1.0,"service_tier":"default","usage":{usage}}}"#,
        asked.request.sequence,
        quote(&asked.model())
    )
}

/// One vector for each input, all alike: as numbers, or as base64 of little-endian floats, as asked.
fn embeddings(asked: &Asked<'_>) -> Reply {
    let count = asked.body.get("input").and_then(serde_json::Value::as_array).map_or(1, Vec::len);
    let base64 = asked.body.get("encoding_format").and_then(serde_json::Value::as_str) == Some("base64");
    let vector = if base64 { r#""AACAPwAAAEAAAEBA""# } else { "[1.0,2.0,3.0]" };
    let vectors: Vec<String> =
        (0..count).map(|index| format!(r#"{{"object":"embedding","index":{index},"embedding":{vector}}}"#)).collect();
    let tokens = usage::prompt_tokens(&asked.body);
    Reply::json(
        200,
        format!(
            r#"{{"object":"list","data":[{}],"model":{},"usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#,
            vectors.join(","),
            quote(&asked.model())
        ),
    )
}

/// Counts a token for each started kilobyte of the upload.
fn transcription(asked: &Asked<'_>) -> Reply {
    let audio = asked.request.body.len().div_ceil(1024);
    Reply::json(
        200,
        format!(
            r#"{{"text":"Hello world.","usage":{{"type":"tokens","input_tokens":{audio},"input_token_details":{{"text_tokens":0,"audio_tokens":{audio}}},"output_tokens":2,"total_tokens":{}}}}}"#,
            audio + 2
        ),
    )
}

fn images(asked: &Asked<'_>) -> Reply {
    let text = usage::prompt_tokens(&asked.body);
    let count = asked.body.get("n").and_then(serde_json::Value::as_u64).unwrap_or(1);
    let image = r#"{"b64_json":"iVBORw0KGgo="}"#;
    let data = vec![image; usize::try_from(count).unwrap_or(1).min(16)].join(",");
    let output = 1056 * count;
    Reply::json(
        200,
        format!(
            r#"{{"created":{CREATED},"background":"opaque","output_format":"png","quality":"medium","size":"1024x1024","data":[{data}],"usage":{{"input_tokens":{text},"input_tokens_details":{{"text_tokens":{text},"image_tokens":0}},"output_tokens":{output},"output_tokens_details":{{"image_tokens":{output},"text_tokens":0}},"total_tokens":{}}}}}"#,
            text + output
        ),
    )
}

fn file(asked: &Asked<'_>) -> Reply {
    Reply::json(
        200,
        format!(
            r#"{{"id":"file-Sim{:08}","object":"file","bytes":{},"created_at":{CREATED},"filename":"sim.jsonl","purpose":"batch","status":"processed"}}"#,
            asked.request.sequence,
            asked.request.body.len()
        ),
    )
}

fn models() -> String {
    let models: Vec<String> = ["gpt-5.4", "gpt-5.4-mini", "text-embedding-3-small"]
        .iter()
        .map(|model| format!(r#"{{"id":"{model}","object":"model","created":{CREATED},"owned_by":"system"}}"#))
        .collect();
    format!(r#"{{"object":"list","data":[{}]}}"#, models.join(","))
}

/// The error answers of a status.
pub(super) fn error(status: u16) -> Reply {
    let (kind, code, message) = match status {
        400 => ("invalid_request_error", "null", "Invalid request."),
        401 => ("invalid_request_error", r#""invalid_api_key""#, "Incorrect API key provided."),
        403 => ("invalid_request_error", r#""model_not_found""#, "Project does not have access to this model."),
        404 => ("invalid_request_error", r#""not_found""#, "Unknown request URL."),
        429 => ("tokens", r#""rate_limit_exceeded""#, "Rate limit reached. Please try again in 1.4s."),
        _ => ("server_error", "null", "The server had an error while processing your request."),
    };
    let reply = Reply::json(
        status,
        format!(r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":{code}}}}}"#),
    )
    .with_header("x-request-id", "req_simerror");
    match status {
        429 => reply
            .with_header("retry-after", "2")
            .with_header("retry-after-ms", "1400")
            .with_header("x-should-retry", "true"),
        _ => reply,
    }
}
