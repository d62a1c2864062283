//! One request and its answer: arrive, admit, choose, settle, refusal. Knows nothing of Pingora.

pub mod settings;
