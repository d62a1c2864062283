//! Answers whose callers go away: cancelled at once and estimated, or, where the provider's settings say so, read to their end for
//! the provider's own figures, within bounds.
#![cfg(test)]

pub mod support;

use serde_json::Value;
use support::{
    gateway::{Gateway, Grant, Key, Metrics, Options},
    http::{AnswerReader, Ask, Connection},
};

const CHAT: &str = "/openai/v1/chat/completions";

/// A gateway whose `openai` has that policy.
fn gateway(policy: &str, options: Options) -> (Gateway, Key) {
    let shipped = include_str!("../conf/providers.yaml");
    let line = "\n  openai:\n    upstream:";
    assert_eq!(shipped.matches(line).count(), 1);
    let providers = shipped.replace(line, &format!("\n  openai:\n    after_caller_leaves: {policy}\n    upstream:"));
    let gateway = Gateway::start(options.providers_yaml(&providers));
    let key = gateway.issue(&Grant::all("drain"));
    (gateway, key)
}

fn ask(key: &Key, knobs: &str) -> Ask {
    let body = serde_json::json!({
        "model": "gpt-5.4-mini",
        "stream": true,
        "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "a"}],
    });
    Ask::post(CHAT, &body).bearer(&key.secret).sim(knobs)
}

/// Sends a stream and reads its first bytes.
async fn begin(gateway: &Gateway, ask: &Ask) -> Connection {
    let mut connection = gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let mut reader = AnswerReader::new("POST");
    connection.answer_until(&mut reader, |answer| !answer.body.is_empty()).await;
    assert_eq!(reader.so_far().status(), 200);
    connection
}

/// The only row, once it is stored.
async fn row(gateway: &Gateway) -> Value {
    gateway.wait_for_metrics("one event", |metrics| metrics.total("gateway_usage_events_total") >= 1.0).await;
    let rows = gateway.rows().await;
    assert_eq!(rows.count(), 1);
    rows.iter().next().cloned().unwrap_or_default()
}

fn drains(metrics: &Metrics, outcome: &str) -> bool {
    metrics.text().contains(&format!("gateway_drains_total{{outcome=\"{outcome}\"}} 1\n"))
}

/// What the provider says of the whole answer.
async fn whole(knobs: &str) -> Value {
    let (gateway, key) = gateway("{policy: cancel}", Options::default());
    gateway.client().send(&ask(&key, knobs)).await.expect(200);
    let row = row(&gateway).await;
    assert_eq!((&row["usage_source"], &row["error_type"]), (&"provider".into(), &"".into()));
    row
}

fn assert_figures(row: &Value, whole: &Value) {
    for figure in ["input_tokens", "output_tokens", "cost_nanousd", "usage_source", "bytes_out", "price_version"] {
        assert_eq!(row[figure], whole[figure], "{figure}");
    }
}

#[tokio::test]
async fn a_drained_answer_has_the_providers_own_figures_however_its_caller_went() {
    let knobs = "words=40; chunk-delay=20ms";
    let whole = whole(knobs).await;
    for resets in [false, true] {
        let (gateway, key) = gateway("{policy: drain}", Options::default());
        let connection = begin(&gateway, &ask(&key, knobs)).await;
        if resets {
            connection.reset();
        } else {
            drop(connection);
        }
        let row = row(&gateway).await;
        assert_figures(&row, &whole);
        assert_eq!((&row["error_type"], &row["status"]), (&"caller_gone".into(), &200.into()), "resets: {resets}");
        assert!(drains(&gateway.metrics(), "whole"), "{}", gateway.metrics().text());
    }
}

#[tokio::test]
async fn an_answer_that_is_waited_for_is_drained_too() {
    let (gateway, key) = gateway("{policy: drain}", Options::default());
    let ask = Ask::chat(CHAT, "gpt-5.4-mini", "a").bearer(&key.secret).sim("interim=103; delay=500ms");
    let mut connection = gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let mut reader = AnswerReader::new("POST");
    connection.answer_until(&mut reader, |answer| !answer.interim.is_empty()).await;
    drop(connection);
    let row = row(&gateway).await;
    assert_eq!((&row["usage_source"], &row["error_type"]), (&"provider".into(), &"caller_gone".into()));
    assert!(drains(&gateway.metrics(), "whole"));
}

#[tokio::test]
async fn without_the_policy_the_provider_is_cancelled_and_the_answer_estimated() {
    let (gateway, key) = gateway("{policy: cancel}", Options::default());
    drop(begin(&gateway, &ask(&key, "words=40; stall=600")).await);
    let row = row(&gateway).await;
    assert_eq!((&row["usage_source"], &row["error_type"]), (&"estimated".into(), &"caller_gone".into()));
    gateway.simulator.wait_for_connections_open(0).await.unwrap();
    assert!(!gateway.metrics().text().contains("gateway_drains_total{"));
}

#[tokio::test]
async fn a_drain_ends_at_its_bounds_of_time_and_bytes() {
    for (policy, knobs) in [
        ("{policy: drain, seconds_max: 1}", "words=40; stall=600"),
        ("{policy: drain, bytes_max: 1024}", "words=4000; chunk-delay=1ms"),
    ] {
        let (gateway, key) = gateway(policy, Options::default());
        drop(begin(&gateway, &ask(&key, knobs)).await);
        let row = row(&gateway).await;
        assert_eq!(
            (&row["usage_source"], &row["error_type"]),
            (&"estimated".into(), &"caller_gone".into()),
            "{policy}"
        );
        assert!(drains(&gateway.metrics(), "bound"), "{policy}: {}", gateway.metrics().text());
        gateway.simulator.wait_for_connections_open(0).await.unwrap();
    }
}

#[tokio::test]
async fn more_drains_than_allowed_are_cancelled() {
    let options = Options::default().set("/requests/drains_max", 1.into());
    let (gateway, key) = gateway("{policy: drain, seconds_max: 2}", options);
    let ask = ask(&key, "words=40; stall=600");
    let (first, second) = (begin(&gateway, &ask).await, begin(&gateway, &ask).await);
    drop(first);
    drop(second);
    gateway.wait_for_metrics("one refused", |metrics| drains(metrics, "refused")).await;
    gateway.wait_for_metrics("the other at its bound", |metrics| drains(metrics, "bound")).await;
    gateway.simulator.wait_for_connections_open(0).await.unwrap();
}

#[tokio::test]
async fn a_drained_exchange_holds_its_permit_and_gives_it_back() {
    let (gateway, _) = gateway("{policy: drain, seconds_max: 2}", Options::default());
    let mut grant = Grant::all("permits");
    grant.arguments = vec!["--concurrency".to_owned(), "1".to_owned()];
    let key = gateway.issue(&grant);
    drop(begin(&gateway, &ask(&key, "words=40; stall=600")).await);
    gateway.client().send(&ask(&key, "words=1")).await.expect(429);
    gateway.wait_for_metrics("the drain's end", |metrics| drains(metrics, "bound")).await;
    gateway.wait_for_metrics("none open", |metrics| metrics.total("gateway_exchanges_open") == 0.0).await;
    gateway.client().send(&ask(&key, "words=1")).await.expect(200);
}
