//! Many callers at once, many of whom go away: nothing is lost, doubled, mixed up or left open.
#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

mod calls;
mod churn;
mod cuts;
mod limits;
mod readers;
mod seed;
mod uploads;

use support::{
    gateway::{Gateway, Grant, Key, names},
    http::Ask,
};

const CHAT: &str = "/openai/v1/chat/completions";
const MODEL: &str = "gpt-5.4-mini";
/// What every answer carries.
const REQUEST_ID: &str = "x-gateway-request-id";

/// A key with these further arguments of `key issue`.
fn key(gateway: &Gateway, organization: &str, arguments: &[&str]) -> Key {
    let mut grant = Grant::all(organization);
    grant.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    gateway.issue(&grant)
}

/// A streamed chat.
fn stream(key: &Key) -> Ask {
    let messages = serde_json::json!([{"role": "user", "content": "a"}]);
    Ask::post(CHAT, &serde_json::json!({"model": MODEL, "stream": true, "messages": messages})).bearer(&key.secret)
}

/// Waits until no exchange is open.
async fn quiet(gateway: &Gateway) {
    gateway.wait_for_metrics("no exchange is open", |metrics| metrics.total(names::EXCHANGES_OPEN) == 0.0).await;
}
