//! kill -9, of the gateway and of the usage store, while calls are under way.
//!
//! What is promised today: a call is never stored twice, what the store acknowledged stays, and the death of the store
//! costs no call and no event. Events that only the gateway's memory held die with it, those of about one flush interval.

use crate::{
    load::Load,
    support::{
        gateway::{Gateway, Grant, Options, operations, rows::text},
        wait::wait_until,
    },
};
use rustix::process::{Signal, kill_process};
use serde_json::json;
use std::collections::BTreeSet;

const STORED: &str = "gateway_usage_events_stored_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_under_load_starts_again_and_has_stored_nothing_twice() {
    let mut gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("killed"));
    let (mut answered, mut acknowledged) = (std::collections::BTreeMap::new(), 0.0);
    for round in 0..3 {
        let load = Load::start(&gateway, &key, &round.to_string(), 8);
        let enough = |metrics: &crate::support::gateway::Metrics| metrics.total(STORED) >= 200.0;
        acknowledged += gateway.wait_for_metrics("200 calls are stored", enough).await.total(STORED);
        gateway.signal(Signal::KILL);
        assert!(!gateway.wait_for_end().success());
        answered.extend(load.stop().await);
        gateway.start_again();
    }
    let last = Load::start(&gateway, &key, "last", 1);
    gateway.wait_for_metrics("it stores again", |metrics| metrics.total(STORED) >= 20.0).await;
    let last = last.stop().await;

    let rows = gateway.rows().await;
    let (ids, by_nonce) = (rows.ids(), rows.by_tag("nonce"));
    assert_eq!(ids.len(), by_nonce.len(), "each row is of one call");
    for (nonce, row) in &by_nonce {
        if let Some(id) = answered.get(nonce).or(last.get(nonce)) {
            assert_eq!(text(row, "/request_id"), *id, "{nonce}");
        }
    }
    let lost: Vec<_> = last.values().filter(|id| !ids.contains(*id)).collect();
    assert!(lost.is_empty(), "nothing was killed after these: {lost:?}");
    let kept = f64::from(u32::try_from(ids.len() - last.len()).unwrap());
    assert!(kept >= acknowledged, "{acknowledged} were acknowledged, {kept} are there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_usage_store_that_is_killed_under_load_costs_no_call_and_no_event() {
    const KILLS: usize = 5;
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("store-killed"));
    let load = Load::start(&gateway, &key, "call", 4);
    for _ in 0..KILLS {
        let before = gateway.metrics().total(STORED);
        gateway.wait_for_metrics("events are stored", |metrics| metrics.total(STORED) > before).await;
        let store = gateway.usage_store_process().expect("it has just stored events");
        kill_process(store, Signal::KILL).expect("the store runs");
        let anew = async || gateway.usage_store_process().filter(|found| *found != store).ok_or("no new store");
        wait_until("the store is started again", anew).await;
        let ready = async || match operations::get(gateway.operations(), "/readyz") {
            Ok((200, _)) => Ok(()),
            other => Err(other),
        };
        wait_until("the gateway is ready again", ready).await;
    }
    let answered = load.stop().await;
    let failures = gateway.metrics().total("gateway_usage_ship_failures_total");
    assert!(failures >= 1.0, "no batch met a dead store");
    let rows = gateway.rows().await;
    assert_eq!(rows.ids(), answered.into_values().collect::<BTreeSet<_>>());
    let deaths = gateway.log().iter().filter(|line| line["message"] == json!("usage store has gone")).count();
    assert_eq!(deaths, KILLS);
}
