//! Bodies without end, and bodies that claim to be huge: 413 at the bound, whatever still comes.

use crate::{
    ground::{CHAT, FILES, Ground, read_all},
    memory::{MIB, SLACK},
    support::gateway::Options,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const BODY_BYTES_MAX: u64 = 256 * 1024;
/// What an attacker can get rid of beyond the bound: what sockets buffer, and what is read away before the answer.
const BEYOND_MAX: u64 = 16 * MIB;

fn ground() -> Ground {
    Ground::start(Options::default().set("/requests/body_bytes_max", json!(BODY_BYTES_MAX)))
}

#[tokio::test]
async fn a_body_that_declares_too_much_is_refused_before_it_comes() {
    let ground = ground();
    let watch = ground.watch();
    for target in [CHAT, FILES] {
        for length in ["262145", "10000000000", "18446744073709551615"] {
            let lines = format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n");
            let head = format!("POST {target} HTTP/1.1\r\n{}{lines}", ground.head());
            let struck = ground.while_others_are_served(ground.strike(head.as_bytes())).await;
            let expected = (413, "payload_too_large".to_owned());
            assert_eq!((struck.first(), struck.answers.len()), (expected, 1), "{target} {length}: {struck:?}");
        }
    }
    assert_eq!(ground.upstream(), Vec::<String>::new());
    assert!(watch.grown() < SLACK, "{} bytes", watch.grown());
}

/// Sends a head and then one piece again and again, until nobody takes it any more. Gives how much was sent, and what
/// was answered.
async fn pour(ground: &Ground, head: &[u8], piece: &[u8]) -> (u64, String) {
    let stream = TcpStream::connect(ground.gateway.address()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let pouring = async {
        let mut sent = 0;
        if writer.write_all(head).await.is_ok() {
            while sent < 1024 * MIB && writer.write_all(piece).await.is_ok() {
                sent += piece.len() as u64;
            }
        }
        sent
    };
    let reading = async {
        let mut answer = Vec::new();
        drop(reader.read_to_end(&mut answer).await);
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::join!(pouring, reading)
}

#[tokio::test]
async fn a_body_without_end_is_refused_at_the_bound() {
    let ground = ground();
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    let large = [b"40000000\r\n".to_vec(), vec![b' '; 0x10000]].concat();
    let small = b"1\r\n \r\n".repeat(10_000);
    for target in [CHAT, FILES] {
        let lines = "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let head = format!("POST {target} HTTP/1.1\r\n{}{lines}", ground.head()).into_bytes();
        let one_chunk = [head.clone(), large.clone()].concat();
        let cases = [("chunks", &head, &chunk), ("one chunk", &one_chunk, &chunk), ("small chunks", &head, &small)];
        for (name, head, piece) in cases {
            let watch = ground.watch();
            let (sent, answer) = ground.while_others_are_served(pour(&ground, head, piece)).await;
            assert!(
                answer.contains("413 Payload Too Large") && answer.contains("payload_too_large"),
                "{name}: {answer}"
            );
            assert!(sent < BODY_BYTES_MAX * 6 + BEYOND_MAX, "{target}, {name}: {sent} bytes were taken");
            assert!(watch.grown() < SLACK + 8 * BODY_BYTES_MAX, "{target}, {name}: {} bytes", watch.grown());
        }
    }
    assert!(!ground.upstream().iter().any(|line| line.contains("chat")), "{:?}", ground.upstream());
    let whole = ground.gateway.simulator.matching(|request| request.path() == "/v1/files" && request.complete);
    assert!(whole.is_empty(), "{whole:?}");
}

#[tokio::test]
async fn a_refused_body_does_not_become_the_next_request() {
    let ground = ground();
    let length = ground.smuggled().len();
    let head = format!("POST /nobody/v1 HTTP/1.1\r\n{}content-length: {length}\r\n\r\n", ground.head());
    let next = format!("GET /gw/me HTTP/1.1\r\n{}\r\n", ground.head());
    let mut connection = ground.gateway.client().connect().await;
    connection.write(head.as_bytes()).await;
    connection.write(ground.smuggled().as_bytes()).await;
    assert_eq!(connection.answer("POST").await.status(), 404);
    connection.write(next.as_bytes()).await;
    let struck = read_all(&mut connection).await;
    assert_eq!((struck.first().0, struck.answers.len()), (200, 1), "{struck:?}");
    assert_eq!(ground.upstream(), Vec::<String>::new());
}
