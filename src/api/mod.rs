//! Our own endpoints as an axum router: routing, extraction, JSON. Each answer is a `Refusal` or a document.

mod answer;
mod budget;
mod keys;
mod me;
mod openapi;
pub mod operations;
mod prompt;
mod stats;
mod usage_records;

use crate::{
    auth::{keyring::Keyring, port::Registry},
    budgets::ledger::Ledger,
    exchange::refusal::{Kind, Refusal},
    prompt::{ASK_PATHS, MODELS_PATHS, surface::Surface},
    proxy::own::Asker,
    usage,
};
use answer::Answer;
use axum::{
    Extension, Router,
    routing::{delete, get, post},
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
    pub prompt: Arc<Surface>,
    pub turns: usage::turns::Turns,
}

/// Gives the usage store's client, or what callers are told while there is none.
pub type StatisticsStore = Arc<dyn Fn() -> Result<usage::Client, String> + Send + Sync>;

/// The router of `/gw` and of the security gateway.
pub fn router(parts: Parts) -> Router {
    let [ask, ask_too] = ASK_PATHS;
    let [models, models_too] = MODELS_PATHS;
    let prompt = Router::new()
        .route(ask, post(prompt::ask))
        .route(ask_too, post(prompt::ask))
        .route(models, get(prompt::models))
        .route(models_too, get(prompt::models))
        .method_not_allowed_fallback(prompt::other_method);
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
        .merge(prompt)
        .fallback(nothing_here)
        .with_state(parts)
}

async fn nothing_here(Extension(asker): Extension<Asker>) -> Answer {
    Answer::refused(asker, &Refusal::new(Kind::NotFound, "there is no such resource"))
}

async fn wrong_method(Extension(asker): Extension<Asker>) -> Answer {
    Answer::refused(asker, &Refusal::new(Kind::MethodNotAllowed, "this resource does not take this method"))
}
