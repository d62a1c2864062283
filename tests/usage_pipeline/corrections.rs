//! Corrections of cost as in a ledger: rows are added, each counted once, whatever breaks in between.

use crate::support::{Dice, Store, event};
use serde_json::Value;
use sociaro_gateway::{
    auth::key::Environment,
    base::{
        clock::{self, Timestamp},
        ids::{OrganizationId, RequestId},
        money::Money,
    },
    metering::reading::{Reading, Tokens, UsageSource},
    pricing::{
        book::{Pico, PriceBook, PriceRow, Prices, Variant},
        charge::{Charge, charge},
    },
    usage::{
        ask::AskError,
        event::UsageEvent,
        records::RecordsQuery,
        reprice::{Mode, Outcome, RepriceError, Span, reprice},
        settings::Settings,
        stats::StatsQuery,
    },
};
use std::borrow::Cow;

const HOUR_MS: i64 = 3_600_000;

/// A book with nano-dollars for a token of each model in and out, and twice that for `flex`.
fn book(version: &str, models: &[(&str, i64, i64)]) -> PriceBook {
    let prices = |input, output| Prices {
        input: Some(Pico(input * 1000)),
        output: Some(Pico(output * 1000)),
        ..Prices::default()
    };
    let row = |(model, input, output): &(&str, i64, i64)| PriceRow {
        provider: "openai".into(),
        model: (*model).into(),
        aliases: Vec::new(),
        from: Timestamp::from_millis(0),
        until: None,
        prices: prices(*input, *output),
        variants: vec![Variant {
            service_tier: Some("flex".into()),
            input_tokens_above: None,
            prices: prices(input * 2, output * 2),
        }],
        source: String::new(),
    };
    PriceBook::new(version.into(), models.iter().map(row).collect()).unwrap()
}

/// Exchanges of three whole hours, charged by the book as the gateway charges them.
fn exchanges(count: usize, book: &PriceBook) -> Vec<UsageEvent<'static>> {
    let (mut dice, now) = (Dice::new(21), clock::now());
    let hour = now.millis() / HOUR_MS * HOUR_MS;
    let one = |number: usize| {
        let number = i64::try_from(number).unwrap();
        // some share a millisecond
        let time = Timestamp::from_millis(hour - HOUR_MS * (1 + number % 3) + number / 6 * 1000);
        let model = *dice.one_of(&["m", "m", "n", "unknown"]);
        let usage_source = *dice.one_of(&[UsageSource::Provider, UsageSource::Estimated, UsageSource::None]);
        let service_tier = *dice.one_of(&["", "default", "flex"]);
        let used = u64::from(usage_source != UsageSource::None);
        let count = |dice: &mut Dice, most| u64::from(dice.below(most)) * used;
        let tokens = Tokens { input: count(&mut dice, 10_000), output: count(&mut dice, 500), ..Tokens::default() };
        let event = event(&mut dice, now);
        let reading = Reading {
            tokens,
            source: usage_source,
            model_served: Some(model.into()),
            service_tier: Some(service_tier.into()),
            ..Reading::default()
        };
        let charge = if used == 0 { Charge::default() } else { charge(book, &reading, "openai", model, time) };
        UsageEvent {
            time,
            provider: "openai".into(),
            model_requested: model.into(),
            model_served: model.into(),
            tokens,
            usage_source,
            service_tier: service_tier.into(),
            charge,
            environment: Environment::Live,
            organization_id: Some(Cow::Owned(OrganizationId::new(*dice.one_of(&["org_a", "org_b"])))),
            ..event
        }
    };
    (0..count).map(one).collect()
}

/// What the exchanges would have cost by a book, in nano-dollars; those without a price keep what they cost.
fn cost(events: &[UsageEvent<'_>], book: &PriceBook) -> i64 {
    let one = |event: &UsageEvent<'_>| {
        let row = book.find("openai", &event.model_served, "", event.time);
        let Some(row) = row.filter(|_| event.usage_source != UsageSource::None) else {
            return event.charge.cost.nanos();
        };
        let picos = |price: Option<Pico>, count: u64| price.unwrap().0 * i64::try_from(count).unwrap();
        let tier = if event.service_tier == "flex" { 2 } else { 1 };
        tier * (picos(row.prices.input, event.tokens.input) + picos(row.prices.output, event.tokens.output)) / 1000
    };
    events.iter().map(one).sum()
}

fn span() -> Span {
    Span::new("1d", "0m", None, None).unwrap()
}

async fn run(store: &Store, book: &PriceBook) -> Result<Outcome, RepriceError> {
    reprice(&store.client, &store.settings, book, &span(), Mode::Store).await
}

async fn ask<T: clickhouse::RowOwned + clickhouse::RowRead>(store: &Store, sql: &str) -> T {
    store.client.clone().with_database(&store.settings.database).query_raw(sql).fetch_one().await.unwrap()
}

async fn adjustments(store: &Store) -> u64 {
    ask(store, "SELECT count() FROM usage_events WHERE kind = 'adjustment'").await
}

/// `requests`, `unpriced_requests`, tokens in and cost of an organization, from statistics.
async fn statistics(store: &Store, organization: &str) -> (u64, u64, u64, i64) {
    let query = StatsQuery::parse(&[("since".into(), "1d".into())], clock::now(), &store.settings).unwrap();
    let totals = query.run(&store.client, &OrganizationId::new(organization)).await.unwrap().totals;
    (totals.requests, totals.unpriced_requests, totals.input_tokens, totals.cost_usd.nanos())
}

/// What statistics should say, counted in memory.
fn expected(events: &[UsageEvent<'_>], organization: &str, book: &PriceBook) -> (u64, u64, u64, i64) {
    let ours: Vec<UsageEvent<'_>> =
        events.iter().filter(|e| e.organization_id.as_ref().unwrap().as_str() == organization).cloned().collect();
    let unpriced = |event: &&UsageEvent<'_>| {
        event.usage_source != UsageSource::None && book.find("openai", &event.model_served, "", event.time).is_none()
    };
    let count = |count: usize| u64::try_from(count).unwrap();
    let tokens = ours.iter().map(|event| event.tokens.input).sum();
    (count(ours.len()), count(ours.iter().filter(unpriced).count()), tokens, cost(&ours, book))
}

#[tokio::test]
async fn a_correction_changes_every_sum_by_its_difference_once_and_no_count() {
    let store = Store::new().await;
    let old = book("v1", &[("m", 3, 10), ("n", 1, 2)]);
    let events = exchanges(300, &old);
    store.insert("one", &events).await;
    let before = cost(&events, &old);
    assert_eq!(store.sums().await, [(300, before); 3]);
    // one cheaper, one dearer, one that had none
    let new = book("v2", &[("m", 2, 11), ("n", 5, 7), ("unknown", 4, 4)]);
    let after = cost(&events, &new);
    assert_ne!(before, after);

    let dry = reprice(&store.client, &store.settings, &new, &span(), Mode::DryRun).await.unwrap();
    assert_eq!((store.sums().await, adjustments(&store).await), ([(300, before); 3], 0), "a dry run changes nothing");
    let done = run(&store, &new).await.unwrap();
    assert_eq!(done, dry);
    assert_eq!((done.cost_before, done.cost_after), (Money::from_nanos(before), Money::from_nanos(after)));
    assert!(done.corrected > 100 && done.corrected <= done.exchanges && done.without_price == 0, "{done:?}");
    for organization in ["org_a", "org_b"] {
        let expected = expected(&events, organization, &new);
        assert_eq!(statistics(&store, organization).await, expected, "{organization}");
    }
    assert_eq!(store.sums().await, [(300, after); 3]);
    assert_eq!(adjustments(&store).await, done.corrected);
    let finance: (u64, i64, i64) = ask(
        &store,
        "SELECT sum(request_count), toInt64(sum(unpriced_request_count)), toInt64(sum(cost_usd) * 1000000000) \
         FROM usage_costs_daily",
    )
    .await;
    assert_eq!(finance, (300, 0, after));
    let sum: u64 = events.iter().map(|event| event.tokens.input).sum();
    for table in ["usage_daily", "usage_hourly"] {
        assert_eq!(ask::<u64>(&store, &format!("SELECT sum(input_tokens) FROM {table}")).await, sum, "{table}");
    }

    let again = run(&store, &new).await.unwrap();
    assert_eq!((again.corrected, again.cost_after, again.batches_finished), (0, Money::from_nanos(after), 0));
    // back to the old book, where one has no price: what it cost stays
    let back = run(&store, &old).await.unwrap();
    let unknown = events.iter().filter(|e| e.model_served == "unknown" && e.usage_source != UsageSource::None);
    assert_eq!(back.without_price, u64::try_from(unknown.count()).unwrap());
    // and there again, which is another correction although it looks like the first
    run(&store, &new).await.unwrap();
    assert_eq!(store.sums().await, [(300, after); 3]);
}

#[tokio::test]
async fn what_a_crash_broke_off_is_finished_by_the_next_run() {
    let store = Store::new().await;
    let (old, new) = (book("v1", &[("m", 3, 10), ("n", 1, 2)]), book("v2", &[("m", 2, 11), ("n", 5, 7)]));
    let events = exchanges(120, &old);
    store.insert("one", &events).await;
    let database = &store.settings.database;
    let second = clock::now().millis() / HOUR_MS * HOUR_MS - 2 * HOUR_MS;
    // the sums of the second of three hours cannot be written: its rows are there, its sums are not
    for sql in [
        format!("CREATE TABLE {database}.caught (hours UInt8) ENGINE = MergeTree ORDER BY hours"),
        format!(
            "CREATE MATERIALIZED VIEW {database}.trap TO {database}.caught AS \
             SELECT throwIf(toInt64(toUnixTimestamp(hour)) * 1000 = {second}) AS hours FROM {database}.usage_hourly"
        ),
    ] {
        store.client.query_raw(&sql).execute().await.unwrap();
    }
    let error = run(&store, &new).await.unwrap_err();
    assert!(matches!(error, RepriceError::Store(_)) && error.to_string().contains("run the same command again"));
    let [rows, hours, days] = store.sums().await;
    assert!(rows.1 != hours.1 || rows.1 != days.1, "it broke off in the middle: {rows:?} {hours:?} {days:?}");
    store.client.query_raw(&format!("DROP VIEW {database}.trap")).execute().await.unwrap();

    let done = run(&store, &new).await.unwrap();
    assert_eq!(done.batches_finished, 1);
    let after = cost(&events, &new);
    assert_eq!(store.sums().await, [(120, after); 3]);
    let again = run(&store, &new).await.unwrap();
    assert_eq!((again.corrected, again.batches_finished), (0, 0));
    assert_eq!(store.sums().await, [(120, after); 3]);
}

#[tokio::test]
async fn a_batch_that_is_everywhere_and_was_not_noted_is_not_sent_again() {
    let store = Store::new().await;
    let (old, new) = (book("v1", &[("m", 3, 10)]), book("v2", &[("m", 2, 11)]));
    let events = exchanges(60, &old);
    store.insert("one", &events).await;
    run(&store, &new).await.unwrap();
    // as if the run had ended before its notes, and the store had forgotten its tokens since
    let database = &store.settings.database;
    for sql in [
        format!("TRUNCATE TABLE {database}.usage_corrections"),
        format!("ALTER TABLE {database}.usage_events MODIFY SETTING non_replicated_deduplication_window = 0"),
    ] {
        store.client.query_raw(&sql).execute().await.unwrap();
    }
    let done = run(&store, &new).await.unwrap();
    assert_eq!((done.corrected, done.batches_finished), (0, 3));
    assert_eq!(store.sums().await, [(60, cost(&events, &new)); 3]);
}

#[tokio::test]
async fn two_runs_at_the_same_time_correct_once() {
    let store = Store::new().await;
    let (old, new) = (book("v1", &[("m", 3, 10), ("n", 1, 2)]), book("v2", &[("m", 2, 11), ("n", 5, 7)]));
    let events = exchanges(120, &old);
    store.insert("one", &events).await;
    let (one, other) = tokio::join!(run(&store, &new), run(&store, &new));
    one.unwrap();
    other.unwrap();
    assert_eq!(store.sums().await, [(120, cost(&events, &new)); 3]);
}

async fn page(store: &Store, pairs: &[(&str, &str)]) -> Value {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let query = RecordsQuery::parse(&pairs, &OrganizationId::new("org_a"), clock::now(), &store.settings).unwrap();
    serde_json::to_value(query.run(&store.client).await.unwrap()).unwrap()
}

#[tokio::test]
async fn pages_show_each_record_once_newest_first_though_many_share_a_millisecond() {
    let store = Store::new().await;
    let old = book("v1", &[("m", 3, 10)]);
    let events = exchanges(200, &old);
    for (number, part) in events.chunks(70).enumerate() {
        store.insert(&format!("part-{number}"), part).await;
    }
    run(&store, &book("v2", &[("m", 2, 11)])).await.unwrap();
    let mut ours: Vec<(i64, String)> = events
        .iter()
        .filter(|event| event.organization_id.as_ref().unwrap().as_str() == "org_a" && event.model_served == "m")
        .map(|event| (event.time.millis(), event.request_id.to_string()))
        .collect();
    ours.sort_unstable_by(|a, b| b.cmp(a));
    assert!(ours.windows(2).any(|pair| pair[0].0 == pair[1].0), "some share a millisecond");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut pairs = vec![("since", "1d"), ("model", "m"), ("limit", "7")];
        if !cursor.is_empty() {
            pairs.push(("cursor", &cursor));
        }
        let answer = page(&store, &pairs).await;
        let records = answer["records"].as_array().unwrap();
        seen.extend(records.iter().map(|record| record["request_id"].as_str().unwrap().to_owned()));
        match answer["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
        assert_eq!(records.len(), 7);
    }
    assert_eq!(seen, ours.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_record_adds_its_corrections_up_class_by_class_and_lists_them() {
    let store = Store::new().await;
    let old = book("v1", &[("m", 3, 10)]);
    let one = UsageEvent {
        request_id: RequestId::generate(),
        time: clock::now().plus_millis(-60_000),
        organization_id: Some(Cow::Owned(OrganizationId::new("org_a"))),
        tokens: Tokens { input: 100, output: 20, ..Tokens::default() },
        ..exchanges(50, &old).into_iter().find(|e| !e.charge.price_version.is_empty()).unwrap()
    };
    let reading = Reading {
        tokens: one.tokens,
        source: one.usage_source,
        model_served: Some("m".into()),
        service_tier: Some(one.service_tier.clone().into_owned()),
        ..Reading::default()
    };
    let flex = if one.service_tier == "flex" { 2 } else { 1 };
    let charged = charge(&old, &reading, "openai", "m", one.time);
    store.insert("one", &[UsageEvent { charge: charged, ..one.clone() }]).await;
    run(&store, &book("v2", &[("m", 2, 11)])).await.unwrap();
    run(&store, &book("v3", &[("m", 0, 12)])).await.unwrap();
    let page = page(&store, &[]).await;
    let record = &page["records"][0];
    let usd = |nanos: i64| Money::from_nanos(nanos * flex).to_string();
    assert_eq!(record["cost_usd"], usd(240));
    assert_eq!(record["cost_breakdown"], serde_json::json!({"input": "0", "output": usd(240)}));
    assert!(record["price_version"].as_str().unwrap().starts_with("v3/openai/m"), "{record}");
    let adjustments = record["adjustments"].as_array().unwrap();
    let deltas: Vec<_> = adjustments.iter().map(|one| (one["reason"].clone(), one["delta_usd"].clone())).collect();
    let expected = [usd(-80), usd(-180)].map(|delta| (Value::from("reprice"), Value::from(delta)));
    assert_eq!(deltas, expected);
}

#[tokio::test]
async fn a_page_and_a_record_may_cost_no_more_than_statistics() {
    let store = Store::new().await;
    let events = exchanges(60, &book("v1", &[("m", 3, 10)]));
    store.insert("one", &events).await;
    let small = Settings { query_rows_max: 1, ..store.settings.clone() };
    let ours = OrganizationId::new("org_a");
    let pairs = [("since".to_owned(), "1d".to_owned())];
    let query = RecordsQuery::parse(&pairs, &ours, clock::now(), &small).unwrap();
    assert_eq!(query.run(&store.client).await.unwrap_err(), AskError::TooExpensive);
    let nobody = RecordsQuery::parse(&pairs, &OrganizationId::new(""), clock::now(), &store.settings).unwrap();
    assert_eq!(nobody.run(&store.client).await.unwrap_err(), AskError::Internal);
}
