//! Other people's tools on the embedded store's port: ClickHouse's official Python and JavaScript clients, and what Grafana's
//! plugin says over HTTP.

use crate::{
    ground::{Ground, on_server},
    support::{
        gateway::{Gateway, Options},
        wait::wait_until,
    },
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

const PASSWORD: &str = "open-sesame";

/// The port that the store's log names.
async fn port(gateway: &Gateway) -> u16 {
    let log = gateway.usage_folder().join("usage-store.log");
    wait_until("the store says its port", async || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let says = |line: &Value| line["fields"]["message"] == "usage store listens for ClickHouse tools";
        let address = lines.filter(says).find_map(|line| line["fields"]["address"].as_str().map(str::to_owned));
        address.and_then(|address| address.rsplit(':').next()?.parse().ok()).ok_or(text)
    })
    .await
}

/// A gateway with the port open and rows in its store; `None` on a server, which has its own port.
async fn ground() -> Option<(Ground, u16)> {
    if on_server() {
        return None;
    }
    let options = Options::default()
        .set("/usage/embedded/loopback_address", json!("127.0.0.1:0"))
        .set("/usage/embedded/loopback_password", json!("env:STORE_PASSWORD"))
        .env("STORE_PASSWORD", PASSWORD);
    let ground = Ground::start(options);
    let row = |model: &str, cost: i64| json!({"time": "2026-10-01 10:00:00", "organization_id": "org", "model_served": model, "cost_nanousd": cost});
    ground.insert(&[row("a", 1_500_000_000), row("a", 1), row("it's", 20)]).await;
    let port = port(&ground.gateway).await;
    Some((ground, port))
}

async fn run(mut command: Command, port: u16) -> Value {
    command.arg(port.to_string()).env("STORE_PASSWORD", PASSWORD);
    let run =
        tokio::task::spawn_blocking(move || command.output().expect("the test clients are missing: run `make setup`"));
    let output = run.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What both clients must have seen.
fn check(seen: &Value, modes: &[&str]) {
    let rows = json!([["a", 2, "1.500000001"], ["it's", 1, "0.00000002"]]);
    for mode in modes {
        assert_eq!(seen[format!("rows_{mode}")], rows, "{seen}");
    }
    assert_eq!(
        (&seen["ping"], &seen["with_parameter"], &seen["streamed"]),
        (&json!(true), &json!(1), &json!(100_000)),
        "{seen}"
    );
    let says = |name: &str, text: &str| {
        assert!(seen[name].as_str().unwrap().contains(text), "{name}: {seen}");
    };
    says("wrong_password", "516");
    says("write", "READONLY");
    says("insert", "READONLY");
}

#[tokio::test]
async fn clickhouse_connect_reads_the_views_and_writes_nothing() {
    let Some((_ground, port)) = ground().await else { return };
    let mut command = Command::new(".venv/bin/python");
    command.arg("tests/clients/python/store_tool.py");
    let seen = run(command, port).await;
    check(&seen, &["False", "lz4", "zstd"]);
    assert_eq!(seen["csv"], "\"one\",\"two\"\n1,\"a,b\"\n");
    assert_eq!(seen["tables"], json!(["usage_costs_daily", "usage_costs_monthly"]));
}

#[tokio::test]
async fn the_javascript_client_reads_the_views_and_writes_nothing() {
    let Some((_ground, port)) = ground().await else { return };
    let mut command = Command::new("node");
    command.arg("tests/clients/node/store_tool.mjs");
    let seen = run(command, port).await;
    check(&seen, &["false", "true"]);
    let fault = seen["unknown_column"].as_str().unwrap();
    assert!(fault.starts_with("47 UNKNOWN_IDENTIFIER"), "{fault}");
}

/// One request as it stands, and the whole answer.
fn exchange(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_grafanas_plugin_asks_over_http_is_answered() {
    let Some((_ground, port)) = ground().await else { return };
    let ask = |password: &str, parameters: &str, sql: &str| {
        let head = format!(
            "POST /?{parameters} HTTP/1.1\r\nHost: x\r\nX-ClickHouse-User: default\r\nX-ClickHouse-Key: {password}\r\n\
             User-Agent: grafana-clickhouse-datasource clickhouse-go\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            sql.len()
        );
        exchange(port, &(head + sql))
    };
    let parameters = "default_format=Native&database=sociaro&client_protocol_version=54485&max_execution_time=60";
    let greeting = ask(PASSWORD, parameters, "SELECT displayName(), version(), revision(), timezone()");
    assert!(greeting.starts_with("HTTP/1.1 200") && greeting.contains("UTC"), "{greeting}");
    for (sql, says) in [
        ("SELECT 1", "200"),
        ("SELECT name FROM system.databases", "sociaro"),
        ("SELECT name FROM system.tables WHERE database = 'sociaro'", "usage_costs_daily"),
        ("DESC TABLE \"sociaro\".\"usage_costs_daily\"", "cost_usd"),
        (
            "SELECT toStartOfInterval(day, INTERVAL 1 day) AS time, sum(cost_usd) FROM sociaro.usage_costs_daily WHERE day >= toDate(1790000000) GROUP BY time ORDER BY time",
            "200",
        ),
        ("DROP TABLE sociaro.usage_daily", "READONLY"),
    ] {
        let answer = ask(PASSWORD, parameters, sql);
        assert!(answer.contains(says), "{sql}: {answer}");
    }
    let refused = ask("wrong", parameters, "SELECT 1");
    assert!(
        refused.starts_with("HTTP/1.1 403")
            && refused.to_ascii_lowercase().contains("x-clickhouse-exception-code: 516"),
        "{refused}"
    );
}
