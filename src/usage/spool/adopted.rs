//! Folders that other processes left: their batches are shipped as they stand, beside this process' own, and an exchange that was
//! under way when its process was killed gets the event that its intent says.

use super::{
    disk::Disk,
    ledger::Ledger,
    place::Place,
    recover::{self, Left},
    settle::{Desk, UnderWay},
};
use crate::{
    base::clock::Duration,
    telemetry::metrics::METRICS,
    usage::{
        queue::{EventReader, Tally},
        shipper::Sink,
        source::{Batch, Outcome, Source},
    },
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// How often orphans are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// … and the store is asked again when it did not answer.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Ids in one question.
const ASK_IDS_MAX: usize = 1000;

/// Gives out the batches of orphans.
pub struct AdoptedSource<K> {
    root: PathBuf,
    disk: Arc<Disk>,
    tally: Arc<Tally>,
    ledger: Arc<Ledger>,
    /// To ask whether an exchange is stored.
    store: K,
    current: Option<(Desk, Left)>,
    under_way: Option<UnderWay>,
    closed: CancellationToken,
    has_told: bool,
}

impl<K: Sink> AdoptedSource<K> {
    pub(super) fn new(root: &Path, disk: Arc<Disk>, reader: &EventReader, store: K) -> Self {
        Self {
            root: root.to_owned(),
            disk,
            tally: Arc::clone(reader.tally()),
            ledger: Arc::clone(reader.ledger()),
            store,
            current: None,
            under_way: None,
            closed: CancellationToken::new(),
            has_told: false,
        }
    }

    /// Finds the next orphan, if there is one.
    async fn look(&mut self) {
        let (root, disk) = (self.root.clone(), Arc::clone(&self.disk));
        let (tally, ledger) = (Arc::clone(&self.tally), Arc::clone(&self.ledger));
        let found = tokio::task::spawn_blocking(move || adopt_one(&root, &disk, (tally, ledger))).await;
        match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(found) => self.current = found,
            Err(error) if !self.has_told => {
                self.has_told = true;
                tracing::error!(%error, "what other processes left in the usage spool cannot be read");
            }
            Err(_) => {}
        }
    }

    /// Which orphans are stored already: the frame of their event was damaged after it was shipped.
    async fn stored(&mut self) -> Option<Vec<[u8; 26]>> {
        let (_, left) = self.current.as_ref()?;
        let ids: Vec<[u8; 26]> = left.orphans.iter().map(|orphan| orphan.id).collect();
        let mut stored = Vec::new();
        for some in ids.chunks(ASK_IDS_MAX) {
            match self.store.stored(some).await {
                Ok(found) => stored.extend(found),
                Err(_) => return None,
            }
        }
        Some(stored)
    }

    /// Makes the events of orphans. `false` when that has to wait.
    async fn resolve(&mut self) -> bool {
        let Some(stored) = self.stored().await else { return false };
        let Some((desk, left)) = &mut self.current else { return true };
        let Some(place) = &desk.place else { return true };
        let known = left.orphans.iter().filter(|orphan| stored.contains(&orphan.id)).count();
        match left.write_orphans(place, &stored) {
            Ok(()) => {
                self.tally.add_found_stored(known as u64);
                true
            }
            Err(error) => {
                if !self.has_told {
                    self.has_told = true;
                    tracing::error!(%error, "the events of exchanges that were cut off cannot be written");
                }
                false
            }
        }
    }
}

/// Takes the first folder whose process has gone.
fn adopt_one(
    root: &Path,
    disk: &Arc<Disk>,
    (tally, ledger): (Arc<Tally>, Arc<Ledger>),
) -> io::Result<Option<(Desk, Left)>> {
    let mut names: Vec<String> =
        fs::read_dir(root)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    for name in names {
        let Some(place) = Place::adopt(root, &name, disk)? else { continue };
        let left = recover::read(place.id, place.position(), place.left()?);
        for (number, error) in &left.unreadable {
            tracing::error!(folder = name, number, %error, "a segment of the usage spool cannot be read, and is set aside");
            place.set_aside(*number);
        }
        let forgotten = left.forgotten(&place)?;
        let orphans = left.orphans.len() as u64;
        if left.events + orphans + forgotten + left.damaged_bytes > 0 {
            let (events, damaged_bytes) = (left.events, left.damaged_bytes);
            tracing::warn!(folder = name, events, orphans, forgotten, damaged_bytes, "a usage spool was adopted");
        }
        if forgotten > 0 {
            METRICS.usage_events_forgotten_total.inc_by(forgotten);
            tracing::error!(
                folder = name,
                forgotten,
                "usage events are lost: only the memory of a killed process held them"
            );
        }
        tally.add_adopted(left.events + orphans);
        let (id, place) = (place.id, Some(Arc::new(place)));
        return Ok(Some((Desk { id, place, tally, ledger }, left)));
    }
    Ok(None)
}

impl<K: Sink> Source for AdoptedSource<K> {
    async fn next(&mut self) -> Option<Batch> {
        let closed = self.closed.clone();
        loop {
            if closed.is_cancelled() {
                return None;
            }
            let pause = match &mut self.current {
                None => {
                    self.look().await;
                    self.current.is_none().then_some(LOOK_EVERY)
                }
                Some((desk, left)) => {
                    if let Some(sealed) = left.batches.pop_front() {
                        if let Some((batch, under_way)) = desk.open(sealed) {
                            self.under_way = Some(under_way);
                            return Some(batch);
                        }
                        None
                    } else if !left.orphans.is_empty() {
                        (!self.resolve().await).then_some(ASK_AGAIN_AFTER)
                    } else {
                        if let Some(Err(error)) = desk.place.as_ref().map(|place| place.remove()) {
                            tracing::warn!(%error, "an adopted folder of the usage spool cannot be removed");
                        }
                        self.current = None;
                        None
                    }
                }
            };
            if let Some(pause) = pause {
                tokio::select! {
                    () = closed.cancelled() => return None,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }

    fn settle(&mut self, batch: &Batch, outcome: Outcome) {
        if let (Some(under_way), Some((desk, _))) = (self.under_way.take(), &self.current) {
            desk.settle(&under_way, batch, outcome);
        }
    }

    /// What is left waits for the next process, or for this one's next start.
    fn close(&mut self) {
        self.closed.cancel();
    }
}
