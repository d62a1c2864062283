//! Our own endpoints on the callers' listener: a Pingora session becomes one call of the router, and its answer,
//! streamed or not, goes back.

use super::{
    downstream,
    gateway::{Passage, REQUEST_ID, caller_address},
};
use crate::{
    base::{clock, ids::RequestId},
    exchange::{
        exchange::Ending,
        refusal::{Kind, Refusal},
    },
};
use axum::{Router, body::Body};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use std::{net::IpAddr, time::Duration};
use tower::ServiceExt as _;

/// First path segments that are ours; no provider may be called so.
pub const OWN_SEGMENTS: [&str; 1] = ["gw"];
const BODY_BYTES_MAX: usize = 1024 * 1024;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Who asks, for handlers.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    pub request_id: RequestId,
    pub address: IpAddr,
}

/// Whether a first path segment is ours.
pub(super) fn is_own(segment: &str) -> bool {
    OWN_SEGMENTS.contains(&segment)
}

/// Calls the router and writes its answer. A refusal says its kind as an extension of the response.
pub(super) async fn serve(router: &Router, session: &mut Session, passage: &mut Passage) -> Result<bool> {
    let request = match request_of(session, passage.exchange.arrival.id).await {
        Ok(request) => request,
        Err(refusal) => return downstream::refuse(session, passage, refusal).await,
    };
    let response = match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (parts, body) = response.into_parts();
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len() + 1))?;
    for (name, value) in &parts.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    head.insert_header(REQUEST_ID, passage.exchange.arrival.id.as_str())?;
    passage.exchange.status = parts.status.as_u16();
    session.write_response_header(Box::new(head), false).await?;
    relay(session, body).await?;
    passage.exchange.ending = parts.extensions.get().copied().map_or(Ending::Answered, Ending::Refused);
    Ok(true)
}

async fn relay(session: &mut Session, mut body: Body) -> Result<()> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::explain(ErrorType::InternalError, "an answer of our own broke off"))?;
        if let Ok(data) = frame.into_data() {
            session.write_response_body(Some(data), false).await?;
        }
    }
    session.write_response_body(None, true).await
}

async fn request_of(session: &mut Session, request_id: RequestId) -> Result<http::Request<Body>, Refusal> {
    let body = read_body(session).await?;
    let head = session.req_header();
    let mut request = http::Request::builder().method(head.method.clone()).uri(head.uri.clone());
    if let Some(headers) = request.headers_mut() {
        headers.clone_from(&head.headers);
    }
    let asker = Asker { request_id, address: caller_address(session) };
    request
        .extension(asker)
        .body(Body::from(body))
        .map_err(|_| Refusal::bad_request("the request's target or headers are malformed"))
}

async fn read_body(session: &mut Session) -> Result<Bytes, Refusal> {
    let mut body = BytesMut::new();
    let deadline = clock::instant() + BODY_TIME_MAX;
    loop {
        match tokio::time::timeout_at(deadline.into(), session.read_request_body()).await {
            Err(_) => return Err(Refusal::bad_request("the request's body did not arrive in time")),
            Ok(Err(error)) => {
                let refusal = Refusal::bad_request("the request's body broke off or is malformed");
                return Err(refusal.with_inside(error.etype().as_str()));
            }
            Ok(Ok(None)) => return Ok(body.freeze()),
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > BODY_BYTES_MAX => {
                return Err(Refusal::new(Kind::PayloadTooLarge, "the request's body is too large"));
            }
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
        }
    }
}
