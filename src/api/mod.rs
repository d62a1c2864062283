//! Our own endpoints as an axum router: routing, extraction, JSON. Each answer is a `Refusal` or a document.

mod answer;
mod budget;
mod keys;
mod me;
mod openapi;
pub mod operations;
mod stats;
mod usage_records;

use crate::{
    auth::{keyring::Keyring, port::Registry},
    budgets::ledger::Ledger,
    exchange::refusal::{Kind, Refusal},
    proxy::own::Asker,
    usage,
};
use answer::Answer;
use axum::{
    Extension, Router,
    routing::{delete, get},
};
use std::sync::Arc;

/// What the endpoints need.
#[derive(Clone)]
pub struct Parts {
    pub keyring: Arc<Keyring>,
    pub registry: Arc<dyn Registry>,
    pub budgets: Arc<Ledger>,
    pub usage: Arc<usage::settings::Settings>,
    pub store: StatisticsStore,
    pub turns: usage::turns::Turns,
}

/// Gives the usage store's client, or what callers are told while there is none.
pub type StatisticsStore = Arc<dyn Fn() -> Result<usage::Client, String> + Send + Sync>;

/// The router of `/gw`.
pub fn router(parts: Parts) -> Router {
    Router::new()
        .route("/gw/me", get(me::me))
        .route("/gw/budget", get(budget::budgets))
        .route("/gw/ceiling", get(keys::ceiling))
        .route("/gw/keys", get(keys::list).post(keys::issue))
        .route("/gw/keys/{id}", delete(keys::revoke))
        .route("/gw/openapi.json", get(openapi::document))
        .route("/gw/stats", get(stats::stats))
        .route("/gw/usage", get(usage_records::page))
        .route("/gw/usage/{request_id}", get(usage_records::one))
        .method_not_allowed_fallback(wrong_method)
        .fallback(nothing_here)
        .with_state(parts)
}

async fn nothing_here(Extension(asker): Extension<Asker>) -> Answer {
    Answer::refused(asker, &Refusal::new(Kind::NotFound, "there is no such resource"))
}

async fn wrong_method(Extension(asker): Extension<Asker>) -> Answer {
    Answer::refused(asker, &Refusal::new(Kind::MethodNotAllowed, "this resource does not take this method"))
}
