//! The security gateway from outside: prompts leave masked, answers come back whole, nothing stays behind.
#![cfg(test)]

pub mod answers;
pub mod bad_input;
pub mod catalog;
pub mod desk;
pub mod failures;
pub mod many;
pub mod records;
pub mod streams;
#[path = "../support/mod.rs"]
pub mod support;
pub mod traces;
