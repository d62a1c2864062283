//! Writing our own answers to callers.

use super::gateway::{Passage, REQUEST_ID};
use crate::{
    base::clock::Duration,
    exchange::{
        arrive::METHODS,
        refusal::{Kind, Refusal},
    },
    prompt::{self, refusal::No},
};
use bytes::Bytes;
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

/// A refused request's body is read to its end when it is at most this large, so that the caller sees the answer
/// (closing on unread bytes resets the connection) and can use the connection again.
const DRAIN_BYTES_MAX: usize = 256 * 1024;
/// … and when it arrives within this time.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Answers with a refusal from `request_filter`.
pub(super) async fn refuse(session: &mut Session, passage: &mut Passage, refusal: Refusal) -> Result<bool> {
    passage.exchange.refused(&refusal);
    let (head, body) = answer(session, passage, &refusal)?;
    drain(session).await;
    session.write_response_header(Box::new(head), false).await?;
    session.write_response_body(Some(body), true).await?;
    Ok(true)
}

/// Answers with a refusal from `fail_to_proxy`; the connection closes afterwards.
pub(super) async fn write_last(session: &mut Session, passage: &mut Passage, refusal: Refusal) {
    passage.exchange.refused(&refusal);
    let Ok((head, body)) = answer(session, passage, &refusal) else { return };
    drain(session).await;
    if let Err(error) = session.write_error_response(head, body).await {
        tracing::debug!(error = error.etype().as_str(), "the caller did not take our answer");
    }
}

fn answer(session: &Session, passage: &Passage, refusal: &Refusal) -> Result<(ResponseHeader, Bytes)> {
    let id = passage.exchange.arrival.id;
    // The security gateway has an envelope of its own.
    let is_prompt = prompt::is_surface(session.req_header().raw_path());
    let body = Bytes::from(if is_prompt { No::from(refusal.clone()).body() } else { refusal.body(id) });
    let mut head = ResponseHeader::build(refusal.kind.status(), Some(6))?;
    head.insert_header("Content-Type", "application/json")?;
    head.insert_header("Content-Length", body.len())?;
    head.insert_header(REQUEST_ID, id.as_str())?;
    if is_prompt {
        head.insert_header("x-request-id", id.as_str())?;
    }
    if let Some(seconds) = refusal.retry_after_seconds {
        head.insert_header("Retry-After", seconds)?;
    }
    if refusal.kind == Kind::MethodNotAllowed {
        let methods = METHODS.each_ref().map(http::Method::as_str);
        head.insert_header("Allow", methods.join(", "))?;
    }
    if let Some(limit) = refusal.limit {
        head.insert_header("X-Gateway-Limit", limit)?;
    }
    Ok((head, body))
}

/// Reads a small rest of the request's body. Callers that wait for `100 Continue` have sent none.
pub(super) async fn drain(session: &mut Session) {
    if session.is_body_done() || session.req_header().headers.contains_key("expect") {
        return;
    }
    let declared = super::body::declared_length(session);
    if declared.is_some_and(|length| length > DRAIN_BYTES_MAX as u64) {
        return;
    }
    let reading = async {
        let mut read = 0_usize;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            read = read.saturating_add(chunk.len());
            if read > DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    // Whether it was all read in time shows in the session's own state.
    let _in_time = tokio::time::timeout(DRAIN_TIME_MAX, reading).await;
}

/// Whether the head named both a length and a transfer coding; the parser drops the length, so the raw head is asked.
pub(super) fn has_two_framings(session: &Session) -> bool {
    if !session.req_header().headers.contains_key("transfer-encoding") {
        return false;
    }
    let Some(http1) = session.as_http1() else { return false };
    let raw = http1.get_headers_raw_bytes();
    raw.split(|byte| *byte == b'\n').any(|line| {
        line.split(|byte| *byte == b':')
            .next()
            .is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"content-length"))
    })
}

/// Whether the target had a fragment; the parser drops it, so the raw request line is asked.
pub(super) fn has_fragment(session: &Session) -> bool {
    let Some(http1) = session.as_http1() else { return false };
    http1.get_headers_raw_bytes().iter().take_while(|byte| **byte != b'\n').any(|byte| *byte == b'#')
}
