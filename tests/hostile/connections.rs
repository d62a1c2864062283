//! Connections that cost something and bring nothing: silent ones, half-closed ones, and callers that never read.

use crate::{
    ground::{BODY, Ground},
    memory::SLACK,
    support::{
        gateway::{Options, names},
        http::Ask,
        simulator::Reply,
        wait::{soon, wait_until},
    },
};
use futures_util::future::join_all;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What a connection that has sent nothing may cost the gateway.
const SILENT_BYTES_MAX: u64 = 128 * 1024;

async fn connect(ground: &Ground) -> TcpStream {
    soon("a connection", TcpStream::connect(ground.gateway.address())).await.unwrap()
}

async fn none_open(ground: &Ground) {
    let none = |metrics: &crate::support::gateway::Metrics| metrics.total(names::EXCHANGES_OPEN) == 0.0;
    ground.gateway.wait_for_metrics("no exchange is open", none).await;
}

#[tokio::test]
async fn two_thousand_connections_that_send_nothing_hold_nobody_up() {
    let ground = Ground::start(Options::default());
    let watch = ground.watch();
    let mut silent = Vec::new();
    for _ in 0..20 {
        let some = ground.while_others_are_served(join_all((0..100).map(|_| connect(&ground)))).await;
        silent.extend(some);
    }
    let grown = watch.grown();
    assert!(grown < 2000 * SILENT_BYTES_MAX, "{grown} bytes");
    drop(silent);
    none_open(&ground).await;
    assert_eq!(ground.upstream(), Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_that_is_idle_between_requests_ends() {
    let ground = Ground::start(Options::default());
    let mut connection = ground.gateway.client().connect().await;
    connection.send(&Ask::get("/gw/me").bearer(&ground.key.secret)).await.expect(200);
    let (rest, ended) = ground.while_others_are_served(connection.to_end()).await;
    assert!(rest.is_empty() && ended.is_ok(), "{ended:?}");
}

#[tokio::test]
async fn a_connection_that_stops_within_a_request_ends() {
    let ground = Ground::start(Options::default().set("/requests/body_read_timeout_seconds", json!(1)));
    let length = format!("content-length: {}\r\n", BODY.len());
    let whole = ground.chat(&length, BODY.as_bytes());
    // Half-closed in the head, at its end and within the body: nobody will send the rest.
    for sent in [1, 20, whole.len() - BODY.len() - 1, whole.len() - BODY.len(), whole.len() - 1] {
        let ended = async {
            let mut stream = connect(&ground).await;
            stream.write_all(&whole[..sent]).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            drop(soon("the end", stream.read_to_end(&mut answer)).await);
            String::from_utf8_lossy(&answer).into_owned()
        };
        let answer = ground.while_others_are_served(ended).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{sent}: {answer}");
    }
    none_open(&ground).await;
    assert_eq!(ground.upstream(), Vec::<String>::new());
}

#[tokio::test]
async fn a_caller_that_half_closes_is_gone_and_its_call_to_the_provider_ends() {
    let ground = Ground::start(Options::default());
    let lines = format!("x-sim: never\r\ncontent-length: {}\r\n", BODY.len());
    let mut stream = connect(&ground).await;
    stream.write_all(&ground.chat(&lines, BODY.as_bytes())).await.unwrap();
    ground.gateway.simulator.wait_for("the call", |request| request.complete).await.unwrap();
    let ended = async {
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        drop(soon("the end", stream.read_to_end(&mut answer)).await);
        answer
    };
    assert_eq!(ground.while_others_are_served(ended).await, b"");
    let gone = |request: &crate::support::simulator::Request| request.peer_closed_at.is_some();
    ground.gateway.simulator.wait_for("cancelled", gone).await.unwrap();
    none_open(&ground).await;
}

#[tokio::test]
async fn a_caller_that_never_reads_is_cut_off_and_holds_no_answer_in_memory() {
    let ground = Ground::start(Options::default().set("/requests/caller_write_timeout_seconds", json!(1)));
    let large = 64 << 20;
    ground.gateway.simulator.name("large", Reply::json(200, vec![b' '; large]));
    let lines = format!("x-sim: reply=large\r\ncontent-length: {}\r\n", BODY.len());
    let attack = ground.chat(&lines, BODY.as_bytes());
    let watch = ground.watch();
    let cut = async {
        let mut streams = join_all((0..4).map(|_| connect(&ground))).await;
        for stream in &mut streams {
            stream.write_all(&attack).await.unwrap();
        }
        let look = async || {
            let calls = ground.gateway.simulator.matching(|request| request.peer_closed_at.is_some());
            if calls.len() == 4 { Ok(calls) } else { Err(calls.len()) }
        };
        (wait_until("the provider to be let go", look).await, streams)
    };
    let (calls, streams) = ground.while_others_are_served(cut).await;
    assert!(calls.iter().all(|call| call.bytes_sent < large), "{:?}", calls.iter().map(|call| call.bytes_sent));
    assert!(watch.grown() < SLACK, "{} bytes", watch.grown());
    none_open(&ground).await;
    drop(streams);
}
