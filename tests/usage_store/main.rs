//! The usage store as a black box: the program that we ship, spoken to through ClickHouse's official client and raw
//! bytes. Needs the engine's library (`make setup`).
#![cfg(test)]

mod harness;
mod hostile;
mod lifecycle;
mod protocol;
