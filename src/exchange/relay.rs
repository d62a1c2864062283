//! The provider's answer as it passes: counted, timed, and read by a meter from a copy.

use crate::{
    base::clock::{self, Instant},
    metering::{
        beside::{Beside, Finished},
        meter::AnswerHead,
        prompt::Prompt,
        reading::Reading,
    },
    providers::{
        dialect::{answer_meter, socket_meter},
        provider::{Dialect, Endpoint, EndpointKind},
    },
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use std::sync::LazyLock;

/// Headers in which providers give the id of a request, in the order of trust.
static REQUEST_ID_HEADERS: LazyLock<[HeaderName; 5]> = LazyLock::new(|| {
    ["x-request-id", "request-id", "apim-request-id", "x-dashscope-request-id", "x-goog-request-id"]
        .map(HeaderName::from_static)
});
/// Longer ids are cut.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What a meter needs to know of the request, where the answer does not tell.
#[derive(Debug, Default)]
pub struct Sent {
    pub prompt: Prompt,
    /// The characters that it gives to be spoken.
    pub characters: Option<u64>,
}

/// An answer that has begun.
pub struct Answer {
    pub status: u16,
    pub streamed: bool,
    pub bytes_out: u64,
    pub first_byte: Option<Instant>,
    pub provider_request_id: String,
    meter: Option<Beside>,
}

impl Answer {
    /// From the answer's head. `endpoint` is `None` where nothing can be metered.
    pub fn begin(dialect: Dialect, endpoint: Option<&Endpoint>, status: u16, headers: &HeaderMap, sent: Sent) -> Self {
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let content_type = text(header::CONTENT_TYPE);
        let head = AnswerHead { status, content_type, content_encoding: text(header::CONTENT_ENCODING) };
        let meter = |endpoint: &Endpoint| match status {
            101 => socket_meter(dialect, endpoint.name.as_str(), &extensions(headers)),
            _ => answer_meter(dialect, endpoint.name.as_str(), &head),
        };
        let provider_request_id = REQUEST_ID_HEADERS
            .iter()
            .find_map(|name| headers.get(name)?.to_str().ok())
            .map(|id| id.chars().take(REQUEST_ID_BYTES_MAX).collect())
            .unwrap_or_default();
        Self {
            status,
            streamed: status == 101
                || content_type
                    .is_some_and(|kind| kind.get(..17).is_some_and(|k| k.eq_ignore_ascii_case("text/event-stream"))),
            bytes_out: 0,
            first_byte: None,
            provider_request_id,
            meter: endpoint
                .and_then(|endpoint| match endpoint.kind {
                    EndpointKind::Listing => None,
                    EndpointKind::Free => Some(meter(endpoint).free()),
                    EndpointKind::Inference => {
                        Some(meter(endpoint).with_prompt(sent.prompt).with_characters(sent.characters))
                    }
                })
                .map(Beside::new),
        }
    }

    /// Sees one chunk of the answer's body.
    pub fn relayed(&mut self, chunk: &Bytes) {
        if chunk.is_empty() {
            return;
        }
        if self.first_byte.is_none() {
            self.first_byte = Some(clock::instant());
        }
        self.bytes_out = self.bytes_out.saturating_add(chunk.len() as u64);
        if let Some(meter) = &mut self.meter {
            meter.read(chunk);
        }
    }

    /// What the answer used, as far as it was seen; never waits.
    pub fn finish(&mut self) -> Finished {
        self.meter.as_mut().map_or_else(|| Finished::Read(Reading::default()), Beside::finish)
    }
}

/// The extensions of a WebSocket that the provider agreed to, all lines together.
fn extensions(headers: &HeaderMap) -> String {
    let lines = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
    lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect::<Vec<_>>().join(",")
}
