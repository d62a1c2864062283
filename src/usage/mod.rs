//! From the end of an exchange to rows in ClickHouse, and from rows to statistics.

pub mod ask;
pub mod connector;
pub mod embedded;
pub mod engine;
pub mod event;
pub mod prices;
pub mod queue;
pub mod records;
pub mod reprice;
pub mod row;
pub mod schema;
mod selection;
pub mod settings;
mod shards;
pub mod shipper;
pub mod source;
pub mod spent;
pub mod spool;
pub mod stats;
mod store_error;
pub mod tag;
pub mod turns;

pub use selection::BadParameter;

/// A client of the usage store, whichever it is.
pub use clickhouse::Client;
