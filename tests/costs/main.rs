//! What requests cost, as people see it: price commands, single usage records, corrections after the fact.
#![cfg(test)]

pub mod corrections;
pub mod hand;
pub mod prices;
pub mod records;
#[path = "../support/mod.rs"]
pub mod support;
