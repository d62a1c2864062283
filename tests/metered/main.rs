//! What is metered beyond the text of one answer: sockets, units that follow from the request, jobs that are polled;
//! each with its exact cost.
#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

mod desk;
mod realtime;
mod sockets;
mod units;
mod wire;
