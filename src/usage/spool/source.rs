//! This process' own batches, for the shipper, and the thread that writes them.

use super::{
    place::Place,
    settle::{Desk, UnderWay},
    shelf::{Shelf, Taken},
    writer::Writer,
};
use crate::{
    base::ids::RequestId,
    usage::{
        queue::EventReader,
        settings::Settings,
        source::{Batch, Outcome, Source},
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

/// Gives out the batches that the writer seals.
#[derive(Debug)]
pub struct SpoolSource {
    reader: EventReader,
    shelf: Arc<Shelf>,
    desk: Desk,
    volatile_events: Arc<AtomicU64>,
    under_way: Option<UnderWay>,
    /// Says in the end whether each exchange has its event.
    writer: Option<JoinHandle<bool>>,
    is_over: bool,
}

impl SpoolSource {
    /// Keeps a queue's events in memory alone.
    pub fn volatile(reader: EventReader, settings: &Settings) -> Self {
        Self::start(reader, settings, None)
    }

    /// Keeps a queue's events in this folder.
    pub(super) fn start(reader: EventReader, settings: &Settings, place: Option<Arc<Place>>) -> Self {
        let (shelf, volatile_events) = (Arc::<Shelf>::default(), Arc::<AtomicU64>::default());
        let id = place.as_ref().map_or_else(RequestId::generate, |place| place.id);
        let writer = Writer::new(
            reader.clone(),
            settings,
            (id, place.clone()),
            Arc::clone(&shelf),
            Arc::clone(&volatile_events),
        );
        let started = thread::Builder::new().name("usage-spool".to_owned()).spawn(move || writer.run());
        if let Err(error) = &started {
            tracing::error!(%error, "the thread that writes the usage spool does not start: usage events will be lost");
            reader.close();
            shelf.end();
        }
        let (tally, ledger) = (Arc::clone(reader.tally()), Arc::clone(reader.ledger()));
        let desk = Desk { id, place, tally, ledger };
        Self { reader, shelf, desk, volatile_events, under_way: None, writer: started.ok(), is_over: false }
    }
}

impl Source for SpoolSource {
    async fn next(&mut self) -> Option<Batch> {
        loop {
            match self.shelf.take() {
                Taken::Batch(sealed) => {
                    if let Some((batch, under_way)) = self.desk.open(sealed) {
                        self.under_way = Some(under_way);
                        return Some(batch);
                    }
                }
                Taken::Over => {
                    self.is_over = true;
                    return None;
                }
                Taken::Nothing => {
                    self.reader.want_batch();
                    self.shelf.news().await;
                }
            }
        }
    }

    fn settle(&mut self, batch: &Batch, outcome: Outcome) {
        let Some(under_way) = self.under_way.take() else { return };
        self.desk.settle(&under_way, batch, outcome);
        if under_way.sealed.segment.is_volatile() {
            self.volatile_events.fetch_sub(under_way.count(), Relaxed);
        }
    }

    fn close(&mut self) {
        self.reader.close();
    }
}

impl Drop for SpoolSource {
    /// What is on the disk waits for the next process; what is in memory alone is lost.
    fn drop(&mut self) {
        self.reader.close();
        let is_settled = self.writer.take().is_some_and(|writer| {
            writer.join().unwrap_or_else(|_| {
                tracing::error!("the thread that writes the usage spool failed");
                false
            })
        });
        let (mut lost, mut waiting, mut is_over) = (0, 0, self.is_over);
        if let Some(under_way) = self.under_way.take() {
            let is_volatile = under_way.sealed.segment.is_volatile();
            *(if is_volatile { &mut lost } else { &mut waiting }) += under_way.count();
        }
        loop {
            match self.shelf.take() {
                Taken::Batch(sealed) if sealed.segment.is_volatile() => lost += sealed.events,
                Taken::Batch(sealed) => waiting += sealed.events,
                Taken::Nothing => break,
                Taken::Over => {
                    is_over = true;
                    break;
                }
            }
        }
        if lost > 0 {
            self.desk.tally.add_lost(lost);
            self.desk.ledger.missed(lost);
            tracing::error!(events = lost, "usage events are lost: they were not stored before the end");
        }
        if waiting > 0 {
            tracing::warn!(events = waiting, "usage events wait on the disk for the next start");
        }
        let is_empty = is_settled && is_over && waiting == 0;
        if let Some(place) = self.desk.place.as_ref().filter(|_| is_empty)
            && let Err(error) = place.remove()
        {
            tracing::warn!(%error, "the folder of the usage spool cannot be removed");
        }
    }
}
