//! `GET /gw/me`: what a key is and may do.

use super::{
    Parts,
    answer::{Answer, caller},
};
use crate::{auth::view::me as document, proxy::own::Asker};
use axum::{Extension, extract::State, http::HeaderMap};

pub(super) async fn me(State(parts): State<Parts>, Extension(asker): Extension<Asker>, headers: HeaderMap) -> Answer {
    match caller(&parts.keyring, &headers, asker).await {
        Ok(key) => Answer::json(&document(&key)),
        Err(refusal) => Answer::refused(asker, &refusal),
    }
}
