//! Clients that others wrote: the official SDKs see the provider's own answers, and their calls show with exact cost.
#![cfg(test)]

pub mod support;

use serde_json::{Value, json};
use std::process::Command;
use support::gateway::{Gateway, Grant, Options};

#[tokio::test]
async fn official_sdks_work_as_they_are_and_their_calls_are_priced_exactly() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("official-sdks"));
    let (base, secret) = (format!("http://{}", gateway.address()), key.secret.clone());
    let calls = tokio::task::spawn_blocking(move || {
        Command::new(".venv/bin/python")
            .args(["tests/clients/python/sdk_calls.py", &base, &secret])
            .output()
            .expect("the test clients are missing: run `make setup`")
    });
    let output = calls.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let echo = answers.iter().filter(|answer| answer["text"] == "Echo: count these five words please").count();
    assert_eq!((answers.len(), echo), (8, 7), "{said}");

    let query = "group_by=provider,endpoint";
    let stats = gateway.stats(query, &key.secret, |stats| stats["totals"]["requests"] == 8).await;
    let cost = |provider: &str, endpoint: &str| {
        let rows = stats["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["provider"] == provider && row["endpoint"] == endpoint);
        row.map_or(Value::Null, |row| row["cost_usd"].clone())
    };
    // 2 × (5 × $2 + 6 × $10) and 2 × (5 × $0.75 + 6 × $4.5) for a million tokens; 5 × $0.02.
    assert_eq!(cost("anthropic", "messages"), json!("0.00014"));
    assert_eq!(cost("openai", "responses"), json!("0.0000615"));
    assert_eq!(cost("openai", "embeddings"), json!("0.0000001"));
}
