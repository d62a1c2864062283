//! From files to checked settings, with every fault at its line.
//!
//! `settings::load` is the way in. Files come in as bytes, `yaml` makes a tree with positions of them, `fields`
//! reads typed fields out of it, and one module a file knows the fields. Secrets are references only. Nothing else
//! reads the environment.

pub mod env;
pub mod fault;
pub mod report;
pub mod settings;

mod endpoints;
mod fields;
mod gateway;
mod pattern;
mod prices;
mod prompt;
mod providers;
mod secret;
mod server;
#[cfg(test)]
mod shipped;
mod yaml;
