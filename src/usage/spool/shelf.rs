//! Batches that are sealed and wait for the shipper. A batch is a span of one segment: its place alone names it, and its bytes
//! are the same whenever and by whomever they are read.

use super::{
    frame::{self, Found, HEADER_BYTES, Kind},
    segment::Segment,
};
use crate::{
    base::{clock::Timestamp, ids::RequestId},
    usage::{row, source::Batch},
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{collections::VecDeque, io, sync::Arc};
use tokio::sync::Notify;

/// A seal's frame.
pub(super) const SEAL_BYTES: u64 = HEADER_BYTES as u64 + 16;

/// A batch whose bounds will not change.
#[derive(Debug, Clone)]
pub(super) struct Sealed {
    pub(super) segment: Arc<Segment>,
    /// 0 for the first of a segment.
    pub(super) start: u64,
    /// Where its seal stands, or the segment ends.
    pub(super) end: u64,
    /// How many events are in it, as far as that is known.
    pub(super) events: u64,
}

/// A batch that was read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) batch: Batch,
    /// When the requests of its events arrived.
    pub(super) times: Vec<Timestamp>,
    /// Bytes of it that are no frames.
    pub(super) damaged_bytes: u64,
}

impl Sealed {
    /// The frame that seals it.
    pub(super) fn seal(&self) -> Vec<u8> {
        frame::whole(Kind::Seal, &[self.start.to_le_bytes(), self.events.to_le_bytes()].concat())
    }

    /// Reads its rows, as far as they are whole.
    pub(super) fn load(&self, folder: RequestId) -> io::Result<Loaded> {
        let (mut rows, mut times, mut damaged_bytes) = (Vec::new(), Vec::new(), 0);
        self.segment.frames(self.start, self.end, |found| match found {
            Found::Frame(frame) if frame.kind.is_event() => {
                if let Some((_, time)) = row::identity(frame.payload) {
                    rows.extend_from_slice(frame.payload);
                    times.push(time);
                }
            }
            Found::Frame(_) => {}
            Found::Damage(from, to) => damaged_bytes += to - from,
        })?;
        let token = format!("{folder}-{}-{}", self.segment.number, self.start);
        let batch =
            Batch { token, columns: self.segment.columns.clone(), rows: rows.into(), count: times.len() as u64 };
        Ok(Loaded { batch, times, damaged_bytes })
    }
}

impl Loaded {
    /// A batch of which nothing could be read.
    pub(super) fn nothing(sealed: &Sealed) -> Self {
        let batch =
            Batch { token: String::new(), columns: sealed.segment.columns.clone(), rows: Bytes::new(), count: 0 };
        Self { batch, times: Vec::new(), damaged_bytes: sealed.end.saturating_sub(sealed.start) }
    }
}

/// What a seal says: where its batch began, and how many events are in it.
pub(super) fn read_seal(payload: &[u8]) -> Option<(u64, u64)> {
    let word = |from: usize| payload.get(from..from + 8)?.try_into().ok().map(u64::from_le_bytes);
    Some((word(0)?, word(8)?))
}

/// Batches in the order in which they were sealed.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    batches: Mutex<(VecDeque<Sealed>, bool)>,
    news: Notify,
}

/// What was on the shelf.
pub(super) enum Taken {
    Batch(Sealed),
    Nothing,
    /// And nothing more will come.
    Over,
}

impl Shelf {
    pub(super) fn put(&self, sealed: Sealed) {
        self.batches.lock().0.push_back(sealed);
        self.news.notify_one();
    }

    /// Nothing more will come.
    pub(super) fn end(&self) {
        self.batches.lock().1 = true;
        self.news.notify_one();
    }

    pub(super) fn take(&self) -> Taken {
        let mut batches = self.batches.lock();
        match (batches.0.pop_front(), batches.1) {
            (Some(sealed), _) => Taken::Batch(sealed),
            (None, true) => Taken::Over,
            (None, false) => Taken::Nothing,
        }
    }

    /// Waits until something may have come.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}
