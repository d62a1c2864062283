//! Bounds on one exchange, and how attribution headers become tags.

use crate::base::clock::Duration;

/// Bounds and attribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The largest request body that is accepted, in bytes.
    pub body_bytes_max: u64,
    /// The largest request head that is accepted: target and all header names and values, in bytes.
    pub head_bytes_max: usize,
    /// The longest time from the first byte of a request's head to its last one.
    pub head_read_max: Duration,
    /// The longest time from the request's head to the end of a body that must be read before forwarding.
    pub body_read_max: Duration,
    /// How much a compressed request body may grow when its copy is decoded, in bytes.
    pub decoded_bytes_max: u64,
    /// How long an idle caller's connection is kept, in whole seconds; 0 closes after each answer.
    pub keepalive_seconds: u64,
    /// The longest time that a write to a caller may block.
    pub caller_write_max: Duration,
    /// Tries of connecting per request, the first included.
    pub attempts_max: u8,
    /// Answers that may be read on at once after their callers have gone.
    pub drains_max: usize,
    /// Headers that become tags, in lower case, with the tag's name: (`x-project`, `project`).
    pub attribution_headers: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        let attribution = |name: &str| (format!("x-{name}"), name.to_owned());
        Self {
            body_bytes_max: 64 * 1024 * 1024,
            head_bytes_max: 64 * 1024,
            head_read_max: Duration::from_secs(30),
            body_read_max: Duration::from_mins(2),
            decoded_bytes_max: 64 * 1024 * 1024,
            // Above the 60 s of common load balancers, so that they close idle connections and not we.
            keepalive_seconds: 75,
            caller_write_max: Duration::from_mins(1),
            attempts_max: 3,
            drains_max: 256,
            attribution_headers: ["project", "department", "persona"].map(attribution).into(),
        }
    }
}
