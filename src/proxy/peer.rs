//! The upstream side: where to connect, and the request's head as the provider gets it.

use crate::exchange::{exchange::Exchange, route::Route};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue,
    header::{COOKIE, HOST},
};
use pingora_core::upstreams::peer::{ALPN, HttpPeer, Peer};
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::RequestHeader;
use std::net::SocketAddr;

/// The peer of one try. Connections are pooled per provider and credential, never shared between two.
pub(super) fn of(route: &Route, address: SocketAddr) -> HttpPeer {
    let upstream = &route.provider.upstream;
    let mut peer = HttpPeer::new(address, upstream.tls, upstream.host.clone());
    peer.group_key = route.pool_key;
    let timeouts = &route.provider.timeouts;
    if let Some(options) = peer.get_mut_peer_options() {
        options.connection_timeout = Some(timeouts.connect);
        options.total_connection_timeout = Some(timeouts.connect_total);
        options.read_timeout = Some(timeouts.read);
        options.write_timeout = Some(timeouts.write);
        options.idle_timeout = Some(timeouts.idle);
        options.verify_cert = upstream.verify_tls;
        options.verify_hostname = upstream.verify_tls;
        // HTTP/1.1 keeps the case of header names, as callers sent them.
        options.alpn = ALPN::H1;
    }
    peer
}

/// Turns the caller's head into the provider's: native path, the provider's host, no trace of a gateway key, and the
/// credential in its slot. `held` says that we read the body, and with it answered an `Expect`.
pub(super) fn rewrite(request: &mut RequestHeader, exchange: &Exchange, held: bool) -> Result<()> {
    let (Some(routed), Some(admission)) = (&exchange.routed, &exchange.admission) else {
        return Error::e_explain(ErrorType::InternalError, "forwarding before admission");
    };
    let (route, swap) = (&routed.route, &admission.swap);
    // What comes in again is replaced where it stands, so that the order of headers stays the caller's.
    let comes_in = |name: &HeaderName| swap.append.iter().any(|(added, _)| added == name);
    for name in swap.remove.iter().filter(|name| !comes_in(name)) {
        request.remove_header(name);
    }
    for (at, (name, value)) in swap.append.iter().enumerate() {
        let is_first = !swap.append.iter().take(at).any(|(added, _)| added == name);
        if is_first && swap.remove.contains(name) {
            replace(request, name, value.clone())?;
        } else {
            request.append_header(name.clone(), value.clone())?;
        }
    }
    // Only HTTP/1.1 has names in the caller's own case.
    if !request.has_case() {
        join_cookies(request)?;
    }
    if held {
        request.remove_header("expect");
    }
    replace(request, &HOST, route.host_header.clone())?;
    let path = routed.target.upstream_path(&route.provider.upstream.base_path, &swap.query);
    request.set_raw_path(path.as_bytes())
}

/// HTTP/2 may cut a cookie header into pieces; for HTTP/1.1 they are put together again (RFC 9113, 8.2.3).
fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    let pieces: Vec<&[u8]> = request.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() < 2 {
        return Ok(());
    }
    let joined = HeaderValue::from_bytes(&pieces.join(&b"; "[..])).or_err(ErrorType::InvalidHTTPHeader, "cookies")?;
    request.insert_header(COOKIE, joined)
}

/// Gives a header another value, where it stands and under the name as the caller wrote it.
pub(super) fn replace(request: &mut RequestHeader, name: &HeaderName, value: HeaderValue) -> Result<()> {
    let is_it = |written: &&[u8]| written.eq_ignore_ascii_case(name.as_str().as_bytes());
    let written = request.case_header_iter().map(|(written, _)| written.as_slice()).find(is_it);
    let written = written.map(Bytes::copy_from_slice);
    match written {
        Some(written) => request.insert_header(written, value),
        None => request.insert_header(name.clone(), value),
    }
}
