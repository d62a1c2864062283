//! A disk that is full, and one that cannot be written at all.

use crate::{
    front::Stage,
    load::Load,
    store::{count, verify, whole},
    support::{
        gateway::{Gateway, Grant, Options, names},
        wait::wait_until,
    },
};
use rustix::process::Signal;
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const CALLERS: usize = 8;
const FAILURES: &str = "gateway_usage_spool_failures_total";
const CANNOT: &str = "the usage spool cannot be";

/// A small disk of its own; `None` where the test may not mount any.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

fn told(gateway: &Gateway) -> usize {
    let says = |line: &&serde_json::Value| line["message"].as_str().is_some_and(|text| text.starts_with(CANNOT));
    gateway.log().iter().filter(says).count()
}

/// Ends it in good order and starts it again: what it counted as lost is behind it.
fn begin_anew(gateway: &mut Gateway) {
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_for_end().success());
    gateway.start_again();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_no_call_and_what_neither_it_nor_memory_takes_is_counted() {
    let place = tempfile::tempdir().unwrap();
    let spool = place.path().join("spool");
    // Where nothing can be mounted, the spool's own bound stands in for the disk's.
    let disk = SmallDisk::mount(&spool, "size=1m,mode=700");
    let bytes_max = if disk.is_some() { 1 << 30 } else { 1 << 20 };
    let options = Options::default()
        .set("/usage/queue_events_max", json!(1000))
        .set("/usage/batch_events_max", json!(1000))
        .set("/usage/spool", json!({"folder": spool, "bytes_max": bytes_max, "segment_bytes": 1 << 20}));
    let mut stage = Stage::start(options);
    let key = stage.gateway.issue(&Grant::all("full"));
    stage.away(true);
    let gateway = &stage.gateway;
    let mut calls = 0;
    // Each of these calls is answered.
    while whole(&gateway.metrics(), names::USAGE_EVENTS_LOST) == 0 {
        calls += Load::of(gateway, &key, &format!("call-{calls}"), (CALLERS, 50)).end().await.len();
        assert!(calls < 20_000, "the disk does not fill");
    }
    let metrics = gateway.metrics();
    assert!(metrics.total(FAILURES) >= 1.0);
    assert_eq!(told(gateway), 1, "it is told once: {:?}", gateway.log());
    if disk.is_none() {
        assert_eq!(whole(&metrics, "gateway_usage_spool_alarm"), 100);
    }

    stage.away(false);
    let all = async || {
        let (metrics, rows) = (gateway.metrics(), gateway.rows_now().await?);
        let (waiting, lost) = (whole(&metrics, names::USAGE_EVENTS_WAITING), whole(&metrics, names::USAGE_EVENTS_LOST));
        let stored = rows.ids().len();
        let is_all = waiting == 0 && stored + lost == calls;
        if is_all { Ok(stored) } else { Err(format!("{stored} stored, {lost} lost, {waiting} waiting of {calls}")) }
    };
    let stored = wait_until("all that was saved is stored", all).await;
    assert!(stored >= 1000, "{stored} of {calls}");
    let (account, status) = verify(gateway);
    assert_eq!(
        (status, count(&account, "lost"), count(&account, "stored")),
        (Some(0), calls - stored, stored),
        "{account}"
    );
    // there is room again
    let before = gateway.metrics().total("gateway_usage_events_spooled_total");
    let again = async || {
        Load::of(gateway, &key, "again", (1, 5)).end().await;
        let spooled = gateway.metrics().total("gateway_usage_events_spooled_total");
        if spooled > before { Ok(()) } else { Err(spooled) }
    };
    wait_until("the disk is used again", again).await;
    begin_anew(&mut stage.gateway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_cannot_be_written_costs_no_call_and_no_event_while_the_store_is_there() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    let read_only = place.path().join("read-only");
    let disk = SmallDisk::mount(&read_only, "size=1m,ro");
    let folders = [Some(place.path().join("file/spool")), disk.as_ref().map(|_| read_only)];
    for folder in folders.into_iter().flatten() {
        let gateway = Gateway::start(Options::default().set("/usage/spool/folder", json!(folder)));
        let key = gateway.issue(&Grant::all("read-only"));
        let answered = Load::of(&gateway, &key, "call", (CALLERS, 20)).end().await;
        let rows = gateway.rows().await;
        assert_eq!(rows.ids(), answered.into_values().collect::<BTreeSet<_>>(), "{}", folder.display());
        assert_eq!(told(&gateway), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_something_else_fills_costs_no_call_and_no_event_while_the_store_is_there() {
    let place = tempfile::tempdir().unwrap();
    let spool = place.path().join("spool");
    let Some(_disk) = SmallDisk::mount(&spool, "size=2m,mode=700") else {
        assert!(!rustix::process::geteuid().is_root(), "root can mount");
        return;
    };
    let gateway = Gateway::start(Options::default().set("/usage/spool/folder", json!(spool)));
    let key = gateway.issue(&Grant::all("filled"));
    let mut answered = Load::of(&gateway, &key, "before", (CALLERS, 20)).end().await;
    gateway.rows().await;
    let filler = spool.join("filler");
    assert!(fs::write(&filler, vec![1; 4 << 20]).is_err(), "it is full now");
    for round in 0..20 {
        answered.extend(Load::of(&gateway, &key, &format!("during-{round}"), (CALLERS, 25)).end().await);
        if gateway.metrics().total(FAILURES) > 0.0 {
            break;
        }
    }
    assert!(gateway.metrics().total(FAILURES) > 0.0, "the disk still takes some");
    answered.extend(Load::of(&gateway, &key, "after", (CALLERS, 25)).end().await);
    let rows = gateway.rows().await;
    assert_eq!(rows.ids(), answered.into_values().collect::<BTreeSet<_>>());
    let (account, status) = verify(&gateway);
    assert_eq!((status, count(&account, "lost")), (Some(0), 0), "{account}");
}
