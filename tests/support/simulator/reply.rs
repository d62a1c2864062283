//! What the simulator answers: status, headers and body as values, and how they are delivered: framing, cuts, coding,
//! delays and faults. A reply is data; `plan.rs` turns it into bytes.

use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// How the end of the body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    ContentLength,
    Chunked,
    /// The connection's end is the body's end.
    Close,
    /// The simulator adds no framing header: the reply's own headers say it all.
    AsGiven,
}

/// Where the body is cut into writes (and into chunks, where it is chunked).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cuts {
    /// One write for each piece of the body.
    Pieces,
    /// One write.
    Whole,
    /// Writes of that many bytes.
    Every(usize),
    /// Uneven writes between 1 and 97 bytes, the same for the same seed.
    Odd(u64),
}

/// A content coding, flushed after each piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

/// How an answer breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// The connection is closed in good order (FIN).
    Fin,
    /// The connection is reset (RST).
    Reset,
    /// Nothing more comes, and the connection stays open until the peer closes it.
    Stall,
}

/// Where an answer breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    BeforeHead(Break),
    /// After that many bytes of the body (as coded, without its framing).
    AfterBody(usize, Break),
}

/// Holds back every write of a body but the first, until the test lets them pass one by one.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Gate {}

impl Gate {
    /// Lets the next write pass.
    pub fn let_one_pass(&self) {
        self.0.add_permits(1);
    }

    /// Waits until the test lets this write pass.
    pub(super) async fn passed(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// Timing and form of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whole interim heads (`HTTP/1.1 103 …\r\n\r\n`), sent before the head.
    pub interim: Vec<Vec<u8>>,
    pub delay_head: Duration,
    /// Before every write of the body but the first.
    pub delay_chunk: Duration,
    pub gate: Option<Gate>,
    pub framing: Framing,
    pub cuts: Cuts,
    pub coding: Coding,
    pub fault: Option<Fault>,
    /// Sent after the end of the answer.
    pub trailing: Vec<u8>,
    /// Put after each chunk size, with its semicolon.
    pub chunk_extension: String,
    /// Trailer lines of a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Close the connection after this answer, and say so.
    pub close: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            interim: Vec::new(),
            delay_head: Duration::ZERO,
            delay_chunk: Duration::ZERO,
            gate: None,
            framing: Framing::ContentLength,
            cuts: Cuts::Pieces,
            coding: Coding::Identity,
            fault: None,
            trailing: Vec::new(),
            chunk_extension: String::new(),
            trailers: Vec::new(),
            close: false,
        }
    }
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A head made from its parts, and a body in pieces.
    Http { status: u16, reason: String, headers: Vec<(String, String)>, pieces: Vec<Vec<u8>> },
    /// Exactly these bytes, each its own write.
    Raw(Vec<Vec<u8>>),
    /// `101` and then WebSocket messages; see `realtime.rs`.
    Realtime { model: String },
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub content: Content,
    pub delivery: Delivery,
}

impl Reply {
    /// An answer with a body of one piece.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::of(Content::Http {
            status,
            reason: reason(status).to_owned(),
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            pieces: vec![body.into()],
        })
    }

    /// A JSON answer.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// A stream of server-sent events, chunked, one piece an event.
    pub fn events(pieces: Vec<Vec<u8>>) -> Self {
        Self::pieces("text/event-stream; charset=utf-8", pieces)
    }

    /// A chunked answer in pieces.
    pub fn pieces(content_type: &str, pieces: Vec<Vec<u8>>) -> Self {
        let mut reply = Self::of(Content::Http {
            status: 200,
            reason: reason(200).to_owned(),
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            pieces,
        });
        reply.delivery.framing = Framing::Chunked;
        reply
    }

    /// An answer without a body or a content type.
    pub fn empty(status: u16) -> Self {
        Self::of(Content::Http { status, reason: reason(status).to_owned(), headers: Vec::new(), pieces: Vec::new() })
    }

    /// Exactly these bytes instead of an HTTP answer; then the connection closes.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        let mut reply = Self::of(Content::Raw(vec![bytes.into()]));
        reply.delivery.close = true;
        reply
    }

    /// Exactly these bytes, each piece its own write; then the connection closes.
    pub fn raw_pieces(pieces: Vec<Vec<u8>>) -> Self {
        let mut reply = Self::of(Content::Raw(pieces));
        reply.delivery.close = true;
        reply
    }

    /// No answer; the connection stays open until the peer closes it.
    pub fn never() -> Self {
        Self::empty(200).with_fault(Fault::BeforeHead(Break::Stall))
    }

    /// A WebSocket that echoes and answers `response.create` with usage.
    pub fn realtime(model: &str) -> Self {
        Self::of(Content::Realtime { model: model.to_owned() })
    }

    fn of(content: Content) -> Self {
        Self { content, delivery: Delivery::default() }
    }

    /// Adds a header line as it is; duplicates stay.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Content::Http { headers, .. } = &mut self.content {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Sets how the answer breaks off.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.delivery.fault = Some(fault);
        self
    }

    /// Changes the delivery.
    #[must_use]
    pub fn delivered(mut self, change: impl FnOnce(&mut Delivery)) -> Self {
        change(&mut self.delivery);
        self
    }

    /// The body before coding and framing.
    pub fn body(&self) -> Vec<u8> {
        match &self.content {
            Content::Http { pieces, .. } | Content::Raw(pieces) => pieces.concat(),
            Content::Realtime { .. } => Vec::new(),
        }
    }
}

/// The usual reason phrase.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        529 => "Overloaded",
        _ => http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("Unknown"),
    }
}
