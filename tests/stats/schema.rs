//! The schema as `migrate` makes it and as it prints it; prices and views.

use crate::{
    ground::{Ground, on_server},
    support::gateway::Options,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn statements(script: &str) -> Vec<&str> {
    script.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()).collect()
}

#[tokio::test]
async fn the_printed_schema_makes_the_tables_that_migrate_makes() {
    let ground = Ground::start(Options::default().set("/usage/hot_tags", json!(["feature", "a.b-c"])));
    let database = ground.select("SELECT currentDatabase()").await[0][0].as_str().unwrap().to_owned();
    let script = ground.printed(&["migrate", "--print"]);
    let other = format!("{database}_printed");
    let renamed = script
        .replace(&format!("{database}."), &format!("{other}."))
        .replace(&format!("EXISTS {database}\n"), "")
        .replace(&format!("EXISTS {database};"), &format!("EXISTS {other};"));
    for statement in statements(&renamed) {
        ground.client.query_raw(statement).execute().await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let tables = async |database: &str| {
        let sql = format!(
            "SELECT name, replaceAll(create_table_query, '{database}.', '') FROM system.tables WHERE database = '{database}' ORDER BY name"
        );
        ground.select(&sql).await
    };
    let (made, printed) = (tables(&database).await, tables(&other).await);
    assert!(made.len() > 12, "{made:?}");
    assert_eq!(printed, made);
    let version = ground.select(&format!("SELECT max(version) FROM {other}.schema_version")).await;
    assert_eq!(version, ground.select("SELECT max(version) FROM schema_version").await);
}

#[tokio::test]
async fn each_table_and_column_says_what_it_holds() {
    let ground = Ground::start(Options::default());
    let silent = ground
        .select(
            "SELECT table, name FROM system.columns INNER JOIN system.tables AS t ON t.database = columns.database AND t.name = table \
             WHERE columns.database = currentDatabase() AND columns.comment = '' AND t.engine NOT IN ('View', 'MaterializedView')",
        )
        .await;
    assert_eq!(silent, Vec::<Value>::new());
    let tables = "SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = '' AND engine NOT LIKE '%View'";
    assert_eq!(ground.select(tables).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_clusters_schema_and_the_analysts_rights_are_what_clickhouse_can_read() {
    let ground = Ground::start(Options::default().set("/usage/hot_tags", json!(["feature"])));
    let script = ground.printed(&["migrate", "--print", "--mode", "cluster", "--cluster", "main"]);
    let analyst = ground.printed(&["migrate", "--print", "--analyst"]);
    let everywhere = ground.printed(&["migrate", "--print", "--analyst", "--cluster", "main"]);
    for statement in [&script, &analyst, &everywhere].into_iter().flat_map(|script| statements(script)) {
        if !statement.starts_with("INSERT") {
            let explain = format!("EXPLAIN AST {statement}");
            let parsed = ground.client.query_raw(&explain).fetch_bytes("TSV").unwrap().collect().await;
            parsed.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
    for statement in statements(&script) {
        assert!(statement.contains(" ON CLUSTER `main`") || statement.starts_with("INSERT"), "{statement}");
    }
    let counts = [
        "ReplicatedMergeTree('/clickhouse/tables/{shard}/",
        "ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/",
        "= Distributed('main', ",
    ]
    .map(|text| script.matches(text).count());
    assert_eq!(counts, [1, 2, 3], "events, hours and days on each shard, and a table that reads each");
    assert!(!script.contains("ENGINE = MergeTree") && !script.contains("ENGINE = AggregatingMergeTree"), "{script}");
    // every view, and nothing but views, is for the analyst
    let views =
        ground.select("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View'").await;
    let views: BTreeSet<String> = views.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect();
    let granted = analyst.lines().filter(|line| line.starts_with("GRANT SELECT ON") && line.contains("_analyst"));
    let granted: BTreeSet<String> = granted.map(|line| line.split(['.', ' ']).nth(4).unwrap().to_owned()).collect();
    assert_eq!(granted, views);
    let nameless = ground.command(&["migrate", "--print", "--mode", "cluster"]);
    assert_eq!(nameless.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nameless.stderr).contains("--cluster NAME"));
}

const PRICES: &str = "version: v7\nterms: {azure: {like: openai, times: 1.1}}\nprices:
  - provider: openai
    model: gpt-5
    from: 2026-01-01
    until: 2026-11-01
    per_million: {input: 2, cached_input: 0.125}
    per_unit: {search: 0.01}
    variants: [{service_tier: flex, input_tokens_above: 272000, per_million: {input: 1}}]
";

#[tokio::test]
async fn the_prices_behind_each_price_version_stand_beside_the_usage_once() {
    let ground = Ground::start(Options::default().prices_yaml(PRICES));
    ground.printed(&["migrate"]);
    let rows = ground
        .select(
            "SELECT price_version, provider, toString(valid_from), toString(valid_until), service_tier, toUInt32(input_tokens_above), \
             class, toString(usd), per FROM usage_prices ORDER BY provider DESC, service_tier, class",
        )
        .await;
    let row = |provider: &str, version: &str, tier: &str, above: u32, class: &str, usd: &str, per: u32| {
        json!([
            format!("v7/openai/gpt-5@2026-01-01{version}"),
            provider,
            "2026-01-01 00:00:00.000",
            "2026-11-01 00:00:00.000",
            tier,
            above,
            class,
            usd,
            per
        ])
    };
    let expected = [
        ("openai", "", ["0.125", "2", "0.01", "0.125", "1", "0.01"]),
        ("azure", "*1.1", ["0.1375", "2.2", "0.011", "0.1375", "1.1", "0.011"]),
    ];
    let expected: Vec<Value> = expected
        .iter()
        .flat_map(|(provider, version, usd)| {
            let tiers = [("", 0, &usd[..3]), ("flex", 272_000, &usd[3..])];
            tiers.into_iter().flat_map(move |(tier, above, usd)| {
                let classes = [("cached_input", 1_000_000), ("input", 1_000_000), ("searches", 1)];
                let rows = classes.into_iter().zip(usd);
                rows.map(move |((class, per), usd)| row(provider, version, tier, above, class, usd, per))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    assert_eq!(rows, expected);
    let stored = ground.select("SELECT toUInt32(count()) FROM price_rows").await;
    assert_eq!(stored, [json!([12])], "the same book again is not stored again");
}

#[tokio::test]
async fn usage_grows_old_by_the_configuration() {
    let ground = Ground::start(Options::default().set("/usage/keep_days", json!(37)));
    let sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine_full LIKE '%toIntervalDay(37)%' ORDER BY name";
    assert_eq!(ground.select(sql).await, [json!(["usage_events"]), json!(["usage_hourly"])]);
    assert!(on_server() || ground.gateway.usage_folder().exists());
}
