//! From events to rows: each exactly once, in the table and in both rollups.

use crate::{
    row::UsageRow,
    support::{Dice, Store, event},
};
use sociaro_gateway::{
    base::{
        clock::{self, Duration},
        ids::OrganizationId,
        money::Money,
        tasks::Tasks,
    },
    metering::reading::{Tokens, Units},
    usage::{
        event::UsageEvent,
        queue::Rows,
        schema::{Migrated, migrate},
        settings::Settings,
        shipper::{ClickHouse, Fault, Shipper, Sink},
        source::Batch,
        spool,
        stats::StatsQuery,
    },
};
use std::borrow::Cow;

fn events(count: usize) -> Vec<UsageEvent<'static>> {
    let (mut dice, now) = (Dice::new(42), clock::now());
    (0..count).map(|_| event(&mut dice, now)).collect()
}

#[tokio::test]
async fn a_row_comes_back_as_it_went_in() {
    let store = Store::new().await;
    let mut all = events(50);
    let tokens = Tokens { input: u64::MAX, reasoning: 1, image_output: 7, ..Tokens::default() };
    let units = Units { images: 1, millis: 2, characters: 3, searches: 4, requests: 5 };
    let mut extreme = UsageEvent { tokens, units, latency_ms: u32::MAX, attempts: u8::MAX, ..all[0].clone() };
    extreme.charge.cost = Money::from_nanos(i64::MIN);
    extreme.tags = vec![(String::from("a"), String::from("\0\n\\'\"`{}ü𝄞")), ("b".into(), String::new())].into();
    all.push(extreme);
    store.insert("one", &all).await;
    let client = store.client.clone().with_database(&store.settings.database);
    let mut cursor = client.query("SELECT ?fields FROM usage_events").fetch::<UsageRow<'_>>().unwrap();
    let mut found = 0;
    while let Some(row) = cursor.next().await.unwrap() {
        let twin = all
            .iter()
            .find(|event| *event.request_id.as_bytes() == row.request_id && event.latency_ms == row.latency_ms);
        assert_eq!(row, UsageRow::from(twin.unwrap()));
        found += 1;
    }
    assert_eq!(found, all.len());
}

#[tokio::test]
async fn a_batch_counts_once_however_often_it_is_sent() {
    let store = Store::new().await;
    let all = events(300);
    for _ in 0..3 {
        store.insert("one", &all).await;
    }
    let cost: i64 = all.iter().map(|event| event.charge.cost.nanos()).sum();
    assert_eq!(store.sums().await, [(300, cost); 3]);
    // the same rows under a token of their own are other exchanges that happen to look alike
    store.insert("two", &all).await;
    assert_eq!(store.sums().await, [(600, 2 * cost); 3]);
}

#[tokio::test]
async fn a_batch_that_failed_halfway_is_completed_by_its_retry() {
    let store = Store::new().await;
    let (all, database) = (events(40), &store.settings.database);
    for sql in [
        format!("CREATE TABLE {database}.caught (hours UInt8) ENGINE = MergeTree ORDER BY hours"),
        format!(
            "CREATE MATERIALIZED VIEW {database}.trap TO {database}.caught AS \
             SELECT throwIf(requests > 0) AS hours FROM {database}.usage_hourly"
        ),
    ] {
        store.client.query_raw(&sql).execute().await.unwrap();
    }
    let mut sink = ClickHouse::new(&store.client, &store.settings);
    let batch = Batch::new("one", Rows::of(&all));
    assert!(matches!(sink.store(&batch).await, Err(Fault::Store(_))));
    assert_eq!(store.sums().await[0].0, 40, "the rows are there, their sums are not");
    store.client.query_raw(&format!("DROP VIEW {database}.trap")).execute().await.unwrap();
    sink.store(&batch).await.unwrap();
    sink.store(&batch).await.unwrap();
    let cost = all.iter().map(|event| event.charge.cost.nanos()).sum();
    assert_eq!(store.sums().await, [(40, cost); 3]);
}

#[tokio::test]
async fn migrating_again_changes_nothing_but_what_settings_changed() {
    let store = Store::new().await;
    let (client, settings) = (&store.client, &store.settings);
    assert_eq!(migrate(client, settings).await.unwrap(), Migrated { from: 5, to: 5 });
    let describe = async || {
        let sql = "SELECT arraySort(groupArray((name, create_table_query, metadata_modification_time))) \
                   FROM system.tables WHERE database = {database:String}";
        let query = client.query_raw(sql).param("database", &settings.database);
        query.fetch_one::<Vec<(String, String, u32)>>().await.unwrap()
    };
    let before = describe().await;
    migrate(client, settings).await.unwrap();
    assert!(describe().await == before, "not even a time of modification");
    let hot_tags = vec!["feature".into(), "a.b-c".into()];
    let other = Settings { hot_tags, keep_days: 30, ..settings.clone() };
    migrate(client, &other).await.unwrap();
    let text: String = describe().await.into_iter().map(|(_, statement, _)| statement).collect();
    assert_eq!(text.matches("toIntervalDay(30)").count(), 2, "{text}");
    assert!(text.contains("`tag_a:b-c`") && text.contains("has(['feature', 'a.b-c'], k)"), "{text}");
}

#[tokio::test]
async fn hot_tags_and_only_they_stand_in_the_rollups() {
    let store = Store::new().await;
    let tags = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
    let one = UsageEvent { tags: tags(&["feature", "team"]), ..events(1).remove(0) };
    store.insert("one", &[one]).await;
    let sql = format!("SELECT mapKeys(hot_tags) FROM {}.usage_daily", store.settings.database);
    let found: Vec<String> = store.client.query_raw(&sql).fetch_one().await.unwrap();
    assert_eq!(found, ["feature"]);
}

#[tokio::test]
async fn an_adjustment_changes_the_cost_and_no_count() {
    let store = Store::new().await;
    let now = clock::now().plus_millis(-60_000);
    let mut one = UsageEvent {
        time: now,
        organization_id: Some(Cow::Owned(OrganizationId::new("org_a"))),
        ..events(1).remove(0)
    };
    one.charge.cost = Money::from_nanos(5_000_000_001);
    store.insert("one", std::slice::from_ref(&one)).await;
    let database = &store.settings.database;
    let sql = format!(
        "INSERT INTO {database}.usage_events (kind, reason, request_id, time, recorded_at, organization_id, environment, \
         provider, model_requested, model_served, status, error_type, latency_ms, usage_source, cost_nanousd) \
         SELECT 'adjustment', 'job failed', request_id, time, now64(3), organization_id, environment, provider, \
         model_requested, model_served, status, error_type, 0, usage_source, -5000000000 FROM {database}.usage_events"
    );
    store.client.query_raw(&sql).with_setting("insert_deduplication_token", "a").execute().await.unwrap();
    assert_eq!(store.sums().await, [(1, 1); 3]);
    let pairs = [("environment".to_owned(), "*".to_owned())];
    let query = StatsQuery::parse(&pairs, clock::now(), &store.settings).unwrap();
    let answer = query.run(&store.client, &OrganizationId::new("org_a")).await.unwrap();
    assert_eq!((answer.totals.requests, answer.totals.cost_usd), (1, Money::from_nanos(1)));
    assert_eq!(answer.totals.errors, u64::from(!one.error_type.is_empty()));
    let sql = format!("SELECT toString(sum(cost_usd)) FROM {database}.usage_costs_daily");
    assert_eq!(store.client.query_raw(&sql).fetch_one::<String>().await.unwrap(), "0.000000001");
}

#[tokio::test]
async fn what_is_pushed_is_stored_though_the_tables_were_not_there() {
    let store = Store::empty();
    let (queue, source) = spool::volatile(&store.settings);
    let sink = ClickHouse::new(&store.client, &store.settings);
    let shipper = Shipper::start(&Tasks::new(), source, sink);
    let all = events(1000);
    for event in &all {
        queue.push(event);
    }
    assert!(shipper.finish(Duration::from_secs(30)).await);
    assert_eq!((queue.tally().stored(), queue.tally().lost(), queue.tally().waiting()), (1000, 0, 0));
    let cost = all.iter().map(|event| event.charge.cost.nanos()).sum();
    assert_eq!(store.sums().await, [(1000, cost); 3]);
}

#[tokio::test]
async fn a_batch_counts_once_though_the_engine_was_killed_between_its_tries() {
    // The first start after the tables were made is the one that counts.
    let (store, mut engine) = Store::alone();
    migrate(&store.client, &store.settings).await.unwrap();
    let all = events(50);
    let cost = all.iter().map(|event| event.charge.cost.nanos()).sum();
    for _ in 0..3 {
        store.insert("one", &all).await;
        assert_eq!(store.sums().await, [(50, cost); 3]);
        engine.kill();
        engine.restart();
    }
    store.insert("one", &all).await;
    assert_eq!(store.sums().await, [(50, cost); 3]);
}

#[tokio::test]
async fn an_engine_that_is_killed_and_comes_back_holds_every_event_once() {
    let (store, mut engine) = Store::alone();
    let settings = Settings { batch_events_max: 50, ..store.settings.clone() };
    let (queue, source) = spool::volatile(&settings);
    let shipper = Shipper::start(&Tasks::new(), source, ClickHouse::new(&store.client, &settings));
    let all = events(2000);
    let (first, rest) = all.split_at(1000);
    for event in first {
        queue.push(event);
    }
    while queue.tally().stored() == 0 {
        tokio::task::yield_now().await;
    }
    engine.kill();
    for event in rest {
        queue.push(event);
    }
    assert!(queue.tally().waiting() > 0, "it was killed in the middle of the work");
    engine.restart();
    assert!(shipper.finish(Duration::from_mins(1)).await);
    assert_eq!((queue.tally().stored(), queue.tally().lost()), (2000, 0));
    let cost = all.iter().map(|event| event.charge.cost.nanos()).sum();
    assert_eq!(store.sums().await, [(2000, cost); 3]);
}
