//! The head of a provider's answer on its way to the caller: what belongs to one hop is taken off, and our credential, where
//! the provider repeats it. Everything else stays as it came.

use http::{HeaderName, HeaderValue, Version, header};
use memchr::memmem;
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

/// Headers of an answer that say something of the provider's connection to us.
const OF_ONE_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "trailer", "upgrade"];

/// Takes off what a provider's answer says of its own hop (RFC 9110, 7.6.1); `Connection` is written anew for ours. What
/// frames or describes the body stays, whatever `Connection` names.
pub(super) fn strip_hop(response: &mut ResponseHeader) {
    let lines = response.headers.get_all(header::CONNECTION).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let named: Vec<HeaderName> =
        names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).filter(is_of_one_hop).collect();
    for name in named.iter().map(HeaderName::as_str).chain(OF_ONE_HOP) {
        response.remove_header(name);
    }
}

fn is_of_one_hop(name: &HeaderName) -> bool {
    *name != header::TRANSFER_ENCODING && !name.as_str().starts_with("content-")
}

/// What stands in an answer's head where the provider repeated our credential.
const BLOT: &[u8] = b"[redacted]";

/// Takes the credential out of an answer's head: some servers repeat a request's query or headers, in a `Location` say.
pub(super) fn blot_out(credential: &memmem::Finder<'_>, response: &mut ResponseHeader) -> Result<()> {
    let length = credential.needle().len();
    let holds = |value: &HeaderValue| value.len() >= length && credential.find(value.as_bytes()).is_some();
    if length == 0 || !response.headers.values().any(holds) {
        return Ok(());
    }
    let names: Vec<HeaderName> =
        response.headers.iter().filter(|(_, value)| holds(value)).map(|(n, _)| n.clone()).collect();
    for name in names {
        let values: Vec<HeaderValue> = response.headers.get_all(&name).iter().cloned().collect();
        response.remove_header(&name);
        for value in values {
            let blotted = blotted(credential, value.as_bytes());
            let value = HeaderValue::from_bytes(&blotted).or_err(ErrorType::InvalidHTTPHeader, "an answer's header")?;
            response.append_header(name.clone(), value)?;
        }
    }
    Ok(())
}

fn blotted(credential: &memmem::Finder<'_>, value: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = credential.find(rest) {
        result.extend_from_slice(rest.get(..at).unwrap_or_default());
        result.extend_from_slice(BLOT);
        rest = rest.get(at + credential.needle().len()..).unwrap_or_default();
    }
    result.extend_from_slice(rest);
    result
}

/// Fits the framing of a provider's answer to a caller of HTTP/1.0, who knows no chunks: its end is the connection's end.
pub(super) fn fit_framing(session: &mut Session, response: &mut ResponseHeader) {
    if session.req_header().version == Version::HTTP_10 && response.remove_header("transfer-encoding").is_some() {
        session.set_keepalive(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credential_is_blotted_out_wherever_an_answers_head_repeats_it() {
        let credential = memmem::Finder::new("sk-real+/=");
        let mut head = ResponseHeader::build(302, None).unwrap();
        for (name, value) in [
            ("Location", "/x?key=sk-real+/=&a=sk-real+/="),
            ("Link", "plain"),
            ("Link", "<sk-real+/=>"),
            ("X-Other", "sk-real"),
        ] {
            head.append_header(name, value).unwrap();
        }
        blot_out(&credential, &mut head).unwrap();
        let all = |name: &str| head.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all("location"), ["/x?key=[redacted]&a=[redacted]"]);
        assert_eq!(all("link"), ["plain", "<[redacted]>"]);
        assert_eq!(all("x-other"), ["sk-real"]);
    }
}
