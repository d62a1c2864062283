//! Settings of limits.

/// What is held where a request does not say how much it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The output tokens that are held for a request that bounds them nowhere.
    pub output_tokens_default: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { output_tokens_default: 1_024 }
    }
}
