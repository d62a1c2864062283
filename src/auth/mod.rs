//! Who calls, and what they may do. Pure: what must be stored goes through the ports in `port.rs`.

pub mod entitlement;
pub mod key;
pub mod settings;
