//! From the end of an exchange to rows in ClickHouse, and from rows to statistics.

pub mod connector;
pub mod embedded;
pub mod engine;
pub mod event;
pub mod queue;
pub mod row;
pub mod schema;
pub mod settings;
pub mod shipper;
pub mod source;
pub mod stats;
mod store_error;
pub mod tag;

/// A client of the usage store, whichever it is.
pub use clickhouse::Client;
