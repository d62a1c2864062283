//! A gateway whose prices make sums easy: a token of an answer costs a thousandth of a dollar, one of a prompt nothing.

use crate::support::{
    gateway::{Gateway, Grant, Key, Options, names},
    http::{Answer, Ask},
};
use serde_json::{Value, json};

pub const CHAT: &str = "/openai/v1/chat/completions";
pub const MODEL: &str = "gpt-5.4-mini";

const PRICES: &str = "
version: test
prices:
  - provider: openai
    model: gpt-5.4-mini
    per_million: {input: 0, output: 1000}
  - provider: openai
    model: gpt-5.4
    per_million: {input: 1000, output: 0}
  - provider: google
    model: gemini-3-flash
    per_million: {input: 0, output: 1000}
";

/// Thousandths of a dollar: what an answer of so many words costs.
pub fn usd(thousandths: u64) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Amounts as thousandths of a dollar, for sums; parts of a thousandth are cut.
pub fn thousandths(amount: &Value) -> u64 {
    let text = amount.as_str().unwrap_or_else(|| panic!("{amount} is no amount"));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part: String = format!("{part:0<3}").chars().take(3).collect();
    whole.parse::<u64>().unwrap() * 1000 + part.parse::<u64>().unwrap()
}

/// The options of such a gateway.
pub fn options() -> Options {
    Options::default().prices_yaml(PRICES).set("/budgets/save_interval_ms", json!(50))
}

/// A key of an organization.
pub fn key(gateway: &Gateway, organization: &str, arguments: &[&str]) -> Key {
    let mut grant = Grant::all(organization);
    grant.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    gateway.issue(&grant)
}

/// `org set-budget` with these arguments; gives what it printed.
pub fn set_budget(gateway: &Gateway, organization: &str, arguments: &[&str]) -> Value {
    let config = gateway.config().display().to_string();
    let head = ["org", "set-budget", "--json", "--config", &config, "--org", organization];
    let arguments: Vec<String> = head.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
    let output = gateway.run(&arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The only budget of the key's organization, once it is as a test wants it.
pub async fn budget(gateway: &Gateway, key: &Key, holds: impl Fn(&Value) -> bool) -> Value {
    let first = |value: &Value| value["budgets"][0].clone();
    let found = gateway.wait_for_json("/gw/budget", &key.secret, |value| holds(&first(value))).await;
    assert_eq!(found["budgets"].as_array().map(Vec::len), Some(1), "{found}");
    first(&found)
}

/// Waits until the running gateway knows of a limit.
pub async fn known(gateway: &Gateway, key: &Key, limit: &str) {
    budget(gateway, key, |budget| budget["limit"] == limit).await;
}

/// A streamed chat that may have an answer of so many words.
pub fn stream(key: &Key, max_tokens: usize) -> Ask {
    let body = json!({
        "model": MODEL,
        "stream": true,
        "stream_options": {"include_usage": true},
        "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": "a"}],
    });
    Ask::post(CHAT, &body).bearer(&key.secret)
}

/// Checks a refusal.
pub fn refused(answer: &Answer, says: &str) {
    assert_eq!(answer.status(), 402, "{}", answer.text());
    let value = answer.json();
    assert_eq!(value["error"]["type"], "budget_exceeded", "{value}");
    let message = value["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(says), "{message:?} lacks {says:?}");
}

/// Waits until no exchange is open and no money is set aside.
pub async fn quiet(gateway: &Gateway) {
    let done = |metrics: &crate::support::gateway::Metrics| {
        metrics.total(names::EXCHANGES_OPEN) == 0.0 && metrics.total("gateway_budget_holds") == 0.0
    };
    gateway.wait_for_metrics("nothing is open and nothing held", done).await;
}
