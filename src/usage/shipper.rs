//! Brings batches of usage events into ClickHouse, each exactly once: a batch keeps its token and rows however often it
//! is tried, and the store counts a token once. One batch of each source is under way at a time; all others wait there.
//! A store that is missing or failing costs nothing but time; a batch that the store cannot read is given back to its source.

use super::{
    row, schema,
    settings::Settings,
    shards::Shards,
    source::{Batch, Outcome, Source},
    store_error::{Blame, blame, describe},
};
use crate::{
    base::{
        clock::{self, Duration},
        ids::RequestId,
        tasks::Tasks,
    },
    telemetry::metrics::METRICS,
};
use clickhouse::{Client, error::Error};
use std::{future::Future, sync::Arc};
use tokio::{sync::Mutex, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A store that has not answered by then is treated as gone; the batch is tried again.
const INSERT_TIME_MAX: Duration = Duration::from_mins(1);
/// A batch that is to blame itself is given up after so many tries.
const BATCH_TRIES_MAX: u32 = 3;
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// The pause between early attempts grows no further than after so many failures.
const EARLY_FAILURES_MAX: u32 = 3;
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Once stopped there is little time left, so waits are short.
const BACKOFF_STOPPING_MAX: Duration = Duration::from_millis(500);

/// Where batches go. ClickHouse is the one that ships; tests put others in its place.
pub trait Sink: Send + 'static {
    /// Makes sure of the tables. Called before the first batch and after each failure.
    fn prepare(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Stores a batch. Storing the same one again changes nothing.
    fn store(&mut self, batch: &Batch) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Which of these exchanges are stored.
    fn stored(&mut self, _ids: &[[u8; 26]]) -> impl Future<Output = Result<Vec<[u8; 26]>, Fault>> + Send {
        std::future::ready(Ok(Vec::new()))
    }
}

/// Why a batch was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The store, or the way to it: later will do.
    #[error("{0}")]
    Store(String),
    /// The batch itself.
    #[error("{0}")]
    Batch(String),
}

/// A running shipper: one insert is under way at a time for each of its sources.
#[derive(Debug)]
pub struct Shipper {
    stop: CancellationToken,
    lanes: Vec<JoinHandle<()>>,
}

impl Shipper {
    /// Starts to ship what the source gives.
    pub fn start(tasks: &Tasks, source: impl Source, sink: impl Sink) -> Self {
        Self { stop: CancellationToken::new(), lanes: Vec::new() }.also(tasks, source, sink)
    }

    /// Ships what this source gives, too, beside the others.
    #[must_use]
    pub fn also(mut self, tasks: &Tasks, source: impl Source, sink: impl Sink) -> Self {
        self.lanes.push(tasks.spawn(Run { source, sink, stop: self.stop.clone(), ready: false }.run()));
        self
    }

    /// Takes no more events, ships those that wait, and ends; what is not stored within the bound is left to its source.
    /// True when nothing was left.
    pub async fn finish(self, bound: Duration) -> bool {
        self.stop.cancel();
        let until = clock::instant() + bound;
        let mut is_empty = true;
        for mut lane in self.lanes {
            if tokio::time::timeout_at(until.into(), &mut lane).await.is_err() {
                // the source counts what it still holds when the aborted task drops it
                lane.abort();
                is_empty &= lane.await.is_ok();
            }
        }
        is_empty
    }
}

struct Run<S, K> {
    source: S,
    sink: K,
    stop: CancellationToken,
    ready: bool,
}

impl<S: Source, K: Sink> Run<S, K> {
    async fn run(mut self) {
        self.prepare_early().await;
        while let Some(batch) = self.next().await {
            let outcome = self.ship(&batch).await;
            self.source.settle(&batch, outcome);
        }
    }

    /// Brings the schema up to date as soon as the store answers, so that statistics can be asked before anything was
    /// stored. Events wait in the queue meanwhile, as they would without a store.
    async fn prepare_early(&mut self) {
        let mut failures = 0;
        while !self.ready && !self.stop.is_cancelled() {
            let prepared = tokio::time::timeout(INSERT_TIME_MAX, self.sink.prepare()).await;
            self.ready = matches!(prepared, Ok(Ok(())));
            if !self.ready {
                failures = (failures + 1).min(EARLY_FAILURES_MAX);
                pause(&self.stop, failures).await;
            }
        }
    }

    async fn next(&mut self) -> Option<Batch> {
        if !self.stop.is_cancelled() {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                batch = self.source.next() => return batch,
            }
        }
        self.source.close();
        self.source.next().await
    }

    /// Tries until the batch is stored or turns out to be to blame itself.
    async fn ship(&mut self, batch: &Batch) -> Outcome {
        METRICS.usage_events_shipped_total.inc_by(batch.count);
        let (mut failures, mut refusals) = (0_u32, 0_u32);
        loop {
            let Err(fault) = self.try_once(batch).await else {
                if failures > 0 {
                    tracing::info!(batch = batch.token, failures, "the usage store takes events again");
                }
                return Outcome::Stored;
            };
            METRICS.usage_ship_failures_total.inc();
            self.ready = false;
            failures = failures.saturating_add(1);
            refusals += u32::from(matches!(fault, Fault::Batch(_)));
            if refusals >= BATCH_TRIES_MAX {
                let events = batch.count;
                tracing::error!(batch = batch.token, events, %fault, "the usage store refuses a batch");
                return Outcome::Refused(fault.to_string());
            }
            // the first failure and then ever fewer of them
            if failures.is_power_of_two() {
                tracing::warn!(batch = batch.token, failures, %fault, "usage events wait: the store did not take them");
            }
            pause(&self.stop, failures).await;
        }
    }

    async fn try_once(&mut self, batch: &Batch) -> Result<(), Fault> {
        let attempt = async {
            if !self.ready {
                self.sink.prepare().await?;
                self.ready = true;
            }
            self.sink.store(batch).await
        };
        let late = || Fault::Store("no answer in time".into());
        tokio::time::timeout(INSERT_TIME_MAX, attempt).await.unwrap_or_else(|_| Err(late()))
    }
}

async fn pause(stop: &CancellationToken, failures: u32) {
    let wait = backoff(failures, getrandom::u32().unwrap_or_default());
    if !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => return,
        }
    }
    tokio::time::sleep(wait.min(BACKOFF_STOPPING_MAX)).await;
}

/// How long to wait after so many failures in a row: doubling, bounded, and between half and all of it by chance, so
/// that instances do not come back all at once.
fn backoff(failures: u32, random: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    let half = u64::try_from(whole.as_millis() / 2).unwrap_or(u64::MAX);
    Duration::from_millis(half + u64::from(random) % (half + 1))
}

/// A client of the tables, whose inserts count once for each deduplication token.
pub(super) fn inserting(client: &Client, settings: &Settings) -> Client {
    client
        .clone()
        .with_database(&settings.database)
        // we batch ourselves, and the answer must mean that the rows are on disk
        .with_setting("async_insert", "0")
        .with_setting("insert_deduplicate", "1")
        // older servers default to 0, and a retry would then count twice in the rollups
        .with_setting("deduplicate_blocks_in_dependent_materialized_views", "1")
}

/// ClickHouse, embedded or a server.
#[derive(Debug, Clone)]
pub struct ClickHouse {
    shards: Shards,
    settings: Settings,
    /// Its clones see to the tables one after the other.
    turn: Arc<Mutex<()>>,
}

impl ClickHouse {
    /// The store behind a client that has its address and login.
    pub fn new(client: &Client, settings: &Settings) -> Self {
        Self { shards: Shards::new(client, settings), settings: settings.clone(), turn: Arc::default() }
    }

    async fn insert(&self, batch: &Batch) -> Result<(), Fault> {
        let (client, table) = self.shards.place(&batch.token);
        let statement = row::insert_statement(&batch.columns, table);
        let statement = statement.ok_or_else(|| Fault::Batch("its columns cannot be read".into()))?;
        let done = async {
            let insert = client.insert_formatted_with(statement);
            let mut insert = insert.with_setting("insert_deduplication_token", &batch.token);
            insert.send(batch.columns.clone()).await?;
            insert.send(batch.rows.clone()).await?;
            insert.end().await
        };
        done.await.map_err(|error| match blame(&error) {
            Blame::Store => Fault::Store(describe(&error)),
            Blame::Batch => Fault::Batch(describe(&error)),
        })
    }
}

impl Sink for ClickHouse {
    async fn prepare(&mut self) -> Result<(), Fault> {
        let _turn = self.turn.lock().await;
        self.shards.client.clear_cached_metadata().await;
        match schema::migrate(&self.shards.client, &self.settings).await {
            Ok(done) if done.from != done.to => {
                tracing::info!(from = done.from, to = done.to, "the usage store's schema was brought up to date");
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(schema::MigrateError::Store { step, source }) => {
                Err(Fault::Store(format!("schema, {step}: {}", describe(&source))))
            }
            Err(error) => Err(Fault::Store(error.to_string())),
        }
    }

    async fn store(&mut self, batch: &Batch) -> Result<(), Fault> {
        self.insert(batch).await
    }

    async fn stored(&mut self, ids: &[[u8; 26]]) -> Result<Vec<[u8; 26]>, Fault> {
        let ids = ids.iter().filter_map(|id| RequestId::parse(std::str::from_utf8(id).ok()?));
        let ids = ids.map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT toString(request_id) FROM {}.{} WHERE kind = '{}' AND request_id IN ({ids})",
            self.settings.database,
            row::TABLE,
            row::EXCHANGE
        );
        let found: Result<Vec<String>, Error> = self.shards.client.query_raw(&sql).fetch_all().await;
        let found = found.map_err(|error| Fault::Store(describe(&error)))?;
        Ok(found.into_iter().filter_map(|id| id.into_bytes().try_into().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{event::sample, queue::EventQueue, settings, spool};
    use parking_lot::Mutex;
    use std::{collections::VecDeque, sync::Arc};

    /// A store that answers by a script, and takes everything once that has run out.
    #[derive(Clone, Default)]
    struct Scripted {
        answers: Arc<Mutex<VecDeque<Result<(), Fault>>>>,
        tries: Arc<Mutex<Vec<(String, u64)>>>,
        prepared: Arc<Mutex<u32>>,
        hangs: bool,
    }

    impl Scripted {
        fn new(answers: impl IntoIterator<Item = Result<(), Fault>>) -> Self {
            Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() }
        }
    }

    impl Sink for Scripted {
        async fn prepare(&mut self) -> Result<(), Fault> {
            *self.prepared.lock() += 1;
            Ok(())
        }

        async fn store(&mut self, batch: &Batch) -> Result<(), Fault> {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            self.tries.lock().push((batch.token.clone(), batch.count));
            self.answers.lock().pop_front().unwrap_or(Ok(()))
        }
    }

    fn start(sink: &Scripted, events_max: usize) -> (EventQueue, Shipper) {
        let settings = settings::Settings {
            batch_events_max: events_max,
            flush_interval: Duration::from_millis(20),
            queue_events_max: 100,
            ..settings::sample()
        };
        let (queue, source) = spool::volatile(&settings);
        (queue, Shipper::start(&Tasks::new(), source, sink.clone()))
    }

    #[tokio::test]
    async fn a_failed_batch_is_tried_again_unchanged_after_the_tables_were_seen_to() {
        let sink = Scripted::new([Err(Fault::Store("gone".into()))]);
        let (queue, shipper) = start(&sink, 10);
        (0..3).for_each(|_| queue.push(&sample()));
        assert!(shipper.finish(Duration::from_secs(20)).await);
        let tries = sink.tries.lock().clone();
        assert_eq!(tries.len(), 2, "{tries:?}");
        assert_eq!(tries.first(), tries.last());
        assert_eq!(*sink.prepared.lock(), 2);
        assert_eq!((queue.tally().stored(), queue.tally().lost(), queue.tally().waiting()), (3, 0, 0));
    }

    #[tokio::test]
    async fn no_two_batches_share_a_token_and_none_is_larger_than_allowed() {
        let sink = Scripted::default();
        let (queue, shipper) = start(&sink, 4);
        (0..10).for_each(|_| queue.push(&sample()));
        assert!(shipper.finish(Duration::from_secs(20)).await);
        let tries = sink.tries.lock().clone();
        assert_eq!(tries.iter().map(|(_, events)| events).collect::<Vec<_>>(), [&4, &4, &2]);
        assert!(tries.windows(2).all(|pair| pair[0].0 != pair[1].0));
        assert_eq!(*sink.prepared.lock(), 1);
    }

    #[tokio::test]
    async fn a_batch_that_is_to_blame_is_given_up_and_the_next_goes_on() {
        let refused = || Err(Fault::Batch("ClickHouse error 27".into()));
        let sink = Scripted::new([refused(), refused(), refused()]);
        let (queue, shipper) = start(&sink, 2);
        (0..4).for_each(|_| queue.push(&sample()));
        assert!(shipper.finish(Duration::from_secs(20)).await);
        assert_eq!((queue.tally().stored(), queue.tally().lost()), (2, 2));
    }

    #[tokio::test]
    async fn what_is_not_stored_in_time_is_counted_as_lost() {
        let sink = Scripted { hangs: true, ..Scripted::default() };
        let (queue, shipper) = start(&sink, 2);
        (0..5).for_each(|_| queue.push(&sample()));
        assert!(!shipper.finish(Duration::from_millis(50)).await);
        assert_eq!((queue.tally().lost(), queue.tally().waiting()), (5, 0));
        queue.push(&sample());
        assert_eq!(queue.tally().lost(), 6, "nothing is taken after the end");
    }

    #[test]
    fn waits_double_up_to_a_bound_and_differ_by_chance() {
        for (failures, least, most) in [(1, 100, 200), (2, 200, 400), (4, 800, 1600), (99, 15_000, 30_000)] {
            for random in [0, 1, 12_345, u32::MAX] {
                let wait = backoff(failures, random);
                let range = Duration::from_millis(least)..=Duration::from_millis(most);
                assert!(range.contains(&wait), "{failures}: {wait:?}");
            }
        }
    }
}
