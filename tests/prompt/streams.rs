//! Streams: the restored answer in segments, never the provider's tokens.

use crate::{
    desk::{Desk, MODEL, options},
    support::{
        gateway::Gateway,
        http::{Answer, AnswerReader, Ask},
    },
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The chunks of a stream, which must be nothing but them and its end.
fn chunks(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let text = String::from_utf8(answer.body.clone()).expect("text in UTF-8");
    let events = text.strip_suffix("data: [DONE]\n\n").unwrap_or_else(|| panic!("no end: {text}"));
    let chunk = |event: &str| {
        let data: Value = serde_json::from_str(event.strip_prefix("data: ").expect("data")).expect("JSON");
        let chunk = data["chunk"].as_str().expect("a text").to_owned();
        assert_eq!(data, json!({"chunk": chunk}));
        chunk
    };
    events.split_terminator("\n\n").map(chunk).collect()
}

fn long_prompt(mark: &str) -> String {
    let sentence = "Grüße an müller@corp.example, 東京の 4111 1111 1111 1111 und \u{1f469}\u{200d}\u{1f4bb} dazu.\n";
    format!("{mark} {}", sentence.repeat(20))
}

#[tokio::test]
async fn a_stream_is_the_restored_answer_in_pieces() {
    let desk = Desk::shared("streams-whole");
    let prompt = long_prompt("streams-whole");
    let body = json!({"prompt": prompt, "model": MODEL});
    let streamed = json!({"prompt": prompt, "model": MODEL, "stream": true});
    let accept = "application/json;q=0.5, Text/Event-Stream";
    let asks = [
        Ask::post("/", &streamed),
        Ask::post("/v1/gateway", &streamed).header("accept", "*/*"),
        Ask::post("/", &body).header("accept", "text/event-stream"),
        Ask::post("/", &body).header("accept", accept),
    ];
    for ask in asks {
        let answer = desk.send(&ask.bearer(&desk.key.secret)).await;
        let chunks = chunks(&answer);
        assert!(chunks.len() > 10, "{} pieces", chunks.len());
        assert_eq!(chunks.concat(), format!("Echo: {prompt}"));
        assert!(chunks.iter().all(|chunk| chunk.len() <= 48 && !chunk.is_empty()), "{chunks:?}");
    }
    for request in desk.upstream("streams-whole") {
        assert!(!request.contains(b"corp.example") && !request.contains(b"4111 1111"));
        assert_eq!(request.json().expect("JSON").get("stream"), None, "no stream is asked for");
    }
}

#[tokio::test]
async fn segments_are_cut_between_characters_at_any_size_and_pace() {
    let options = options().set("/prompt/segment_bytes", json!(1)).set("/prompt/segment_pause_ms", json!(1));
    let desk = Desk::at(Arc::new(Gateway::start(options)), "streams-pace");
    let prompt = "streams-pace: ü東\u{1f469}\u{200d}\u{1f4bb} a@corp.example";
    let ask = Ask::post("/", &json!({"prompt": prompt, "model": MODEL, "stream": true})).bearer(&desk.key.secret);
    let chunks = chunks(&desk.send(&ask).await);
    let expected: Vec<String> = format!("Echo: {prompt}").chars().map(String::from).collect();
    assert_eq!(chunks, expected);
}

#[tokio::test]
async fn a_refused_stream_is_a_plain_refusal() {
    let desk = Desk::shared("streams-refused");
    let ask = Ask::post("/", &json!({"prompt": "hush", "model": "openai/none", "stream": true}));
    desk.refuses("unknown model", &ask.bearer(&desk.key.secret), 400, "validation").await;
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_is_recorded_as_gone() {
    let options = options().set("/prompt/segment_bytes", json!(1)).set("/prompt/segment_pause_ms", json!(10_000));
    let desk = Desk::at(Arc::new(Gateway::start(options)), "streams-gone");
    let prompt = format!("streams-gone {}", "x".repeat(400));
    let ask = Ask::post("/", &json!({"prompt": prompt, "model": MODEL, "stream": true})).bearer(&desk.key.secret);
    let mut connection = desk.gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let mut reader = AnswerReader::new("POST");
    connection.answer_until(&mut reader, |answer| !answer.body.is_empty()).await;
    let begun = reader.so_far().clone();
    drop(connection);
    let row = desk.row(&begun).await;
    assert_eq!((row["status"].as_u64(), row["error_type"].as_str()), (Some(200), Some("caller_gone")), "{row}");
    assert_eq!(row["usage_source"], "provider", "{row}");
}
