//! The harness keeps its own promises: a gateway starts with the shipped configuration, serves, is seen to settle, and
//! what must not happen is noticed.
#![cfg(test)]

pub mod support;

use serde_json::json;
use std::sync::Arc;
use support::{
    canaries::Canaries,
    gateway::{Gateway, Grant, Options, names},
    http::{Answer, Ask},
};

const CHAT: &str = "/openai/v1/chat/completions";

#[tokio::test]
async fn a_call_goes_through_and_shows_in_statistics() {
    let gateway = Gateway::shared();
    let key = gateway.issue(&Grant::all("harness-call"));
    let ask = Ask::chat(CHAT, "gpt-5.4-mini", "one two three").bearer(&key.secret);
    let answer = gateway.client().send(&ask).await.expect(200);
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Echo: one two three");
    let sent = gateway.simulator.matching(|request| request.path() == "/v1/chat/completions");
    assert_eq!(sent[0].header("authorization"), Some(&*format!("Bearer {}", gateway.credential("openai"))));
    let stats = gateway.stats("group_by=provider", &key.secret, |stats| stats["totals"]["requests"] == 1).await;
    let row = &stats["rows"][0];
    assert_eq!(
        (&row["provider"], &row["input_tokens"], &row["output_tokens"]),
        (&json!("openai"), &json!(3), &json!(4))
    );
}

#[tokio::test]
async fn an_extra_provider_needs_no_more_than_its_name() {
    let gateway = Gateway::start(Options::default().extra_provider("deepseek"));
    let key = gateway.issue(&Grant::all("harness-extra"));
    let ask = Ask::chat("/deepseek/v1/chat/completions", "deepseek-v4", "hello").bearer(&key.secret);
    gateway.client().send(&ask).await.expect(200);
}

#[tokio::test]
async fn settings_credentials_and_restarts_are_in_a_tests_hand() {
    let options = Options::default().set("/requests/body_bytes_max", json!(1024)).without_credential("anthropic");
    let mut gateway = Gateway::start(options);
    let key = gateway.bootstrap_key().to_owned();
    let large = Ask::chat(CHAT, "gpt-5.4", &"x".repeat(2000)).bearer(&key);
    gateway.client().send(&large).await.expect(413);
    let absent = Ask::post("/anthropic/v1/messages", &json!({"model": "m"})).bearer(&key);
    gateway.client().send(&absent).await.expect(404);
    gateway.restart();
    gateway.client().send(&Ask::get("/gw/me").bearer(&key)).await.expect(200);
    gateway.crash();
    gateway.client().send(&Ask::get("/gw/me").bearer(&key)).await.expect(200);
}

#[tokio::test]
async fn tests_share_a_gateway_while_they_run() {
    let (first, second) = (Gateway::shared(), Gateway::shared());
    assert!(Arc::ptr_eq(&first, &second));
    let metrics = first.wait_for_metrics("no exchange is open", |metrics| metrics.total(names::EXCHANGES_OPEN) == 0.0);
    assert!(metrics.await.text().contains(names::USAGE_EVENTS));
}

#[test]
fn secrets_out_of_place_are_found() {
    let key = format!("gw_live_{}", "0123456789abcdef".repeat(3));
    let canaries = Canaries::new(vec!["sk-credential".to_owned()]);
    canaries.caller_received(b"nothing here, and a caller may see its own gw_live_0123456789abcdef");
    canaries.logged("a key's prefix gw_live_01234567 may be logged");
    canaries.provider_received("a provider", b"authorization: Bearer sk-credential");
    assert_eq!(canaries.found(), Vec::<String>::new());
    canaries.caller_received(b"x-debug: sk-credential");
    canaries.logged(&format!("{{\"key\":\"{key}\"}}"));
    canaries.logged("sk-credential");
    canaries.provider_received("a provider", key.as_bytes());
    assert_eq!(canaries.found().len(), 4, "{:?}", canaries.found());
}

#[tokio::test]
async fn credentials_are_found_across_reads() {
    let simulator = support::simulator::Simulator::start(support::simulator::Options::default()).unwrap();
    let canaries = Arc::new(Canaries::new(vec!["sk-credential".to_owned()]));
    let client = support::http::Client::new(simulator.address(), Arc::clone(&canaries));
    let ask = Ask::chat("/v1/chat/completions", "m", "sk-credential").sim("chunk=1; chunk-delay=1ms");
    let answer: Answer = client.send(&ask).await.expect(200);
    assert!(answer.text().contains("sk-credential"));
    assert!(!canaries.found().is_empty());
}
