//! Every "no" of the gateway, provoked from outside on each surface where it can occur: what the caller sees, that nothing
//! went upstream, what is recorded, and that no secret shows.
#![cfg(test)]

pub mod bodies;
pub mod bounds;
pub mod desk;
pub mod entitlements;
pub mod forms;
pub mod heads;
pub mod keys;
pub mod limits;
pub mod own;
pub mod providers;
pub mod secrets;
pub mod stores;
#[path = "../support/mod.rs"]
pub mod support;
pub mod targets;
