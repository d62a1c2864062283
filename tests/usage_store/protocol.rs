//! Statements and answers, through the official client.

use crate::harness::Store;
use clickhouse::{Client, Compression, Row, error::Error};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
struct Event {
    id: u64,
    at: i64,
    model: String,
    streamed: bool,
    cost: i64,
    ttft: Option<u32>,
    tags: Vec<(String, String)>,
    request: [u8; 26],
}

/// Rows whose binary form is full of line breaks, quotes and zero bytes.
fn event(id: u64) -> Event {
    Event {
        id,
        at: 1_790_000_000_000 + i64::try_from(id).unwrap(),
        model: format!("m{}\n'\\\t\0", id % 7),
        streamed: id.is_multiple_of(2),
        cost: 0x0a0a_0a0a,
        ttft: id.is_multiple_of(3).then_some(10),
        tags: vec![("feature".into(), format!("f{}\n'", id % 5))],
        request: *b"01ARZ3NDEKTSV4RRFFQ69G5FAV",
    }
}

const TABLE: &str = "CREATE TABLE events (id UInt64, at DateTime64(3, 'UTC'), model LowCardinality(String), streamed Bool, \
    cost Int64, ttft Nullable(UInt32), tags Map(LowCardinality(String), String), request FixedString(26), \
    feature String MATERIALIZED tags['feature']) ENGINE = MergeTree ORDER BY id \
    SETTINGS non_replicated_deduplication_window = 100, fsync_after_insert = 1, fsync_part_directory = 1";

async fn insert(client: &Client, rows: u64, token: &str) -> Result<(), Error> {
    let mut insert = client.insert::<Event>("events").await?.with_setting("insert_deduplication_token", token);
    for id in 0..rows {
        insert.write(&event(id)).await?;
    }
    insert.end().await
}

async fn count(client: &Client) -> u64 {
    client.query("SELECT count() FROM events").fetch_one().await.unwrap()
}

fn code(error: &Error) -> String {
    let text = error.to_string();
    text.split("Code: ").nth(1).and_then(|rest| rest.split('.').next()).unwrap_or(&text).to_owned()
}

#[tokio::test]
async fn rows_go_there_and_back_plain_and_compressed_and_a_token_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(folder.path());
    for compression in [Compression::None, Compression::Lz4] {
        let client = store.client().with_compression(compression);
        client.query("DROP TABLE IF EXISTS events").execute().await.unwrap();
        client.query(TABLE).execute().await.unwrap();
        insert(&client, 1000, "a").await.unwrap();
        insert(&client, 1000, "a").await.unwrap();
        assert_eq!(count(&client).await, 1000, "the same token twice counts once");
        insert(&client, 1000, "b").await.unwrap();
        assert_eq!(count(&client).await, 2000, "other token, same rows");
        insert(&client.clone().with_validation(false), 10, "c").await.unwrap();
        let rows: Vec<Event> =
            client.query("SELECT ?fields FROM events ORDER BY id, at LIMIT 1 BY id").fetch_all().await.unwrap();
        assert_eq!(rows, (0..1000).map(event).collect::<Vec<_>>());
        let by_feature: Vec<(String, u64)> = client
            .query("SELECT feature, count() FROM events GROUP BY feature ORDER BY feature")
            .fetch_all()
            .await
            .unwrap();
        assert_eq!(by_feature.len(), 5);
    }
}

#[tokio::test]
async fn parameters_settings_and_formats_are_those_of_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(folder.path());
    let client = store.client();
    let text = "a'b\\c\td\ne`\"";
    assert_eq!(client.query("SELECT {x:String}").param("x", text).fetch_one::<String>().await.unwrap(), text);
    assert_eq!(client.query("SELECT ?").bind(text).fetch_one::<String>().await.unwrap(), text);
    let sum = client.query("SELECT arraySum({n:Array(UInt32)})").param("n", vec![1, 2, 3]).fetch_one::<u64>().await;
    assert_eq!(sum.unwrap(), 6);
    let table = client.query("SELECT count() FROM system.{t:Identifier}").param("t", "one").fetch_one::<u64>().await;
    assert_eq!(table.unwrap(), 1);
    let limited = client.query("SELECT number FROM numbers(10)").with_setting("limit", "2").fetch_all::<u64>().await;
    assert_eq!(limited.unwrap(), [0, 1]);
    let mut lines = client.query("SELECT 1 AS a").fetch_bytes("JSONEachRow").unwrap();
    assert_eq!(lines.collect().await.unwrap(), "{\"a\":1}\n");
    client.query("CREATE DATABASE other").execute().await.unwrap();
    let current = client.clone().with_database("other").query("SELECT currentDatabase()").fetch_one::<String>().await;
    assert_eq!(current.unwrap(), "other");
}

#[tokio::test]
async fn errors_have_a_servers_codes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(folder.path());
    let client = store.client();
    for (sql, expected) in [
        ("SELECT nope", "47"),
        ("SELECT 1 FROM nope", "60"),
        ("SELEC 1", "62"),
        ("SELECT 1; SELECT 2", "62"),
        ("1 + 1", "62"),
        ("SELECT 1 SETTINGS nope_setting = 1", "115"),
        ("SELECT 1 INTO OUTFILE '/tmp/out'", "358"),
        ("SELECT sleep(3) SETTINGS max_execution_time = 0.2", "159"),
        ("SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 10000000", "241"),
    ] {
        let error = client.query(sql).execute().await.unwrap_err();
        assert_eq!(code(&error), expected, "{sql}: {error}");
    }
    for (name, value, expected) in [("nope_setting", "1", "115"), ("max_threads", "many", "27"), ("a-b", "1", "115")] {
        let error = client.query("SELECT 1").with_setting(name, value).execute().await.unwrap_err();
        assert_eq!(code(&error), expected, "{name}: {error}");
    }
    let error = client.clone().with_database("nope").query("SELECT 1").execute().await.unwrap_err();
    assert_eq!(code(&error), "81");
}

#[tokio::test]
async fn an_insert_that_breaks_off_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(folder.path());
    let client = store.client();
    client.query(TABLE).execute().await.unwrap();
    let mut broken = client.insert::<Event>("events").await.unwrap();
    for id in 0..5000 {
        broken.write(&event(id)).await.unwrap();
    }
    drop(broken);
    insert(&client, 1, "after").await.unwrap();
    assert_eq!(count(&client).await, 1);
}
