//! Two gateways on one control store and one usage store, started at the same moment.

use crate::{
    CHAT, MODEL, REQUEST_ID,
    support::{
        gateway::{Gateway, Grant, Key, Options, process::Process},
        http::{Ask, Client},
        wait::wait_until,
    },
};
use futures_util::future::join_all;
use rustix::process::Signal;
use std::collections::BTreeSet;

/// Calls both at once, and gives the ids of the answers.
async fn call_both(gateway: &Gateway, other: &Process, key: &Key) -> BTreeSet<String> {
    let (first, second) = (gateway.client(), Client::of(other.addresses().callers));
    let ask = &Ask::chat(CHAT, MODEL, "a").bearer(&key.secret);
    let answers = join_all((0..200).map(|at| if at % 2 == 0 { first.send(ask) } else { second.send(ask) })).await;
    let id = |answer: crate::support::http::Answer| answer.expect(200).header(REQUEST_ID).unwrap().to_owned();
    answers.into_iter().map(id).collect()
}

async fn all_stored(gateway: &Gateway, ids: &BTreeSet<String>) {
    let look = async || {
        let rows = gateway.rows_now().await?;
        if rows.ids() == *ids { Ok(()) } else { Err(format!("{} of {} are stored", rows.count(), ids.len())) }
    };
    wait_until("the calls of both are stored", look).await;
}

#[tokio::test]
async fn gateways_that_start_at_once_on_one_folder_share_its_stores_and_outlive_each_other() {
    let (mut gateway, mut other) = Gateway::start_two(Options::default());
    let organizations =
        gateway.run(&["org", "list", "--json", "--config", &gateway.config().display().to_string()].map(str::to_owned));
    let organizations: serde_json::Value = serde_json::from_slice(&organizations.stdout).unwrap();
    assert_eq!(organizations.as_array().map(Vec::len), Some(1), "one of them made the first key: {organizations}");

    let key = gateway.issue(&Grant::all("two"));
    let mut ids = call_both(&gateway, &other, &key).await;
    all_stored(&gateway, &ids).await;
    let store = gateway.usage_store_process();

    gateway.signal(Signal::KILL);
    gateway.wait_for_end();
    let alone = Client::of(other.addresses().callers);
    let answer = alone.send(&Ask::chat(CHAT, MODEL, "a").bearer(&key.secret)).await.expect(200);
    ids.insert(answer.header(REQUEST_ID).unwrap().to_owned());
    all_stored(&gateway, &ids).await;
    assert_eq!(gateway.usage_store_process(), store, "the store is still the same");

    gateway.start_again();
    ids.extend(call_both(&gateway, &other, &key).await);
    all_stored(&gateway, &ids).await;
    other.signal(Signal::TERM);
    let status = other.wait().unwrap();
    assert!(status.success(), "{status}");
}
