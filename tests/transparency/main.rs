//! What passes through the gateway, compared byte for byte at both of its sides. What differs is what
//! docs/transparency.md lists, and each of its lines names the test here that confirms it.
#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

mod answer_bodies;
mod answer_heads;
mod broken_answers;
mod expectations;
mod lane;
mod realtime;
mod request_bodies;
mod request_heads;
mod streams;
mod targets;
