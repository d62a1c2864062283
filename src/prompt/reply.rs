//! An answer to a caller, and the exchange that ends with it: told in one piece, or in segments with a pause between two.
//! Segments are cut from the restored answer, between characters.

use super::{on_record, refusal::No, settings::Settings};
use crate::{
    base::clock::{self, Duration},
    exchange::exchange::{Ending, Exchange},
    masking::segments,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// An answer.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub telling: Telling,
}

/// What is left to tell, and the exchange, which is settled when this is dropped.
pub struct Telling {
    exchange: Exchange,
    left: CancellationToken,
    rest: Rest,
    /// How the exchange has ended once all is told.
    told: Ending,
    is_over: bool,
}

enum Rest {
    Whole(Bytes),
    Segments {
        answer: Zeroizing<String>,
        at: usize,
        bytes: usize,
        pause: Duration,
    },
    /// What ends a stream.
    Mark,
    Nothing,
}

const SSE: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

impl Reply {
    /// 200 with a document.
    pub(super) fn document(exchange: Exchange, left: CancellationToken, document: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(document) {
            Ok(body) => Self::whole(exchange, left, (200, body), Ending::Answered),
            Err(_) => Self::refused(exchange, left, &No::validation("the answer cannot be written as JSON")),
        }
    }

    /// 200 with the restored answer in segments.
    pub(super) fn segments(
        exchange: Exchange,
        left: CancellationToken,
        answer: Zeroizing<String>,
        settings: &Settings,
    ) -> Self {
        let (bytes, pause) = (settings.segment_bytes, settings.segment_pause);
        let rest = Rest::Segments { answer, at: 0, bytes, pause };
        let headers = vec![(header::CONTENT_TYPE, SSE)];
        Self::new(Telling::new(exchange, left, rest, Ending::Answered), 200, headers)
    }

    /// A refusal.
    pub(super) fn refused(mut exchange: Exchange, left: CancellationToken, no: &No) -> Self {
        let refusal = &no.refusal;
        exchange.refused(refusal);
        let told = Ending::RefusedAs(no.code.as_str());
        exchange.ending = told;
        let mut reply = Self::whole(exchange, left, (refusal.kind.status(), no.body()), told);
        if let Some(seconds) = refusal.retry_after_seconds {
            reply.headers.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if let Some(limit) = refusal.limit {
            reply.headers.push((HeaderName::from_static("x-gateway-limit"), HeaderValue::from_static(limit)));
        }
        reply
    }

    /// Nobody is there to be told.
    pub(super) fn unheard(mut exchange: Exchange, left: CancellationToken) -> Self {
        exchange.ending = Ending::CallerGone;
        let mut telling = Telling::new(exchange, left, Rest::Nothing, Ending::CallerGone);
        telling.is_over = true;
        Self { status: 200, headers: Vec::new(), telling }
    }

    fn whole(exchange: Exchange, left: CancellationToken, (status, body): (u16, Vec<u8>), told: Ending) -> Self {
        let headers = vec![(header::CONTENT_TYPE, JSON), (header::CONTENT_LENGTH, HeaderValue::from(body.len()))];
        Self::new(Telling::new(exchange, left, Rest::Whole(body.into()), told), status, headers)
    }

    fn new(mut telling: Telling, status: u16, mut headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        let exchange = &mut telling.exchange;
        exchange.status = status;
        // What the meter saw was the provider's; the caller gets another answer.
        if let Some(answer) = &mut exchange.answer {
            (answer.bytes_out, answer.first_byte) = (0, None);
            answer.streamed = matches!(telling.rest, Rest::Segments { .. });
        }
        headers.push((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
        if let Ok(id) = HeaderValue::from_str(exchange.arrival.id.as_str()) {
            headers.push((HeaderName::from_static("x-request-id"), id));
        }
        Self { status, headers, telling }
    }
}

impl Telling {
    fn new(exchange: Exchange, left: CancellationToken, rest: Rest, told: Ending) -> Self {
        Self { exchange, left, rest, told, is_over: false }
    }

    /// The next piece; `None` when all is told.
    pub async fn next(&mut self) -> Option<Bytes> {
        let piece = match std::mem::replace(&mut self.rest, Rest::Nothing) {
            Rest::Nothing => {
                self.exchange.ending = self.told;
                self.is_over = true;
                return None;
            }
            Rest::Whole(body) => body,
            Rest::Mark => DONE,
            Rest::Segments { answer, at, bytes, pause } => {
                let Some(segment) = answer.get(at..).and_then(|rest| segments(rest, bytes).next()) else {
                    self.told_more(&DONE);
                    self.record().await;
                    return Some(DONE);
                };
                if at > 0 && !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let event = Bytes::from(format!("data: {}\n\n", json!({"chunk": segment})));
                let at = at + segment.len();
                self.rest = if at < answer.len() { Rest::Segments { answer, at, bytes, pause } } else { Rest::Mark };
                event
            }
        };
        self.told_more(&piece);
        if matches!(self.rest, Rest::Nothing) {
            self.record().await;
        }
        Some(piece)
    }

    /// Where records must be durable, the end of an answer waits for its own.
    async fn record(&mut self) {
        if self.told == Ending::Answered
            && let Some(hold) = self.exchange.has_answer()
        {
            on_record(hold).await;
        }
    }

    fn told_more(&mut self, piece: &Bytes) {
        if let Some(answer) = &mut self.exchange.answer {
            answer.first_byte.get_or_insert_with(clock::instant);
            answer.bytes_out = answer.bytes_out.saturating_add(piece.len() as u64);
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let is_refused = matches!(self.told, Ending::RefusedAs(_));
        if self.is_over || is_refused {
            return;
        }
        self.exchange.ending = if self.exchange.method == Method::HEAD {
            self.told
        } else if self.left.is_cancelled() {
            Ending::CallerGone
        } else {
            Ending::CutShort
        };
    }
}
