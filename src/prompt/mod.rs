//! The security gateway: a prompt is masked, answered by a provider, and restored.
//!
//! One fixed order: body bound → key → schema → catalog → entitlement → limits and budget → detect → mask → provider →
//! restore → the map is discarded. Only the masked prompt leaves; prompts, answers and values are never logged, stored or
//! put into an error. Knows nothing of Pingora and axum: `Dial` is what provides connections.

mod attempt;
pub mod catalog;
mod course;
pub mod dial;
pub mod handed;
mod question;
pub mod refusal;
pub mod reply;
pub mod settings;
pub mod surface;
mod wire;

use crate::{base::clock::Duration, usage::spool::hold::Hold};

/// The longest wait for a record to reach the disk, where records must be durable.
const HOLD_MAX: Duration = Duration::from_secs(5);

/// The largest body that is read.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// The longest prompt, in characters.
pub const PROMPT_CHARS_MAX: usize = 32 * 1024;
/// Where prompts are asked.
pub const ASK_PATHS: [&str; 2] = ["/", "/v1/gateway"];
/// Where the catalog is listed.
pub const MODELS_PATHS: [&str; 2] = ["/models", "/v1/models"];

/// Whether a request's target is one of this surface's paths.
pub fn is_surface(target: &[u8]) -> bool {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    ASK_PATHS.iter().chain(&MODELS_PATHS).any(|known| known.as_bytes() == path)
}

/// Waits until what is to go out is on record.
async fn on_record(hold: Hold) {
    if tokio::time::timeout(HOLD_MAX, hold).await.is_err() {
        tracing::error!("the usage spool does not reach the disk: prompts and answers go out without their record");
    }
}
