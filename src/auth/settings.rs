//! Settings of the key cache and the flood guard.

use crate::base::clock::Duration;

/// How keys are cached and floods of unknown ones are held off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How old a cached key may be: a revocation elsewhere takes effect within this time. At most 30 s.
    pub cache_age_max: Duration,
    /// How many known keys are cached.
    pub cache_keys_max: usize,
    /// How many unknown keys are remembered as unknown.
    pub cache_unknown_max: usize,
    /// Unknown keys a second from one address before its unknown keys are refused unasked; 0 turns the guard off.
    pub unknown_per_second_max: u32,
    /// How long cached keys go on working while the control store does not answer.
    pub store_down_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cache_age_max: Duration::from_secs(15),
            cache_keys_max: 100_000,
            cache_unknown_max: 100_000,
            unknown_per_second_max: 20,
            store_down_grace: Duration::from_mins(5),
        }
    }
}
