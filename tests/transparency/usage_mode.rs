//! `usage_mode = inject`, the one exception to untouched bodies: the provider is asked for usage in the caller's place, and
//! the caller sees the stream that it would have seen without that.

use crate::{
    lane::{Lane, assert_same, coded},
    support::{
        gateway::{Gateway, Grant},
        http::{Answer, AnswerReader, Ask},
        simulator::{Break, Cuts, Fault, Framing, Gate, Reply},
    },
};
use serde_json::{Value, json};

const CHAT: &str = "/openai/v1/chat/completions";
const BODY: &str =
    r#"{"model":"gpt-5.4-mini","stream":true,"messages":[{"role":"user","content":"count these five words please"}]}"#;
const WISH: &str = r#""stream_options":{"include_usage":true},"#;

/// What a provider sends that was asked for usage, event by event, and what the caller gets of it.
const EVENTS: &[(&str, &str)] = &[
    (": a comment\n\n", ": a comment\n\n"),
    (
        "data: {\"choices\":[{\"delta\":{\"content\":\"é€😀\"}}],\"usage\":null}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"é€😀\"}}]}\r\n\r\n",
    ),
    ("event: x\nid: 1\ndata: {\"usage\": null, \"choices\": []}\n\n", "event: x\nid: 1\ndata: {\"choices\": []}\n\n"),
    ("data: {\"error\":{\"message\":\"usage\"}}\r\r", "data: {\"error\":{\"message\":\"usage\"}}\r\r"),
    ("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1203,\"completion_tokens\":4507}}\r\n\r\n", ""),
    ("data: [DONE]\n\n", "data: [DONE]\n\n"),
    ("data: {\"usage\":null}", "data: {}"),
];

fn sent() -> String {
    EVENTS.iter().map(|(sent, _)| *sent).collect()
}

fn left() -> String {
    EVENTS.iter().map(|(_, left)| *left).collect()
}

/// A caller whose key has the mode.
fn injecting(organization: &str) -> Lane {
    let gateway = Gateway::shared();
    let arguments = ["--usage-mode", "inject"].map(str::to_owned).to_vec();
    let key = gateway.issue(&Grant { arguments, ..Grant::all(organization) });
    Lane { gateway, key }
}

fn ask_at(lane: &Lane, target: &str) -> Ask {
    Ask::new("POST", target)
        .header("Content-Type", "application/json")
        .header("Authorization", &lane.bearer())
        .header("ACCEPT-Encoding", "gzip, br")
}

fn ask(lane: &Lane) -> Ask {
    ask_at(lane, CHAT)
}

/// A body without what the simulator makes anew for each answer.
fn without_ids(answer: &Answer) -> String {
    let text = answer.text();
    let mut parts = text.split("chatcmpl-Sim");
    let first = parts.next().unwrap_or_default().to_owned();
    first + &parts.filter_map(|part| part.get(8..)).collect::<Vec<_>>().concat()
}

fn tokens(row: &Value) -> (&str, u64, u64) {
    let count = |name: &str| row[name].as_u64().unwrap_or_default();
    (row["usage_source"].as_str().unwrap_or_default(), count("input_tokens"), count("output_tokens"))
}

#[tokio::test]
async fn a_caller_in_whose_place_usage_is_asked_for_gets_the_stream_of_one_that_did_not_ask() {
    let (plain, asking) = (Lane::new("mode-plain"), injecting("mode-inject"));
    // "count these five words please" is 5 tokens, with 4 around the message and 3 for the answer; " wordN" is 2
    let cases = [
        ("words=9", ("provider", 5, 9), ("estimated", 12, 18)),
        ("words=9; odd=1", ("provider", 5, 9), ("estimated", 12, 18)),
        ("words=9; chunk=1", ("provider", 5, 9), ("estimated", 12, 18)),
        ("words=9; chunk=whole; framing=close", ("provider", 5, 9), ("estimated", 12, 18)),
        ("words=9; cached=2; reasoning=30", ("provider", 3, 39), ("estimated", 12, 18)),
        ("words=9; no-usage", ("estimated", 12, 18), ("estimated", 12, 18)),
        ("words=9; stream-error=3", ("estimated", 12, 4), ("estimated", 12, 4)),
    ];
    for (knobs, asked, not_asked) in cases {
        let mut texts = Vec::new();
        for (lane, expected) in [(&asking, asked), (&plain, not_asked)] {
            let answer = lane.gateway.client().send(&ask(lane).sim(knobs).body(BODY)).await.expect(200);
            assert!(answer.complete, "{knobs}");
            let row = lane.usage_of(&answer).await;
            assert_eq!(tokens(&row), expected, "{knobs}: {row}");
            assert_eq!(row["bytes_out"], json!(answer.body.len()), "{knobs}");
            assert_eq!(row["bytes_in"], json!(BODY.len()), "{knobs}");
            texts.push(without_ids(&answer));
        }
        assert_same(knobs, texts[0].as_bytes(), texts[1].as_bytes());
        assert!(!texts[0].contains("usage"), "{knobs}");
    }
}

#[tokio::test]
async fn the_wish_for_usage_is_put_into_the_body_and_every_other_byte_stays() {
    let lane = injecting("mode-request");
    let reply = lane.reply(Reply::events(vec![sent().into_bytes()]));
    let odd = "{ \"model\" : \"gpt-5.4-mini\",\r\n\t\"b\":1.0e0,\"b\":\"\\u00e9\", \"stream\":true}\n";
    let options = r#"{"model":"gpt-5.4-mini","stream":true,"stream_options":{"include_usage":false,"a":1}}"#;
    let large = format!(r#"{{"model":"gpt-5.4-mini","stream":true,"prompt":"{}"}}"#, "x".repeat(300_000));
    let cases = [
        (CHAT, BODY.to_owned(), BODY.replacen('{', &format!("{{{WISH}"), 1)),
        (CHAT, odd.to_owned(), odd.replacen('{', &format!("{{{WISH}"), 1)),
        (CHAT, options.to_owned(), options.replace("false", "true")),
        ("/openai/v1/completions", large.clone(), large.replacen('{', &format!("{{{WISH}"), 1)),
    ];
    for (target, body, expected) in cases {
        let ask = ask_at(&lane, target).sim(&reply).header("X-Own", "stays");
        let mut asks = vec![ask.clone().body(body.clone())];
        if body.len() < 60_000 {
            asks.push(ask.chunks(&[&body.as_bytes()[..9], &body.as_bytes()[9..]]));
        }
        for (ask, is_chunked) in asks.into_iter().zip([false, true]) {
            let passed = lane.pass(&ask).await;
            assert_same(target, &passed.received.body, expected.as_bytes());
            let length = (!is_chunked).then(|| expected.len().to_string());
            assert_eq!(passed.received.header("content-length"), length.as_deref());
            let codings: Vec<&str> = passed.received.head.values("accept-encoding").collect();
            assert_eq!((codings, passed.received.header("x-own")), (vec!["identity"], Some("stays")));
            assert_same(target, &passed.answer.body, left().as_bytes());
            assert_eq!(tokens(&lane.usage_of(&passed.answer).await), ("provider", 1203, 4507));
        }
    }
}

#[tokio::test]
async fn a_request_that_is_no_plain_stream_is_left_alone() {
    let lane = injecting("mode-alone");
    let reply = lane.reply(Reply::events(vec![sent().into_bytes()]));
    let whole = BODY.replace("true", "false");
    let own = BODY.replacen('{', &format!("{{{WISH}"), 1);
    let twice = BODY.replacen('{', r#"{"stream":true,"#, 1);
    let large = BODY.replace("please", &"x".repeat(100_000));
    let (head, tail) = large.split_at(90_000);
    let ask = || ask(&lane).sim(&reply);
    let cases = [
        ("no stream", ask().body(whole.clone()), whole.into_bytes()),
        ("the caller asks itself", ask().body(own.clone()), own.into_bytes()),
        ("a member twice", ask().body(twice.clone()), twice.into_bytes()),
        (
            "compressed",
            ask().header("content-encoding", "gzip").body(coded("gzip", BODY.as_bytes())),
            coded("gzip", BODY.as_bytes()),
        ),
        ("not wholly held", ask().chunks(&[head.as_bytes(), tail.as_bytes()]), large.clone().into_bytes()),
        ("another endpoint", ask_at(&lane, "/openai/v1/responses").sim(&reply).body(BODY), BODY.into()),
    ];
    for (what, ask, body) in cases {
        let passed = lane.pass(&ask).await;
        assert_same(what, &passed.received.body, &body);
        assert_eq!(passed.received.header("accept-encoding"), Some("gzip, br"), "{what}");
        assert_same(what, &passed.answer.body, sent().as_bytes());
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_edited_passes_as_it_is() {
    let lane = injecting("mode-answers");
    let text = sent().into_bytes();
    let packed = coded("gzip", &text);
    let cases = [
        ("compressed", Reply::events(vec![packed.clone()]).with_header("content-encoding", "gzip"), &packed),
        ("with a length", Reply::new(200, "text/event-stream", text.clone()), &text),
        ("no stream", Reply::pieces("application/json", vec![text.clone()]), &text),
        ("an error", Reply::json(400, text.clone()).delivered(|delivery| delivery.framing = Framing::Chunked), &text),
    ];
    for (what, reply, expected) in cases {
        let answer = lane.gateway.client().send(&ask(&lane).sim(&lane.reply(reply)).body(BODY)).await;
        assert!(answer.complete, "{what}");
        assert_same(what, &answer.body, expected);
    }
}

#[tokio::test]
async fn an_edited_event_reaches_the_caller_before_the_next_is_sent() {
    let lane = injecting("mode-gate");
    let (gate, mut pieces, mut sizes) = (Gate::default(), Vec::new(), Vec::new());
    for (event, left) in EVENTS {
        // in two pieces: the first is held back, and no longer
        let (head, tail) = event.as_bytes().split_at(7);
        pieces.extend([head.to_vec(), tail.to_vec()]);
        sizes.extend([0, left.len()]);
    }
    // but for the last, which has no end of its own
    *sizes.last_mut().unwrap() = 0;
    let reply = Reply::events(pieces).delivered(|delivery| delivery.gate = Some(gate.clone()));
    let mut connection = lane.gateway.client().connect().await;
    connection.write(&ask(&lane).sim(&lane.reply(reply)).body(BODY).bytes()).await;
    let (mut reader, mut size) = (AnswerReader::new("POST"), 0);
    for (at, more) in sizes.into_iter().enumerate() {
        size += more;
        connection.answer_until(&mut reader, |answer| answer.body.len() >= size).await;
        assert_eq!(reader.so_far().body.len(), size, "piece {at}, and nothing of the next");
        gate.let_one_pass();
    }
    connection.answer_until(&mut reader, |_| false).await;
    let answer = reader.end().expect(200);
    assert!(answer.complete);
    assert_same("gate", &answer.body, left().as_bytes());
}

#[tokio::test]
async fn where_a_stream_is_cut_changes_nothing_and_an_event_over_the_bound_passes_whole() {
    let lane = injecting("mode-cuts");
    let huge = format!("data: {{\"choices\":[{{}}],\"usage\":null,\"x\":\"{}\"}}\n\n", "x".repeat(70_000));
    let (text, expected) = (format!("{}\n\n{huge}{}", sent(), sent()), format!("{}\n\n{huge}{}", left(), left()));
    for cuts in [Cuts::Whole, Cuts::Every(1000), Cuts::Every(65_536), Cuts::Odd(1), Cuts::Odd(2)] {
        let reply = Reply::events(vec![text.clone().into_bytes()]).delivered(|delivery| delivery.cuts = cuts);
        let answer = lane.gateway.client().send(&ask(&lane).sim(&lane.reply(reply)).body(BODY)).await.expect(200);
        assert!(answer.complete);
        assert_same(&format!("{cuts:?}"), &answer.body, expected.as_bytes());
    }
}

#[tokio::test]
async fn an_edited_stream_that_breaks_off_never_looks_complete() {
    let lane = injecting("mode-broken");
    for bytes in [30, 200, sent().len()] {
        let reply = Reply::events(vec![sent().into_bytes()])
            .delivered(|delivery| delivery.fault = Some(Fault::AfterBody(bytes, Break::Reset)));
        let answer = lane.gateway.client().send(&ask(&lane).sim(&lane.reply(reply)).body(BODY)).await;
        assert!(!answer.complete, "{bytes}: {}", answer.text());
        assert!(left().starts_with(&answer.text()), "{bytes}: {}", answer.text());
    }
}
