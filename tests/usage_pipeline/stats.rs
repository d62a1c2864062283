//! Statistics against an oracle, other tenants, hostile parameters, bounds.

use crate::{
    oracle::{self, Question},
    support::{Dice, Store, event},
};
use sociaro_gateway::{
    base::{
        clock::{self, Duration, Timestamp},
        ids::OrganizationId,
        tasks::Tasks,
    },
    usage::{
        ask::AskError,
        event::UsageEvent,
        settings::Settings,
        shipper::{ClickHouse, Shipper},
        spool,
        stats::{StatsAnswer, StatsQuery},
    },
};
use std::borrow::Cow;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;
const DIMENSIONS: [&str; 10] =
    ["provider", "model", "endpoint", "key", "status", "environment", "error_type", "feature", "team", "a.b-c"];

async fn ask(store: &Store, pairs: &[(&str, &str)], organization: &str) -> Result<StatsAnswer, AskError> {
    ask_with(store, &store.settings, pairs, organization).await
}

async fn ask_with(
    store: &Store,
    settings: &Settings,
    pairs: &[(&str, &str)],
    organization: &str,
) -> Result<StatsAnswer, AskError> {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let query = StatsQuery::parse(&pairs, clock::now(), settings).unwrap();
    query.run(&store.client, &OrganizationId::new(organization)).await
}

fn question(dice: &mut Dice, events: &[UsageEvent<'static>], now: i64) -> Question {
    let mut group_by: Vec<&str> = (0..dice.below(5)).map(|_| *dice.one_of(&DIMENSIONS)).collect();
    group_by.sort_unstable();
    group_by.dedup();
    let filters = (0..dice.below(3))
        .map(|_| {
            let dimension = *dice.one_of(&DIMENSIONS);
            let value = oracle::value(dice.one_of(events), dimension);
            // a star or a question mark in a value is a glob, so such a value may match more than itself
            let pattern = match dice.below(4) {
                0 => format!("{}*", value.chars().take(2).collect::<String>()),
                1 => value.chars().map(|c| if dice.below(3) == 0 { '?' } else { c }).collect(),
                2 => format!("*{}", value.chars().skip(1).collect::<String>()),
                _ => value,
            };
            (dimension, pattern)
        })
        .collect::<std::collections::BTreeMap<_, _>>();
    let orders = ["requests", "errors:asc", "output_tokens", "cost_usd", "cost_usd:asc"].map(String::from);
    let order_by = match dice.below(3) {
        0 => Some(dice.one_of(&orders).clone()),
        1 => group_by.first().filter(|name| **name != "status").map(|name| format!("{name}:desc")),
        _ => None,
    };
    let interval =
        [None, Some("minute"), Some("hour"), Some("day"), Some("week"), Some("month")][dice.below(6) as usize];
    let longest = match interval {
        Some("minute") => 2 * HOUR_MS,
        Some("hour") => 3 * DAY_MS,
        _ => 40 * DAY_MS,
    };
    let (since, until) = span(dice, now, longest);
    Question {
        interval,
        limit: if dice.below(3) == 0 { dice.below(7) as usize + 1 } else { 1000 },
        group_by,
        filters: filters.into_iter().collect(),
        order_by: order_by.or_else(|| interval.filter(|_| dice.below(4) == 0).map(|_| "bucket:desc".to_owned())),
        since,
        until,
    }
}

/// Some span of the last 40 days; its ends on hours, on days, or anywhere.
fn span(dice: &mut Dice, now: i64, longest: i64) -> (i64, i64) {
    let unit = *dice.one_of(&[1, 60_000, HOUR_MS, DAY_MS]);
    let part = |dice: &mut Dice, whole: i64| whole / 1000 * i64::from(dice.below(1000));
    let since = (now - DAY_MS / 2 - part(dice, 39 * DAY_MS)) / unit * unit;
    let until = (since + 1 + part(dice, longest)) / unit * unit;
    (since, until.clamp(since + 1, now.max(since + 1)))
}

fn pairs(question: &Question) -> Vec<(String, String)> {
    let time = |millis| Timestamp::from_millis(millis).to_rfc3339();
    let mut pairs = vec![
        ("since".into(), time(question.since)),
        ("until".into(), time(question.until)),
        ("limit".into(), question.limit.to_string()),
    ];
    if !question.group_by.is_empty() {
        pairs.push(("group_by".into(), question.group_by.join(",")));
    }
    pairs.extend(question.interval.map(|interval| ("interval".into(), interval.into())));
    pairs.extend(question.order_by.clone().map(|order| ("order_by".into(), order)));
    pairs.extend(question.filters.iter().map(|(name, value)| ((*name).into(), value.clone())));
    pairs
}

fn assert_agrees(answer: &StatsAnswer, events: &[UsageEvent<'static>], question: &Question) {
    let groups = oracle::groups(events, "org_a", question);
    let all: Vec<&UsageEvent<'static>> = groups.iter().flat_map(|(_, events)| events.iter().copied()).collect();
    let expected = groups.iter().take(question.limit).map(|(key, events)| (key, events.as_slice()));
    assert_eq!(answer.rows.len(), groups.len().min(question.limit), "{question:?}");
    let found = answer.rows.iter().map(|row| ((row.bucket, &row.dimensions), &row.figures));
    let totals = ((None, &Vec::new()), &answer.totals);
    let no_key = (None, Vec::new());
    for (((bucket, values), figures), (key, events)) in
        found.chain([totals]).zip(expected.chain([(&no_key, all.as_slice())]))
    {
        let what = format!("{question:?} {key:?}");
        assert_eq!((bucket.map(Timestamp::millis), values), (key.0, &key.1), "{what}");
        let mut plain = figures.clone();
        (plain.latency_ms, plain.ttft_ms) = Default::default();
        assert_eq!(plain, oracle::figures(events), "{what}");
        oracle::assert_percentiles(figures.latency_ms, events.iter().map(|event| event.latency_ms).collect(), &what);
        let ttft = events.iter().map(|event| event.ttft_ms).filter(|ttft| *ttft > 0).collect();
        oracle::assert_percentiles(figures.ttft_ms, ttft, &what);
    }
}

#[tokio::test]
async fn statistics_agree_with_a_brute_force_oracle() {
    let store = Store::new().await;
    let now = clock::now();
    let mut dice = Dice::new(0x5eed);
    let events: Vec<UsageEvent<'static>> = (0..500).map(|_| event(&mut dice, now)).collect();
    // in several parts, as it arrives in life
    for (number, part) in events.chunks(130).enumerate() {
        store.insert(&format!("part-{number}"), part).await;
    }
    let mut requests = 0;
    for _ in 0..50 {
        let question = question(&mut dice, &events, now.millis());
        let query = StatsQuery::parse(&pairs(&question), now, &store.settings).unwrap();
        let organization = OrganizationId::new("org_a");
        let answer = query.run(&store.client, &organization).await.unwrap();
        assert_agrees(&answer, &events, &question);
        // whatever tables were read: the same to the last percentile
        let alone = query.from_events_alone().run(&store.client, &organization).await.unwrap();
        assert_eq!((&alone.rows, &alone.totals), (&answer.rows, &answer.totals), "{question:?}");
        requests += answer.totals.requests;
    }
    assert!(requests > 1000, "the questions find something: {requests} requests");
}

#[tokio::test]
async fn no_parameter_reaches_another_organizations_usage() {
    let store = Store::new().await;
    let (now, mut dice) = (clock::now().plus_millis(-60_000), Dice::new(7));
    let theirs = UsageEvent {
        organization_id: Some(Cow::Owned(OrganizationId::new("org_b"))),
        time: now,
        provider: "theirs".into(),
        ..event(&mut dice, now)
    };
    let nobodys = UsageEvent { organization_id: None, ..theirs.clone() };
    store.insert("one", &[theirs, nobodys]).await;
    let hostile = [
        "' OR 1=1 --",
        "\\' OR 1=1 --",
        "') OR organization_id != ('",
        "*",
        "%",
        "{organization:String}",
        "x\\",
        "org_b",
        "\t\\N\n\"`;SELECT 1",
    ];
    for value in hostile {
        for name in [
            "provider",
            "model",
            "status",
            "environment",
            "feature",
            "organization",
            "organization_id",
            "param_organization",
            "x-y",
        ] {
            let answer = ask(&store, &[(name, value), ("group_by", "provider,key")], "org_a").await.unwrap();
            assert_eq!((answer.rows.len(), answer.totals.requests), (0, 0), "{name}={value}");
        }
        // an organization's id comes from a key record, but it is a parameter all the same
        let answer = ask(&store, &[], value).await.unwrap();
        assert_eq!(answer.totals.requests, u64::from(value == "org_b"), "{value}");
    }
    assert_eq!(ask(&store, &[("environment", "*")], "").await.unwrap_err(), AskError::Internal);
}

#[tokio::test]
async fn too_dear_a_question_and_a_missing_store_say_so_without_the_stores_words() {
    let store = Store::new().await;
    let (now, mut dice) = (clock::now().plus_millis(-60_000), Dice::new(11));
    let events: Vec<UsageEvent<'static>> = (0..20).map(|_| UsageEvent { time: now, ..event(&mut dice, now) }).collect();
    store.insert("one", &events).await;
    let small = Settings { query_rows_max: 1, ..store.settings.clone() };
    assert_eq!(ask_with(&store, &small, &[], "org_a").await.unwrap_err(), AskError::TooExpensive);
    let absent = Settings { database: "absent".into(), ..store.settings.clone() };
    assert_eq!(ask_with(&store, &absent, &[], "org_a").await.unwrap_err(), AskError::Unavailable);
    let unplugged = clickhouse::Client::default().with_url("http://127.0.0.1:1");
    let query = StatsQuery::parse(&[], now, &store.settings).unwrap();
    assert_eq!(query.run(&unplugged, &OrganizationId::new("org_a")).await.unwrap_err(), AskError::Unavailable);
}

#[tokio::test]
async fn csv_holds_what_json_holds() {
    let store = Store::new().await;
    let (now, mut dice) = (clock::now().plus_millis(-60_000), Dice::new(3));
    let tags = vec![("feature".to_owned(), "a,\"b\"\r\nc".to_owned())];
    let one = UsageEvent {
        time: now,
        tags: tags.into(),
        status: 429,
        error_type: "rate_limited".into(),
        ..event(&mut dice, now)
    };
    let one = UsageEvent { organization_id: Some(Cow::Owned(OrganizationId::new("org_a"))), ..one };
    store.insert("one", std::slice::from_ref(&one)).await;
    let asked = [("group_by", "feature,status"), ("environment", "*"), ("format", "csv")];
    let answer = ask(&store, &asked, "org_a").await.unwrap();
    let csv = answer.to_csv();
    let rest = csv.split_once("\r\n").unwrap().1;
    assert!(rest.starts_with("\"a,\"\"b\"\"\r\nc\",429,1,1,"), "{rest:?}");
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["rows"][0]["feature"], "a,\"b\"\r\nc");
    assert_eq!(json["rows"][0]["status"], 429);
    assert_eq!(json["totals"]["cost_usd"], one.charge.cost.to_string());
}

#[tokio::test]
async fn what_was_pushed_shows_soon_without_more_ado() {
    let store = Store::new().await;
    let (queue, source) = spool::volatile(&store.settings);
    let shipper = Shipper::start(&Tasks::new(), source, ClickHouse::new(&store.client, &store.settings));
    let (now, mut dice) = (clock::now().plus_millis(-60_000), Dice::new(5));
    let ours = Some(Cow::Owned(OrganizationId::new("org_a")));
    let one = UsageEvent { time: now, organization_id: ours, ..event(&mut dice, now) };
    queue.push(&one);
    let shown = async {
        while ask(&store, &[("environment", "*")], "org_a").await.unwrap().totals.requests == 0 {
            tokio::task::yield_now().await;
        }
    };
    // far above the flush interval, for machines that are busy
    tokio::time::timeout(Duration::from_secs(30), shown).await.unwrap();
    assert!(shipper.finish(Duration::from_secs(30)).await);
}
