//! The hooks of `usage_mode = inject`: the provider is asked for usage in the caller's place, and what that adds to its
//! answer is taken out again. What cannot be edited (a body that is compressed or not wholly held, an answer that is
//! compressed, has a length or is no stream of events) is left alone.

use super::{body::Carried, peer};
use crate::{
    exchange::{admit::Routed, usage_filter::UsageFilter, usage_request::with_usage_asked},
    providers::dialect::may_ask_for_usage,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};

/// A request into which the wish for usage was put.
pub(super) struct AskedUsage {
    body_bytes: usize,
    /// Once an answer has begun that can be edited.
    filter: Option<UsageFilter>,
}

impl AskedUsage {
    /// Puts the wish into the body that is held, if the request is one that can carry it.
    pub(super) fn ask(routed: &Routed, headers: &HeaderMap, carried: &mut Carried) -> Option<Self> {
        if !routed.endpoint_name().is_some_and(may_ask_for_usage) || is_encoded(headers) {
            return None;
        }
        let body_bytes = carried.change(with_usage_asked)?;
        Some(Self { body_bytes, filter: None })
    }

    /// Fits the head to the changed body, and to an answer that can be edited.
    pub(super) fn rewrite(&self, request: &mut RequestHeader) -> Result<()> {
        if request.headers.contains_key(CONTENT_LENGTH) {
            peer::replace(request, &CONTENT_LENGTH, HeaderValue::from(self.body_bytes))?;
        }
        peer::replace(request, &ACCEPT_ENCODING, HeaderValue::from_static("identity"))
    }

    /// An answer begins; of several tries, the last.
    pub(super) fn begin_answer(&mut self, response: &ResponseHeader) {
        let is_stream = text(&response.headers, CONTENT_TYPE).is_some_and(|kind| {
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
        });
        let is_editable = is_stream && !response.headers.contains_key(CONTENT_LENGTH) && !is_encoded(&response.headers);
        self.filter = (response.status.is_success() && is_editable).then(UsageFilter::default);
    }

    /// Leaves of a chunk what the caller gets, and counts that instead of what came.
    pub(super) fn edit(&mut self, body: &mut Option<Bytes>, end: bool, bytes_out: &mut u64) {
        let Some(filter) = &mut self.filter else { return };
        let chunk = body.take().unwrap_or_default();
        let left = filter.edit(&chunk, end);
        *bytes_out = bytes_out.saturating_add(left.len() as u64).saturating_sub(chunk.len() as u64);
        // of an event that is not complete there is nothing to write yet
        *body = (!left.is_empty()).then(|| Bytes::from(left));
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
