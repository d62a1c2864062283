//! What is done with a batch that the shipper is through with, whoever's it was.

use super::{
    ledger::Ledger,
    place::Place,
    quarantine,
    shelf::{Loaded, Sealed},
};
use crate::{
    base::{clock::Timestamp, ids::RequestId},
    usage::{
        queue::Tally,
        source::{Batch, Outcome},
    },
};
use std::sync::Arc;

/// A batch that was given out and is not settled.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) sealed: Sealed,
    times: Vec<Timestamp>,
}

impl UnderWay {
    /// Its events.
    pub(super) fn count(&self) -> u64 {
        self.times.len() as u64
    }

    pub(super) fn times(&self) -> &[Timestamp] {
        &self.times
    }
}

/// Where batches come from, and who keeps count.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) id: RequestId,
    pub(super) place: Option<Arc<Place>>,
    pub(super) tally: Arc<Tally>,
    pub(super) ledger: Arc<Ledger>,
}

impl Desk {
    /// Reads a batch. What cannot be read of it is lost, and counted; `None` when that is all of it.
    pub(super) fn open(&self, sealed: Sealed) -> Option<(Batch, UnderWay)> {
        let loaded = sealed.load(self.id).unwrap_or_else(|error| {
            tracing::error!(segment = sealed.segment.number, %error, "a segment of the usage spool cannot be read");
            Loaded::nothing(&sealed)
        });
        let missing = sealed.events.saturating_sub(loaded.batch.count);
        if missing > 0 || loaded.damaged_bytes > 0 {
            let (segment, bytes) = (sealed.segment.number, loaded.damaged_bytes);
            tracing::error!(segment, bytes, lost = missing, "a segment of the usage spool is damaged");
            self.tally.add_lost(missing);
            self.ledger.missed(missing);
        }
        if loaded.batch.count == 0 {
            self.pass(&sealed, 0);
            return None;
        }
        Some((loaded.batch, UnderWay { sealed, times: loaded.times }))
    }

    /// The shipper is through with a batch.
    pub(super) fn settle(&self, under_way: &UnderWay, batch: &Batch, outcome: Outcome) {
        let count = under_way.count();
        let is_volatile = under_way.sealed.segment.is_volatile();
        let is_kept = match outcome {
            Outcome::Stored => {
                self.tally.add_stored(count);
                true
            }
            Outcome::Refused(reason) => self.quarantine(batch, under_way.times(), &reason),
        };
        for time in under_way.times() {
            if !is_kept {
                self.ledger.lost(*time);
            } else if is_volatile {
                self.ledger.written(*time);
            }
        }
        self.pass(&under_way.sealed, if is_kept { count } else { 0 });
    }

    fn quarantine(&self, batch: &Batch, times: &[Timestamp], reason: &str) -> bool {
        let count = times.len() as u64;
        let kept = self.place.as_ref().map(|place| quarantine::keep(&place.root, batch, times, reason));
        match kept {
            Some(Ok(bytes)) => {
                if let Some(place) = &self.place {
                    place.disk.add(bytes);
                }
                self.tally.add_quarantined(count);
                tracing::error!(
                    batch = batch.token,
                    events = count,
                    "a batch is in quarantine: see `usage quarantine list`"
                );
                return true;
            }
            Some(Err(error)) => tracing::error!(batch = batch.token, %error, "a batch cannot be put into quarantine"),
            None => {}
        }
        self.tally.add_lost(count);
        tracing::error!(batch = batch.token, events = count, "usage events are lost: the store refuses them");
        false
    }

    /// Nothing before the end of this batch waits any more.
    fn pass(&self, sealed: &Sealed, events: u64) {
        let Some(place) = &self.place else { return };
        if let Err(error) = place.shipped(&sealed.segment, sealed.end, events) {
            tracing::warn!(segment = sealed.segment.number, %error, "what was shipped of the usage spool cannot be noted");
        }
    }
}
