//! The bounded queue between exchanges and the writer of the spool. A row is encoded where it is pushed, as the frame that will
//! stand in the spool, so the writer copies nothing and no thread frees what another allocated. Pushing never waits, so it may
//! stand in `Drop`; what does not fit is lost, counted and logged at most once a minute. The count of each event's fate is kept
//! here.

use super::{
    event::UsageEvent,
    row,
    settings::Settings,
    spool::{
        frame::{self, Kind},
        hold::Release,
        ledger::Ledger,
    },
};
use crate::{
    base::clock::{self, Duration},
    telemetry::metrics::METRICS,
};
use parking_lot::{Condvar, Mutex};
use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

/// Lost events are logged at most this often.
const LOG_SECONDS_MIN: i64 = 60;
/// Room for a usual row, so that encoding one allocates once.
const ROW_BYTES: usize = 768;
/// What waits may take so many bytes for each event of the bound.
const EVENT_BYTES_MAX: usize = 2048;
/// Room that stays when it is no longer needed.
const ROOM_BYTES_MAX: usize = 1 << 20;

/// What became of the events of one queue. `stored + quarantined + lost + waiting` is what was pushed or adopted.
#[derive(Debug, Default)]
pub struct Tally {
    stored: AtomicU64,
    quarantined: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    logged_at: AtomicI64,
}

impl Tally {
    /// Events that the store acknowledged.
    pub fn stored(&self) -> u64 {
        self.stored.load(Relaxed)
    }

    /// Events that the store refused and that are kept for `usage quarantine retry`.
    pub fn quarantined(&self) -> u64 {
        self.quarantined.load(Relaxed)
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

    /// Events that an earlier process left wait again.
    pub(super) fn add_adopted(&self, events: u64) {
        METRICS.usage_events_adopted_total.inc_by(events);
        METRICS.usage_events_waiting.add(i64::try_from(events).unwrap_or(i64::MAX));
        self.waiting.fetch_add(events, Relaxed);
    }

    /// Waiting events need not be stored: they are already.
    pub(super) fn add_found_stored(&self, events: u64) {
        self.end_waiting(events);
        self.stored.fetch_add(events, Relaxed);
        METRICS.usage_events_stored_total.inc_by(events);
    }

    /// Waiting events were acknowledged.
    pub(super) fn add_stored(&self, events: u64) {
        self.add_found_stored(events);
    }

    /// Waiting events were refused and kept.
    pub(super) fn add_quarantined(&self, events: u64) {
        self.end_waiting(events);
        METRICS.usage_events_quarantined_total.inc_by(events);
        self.quarantined.fetch_add(events, Relaxed);
    }

    /// Waiting events were given up.
    pub(super) fn add_lost(&self, events: u64) {
        self.end_waiting(events);
        self.add_missed(events);
    }

    /// Events that never waited here were lost.
    pub(super) fn add_missed(&self, events: u64) {
        METRICS.usage_events_lost_total.inc_by(events);
        self.lost.fetch_add(events, Relaxed);
    }

    fn end_waiting(&self, events: u64) {
        METRICS.usage_events_waiting.sub(i64::try_from(events).unwrap_or(i64::MAX));
        self.waiting.fetch_sub(events, Relaxed);
    }

    #[cold]
    pub(super) fn log_loss(&self, why: &str) {
        let (now, before) = (clock::now().seconds(), self.logged_at.load(Relaxed));
        let is_early = (0..LOG_SECONDS_MIN).contains(&now.saturating_sub(before));
        if is_early || self.logged_at.compare_exchange(before, now, Relaxed, Relaxed).is_err() {
            return;
        }
        tracing::error!(lost = self.lost(), waiting = self.waiting(), why, "usage events are being lost");
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
}

#[derive(Debug)]
struct Bounds {
    events_max: u64,
    bytes_max: usize,
    /// So many bytes wake the writer before its time.
    hurry_bytes: usize,
}

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    waiting: Mutex<Waiting>,
    /// Told when the writer has something to do before its time.
    news: Condvar,
    tally: Arc<Tally>,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Default)]
struct Waiting {
    group: Group,
    /// The writer wants no more.
    is_closed: bool,
    /// The writer sleeps until it is told of something.
    is_parked: bool,
    /// The shipper has nothing to do: a batch may leave before it is full.
    wants_batch: bool,
}

/// What was pushed since the writer looked last: frames one behind the other, without their checksums.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) frames: Vec<u8>,
    pub(super) events: u64,
    intents: u64,
    /// Who waits until all this is on the disk.
    pub(super) holds: Vec<Release>,
}

impl Group {
    /// Empties it, and lets go who waits for it.
    fn clear(&mut self) {
        self.frames.clear();
        self.frames.shrink_to(ROOM_BYTES_MAX);
        self.holds.clear();
        (self.events, self.intents) = (0, 0);
    }
}

/// The end that exchanges push into. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventQueue {
    shared: Arc<Shared>,
}

/// The end that the spool's writer reads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventReader {
    shared: Arc<Shared>,
}

/// A queue that holds at most so many events (at least one).
pub fn queue(settings: &Settings) -> (EventQueue, EventReader) {
    queue_with(settings, Ledger::default())
}

/// A queue whose events are counted in a ledger.
pub(super) fn queue_with(settings: &Settings, ledger: Ledger) -> (EventQueue, EventReader) {
    let events_max = settings.queue_events_max.max(1);
    let bounds = Bounds {
        events_max: u64::try_from(events_max).unwrap_or(u64::MAX),
        bytes_max: events_max.saturating_mul(EVENT_BYTES_MAX),
        hurry_bytes: usize::try_from(settings.spool.commit_bytes).unwrap_or(usize::MAX),
    };
    let (waiting, news, tally, ledger) = (Mutex::default(), Condvar::new(), Arc::default(), Arc::new(ledger));
    let shared = Arc::new(Shared { bounds, waiting, news, tally, ledger });
    (EventQueue { shared: Arc::clone(&shared) }, EventReader { shared })
}

impl EventQueue {
    /// Hands over the event of an exchange that has no intent, without waiting: for a moment under a lock, its bytes are copied.
    pub fn push(&self, event: &UsageEvent<'_>) {
        self.end(event, false, None);
    }

    /// Hands over the event of an exchange, which may have an intent. `hold` is released when the event is on the disk, or will
    /// never be.
    pub fn end(&self, event: &UsageEvent<'_>, has_intent: bool, hold: Option<Release>) {
        let frame = frame_of(if has_intent { Kind::Closing } else { Kind::Event }, event);
        let shared = &*self.shared;
        shared.tally.add_waiting();
        let now = clock::now();
        let mut waiting = shared.waiting.lock();
        shared.ledger.ended(event.time, has_intent, now);
        if shared.take(&mut waiting, &frame, hold) {
            waiting.group.events += 1;
            return;
        }
        shared.ledger.lost(event.time);
        if has_intent && !waiting.is_closed {
            // Short, and no more of them than intents that were taken.
            let void = frame::whole(Kind::Void, event.request_id.as_bytes());
            waiting.group.frames.extend_from_slice(&void);
        }
        drop(waiting);
        shared.tally.add_lost(1);
        shared.tally.log_loss("their queue is full");
    }

    /// Notes what shall be recorded of an exchange if nothing more is heard of it. `false` when there was no room: then it has no
    /// intent.
    pub fn begin(&self, intent: &UsageEvent<'_>, hold: Option<Release>) -> bool {
        let frame = frame_of(Kind::Intent, intent);
        let shared = &*self.shared;
        let now = clock::now();
        let mut waiting = shared.waiting.lock();
        let has_room = waiting.group.intents < shared.bounds.events_max && shared.take(&mut waiting, &frame, hold);
        if has_room {
            waiting.group.intents += 1;
            shared.ledger.begun(intent.time, now);
        }
        has_room
    }

    /// What became of the events so far.
    pub fn tally(&self) -> &Tally {
        &self.shared.tally
    }
}

fn frame_of(kind: Kind, event: &UsageEvent<'_>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ROW_BYTES);
    let from = frame::begin(&mut frame, kind);
    row::encode(event, &mut frame);
    frame::end(&mut frame, from);
    frame
}

impl Shared {
    /// Whether there was room. A hold that finds none is released by being dropped.
    fn take(&self, waiting: &mut Waiting, frame: &[u8], hold: Option<Release>) -> bool {
        let group = &mut waiting.group;
        let bytes = group.frames.len() + frame.len();
        if waiting.is_closed
            || group.events >= self.bounds.events_max
            || bytes > self.bounds.bytes_max
            || !frame::fits(frame)
        {
            return false;
        }
        let hurries = group.frames.len() < self.bounds.hurry_bytes && bytes >= self.bounds.hurry_bytes;
        let is_first_hold = group.holds.is_empty() && hold.is_some();
        group.frames.extend_from_slice(frame);
        group.holds.extend(hold);
        // The writer looks by itself while there is work, and is not woken for each frame.
        if waiting.is_parked || hurries || is_first_hold {
            self.news.notify_one();
        }
        true
    }
}

impl EventReader {
    /// What became of the events so far.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.shared.tally
    }

    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// Waits: for a time, or, without one, until there is something. Then all that was pushed since the last call stands in
    /// `group`, whose room, emptied, takes what is pushed next.
    pub(super) fn collect(&self, pause: Option<Duration>, group: &mut Group) -> News {
        group.clear();
        let shared = &*self.shared;
        let mut waiting = shared.waiting.lock();
        let is_urgent = |waiting: &Waiting| {
            waiting.is_closed
                || !waiting.group.holds.is_empty()
                || waiting.group.frames.len() >= shared.bounds.hurry_bytes
        };
        match pause {
            Some(pause) if !is_urgent(&waiting) => drop(shared.news.wait_for(&mut waiting, pause)),
            Some(_) => {}
            None => {
                while waiting.group.frames.is_empty() && !is_urgent(&waiting) && !waiting.wants_batch {
                    waiting.is_parked = true;
                    shared.news.wait(&mut waiting);
                }
                waiting.is_parked = false;
            }
        }
        std::mem::swap(&mut waiting.group, group);
        News { wants_batch: std::mem::take(&mut waiting.wants_batch), is_closed: waiting.is_closed }
    }

    /// Asks for a batch before it is full.
    pub(super) fn want_batch(&self) {
        let mut waiting = self.shared.waiting.lock();
        waiting.wants_batch = true;
        if waiting.is_parked {
            self.shared.news.notify_one();
        }
    }

    /// Takes no more events.
    pub(super) fn close(&self) {
        self.shared.waiting.lock().is_closed = true;
        self.shared.news.notify_one();
    }
}

/// What else the writer should know.
#[derive(Debug)]
pub(super) struct News {
    /// A batch may leave before it is full.
    pub(super) wants_batch: bool,
    /// Nothing more will come.
    pub(super) is_closed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{
        event::sample,
        settings,
        spool::{
            frame::{Found, Frames},
            hold::hold,
        },
    };

    fn queue_of(events_max: usize) -> (EventQueue, EventReader) {
        queue(&Settings { queue_events_max: events_max, ..settings::sample() })
    }

    fn collect(reader: &EventReader) -> (u64, Vec<Kind>) {
        let mut group = Group::default();
        reader.collect(Some(Duration::ZERO), &mut group);
        frame::seat(&mut group.frames, 0, 0);
        let frames = Frames::new(&group.frames, 0, 0).map(|found| match found {
            Found::Frame(frame) => frame.kind,
            Found::Damage(from, to) => panic!("{from}-{to}"),
        });
        (group.events, frames.collect())
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
        assert!(!queue.begin(&sample(), None));
    }

    #[test]
    fn an_event_that_is_lost_makes_its_intent_void() {
        let (queue, reader) = queue_of(2);
        for _ in 0..2 {
            assert!(queue.begin(&sample(), None));
        }
        assert!(!queue.begin(&sample(), None), "intents have a bound of their own");
        (0..3).for_each(|_| queue.end(&sample(), true, None));
        assert_eq!(queue.tally().lost(), 1);
        let expected = vec![Kind::Intent, Kind::Intent, Kind::Closing, Kind::Closing, Kind::Void];
        assert_eq!(collect(&reader), (2, expected));
    }

    #[test]
    fn a_hold_that_finds_no_room_holds_nobody() {
        let (queue, reader) = queue_of(1);
        let [(first, release), (second, other)] = [hold(), hold()];
        queue.end(&sample(), false, Some(release));
        queue.end(&sample(), false, Some(other));
        assert_eq!([first.is_released(), second.is_released()], [false, true]);
        collect(&reader);
        assert!(first.is_released());
    }

    #[test]
    fn events_can_be_pushed_from_drop_and_arrive_in_order() {
        struct Exchange(EventQueue, u16);
        impl Drop for Exchange {
            fn drop(&mut self) {
                self.0.push(&UsageEvent { status: self.1, ..sample() });
            }
        }
        let (queue, reader) = queue_of(8);
        (200..205).for_each(|status| drop(Exchange(queue.clone(), status)));
        assert_eq!(collect(&reader), (5, vec![Kind::Event; 5]));
        assert_eq!(collect(&reader), (0, Vec::new()));
    }
}
