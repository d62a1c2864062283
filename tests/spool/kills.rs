//! kill -9 at any moment, of the gateway and of the usage store, under load.

use crate::{
    load::Load,
    scaled,
    store::{count, settled, sums, verify},
    support::{
        gateway::{Gateway, Grant, Key, Options, rows::text},
        wait::wait_until,
    },
};
use rustix::process::{Signal, kill_process};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const CALLERS: usize = 8;

/// Numbers that look random and are the same on every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What callers and the provider saw.
#[derive(Default)]
struct Seen {
    /// Request ids of whole answers by nonce.
    answered: BTreeMap<String, String>,
    /// Nonces of the requests that reached the provider.
    provided: BTreeSet<String>,
}

impl Seen {
    fn look(&mut self, gateway: &Gateway, answered: BTreeMap<String, String>) {
        self.answered.extend(answered);
        let nonce = |request: &crate::support::simulator::Request| request.header("x-attr-nonce").map(str::to_owned);
        self.provided.extend(gateway.simulator.requests().iter().filter_map(nonce));
    }
}

async fn kill_store(gateway: &Gateway) {
    let found = async || gateway.usage_store_process().ok_or("there is no usage store");
    let store = wait_until("a usage store runs", found).await;
    kill_process(store, Signal::KILL).expect("the store runs");
}

/// Kills the gateway so many times under load, and the store now and then.
async fn kill(gateway: &mut Gateway, key: &Key, (kills, kills_of_store): (usize, usize)) -> Seen {
    let (mut seen, mut dice) = (Seen::default(), Dice(7));
    for round in 0..kills {
        let load = Load::start(gateway, key, &format!("round-{round}"), CALLERS);
        let until = usize::try_from(dice.below(120)).unwrap();
        let enough = async || if load.answered() >= until { Ok(()) } else { Err(load.answered()) };
        wait_until("calls are answered", enough).await;
        if round % (kills / kills_of_store.max(1)).max(1) == 0 && kills_of_store > 0 {
            kill_store(gateway).await;
        }
        gateway.signal(Signal::KILL);
        assert!(!gateway.wait_for_end().success());
        seen.look(gateway, load.stop().await);
        gateway.simulator.forget();
        gateway.start_again();
    }
    let last = Load::of(gateway, key, "last", (2, 20));
    seen.look(gateway, last.end().await);
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_that_reached_the_provider_is_recorded_once_or_counted_as_lost() {
    let mut gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("killed"));
    let seen = kill(&mut gateway, &key, (scaled(12, 50), scaled(5, 20))).await;
    let rows = settled(&gateway).await;
    let by_nonce = rows.by_tag("nonce");
    assert_eq!(rows.ids().len(), by_nonce.len(), "each row is of one call");
    for (nonce, id) in &seen.answered {
        if let Some(row) = by_nonce.get(nonce) {
            assert_eq!(text(row, "/request_id"), *id, "{nonce}");
        }
    }
    let exchanges = u64::try_from(by_nonce.len()).unwrap();
    assert_eq!(sums(&gateway).await, [exchanges; 3]);
    let cut_off = rows.error_types().get("gateway_crash").copied().unwrap_or_default();
    assert!(cut_off > 0, "no exchange was under way at any kill: {:?}", rows.error_types());
    for row in rows.with("/error_type", "gateway_crash").iter() {
        assert_eq!(
            (&row["usage_source"], &row["status"], &row["attempts"]),
            (&json!("estimated"), &json!(0), &json!(0))
        );
        assert!(row["input_tokens"].as_u64() > Some(10) && row["output_tokens"] == 0, "{row}");
    }

    let (account, status) = verify(&gateway);
    assert_eq!((status, &account["balanced"]), (Some(0), &json!(true)), "{account}");
    let places = ["served", "stored", "lost", "waiting", "open"].map(|name| count(&account, name));
    let missing = seen.provided.iter().filter(|nonce| !by_nonce.contains_key(*nonce)).count();
    assert!(missing <= places[2], "{missing} calls are missing, and not all are counted: {account}");
    assert_eq!((places[1], places[3], places[4]), (by_nonce.len(), 0, 0), "{account}");
    assert!(places[2] * 4 < places[0], "a kill takes what came within milliseconds, not this: {account}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_records_are_durable_no_kill_takes_any() {
    let mut gateway = Gateway::start(Options::default().set("/usage/spool/durable", json!(true)));
    let key = gateway.issue(&Grant::all("durable"));
    let seen = kill(&mut gateway, &key, (scaled(5, 20), 0)).await;
    let rows = settled(&gateway).await;
    let by_nonce = rows.by_tag("nonce");
    let missing: Vec<_> = seen.provided.iter().filter(|nonce| !by_nonce.contains_key(*nonce)).collect();
    assert!(missing.is_empty(), "the provider got these, and nothing is recorded of them: {missing:?}");
    for (nonce, id) in &seen.answered {
        let row = &by_nonce[nonce];
        let found = (text(row, "/request_id"), text(row, "/error_type"), text(row, "/usage_source"));
        assert_eq!(found, (id.clone(), String::new(), "provider".to_owned()), "its caller had the whole answer: {row}");
    }
    let (account, status) = verify(&gateway);
    // What is counted as lost was still waiting to be sent.
    assert_eq!((status, count(&account, "stored")), (Some(0), by_nonce.len()), "{account}");
}
