//! Heads that are too large, methods that are none, and protocols that are not ours.

use crate::{
    ground::{Ground, Row, all_refused},
    memory::{MIB, SLACK},
    support::gateway::Options,
};

const PARSER: (u16, &str) = (400, "");

#[tokio::test]
async fn large_heads_are_refused_and_cost_little_memory() {
    let ground = Ground::start(Options::default());
    let get = |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\n{}{lines}\r\n", ground.head()).into_bytes();
    let models = "/openai/v1/models";
    let keyed = |key: &str| {
        format!("GET {models} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer {key}\r\n\r\n").into_bytes()
    };
    let large = (413, "payload_too_large");
    let rows: Vec<Row<'_>> = vec![
        ("a header of 1 MiB", get(models, &format!("x: {}\r\n", "a".repeat(1 << 20))), PARSER),
        ("a header of 900 KiB", get(models, &format!("x: {}\r\n", "a".repeat(900 << 10))), large),
        ("a header just over the bound", get(models, &format!("x: {}\r\n", "a".repeat(64 << 10))), large),
        ("200 headers of 1 KiB", get(models, &format!("x: {}\r\n", "a".repeat(1 << 10)).repeat(200)), large),
        ("10,000 headers", get(models, &"x: a\r\n".repeat(10_000)), PARSER),
        ("a target of 1 MiB", get(&format!("/openai/{}", "a".repeat(1 << 20)), ""), PARSER),
        ("a target of 60 KiB", get(&format!("/openai/{}", "a".repeat(60 << 10)), ""), (400, "bad_request")),
        ("a query of 60 KiB", get(&format!("{models}?a={}", "a".repeat(60 << 10)), ""), (400, "bad_request")),
        ("a provider's name of 10 KiB", get(&format!("/{}/v1", "a".repeat(10 << 10)), ""), (404, "not_found")),
        ("a key of 1 MiB", keyed(&"a".repeat(1 << 20)), PARSER),
        ("a key of 100 KiB", keyed(&"a".repeat(100 << 10)), large),
        ("a key of 10 KiB", keyed(&"a".repeat(10 << 10)), (401, "unauthorized")),
        (
            "a gateway key and 10 KiB more",
            keyed(&(ground.key.secret.clone() + &"0".repeat(10 << 10))),
            (401, "unauthorized"),
        ),
        ("a method of 1 MiB", [vec![b'A'; 1 << 20], b" / HTTP/1.1\r\n\r\n".to_vec()].concat(), PARSER),
        ("a head that has no end", vec![b'a'; 2 << 20], PARSER),
    ];
    let attackers = rows.len() as u64;
    let watch = ground.watch();
    all_refused(&ground, rows).await;
    // Pingora reads a head of up to 1 MiB into a buffer that doubles, and copies it once to parse it.
    let bound = 4 * attackers * MIB + SLACK;
    assert!(watch.grown() < bound, "{} bytes, not {bound}", watch.grown());
}

#[tokio::test]
async fn methods_and_protocols_that_are_not_ours_are_refused() {
    let ground = Ground::start(Options::default());
    let ask = |line: &str| format!("{line} HTTP/1.1\r\n{}\r\n", ground.head()).into_bytes();
    let not_allowed = (405, "method_not_allowed");
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.extend((0..512_u16).map(|byte| (byte % 251).to_le_bytes()[0]));
    let rows: Vec<Row<'_>> = vec![
        ("BREW", ask("BREW /openai/v1/models"), not_allowed),
        ("TRACE", ask("TRACE /openai/v1/models"), not_allowed),
        ("PROPFIND", ask("PROPFIND /openai/v1/models"), not_allowed),
        ("a method in lower case", ask("get /openai/v1/models"), not_allowed),
        ("a method of signs", ask("!#$%&'*+-.^_`|~ /openai/v1/models"), not_allowed),
        ("a method with NUL", ask("GE\0T /openai/v1/models"), PARSER),
        ("CONNECT to a host", ask("CONNECT other.test:443"), PARSER),
        ("CONNECT to ourselves", ask("CONNECT gateway.test"), (405, "")),
        ("CONNECT to a path", ask("CONNECT /openai/v1/models"), (405, "")),
        ("HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), PARSER),
        ("a TLS hello", hello, PARSER),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), PARSER),
        (
            "a PROXY line",
            [b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(), ask("GET /openai/v1/models")].concat(),
            PARSER,
        ),
    ];
    all_refused(&ground, rows).await;
}
