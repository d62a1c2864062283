//! A hard budget: never overshot at any moment, and used up in the end.

use crate::{
    support::{
        gateway::{Gateway, Key},
        http::{Answer, Client},
    },
    treasury::{budget, key, known, options, quiet, refused, set_budget, stream, thousandths, usd},
};
use futures_util::future::{join, join_all};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Looks at the budget again and again until the work is done: spent and reserved are within the limit each time.
async fn watched<T>(gateway: &Gateway, key: &Key, limit: u64, work: impl Future<Output = T>) -> T {
    let done = AtomicBool::new(false);
    let watch = async {
        let mut looks = 0_u32;
        while !done.load(Relaxed) || looks == 0 {
            let now = budget(gateway, key, |_| true).await;
            let (spent, reserved) = (thousandths(&now["spent"]), thousandths(&now["reserved"]));
            assert!(spent <= limit && spent + reserved <= limit, "{now}");
            looks += 1;
        }
    };
    let work = async {
        let worked = work.await;
        done.store(true, Relaxed);
        worked
    };
    join(work, watch).await.0
}

fn statuses(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn of_five_hundred_streams_at_once_a_budget_for_a_hundred_lets_exactly_those_pass() {
    let gateway = Gateway::start(options());
    let key = key(&gateway, "exact", &[]);
    set_budget(&gateway, "exact", &["--limit", &usd(1_000)]);
    known(&gateway, &key, "1").await;
    let (client, ask) = (&gateway.client(), &stream(&key, 10).sim("words=10; chunk-delay=20ms"));
    let answers = watched(&gateway, &key, 1_000, join_all((0..500).map(|_| client.send(ask)))).await;
    assert_eq!(statuses(&answers), [(200, 100), (402, 400)].into());
    for answer in answers.iter().filter(|answer| answer.status() == 402) {
        refused(
            answer,
            "this month's budget of the organization has no room for this request, which may cost up to 0.01 USD",
        );
    }
    assert_eq!(gateway.simulator.arrived(), 100, "what is refused goes nowhere");
    quiet(&gateway).await;
    let end = budget(&gateway, &key, |_| true).await;
    assert_eq!((&end["spent"], &end["reserved"]), (&"1".into(), &"0".into()));
    let rows = gateway.rows().await.error_types();
    assert_eq!((rows[""], rows["budget_exceeded"]), (100, 400));
}

/// Asks until it passes, or until the budget has no room and nothing is set aside any more that could come back.
async fn insist(gateway: &Gateway, client: &Client, key: &Key) -> bool {
    let ask = stream(key, 40).sim("words=10; chunk-delay=5ms");
    loop {
        let answer = client.send(&ask).await;
        if answer.status() == 200 {
            return true;
        }
        refused(&answer, "has no room");
        let now = budget(gateway, key, |_| true).await;
        if now["reserved"] == "0" && thousandths(&now["spent"]) + 40 > 1_000 {
            return false;
        }
    }
}

#[tokio::test]
async fn what_answers_leave_of_what_was_set_aside_for_them_is_used_by_others() {
    let gateway = Gateway::start(options());
    let key = key(&gateway, "used-up", &[]);
    // An answer costs a quarter of what is set aside for it: 100 of them are 1 dollar.
    set_budget(&gateway, "used-up", &["--limit", "1", "--window", "day"]);
    known(&gateway, &key, "1").await;
    let client = &gateway.client();
    let passed = watched(&gateway, &key, 1_000, join_all((0..500).map(|_| insist(&gateway, client, &key)))).await;
    quiet(&gateway).await;
    let end = budget(&gateway, &key, |_| true).await;
    let count = passed.iter().filter(|passed| **passed).count() as u64;
    assert_eq!((thousandths(&end["spent"]), &end["reserved"]), (count * 10, &"0".into()));
    assert!((96..=100).contains(&count), "{count} of 100 passed");
}

#[tokio::test]
async fn a_limit_that_is_changed_or_removed_holds_without_a_restart() {
    let gateway = Gateway::start(options());
    let key = key(&gateway, "changed", &[]);
    let client = gateway.client();
    let ask = stream(&key, 10).sim("words=10");
    let first = set_budget(&gateway, "changed", &["--limit", "0.015"]);
    known(&gateway, &key, "0.015").await;
    client.send(&ask).await.expect(200);
    quiet(&gateway).await;
    refused(&client.send(&ask).await, "has no room");
    let second = set_budget(&gateway, "changed", &["--limit", "0.02"]);
    assert_eq!(first["id"], second["id"], "the same budget");
    known(&gateway, &key, "0.02").await;
    client.send(&ask).await.expect(200);
    quiet(&gateway).await;
    assert_eq!(budget(&gateway, &key, |_| true).await["spent"], "0.02");
    refused(&client.send(&ask).await, "has no room");
    set_budget(&gateway, "changed", &["--limit", "0.02", "--enforcement", "off"]);
    budget(&gateway, &key, |budget| budget["enforcement"] == "off").await;
    client.send(&ask).await.expect(200);
    quiet(&gateway).await;
    let over = budget(&gateway, &key, |_| true).await;
    assert_eq!((&over["spent"], &over["limit"]), (&"0.03".into(), &"0.02".into()), "it only reports");
    assert_eq!(set_budget(&gateway, "changed", &["--remove"])["removed"], true);
    assert_eq!(set_budget(&gateway, "changed", &["--remove"])["removed"], false);
    gateway.wait_for_json("/gw/budget", &key.secret, |value| value["budgets"] == serde_json::json!([])).await;
    client.send(&ask).await.expect(200);
}
