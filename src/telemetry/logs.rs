//! Log lines as JSON on standard output, written by a thread of their own so that no request waits for a pipe.

use super::{
    lines::{Flusher, Lines},
    settings::Settings,
};
use tracing_subscriber::EnvFilter;

/// Libraries that would log heads, addresses or statements below these levels: caps, whatever the settings say.
const CAPS: [&str; 7] = [
    "pingora_core=warn",
    "pingora_proxy=warn",
    "pingora_pool=warn",
    "hyper=warn",
    "hyper_util=warn",
    "h2=warn",
    "sqlx=warn",
];

/// Writes the lines that wait when it is dropped.
pub struct Flush(#[expect(dead_code, reason = "held for its drop")] Flusher);

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("the log filter {0:?} is not valid: {1}")]
pub struct BadFilter(String, String);

/// Starts logging for the whole process.
///
/// # Errors
/// A filter that cannot be read.
pub fn start(settings: &Settings) -> Result<Flush, BadFilter> {
    let bad = |error: &dyn std::fmt::Display| BadFilter(settings.level.clone(), error.to_string());
    let mut filter = EnvFilter::try_new(&settings.level).map_err(|error| bad(&error))?;
    for cap in CAPS {
        filter = filter.add_directive(cap.parse().map_err(|error| bad(&error))?);
    }
    let (writer, guard) = Lines::to(std::io::stdout());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(writer)
        .try_init()
        .map_err(|error| bad(&error))?;
    Ok(Flush(guard))
}
