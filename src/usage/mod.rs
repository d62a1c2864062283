//! From the end of an exchange to rows in ClickHouse, and from rows to statistics.

pub mod event;
pub mod settings;
