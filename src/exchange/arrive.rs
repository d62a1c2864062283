//! The first look at a request: its id and clocks, and what no provider ever needs is refused before anything is read.

use super::refusal::{Kind, Refusal};
use crate::base::{
    clock::{self, Instant, Timestamp},
    ids::RequestId,
};
use http::{HeaderMap, Method, Version, header};

/// When and under which id a request arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub id: RequestId,
    pub time: Timestamp,
    pub instant: Instant,
}

impl Arrival {
    /// This moment.
    pub fn now() -> Self {
        Self { id: RequestId::generate(), time: clock::now(), instant: clock::instant() }
    }
}

/// A request's head, as the checks below see it.
pub struct Head<'a> {
    pub method: &'a Method,
    pub version: Version,
    /// The target's bytes as they came.
    pub target: &'a [u8],
    pub headers: &'a HeaderMap,
    /// The head named both a length and a transfer coding (the parser then drops the length).
    pub two_framings: bool,
}

/// Methods that are forwarded. Others have no meaning for a provider's API, and TRACE would echo a credential.
pub const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Refuses heads that are too large, ambiguous in their framing, or of no use to any provider.
///
/// # Errors
/// The refusal to answer with.
pub fn check(head: &Head<'_>, head_bytes_max: usize) -> Result<(), Refusal> {
    if !METHODS.contains(head.method) {
        return Err(Refusal::new(Kind::MethodNotAllowed, "this method is not supported"));
    }
    let names: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if names.saturating_add(head.target.len()) > head_bytes_max {
        return Err(Refusal::new(Kind::PayloadTooLarge, "the request's head is too large"));
    }
    if head.two_framings {
        return Err(Refusal::bad_request("the request has both Content-Length and Transfer-Encoding"));
    }
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    if lengths.next().is_some_and(|length| !length.as_bytes().iter().all(u8::is_ascii_digit))
        || lengths.next().is_some()
    {
        return Err(Refusal::bad_request("Content-Length must stand once, as a plain number"));
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|first| !first.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
    {
        return Err(Refusal::bad_request("the only transfer coding that is supported is chunked"));
    }
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (head.version == Version::HTTP_11 && host.is_none_or(http::HeaderValue::is_empty)) {
        return Err(Refusal::bad_request("the request needs exactly one Host header"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(method: &str, headers: &[(&'static str, &str)], two_framings: bool) -> Option<Kind> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let method: Method = method.parse().unwrap();
        let head =
            Head { method: &method, version: Version::HTTP_11, target: b"/openai/v1", headers: &map, two_framings };
        check(&head, 1000).err().map(|refusal| refusal.kind)
    }

    #[test]
    fn ambiguous_and_useless_heads_are_refused() {
        let host = ("host", "gateway");
        let long = "x".repeat(1000);
        assert_eq!(kind_of("POST", &[host], false), None);
        assert_eq!(kind_of("POST", &[host, ("transfer-encoding", "Chunked")], false), None);
        assert_eq!(kind_of("TRACE", &[host], false), Some(Kind::MethodNotAllowed));
        assert_eq!(kind_of("BREW", &[host], false), Some(Kind::MethodNotAllowed));
        assert_eq!(kind_of("POST", &[host, ("x", &long)], false), Some(Kind::PayloadTooLarge));
        assert_eq!(kind_of("POST", &[host, ("transfer-encoding", "chunked")], true), Some(Kind::BadRequest));
        assert_eq!(kind_of("POST", &[host, ("transfer-encoding", "gzip, chunked")], false), Some(Kind::BadRequest));
        let length = |value: &'static str| ("content-length", value);
        assert_eq!(kind_of("POST", &[host, length("5")], false), None);
        assert_eq!(kind_of("POST", &[host, length("5"), length("5")], false), Some(Kind::BadRequest));
        assert_eq!(kind_of("POST", &[host, length("5, 5")], false), Some(Kind::BadRequest));
        assert_eq!(kind_of("POST", &[], false), Some(Kind::BadRequest));
        assert_eq!(kind_of("POST", &[("host", "")], false), Some(Kind::BadRequest));
        assert_eq!(kind_of("POST", &[host, host], false), Some(Kind::BadRequest));
    }
}
