//! `reprice`, while the gateway runs: what callers see afterwards, and that it happens once.

use crate::support::{
    gateway::{Gateway, Grant, Options},
    http::Ask,
    simulator::Reply,
};
use serde_json::{Value, json};
use std::{fs, process::Output};

const CHAT: &str = "/openai/v1/chat/completions";

fn book(version: &str, prices: &str) -> String {
    format!("version: {version}\nprices:\n{prices}")
}

const DEAR: &str = "  - provider: openai
    model: gpt-5.4
    per_million: {input: 25, output: 150}
    variants: [{service_tier: flex, per_million: {input: 12, output: 75}}]
";
const RIGHT: &str = "  - provider: openai
    model: gpt-5.4
    per_million: {input: 2, cached_input: 1, output: 15}
    variants: [{service_tier: flex, per_million: {input: 1, output: 7}}]
  - {provider: openai, model: gpt-99, per_million: {input: 100, output: 100}}
";

/// An answer with usage, from a tier.
fn reply(model: &str, tier: &str, input: u64, output: u64) -> Reply {
    let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output});
    let message = json!({"role": "assistant", "content": "hi"});
    let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
    let answer = json!({"id": "c", "object": "chat.completion", "model": model, "service_tier": tier,
        "choices": choices, "usage": usage});
    Reply::json(200, answer.to_string())
}

fn reprice(gateway: &Gateway, arguments: &[&str]) -> Output {
    let config = gateway.config().display().to_string();
    let arguments = [&["reprice", "--config", &config], arguments].concat();
    gateway.run(&arguments.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

fn repriced(gateway: &Gateway, arguments: &[&str]) -> Value {
    let output = reprice(gateway, &[&["--since", "1h", "--until", "0m", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn figures(said: &Value) -> [String; 5] {
    let names = ["exchanges", "corrected", "without_price", "cost_usd_before", "cost_usd_after"];
    names.map(|name| said[name].as_str().map_or_else(|| said[name].to_string(), str::to_owned))
}

#[tokio::test]
async fn a_span_is_corrected_once_and_every_figure_follows() {
    let gateway = Gateway::start(Options::default().prices_yaml(&book("v1", DEAR)));
    let key = gateway.issue(&Grant::all("corrections")).secret;
    for (name, reply) in [
        ("plain", reply("gpt-5.4", "default", 1_000, 100)),
        ("flex", reply("gpt-5.4", "flex", 1_000, 100)),
        ("new", reply("gpt-99", "default", 1_000, 100)),
        ("none", reply("gpt-100", "default", 1_000, 100)),
    ] {
        gateway.simulator.name(name, reply);
        let ask = Ask::chat(CHAT, "gpt-5.4-alias", "hi").bearer(&key).sim(&format!("reply={name}"));
        gateway.client().send(&ask).await.expect(200);
    }
    // 0.025 + 0.015 and 0.012 + 0.0075
    let before = gateway.stats("", &key, |stats| stats["totals"]["requests"] == 4).await;
    let figure = |stats: &Value, name: &str| stats["totals"][name].clone();
    assert_eq!((figure(&before, "cost_usd"), figure(&before, "unpriced_requests")), (json!("0.0595"), json!(2)));

    fs::write(gateway.config().join("prices.yaml"), book("v2", RIGHT)).unwrap();
    let dry = repriced(&gateway, &["--dry-run"]);
    // 0.002 + 0.0015, 0.001 + 0.0007, 0.1 + 0.01
    assert_eq!(figures(&dry), ["4", "3", "1", "0.0595", "0.1152"]);
    assert_eq!(gateway.stats("", &key, |_| true).await["totals"], before["totals"], "a dry run changes nothing");
    let narrow = repriced(&gateway, &["--model", "gpt-5*", "--provider", "openai"]);
    assert_eq!(figures(&narrow), ["2", "2", "0", "0.0595", "0.0052"]);
    let rest = repriced(&gateway, &[]);
    assert_eq!(figures(&rest), ["4", "1", "1", "0.0052", "0.1152"]);
    let again = repriced(&gateway, &[]);
    assert_eq!(figures(&again), ["4", "0", "1", "0.1152", "0.1152"]);

    let after = gateway.stats("", &key, |_| true).await;
    let expected = [
        ("requests", json!(4)),
        ("unpriced_requests", json!(1)),
        ("cost_usd", json!("0.1152")),
        ("input_tokens", json!(4_000)),
    ];
    for (name, value) in expected {
        assert_eq!(figure(&after, name), value, "{name}");
    }
    assert_eq!(after["totals"]["latency_ms"], before["totals"]["latency_ms"]);
    let records = gateway.usage(4, &key).await;
    assert_eq!(records.len(), 4, "a correction is no record of its own");
    let seen: Vec<_> = records.iter().map(seen).collect();
    let expected = [
        ("", "0", json!({}), vec![]),
        ("v2/openai/gpt-99", "0.11", json!({"input": "0.1", "output": "0.01"}), vec!["reprice 0.11"]),
        ("v2/openai/gpt-5.4#flex", "0.0017", json!({"input": "0.001", "output": "0.0007"}), vec!["reprice -0.0178"]),
        ("v2/openai/gpt-5.4", "0.0035", json!({"input": "0.002", "output": "0.0015"}), vec!["reprice -0.0365"]),
    ];
    let expected = expected.map(|(version, cost, parts, adjustments)| {
        (version.to_owned(), cost.to_owned(), parts, adjustments.into_iter().map(str::to_owned).collect::<Vec<_>>())
    });
    assert_eq!(seen, expected);
}

/// Price version, cost, breakdown and adjustments of a record.
fn seen(record: &Value) -> (String, String, Value, Vec<String>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let adjustments = record["adjustments"].as_array().unwrap().iter();
    let adjustments = adjustments.map(|one| format!("{} {}", text(&one["reason"]), text(&one["delta_usd"]))).collect();
    (text(&record["price_version"]), text(&record["cost_usd"]), record["cost_breakdown"].clone(), adjustments)
}

#[tokio::test]
async fn it_says_what_it_did_and_what_was_wrong_with_the_question() {
    let gateway = Gateway::start(Options::default().prices_yaml(&book("v1", DEAR)));
    let output = reprice(&gateway, &["--since", "2026-01-01", "--until", "2026-01-02"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.starts_with("0 exchanges from 2026-01-01T00:00:00.000Z to 2026-01-02T00:00:00.000Z\n"), "{told}");
    for (arguments, says) in [
        (&["--since", "1h"][..], "--until"),
        (&["--since", "soon", "--until", "0m"], "--since: neither RFC 3339"),
        (&["--since", "1h", "--until", "2h"], "--since: must lie before"),
    ] {
        let output = reprice(&gateway, arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
    fs::write(gateway.config().join("prices.yaml"), book("v2", "  - {provider: x}\n")).unwrap();
    assert_eq!(reprice(&gateway, &["--since", "1h", "--until", "0m"]).status.code(), Some(2), "a bad book");
}
