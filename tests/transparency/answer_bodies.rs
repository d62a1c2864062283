//! Answers' bodies: compressed ones pass in their own bytes and are metered all the same, large ones pass whole, and bytes behind
//! an answer's end are not part of it.

use crate::{
    lane::{Lane, assert_same, coded, mark, noise},
    support::{
        http::{Answer, Ask},
        simulator::{Cuts, Framing, Reply},
    },
};
use std::fmt::Write;

const LARGE: usize = 50_000_000;
const CODINGS: [&str; 4] = ["gzip", "br", "zstd", "deflate"];
const FRAMINGS: [Framing; 3] = [Framing::ContentLength, Framing::Chunked, Framing::Close];

fn chat(lane: &Lane, stream: bool, reply: Reply) -> Ask {
    let body =
        serde_json::json!({"model": "gpt-5.4-mini", "stream": stream, "messages": [{"role": "user", "content": "a"}]});
    Ask::post("/openai/v1/chat/completions", &body).header("authorization", &lane.bearer()).sim(&lane.reply(reply))
}

async fn assert_metered(lane: &Lane, answer: &Answer, what: &str) {
    let record = lane.usage_of(answer).await;
    let found = (&record["usage_source"], &record["input_tokens"], &record["output_tokens"]);
    assert_eq!(found, (&"provider".into(), &1203.into(), &4507.into()), "{what}: {record}");
}

#[tokio::test]
async fn compressed_answers_pass_in_their_own_bytes_and_are_metered() {
    let lane = Lane::new("answer-coded");
    let text = format!(
        "{{\"id\":\"c\",\"model\":\"gpt-5.4-mini\",\"choices\":[{{\"message\":{{\"content\":\"{}\"}}}}],\
         \"usage\":{{\"prompt_tokens\":1203,\"completion_tokens\":4507,\"total_tokens\":5710}}}}\n",
        "é word ".repeat(20_000)
    );
    for coding in CODINGS {
        let body = coded(coding, text.as_bytes());
        for framing in FRAMINGS {
            let what = format!("{coding} {framing:?}");
            let reply = Reply::json(200, body.clone()).with_header("Content-Encoding", coding);
            let reply = reply.delivered(|delivery| delivery.framing = framing);
            let answer = lane.gateway.client().send(&chat(&lane, false, reply)).await.expect(200);
            assert_same(&what, &answer.body, &body);
            assert!(answer.complete, "{what}");
            assert_eq!(answer.head.values("content-encoding").collect::<Vec<_>>(), [coding]);
            let length = (framing == Framing::ContentLength).then(|| body.len().to_string());
            assert_eq!(answer.header("content-length"), length.as_deref(), "{what}");
            assert_metered(&lane, &answer, &what).await;
        }
    }
}

#[tokio::test]
async fn compressed_streams_pass_in_their_own_bytes_and_are_metered() {
    let lane = Lane::new("answer-coded-streams");
    let mut text = String::new();
    for at in 0..200 {
        write!(text, "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"é{at}\"}}}}]}}\n\n").unwrap();
    }
    text.push_str(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1203,\"completion_tokens\":4507}}\n\ndata: [DONE]\n\n",
    );
    for coding in CODINGS {
        let body = coded(coding, text.as_bytes());
        let pieces: Vec<Vec<u8>> = body.chunks(13).map(<[u8]>::to_vec).collect();
        let reply = Reply::events(pieces).with_header("content-encoding", coding);
        let answer = lane.gateway.client().send(&chat(&lane, true, reply)).await.expect(200);
        assert_same(coding, &answer.body, &body);
        assert!(answer.complete, "{coding}");
        assert_metered(&lane, &answer, coding).await;
    }
}

#[tokio::test]
async fn a_coding_that_is_unknown_or_false_passes_too() {
    let lane = Lane::new("answer-odd-coding");
    for coding in ["gzip", "br", "zstd", "deflate", "dcb", "identity", "gzip, br", "x"] {
        let body = noise(10_000);
        let reply = Reply::json(200, body.clone()).with_header("content-encoding", coding);
        let answer = lane.gateway.client().send(&chat(&lane, false, reply)).await.expect(200);
        assert_same(coding, &answer.body, &body);
        assert!(answer.complete, "{coding}");
    }
}

#[tokio::test]
async fn answers_of_every_size_and_framing_pass_whole() {
    let lane = Lane::new("answer-sizes");
    for size in [1, 1000, 65_535, 65_536, 65_537, 1 << 20] {
        for framing in FRAMINGS {
            let body = noise(size);
            let reply = Reply::new(200, "audio/mpeg", body.clone()).delivered(|delivery| delivery.framing = framing);
            let ask = Ask::get("/openai/v1/files/f/content").header("authorization", &lane.bearer());
            let answer = lane.gateway.client().send(&ask.sim(&lane.reply(reply))).await.expect(200);
            assert_same(&format!("{size} {framing:?}"), &answer.body, &body);
            assert!(answer.complete);
            let chunked = (framing != Framing::ContentLength).then_some("chunked");
            assert_eq!(answer.header("transfer-encoding"), chunked, "{size} {framing:?}");
        }
    }
}

#[tokio::test]
async fn answers_of_fifty_megabytes_pass_whole() {
    let lane = Lane::alone("answer-large");
    let body = noise(LARGE);
    for framing in FRAMINGS {
        let reply = Reply::new(200, "application/octet-stream", body.clone()).delivered(|delivery| {
            delivery.framing = framing;
            delivery.cuts = Cuts::Every(1_000_003);
        });
        let ask = Ask::get("/openai/v1/files/f/content").header("authorization", &lane.bearer());
        let answer = lane.gateway.client().send(&ask.sim(&lane.reply(reply))).await.expect(200);
        assert_same(&format!("{framing:?}"), &answer.body, &body);
        assert!(answer.complete);
        assert_eq!(lane.usage_of(&answer).await["bytes_out"], LARGE);
    }
}

#[tokio::test]
async fn a_caller_of_http_1_0_gets_the_same_bytes_up_to_the_connections_end() {
    let lane = Lane::new("answer-http-1-0");
    let body = noise(100_000);
    for framing in FRAMINGS {
        let reply = Reply::new(200, "audio/mpeg", body.clone()).delivered(|delivery| delivery.framing = framing);
        let knob = lane.reply(reply);
        let wire = format!(
            "GET /openai/v1/files/f/content HTTP/1.0\r\nAuthorization: {}\r\nX-Sim: {knob}\r\n\r\n",
            lane.bearer()
        );
        let mut connection = lane.gateway.client().connect().await;
        connection.write(wire.as_bytes()).await;
        let (bytes, end) = connection.to_end().await;
        end.unwrap();
        let head = memchr::memmem::find(&bytes, b"\r\n\r\n").unwrap() + 4;
        assert_same(&format!("{framing:?}"), &bytes[head..], &body);
    }
}

#[tokio::test]
async fn bytes_behind_the_end_of_an_answer_reach_no_one() {
    let lane = Lane::alone("answer-trailing");
    let first = mark();
    let ask = Ask::get("/openai/v1/models").header("authorization", &lane.bearer());
    let mut connection = lane.gateway.client().connect().await;
    let answer = connection.send(&ask.clone().header("x-mark", &first).sim("trailing=64")).await.expect(200);
    assert!(answer.complete && answer.text().ends_with("]}"), "{}", answer.text());
    let second = mark();
    let answer = connection.send(&ask.header("x-mark", &second)).await.expect(200);
    assert!(answer.complete && connection.left_over().is_empty());
    let [first, second] = [lane.received(&first, &answer).await, lane.received(&second, &answer).await];
    assert_ne!(first.connection, second.connection, "a connection with stray bytes is not used again");
}
