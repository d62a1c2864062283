//! Budgets through the shipped program: a hard one is never overshot and is used up, whatever ends a request gives its money
//! back, and what was spent outlives the process.
#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

pub mod alerts;
pub mod concerned;
pub mod endings;
pub mod hard;
pub mod kept;
pub mod treasury;
