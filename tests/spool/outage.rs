//! The usage store is away for long.

use crate::{
    front::Stage,
    load::Load,
    scaled,
    store::{count, folders, segments, settled, sums, verify, whole},
    support::gateway::{Grant, Options, names},
};
use rustix::process::Signal;
use serde_json::json;
use std::{collections::BTreeSet, fs};

const CALLERS: usize = 8;
/// What the gateway may grow by while the store is away; with the events in memory it would be more in the long form.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_while_the_store_was_away_is_stored_once_when_it_is_back() {
    // Far more than may wait in memory, in several segments.
    let calls = scaled(2400, 200_000);
    let options = Options::default()
        .set("/usage/queue_events_max", json!(1000))
        .set("/usage/batch_events_max", json!(500))
        .set("/usage/spool/segment_bytes", json!(1024 * 1024));
    let stage = Stage::start(options);
    let gateway = &stage.gateway;
    let key = gateway.issue(&Grant::all("outage"));
    let warm = Load::of(gateway, &key, "warm", (CALLERS, 25)).end().await;
    stage.away(true);
    let before = resident_kib(gateway.process_id());
    let during = Load::of(gateway, &key, "during", (CALLERS, calls / CALLERS)).end().await;
    assert_eq!(during.len(), calls, "callers notice nothing");
    let growth = resident_kib(gateway.process_id()).saturating_sub(before);
    assert!(growth < GROWTH_KIB_MAX, "memory grew by {growth} KiB");
    let metrics = gateway.wait_for_metrics("all is on the disk", |metrics| {
        whole(metrics, "gateway_usage_events_spooled_total") >= warm.len() + calls
    });
    assert!(whole(&metrics.await, names::USAGE_EVENTS_WAITING) >= calls);
    let spool = names::spool_folder(gateway.folder());
    assert!(segments(&spool).len() > 1, "{:?}", segments(&spool));

    stage.away(false);
    let rows = settled(gateway).await;
    let ids: BTreeSet<String> = warm.into_values().chain(during.into_values()).collect();
    assert_eq!(rows.ids(), ids);
    assert_eq!(sums(gateway).await, [u64::try_from(ids.len()).unwrap(); 3]);
    assert!(segments(&spool).len() <= 2, "what is shipped goes: {:?}", segments(&spool));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_ends_while_the_store_is_away_leaves_its_events_to_the_next() {
    let mut stage = Stage::start(Options::default());
    let key = stage.gateway.issue(&Grant::all("left"));
    let mut answered = Load::of(&stage.gateway, &key, "before", (4, 5)).end().await;
    settled(&stage.gateway).await;
    let before = stage.inserts().len();
    stage.away(true);
    answered.extend(Load::of(&stage.gateway, &key, "left", (4, 50)).end().await);
    stage.gateway.signal(Signal::TERM);
    assert!(stage.gateway.wait_for_end().success());
    let spool = names::spool_folder(stage.gateway.folder());
    assert_eq!(folders(&spool).len(), 1);
    let (tried, inserts) = (stage.inserts(), stage.inserts().len());
    assert!(inserts > before, "it tried to store them before its end");
    stage.gateway.start_again();
    stage.away(false);
    let rows = settled(&stage.gateway).await;
    assert_eq!(rows.ids(), answered.into_values().collect::<BTreeSet<_>>());
    // the next process sends what the first has tried: the same bytes under the same token
    let again = stage.inserts();
    let (token, bytes, _) = &tried[before];
    assert!(again[inserts..].iter().any(|(other, size, _)| other == token && size == bytes), "{tried:?} {again:?}");
    let (account, status) = verify(&stage.gateway);
    assert_eq!((status, count(&account, "served")), (Some(0), 220), "{account}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_gateway_adopts_what_a_killed_neighbour_left() {
    let (mut gateway, mut other) = crate::support::gateway::Gateway::start_two(Options::default());
    let key = gateway.issue(&Grant::all("neighbours"));
    let spool = names::spool_folder(gateway.folder());
    assert_eq!(folders(&spool).len(), 2);
    let client = crate::support::http::Client::of(other.addresses().callers);
    // an exchange that never ends by itself
    let ask = crate::support::http::Ask::chat(crate::CHAT, crate::MODEL, "a").bearer(&key.secret).sim("never");
    let mut connection = client.connect().await;
    connection.write(&ask.header("x-attr-nonce", "cut-off").bytes()).await;
    let reached = async || match gateway.simulator.matching(|request| request.path().ends_with("completions")).len() {
        1 => Ok(()),
        other => Err(other),
    };
    crate::support::wait::wait_until("it reaches the provider", reached).await;
    // what the writer has on the disk outlives the kill: wait until it has
    let written = async || {
        let bytes: u64 = segments(&spool).iter().map(|path| fs::metadata(path).map_or(0, |file| file.len())).sum();
        let heads = 2 * segments(&spool).len() as u64;
        let text: Vec<u8> = segments(&spool).iter().flat_map(|path| fs::read(path).unwrap_or_default()).collect();
        if memchr::memmem::find(&text, b"cut-off").is_some() { Ok(()) } else { Err((bytes, heads)) }
    };
    crate::support::wait::wait_until("its intent is written", written).await;
    other.signal(Signal::KILL);
    assert!(!other.wait().unwrap().success());
    let rows = settled(&gateway).await;
    let row = rows.by_tag("nonce").remove("cut-off").expect("what was under way is recorded");
    assert_eq!((&row["error_type"], &row["usage_source"]), (&json!("gateway_crash"), &json!("estimated")), "{row}");
    let (account, status) = verify(&gateway);
    assert_eq!((status, count(&account, "lost")), (Some(0), 0), "{account}");
    gateway.restart();
}
