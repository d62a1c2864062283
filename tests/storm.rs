//! Many callers at once, many of whom go away: nothing is lost, doubled or left open.
#![cfg(test)]

pub mod support;

use futures_util::future::join_all;
use std::collections::HashSet;
use support::{
    gateway::{Gateway, Grant, Options, names},
    http::{AnswerReader, Ask, Client, Connection},
};

const CHAT: &str = "/openai/v1/chat/completions";

fn grant(organization: &str, concurrency: u32) -> Grant {
    let mut grant = Grant::all(organization);
    grant.arguments = vec!["--concurrency".to_owned(), concurrency.to_string()];
    grant
}

fn stream(secret: &str) -> Ask {
    let body =
        serde_json::json!({"model": "gpt-5.4-mini", "stream": true, "messages": [{"role": "user", "content": "a"}]});
    Ask::post(CHAT, &body).bearer(secret)
}

/// Sends a stream and goes away: at once, or after so many bytes of its body.
async fn cut(client: Client, ask: Ask, bytes: usize) {
    drop(open(client, ask, bytes).await);
}

/// Sends a stream and reads so many bytes of its body.
async fn open(client: Client, ask: Ask, bytes: usize) -> Connection {
    let mut connection = client.connect().await;
    connection.write(&ask.bytes()).await;
    if bytes > 0 {
        let mut reader = AnswerReader::new("POST");
        connection.answer_until(&mut reader, |answer| answer.body.len() >= bytes).await;
        assert_eq!(reader.so_far().status(), 200);
    }
    connection
}

#[tokio::test]
async fn two_thousand_streams_that_callers_cut_leave_nothing_behind() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("storm"));
    let ask = stream(&key.secret).sim("words=40; chunk-delay=50ms");
    for _ in 0..10 {
        join_all((0..200).map(|at| cut(gateway.client(), ask.clone(), at % 5 * 150))).await;
    }
    gateway
        .wait_for_metrics("2,000 events, none open", |metrics| {
            (metrics.total(names::USAGE_EVENTS) - 2000.0).abs() < 0.5 && metrics.total(names::EXCHANGES_OPEN) == 0.0
        })
        .await;
    let stats = gateway.stats("group_by=error_type", &key.secret, |all| all["totals"]["requests"] == 2000).await;
    assert_eq!(stats["rows"].as_array().map(Vec::len), Some(1), "{stats}");
    assert_eq!(stats["rows"][0]["error_type"], "caller_gone", "{stats}");
    gateway.simulator.wait_for_connections_open(0).await.unwrap();
}

#[tokio::test]
async fn permits_of_cut_streams_are_all_back() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&grant("permits", 200));
    let ask = stream(&key.secret).sim("words=200; chunk-delay=50ms");
    for _ in 0..2 {
        let held = join_all((0..200).map(|_| open(gateway.client(), ask.clone(), 150))).await;
        gateway.client().send(&ask).await.expect(429);
        drop(held);
        gateway.wait_for_metrics("none open", |metrics| metrics.total(names::EXCHANGES_OPEN) == 0.0).await;
    }
}

#[tokio::test]
async fn no_more_calls_reach_the_provider_than_the_limit_allows() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&grant("limit", 10));
    let ask = Ask::chat(CHAT, "gpt-5.4-mini", "a").bearer(&key.secret).sim("delay=3s");
    let (client, ask) = (&gateway.client(), &ask);
    let answers = join_all((0..100).map(|_| client.send(ask))).await;
    let count = |status| answers.iter().filter(|answer| answer.status() == status).count();
    assert_eq!((count(200), count(429)), (10, 90));
    assert_eq!(gateway.simulator.arrived(), 10);
    let ids: HashSet<_> = answers.iter().filter_map(|answer| answer.header("x-gateway-request-id")).collect();
    assert_eq!(ids.len(), 100, "each answer has an id of its own");
}

#[tokio::test]
async fn a_post_that_the_provider_drops_is_never_sent_twice() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("once"));
    let ask = Ask::chat(CHAT, "gpt-5.4-mini", "a").bearer(&key.secret);
    gateway.client().send(&ask).await.expect(200);
    for knob in ["fin", "reset"] {
        let before = gateway.simulator.arrived();
        gateway.client().send(&ask.clone().sim(knob)).await.expect(502);
        assert_eq!(gateway.simulator.arrived(), before + 1, "{knob}");
    }
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_meanwhile_is_not_a_fault() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("stale"));
    let get = Ask::get("/openai/v1/models").bearer(&key.secret);
    for _ in 0..5 {
        gateway.client().send(&get.clone().sim("fin=1000000")).await.expect(200);
        gateway.simulator.wait_for_connections_open(0).await.unwrap();
        gateway.client().send(&get).await.expect(200);
    }
}

#[tokio::test]
async fn mixed_calls_in_parallel_each_get_their_own_answer() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("mixed"));
    let asks: Vec<(Ask, u16)> = (0..200)
        .map(|at| match at % 4 {
            0 => (Ask::chat(CHAT, "gpt-5.4-mini", "a").bearer(&key.secret), 200),
            1 => (stream(&key.secret), 200),
            2 => (Ask::get("/gw/me").bearer(&key.secret), 200),
            _ => (Ask::chat("/nobody/v1/chat/completions", "m", "a").bearer(&key.secret), 404),
        })
        .collect();
    let client = &gateway.client();
    let answers = join_all(asks.iter().map(|(ask, _)| client.send(ask))).await;
    for (answer, (ask, status)) in answers.iter().zip(&asks) {
        assert_eq!((answer.status(), answer.complete), (*status, true), "{ask:?}");
    }
    let ids: HashSet<_> = answers.iter().filter_map(|answer| answer.header("x-gateway-request-id")).collect();
    assert_eq!(ids.len(), 200, "each answer has an id of its own");
}
