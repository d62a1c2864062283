//! One caller's way through the gateway, with both sides of each exchange as they were on the wire.

use crate::support::{
    gateway::{Gateway, Grant, Key, Options},
    http::{Answer, Ask},
    simulator::{Reply, Request},
    wait::wait_until,
};
use serde_json::Value;
use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A caller in an organization of its own.
pub(crate) struct Lane {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) key: Key,
}

/// What came out at both ends.
pub(crate) struct Passed {
    /// What the provider received.
    pub(crate) received: Request,
    /// What the caller received.
    pub(crate) answer: Answer,
}

impl Lane {
    /// A caller of the shared gateway.
    pub(crate) fn new(organization: &str) -> Self {
        Self::of(Gateway::shared(), organization)
    }

    /// A caller with a gateway and a simulator of its own: for bodies that are large.
    pub(crate) fn alone(organization: &str) -> Self {
        Self::of(Arc::new(Gateway::start(Options::default())), organization)
    }

    /// A caller of that gateway.
    pub(crate) fn of(gateway: Arc<Gateway>, organization: &str) -> Self {
        let key = gateway.issue(&Grant::all(organization));
        Self { gateway, key }
    }

    /// The gateway key where `openai` takes it.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.key.secret)
    }

    /// Sends a request, and waits until the provider has it whole.
    pub(crate) async fn pass(&self, ask: &Ask) -> Passed {
        let mark = mark();
        let answer = self.gateway.client().send(&ask.clone().header("X-Mark", &mark)).await;
        Passed { received: self.received(&mark, &answer).await, answer }
    }

    /// The request that carried a mark.
    pub(crate) async fn received(&self, mark: &str, answer: &Answer) -> Request {
        let marked = |request: &Request| request.complete && request.header("x-mark") == Some(mark);
        let found = self.gateway.simulator.wait_for("the marked request", marked).await;
        found.unwrap_or_else(|fault| panic!("{fault}\nthe caller got {:?} {}", answer.head, answer.text()))
    }

    /// Registers a reply, and gives the knob that asks for it.
    pub(crate) fn reply(&self, reply: Reply) -> String {
        let name = mark();
        self.gateway.simulator.name(&name, reply);
        format!("reply={name}")
    }

    /// What the caller gets for a `GET` that the provider answers with exactly these bytes.
    pub(crate) async fn answered(&self, wire: &[u8]) -> Answer {
        let knob = self.reply(Reply::raw(wire));
        let ask = Ask::get("/openai/v1/models").header("authorization", &self.bearer()).sim(&knob);
        self.gateway.client().send(&ask).await
    }

    /// The stored usage event of an exchange.
    pub(crate) async fn usage_of(&self, answer: &Answer) -> Value {
        let id = answer.header("x-gateway-request-id").expect("each answer has an id");
        wait_until("the usage event", async || {
            let rows = self.gateway.rows_now().await?.with("/request_id", id);
            rows.iter().next().cloned().ok_or_else(|| format!("no event of {id}"))
        })
        .await
    }
}

/// A text that no other has.
pub(crate) fn mark() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("m{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Fails with the place where two texts of bytes part.
pub(crate) fn assert_same(what: &str, got: &[u8], expected: &[u8]) {
    if got == expected {
        return;
    }
    let at = got.iter().zip(expected).take_while(|(left, right)| left == right).count();
    let near = |bytes: &[u8]| bytes[at.saturating_sub(60)..bytes.len().min(at + 160)].escape_ascii().to_string();
    panic!(
        "{what}: {} bytes, expected {}; they part at {at}:\n     got …{}…\nexpected …{}…",
        got.len(),
        expected.len(),
        near(got),
        near(expected)
    );
}

/// Bytes of every value, in a pattern that shows when a piece is lost, doubled or out of place.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    // A prime number of bytes: no buffer's size is a multiple of it.
    let block: Vec<u8> = (0..65_521).map(|_| next()).collect();
    fill(&block, size)
}

/// A block again and again, cut to a size.
pub(crate) fn fill(block: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + block.len());
    while bytes.len() < size {
        bytes.extend_from_slice(block);
    }
    bytes.truncate(size);
    bytes
}

/// A text in a content coding.
pub(crate) fn coded(coding: &str, text: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    match coding {
        "gzip" => {
            let mut coder = flate2::write::GzEncoder::new(Vec::new(), level);
            coder.write_all(text).unwrap();
            coder.finish().unwrap()
        }
        "deflate" => {
            let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            coder.write_all(text).unwrap();
            coder.finish().unwrap()
        }
        "br" => {
            let mut coder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            coder.write_all(text).unwrap();
            coder.into_inner()
        }
        _ => zstd::stream::encode_all(text, 3).unwrap(),
    }
}

/// A head from its lines.
pub(crate) fn head<L: AsRef<[u8]>>(lines: &[L]) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for line in lines {
        bytes.extend_from_slice(line.as_ref());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
