//! Who calls, and what they may do. Pure: what must be stored goes through the ports in `port.rs`.

pub mod audit;
pub mod ceiling;
pub mod entitlement;
pub mod flood;
pub mod glob;
pub mod issue;
pub mod key;
pub mod keyring;
pub mod port;
pub mod settings;
pub mod view;
