//! All settings of the program, checked: each module owns its own part.

use crate::{auth, exchange, pricing, providers::provider::Provider, proxy, store, telemetry, usage};
use std::sync::Arc;

/// What the three files say, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub log: telemetry::settings::Settings,
    pub proxy: proxy::settings::Settings,
    pub store: store::settings::Settings,
    pub auth: auth::settings::Settings,
    pub exchange: exchange::settings::Settings,
    pub usage: usage::settings::Settings,
    /// The enabled providers.
    pub providers: Vec<Provider>,
    /// Providers whose credential is not set: name, and what would enable it.
    pub disabled: Vec<(String, String)>,
    pub prices: Arc<pricing::book::PriceBook>,
}
