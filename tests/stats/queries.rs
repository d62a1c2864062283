//! The analysts' queries of `schema/queries/`, each with figures that were worked out by hand.

use crate::{ground::Ground, support::gateway::Options};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

const PRICES: &str =
    "version: v7\nprices:\n  - {provider: openai, model: a, per_million: {input: 2, cached_input: 0.5, output: 10}}\n";

/// What all queries are asked with; each takes what it needs.
const PARAMETERS: [(&str, &str); 7] = [
    ("since", "2026-10-01"),
    ("until", "2026-11-01"),
    ("today", "2026-10-10"),
    ("tag", "team"),
    ("objective", "0.9"),
    ("provider", "anthropic"),
    ("times", "3"),
];

/// A month of two organizations.
fn rows() -> Vec<Value> {
    let red = json!({"team": "red", "feature": "chat"});
    let blue = json!({"team": "blue", "feature": "search"});
    let priced = "v7/openai/a";
    let of_acme = |time: &str, more: Value| {
        let row = json!({"organization_id": "acme", "key_id": "k1", "model_served": "a", "price_version": priced, "tags": red});
        with(&row, time, &more)
    };
    let of_globex = |time: &str, more: Value| {
        let row = json!({"organization_id": "globex", "key_id": "k2", "provider": "anthropic", "endpoint": "messages",
            "model_served": "b"});
        with(&row, time, &more)
    };
    vec![
        of_acme(
            "01 10:00",
            json!({"input_tokens": 1_000_000, "cached_input_tokens": 1_000_000, "output_tokens": 100_000,
            "cost_nanousd": 3_000_000_000_i64, "ttft_ms": 10}),
        ),
        of_acme(
            "02 10:00",
            json!({"cached_input_tokens": 1_000_000, "output_tokens": 100_000, "cost_nanousd": 500_000_000,
            "latency_ms": 300, "ttft_ms": 30, "price_version": "v7/openai/a#flex"}),
        ),
        of_globex(
            "02 11:00",
            json!({"input_tokens": 10, "output_tokens": 5, "cost_nanousd": 1_000_000_000,
            "latency_ms": 1000, "usage_source": "estimated", "tags": blue}),
        ),
        of_globex(
            "05 10:00",
            json!({"status": 503, "error_type": "provider_error", "usage_source": "none", "price_version": ""}),
        ),
        of_globex(
            "05 11:00",
            json!({"status": 429, "error_type": "rate_limited", "usage_source": "none", "price_version": ""}),
        ),
        of_acme(
            "06 09:00",
            json!({"key_id": "k3", "model_served": "new", "input_tokens": 7, "output_tokens": 3,
            "price_version": "", "tags": {}}),
        ),
        of_acme("09 10:00", json!({"input_tokens": 100, "output_tokens": 10, "cost_nanousd": 8_000_000_000_i64})),
        of_globex(
            "02 11:00",
            json!({"kind": "adjustment", "reason": "reprice", "recorded_at": "2026-10-20 00:00:00",
            "cost_nanousd": -250_000_000, "usage_source": "estimated", "tags": blue}),
        ),
        // what is for trying out counts nowhere where costs are told apart by purpose
        of_acme("31 23:59", json!({"environment": "test", "key_id": "k1", "model_served": "b", "tags": {}})),
    ]
}

fn with(row: &Value, time: &str, more: &Value) -> Value {
    let mut row = row.clone();
    row["time"] = json!(format!("2026-10-{time}:00"));
    for (name, value) in more.as_object().unwrap() {
        row[name] = value.clone();
    }
    row
}

/// The name of each query and its rows.
const EXPECTED: [(&str, &[&str]); 14] = [
    ("adjustments_by_reason", &["2026-10-01 2026-10-20 reprice anthropic 1 -0.25"]),
    ("cache_savings", &["openai a 1000100 2000000 66.7 3"]),
    (
        "cost_by_tag_and_month",
        &[
            "2026-10-01 acme red 3 11.5",
            "2026-10-01 globex blue 1 0.75",
            "2026-10-01 acme  1 0",
            "2026-10-01 globex  2 0",
        ],
    ),
    ("cost_per_request", &["chat a 3 66670 11.5 3.833333333", "search b 1 5 0.75 0.75", " b 2 0 0 0", " new 1 3 0 0"]),
    ("cost_spikes", &["2026-10-09 acme a 8 0.071429"]),
    ("error_budget", &["anthropic 2 1 0.5 -400", "openai 4 0 1 100"]),
    ("estimated_share", &["anthropic messages 1 1 0.75 0.75 100", "openai chat.completions 5 0 0 11.5 0"]),
    (
        "keys_last_seen",
        &[
            "globex k2 gw_live_01234567 2026-10-05 11:00:00.000 3 1",
            "acme k3 gw_live_01234567 2026-10-06 09:00:00.000 1 0",
            "acme k1 gw_live_01234567 2026-10-31 23:59:00.000 4 0",
        ],
    ),
    (
        "latency_by_model",
        &[
            "anthropic b 1 1000 1000 nan nan",
            "openai a 3 100 300 10 30",
            "openai b 1 100 100 nan nan",
            "openai new 1 100 100 nan nan",
        ],
    ),
    ("month_forecast", &["acme 11.5 1.142857 22 36.642854", "globex 0.75 0 22 0.75"]),
    ("provider_reconciliation", &["2026-10-02 b 1 1 10 0 0 5 1 -0.25 0.75"]),
    ("refusals", &["globex rate_limited 429 1 2026-10-05"]),
    ("top_spenders", &["acme k1 4 11.5 93.9", "globex k2 3 0.75 6.1", "acme k3 1 0 0"]),
    ("unpriced_models", &["openai new 1 7 3 2026-10-06 2026-10-06"]),
];

#[tokio::test]
async fn each_query_of_the_analysts_answers_its_question() {
    let ground = Ground::start(Options::default().prices_yaml(PRICES));
    ground.insert(&rows()).await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/queries");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<String> = files.map(|name| name.replace(".sql", "")).collect();
    assert_eq!(names, EXPECTED.iter().map(|(name, _)| (*name).to_owned()).collect(), "each query has its figures here");
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/analysts.md")).unwrap();
    let mut wrong = Vec::new();
    for (name, expected) in EXPECTED {
        let sql = fs::read_to_string(format!("{folder}/{name}.sql")).unwrap();
        assert!(sql.starts_with("-- ") && page.contains(&format!("| `{name}` |")), "{name} says what it answers");
        let sql = sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
        let tables = sql.split("FROM ").skip(1).filter_map(|rest| rest.split_whitespace().next());
        assert!(
            tables.clone().all(|table| table == "(" || table == "prices" || table.starts_with("usage_")),
            "{name} reads views"
        );
        let mut query = ground.client.query_raw(&sql);
        for (parameter, value) in PARAMETERS.iter().filter(|(parameter, _)| sql.contains(&format!("{{{parameter}:"))) {
            let value = if name == "cost_per_request" && *parameter == "tag" { "feature" } else { value };
            query = query.param(parameter, value);
        }
        let found = query.fetch_bytes("TSV").unwrap().collect().await;
        let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = String::from_utf8(found.to_vec()).unwrap().replace('\t', " ");
        let found: Vec<&str> = found.lines().collect();
        if found != expected {
            wrong.push(format!("{name}:\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
