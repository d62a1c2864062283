//! Our own endpoints on the callers' listener: a Pingora session becomes one call of the router, and its answer,
//! streamed or not, goes back. The security gateway's handlers go on with the exchange themselves.

use super::{
    body::{continue_expected, declared_length},
    downstream,
    gateway::{Passage, REQUEST_ID, caller_address},
};
use crate::{
    base::{clock, ids::RequestId},
    exchange::{
        exchange::{Ending, Surface},
        refusal::{Kind, Refusal},
    },
    prompt::{
        self,
        handed::{Given, Handed},
    },
};
use axum::{Router, body::Body, response::Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use std::{net::IpAddr, time::Duration};
use tokio_util::sync::CancellationToken;
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
    let request = match read_body(session, BODY_BYTES_MAX).await {
        Ok(body) => request_of(session, passage.exchange.arrival.id, body),
        Err(refusal) => Err(refusal),
    };
    let request = match request {
        Ok(request) => request,
        Err(refusal) => return downstream::refuse(session, passage, refusal).await,
    };
    let response = match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let ending = response.extensions().get().copied().map_or(Ending::Answered, Ending::Refused);
    tell(session, passage, response, None).await?;
    passage.exchange.ending = ending;
    Ok(true)
}

/// Calls the router for the security gateway: the exchange goes along. When its caller leaves, the handler is told so, and
/// what it does at a provider ends.
pub(super) async fn serve_prompt(router: &Router, session: &mut Session, passage: &mut Passage) -> Result<bool> {
    let body = read_body(session, prompt::BODY_BYTES_MAX).await;
    let is_read = body.is_ok();
    let mut request = match request_of(session, passage.exchange.arrival.id, Bytes::new()) {
        Ok(request) => request,
        Err(refusal) => return downstream::refuse(session, passage, refusal).await,
    };
    passage.exchange.surface = Surface::Own;
    let left = CancellationToken::new();
    let handed = Handed::new(Given { exchange: passage.exchange.hand_over(), body, left: left.clone() });
    request.extensions_mut().insert(handed.clone());
    let mut answering = std::pin::pin!(router.clone().oneshot(request));
    let response = tokio::select! {
        response = &mut answering => response,
        () = caller_left(session), if is_read => {
            left.cancel();
            answering.as_mut().await
        }
    };
    let response = match response {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if let Some(untaken) = handed.take() {
        passage.exchange = untaken.exchange;
    }
    if left.is_cancelled() {
        return Err(Error::explain(ErrorType::ConnectionClosed, "the caller left before the answer").into_down());
    }
    if !is_read {
        downstream::drain(session).await;
    }
    let ending = response.extensions().get().copied().map_or(Ending::Answered, Ending::Refused);
    let told = tell(session, passage, response, is_read.then_some(&left)).await;
    passage.exchange.ending = ending;
    told.map(|()| true)
}

/// Waits until the caller has closed its connection. One that sends more than its request keeps it for this answer only.
async fn caller_left(session: &mut Session) {
    if let Err(error) = session.read_body_or_idle(true).await
        && *error.etype() == ErrorType::ConnectError
    {
        session.set_keepalive(None);
        std::future::pending::<()>().await;
    }
}

/// Writes an answer. With `left` it ends as soon as its caller has left, and not with the next piece, and says so there.
async fn tell(
    session: &mut Session,
    passage: &mut Passage,
    response: Response,
    left: Option<&CancellationToken>,
) -> Result<()> {
    let (parts, mut body) = response.into_parts();
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len() + 1))?;
    for (name, value) in &parts.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    head.insert_header(REQUEST_ID, passage.exchange.arrival.id.as_str())?;
    passage.exchange.status = parts.status.as_u16();
    let told = async {
        session.write_response_header(Box::new(head), false).await?;
        relay(session, &mut body, left.is_some()).await
    };
    let told = told.await;
    if let (Err(_), Some(left)) = (&told, left) {
        // before the body is dropped, which settles the exchange
        left.cancel();
    }
    told
}

async fn relay(session: &mut Session, body: &mut Body, watch: bool) -> Result<()> {
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = caller_left(session), if watch => {
                return Err(Error::explain(ErrorType::ConnectionClosed, "the caller left within the answer").into_down());
            }
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| Error::explain(ErrorType::InternalError, "an answer of our own broke off"))?;
        if let Ok(data) = frame.into_data() {
            session.write_response_body(Some(data), false).await?;
        }
    }
    session.write_response_body(None, true).await
}

fn request_of(session: &Session, request_id: RequestId, body: Bytes) -> Result<http::Request<Body>, Refusal> {
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

async fn read_body(session: &mut Session, bytes_max: usize) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(Kind::PayloadTooLarge, "the request's body is too large");
    let declared = declared_length(session);
    if declared.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > bytes_max)) {
        return Err(too_large());
    }
    if continue_expected(session).await.is_err() {
        return Err(Refusal::bad_request("the request's body broke off or is malformed"));
    }
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
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > bytes_max => return Err(too_large()),
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
        }
    }
}
