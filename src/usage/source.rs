//! Where the shipper's batches come from. The seam between keeping events and shipping them: whoever keeps them (in
//! memory here, on disk behind the same trait) decides the boundaries of batches and their tokens.

use super::{
    queue::{EventReader, Rows},
    settings::Settings,
};
use crate::base::{clock::Duration, ids::RequestId};
use bytes::Bytes;
use std::future::Future;

/// How often a batch that fills is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Events that travel together, under a token that no other batch ever has.
#[derive(Debug, Clone)]
pub struct Batch {
    /// A pure function of the batch's place in its source: the same on every try.
    pub token: String,
    /// `RowBinary`
    pub rows: Bytes,
    pub count: u64,
}

impl Batch {
    /// These rows under a token.
    pub fn new(token: impl Into<String>, rows: Rows) -> Self {
        Self { token: token.into(), rows: Bytes::from(rows.bytes), count: rows.count }
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The store acknowledged it.
    Stored,
    /// It cannot be stored.
    Refused,
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

/// The queue's events, kept in memory: a crash loses what was not yet acknowledged.
#[derive(Debug)]
pub struct MemorySource {
    reader: EventReader,
    /// This source's own name, so that tokens differ between processes and restarts.
    name: RequestId,
    number: u64,
    /// Events of the batch that was given out and is not settled.
    under_way: u64,
    wait: Duration,
}

impl MemorySource {
    /// Reads a queue. A batch collects for half the flush interval; the other half is for its way into the store.
    pub fn new(reader: EventReader, settings: &Settings) -> Self {
        Self { reader, name: RequestId::generate(), number: 0, under_way: 0, wait: settings.flush_interval / 2 }
    }

    /// Waits until the batch is full or no more will come. Looks from time to time instead of being told of each event: a
    /// waiting reader would cost every exchange the wake-up of another thread.
    async fn fill(&self) {
        loop {
            let state = self.reader.state();
            if state.is_full || state.is_closed {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Source for MemorySource {
    async fn next(&mut self) -> Option<Batch> {
        loop {
            let state = self.reader.state();
            if state.has_begun {
                break;
            }
            if state.is_closed {
                return None;
            }
            self.reader.news().await;
        }
        // a batch that is neither full nor the last leaves when its time is up
        drop(tokio::time::timeout(self.wait, self.fill()).await);
        let rows = self.reader.take()?;
        let token = format!("{}-{}", self.name, self.number);
        self.number += 1;
        self.under_way = rows.count;
        Some(Batch::new(token, rows))
    }

    fn settle(&mut self, batch: &Batch, outcome: Outcome) {
        self.under_way = 0;
        match outcome {
            Outcome::Stored => self.reader.tally().add_stored(batch.count),
            Outcome::Refused => self.reader.tally().add_lost(batch.count),
        }
    }

    fn close(&mut self) {
        self.reader.close();
    }
}

impl Drop for MemorySource {
    /// What is still here is lost, the batch under way included.
    fn drop(&mut self) {
        self.reader.close();
        let mut left = self.under_way;
        while let Some(rows) = self.reader.take() {
            left += rows.count;
        }
        if left > 0 {
            self.reader.tally().add_lost(left);
            tracing::error!(events = left, "usage events are lost: they were not stored before the end");
        }
    }
}
