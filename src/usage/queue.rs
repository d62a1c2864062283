//! The bounded queue between exchanges and the shipper. Pushing never waits, so it may stand in `Drop`; what does not
//! fit is lost, counted and logged at most once a minute. The count of each event's fate is kept here.

use super::event::UsageEvent;
use crate::{base::clock, telemetry::metrics::METRICS};
use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};
use tokio::sync::mpsc;

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

/// The end that exchanges push into. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventQueue {
    sender: mpsc::Sender<UsageEvent>,
    tally: Arc<Tally>,
}

/// The end that the shipper's source reads.
#[derive(Debug)]
pub struct EventReader {
    pub(super) receiver: mpsc::Receiver<UsageEvent>,
    pub(super) tally: Arc<Tally>,
}

/// A queue that holds at most so many events (at least one).
pub fn queue(events_max: usize) -> (EventQueue, EventReader) {
    let (sender, receiver) = mpsc::channel(events_max.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
    let tally = Arc::new(Tally::default());
    (EventQueue { sender, tally: Arc::clone(&tally) }, EventReader { receiver, tally })
}

impl EventQueue {
    /// Hands over one event without waiting.
    pub fn push(&self, event: UsageEvent) {
        self.tally.add_waiting();
        if self.sender.try_send(event).is_err() {
            self.tally.add_lost(1);
            self.tally.log_loss();
        }
    }

    /// What became of the events so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::event::sample;

    #[test]
    fn a_full_queue_loses_and_counts_without_waiting() {
        let (queue, _reader) = queue(2);
        (0..5).for_each(|_| queue.push(sample()));
        let tally = queue.tally();
        assert_eq!((tally.waiting(), tally.lost(), tally.stored()), (2, 3, 0));
    }

    #[test]
    fn a_queue_without_a_reader_loses_and_counts() {
        let (queue, reader) = queue(2);
        drop(reader);
        queue.push(sample());
        assert_eq!((queue.tally().waiting(), queue.tally().lost()), (0, 1));
    }

    #[test]
    fn events_can_be_pushed_from_drop_and_arrive_in_order() {
        struct Exchange(EventQueue, u16);
        impl Drop for Exchange {
            fn drop(&mut self) {
                self.0.push(UsageEvent { status: self.1, ..sample() });
            }
        }
        let (queue, mut reader) = queue(8);
        (200..203).for_each(|status| drop(Exchange(queue.clone(), status)));
        for status in 200..203 {
            assert_eq!(reader.receiver.try_recv().unwrap().status, status);
        }
    }
}
