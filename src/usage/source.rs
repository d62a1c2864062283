//! Where the shipper's batches come from. The seam between keeping events and shipping them: whoever keeps them (in
//! memory here, on disk behind the same trait) decides the boundaries of batches and their tokens.

use super::{
    event::UsageEvent,
    queue::{EventReader, Tally},
    settings::Settings,
};
use crate::base::{clock::Duration, ids::RequestId};
use std::{future::Future, sync::Arc};
use tokio::sync::mpsc::error::TryRecvError;

/// An insert is one block in ClickHouse as long as it stays well below these.
const BATCH_EVENTS_MAX: usize = 100_000;
const BATCH_BYTES_MAX: usize = 64 << 20;
/// How often a batch that fills looks for more events.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What a row takes besides its tags.
const ROW_BYTES: usize = 512;

/// Events that travel together, under a token that no other batch ever has.
#[derive(Debug)]
pub struct Batch {
    /// A pure function of the batch's place in its source: the same on every try.
    pub token: String,
    pub events: Vec<UsageEvent>,
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
    events: Vec<UsageEvent>,
    bytes: usize,
    /// Events of the batch that was given out and is not settled.
    under_way: u64,
    wait: Duration,
    events_max: usize,
}

impl MemorySource {
    /// Reads a queue. A batch collects for half the flush interval; the other half is for its way into the store.
    pub fn new(reader: EventReader, settings: &Settings) -> Self {
        Self {
            reader,
            name: RequestId::generate(),
            number: 0,
            events: Vec::new(),
            bytes: 0,
            under_way: 0,
            wait: settings.flush_interval / 2,
            events_max: settings.batch_events_max.clamp(1, BATCH_EVENTS_MAX),
        }
    }

    /// What became of the events of the queue.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.reader.tally)
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.events_max || self.bytes >= BATCH_BYTES_MAX
    }

    fn keep(&mut self, event: UsageEvent) {
        self.bytes += ROW_BYTES + event.tags.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.events.push(event);
    }

    /// Fills the batch from the queue until it is full or the queue is closed and empty. Looks from time to time instead
    /// of waiting for each event: a waiting reader would cost every exchange the wake-up of another thread.
    async fn fill(&mut self) {
        while !self.is_full() {
            match self.reader.receiver.try_recv() {
                Ok(event) => self.keep(event),
                Err(TryRecvError::Empty) => tokio::time::sleep(LOOK_EVERY).await,
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }
}

impl Source for MemorySource {
    async fn next(&mut self) -> Option<Batch> {
        if self.events.is_empty() {
            let first = self.reader.receiver.recv().await?;
            self.keep(first);
        }
        // a batch that is neither full nor the last leaves when its time is up
        let wait = self.wait;
        drop(tokio::time::timeout(wait, self.fill()).await);
        let token = format!("{}-{}", self.name, self.number);
        self.number += 1;
        self.bytes = 0;
        let events = std::mem::take(&mut self.events);
        self.under_way = count(events.len());
        Some(Batch { token, events })
    }

    fn settle(&mut self, batch: &Batch, outcome: Outcome) {
        let events = count(batch.events.len());
        self.under_way = 0;
        match outcome {
            Outcome::Stored => self.reader.tally.add_stored(events),
            Outcome::Refused => self.reader.tally.add_lost(events),
        }
    }

    fn close(&mut self) {
        self.reader.receiver.close();
    }
}

impl Drop for MemorySource {
    /// What is still here is lost, the batch under way included.
    fn drop(&mut self) {
        self.reader.receiver.close();
        let mut left = self.under_way + count(self.events.len());
        while self.reader.receiver.try_recv().is_ok() {
            left += 1;
        }
        if left > 0 {
            self.reader.tally.add_lost(left);
            tracing::error!(events = left, "usage events are lost: they were not stored before the end");
        }
    }
}

fn count(events: usize) -> u64 {
    u64::try_from(events).unwrap_or(u64::MAX)
}
