//! HTTP/1.0 callers, and what keeps a connection open or ends it.

use crate::{
    ground::{BODY, CHAT, Ground},
    support::gateway::Options,
};
use serde_json::json;

fn old(ground: &Ground, line: &str, lines: &str, body: &str) -> Vec<u8> {
    format!("{line} HTTP/1.0\r\nauthorization: Bearer {}\r\n{lines}\r\n{body}", ground.key.secret).into_bytes()
}

#[tokio::test]
async fn a_caller_of_http_1_0_gets_an_answer_that_it_can_read() {
    let ground = Ground::start(Options::default());
    let length = format!("content-length: {}\r\ncontent-type: application/json\r\n", BODY.len());
    let streamed = BODY.replace("{\"model\"", "{\"stream\":true,\"model\"");
    let streamed_length = format!("content-length: {}\r\ncontent-type: application/json\r\n", streamed.len());
    let post = format!("POST {CHAT}");
    let cases = [
        ("own endpoint", old(&ground, "GET /gw/me", "", ""), 200),
        ("refusal", old(&ground, "GET /nobody/v1", "", ""), 404),
        ("answer with a length", old(&ground, &post, &length, BODY), 200),
        ("chunked answer", old(&ground, &post, &streamed_length, &streamed), 200),
        (
            "chunked answer, connection kept",
            old(&ground, &post, &(streamed_length.clone() + "connection: keep-alive\r\n"), &streamed),
            200,
        ),
    ];
    for (name, attack, status) in cases {
        let struck = ground.while_others_are_served(ground.strike(&attack)).await;
        let answer = &struck.answers[0];
        assert_eq!((answer.status(), struck.answers.len(), answer.complete), (status, 1, true), "{name}: {struck:?}");
        assert_eq!(answer.header("transfer-encoding"), None, "{name}: HTTP/1.0 knows no chunks: {:?}", answer.head);
        if name.starts_with("chunked") {
            assert!(answer.text().ends_with("data: [DONE]\n\n"), "{name}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_caller_of_http_1_0_cannot_send_chunks() {
    let ground = Ground::start(Options::default());
    let lines = "transfer-encoding: chunked\r\ncontent-type: application/json\r\n";
    let chunked = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len());
    let struck = ground.strike(&old(&ground, &format!("POST {CHAT}"), lines, &chunked)).await;
    assert_eq!((struck.first(), struck.answers.len()), ((400, String::new()), 1), "{struck:?}");
    assert_eq!(ground.upstream(), Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_lives_as_long_as_both_sides_want_it() {
    let ground = Ground::keeping(Options::default().set("/server/requests_per_connection_max", json!(3)), 60);
    let ask = |version: &str, lines: &str| {
        let head = ground.head();
        format!("GET /gw/me HTTP/{version}\r\n{head}{lines}\r\n").into_bytes()
    };
    let cases = [
        ("1.1", "", 3),
        ("1.1", "connection: keep-alive\r\n", 3),
        ("1.1", "connection: close\r\n", 1),
        ("1.1", "Connection: x, Close\r\n", 1),
        ("1.0", "", 1),
        ("1.0", "connection: keep-alive\r\n", 3),
    ];
    for (version, lines, expected) in cases {
        let mut connection = ground.gateway.client().connect().await;
        let mut answered = 0;
        loop {
            connection.write(&ask(version, lines)).await;
            let answer = connection.answer("GET").await;
            if answer.status() == 0 {
                break;
            }
            assert_eq!(answer.status(), 200);
            answered += 1;
            let says = answer.header("connection").unwrap_or_default().to_owned();
            assert_eq!(says == "close", answered == expected, "{version} {lines:?}: answer {answered} says {says}");
        }
        assert_eq!(answered, expected, "{version} {lines:?}");
    }
}
