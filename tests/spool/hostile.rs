//! A usage store that breaks inserts off, takes them without saying so, fails, or is not as it should be.

use crate::{
    front::{Stage, Trouble},
    load::Load,
    scaled,
    store::{count, settled, sums, verify, whole},
    support::{
        gateway::{Grant, Options, names},
        wait::wait_until,
    },
};
use serde_json::json;
use sociaro_gateway::usage::{connector, engine};
use std::collections::{BTreeMap, BTreeSet};

const CALLERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inserts_that_break_off_or_are_not_heard_of_are_tried_again_unchanged_and_count_once() {
    let mut stage = Stage::start(Options::default());
    let key = stage.gateway.issue(&Grant::all("hostile"));
    let troubles = [
        Trouble::Reset,
        Trouble::Deaf,
        Trouble::Answer(500, "Code: 241. DB::Exception: Memory limit exceeded"),
        Trouble::Deaf,
    ];
    let mut answered = Load::of(&stage.gateway, &key, "before", (CALLERS, 5)).end().await;
    settled(&stage.gateway).await;
    stage.trouble(troubles);
    for round in 0..scaled(4, 20) {
        answered.extend(Load::of(&stage.gateway, &key, &format!("round-{round}"), (CALLERS, 25)).end().await);
        if round == 2 {
            stage.kill_store();
        }
    }
    let over = async || if stage.troubles_left() == 0 { Ok(()) } else { Err(stage.inserts()) };
    wait_until("all of it has happened", over).await;
    let rows = settled(&stage.gateway).await;
    let ids: BTreeSet<String> = answered.into_values().collect();
    assert_eq!(rows.ids(), ids);
    assert_eq!(sums(&stage.gateway).await, [u64::try_from(ids.len()).unwrap(); 3]);
    let mut sizes: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (token, bytes, _) in stage.inserts() {
        sizes.entry(token).or_default().insert(bytes);
    }
    assert!(sizes.values().all(|sizes| sizes.len() == 1), "a token stands for the same bytes on every try: {sizes:?}");
    assert!(stage.inserts().len() > sizes.len(), "some were tried again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_not_as_it_should_be_holds_events_up_and_loses_none() {
    let stage = Stage::start(Options::default());
    let gateway = &stage.gateway;
    let key = gateway.issue(&Grant::all("schema"));
    let mut answered = Load::of(gateway, &key, "before", (CALLERS, 5)).end().await;
    settled(gateway).await;
    let client = connector::embedded(&engine::socket(&gateway.usage_folder()));
    let rename = async |from: &str, to: &str| {
        let sql = format!("ALTER TABLE sociaro.usage_events RENAME COLUMN {from} TO {to}");
        client.query_raw(&sql).execute().await.expect("the column has another name");
    };
    rename("method", "verb").await;
    answered.extend(Load::of(gateway, &key, "during", (CALLERS, 25)).end().await);
    let failures =
        |metrics: &crate::support::gateway::Metrics| metrics.total("gateway_usage_ship_failures_total") >= 2.0;
    gateway.wait_for_metrics("inserts fail", failures).await;
    rename("verb", "method").await;
    let rows = settled(gateway).await;
    assert_eq!(rows.ids(), answered.into_values().collect::<BTreeSet<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_the_store_refuses_goes_into_quarantine_and_comes_out_again_once() {
    let stage = Stage::start(Options::default());
    let gateway = &stage.gateway;
    let key = gateway.issue(&Grant::all("poison"));
    let refused = Trouble::Answer(400, "Code: 117. DB::Exception: Cannot parse 'secret'");
    stage.trouble([refused; 3]);
    let mut answered = Load::of(gateway, &key, "poison", (1, 20)).end().await;
    let quarantined =
        |metrics: &crate::support::gateway::Metrics| metrics.total("gateway_usage_events_quarantined_total") > 0.0;
    gateway.wait_for_metrics("a batch is in quarantine", quarantined).await;
    answered.extend(Load::of(gateway, &key, "after", (1, 20)).end().await);
    let rows = settled(gateway).await;
    let missing = answered.len() - rows.ids().len();
    assert!((1..=20).contains(&missing), "the rest goes on: {missing}");

    let run = |words: &[&str]| {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        words.extend(["--json".to_owned(), "--config".to_owned(), gateway.config().display().to_string()]);
        let output = gateway.run(&words);
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)));
        (printed, output.status.code())
    };
    let (list, status) = run(&["usage", "quarantine", "list"]);
    assert_eq!((status, list["batches"].as_array().map(Vec::len)), (Some(0), Some(1)), "{list}");
    let batch = &list["batches"][0];
    assert_eq!((&batch["events"], &batch["reason"]), (&json!(missing), &json!("ClickHouse error 117")), "{list}");
    let (account, status) = verify(gateway);
    assert_eq!((status, count(&account, "quarantined"), count(&account, "lost")), (Some(0), missing, 0), "{account}");

    // refused once more, then taken, without its answer being heard
    stage.trouble([refused]);
    let (again, status) = run(&["usage", "quarantine", "retry"]);
    assert_eq!((status, again["stored"].as_array().map(Vec::len)), (Some(1), Some(0)), "{again}");
    stage.trouble([Trouble::Deaf]);
    let (again, status) = run(&["usage", "quarantine", "retry", batch["batch"].as_str().unwrap()]);
    assert_eq!((status, again["stored"].as_array().map(Vec::len)), (Some(1), Some(0)), "{again}");
    let (again, status) = run(&["usage", "quarantine", "retry", "no-such-batch"]);
    assert_eq!((status, again["faults"].as_array().map(Vec::len)), (Some(1), Some(1)), "{again}");
    let (again, status) = run(&["usage", "quarantine", "retry"]);
    assert_eq!((status, again["stored"].as_array().map(Vec::len)), (Some(0), Some(1)), "{again}");
    assert_eq!(run(&["usage", "quarantine", "list"]).0, json!({"batches": [], "faults": []}));
    let rows = gateway.rows_now().await.unwrap();
    assert_eq!(rows.ids(), answered.into_values().collect::<BTreeSet<_>>());
    let (account, status) = verify(gateway);
    assert_eq!((status, count(&account, "quarantined"), count(&account, "stored")), (Some(0), 0, 40), "{account}");
    assert_eq!(whole(&gateway.metrics(), names::USAGE_EVENTS_LOST), 0);
}
