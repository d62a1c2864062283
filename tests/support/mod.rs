//! What the test binaries share: the provider simulator, the gateway as a process, and a client that sees raw bytes.
//! Include it with `pub mod support;` under `#![cfg(test)]`.

pub mod canaries;
pub mod gateway;
pub mod http;
pub mod simulator;
pub mod wait;
