//! What usage costs: a dated price book, and readings times prices in exact integers. No floats come near it.
#![deny(clippy::float_arithmetic)]

pub mod book;
pub mod bound;
pub mod charge;
mod class;
mod names;
mod variant;
pub mod view;
