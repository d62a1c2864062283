//! Telling somebody outside: signed calls to an address of the operator's.

mod signature;
pub mod webhook;
