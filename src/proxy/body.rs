//! Reading a request's body as far as its model needs, and sending it on byte for byte.
//!
//! Pingora has no hook for this: what is read in `request_filter` is gone unless its retry buffer holds something to
//! replay. So the rules are: a body of known length is read whole, with the buffer switched on for its last 64 KiB; a
//! chunked one is read whole up to 64 KiB and beyond that to the end of its document, but not to the end of its framing.
//! Then the first `request_body_filter` of each try sends what is held in place of what Pingora replays.

use crate::{
    base::clock::{self, Instant},
    exchange::{
        admit::Routed,
        body::{Ask, BadBody, BodyHead, check_model},
        reader::BodyReader,
        refusal::{Kind, Refusal},
        settings::Settings,
    },
    providers::provider::ModelPlace,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use pingora_error::BError;
use pingora_proxy::Session;

/// How much Pingora's retry buffer holds.
const REPLAY_BYTES_MAX: u64 = 64 * 1024;

/// Why a body was not read.
pub(super) enum Unread {
    /// It must be refused.
    Refused(Refusal),
    /// It broke off: the caller has gone, or is too slow, or sends what is no HTTP.
    Broken(BError),
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The body of one request, as far as we hold it, and where the current try stands.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, each read by its own name")]
pub(super) struct Carried {
    /// What was read before forwarding; `None` when the body was left alone.
    held: Option<Bytes>,
    /// The held bytes are the whole body.
    whole: bool,
    /// Behind a held document or form nothing but white space may follow.
    only_space_follows: bool,
    replayed: bool,
    sent: bool,
}

impl Carried {
    /// Reads what names the model, if the body does. Gives what the body asks for and how many bytes were read. With
    /// `bounds` a body is read that need not be but for the bounds that it may set on its answer.
    pub(super) async fn read(
        &mut self,
        session: &mut Session,
        routed: &Routed,
        settings: &Settings,
        bounds: bool,
    ) -> Result<(Ask, u64), Unread> {
        let declared = declared_length(session);
        if declared.is_some_and(|length| length > settings.body_bytes_max) {
            return Err(too_large().into());
        }
        let place = routed.model_place();
        if let ModelPlace::Query(name) = place {
            let model = routed.target.parameter(name).map_err(|bad| Refusal::bad_request(bad.to_string()))?;
            model.as_deref().map_or(Ok(()), check_model).map_err(bad_body)?;
            return Ok((Ask { model, ..Ask::default() }, 0));
        }
        let bytes = if session.is_body_empty() { Some(0) } else { declared };
        let unread = Ask { bytes, ..Ask::default() };
        if *place == ModelPlace::Path && bounds && bytes != Some(0) {
            return self.read_bounds(session, unread, settings).await;
        }
        if matches!(place, ModelPlace::Path | ModelPlace::None) || session.is_body_empty() {
            return Ok((unread, 0));
        }
        // Copied, because reading the body needs the session.
        let headers = content_headers(session);
        let head = BodyHead::read(&headers).map_err(bad_body)?;
        let Some(mut reader) = BodyReader::new(place, head).map_err(bad_body)? else {
            return Ok((unread, 0));
        };
        self.only_space_follows = reader.ends_itself();
        continue_expected(session).await?;
        let deadline = clock::instant() + settings.body_read_max;
        let bytes = self.collect(session, &mut reader, declared, (settings.body_bytes_max, deadline)).await?;
        let ask = reader.finish(&bytes, settings.decoded_bytes_max).map_err(bad_body)?;
        let read = bytes.len() as u64;
        self.held = Some(bytes);
        Ok((Ask { bytes: ask.bytes.or(Some(read)), ..ask }, read))
    }

    /// Reads a body for its bounds alone: the model stands elsewhere, so nothing about it can be wrong.
    async fn read_bounds(
        &mut self,
        session: &mut Session,
        unread: Ask,
        settings: &Settings,
    ) -> Result<(Ask, u64), Unread> {
        /// No body of a provider whose models stand in the path has such a member.
        static NOWHERE: ModelPlace = ModelPlace::Json(String::new());
        let headers = content_headers(session);
        let Ok(head) = BodyHead::read(&headers) else { return Ok((unread, 0)) };
        let reader = if head.is_encoded() { Ok(None) } else { BodyReader::new(&NOWHERE, head) };
        let Ok(Some(mut reader)) = reader else { return Ok((unread, 0)) };
        continue_expected(session).await?;
        let deadline = clock::instant() + settings.body_read_max;
        let body = self.collect(session, &mut reader, unread.bytes, (settings.body_bytes_max, deadline)).await?;
        let read = body.len() as u64;
        let bytes = unread.bytes.or(Some(read));
        let ask = reader.finish(&body, settings.decoded_bytes_max).unwrap_or_default();
        self.held = Some(body);
        Ok((Ask { model: None, fallback_models: Vec::new(), bytes, ..ask }, read))
    }

    async fn collect(
        &mut self,
        session: &mut Session,
        reader: &mut BodyReader<'_>,
        declared: Option<u64>,
        (bytes_max, deadline): (u64, Instant),
    ) -> Result<Bytes, Unread> {
        let mut held = Held::default();
        loop {
            let left = declared.map_or(0, |length| length.saturating_sub(held.len()));
            if left <= REPLAY_BYTES_MAX {
                session.enable_retry_buffering();
            }
            let chunk = match tokio::time::timeout_at(deadline.into(), session.read_request_body()).await {
                Err(_) => return Err(Refusal::bad_request("the request's body did not arrive in time").into()),
                Ok(Err(error)) => return Err(broken(error)),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(chunk))) => chunk,
            };
            reader.feed(&chunk).map_err(bad_body)?;
            held.push(chunk);
            if held.len() > bytes_max {
                return Err(too_large().into());
            }
            if session.is_body_done() {
                break;
            }
            if declared.is_none() && held.len() > REPLAY_BYTES_MAX && reader.is_complete() {
                return Ok(held.into_bytes());
            }
        }
        self.whole = true;
        if held.len() > 0 && session.get_retry_buffer().is_none() {
            // Read to its end without a length and larger than the replay buffer: Pingora would send no body at all.
            return Err(Refusal::bad_request("a body of this size and form needs a Content-Length").into());
        }
        Ok(held.into_bytes())
    }

    /// Begins a try. `replays` says that Pingora will replay its buffer.
    pub(super) fn begin_try(&mut self, replays: bool) {
        self.replayed = replays;
        self.sent = false;
    }

    /// Whether we read of the body ourselves.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Puts another body in place of the one that is held, if it is held whole and there is something to change about it.
    /// Gives the new one's size.
    pub(super) fn change(&mut self, change: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<usize> {
        let held = self.held.as_mut().filter(|_| self.whole)?;
        *held = Bytes::from(change(held)?);
        Some(held.len())
    }

    /// What is held, if it is a document that can be read as it stands.
    pub(super) fn document(&self) -> Option<Bytes> {
        self.held.clone().filter(|_| self.only_space_follows)
    }

    /// Whether another try could send the same body.
    pub(super) fn may_send_again(&self, session: &mut Session) -> bool {
        match &self.held {
            Some(_) => self.whole,
            None => {
                session.is_body_empty() || session.get_retry_buffer().is_some() && !session.retry_buffer_truncated()
            }
        }
    }

    /// Puts what is held in place of the first chunk of a try, and counts what passes.
    pub(super) fn forward(
        &mut self,
        body: &mut Option<Bytes>,
        end: bool,
        bytes_in: &mut u64,
        bytes_max: u64,
    ) -> Result<(), Refusal> {
        let first = !self.sent;
        self.sent = true;
        let held = if first { self.held.clone() } else { None };
        match held {
            Some(held) if self.replayed => *body = Some(held),
            Some(held) => {
                let rest = body.take().unwrap_or_default();
                self.check_rest(&rest)?;
                *bytes_in = bytes_in.saturating_add(rest.len() as u64);
                *body = Some(joined(held, &rest));
            }
            None => {
                let rest = body.as_deref().unwrap_or_default();
                self.check_rest(rest)?;
                *bytes_in = bytes_in.saturating_add(rest.len() as u64);
            }
        }
        if *bytes_in > bytes_max {
            return Err(too_large());
        }
        // An empty last chunk would be written as a second terminator and poison the pooled connection.
        if end && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        Ok(())
    }

    fn check_rest(&self, rest: &[u8]) -> Result<(), Refusal> {
        if self.held.is_some() && self.only_space_follows && !rest.iter().all(u8::is_ascii_whitespace) {
            return Err(Refusal::bad_request("something follows the end of the request's document"));
        }
        Ok(())
    }
}

/// Chunks as they come: one stays as it is, more are joined.
#[derive(Default)]
struct Held {
    first: Option<Bytes>,
    joined: BytesMut,
}

impl Held {
    fn len(&self) -> u64 {
        self.first.as_ref().map_or(self.joined.len(), Bytes::len) as u64
    }

    fn push(&mut self, chunk: Bytes) {
        match self.first.take() {
            None if self.joined.is_empty() => self.first = Some(chunk),
            first => {
                if let Some(first) = first {
                    self.joined.extend_from_slice(&first);
                }
                self.joined.extend_from_slice(&chunk);
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        self.first.unwrap_or_else(|| self.joined.freeze())
    }
}

fn joined(held: Bytes, rest: &[u8]) -> Bytes {
    if rest.is_empty() {
        return held;
    }
    let mut all = BytesMut::with_capacity(held.len() + rest.len());
    all.extend_from_slice(&held);
    all.extend_from_slice(rest);
    all.freeze()
}

/// The length that the request's head declares.
pub(super) fn declared_length(session: &Session) -> Option<u64> {
    let headers = &session.req_header().headers;
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Tells a caller that waits for it to send its body. Saying so must not close the connection afterwards.
pub(super) async fn continue_expected(session: &mut Session) -> Result<(), Unread> {
    if !session.req_header().headers.contains_key(header::EXPECT) {
        return Ok(());
    }
    session.set_close_on_response_before_downstream_finish(false);
    let written = session.write_continue_response().await;
    session.set_close_on_response_before_downstream_finish(true);
    written.map_err(broken)
}

/// The headers that say how a body is to be read.
fn content_headers(session: &Session) -> HeaderMap {
    let mut copy = HeaderMap::new();
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        for value in session.req_header().headers.get_all(&name) {
            copy.append(&name, value.clone());
        }
    }
    copy
}

fn bad_body(bad: BadBody) -> Refusal {
    match bad {
        BadBody::TooLarge => too_large(),
        bad => Refusal::bad_request(bad.to_string()),
    }
}

fn broken(error: BError) -> Unread {
    Unread::Broken(error.into_down())
}

fn too_large() -> Refusal {
    Refusal::new(Kind::PayloadTooLarge, "the request's body is too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(held: &'static [u8], replayed: bool) -> Carried {
        Carried { held: Some(Bytes::from_static(held)), whole: true, only_space_follows: true, replayed, sent: false }
    }

    #[test]
    fn what_is_held_takes_the_place_of_what_is_replayed() {
        let mut carried = carried(b"{\"a\":1}", true);
        let mut body = Some(Bytes::from_static(b":1}"));
        let mut bytes_in = 7;
        carried.forward(&mut body, true, &mut bytes_in, 100).unwrap();
        assert_eq!((body.as_deref(), bytes_in), (Some(&b"{\"a\":1}"[..]), 7));
    }

    #[test]
    fn what_is_held_goes_before_what_comes_next() {
        let mut carried = carried(b"{}", false);
        let mut body = Some(Bytes::from_static(b"\r\n"));
        let mut bytes_in = 2;
        carried.forward(&mut body, false, &mut bytes_in, 100).unwrap();
        assert_eq!((body.as_deref(), bytes_in), (Some(&b"{}\r\n"[..]), 4));
    }

    #[test]
    fn a_second_document_behind_the_first_is_refused() {
        let mut carried = carried(b"{}", false);
        let mut bytes_in = 2;
        assert!(carried.forward(&mut Some(Bytes::from_static(b"{}")), false, &mut bytes_in, 100).is_err());
    }

    #[test]
    fn an_empty_last_chunk_is_not_written() {
        let mut carried = Carried::default();
        let mut body = Some(Bytes::new());
        carried.forward(&mut body, true, &mut 0, 100).unwrap();
        assert_eq!(body, None);
    }

    #[test]
    fn a_try_that_begins_again_sends_all_again() {
        let mut carried = carried(b"{}", true);
        for _ in 0..2 {
            carried.begin_try(true);
            let mut body = Some(Bytes::from_static(b"}"));
            carried.forward(&mut body, true, &mut 2, 100).unwrap();
            assert_eq!(body.as_deref(), Some(&b"{}"[..]));
        }
    }
}
