//! Callers that stop reading their answer: they lose their connection, and hold nothing after that.

use crate::{
    cuts::{open, takes_exactly},
    key, quiet, stream,
    support::gateway::{Gateway, Options, rows::text},
};
use futures_util::future::join_all;
use serde_json::json;

const CALLERS: usize = 10;
/// More than all buffers on the way hold.
const WORDS: usize = 60_000;

#[tokio::test]
async fn a_caller_that_stops_reading_loses_its_connection_and_gives_back_what_it_held() {
    let gateway = Gateway::start(Options::default().set("/requests/caller_write_timeout_seconds", json!(1)));
    let key = key(&gateway, "readers", &["--concurrency", &CALLERS.to_string()]);
    let ask = &stream(&key).sim(&format!("words={WORDS}"));
    let stuck = join_all((0..CALLERS).map(|_| open(gateway.client(), ask))).await;
    quiet(&gateway).await;
    gateway.simulator.wait_for_connections_open(0).await.unwrap();
    let rows = gateway.rows().await;
    assert_eq!(rows.ids().len(), CALLERS);
    for row in rows.iter() {
        assert_eq!((&*text(row, "/error_type"), &row["status"]), ("caller_gone", &200.into()), "{row}");
    }
    takes_exactly(&gateway, &key, CALLERS).await;
    drop(stuck);
}
