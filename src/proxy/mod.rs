//! The Pingora side: hooks that translate, never decide.

mod body;
mod downstream;
mod fault;
pub mod gateway;
pub mod own;
mod peer;
pub mod server;
pub mod settings;
