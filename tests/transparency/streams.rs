//! Streams: every chunk reaches the caller while the provider still holds back the next one, whatever it is cut into.

use crate::{
    lane::{Lane, assert_same, mark, noise},
    support::{
        http::{AnswerReader, Ask},
        simulator::{Cuts, Framing, Gate, Reply, Request},
    },
};

/// Events as some provider, or none yet, sends them.
const EVENTS: &str = ": a comment\n\n:\r\n\r\nevent: delta\r\nid: 1\r\nretry: 10\r\ndata: {\"a\":\"é€😀\"}\r\n\r\n\
                      data:{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: two\ndata:  lines \n\nunknown: f\n\n\
                      data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1203,\"completion_tokens\":4507}}\r\r\n\n\
                      data: [DONE]\n\nno end of line";

/// Pingora's buffer of writes to a caller: what has no length is flushed from it, what has one is not before its end.
const HELD_BYTES_MAX: usize = 1460;

fn stream(lane: &Lane, reply: Reply) -> Ask {
    let body =
        serde_json::json!({"model": "gpt-5.4-mini", "stream": true, "messages": [{"role": "user", "content": "a"}]});
    Ask::post("/openai/v1/chat/completions", &body).header("authorization", &lane.bearer()).sim(&lane.reply(reply))
}

/// Sends the request; lets the provider write a piece when, and only when, the caller has the one before.
async fn step_by_step(lane: &Lane, ask: &Ask, gate: &Gate, pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut connection = lane.gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let mut reader = AnswerReader::new(ask.method());
    let mut size = 0;
    for (at, piece) in pieces.iter().enumerate() {
        size += piece.len();
        connection.answer_until(&mut reader, |answer| answer.body.len() >= size).await;
        assert_eq!(reader.so_far().body.len(), size, "piece {at}, and nothing of the next");
        gate.let_one_pass();
    }
    connection.answer_until(&mut reader, |_| false).await;
    let answer = reader.end().expect(200);
    assert!(answer.complete);
    answer.body
}

#[tokio::test]
async fn each_byte_of_a_stream_arrives_before_the_next_is_sent() {
    let lane = Lane::new("stream-bytes");
    let pieces: Vec<Vec<u8>> = EVENTS.bytes().map(|byte| vec![byte]).collect();
    for framing in [Framing::Chunked, Framing::Close] {
        let gate = Gate::default();
        let reply = Reply::events(pieces.clone()).delivered(|delivery| {
            delivery.framing = framing;
            delivery.gate = Some(gate.clone());
        });
        let body = step_by_step(&lane, &stream(&lane, reply), &gate, &pieces).await;
        assert_same(&format!("{framing:?}"), &body, EVENTS.as_bytes());
    }
}

#[tokio::test]
async fn of_an_answer_with_a_length_less_than_one_packet_is_held_back() {
    let lane = Lane::new("stream-length");
    let gate = Gate::default();
    let pieces: Vec<Vec<u8>> = [10, 1000, 1460, 20_000, 1, 1_000_000, 3].map(noise).to_vec();
    let reply = Reply::pieces("audio/mpeg", pieces.clone()).delivered(|delivery| {
        delivery.framing = Framing::ContentLength;
        delivery.gate = Some(gate.clone());
    });
    let ask = Ask::get("/openai/v1/files/f/content").header("authorization", &lane.bearer()).sim(&lane.reply(reply));
    let mut connection = lane.gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let mut reader = AnswerReader::new("GET");
    let mut size = 0;
    for piece in &pieces {
        size += piece.len();
        connection.answer_until(&mut reader, |answer| answer.body.len() + HELD_BYTES_MAX >= size).await;
        gate.let_one_pass();
    }
    connection.answer_until(&mut reader, |_| false).await;
    let answer = reader.end().expect(200);
    assert_same("length", &answer.body, &pieces.concat());
    assert!(answer.complete);
}

#[tokio::test]
async fn streams_are_the_same_bytes_however_they_are_cut_and_are_metered() {
    let lane = Lane::new("stream-cuts");
    let text = EVENTS.repeat(20);
    for cuts in [Cuts::Whole, Cuts::Every(1), Cuts::Every(7), Cuts::Every(4096), Cuts::Odd(1), Cuts::Odd(2)] {
        let reply = Reply::events(vec![text.clone().into_bytes()]).delivered(|delivery| {
            delivery.cuts = cuts;
            ";x=\"y\"".clone_into(&mut delivery.chunk_extension);
            delivery.trailers.push(("X-Sum".to_owned(), "1".to_owned()));
        });
        let answer = lane.gateway.client().send(&stream(&lane, reply)).await.expect(200);
        assert_same(&format!("{cuts:?}"), &answer.body, text.as_bytes());
        let raw = String::from_utf8_lossy(&answer.body_raw).into_owned();
        assert!(raw.ends_with("\r\n0\r\n\r\n") && !raw.contains(";x="), "{cuts:?}: no extension, no trailer");
        let record = lane.usage_of(&answer).await;
        let found = (&record["streamed"], &record["input_tokens"], &record["output_tokens"]);
        assert_eq!(found, (&true.into(), &1203.into(), &4507.into()), "{cuts:?}: {record}");
    }
}

#[tokio::test]
async fn an_empty_stream_is_an_empty_stream() {
    let lane = Lane::new("stream-empty");
    let answer = lane.gateway.client().send(&stream(&lane, Reply::events(Vec::new()))).await.expect(200);
    assert_eq!((&*answer.body, &*answer.body_raw, answer.complete), (&b""[..], &b"0\r\n\r\n"[..], true));
}

#[tokio::test]
async fn a_body_that_the_caller_sends_bit_by_bit_arrives_bit_by_bit() {
    let lane = Lane::new("stream-up");
    let mark = mark();
    let head = format!(
        "POST /openai/v1/uploads HTTP/1.1\r\nHost: h\r\nAuthorization: {}\r\nX-Mark: {mark}\r\nX-Sim: {}\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        lane.bearer(),
        lane.reply(Reply::json(200, "{}"))
    );
    let mut connection = lane.gateway.client().connect().await;
    connection.write(head.as_bytes()).await;
    for size in 1..40 {
        connection.write(b"1\r\nx\r\n").await;
        let there = |request: &Request| request.header("x-mark") == Some(&mark) && request.body.len() == size;
        lane.gateway.simulator.wait_for("what was sent so far", there).await.unwrap();
    }
    connection.write(b"0\r\n\r\n").await;
    connection.answer("POST").await.expect(200);
}
