//! Masking: personal data and secrets leave a prompt as placeholders, and come back in the answer.
//!
//! `Detector` finds, `mask` replaces, the `Map` that it leaves restores. Pure: no I/O, no HTTP, nothing kept. A map is
//! wiped when it is dropped; findings and maps show no values in `Debug`.

mod address;
mod argument;
mod assign;
mod birth;
mod checks;
mod column;
mod context;
mod custom;
mod detector;
mod digits;
mod email;
mod grammar;
mod iban;
mod introduced;
mod kind;
mod lettered;
mod names;
mod national;
mod number;
mod overlap;
mod person;
mod placeholder;
mod plain;
mod repeat;
mod restore;
mod scan;
mod sealed;
mod secret_name;
mod secret_value;
mod telephone;
mod text;
mod token;
mod url;
mod wallet;
mod words;

pub use custom::{Custom, CustomError, Entry};
pub use detector::{BuildError, Detector};
pub use kind::{Counts, Finding, Kind};
pub use placeholder::{Map, Masked, StableKey};
pub use restore::{Restorer, segments};
