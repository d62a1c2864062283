//! What was spent outlives the process: an orderly end, a crash, a budget that is younger than the spending.

use crate::{
    support::{gateway::Gateway, http::AnswerReader, wait::wait_until},
    treasury::{budget, key, known, options, quiet, refused, set_budget, stream},
};
use sociaro_gateway::{
    base::{clock::Timestamp, money::Money},
    budgets::port::BudgetStore,
    store::{settings::Settings, sqlite::SqliteStore},
};

/// Waits until the control store says that so much is held and spent by all processes together, in nano-dollars.
async fn stored(gateway: &Gateway, spent: i64, held: i64) {
    let settings = Settings { sqlite: gateway.folder().join("control.sqlite") };
    let store = SqliteStore::open(&settings).await.unwrap();
    let nobody = "".into();
    let look = async || {
        let always = Timestamp::from_millis(0);
        let uses = store.uses(&nobody, always, always).await.map_err(|error| error.to_string())?;
        let sum = |amount: fn(&sociaro_gateway::budgets::port::Use) -> Money| {
            uses.iter().map(|one| amount(one).nanos()).sum::<i64>()
        };
        let found = (sum(|one| one.spent), sum(|one| one.held));
        if found == (spent, held) { Ok(()) } else { Err(format!("{found:?}")) }
    };
    wait_until("the control store has what was spent and held", look).await;
    store.close().await;
}

#[tokio::test]
async fn an_orderly_end_loses_nothing_even_between_two_savings() {
    let mut gateway = Gateway::start(options().set("/budgets/save_interval_ms", serde_json::json!(60_000)));
    // Known from the first start on.
    let key = key(&gateway, "restart", &["--budget", "0.03/total"]);
    gateway.restart();
    known(&gateway, &key, "0.03").await;
    let ask = stream(&key, 10).sim("words=10");
    for spent in ["0.01", "0.02"] {
        gateway.client().send(&ask).await.expect(200);
        quiet(&gateway).await;
        gateway.restart();
        let now = budget(&gateway, &key, |_| true).await;
        assert_eq!((&now["spent"], &now["reserved"]), (&spent.into(), &"0".into()));
    }
    gateway.client().send(&ask).await.expect(200);
    quiet(&gateway).await;
    refused(&gateway.client().send(&ask).await, "the budget of this key has no room");
}

#[tokio::test]
async fn after_a_crash_what_was_held_counts_as_if_it_were_spent() {
    let mut gateway = Gateway::start(options());
    let key = key(&gateway, "crash", &["--budget", "0.05/total"]);
    known(&gateway, &key, "0.05").await;
    gateway.client().send(&stream(&key, 10).sim("words=10")).await.expect(200);
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut connection = gateway.client().connect().await;
        connection.write(&stream(&key, 10).sim("words=10; stall=300").bytes()).await;
        let mut reader = AnswerReader::new("POST");
        connection.answer_until(&mut reader, |answer| !answer.body.is_empty()).await;
        held.push(connection);
    }
    stored(&gateway, 10_000_000, 30_000_000).await;
    gateway.crash();
    drop(held);
    let now = budget(&gateway, &key, |_| true).await;
    assert_eq!((&now["spent"], &now["reserved"]), (&"0.01".into(), &"0.03".into()));
    gateway.client().send(&stream(&key, 10).sim("words=10")).await.expect(200);
    quiet(&gateway).await;
    refused(&gateway.client().send(&stream(&key, 1)).await, "the budget of this key has no room");
}

#[tokio::test]
async fn a_new_budget_knows_what_its_window_has_cost_before_it() {
    let gateway = Gateway::start(options());
    let (mine, other) = (key(&gateway, "late", &[]), key(&gateway, "later", &[]));
    let client = gateway.client();
    for _ in 0..3 {
        client.send(&stream(&mine, 10).sim("words=10").header("x-project", "atlas")).await.expect(200);
    }
    client.send(&stream(&mine, 10).sim("words=10").header("x-project", "other")).await.expect(200);
    client.send(&stream(&other, 10).sim("words=10").header("x-project", "atlas")).await.expect(200);
    gateway.rows().await;
    set_budget(&gateway, "late", &["--limit", "0.035", "--tag", "project=atlas"]);
    let now = budget(&gateway, &mine, |budget| budget["spent"] == "0.03").await;
    assert_eq!(now["reserved"], "0");
    let ask = stream(&mine, 10).sim("words=10").header("x-project", "atlas");
    refused(&client.send(&ask).await, "the tag project=atlas has no room");
}
