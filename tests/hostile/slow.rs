//! Callers that send a byte now and then: each part of a request has its time, however often something comes.

use crate::{
    ground::{BODY, FILES, Ground},
    support::{gateway::Options, http::Ask, simulator::Request, wait::soon},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, sleep},
};

/// Between two bytes.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends the first bytes at once and the others one by one until the connection ends; gives the answer.
async fn trickle(ground: &Ground, bytes: &[u8], at_once: usize) -> String {
    let stream = TcpStream::connect(ground.gateway.address()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let writing = async {
        let (first, rest) = bytes.split_at(at_once);
        drop(writer.write_all(first).await);
        for byte in rest.iter().cycle() {
            sleep(PAUSE).await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let reading = async {
        drop(reader.read_to_end(&mut answer).await);
    };
    let ended = async {
        tokio::select! {
            () = writing => {}
            () = reading => {}
        }
    };
    soon("the end of a slow connection", ended).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_has_its_time() {
    let ground = Ground::start(Options::default().set("/requests/head_read_timeout_seconds", json!(1)));
    let endless = format!("GET /openai/v1/models HTTP/1.1\r\n{}x: {}", ground.head(), "a".repeat(100)).into_bytes();
    let served = format!("GET /gw/me HTTP/1.1\r\n{}\r\n", ground.head()).into_bytes();
    let behind = [&served, &endless[..1]].concat();
    let cases = [
        ("from its first byte", &endless, 0),
        ("from its middle", &endless, 50),
        ("the second head", &behind, served.len()),
    ];
    for (name, attack, at_once) in cases {
        let answer = ground.while_others_are_served(trickle(&ground, attack, at_once)).await;
        let expected = if name == "the second head" { "HTTP/1.1 200 OK" } else { "" };
        assert!(answer.starts_with(expected) && answer.matches("HTTP/1.1").count() <= 1, "{name}: {answer}");
    }
    assert_eq!(ground.upstream(), Vec::<String>::new());
}

#[tokio::test]
async fn the_time_of_a_head_is_no_time_between_heads_nor_of_an_exchange() {
    let ground = Ground::keeping(Options::default().set("/requests/head_read_timeout_seconds", json!(1)), 60);
    let mut connection = ground.gateway.client().connect().await;
    let call = Ask::get("/openai/v1/models").bearer(&ground.key.secret).sim("delay=1500ms");
    for _ in 0..2 {
        connection.send(&call).await.expect(200);
        // Meanwhile this connection is idle for longer than a head may take.
        ground.gateway.client().send(&call).await.expect(200);
    }
    connection.send(&call).await.expect(200);
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_has_its_time() {
    let ground = Ground::start(Options::default().set("/requests/body_read_timeout_seconds", json!(1)));
    for lines in ["content-length: 100000\r\n", "transfer-encoding: chunked\r\n"] {
        let framing = if lines.starts_with('c') { "" } else { "10000\r\n" };
        let attack = ground.chat(lines, format!("{framing}{{{}", " ".repeat(100)).as_bytes());
        let at_once = attack.len() - 100;
        let answer = ground.while_others_are_served(trickle(&ground, &attack, at_once)).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("did not arrive in time"), "{lines}: {answer}");
    }
    assert_eq!(ground.upstream(), Vec::<String>::new());
}

#[tokio::test]
async fn a_body_that_stops_has_its_time() {
    let ground = Ground::start(Options::default().set("/requests/body_read_timeout_seconds", json!(1)));
    let attack = ground.chat("content-length: 100000\r\n", BODY.as_bytes());
    let struck = ground.while_others_are_served(ground.strike(&attack)).await;
    assert_eq!((struck.first(), struck.answers.len()), ((400, "bad_request".to_owned()), 1), "{struck:?}");
    assert!(struck.answers[0].text().contains("did not arrive in time"), "{struck:?}");
    assert_eq!(ground.upstream(), Vec::<String>::new());
}

#[tokio::test]
async fn a_body_that_is_passed_on_has_its_time_too() {
    let ground = Ground::start(Options::default().set("/requests/body_read_timeout_seconds", json!(1)));
    let head = format!("POST {FILES} HTTP/1.1\r\n{}content-length: 100000\r\n\r\n", ground.head()).into_bytes();
    let attack = [&head[..], &[b' '; 100]].concat();
    let answer = ground.while_others_are_served(trickle(&ground, &attack, head.len())).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("did not arrive in time"), "{answer}");
    let cut = |request: &Request| request.peer_closed_at.is_some() && !request.complete;
    ground.gateway.simulator.wait_for("cut", cut).await.unwrap();
}
