//! The one thread that writes the spool. It looks at the queue a hundred times a second while there is work, appends what was
//! pushed as it stands, brings it onto the disk group by group, and seals batches for the shipper.
//!
//! When the disk refuses (it is full, or broken, or the spool's own bound is reached), segments in memory take the place of
//! files until it takes some again: batches go on leaving, and what does not fit into memory is lost and counted.

use super::{
    frame::{self, Found, Frames, Kind},
    place::Place,
    segment::Segment,
    shelf::{Sealed, Shelf},
};
use crate::{
    base::{
        clock::{self, Duration, Instant},
        ids::RequestId,
    },
    telemetry::metrics::METRICS,
    usage::{
        queue::{EventReader, Group},
        row,
        settings::Settings,
    },
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// How often the writer looks while there is work: what a kill can take with it came since.
const TICK: Duration = Duration::from_millis(10);
/// How long there must be nothing to do before it sleeps until it is woken.
const IDLE_AFTER: Duration = Duration::from_millis(500);
/// How often a disk that refused is tried again.
const DISK_TRY_EVERY: Duration = Duration::from_secs(1);
/// … and told of at most.
const TELL_EVERY: Duration = Duration::from_mins(1);
/// An insert is one block in ClickHouse as long as it stays well below these.
const BATCH_EVENTS_MAX: u64 = 100_000;
const BATCH_BYTES_MAX: u64 = 64 << 20;

/// What the settings say.
#[derive(Debug, Clone)]
struct Rules {
    tick: Duration,
    commit_interval: Duration,
    commit_bytes: u64,
    segment_bytes: u64,
    batch_events_max: u64,
    /// How long a batch collects when the shipper waits for it.
    batch_wait: Duration,
    volatile_events_max: u64,
}

impl Rules {
    fn of(settings: &Settings) -> Self {
        let spool = &settings.spool;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX).max(1);
        Self {
            tick: TICK.min(spool.commit_interval),
            commit_interval: spool.commit_interval,
            commit_bytes: spool.commit_bytes,
            segment_bytes: spool.segment_bytes,
            batch_events_max: count(settings.batch_events_max).min(BATCH_EVENTS_MAX),
            // the other half of the interval is for the way into the store
            batch_wait: settings.flush_interval / 2,
            volatile_events_max: count(settings.queue_events_max),
        }
    }
}

/// An intent whose exchange has not ended: a frame of the current segment.
#[derive(Debug, Clone, Copy)]
struct Intent {
    at: u64,
    bytes: u64,
    /// It stands on the disk, too, in this segment or one before.
    is_on_disk: bool,
}

/// The batch that fills.
#[derive(Debug, Default)]
struct Filling {
    start: u64,
    events: u64,
    bytes: u64,
    since: Option<Instant>,
}

/// The writer's own state.
pub(super) struct Writer {
    reader: EventReader,
    rules: Rules,
    place: Option<Arc<Place>>,
    id: RequestId,
    columns: Bytes,
    shelf: Arc<Shelf>,
    segment: Arc<Segment>,
    /// The end of the segment so far.
    at: u64,
    /// Where the first frame of today stands in it, behind the carried ones.
    entered_at: u64,
    batch: Filling,
    intents: HashMap<[u8; 26], Intent>,
    /// Intents on the disk whose exchanges ended while it refused.
    voids: Vec<[u8; 26]>,
    /// Since when something is not on the disk, and how much.
    unsynced: Option<(Instant, u64)>,
    /// Events in segments in memory.
    volatile_events: Arc<AtomicU64>,
    disk_tried: Option<Instant>,
    is_failing: bool,
    told_at: Option<Instant>,
}

impl Writer {
    /// Writes into this folder, whose id this is; without one into memory.
    pub(super) fn new(
        reader: EventReader,
        settings: &Settings,
        (id, place): (RequestId, Option<Arc<Place>>),
        shelf: Arc<Shelf>,
        volatile_events: Arc<AtomicU64>,
    ) -> Self {
        let columns = Bytes::from(row::head());
        let segment = Arc::new(Segment::volatile(id, 0, columns.clone()));
        let mut writer = Self {
            reader,
            rules: Rules::of(settings),
            place,
            id,
            columns,
            shelf,
            segment,
            at: 0,
            entered_at: 0,
            batch: Filling::default(),
            intents: HashMap::new(),
            voids: Vec::new(),
            unsynced: None,
            volatile_events,
            disk_tried: None,
            is_failing: false,
            told_at: None,
        };
        writer.try_disk();
        writer
    }

    /// Writes until the queue is closed and empty. True when no exchange is left that has an intent and no event.
    pub(super) fn run(mut self) -> bool {
        let (mut group, mut wants_batch, mut busy_at) = (Group::default(), false, clock::instant());
        loop {
            let now = clock::instant();
            let has_work = self.unsynced.is_some() || wants_batch && self.batch.events > 0;
            let is_idle = !has_work && now.saturating_duration_since(busy_at) >= IDLE_AFTER;
            let news = self.reader.collect((!is_idle).then_some(self.rules.tick), &mut group);
            wants_batch |= news.wants_batch;
            let now = clock::instant();
            let is_empty = group.frames.is_empty();
            if !is_empty {
                busy_at = now;
                self.append(&mut group.frames, now);
            }
            if !group.holds.is_empty() || self.is_sync_due(now) || news.is_closed {
                self.sync();
            }
            group.holds.clear();
            if wants_batch && self.batch.has_waited(self.rules.batch_wait, now) {
                self.seal();
                wants_batch = false;
            }
            if news.is_closed && is_empty {
                break;
            }
        }
        self.seal();
        self.segment.close(self.at);
        self.shelf.end();
        self.intents.is_empty()
    }

    fn is_sync_due(&self, now: Instant) -> bool {
        self.unsynced.is_some_and(|(since, bytes)| {
            bytes >= self.rules.commit_bytes || now.saturating_duration_since(since) >= self.rules.commit_interval
        })
    }

    /// Appends frames, and seals each batch that is full.
    fn append(&mut self, frames: &mut [u8], now: Instant) {
        let mut rest = frames;
        while !rest.is_empty() {
            if self.segment.is_volatile() {
                self.try_disk();
            }
            let piece = self.piece(rest);
            if piece == 0 {
                self.rotate();
                continue;
            }
            let Some((piece, behind)) = rest.split_at_mut_checked(piece) else { return };
            rest = behind;
            self.write(piece, now);
            if self.batch.events >= self.rules.batch_events_max || self.batch.bytes >= BATCH_BYTES_MAX {
                self.seal();
            }
        }
    }

    /// How much of these frames this segment and this batch take; 0 when the segment is full.
    fn piece(&self, frames: &[u8]) -> usize {
        let (mut length, mut events) = (0, self.batch.events);
        let is_new = self.at <= self.entered_at;
        for frame in frame::made(frames) {
            let end = frame.end();
            let is_over = self.at.saturating_add(end) > self.rules.segment_bytes;
            if is_over && !(is_new && length == 0) || events >= self.rules.batch_events_max {
                return length;
            }
            length = usize::try_from(end).unwrap_or(usize::MAX);
            events += u64::from(frame.kind.is_event());
        }
        // What cannot be told apart is written as it is, and found to be damaged when it is read.
        if length == 0 { frames.len() } else { length }
    }

    /// Writes frames that fit, to the disk if that takes them, else to memory if there is room.
    fn write(&mut self, piece: &mut [u8], now: Instant) {
        let bytes = piece.len() as u64;
        if !self.segment.is_volatile() {
            frame::seat(piece, self.segment.salt, self.at);
            match self.write_to_disk(piece) {
                Ok(()) => {
                    let since = self.unsynced.map_or(now, |(since, _)| since);
                    self.unsynced = Some((since, self.unsynced.map_or(0, |(_, before)| before) + bytes));
                }
                Err(error) => self.leave_disk(&error),
            }
        }
        if self.segment.is_volatile() {
            let events = frame::made(piece).filter(|frame| frame.kind.is_event()).count() as u64;
            if self.volatile_events.load(Relaxed).saturating_add(events) > self.rules.volatile_events_max {
                return self.lose(piece);
            }
            frame::seat(piece, self.segment.salt, self.at);
            if self.segment.write(self.at, piece).is_err() {
                return self.lose(piece);
            }
            self.volatile_events.fetch_add(events, Relaxed);
        }
        self.note(piece, now);
        self.at += bytes;
    }

    fn write_to_disk(&self, frames: &[u8]) -> io::Result<()> {
        let Some(place) = &self.place else { return Err(io::ErrorKind::NotFound.into()) };
        let bytes = frames.len() as u64;
        if !place.disk.has_room(bytes) {
            place.disk.is_full();
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the spool has reached its bound"));
        }
        self.segment.write(self.at, frames)?;
        place.grew(self.segment.number, bytes);
        Ok(())
    }

    /// Notes what was written.
    fn note(&mut self, piece: &[u8], now: Instant) {
        let (is_on_disk, before) = (!self.segment.is_volatile(), self.batch.events);
        for frame in frame::made(piece) {
            match frame.kind {
                Kind::Event | Kind::Closing => {
                    let Some((id, time)) = row::identity(frame.payload) else { continue };
                    self.batch.events += 1;
                    self.batch.bytes += frame.payload.len() as u64;
                    self.batch.since.get_or_insert(now);
                    if is_on_disk {
                        self.reader.ledger().written(time);
                    }
                    if frame.kind == Kind::Closing {
                        self.close(&id);
                    }
                }
                Kind::Intent => {
                    let Some((id, _)) = row::identity(frame.payload) else { continue };
                    let bytes = frame.end() - frame.at;
                    self.intents.insert(id, Intent { at: self.at + frame.at, bytes, is_on_disk });
                }
                Kind::Void => {
                    if let Ok(id) = frame.payload.try_into() {
                        self.close(&id);
                    }
                }
                Kind::Seal | Kind::Carried => {}
            }
        }
        if is_on_disk {
            METRICS.usage_events_spooled_total.inc_by(self.batch.events - before);
        }
    }

    fn close(&mut self, id: &[u8; 26]) {
        let is_on_disk = self.intents.remove(id).is_some_and(|intent| intent.is_on_disk);
        if is_on_disk && self.segment.is_volatile() {
            self.voids.push(*id);
        }
    }

    #[cold]
    fn lose(&mut self, piece: &[u8]) {
        let mut lost = 0;
        for frame in frame::made(piece).filter(|frame| frame.kind.is_event()) {
            let Some((id, time)) = row::identity(frame.payload) else { continue };
            lost += 1;
            self.reader.ledger().lost(time);
            self.close(&id);
        }
        if lost > 0 {
            self.reader.tally().add_lost(lost);
            self.reader.tally().log_loss("the spool cannot be written, and there is no room in memory");
        }
    }

    /// Ends the batch that fills, and gives it to the shipper once it is on the disk.
    fn seal(&mut self) {
        if self.batch.events == 0 {
            return;
        }
        let sealed = self.sealed();
        if self.segment.is_volatile() {
            self.batch = Filling { start: self.at, ..Filling::default() };
            return self.shelf.put(sealed);
        }
        let mut seal = sealed.seal();
        frame::seat(&mut seal, self.segment.salt, self.at);
        if let Err(error) = self.write_to_disk(&seal) {
            return self.leave_disk(&error); // which ends the batch by the end of its segment
        }
        self.at += seal.len() as u64;
        self.unsynced.get_or_insert_with(|| (clock::instant(), 0));
        self.batch = Filling { start: self.at, ..Filling::default() };
        self.sync();
        self.shelf.put(sealed);
    }

    fn sealed(&self) -> Sealed {
        let segment = Arc::clone(&self.segment);
        Sealed { segment, start: self.batch.start, end: self.at, events: self.batch.events }
    }

    /// Brings everything onto the disk.
    fn sync(&mut self) {
        if self.unsynced.take().is_none() {
            return;
        }
        match self.segment.sync() {
            Err(error) => self.leave_disk(&error),
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                tracing::info!("the usage spool can be written again");
            }
            Ok(()) => {}
        }
    }

    /// Goes on in the next segment.
    fn rotate(&mut self) {
        self.seal();
        if self.segment.is_volatile() {
            return self.enter(Segment::volatile(self.id, self.segment.number + 1, self.columns.clone()));
        }
        self.sync();
        match self.next_file() {
            Ok(segment) => self.enter(segment),
            Err(error) => self.leave_disk(&error),
        }
    }

    fn next_file(&self) -> io::Result<Segment> {
        let Some(place) = &self.place else { return Err(io::ErrorKind::NotFound.into()) };
        if !place.disk.has_room(self.columns.len() as u64) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the spool has reached its bound"));
        }
        place.segment(self.segment.number + 1, self.columns.clone())
    }

    /// The disk refuses: memory takes its place. The batch that fills ends where its segment does.
    #[cold]
    fn leave_disk(&mut self, error: &io::Error) {
        METRICS.usage_spool_failures_total.inc();
        let now = clock::instant();
        self.is_failing = true;
        if self.told_at.is_none_or(|at| now.saturating_duration_since(at) >= TELL_EVERY) {
            self.told_at = Some(now);
            tracing::error!(%error, "the usage spool cannot be written: usage events are kept in memory alone");
        }
        if self.segment.is_volatile() {
            return;
        }
        (self.disk_tried, self.unsynced) = (Some(now), None);
        // As far as it still can.
        drop(self.segment.sync());
        if self.batch.events > 0 {
            self.shelf.put(self.sealed());
        }
        let (left, is_empty) = (self.segment.number, self.at <= self.entered_at);
        self.enter(Segment::volatile(self.id, self.segment.number + 1, self.columns.clone()));
        // A disk that is tried in vain again and again must not fill with segments in which nothing stands.
        if let Some(place) = self.place.as_ref().filter(|_| is_empty) {
            place.discard(left);
        }
    }

    /// Returns to the disk, if it takes a segment.
    fn try_disk(&mut self) {
        let now = clock::instant();
        let is_early = self.disk_tried.is_some_and(|at| now.saturating_duration_since(at) < DISK_TRY_EVERY);
        if self.place.is_none() || is_early {
            return;
        }
        self.disk_tried = Some(now);
        match self.next_file() {
            Ok(segment) => {
                self.seal();
                self.enter(segment);
            }
            Err(error) => self.leave_disk(&error),
        }
    }

    /// Makes a segment the current one, and carries the intents of open exchanges into it: the segments before it may go.
    fn enter(&mut self, segment: Segment) {
        let before = std::mem::replace(&mut self.segment, Arc::new(segment));
        before.close(self.at);
        self.at = self.segment.first;
        self.entered_at = self.at;
        self.batch = Filling::default();
        let is_on_disk = !self.segment.is_volatile();
        let (mut frames, mut carried) = (Vec::new(), Vec::new());
        for (id, intent) in self.intents.drain() {
            let bytes = before.read(intent.at, intent.at + intent.bytes).unwrap_or_default();
            let Some(Found::Frame(frame)) = Frames::new(&bytes, before.salt, intent.at).next() else { continue };
            let from = frame::begin(&mut frames, Kind::Carried);
            frames.extend_from_slice(frame.payload);
            frame::end(&mut frames, from);
            let at = self.at + from as u64;
            carried.push((id, Intent { at, is_on_disk: is_on_disk || intent.is_on_disk, ..intent }));
        }
        self.intents.extend(carried);
        if is_on_disk {
            for id in self.voids.drain(..) {
                frames.extend_from_slice(&frame::whole(Kind::Void, &id));
            }
        }
        if frames.is_empty() {
            return;
        }
        frame::seat(&mut frames, self.segment.salt, self.at);
        let written = if is_on_disk { self.write_to_disk(&frames) } else { self.segment.write(self.at, &frames) };
        match written {
            Ok(()) => {
                self.at += frames.len() as u64;
                self.entered_at = self.at;
                self.unsynced = is_on_disk.then(|| (clock::instant(), 0));
            }
            // Without their intents these exchanges would be missed only if the process were killed.
            Err(error) => {
                self.intents.clear();
                self.leave_disk(&error);
            }
        }
    }
}

impl Filling {
    fn has_waited(&self, wait: Duration, now: Instant) -> bool {
        self.since.is_some_and(|since| now.saturating_duration_since(since) >= wait)
    }
}
