//! Starts and ends, of the gateway and of what it depends on: in good order, by kill -9, at the wrong moment, two at
//! once. What was answered stays answered, and each exchange is accounted for once.
#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

mod addresses;
mod crashes;
mod load;
mod provider;
mod shutdown;
mod two;
mod upgrade;

const CHAT: &str = "/openai/v1/chat/completions";
const MODEL: &str = "gpt-5.4-mini";
/// What every answer carries.
const REQUEST_ID: &str = "x-gateway-request-id";
