//! Settings of budgets.

use super::calendar::Calendar;
use crate::base::{clock::Duration, secret::Secret};

/// How budgets are kept, and what is set aside where nobody says how much a request may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where days and months begin.
    pub calendar: Calendar,
    /// How often what was spent and what is held is stored: a crash forgets at most what began within this time.
    pub save_interval: Duration,
    /// The output tokens that are set aside for a request that bounds them nowhere.
    pub output_tokens_default: u64,
    /// No request is taken to put in more tokens than this, however large its body is.
    pub input_tokens_max: u64,
    /// Shares of a limit, in hundredths, that are told when they are reached.
    pub alert_shares: Vec<u16>,
    /// Where alerts go beside the log.
    pub webhook: Option<Webhook>,
}

/// An address that takes alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// `https://…`
    pub url: String,
    /// What deliveries are signed with.
    pub secret: Secret,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calendar: Calendar::default(),
            save_interval: Duration::from_secs(1),
            output_tokens_default: 16_384,
            input_tokens_max: 1_000_000,
            alert_shares: vec![50, 80, 100],
            webhook: None,
        }
    }
}
