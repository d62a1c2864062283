//! The Pingora side: hooks that translate, never decide.

pub mod settings;
