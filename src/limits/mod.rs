//! How fast and how much at once. Exact per key and per organization; permits and token holds are guards, so nothing leaks.

pub mod concurrency;
pub mod limiters;
mod rate;
pub mod settings;
mod states;
pub mod tokens;

/// The limits of a key or of an organization; `None` means unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimits {
    /// Requests a second, sustained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
    /// Requests that may come at once above the sustained pace; default: one second's worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Requests in flight at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_requests: Option<u32>,
    /// Tokens a minute that go in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u32>,
    /// Tokens a minute that go in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<u32>,
    /// Tokens a minute that come out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<u32>,
}

impl KeyLimits {
    /// Whether there is any.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether tokens are limited.
    pub const fn has_tokens(&self) -> bool {
        let Self { tokens_per_minute, input_tokens_per_minute, output_tokens_per_minute, .. } = self;
        tokens_per_minute.is_some() || input_tokens_per_minute.is_some() || output_tokens_per_minute.is_some()
    }
}
