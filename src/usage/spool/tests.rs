//! One process' spool, and what the next makes of it.

use super::{
    adopted::AdoptedSource,
    disk::Disk,
    frame::Found,
    ledger::Ledger,
    place::{self, Place},
    recover,
    source::SpoolSource,
};
use crate::{
    base::{clock::Duration, ids::RequestId},
    usage::{
        event::{UsageEvent, sample},
        queue::{EventQueue, EventReader, Rows, queue, queue_with},
        settings::{self, Settings},
        shipper::{Fault, Sink},
        source::{Batch, Outcome, Source},
    },
};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A store that knows some exchanges.
#[derive(Clone, Default)]
struct Knows(Arc<Mutex<Vec<[u8; 26]>>>);

impl Sink for Knows {
    async fn prepare(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn store(&mut self, _batch: &Batch) -> Result<(), Fault> {
        Ok(())
    }

    async fn stored(&mut self, ids: &[[u8; 26]]) -> Result<Vec<[u8; 26]>, Fault> {
        Ok(self.0.lock().iter().filter(|id| ids.contains(*id)).copied().collect())
    }
}

fn settings(batch_events_max: usize) -> Settings {
    Settings { batch_events_max, ..settings::sample() }
}

/// A process' spool in this folder.
fn start(root: &Path, settings: &Settings) -> (EventQueue, SpoolSource) {
    let place = Place::create(root, Arc::new(Disk::new(1 << 30))).unwrap();
    let ledger = Ledger::create(root, place.id).unwrap();
    let (queue, reader) = queue_with(settings, ledger);
    let source = SpoolSource::start(reader, settings, Some(Arc::new(place)));
    (queue, source)
}

fn next_process(root: &Path, store: Knows) -> (AdoptedSource<Knows>, EventReader) {
    let (_, reader) = queue(&settings(100));
    (AdoptedSource::new(root, Arc::new(Disk::new(1 << 30)), &reader, store), reader)
}

/// Takes batches until there are no more, and settles those that are wanted.
async fn batches(source: &mut impl Source, count: usize) -> Vec<Batch> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let Some(batch) = source.next().await else { break };
        source.settle(&batch, Outcome::Stored);
        taken.push(batch);
    }
    taken
}

fn same(batch: &Batch) -> (String, Vec<u8>, u64) {
    (batch.token.clone(), batch.rows.to_vec(), batch.count)
}

fn segments(root: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let named = folders.filter(|path| RequestId::parse(path.file_name().unwrap().to_str().unwrap()).is_some());
    named.flat_map(|folder| place::segments_of(&folder).unwrap()).map(|(_, path)| path).collect()
}

fn row_of(event: &UsageEvent<'_>) -> Vec<u8> {
    Rows::of([event]).bytes
}

#[tokio::test]
async fn the_next_process_sends_the_same_bytes_under_the_same_tokens() {
    let root = tempfile::tempdir().unwrap();
    let (queue, mut source) = start(root.path(), &settings(10));
    let events: Vec<_> = (0..34).map(|_| sample()).collect();
    for event in &events {
        queue.push(event);
    }
    source.close();
    let shipped = batches(&mut source, 1).await;
    let unsettled = source.next().await.unwrap();
    drop((source, queue));

    let (mut adopted, reader) = next_process(root.path(), Knows::default());
    let rest = batches(&mut adopted, 3).await;
    assert_eq!(same(&rest[0]), same(&unsettled));
    assert_eq!(rest.iter().map(|batch| batch.count).collect::<Vec<_>>(), [10, 10, 4]);
    let rows: Vec<u8> = shipped.iter().chain(&rest).flat_map(|batch| batch.rows.to_vec()).collect();
    assert_eq!(rows, events.iter().flat_map(row_of).collect::<Vec<_>>());
    let tally = reader.tally();
    assert_eq!((tally.stored(), tally.waiting(), tally.lost()), (24, 0, 0));
    adopted.close();
    assert!(adopted.next().await.is_none());
}

#[tokio::test]
async fn a_seal_that_is_damaged_moves_no_boundary() {
    let root = tempfile::tempdir().unwrap();
    let (queue, mut source) = start(root.path(), &settings(10));
    (0..30).for_each(|_| queue.push(&sample()));
    source.close();
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.push(source.next().await.unwrap());
    }
    drop((source, queue));
    let path = segments(root.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    // the first seal is the frame before the second batch
    let start: usize = expected[1].token.rsplit('-').next().unwrap().parse().unwrap();
    bytes[start - 3] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (mut adopted, _reader) = next_process(root.path(), Knows::default());
    let found = batches(&mut adopted, 3).await;
    assert_eq!(found.iter().map(same).collect::<Vec<_>>(), expected.iter().map(same).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_exchange_without_its_event_gets_that_of_its_intent_unless_it_is_stored() {
    let root = tempfile::tempdir().unwrap();
    let (queue, mut source) = start(root.path(), &settings(100));
    let [ended, cut_off, known, lost] = [(); 4].map(|()| sample());
    for intent in [&ended, &cut_off, &known, &lost] {
        assert!(queue.begin(intent, None));
    }
    let event = UsageEvent { status: 201, ..ended.clone() };
    queue.end(&event, true, None);
    source.close();
    // after the end nothing is taken: it is lost, and its intent must not bring it back
    let shipped = source.next().await.unwrap();
    assert_eq!(shipped.rows, row_of(&event));
    source.settle(&shipped, Outcome::Stored);
    drop((source, queue));

    let store = Knows::default();
    store.0.lock().push(*known.request_id.as_bytes());
    let (mut adopted, reader) = next_process(root.path(), store);
    let batch = batches(&mut adopted, 1).await.remove(0);
    let rows: BTreeSet<_> = [&cut_off, &lost].map(row_of).into();
    assert_eq!(batch.count, 2);
    assert!(rows.iter().all(|row| batch.rows.windows(row.len()).any(|window| window == *row)));
    let tally = reader.tally();
    assert_eq!((tally.stored(), tally.waiting(), tally.lost()), (3, 0, 0));
}

#[tokio::test]
async fn an_intent_outlives_its_segment_and_shipped_segments_go() {
    let root = tempfile::tempdir().unwrap();
    let mut small = settings(10);
    small.spool.segment_bytes = 8 * 1024;
    let (queue, mut source) = start(root.path(), &small);
    let open = sample();
    assert!(queue.begin(&open, None));
    for _ in 0..200 {
        let event = sample();
        assert!(queue.begin(&event, None));
        queue.end(&event, true, None);
    }
    source.close();
    let mut count = 0;
    while let Some(batch) = source.next().await {
        count += batch.count;
        source.settle(&batch, Outcome::Stored);
    }
    assert_eq!(count, 200);
    assert!(segments(root.path()).len() <= 2, "{:?}", segments(root.path()));
    drop((source, queue));
    let (mut adopted, _reader) = next_process(root.path(), Knows::default());
    let batch = batches(&mut adopted, 1).await.remove(0);
    assert_eq!((batch.count, batch.rows.to_vec()), (1, row_of(&open)));
    adopted.close();
    assert!(adopted.next().await.is_none());
}

#[tokio::test]
async fn a_folder_in_which_nothing_waits_is_removed_at_the_end() {
    let root = tempfile::tempdir().unwrap();
    let (queue, mut source) = start(root.path(), &settings(10));
    queue.push(&sample());
    source.close();
    assert_eq!(batches(&mut source, 2).await.len(), 1);
    assert_eq!(segments(root.path()).len(), 1);
    drop((source, queue));
    assert!(segments(root.path()).is_empty());
}

#[tokio::test]
async fn what_only_the_memory_of_a_killed_process_held_is_counted() {
    let root = tempfile::tempdir().unwrap();
    let place = Place::create(root.path(), Arc::new(Disk::new(1 << 30))).unwrap();
    let (queue, reader) = queue_with(&settings(10), Ledger::create(root.path(), place.id).unwrap());
    let event = sample();
    assert!(queue.begin(&event, None));
    queue.end(&event, true, None);
    (0..4).for_each(|_| queue.push(&sample()));
    let id = place.id;
    drop((queue, reader));
    let left = recover::read(id, place.position(), place.left().unwrap());
    assert_eq!(left.forgotten(&place).unwrap(), 5);
    assert_eq!(left.forgotten(&place).unwrap(), 0, "it is counted once, whoever looks");
}

#[tokio::test]
async fn a_full_spool_ships_from_memory_and_returns_to_the_disk() {
    let root = tempfile::tempdir().unwrap();
    let mut small = settings(10);
    small.queue_events_max = 40;
    let place = Place::create(root.path(), Arc::new(Disk::new(3000))).unwrap();
    let (queue, reader) = queue_with(&small, Ledger::create(root.path(), place.id).unwrap());
    let mut source = SpoolSource::start(reader, &small, Some(Arc::new(place)));
    let mut count = 0;
    for _ in 0..10 {
        (0..20).for_each(|_| queue.push(&sample()));
        while count < queue.tally().waiting() + queue.tally().stored() {
            let batch = tokio::time::timeout(Duration::from_secs(10), source.next()).await.unwrap().unwrap();
            count += batch.count;
            source.settle(&batch, Outcome::Stored);
        }
    }
    assert_eq!((count, queue.tally().stored(), queue.tally().lost()), (200, 200, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to a segment: what is read of it was written, and the next process does not fail.
    #[test]
    fn damage_alters_no_event(
        hits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 1_usize..600), 0..5),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let root = tempfile::tempdir().unwrap();
        let events: Vec<_> = (0..25).map(|_| sample()).collect();
        let (queue, source) = start(root.path(), &settings(10));
        for event in &events {
            queue.begin(event, None);
            queue.end(event, true, None);
        }
        drop((source, queue));
        let path = segments(root.path()).remove(0);
        let mut bytes = fs::read(&path).unwrap();
        for (place, value, length) in hits {
            let from = place.index(bytes.len());
            bytes.iter_mut().skip(from).take(length).for_each(|byte| *byte = value);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(&path, bytes).unwrap();
        let written: BTreeSet<_> = events.iter().map(row_of).collect();
        let name = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let place = Place::adopt(root.path(), &name, &Arc::new(Disk::new(1 << 30))).unwrap().unwrap();
        let left = recover::read(place.id, place.position(), place.left().unwrap());
        let forgotten = left.forgotten(&place).unwrap();
        let mut found = 0;
        for sealed in &left.batches {
            let loaded = sealed.load(place.id).unwrap();
            sealed.segment.frames(sealed.start, sealed.end, |seen| {
                if let Found::Frame(frame) = seen
                    && frame.kind.is_event()
                {
                    assert!(written.contains(frame.payload), "an altered row");
                }
            }).unwrap();
            found += loaded.batch.count;
        }
        for orphan in &left.orphans {
            prop_assert!(written.contains(&orphan.row));
        }
        prop_assert_eq!(found, left.events);
        prop_assert_eq!(found + left.orphans.len() as u64 + forgotten, 25, "each is there, expected, or counted");
    }
}
