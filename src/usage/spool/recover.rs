//! What an earlier process left in its folder: batches that were not shipped, and exchanges that were under way when it ended.

use super::{
    frame::{Found, Frames, Kind},
    ledger,
    place::{Place, Position},
    segment::Segment,
    shelf::{SEAL_BYTES, Sealed, read_seal},
};
use crate::{base::ids::RequestId, usage::row};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    path::PathBuf,
    sync::Arc,
};

/// The row that an exchange has of which nothing more was heard.
#[derive(Debug, Clone)]
pub(super) struct Orphan {
    pub(super) id: [u8; 26],
    pub(super) row: Vec<u8>,
    pub(super) columns: Bytes,
}

/// A folder's rest.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) batches: VecDeque<Sealed>,
    pub(super) orphans: Vec<Orphan>,
    /// Events of the batches.
    pub(super) events: u64,
    /// The number for a segment more.
    pub(super) next_number: u64,
    /// Bytes that are no frames, an unfinished end included.
    pub(super) damaged_bytes: u64,
    /// Segments of which nothing can be read.
    pub(super) unreadable: Vec<(u64, io::Error)>,
    /// Events that the seals name and that are not there.
    missing: u64,
}

/// Reads the segments of the folder with this id, which is shipped up to that position.
pub(super) fn read(id: RequestId, position: Position, files: Vec<(u64, PathBuf)>) -> Left {
    let (mut left, mut open) = (Left { next_number: 1, ..Left::default() }, BTreeMap::new());
    for (number, path) in files {
        left.next_number = left.next_number.max(number + 1);
        let (segment, bytes) = match Segment::open(&path, id, number) {
            Ok(read) => read,
            Err(error) => {
                left.unreadable.push((number, error));
                continue;
            }
        };
        let segment = Arc::new(segment);
        left.read_intents(&segment, &bytes, &mut open);
        left.read_batches(&segment, &bytes, position);
    }
    left.orphans = open.into_values().collect();
    left
}

impl Left {
    fn read_intents(&mut self, segment: &Arc<Segment>, bytes: &[u8], open: &mut BTreeMap<[u8; 26], Orphan>) {
        for found in frames(segment, bytes) {
            let frame = match found {
                Found::Frame(frame) => frame,
                Found::Damage(from, to) => {
                    self.damaged_bytes += to - from;
                    continue;
                }
            };
            let id = match frame.kind {
                Kind::Void => frame.payload.try_into().ok(),
                _ => row::identity(frame.payload).map(|(id, _)| id),
            };
            match (frame.kind, id) {
                (Kind::Intent | Kind::Carried, Some(id)) => {
                    let (row, columns) = (frame.payload.to_vec(), segment.columns.clone());
                    open.insert(id, Orphan { id, row, columns });
                }
                (Kind::Closing | Kind::Void, Some(id)) => {
                    open.remove(&id);
                }
                _ => {}
            }
        }
    }

    fn read_batches(&mut self, segment: &Arc<Segment>, bytes: &[u8], position: Position) {
        if segment.number < position.segment {
            return;
        }
        let shipped = (segment.number == position.segment && position.offset > 0).then_some(position.offset);
        // Behind the end of a batch stands its seal.
        let mut start = shipped.map_or(0, |end| end + SEAL_BYTES);
        let mut events: VecDeque<u64> = VecDeque::new();
        let mut batch = |start: u64, end: u64, events: &mut VecDeque<u64>| {
            let count = events.iter().take_while(|at| **at < end).count();
            events.drain(..count);
            if count > 0 {
                let (segment, events) = (Arc::clone(segment), count as u64);
                self.batches.push_back(Sealed { segment, start, end, events });
                self.events += count as u64;
            }
            count as u64
        };
        let mut missing = 0;
        for found in frames(segment, bytes) {
            let Found::Frame(frame) = found else { continue };
            if frame.at < start {
                continue;
            }
            if frame.kind.is_event() {
                events.push_back(frame.at);
            }
            let Some((began, count)) = (frame.kind == Kind::Seal).then(|| read_seal(frame.payload)).flatten() else {
                continue;
            };
            if began > start {
                // The seal between is damaged: its place follows from where the next batch began.
                batch(start, began.saturating_sub(SEAL_BYTES), &mut events);
            }
            let there = batch(began.max(start), frame.at, &mut events);
            missing += count.saturating_sub(there);
            start = frame.end();
        }
        batch(start, bytes.len() as u64, &mut events);
        self.missing += missing;
    }

    /// How many exchanges of that process are forgotten: it knew them, and nothing of them is here.
    pub(super) fn forgotten(&self, place: &Place) -> io::Result<u64> {
        let Some(ledger) = ledger::Read::of(&place.root, place.id)?.filter(|ledger| !ledger.is_alive) else {
            return Ok(self.missing);
        };
        let there = place.position().events + self.events + self.orphans.len() as u64;
        let forgotten = ledger.known.saturating_sub(there + ledger.lost);
        if forgotten > 0 {
            ledger.forgot(forgotten)?;
        }
        Ok(forgotten)
    }

    /// The rows of orphans as a batch of its own, in a segment more.
    pub(super) fn write_orphans(&mut self, place: &Place, stored: &[[u8; 26]]) -> io::Result<()> {
        let mut by_columns: HashMap<Bytes, Vec<&Orphan>> = HashMap::new();
        for orphan in self.orphans.iter().filter(|orphan| !stored.contains(&orphan.id)) {
            by_columns.entry(orphan.columns.clone()).or_default().push(orphan);
        }
        for (columns, orphans) in by_columns {
            let segment = place.segment(self.next_number, columns)?;
            self.next_number += 1;
            let mut bytes: Vec<u8> =
                orphans.iter().flat_map(|orphan| super::frame::whole(Kind::Closing, &orphan.row)).collect();
            super::frame::seat(&mut bytes, segment.salt, segment.first);
            segment.write(segment.first, &bytes)?;
            segment.sync()?;
            place.grew(segment.number, bytes.len() as u64);
            let (end, events) = (segment.first + bytes.len() as u64, orphans.len() as u64);
            segment.close(end);
            self.batches.push_back(Sealed { segment: Arc::new(segment), start: 0, end, events });
        }
        self.orphans.clear();
        Ok(())
    }
}

fn frames<'a>(segment: &Segment, bytes: &'a [u8]) -> Frames<'a> {
    let from = usize::try_from(segment.first).unwrap_or(usize::MAX);
    Frames::new(bytes.get(from..).unwrap_or_default(), segment.salt, segment.first)
}
