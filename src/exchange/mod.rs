//! One request and its answer: arrive, admit, choose, relay, settle, refusal. Knows nothing of Pingora.

pub mod admit;
pub mod arrive;
pub mod attribution;
pub mod auth_slots;
pub mod body;
pub mod choose;
pub mod endpoint;
#[expect(clippy::module_inception, reason = "the exchange itself, beside its stages")]
pub mod exchange;
pub mod json_end;
mod media_type;
pub mod model_json;
pub mod model_multipart;
pub mod reader;
pub mod refusal;
pub mod relay;
pub mod route;
pub mod settings;
pub mod settle;
pub mod target;
pub mod usage_filter;
pub mod usage_request;
