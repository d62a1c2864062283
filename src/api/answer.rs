//! The two shapes of an answer of ours, and how a request to us shows its key.

use crate::{
    auth::{
        key::{GatewayKey, KeyRecord, Scope},
        keyring::Keyring,
    },
    exchange::{
        admit::{authenticate, require_scope},
        refusal::{Kind, Refusal},
    },
    proxy::own::Asker,
    usage::ask::AskError,
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// An answer of ours.
pub(super) struct Answer(Response);

impl Answer {
    /// 200 with a JSON document.
    pub(super) fn json(document: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(document) {
            Ok(body) => Self::bytes("application/json", body),
            Err(_) => Self(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
        }
    }

    /// 201 with a JSON document.
    pub(super) fn created(document: &impl serde::Serialize) -> Self {
        let mut answer = Self::json(document);
        if answer.0.status() == StatusCode::OK {
            *answer.0.status_mut() = StatusCode::CREATED;
        }
        answer
    }

    /// 204.
    pub(super) fn nothing() -> Self {
        Self(StatusCode::NO_CONTENT.into_response())
    }

    /// 200 with a body of that content type.
    pub(super) fn bytes(content_type: &'static str, body: Vec<u8>) -> Self {
        Self(([(header::CONTENT_TYPE, content_type)], body).into_response())
    }

    /// A refusal in the envelope of contract §7.
    pub(super) fn refused(asker: Asker, refusal: &Refusal) -> Self {
        if let Some(inside) = &refusal.inside {
            tracing::warn!(request_id = asker.request_id.as_str(), inside, "refused");
        }
        let status = StatusCode::from_u16(refusal.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::from(refusal.body(asker.request_id)));
        *response.status_mut() = status;
        // For the access log.
        response.extensions_mut().insert(refusal.kind);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = refusal.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(limit) = refusal.limit {
            headers.insert("X-Gateway-Limit", HeaderValue::from_static(limit));
        }
        Self(response)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        self.0
    }
}

/// Authenticates `Authorization: Bearer <gateway key>`.
///
/// # Errors
/// The refusal to answer with.
pub(super) async fn caller(keyring: &Keyring, headers: &HeaderMap, asker: Asker) -> Result<Arc<KeyRecord>, Refusal> {
    let missing = || Refusal::new(Kind::Unauthorized, "send a gateway key as Authorization: Bearer");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(missing()) };
    let key = value
        .as_bytes()
        .split_at_checked(7)
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
        .and_then(|(_, key)| GatewayKey::parse(key.trim_ascii()))
        .ok_or_else(missing)?;
    authenticate(keyring, &key, asker.address).await
}

/// As [`caller`], for those with a scope.
///
/// # Errors
/// The refusal to answer with.
pub(super) async fn caller_with(
    keyring: &Keyring,
    headers: &HeaderMap,
    asker: Asker,
    scope: Scope,
) -> Result<Arc<KeyRecord>, Refusal> {
    let key = caller(keyring, headers, asker).await?;
    require_scope(&key, scope)?;
    Ok(key)
}

/// What a caller is told when the usage store has no answer.
pub(super) fn unanswered(error: AskError) -> Refusal {
    match error {
        AskError::Unavailable | AskError::TooMany => Refusal::unavailable(error.to_string()),
        AskError::TooExpensive => Refusal::bad_request(error.to_string()),
        AskError::Internal => Refusal::internal(error.to_string()),
        AskError::TooManyByKey => {
            let refusal = Refusal::new(Kind::RateLimited, error.to_string());
            Refusal { retry_after_seconds: Some(1), limit: Some("statistics"), ..refusal }
        }
    }
}
