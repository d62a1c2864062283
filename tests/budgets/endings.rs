//! However a request ends, nothing stays set aside, and what is spent is what the usage records say.

use crate::{
    support::{
        gateway::{Gateway, Key},
        http::AnswerReader,
    },
    treasury::{budget, key, known, options, quiet, stream, thousandths},
};
use futures_util::future::join_all;

/// What the simulator does, and whether the caller goes away within the answer.
const ENDINGS: [(&str, bool); 11] = [
    ("words=20", false),
    ("words=20; chunk-delay=10ms", true),
    ("never", true),
    ("stall=0", true),
    ("stall=600", true),
    ("fin", false),
    ("reset", false),
    ("garbage", false),
    ("fin=300", false),
    ("stream-error=3", false),
    ("status=529", false),
];

async fn call(gateway: &Gateway, key: &Key, (knobs, leaves): (&str, bool)) {
    let mut connection = gateway.client().connect().await;
    connection.write(&stream(key, 100).sim(knobs).bytes()).await;
    let mut reader = AnswerReader::new("POST");
    if !leaves {
        connection.answer_until(&mut reader, |_| false).await;
        return;
    }
    if !["never", "stall=0"].contains(&knobs) {
        connection.answer_until(&mut reader, |answer| answer.body.len() > 200).await;
        return connection.reset();
    }
    // Gone once it is under way.
    gateway.wait_for_metrics("money is held", |metrics| metrics.total("gateway_budget_holds") >= 1.0).await;
}

#[tokio::test]
async fn nothing_stays_set_aside_and_the_budget_has_spent_what_the_records_say() {
    let gateway = Gateway::start(options());
    let key = key(&gateway, "endings", &["--budget", "1000/total"]);
    known(&gateway, &key, "1000").await;
    for round in 0..5 {
        let calls = (0..20 * ENDINGS.len()).map(|at| call(&gateway, &key, ENDINGS[at % ENDINGS.len()]));
        join_all(calls).await;
        quiet(&gateway).await;
        let now = budget(&gateway, &key, |_| true).await;
        assert_eq!(now["reserved"], "0", "round {round}");
        gateway.rows().await;
        let query = "since=1h";
        let told = gateway.stats(query, &key.secret, |stats| stats["totals"]["cost_usd"] == now["spent"]).await;
        assert!(thousandths(&told["totals"]["cost_usd"]) >= (round + 1) * 20 * 20, "{told}");
    }
}

#[tokio::test]
async fn a_provider_that_is_silent_costs_nothing_in_the_end() {
    let shipped = std::fs::read_to_string("conf/providers.yaml").unwrap();
    let impatient = shipped.replacen("#read_seconds: 600", "read_seconds: 1", 1);
    assert_ne!(shipped, impatient);
    let gateway = Gateway::start(options().providers_yaml(&impatient));
    let key = key(&gateway, "silent", &["--budget", "1/day"]);
    known(&gateway, &key, "1").await;
    let (client, ask) = (&gateway.client(), &stream(&key, 20).sim("never"));
    let answers = join_all((0..50).map(|_| client.send(ask))).await;
    assert!(answers.iter().all(|answer| answer.status() == 504));
    quiet(&gateway).await;
    let end = budget(&gateway, &key, |_| true).await;
    assert_eq!((&end["spent"], &end["reserved"]), (&"0".into(), &"0".into()));
}
