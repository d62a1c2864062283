//! The durable spool, through the shipped program: whatever dies, refuses or is damaged between an exchange and the usage store,
//! each exchange is stored once, waits, or is counted as lost, and callers notice nothing.
//!
//! `GATEWAY_TEST_FULL=1` runs the long form: 50 kills of the gateway and 20 of the usage store, an outage of 200 000 requests.
#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

mod command;
mod damage;
mod disk;
mod front;
mod hostile;
mod kills;
mod load;
mod outage;
mod store;

const CHAT: &str = "/openai/v1/chat/completions";
const MODEL: &str = "gpt-5.4-mini";
/// What every answer carries.
const REQUEST_ID: &str = "x-gateway-request-id";

/// The short form's number, or the long form's.
#[expect(clippy::disallowed_methods, reason = "the environment asks for the long form")]
fn scaled(short: usize, long: usize) -> usize {
    if std::env::var_os("GATEWAY_TEST_FULL").is_some() { long } else { short }
}
