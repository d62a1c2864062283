//! `GET /gw/stats` over fixed rows of the past: series, rankings, totals, CSV, which tables answer, bad questions.

use crate::{ground::Ground, support::gateway::Options};
use serde_json::{Value, json};

/// Three days of one organization, with figures that can be added up by hand; and what belongs to others.
async fn october(ground: &Ground, organization: &str) {
    let row = |time: &str, model: &str, cost: i64, more: Value| {
        let mut row = json!({"time": format!("2026-10-{time}"), "organization_id": organization, "model_served": model,
            "key_id": "key_1", "cost_nanousd": cost, "input_tokens": 10, "output_tokens": 1});
        for (name, value) in more.as_object().unwrap() {
            row[name] = value.clone();
        }
        row
    };
    ground
        .insert(&[
            row("01 10:00:00.000", "a", 1_000_000_000, json!({"tags": {"feature": "chat", "team": "red"}})),
            row("01 10:30:00.000", "a", 1, json!({"tags": {"feature": "chat", "team": "blue"}})),
            row("01 23:59:59.999", "b", 20_000_000, json!({"tags": {"feature": "search"}})),
            row("03 00:00:00.000", "a", 300_000_000, json!({"status": 502, "error_type": "provider_unreachable"})),
            row("03 00:10:00.000", "c", 0, json!({"price_version": ""})),
            row("03 00:20:00.000", "a", 5, json!({"environment": "test"})),
            // a correction: cost and nothing else
            row(
                "01 10:00:00.000",
                "a",
                -400_000_000,
                json!({"kind": "adjustment", "reason": "reprice", "input_tokens": 7,
                "tags": {"feature": "chat", "team": "red"}}),
            ),
            row("01 10:00:00.000", "a", 999, json!({"organization_id": "somebody else"})),
        ])
        .await;
}

const SPAN: &str = "since=2026-10-01T00:00:00Z&until=2026-10-04T00:00:00Z";

/// Bucket, first dimension, requests and cost of each row.
fn shown(stats: &Value, dimension: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rows = stats["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let bucket = text(&row["bucket"]).replace("2026-", "").replace(":00.000Z", "").replace("null", "-");
        format!("{bucket} {} {} {}", text(&row[dimension]), row["requests"], text(&row["cost_usd"]))
    })
    .collect()
}

#[tokio::test]
async fn a_series_has_every_bucket_a_ranking_only_those_with_requests_and_totals_are_of_all() {
    let ground = Ground::start(Options::default());
    let (key, organization) = ground.issue("series");
    october(&ground, &organization).await;
    let days = ["10-01T00:00", "10-02T00:00", "10-03T00:00"];
    for (query, dimension, expected) in [
        ("interval=day", "", vec![(days[0], "null 3 0.620000001"), (days[1], "null 0 0"), (days[2], "null 2 0.3")]),
        ("interval=day&order_by=bucket:desc&limit=2", "", vec![(days[2], "null 2 0.3"), (days[1], "null 0 0")]),
        ("interval=day&limit=1", "", vec![(days[0], "null 3 0.620000001")]),
        ("interval=month", "", vec![("10-01T00:00", "null 5 0.920000001")]),
        ("interval=week", "", vec![("09-28T00:00", "null 5 0.920000001")]),
        ("interval=day&order_by=requests", "", vec![(days[0], "null 3 0.620000001"), (days[2], "null 2 0.3")]),
        (
            "interval=day&group_by=model&limit=5",
            "model",
            vec![
                (days[0], "a 2 0.600000001"),
                (days[0], "b 1 0.02"),
                (days[0], "c 0 0"),
                (days[1], "a 0 0"),
                (days[1], "b 0 0"),
            ],
        ),
        (
            "interval=day&group_by=model&order_by=model:desc&limit=4",
            "model",
            vec![(days[0], "c 0 0"), (days[1], "c 0 0"), (days[2], "c 1 0"), (days[0], "b 1 0.02")],
        ),
        (
            "group_by=team&order_by=team",
            "team",
            vec![("-", " 3 0.32"), ("-", "blue 1 0.000000001"), ("-", "red 1 0.6")],
        ),
        (
            "group_by=model&order_by=cost_usd",
            "model",
            vec![("-", "a 3 0.900000001"), ("-", "b 1 0.02"), ("-", "c 1 0")],
        ),
    ] {
        let stats = ground.stats(&format!("{SPAN}&{query}"), &key).await;
        let expected: Vec<String> = expected.iter().map(|(bucket, rest)| format!("{bucket} {rest}")).collect();
        assert_eq!(shown(&stats, dimension), expected, "{query}: {stats}");
        let totals = &stats["totals"];
        let all = (&totals["requests"], &totals["errors"], &totals["cost_usd"], &totals["input_tokens"]);
        assert_eq!(all, (&json!(5), &json!(1), &json!("0.920000001"), &json!(50)), "{query}");
        assert_eq!(totals["unpriced_requests"], 1, "{query}");
    }
    let empty = ground.stats("since=2026-08-01T00:00:00Z&until=2026-08-01T03:00:00Z&interval=hour", &key).await;
    assert_eq!(shown(&empty, ""), ["08-01T00:00", "08-01T01:00", "08-01T02:00"].map(|at| format!("{at} null 0 0")));
    assert_eq!(empty["rows"][0]["latency_ms"], json!({"p50": null, "p95": null, "p99": null}));
    let grouped =
        ground.stats("since=2026-08-01T00:00:00Z&until=2026-08-02T00:00:00Z&interval=hour&group_by=model", &key).await;
    assert_eq!(grouped["rows"], json!([]), "no group, no series");
}

#[tokio::test]
async fn csv_has_the_same_rows_and_test_keys_stand_in_it_when_they_are_asked_for() {
    let ground = Ground::start(Options::default());
    let (key, organization) = ground.issue("csv");
    october(&ground, &organization).await;
    let query = format!("/gw/stats?{SPAN}&interval=day&group_by=environment&order_by=environment&format=csv&model=a");
    let answer = ground.get(&query, &key).await.expect(200);
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    let expected = "bucket,environment,requests,errors,input_tokens,cached_input_tokens,output_tokens,cost_usd,unpriced_requests,\
        latency_ms_p50,latency_ms_p95,latency_ms_p99,ttft_ms_p50,ttft_ms_p95,ttft_ms_p99\r\n\
        2026-10-01T00:00:00.000Z,live,2,0,20,0,2,0.600000001,0,100,100,100,,,\r\n\
        2026-10-02T00:00:00.000Z,live,0,0,0,0,0,0,0,,,,,,\r\n\
        2026-10-03T00:00:00.000Z,live,1,1,10,0,1,0.3,0,100,100,100,,,\r\n\
        2026-10-01T00:00:00.000Z,test,0,0,0,0,0,0,0,,,,,,\r\n\
        2026-10-02T00:00:00.000Z,test,0,0,0,0,0,0,0,,,,,,\r\n\
        2026-10-03T00:00:00.000Z,test,1,0,10,0,1,0.000000005,0,100,100,100,,,\r\n";
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn sums_by_day_and_hour_answer_where_they_can() {
    let ground = Ground::start(Options::default());
    let (key, organization) = ground.issue("rollups");
    october(&ground, &organization).await;
    let asked = [
        format!("{SPAN}&group_by=model,feature&status=200"),
        format!("{SPAN}&interval=hour&group_by=error_type,endpoint"),
        "since=2026-10-01T22:00:00Z&until=2026-10-03T02:00:00Z".to_owned(),
    ];
    let by_team = format!("{SPAN}&group_by=team");
    let mut before = Vec::new();
    for query in &asked {
        before.push(ground.stats(query, &key).await);
    }
    assert_eq!(before[2]["totals"]["requests"], 3);
    // without the rows themselves, only what the sums hold can be told
    ground.client.query_raw("TRUNCATE TABLE usage_events").execute().await.unwrap();
    for (query, before) in asked.iter().zip(&before) {
        let after = ground.stats(query, &key).await;
        assert_eq!((&after["rows"], &after["totals"]), (&before["rows"], &before["totals"]), "{query}");
    }
    assert_eq!(ground.stats(&by_team, &key).await["totals"]["requests"], 0, "no sum knows teams");
    ground.client.query_raw("TRUNCATE TABLE usage_hourly").execute().await.unwrap();
    assert_eq!(ground.stats(&asked[0], &key).await["totals"], before[0]["totals"], "whole days need no hours");
    assert_eq!(ground.stats(&asked[1], &key).await["totals"]["requests"], 0, "hours do");
}

#[tokio::test]
async fn a_tag_that_became_hot_later_is_looked_for_among_the_rows_of_the_time_before() {
    let ground = Ground::start(Options::default());
    let (key, organization) = ground.issue("hot");
    let row =
        |time: &str| json!({"time": time, "organization_id": organization, "tags": {"feature": "x", "team": "red"}});
    ground.insert(&[row("2026-10-01 10:00:00"), row("2026-10-02 10:00:00")]).await;
    // `team` is hot from now on, which no row so far knows
    let path = ground.gateway.config().join("gateway.yaml");
    let mut settings: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    settings["usage"]["hot_tags"] = json!(["feature", "team"]);
    std::fs::write(&path, settings.to_string()).unwrap();
    let mut ground = ground;
    ground.gateway.restart();
    let ground = Ground { gateway: ground.gateway, client: ground.client };
    ground.printed(&["migrate"]);
    let stats = ground.stats(&format!("{SPAN}&group_by=team,feature"), &key).await;
    assert_eq!(shown(&stats, "team"), ["- red 2 0"], "{stats}");
    let stats = ground.stats(&format!("{SPAN}&team=red"), &key).await;
    assert_eq!(stats["totals"]["requests"], 2, "{stats}");
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_by_the_name_of_its_parameter() {
    let ground = Ground::start(Options::default());
    let (key, _) = ground.issue("bad");
    for (query, name) in [
        ("since=yesterday", "since"),
        ("since=1h&until=2h", "since"),
        ("until=2026-02-30T00:00:00Z", "until"),
        ("interval=fortnight", "interval"),
        ("group_by=a,b,c,d,e", "group_by"),
        ("group_by=", "group_by"),
        ("group_by=model,model", "group_by"),
        ("group_by=cost_usd", "group_by"),
        ("order_by=nothing", "order_by"),
        ("order_by=bucket", "order_by"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("format=parquet", "format"),
        ("Team=x", "Team"),
        ("a%20b=x", "a b"),
        ("feature=%00", "feature"),
        ("limit=1&limit=1", "limit"),
    ] {
        let answer = ground.get(&format!("/gw/stats?{query}"), &key).await.expect(400).json();
        assert_eq!(answer["error"]["type"], "bad_request");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("parameter `{name}`: ")), "{query}: {message}");
    }
}

#[tokio::test]
async fn a_question_that_would_read_too_much_is_refused_with_what_to_do() {
    let ground = Ground::start(Options::default().set("/usage/query_rows_max", json!(100_000)));
    let (key, organization) = ground.issue("dear");
    // made inside the store: by hand it would take long
    let sql = format!(
        "INSERT INTO usage_events (request_id, time, recorded_at, organization_id, environment) \
         SELECT leftPad(toString(number), 26, '0'), toDateTime64('2026-10-01 00:00:00', 3, 'UTC') + number / 10, \
         now64(3), '{organization}', 'live' FROM numbers(300000)"
    );
    ground.client.query_raw(&sql).with_setting("insert_deduplication_token", "dear").execute().await.unwrap();
    let answer = ground.get(&format!("/gw/stats?{SPAN}&group_by=team"), &key).await.expect(400);
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("ask for a shorter span or fewer groups"), "{message}");
    assert_eq!(ground.stats(SPAN, &key).await["totals"]["requests"], 300_000, "the sums by hour are cheap");
    let records = ground.get(&format!("/gw/usage?{SPAN}"), &key).await.expect(400).text();
    assert!(records.contains("ask for a shorter span"), "{records}");
}

#[tokio::test]
async fn thousands_of_groups_over_hundreds_of_buckets_cost_no_more_than_what_is_shown() {
    let ground = Ground::start(Options::default());
    let (key, organization) = ground.issue("many");
    let sql = format!(
        "INSERT INTO usage_events (request_id, time, recorded_at, organization_id, environment, tags) \
         SELECT leftPad(toString(number), 26, '0'), toDateTime64('2026-10-01 00:30:00', 3, 'UTC') + (number % 700) * 3600, \
         now64(3), '{organization}', 'live', map('user', 'u' || leftPad(toString(number % 20000), 5, '0')) FROM numbers(40000)"
    );
    ground.client.query_raw(&sql).with_setting("insert_deduplication_token", "many").execute().await.unwrap();
    let asked = "since=2026-10-01T00:00:00Z&until=2026-10-31T00:00:00Z&interval=hour&group_by=user";
    // 14.4 million rows, of which three are wanted
    for (order, first) in [
        ("", ["10-01T00:00 u00000 1 0", "10-01T00:00 u00300 1 0", "10-01T00:00 u00700 1 0"]),
        ("&order_by=bucket:desc", ["10-30T23:00 u00000 0 0", "10-30T23:00 u00001 0 0", "10-30T23:00 u00002 0 0"]),
    ] {
        let stats = ground.stats(&format!("{asked}&limit=3{order}"), &key).await;
        assert_eq!(shown(&stats, "user"), first, "{order}");
        assert_eq!(stats["totals"]["requests"], 40_000);
    }
}
