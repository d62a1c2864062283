//! `usage verify`: what it proves, and that it notices.

use crate::{
    load::Load,
    store::{count, settled, verify},
    support::gateway::{Gateway, Grant, Options},
};
use serde_json::json;
use sociaro_gateway::usage::{connector, engine};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_in_the_store_or_there_twice_is_noticed() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("verify"));
    Load::of(&gateway, &key, "call", (4, 10)).end().await;
    settled(&gateway).await;
    let (account, status) = verify(&gateway);
    let expected = json!({
        "since": account["since"], "balanced": true, "served": 40, "stored": 40, "waiting": 0, "quarantined": 0, "lost": 0,
        "open": 0,
    });
    assert_eq!((status, &account), (Some(0), &expected));
    let client = connector::embedded(&engine::socket(&gateway.usage_folder())).with_database("sociaro");
    for (sql, stored) in
        [("INSERT INTO usage_events SELECT * FROM usage_events LIMIT 1", 41), ("TRUNCATE TABLE usage_events", 0)]
    {
        client.query_raw(sql).with_setting("insert_deduplicate", "0").execute().await.unwrap();
        let (account, status) = verify(&gateway);
        assert_eq!(
            (status, count(&account, "stored"), &account["balanced"]),
            (Some(1), stored, &json!(false)),
            "{sql}"
        );
    }
}

#[test]
fn a_span_that_gateways_do_not_count_back_to_is_refused() {
    let gateway = Gateway::shared();
    for since in ["2d", "yesterday", ""] {
        let config = gateway.config().display().to_string();
        let output = gateway.run(&["usage", "verify", "--since", since, "--config", &config].map(str::to_owned));
        let says = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{since}: {says}");
        assert!(says.contains("--since"), "{since}: {says}");
    }
}
