//! The bounded queue between exchanges and the shipper. An event is encoded where it is pushed, so the queue holds bytes and
//! no thread frees what another allocated. Pushing never waits, so it may stand in `Drop`; what does not fit is lost, counted
//! and logged at most once a minute. The count of each event's fate is kept here.

use super::{event::UsageEvent, row, settings::Settings};
use crate::{base::clock, telemetry::metrics::METRICS};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::Notify;

/// Lost events are logged at most this often.
const LOG_SECONDS_MIN: i64 = 60;

/// What became of the events of one queue. `stored + lost + waiting` is what was pushed.
#[derive(Debug, Default)]
pub struct Tally {
    stored: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    logged_at: AtomicI64,
}

impl Tally {
    /// Events that the store acknowledged.
    pub fn stored(&self) -> u64 {
        self.stored.load(Relaxed)
    }

    /// Events that will never be stored.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Events that may yet be stored.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    /// Before the event becomes visible to the reader, so that no count ever falls below zero.
    fn add_waiting(&self) {
        METRICS.usage_events_total.inc();
        METRICS.usage_events_waiting.inc();
        self.waiting.fetch_add(1, Relaxed);
    }

    /// Waiting events were acknowledged.
    pub(super) fn add_stored(&self, events: u64) {
        self.end_waiting(events);
        METRICS.usage_events_stored_total.inc_by(events);
        self.stored.fetch_add(events, Relaxed);
    }

    /// Waiting events were given up.
    pub(super) fn add_lost(&self, events: u64) {
        self.end_waiting(events);
        METRICS.usage_events_lost_total.inc_by(events);
        self.lost.fetch_add(events, Relaxed);
    }

    fn end_waiting(&self, events: u64) {
        METRICS.usage_events_waiting.sub(i64::try_from(events).unwrap_or(i64::MAX));
        self.waiting.fetch_sub(events, Relaxed);
    }

    #[cold]
    fn log_loss(&self) {
        let (now, before) = (clock::now().seconds(), self.logged_at.load(Relaxed));
        if now.saturating_sub(before) < LOG_SECONDS_MIN
            || self.logged_at.compare_exchange(before, now, Relaxed, Relaxed).is_err()
        {
            return;
        }
        tracing::error!(
            lost = self.lost(),
            waiting = self.waiting(),
            "usage events are being lost: their queue is full"
        );
    }
}

/// Rows of `usage_events` as ClickHouse reads them, one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    pub bytes: Vec<u8>,
    pub count: u64,
}

impl Rows {
    /// The rows of these events.
    pub fn of<'e, 'a: 'e>(events: impl IntoIterator<Item = &'e UsageEvent<'a>>) -> Self {
        let mut rows = Self::default();
        for event in events {
            row::encode(event, &mut rows.bytes);
            rows.count += 1;
        }
        rows
    }

    fn has_room(&self, bounds: &Bounds) -> bool {
        self.count < bounds.batch_rows_max && self.bytes.len() < BATCH_BYTES_MAX
    }
}

/// An insert is one block in ClickHouse as long as it stays well below these.
const BATCH_ROWS_MAX: u64 = 100_000;
const BATCH_BYTES_MAX: usize = 64 << 20;
/// Room for a usual row, so that encoding one allocates once.
const ROW_BYTES: usize = 768;

#[derive(Debug)]
struct Bounds {
    rows_max: u64,
    batch_rows_max: u64,
}

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    waiting: Mutex<Waiting>,
    /// Told when the first row comes, when a batch is full, and at the end.
    news: Notify,
    tally: Tally,
}

/// What was pushed and not taken: full batches, and one that fills.
#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Rows>,
    rows: u64,
    /// The reader wants no more.
    is_closed: bool,
}

/// The end that exchanges push into. Cheap to clone.
#[derive(Debug)]
pub struct EventQueue {
    shared: Arc<Shared>,
}

/// The end that the shipper's source reads.
#[derive(Debug)]
pub struct EventReader {
    shared: Arc<Shared>,
}

/// A queue that holds at most so many events (at least one), in batches of at most so many.
pub fn queue(settings: &Settings) -> (EventQueue, EventReader) {
    let bounds = Bounds {
        rows_max: u64::try_from(settings.queue_events_max).unwrap_or(u64::MAX).max(1),
        batch_rows_max: u64::try_from(settings.batch_events_max).unwrap_or(u64::MAX).clamp(1, BATCH_ROWS_MAX),
    };
    let (waiting, news) = (Mutex::default(), Notify::new());
    let shared = Arc::new(Shared { bounds, waiting, news, tally: Tally::default() });
    (EventQueue { shared: Arc::clone(&shared) }, EventReader { shared })
}

impl EventQueue {
    /// Encodes one event and hands it over, without waiting: for a moment under a lock, its bytes are copied.
    pub fn push(&self, event: &UsageEvent<'_>) {
        let mut row = Vec::with_capacity(ROW_BYTES);
        row::encode(event, &mut row);
        let shared = &*self.shared;
        shared.tally.add_waiting();
        if !shared.take(&row) {
            shared.tally.add_lost(1);
            shared.tally.log_loss();
        }
    }

    /// What became of the events so far.
    pub fn tally(&self) -> &Tally {
        &self.shared.tally
    }
}

impl Shared {
    /// Whether there was room.
    fn take(&self, row: &[u8]) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.is_closed || waiting.rows >= self.bounds.rows_max {
            return false;
        }
        waiting.rows += 1;
        let needs_another = waiting.batches.back().is_none_or(|batch| !batch.has_room(&self.bounds));
        if needs_another {
            waiting.batches.push_back(Rows::default());
        }
        if let Some(batch) = waiting.batches.back_mut() {
            batch.bytes.extend_from_slice(row);
            batch.count += 1;
        }
        drop(waiting);
        // The reader sleeps until a batch begins, and is not woken for each row.
        if needs_another {
            self.news.notify_one();
        }
        true
    }
}

impl Clone for EventQueue {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl EventReader {
    /// What became of the events so far.
    pub fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    /// The batch that fills, or is full, if there is one.
    pub(super) fn take(&self) -> Option<Rows> {
        let mut waiting = self.shared.waiting.lock();
        let rows = waiting.batches.pop_front()?;
        waiting.rows = waiting.rows.saturating_sub(rows.count);
        Some(rows)
    }

    /// Whether a batch has begun, and whether one is full or no more will come.
    pub(super) fn state(&self) -> State {
        let waiting = self.shared.waiting.lock();
        State {
            has_begun: !waiting.batches.is_empty(),
            is_full: waiting.batches.front().is_some_and(|batch| !batch.has_room(&self.shared.bounds)),
            is_closed: waiting.is_closed,
        }
    }

    /// Waits until something may have changed.
    pub(super) async fn news(&self) {
        self.shared.news.notified().await;
    }

    /// Takes no more events.
    pub(super) fn close(&self) {
        self.shared.waiting.lock().is_closed = true;
        self.shared.news.notify_one();
    }
}

/// How full a queue is.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) has_begun: bool,
    pub(super) is_full: bool,
    pub(super) is_closed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{event::sample, settings};

    fn queue_of(events_max: usize) -> (EventQueue, EventReader) {
        queue(&Settings { queue_events_max: events_max, batch_events_max: 3, ..settings::sample() })
    }

    #[test]
    fn a_full_queue_loses_and_counts_without_waiting() {
        let (queue, _reader) = queue_of(2);
        (0..5).for_each(|_| queue.push(&sample()));
        let tally = queue.tally();
        assert_eq!((tally.waiting(), tally.lost(), tally.stored()), (2, 3, 0));
    }

    #[test]
    fn a_queue_that_is_closed_loses_and_counts() {
        let (queue, reader) = queue_of(2);
        reader.close();
        queue.push(&sample());
        assert_eq!((queue.tally().waiting(), queue.tally().lost()), (0, 1));
    }

    #[test]
    fn events_can_be_pushed_from_drop_and_arrive_in_order_in_batches() {
        struct Exchange(EventQueue, u16);
        impl Drop for Exchange {
            fn drop(&mut self) {
                self.0.push(&UsageEvent { status: self.1, ..sample() });
            }
        }
        let (queue, reader) = queue_of(8);
        let events: Vec<_> = (200..205).map(|status| UsageEvent { status, ..sample() }).collect();
        (200..205).for_each(|status| drop(Exchange(queue.clone(), status)));
        assert!(reader.state().is_full);
        let (first, second) = (reader.take().unwrap(), reader.take().unwrap());
        assert_eq!((first.count, second.count, reader.take()), (3, 2, None));
        // Ids and times differ, so only what does not is compared: the length.
        assert_eq!(first.bytes.len() + second.bytes.len(), Rows::of(&events).bytes.len());
    }
}
