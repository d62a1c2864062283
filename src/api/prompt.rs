//! The security gateway's endpoints: from a request to the surface, and from its reply to an answer.

use super::Parts;
use crate::{
    exchange::refusal::Kind,
    prompt::{
        handed::Handed,
        reply::Reply,
        surface::{Caller, wrong_method},
    },
    proxy::own::Asker,
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use std::convert::Infallible;

pub(super) async fn ask(
    State(parts): State<Parts>,
    Extension(asker): Extension<Asker>,
    Extension(handed): Extension<Handed>,
    headers: HeaderMap,
) -> Response {
    match handed.take() {
        Some(given) => response(parts.prompt.ask(&Caller { headers, address: asker.address }, given).await),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

pub(super) async fn models(
    State(parts): State<Parts>,
    Extension(asker): Extension<Asker>,
    Extension(handed): Extension<Handed>,
    headers: HeaderMap,
) -> Response {
    match handed.take() {
        Some(given) => response(parts.prompt.models(&Caller { headers, address: asker.address }, given).await),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

pub(super) async fn other_method(Extension(asker): Extension<Asker>, uri: Uri) -> Response {
    let no = wrong_method(uri.path());
    let status = StatusCode::from_u16(no.refusal.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [(header::CONTENT_TYPE.as_str(), "application/json"), ("x-request-id", asker.request_id.as_str())];
    let mut response = (status, headers, no.body()).into_response();
    // For the access log.
    response.extensions_mut().insert(Kind::MethodNotAllowed);
    response
}

fn response(reply: Reply) -> Response {
    let Reply { status, headers, telling } = reply;
    let pieces = futures_util::stream::unfold(telling, |mut telling| async move {
        let piece = telling.next().await?;
        Some((Ok::<_, Infallible>(piece), telling))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().extend(headers);
    response
}
