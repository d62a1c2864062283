//! An organization issues and revokes its own keys: within its ceiling, and never another's.
#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

pub mod ceilings;
pub mod document;
pub mod office;
pub mod operators;
pub mod tenants;
