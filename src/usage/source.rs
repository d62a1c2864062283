//! Where the shipper's batches come from. The seam between keeping events and shipping them: whoever keeps them decides the
//! boundaries of batches and their tokens.

use super::{queue::Rows, row};
use bytes::Bytes;
use std::future::Future;

/// Events that travel together, under a token that no other batch ever has.
#[derive(Debug, Clone)]
pub struct Batch {
    /// A pure function of the batch's place in its source: the same on every try.
    pub token: String,
    /// What stands before the rows in an insert: the columns that they were written for.
    pub columns: Bytes,
    /// `RowBinary`
    pub rows: Bytes,
    pub count: u64,
}

impl Batch {
    /// These rows, for the columns of today, under a token.
    pub fn new(token: impl Into<String>, rows: Rows) -> Self {
        Self {
            token: token.into(),
            columns: Bytes::from(row::head()),
            rows: Bytes::from(rows.bytes),
            count: rows.count,
        }
    }
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The store acknowledged it.
    Stored,
    /// It cannot be stored, and why.
    Refused(String),
}

/// Keeps events until they are settled.
pub trait Source: Send + 'static {
    /// Waits for the next batch. `None` when the source is closed and empty. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Batch>> + Send;
    /// The batch is done with. Called once for each batch, before the next is asked for.
    fn settle(&mut self, batch: &Batch, outcome: Outcome);
    /// Takes no more events; those that are kept are still given out, without waiting for more.
    fn close(&mut self);
}
