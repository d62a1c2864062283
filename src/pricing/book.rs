//! The price book: dated rows, looked up by provider, model, tier and time.

use crate::base::clock::Timestamp;

/// A price in whole pico-dollars (1e-12 USD) for one unit: $0.01 for a million tokens is 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pico(pub i64);

/// Prices of one unit of each class; `None` where the row names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices {
    pub input: Option<Pico>,
    pub cached_input: Option<Pico>,
    pub cache_write_5m: Option<Pico>,
    pub cache_write_1h: Option<Pico>,
    pub output: Option<Pico>,
    pub audio_input: Option<Pico>,
    pub audio_output: Option<Pico>,
    pub image_input: Option<Pico>,
    pub image_output: Option<Pico>,
    /// For one image.
    pub image: Option<Pico>,
    /// For one second of audio or video.
    pub second: Option<Pico>,
    pub character: Option<Pico>,
    /// For one search by the provider's tool.
    pub search: Option<Pico>,
    /// For each request.
    pub request: Option<Pico>,
}

/// Prices that replace a row's own when the request is of a service tier or larger than a context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variant {
    /// The service tier that the answer reports (`flex`, `priority`, `batch`); `None` for the standard one.
    pub service_tier: Option<String>,
    /// Applies when the request's whole input (all input classes) is above this many tokens.
    pub input_tokens_above: Option<u64>,
    /// Replaces the whole request's prices; what it leaves out comes from the row.
    pub prices: Prices,
}

/// One row: what one model of one provider costs in a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceRow {
    /// A provider's name.
    pub provider: String,
    /// The model's own name; dated snapshots of it (`-2026-03-05`, `-20260305`, `-latest`) match by themselves.
    pub model: String,
    /// More names, exact or globs.
    pub aliases: Vec<String>,
    /// First moment at which it holds.
    pub from: Timestamp,
    /// First moment at which it no longer holds.
    pub until: Option<Timestamp>,
    pub prices: Prices,
    pub variants: Vec<Variant>,
    /// Where the figures come from.
    pub source: String,
}

/// All price rows of one version.
#[derive(Debug, Default)]
pub struct PriceBook {}
