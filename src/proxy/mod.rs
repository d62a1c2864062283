//! The Pingora side: hooks that translate, never decide.

mod answer_head;
mod body;
pub mod dial;
mod downstream;
pub mod drain;
mod fault;
pub mod gateway;
mod head_time;
mod hold;
pub mod own;
mod peer;
pub mod server;
pub mod settings;
mod usage_mode;
