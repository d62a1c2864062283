//! Calls in parallel and calls that go wrong on the provider's side: each has its own answer, and none is sent twice.

use crate::{
    CHAT, REQUEST_ID,
    cuts::takes_exactly,
    key, stream,
    support::{
        gateway::{Gateway, Grant, Options, rows::text},
        http::Ask,
    },
};
use futures_util::future::join_all;
use std::collections::HashSet;

#[tokio::test]
async fn no_more_calls_reach_the_provider_than_the_limit_allows() {
    let gateway = Gateway::start(Options::default());
    let key = key(&gateway, "limit", &["--concurrency", "10"]);
    let ask = Ask::chat(CHAT, "gpt-5.4-mini", "a").bearer(&key.secret).sim("delay=3s");
    let (client, ask) = (&gateway.client(), &ask);
    let answers = join_all((0..100).map(|_| client.send(ask))).await;
    let count = |status| answers.iter().filter(|answer| answer.status() == status).count();
    assert_eq!((count(200), count(429)), (10, 90));
    assert_eq!(gateway.simulator.arrived(), 10);
    let ids: HashSet<_> = answers.iter().filter_map(|answer| answer.header(REQUEST_ID)).collect();
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
async fn each_of_many_calls_that_the_provider_fails_has_one_usage_event_that_says_how() {
    // Knobs; what the caller gets: status, whole or not; what the event says.
    const FAULTS: [(&str, u16, bool, &str); 8] = [
        ("fin", 502, true, "provider_unreachable"),
        ("reset", 502, true, "provider_unreachable"),
        ("garbage", 502, true, "provider_unreachable"),
        ("never", 504, true, "provider_timeout"),
        ("fin=300", 200, false, "provider_cut"),
        ("reset=300", 200, false, "provider_cut"),
        ("stream-error=3", 200, true, "provider_error"),
        ("status=529", 529, true, "provider_error"),
    ];
    let shipped = std::fs::read_to_string("conf/providers.yaml").unwrap();
    let impatient = shipped.replacen("#read_seconds: 600", "read_seconds: 5", 1);
    assert_ne!(shipped, impatient);
    let gateway = Gateway::start(Options::default().providers_yaml(&impatient));
    let key = key(&gateway, "faults", &["--concurrency", "400"]);
    let asks: Vec<_> = (0..400)
        .map(|at| (at, FAULTS[at % FAULTS.len()]))
        .map(|(at, fault)| (stream(&key).sim(fault.0).header("x-attr-nonce", &at.to_string()), fault))
        .collect();
    let client = &gateway.client();
    let answers = join_all(asks.iter().map(|(ask, _)| client.send(ask))).await;
    let rows = gateway.rows().await.by_tag("nonce");
    assert_eq!((rows.len(), gateway.simulator.arrived()), (400, 400), "each is sent once and stored once");
    for (at, (answer, (_, (knobs, status, whole, says)))) in answers.iter().zip(&asks).enumerate() {
        let row = &rows[&at.to_string()];
        assert_eq!((answer.status(), answer.complete), (*status, *whole), "{knobs}: {answer:?}");
        assert_eq!((&*text(row, "/error_type"), &row["status"]), (*says, &(*status).into()), "{knobs}: {row}");
        assert_eq!(answer.header(REQUEST_ID), Some(&*text(row, "/request_id")), "{knobs}");
    }
    takes_exactly(&gateway, &key, 400).await;
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_meanwhile_is_not_a_fault() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("stale"));
    let get = Ask::get("/openai/v1/models").bearer(&key.secret);
    for _ in 0..5 {
        gateway.client().send(&get.clone().sim("fin=1000000")).await.expect(200);
        gateway.simulator.wait_for_connections_open(0).await.unwrap();
        // No connection of this one is left for the next round.
        gateway.client().send(&get.clone().sim("close")).await.expect(200);
    }
}

#[tokio::test]
async fn mixed_calls_in_parallel_each_get_their_own_answer() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("mixed"));
    let asks: Vec<(Ask, u16)> = (0..200)
        .map(|at| match at % 4 {
            0 => (Ask::chat(CHAT, "gpt-5.4-mini", "a").bearer(&key.secret), 200),
            1 => (stream(&key), 200),
            2 => (Ask::get("/gw/me").bearer(&key.secret), 200),
            _ => (Ask::chat("/nobody/v1/chat/completions", "m", "a").bearer(&key.secret), 404),
        })
        .collect();
    let client = &gateway.client();
    let answers = join_all(asks.iter().map(|(ask, _)| client.send(ask))).await;
    for (answer, (ask, status)) in answers.iter().zip(&asks) {
        assert_eq!((answer.status(), answer.complete), (*status, true), "{ask:?}");
    }
    let ids: HashSet<_> = answers.iter().filter_map(|answer| answer.header(REQUEST_ID)).collect();
    assert_eq!(ids.len(), 200, "each answer has an id of its own");
}
