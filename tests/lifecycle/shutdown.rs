//! SIGTERM and SIGINT: what has begun ends well, nothing new begins, and all of it is stored.

use crate::{
    CHAT, MODEL, REQUEST_ID,
    provider::Provider,
    support::{
        gateway::{Gateway, Grant, Key, Options, Rows, operations, rows::text},
        http::{Answer, AnswerReader, Ask, Connection},
        wait::wait_until,
    },
};
use futures_util::future::join_all;
use rustix::process::{Signal, kill_process};
use serde_json::json;
use std::net::Ipv4Addr;
use tokio::net::TcpStream;

/// Longer than the harness waits for an end: a gateway that sat its grace period out would fail the test.
const GRACE_ENDLESS: u64 = 600;

fn event(text: &str) -> String {
    format!("data: {}\n\n", json!({"id": "c", "model": MODEL, "choices": [{"index": 0, "delta": {"content": text}}]}))
}

fn stream(key: &Key) -> Ask {
    Ask::post(CHAT, &json!({"model": MODEL, "stream": true, "messages": []})).bearer(&key.secret)
}

/// A gateway whose provider is in the test's hand.
fn start(provider: &Provider, grace_seconds: u64) -> (Gateway, Key) {
    let url = format!("http://127.0.0.1:{}", provider.port());
    let options = Options::default().upstreams(&[("openai", &url)]);
    let gateway = Gateway::start(options.set("/server/grace_period_seconds", json!(grace_seconds)));
    let key = gateway.issue(&Grant::all("shutdown"));
    (gateway, key)
}

/// A stream of which one event has come to the caller.
struct Begun {
    asked: crate::provider::Asked,
    connection: Connection,
    reader: AnswerReader,
}

async fn begin(gateway: &Gateway, provider: &Provider, key: &Key) -> Begun {
    let mut connection = gateway.client().connect().await;
    connection.write(&stream(key).bytes()).await;
    let mut asked = provider.asked().await;
    asked.begin().await;
    asked.send(&event("one")).await;
    let mut reader = AnswerReader::new("POST");
    connection.answer_until(&mut reader, |answer| !answer.body.is_empty()).await;
    assert_eq!(reader.so_far().text(), event("one"));
    Begun { asked, connection, reader }
}

impl Begun {
    /// What the caller has in the end.
    async fn rest(mut self) -> Answer {
        self.connection.answer_until(&mut self.reader, |_| false).await;
        self.reader.end()
    }
}

/// Connections without a request under way: one that has said nothing, one that was answered, one amid its head.
async fn waiting(gateway: &Gateway, key: &Key) -> [Connection; 3] {
    let silent = gateway.client().connect().await;
    let mut idle = gateway.client().connect().await;
    idle.send(&Ask::get("/gw/me").bearer(&key.secret)).await.expect(200);
    let mut amid = gateway.client().connect().await;
    amid.write(b"POST /openai/v1/chat/comp").await;
    [silent, idle, amid]
}

async fn drains(gateway: &Gateway) {
    let look = async || match operations::get(gateway.operations(), "/readyz") {
        Ok((503, text)) if text.contains("draining") => Ok(()),
        other => Err(other),
    };
    wait_until("it says that it drains", look).await;
    assert_eq!(operations::get(gateway.operations(), "/healthz").map(|(status, _)| status), Ok(200));
}

async fn takes_no_connection(gateway: &Gateway) {
    let look = async || match TcpStream::connect(gateway.address()).await {
        Err(_) => Ok(()),
        Ok(_) => Err("it takes a connection"),
    };
    wait_until("new connections are refused", look).await;
}

/// After the end: the rows that a new process on the same folder finds.
async fn ended(gateway: &mut Gateway) -> Rows {
    let status = gateway.wait_for_end();
    assert!(status.success(), "{status}");
    gateway.start_again();
    gateway.rows().await
}

#[tokio::test]
async fn a_stream_that_runs_when_the_signal_comes_runs_to_its_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let provider = Provider::listen(Ipv4Addr::LOCALHOST.into()).unwrap();
        let (mut gateway, key) = start(&provider, GRACE_ENDLESS);
        let mut begun = begin(&gateway, &provider, &key).await;
        let waiting = waiting(&gateway, &key).await;
        gateway.signal(signal);
        drains(&gateway).await;
        takes_no_connection(&gateway).await;
        for mut connection in waiting {
            assert_eq!(connection.to_end().await.0, b"", "a connection without a request is closed");
        }
        for word in ["two", "three"] {
            begun.asked.send(&event(word)).await;
        }
        begun.asked.send("data: [DONE]\n\n").await;
        begun.asked.end().await;
        let answer = begun.rest().await;
        assert!(answer.complete, "{answer:?}");
        assert_eq!(answer.text(), ["one", "two", "three"].map(event).concat() + "data: [DONE]\n\n");

        let rows = ended(&mut gateway).await;
        assert_eq!(rows.ids().into_iter().collect::<Vec<_>>(), [answer.header(REQUEST_ID).unwrap()]);
        let row = rows.iter().next().unwrap();
        assert_eq!((&*text(row, "/error_type"), &row["bytes_out"]), ("", &answer.body.len().into()), "{row}");
    }
}

#[tokio::test]
async fn a_stream_that_outlasts_the_grace_period_is_cut_and_has_its_usage_event() {
    let provider = Provider::listen(Ipv4Addr::LOCALHOST.into()).unwrap();
    let (mut gateway, key) = start(&provider, 1);
    let begun = begin(&gateway, &provider, &key).await;
    gateway.signal(Signal::TERM);
    let answer = begun.rest().await;
    assert!(!answer.complete, "a broken answer must not look whole");

    let rows = ended(&mut gateway).await;
    assert_eq!(rows.ids().into_iter().collect::<Vec<_>>(), [answer.header(REQUEST_ID).unwrap()]);
    let row = rows.iter().next().unwrap();
    let seen = (&*text(row, "/error_type"), &row["status"], &row["bytes_out"], &*text(row, "/usage_source"));
    assert_eq!(seen, ("gateway_crash", &json!(200), &json!(event("one").len()), "estimated"), "{row}");
}

#[tokio::test]
async fn each_of_many_streams_that_the_grace_period_cuts_has_its_usage_event() {
    const STREAMS: usize = 400;
    let mut gateway = Gateway::start(Options::default().set("/server/grace_period_seconds", json!(1)));
    let key = gateway.issue(&Grant::all("many"));
    let (client, ask) = (gateway.client(), stream(&key).sim("stall=100"));
    let begun = join_all((0..STREAMS).map(async |_| {
        let (mut connection, mut reader) = (client.connect().await, AnswerReader::new("POST"));
        connection.write(&ask.bytes()).await;
        connection.answer_until(&mut reader, |answer| answer.body.len() == 100).await;
        (connection, reader.end())
    }))
    .await;
    gateway.signal(Signal::TERM);
    let rows = ended(&mut gateway).await;
    let ids = begun.iter().map(|(_, answer)| answer.header(REQUEST_ID).unwrap().to_owned()).collect();
    assert_eq!(rows.ids(), ids);
    assert_eq!(rows.error_types(), [("gateway_crash".to_owned(), STREAMS)].into());
}

#[tokio::test]
async fn connections_that_only_wait_do_not_hold_the_end_up() {
    let mut gateway = Gateway::start(Options::default().set("/server/grace_period_seconds", json!(GRACE_ENDLESS)));
    let key = gateway.issue(&Grant::all("idle"));
    gateway.client().send(&Ask::chat(CHAT, MODEL, "a").bearer(&key.secret)).await.expect(200);
    let waiting = waiting(&gateway, &key).await;
    gateway.signal(Signal::TERM);
    assert_eq!(ended(&mut gateway).await.count(), 1);
    for mut connection in waiting {
        assert_eq!(connection.to_end().await.0, b"");
    }
}

#[tokio::test]
async fn events_that_still_wait_for_their_batch_are_stored_before_the_end() {
    let mut gateway = Gateway::start(Options::default().set("/usage/flush_interval_ms", json!(60_000)));
    let key = gateway.issue(&Grant::all("flush"));
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let answer = gateway.client().send(&Ask::chat(CHAT, MODEL, "a").bearer(&key.secret)).await.expect(200);
        ids.insert(answer.header(REQUEST_ID).unwrap().to_owned());
    }
    gateway.signal(Signal::TERM);
    assert_eq!(ended(&mut gateway).await.ids(), ids);
}

#[tokio::test]
async fn a_usage_store_that_gets_the_signal_as_well_takes_the_last_events_all_the_same() {
    // As a service manager does that signals all processes of a service.
    let provider = Provider::listen(Ipv4Addr::LOCALHOST.into()).unwrap();
    let (mut gateway, key) = start(&provider, GRACE_ENDLESS);
    let mut begun = begin(&gateway, &provider, &key).await;
    let found = async || gateway.usage_store_process().ok_or("there is no usage store");
    let store = wait_until("the usage store runs", found).await;
    gateway.signal(Signal::TERM);
    kill_process(store, Signal::TERM).expect("the store runs");
    drains(&gateway).await;
    let gone = async || if gateway.usage_store_process() == Some(store) { Err("it runs") } else { Ok(()) };
    wait_until("that usage store has ended", gone).await;
    begun.asked.end().await;
    let answer = begun.rest().await;
    assert!(answer.complete, "{answer:?}");
    let ids = ended(&mut gateway).await.ids();
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), [answer.header(REQUEST_ID).unwrap()]);
}

#[tokio::test]
async fn events_that_wait_are_stored_although_the_usage_store_got_the_signal_first() {
    let mut gateway = Gateway::start(Options::default().set("/usage/flush_interval_ms", json!(60_000)));
    let key = gateway.issue(&Grant::all("both"));
    let answer = gateway.client().send(&Ask::chat(CHAT, MODEL, "a").bearer(&key.secret)).await.expect(200);
    let found = async || gateway.usage_store_process().ok_or("there is no usage store");
    let store = wait_until("the usage store runs", found).await;
    kill_process(store, Signal::TERM).expect("the store runs");
    gateway.signal(Signal::TERM);
    let ids = ended(&mut gateway).await.ids();
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), [answer.header(REQUEST_ID).unwrap()]);
}
