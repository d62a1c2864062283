//! Callers that vanish while they send their request: one usage event that says so, and nothing is left open.

use crate::{
    CHAT, MODEL, key, quiet,
    seed::Chance,
    support::{
        gateway::{Gateway, Key, Options, names, rows::text},
        http::{Ask, Client},
    },
};
use futures_util::future::join_all;

const AT_ONCE: usize = 200;
const BODY_BYTES: usize = 100_000;

/// How the body goes through the gateway, and how it is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Read for its model before anything is forwarded.
    Held,
    HeldChunked,
    /// Names no model: goes on as it comes.
    Streamed,
    StreamedChunked,
}

const KINDS: [Kind; 4] = [Kind::Held, Kind::HeldChunked, Kind::Streamed, Kind::StreamedChunked];

impl Kind {
    fn ask(self, key: &Key, nonce: usize) -> Ask {
        let json = serde_json::json!({"model": MODEL, "messages": "x".repeat(BODY_BYTES)}).to_string();
        let target = if matches!(self, Self::Held | Self::HeldChunked) { CHAT } else { "/openai/v1/batches" };
        let ask = Ask::new("POST", target).bearer(&key.secret).header("content-type", "application/json");
        // The gateway answers `100` itself where it reads the body, else the provider does: then both have the request.
        let ask = ask.header("expect", "100-continue").header("x-attr-nonce", &nonce.to_string());
        match self {
            Self::Held | Self::Streamed => ask.body(json),
            Self::HeldChunked | Self::StreamedChunked => ask.chunks(&[json.as_bytes()]),
        }
    }
}

/// Sends a request up to somewhere in its body.
async fn vanish(client: Client, ask: Ask, body_sent: usize, resets: bool) {
    let bytes = ask.bytes();
    let head = memchr::memmem::find(&bytes, b"\r\n\r\n").expect("a head") + 4;
    let mut connection = client.connect().await;
    connection.write(&bytes[..head]).await;
    assert!(connection.read_no_more_than("HTTP/1.1 100 Continue\r\n\r\n".len()).await, "100 comes");
    connection.write(&bytes[head..head + body_sent]).await;
    if resets {
        connection.reset();
    }
}

#[tokio::test]
async fn each_caller_that_vanishes_within_its_body_has_one_usage_event() {
    let gateway = Gateway::start(Options::default());
    let key = key(&gateway, "uploads", &["--concurrency", "200"]);
    let mut chance = Chance::new();
    for _ in 0..2 {
        let calls = (0..AT_ONCE).map(|number| {
            let ask = KINDS[number % KINDS.len()].ask(&key, number);
            vanish(gateway.client(), ask, chance.between(0, BODY_BYTES), chance.one_of(&[true, false]))
        });
        join_all(calls.collect::<Vec<_>>()).await;
        quiet(&gateway).await;
    }
    gateway.simulator.wait_for_connections_open(0).await.unwrap();
    let rows = gateway.rows().await;
    assert_eq!(rows.ids().len(), 2 * AT_ONCE);
    for row in rows.iter() {
        assert_eq!((&*text(row, "/error_type"), &row["status"]), ("caller_gone", &0.into()), "{row}");
    }
    let to_chat = gateway.simulator.matching(|one| CHAT.ends_with(one.path()));
    assert_eq!(to_chat.len(), 0, "a body that is not whole is not forwarded where its model is read");
}

#[tokio::test]
async fn a_head_that_never_ends_makes_no_exchange() {
    let gateway = Gateway::start(Options::default());
    let key = key(&gateway, "heads", &[]);
    let bytes = Ask::chat(CHAT, MODEL, "a").bearer(&key.secret).bytes();
    let head = memchr::memmem::find(&bytes, b"\r\n\r\n").expect("a head") + 3;
    let mut chance = Chance::new();
    let cuts: Vec<(usize, bool)> =
        (0..AT_ONCE).map(|_| (chance.between(0, head), chance.one_of(&[true, false]))).collect();
    let (gateway_, bytes) = (&gateway, &bytes);
    join_all(cuts.into_iter().map(async |(sent, resets)| {
        let mut connection = gateway_.client().connect().await;
        connection.write(&bytes[..sent]).await;
        if resets {
            connection.reset();
        }
    }))
    .await;
    gateway.client().send(&Ask::chat(CHAT, MODEL, "a").bearer(&key.secret)).await.expect(200);
    quiet(&gateway).await;
    let metrics = gateway.metrics();
    assert_eq!((metrics.total(names::EXCHANGES), metrics.total(names::USAGE_EVENTS)), (1.0, 1.0), "the whole one");
}
