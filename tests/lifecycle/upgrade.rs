//! A new process takes the listening sockets over while calls and a stream are under way.

use crate::{
    CHAT, MODEL, REQUEST_ID,
    load::Load,
    provider::Closed,
    support::{
        gateway::{Gateway, Grant, Options},
        http::{AnswerReader, Ask},
        wait::wait_until,
    },
};
use serde_json::json;
use std::{collections::BTreeSet, net::Ipv4Addr};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_takes_over_and_no_call_is_lost_or_made_twice() {
    // Held without listening, so that nobody else gets the port before the gateway does.
    let port = Closed::on(Ipv4Addr::LOCALHOST.into()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default()
        .set("/listeners", json!([{"address": format!("127.0.0.1:{}", port.port())}]))
        .set("/server/upgrade_sock", json!(folder.path().join("upgrade.sock")));
    let mut gateway = Gateway::start(options);
    let key = gateway.issue(&Grant::all("upgrade"));

    let ask = Ask::post(CHAT, &json!({"model": MODEL, "stream": true, "messages": []})).bearer(&key.secret);
    let mut streaming = gateway.client().connect().await;
    streaming.write(&ask.sim("words=200; chunk-delay=50ms").bytes()).await;
    let mut reader = AnswerReader::new("POST");
    streaming.answer_until(&mut reader, |answer| !answer.body.is_empty()).await;

    let load = Load::anew(&gateway, &key, "upgraded", 2);
    let mut old = gateway.upgrade();
    streaming.answer_until(&mut reader, |_| false).await;
    let streamed = reader.end();
    assert!(streamed.complete && streamed.text().ends_with("data: [DONE]\n\n"), "{streamed:?}");
    let status = tokio::task::spawn_blocking(move || old.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    let answered = load.stop().await;

    let mut ids: BTreeSet<String> = answered.into_values().collect();
    ids.insert(streamed.header(REQUEST_ID).unwrap().to_owned());
    let all = async || {
        let stored = gateway.rows_now().await?.ids();
        if stored == ids { Ok(()) } else { Err(format!("{} of {}", stored.len(), ids.len())) }
    };
    wait_until("the calls of both processes are stored", all).await;
}
