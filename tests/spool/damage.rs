//! Files of the spool that are damaged while no process has them open.

use crate::{
    front::Stage,
    load::Load,
    store::{count, segments, settled, verify, whole},
    support::gateway::{Grant, Metrics, Options, names},
};
use rustix::process::Signal;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// How many exchanges may be damaged.
enum Cost {
    None,
    AtMost(usize),
}

/// A way to damage a segment.
struct Damage {
    what: &'static str,
    of: fn(&mut Vec<u8>),
    cost: Cost,
}

const CALLS: usize = 120;

const DAMAGES: [Damage; 6] = [
    Damage {
        what: "a torn tail",
        of: |bytes| bytes.extend_from_slice(b"\xF7SG\x01\xff\x00\x00\x00torn"),
        cost: Cost::None,
    },
    Damage { what: "a tail of zeros", of: |bytes| bytes.resize(bytes.len() + 5000, 0), cost: Cost::None },
    Damage { what: "no header", of: |bytes| bytes[..64].fill(0), cost: Cost::None },
    Damage { what: "one bit", of: |bytes| flip(bytes, 1), cost: Cost::AtMost(1) },
    Damage { what: "a page", of: |bytes| flip(bytes, 4096), cost: Cost::AtMost(16) },
    Damage { what: "cut in half", of: |bytes| bytes.truncate(bytes.len() / 2), cost: Cost::AtMost(CALLS) },
];

fn flip(bytes: &mut [u8], count: usize) {
    let half = bytes.len() / 2;
    bytes[half..half + count].iter_mut().for_each(|byte| *byte ^= 0x55);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_costs_the_events_that_it_hits_which_are_counted_and_alters_none() {
    for Damage { what, of, cost } in DAMAGES {
        let mut stage = Stage::start(Options::default());
        let key = stage.gateway.issue(&Grant::all("damage"));
        stage.away(true);
        let answered = Load::of(&stage.gateway, &key, "call", (4, CALLS / 4)).end().await;
        let on_disk = |metrics: &Metrics| whole(metrics, "gateway_usage_events_spooled_total") == CALLS;
        stage.gateway.wait_for_metrics("all is on the disk", on_disk).await;
        stage.gateway.signal(Signal::KILL);
        assert!(!stage.gateway.wait_for_end().success());
        let segments = segments(&names::spool_folder(stage.gateway.folder()));
        let [segment] = segments.as_slice() else { panic!("{segments:?}") };
        let mut bytes = fs::read(segment).unwrap();
        of(&mut bytes);
        fs::write(segment, bytes).unwrap();

        stage.gateway.start_again();
        stage.away(false);
        let rows = settled(&stage.gateway).await;
        let by_nonce: BTreeMap<_, _> = rows.by_tag("nonce");
        let ids: BTreeSet<&String> = answered.values().collect();
        assert!(rows.ids().iter().all(|id| ids.contains(id)), "{what}: a row of no exchange");
        for (nonce, row) in &by_nonce {
            assert_eq!(row["request_id"], answered[nonce].as_str(), "{what}");
            let is_whole = row["status"] == 200 && row["error_type"] == "";
            // Its event is gone, its intent is not.
            let is_expected = row["status"] == 0 && row["error_type"] == "gateway_crash";
            assert!(is_whole || is_expected, "{what}: {row}");
        }
        let whole = rows.with("/error_type", "").count();
        match cost {
            Cost::None => assert_eq!(whole, CALLS, "{what}"),
            Cost::AtMost(most) => assert!(CALLS - whole <= most, "{what}: {whole} of {CALLS} are left"),
        }
        let (account, status) = verify(&stage.gateway);
        let places = ["stored", "lost", "waiting"].map(|name| count(&account, name));
        assert_eq!((status, places), (Some(0), [by_nonce.len(), CALLS - by_nonce.len(), 0]), "{what}: {account}");
    }
}
