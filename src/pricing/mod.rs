//! What usage costs: a dated price book, and readings times prices in exact integers.

pub mod book;
pub mod charge;
