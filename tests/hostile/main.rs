//! Hostile callers and hostile providers against the shipped program: each gets a clear refusal or a clean end, memory stays
//! within a bound, nothing that was refused reaches a provider, and everybody else is served meanwhile.
#![cfg(test)]

mod bodies;
mod bombs;
mod chunks;
mod connections;
mod framing;
pub mod ground;
mod heads;
pub mod memory;
pub mod peers;
mod provider;
mod slow;
mod targets;
mod versions;

#[path = "../support/mod.rs"]
pub mod support;
