//! A reading: what one answer used, in disjoint units.

/// Where the figures come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageSource {
    /// Nothing was reported and nothing could be estimated.
    #[default]
    None,
    /// The provider's own figures.
    Provider,
    /// Estimated by us because the provider reported none.
    Estimated,
}

impl UsageSource {
    /// `none`, `provider` or `estimated`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Provider => "provider",
            Self::Estimated => "estimated",
        }
    }
}

/// Token counts in disjoint classes, so that cost = Σ class × price.
/// `reasoning` alone is informative: it says how much of `output` was reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Text read at the full price: without cached, cache-write, audio and image tokens.
    pub input: u64,
    pub cached_input: u64,
    /// Cache writes that live up to 30 minutes.
    pub cache_write_5m: u64,
    /// Cache writes that live longer.
    pub cache_write_1h: u64,
    /// All text written, reasoning included; without audio and image tokens.
    pub output: u64,
    /// How much of `output` was reasoning.
    pub reasoning: u64,
    pub audio_input: u64,
    pub audio_output: u64,
    pub image_input: u64,
    pub image_output: u64,
}

/// Units that are no tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Units {
    pub images: u64,
    /// Whole milliseconds of audio or video; shown as seconds.
    pub millis: u64,
    pub characters: u64,
    pub searches: u64,
    pub requests: u64,
}

/// What one answer used, as its meter read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    pub tokens: Tokens,
    pub units: Units,
    pub source: UsageSource,
    /// The model that answered, when the answer names one.
    pub model_served: Option<String>,
    /// The service tier that the answer reports (`default`, `flex`, `priority`, `batch`, …).
    pub service_tier: Option<String>,
    /// The id that the provider gave the answer in its body.
    pub provider_response_id: Option<String>,
    /// The answer held an error although its status said success, or broke off before its end.
    pub stream_error: bool,
    /// The answer's own end was seen (`[DONE]`, `message_stop`, a whole JSON body).
    pub complete: bool,
}
