//! `Expect: 100-continue`: the caller is told to go on, by the gateway where it must read the body itself and by the provider
//! where not, and the body arrives whole.

use crate::{
    lane::{Lane, assert_same, mark},
    support::{
        http::{AnswerReader, Ask},
        simulator::Reply,
    },
};

const BODY: &[u8] = b"{\"model\":\"gpt-5.4-mini\", \"input\":\"a\"}\n";
/// The gateway reads the body of the first, and leaves the second's alone.
const TARGETS: [(&str, bool); 2] = [("/openai/v1/embeddings", true), ("/openai/v1/uploads", false)];

fn ask(lane: &Lane, target: &str, mark: &str) -> Ask {
    let knob = lane.reply(Reply::json(200, "{}"));
    Ask::new("POST", target)
        .header("authorization", &lane.bearer())
        .header("content-type", "application/json")
        .header("expect", "100-continue")
        .header("x-mark", mark)
        .sim(&knob)
        .body(BODY)
}

#[tokio::test]
async fn a_caller_that_waits_is_told_to_go_on() {
    let lane = Lane::new("expect-waits");
    for (target, read) in TARGETS {
        let mark = mark();
        let wire = ask(&lane, target, &mark).bytes();
        let (head, body) = wire.split_at(wire.len() - BODY.len());
        let mut connection = lane.gateway.client().connect().await;
        connection.write(head).await;
        let mut reader = AnswerReader::new("POST");
        connection.answer_until(&mut reader, |answer| !answer.interim.is_empty()).await;
        assert_eq!(reader.so_far().interim.first().map(|head| head.word(1)), Some("100"), "{target}");
        connection.write(body).await;
        connection.answer_until(&mut reader, |_| false).await;
        let answer = reader.end().expect(200);
        assert_eq!(answer.interim.len(), 1, "{target}: told once");
        let received = lane.received(&mark, &answer).await;
        assert_same(target, &received.body, BODY);
        assert_eq!(received.header("expect"), (!read).then_some("100-continue"), "{target}");
        assert_eq!(answer.header("connection"), Some(if read { "keep-alive" } else { "close" }), "{target}");
        if read {
            connection.send(&Ask::get("/gw/me").header("authorization", &lane.bearer())).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_caller_that_does_not_wait_is_served_all_the_same() {
    let lane = Lane::new("expect-hurries");
    for (target, _) in TARGETS {
        let mark = mark();
        let mut connection = lane.gateway.client().connect().await;
        let answer = connection.send(&ask(&lane, target, &mark)).await.expect(200);
        assert_same(target, &lane.received(&mark, &answer).await.body, BODY);
        assert!(connection.left_over().is_empty());
    }
}

#[tokio::test]
async fn a_provider_that_never_says_continue_gets_the_body_of_a_caller_that_does_not_wait() {
    let lane = Lane::new("expect-never");
    for (target, _) in TARGETS {
        let mark = mark();
        let ask = Ask::new("POST", target)
            .header("authorization", &lane.bearer())
            .header("content-type", "application/json")
            .header("expect", "100-continue")
            .header("x-mark", &mark)
            .sim("continue=never")
            .body(BODY);
        let answer = lane.gateway.client().send(&ask).await;
        assert_same(target, &lane.received(&mark, &answer).await.body, BODY);
    }
}

#[tokio::test]
async fn a_providers_refusal_to_read_on_reaches_the_caller_before_its_body() {
    let lane = Lane::new("expect-refused");
    let ask = Ask::new("POST", "/openai/v1/uploads")
        .header("authorization", &lane.bearer())
        .header("expect", "100-continue")
        .sim("continue=refuse")
        .body(BODY);
    let wire = ask.bytes();
    let mut connection = lane.gateway.client().connect().await;
    connection.write(&wire[..wire.len() - BODY.len()]).await;
    let answer = connection.answer("POST").await.expect(417);
    assert!(answer.interim.is_empty() && answer.body.is_empty() && answer.complete, "{answer:?}");
}
