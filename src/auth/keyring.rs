//! Who holds a key: an in-process cache in front of the control store.
//!
//! A known key costs one hash and one look-up and never waits: records are read again in the background shortly
//! before they are too old. Keys that are asked for together are read once. While the store is down, cached keys go
//! on for a grace; unknown keys are remembered briefly, counted per address, and held off before the store is asked.

use super::{
    flood::{FloodGuard, RETRY_AFTER_SECONDS},
    key::{GatewayKey, KeyHash, KeyRecord, Status},
    port::{KeyStore, StoreDown},
    settings::Settings,
};
use crate::{
    base::{
        clock::{self, Duration, Instant, Timestamp},
        ids::KeyId,
        tasks::Tasks,
    },
    telemetry::metrics::METRICS,
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{sync::Semaphore, time::timeout};

/// The oldest that a cached record may be, whatever the settings say: what revocation elsewhere is promised to take.
const AGE_MAX: Duration = Duration::from_secs(30);
/// How long a key is remembered as unknown: a key that another process issues works after this time at the latest.
const UNKNOWN_AGE_MAX_MS: u64 = 2_000;
/// Look-ups of keys that are not cached, at once. More wait their turn, so that strangers cannot crowd out re-reads.
const LOOKUPS_MAX: usize = 32;
/// The longest wait for the store, and for a turn.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(2);
/// After a failed look-up, keys that are not cached are refused unasked for this long …
const PAUSE_MS: u64 = 1_000;
/// … and aged keys do not wait for the store for this long: it is asked in the background.
const DOWN_MS: u64 = 5_000;
/// How exactly the last use of a key is known.
const USE_STEP_MS: i64 = 1_000;
/// Uses that are noted in the store at once.
const USES_PER_NOTE: usize = 500;

/// Why a key identifies nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unidentified {
    #[error("the gateway key is unknown")]
    Unknown,
    #[error("the gateway key has expired")]
    Expired,
    #[error("the gateway key was revoked")]
    Revoked,
    #[error("the gateway key's organization is switched off")]
    Disabled,
    #[error("the control store does not answer")]
    StoreDown,
    #[error("too many unknown gateway keys from this address")]
    Flooded { retry_after_seconds: u32 },
}

/// The keys that this process knows. Clones share them.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    store: Arc<dyn KeyStore>,
    tasks: Tasks,
    /// Moments are whole milliseconds since this instant, so that they fit into atomics.
    origin: Instant,
    age_max_ms: u64,
    grace_ms: u64,
    known: Cache<KeyHash, Arc<Entry>>,
    /// With the moment at which the store did not know the key.
    unknown: Cache<KeyHash, u64>,
    guard: FloodGuard,
    flights: Mutex<Flights>,
    turns: Semaphore,
    /// The moment of the last failed look-up if none has succeeded since, else `u64::MAX`.
    failed_at: AtomicU64,
}

/// A record as it was read, with what changes while it is cached.
struct Entry {
    record: Arc<KeyRecord>,
    read_at: u64,
    /// From this moment on the next use reads the record again, in the background.
    refresh_at: AtomicU64,
    used_at: AtomicI64,
    noted_at: AtomicI64,
}

type Landing = Result<Option<Arc<Entry>>, StoreDown>;
/// A look-up that is under way; whoever needs its key waits for the same one.
type Flight = Shared<BoxFuture<'static, Landing>>;

#[derive(Default)]
struct Flights {
    under_way: HashMap<KeyHash, Flight>,
    /// Changes when a key is revoked or issued here. A look-up that began before may have read what no longer
    /// holds: it is not joined any more, and what it brings is not cached.
    epoch: u64,
}

/// The moments of one request.
#[derive(Clone, Copy)]
struct Moment {
    now: Timestamp,
    at: u64,
}

impl Keyring {
    /// An empty ring in front of a store. Background re-reads run on `tasks`.
    pub fn new(store: Arc<dyn KeyStore>, settings: &Settings, tasks: Tasks) -> Self {
        Self(Arc::new(Inner {
            store,
            tasks,
            origin: clock::instant(),
            age_max_ms: millis(settings.cache_age_max.min(AGE_MAX)),
            grace_ms: millis(settings.store_down_grace),
            known: Cache::new(settings.cache_keys_max.max(1)),
            unknown: Cache::new(settings.cache_unknown_max.max(1)),
            guard: FloodGuard::new(settings.unknown_per_second_max),
            flights: Mutex::default(),
            turns: Semaphore::new(LOOKUPS_MAX),
            failed_at: AtomicU64::new(u64::MAX),
        }))
    }

    /// The record of a key that may be used now. A cached key does not yield, allocate or count against an address.
    pub async fn identify(
        &self,
        key: &GatewayKey,
        from: IpAddr,
        now: Timestamp,
        instant: Instant,
    ) -> Result<Arc<KeyRecord>, Unidentified> {
        let moment = Moment { now, at: millis(instant.saturating_duration_since(self.0.origin)) };
        let hash = key.hash();
        let Some(entry) = self.0.known.get(&hash) else {
            return Box::pin(self.0.ask(hash, from, moment)).await;
        };
        if !self.0.holds(&entry, hash, moment) {
            return Box::pin(self.0.ask_again(hash, entry, moment)).await;
        }
        entry.admit(now)
    }

    /// Whose key it is, as far as that is cached: for the records of a key that may not be used any more.
    pub fn holder(&self, key: &GatewayKey) -> Option<Arc<KeyRecord>> {
        self.0.known.peek(&key.hash()).map(|entry| Arc::clone(&entry.record))
    }

    /// Forgets a key that was revoked here: whoever asks from now on gets what the store says.
    pub fn forget(&self, id: &KeyId) {
        self.0.flights.lock().turn();
        self.0.known.retain(|_, entry| entry.record.id != *id);
    }

    /// Forgets that a key was unknown: it was issued here.
    pub fn issued(&self, key: &GatewayKey) {
        self.0.flights.lock().turn();
        self.0.unknown.remove(&key.hash());
    }

    /// Notes in the store when cached keys were last used: to be called every minute or so, and at the end.
    pub async fn note_uses(&self) -> Result<(), StoreDown> {
        let used: Vec<_> = self.0.known.iter().filter_map(|(_, entry)| Some((entry.use_to_note()?, entry))).collect();
        for chunk in used.chunks(USES_PER_NOTE) {
            let uses: Vec<_> = chunk.iter().map(|(at, entry)| (entry.record.id.clone(), *at)).collect();
            self.0.store.note_uses(&uses).await?;
            for (at, entry) in chunk {
                entry.noted_at.store(at.millis(), Relaxed);
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Whether a cached record may still be gone by. Starts its re-read when that is due.
    fn holds(self: &Arc<Self>, entry: &Entry, hash: KeyHash, moment: Moment) -> bool {
        if moment.at < entry.refresh_at.load(Relaxed) {
            return true;
        }
        let age_ms = moment.at.saturating_sub(entry.read_at);
        let aged = age_ms >= self.age_max_ms;
        if aged && !(self.failed_within(DOWN_MS, moment) && self.in_grace(age_ms)) {
            return false;
        }
        if entry.takes_refresh(moment.at) {
            drop(self.fly(hash, Some(entry), moment)); // it flies without being waited for
        }
        if aged {
            METRICS.keys_stale_total.inc();
        }
        true
    }

    const fn in_grace(&self, age_ms: u64) -> bool {
        age_ms < self.age_max_ms.saturating_add(self.grace_ms)
    }

    /// Whether the store failed so lately, and has not answered since.
    fn failed_within(&self, ms: u64, moment: Moment) -> bool {
        let failed_at = self.failed_at.load(Relaxed);
        failed_at != u64::MAX && moment.at.saturating_sub(failed_at) < ms
    }

    /// A cached record is too old: waits for the store, and goes on with the old one when that is down.
    async fn ask_again(
        self: &Arc<Self>,
        hash: KeyHash,
        old: Arc<Entry>,
        moment: Moment,
    ) -> Result<Arc<KeyRecord>, Unidentified> {
        match self.fly(hash, Some(&old), moment).await {
            Ok(Some(entry)) => entry.admit(moment.now),
            Ok(None) => Err(Unidentified::Unknown),
            Err(_) if self.in_grace(moment.at.saturating_sub(old.read_at)) => {
                METRICS.keys_stale_total.inc();
                old.admit(moment.now)
            }
            Err(_) => Err(Unidentified::StoreDown),
        }
    }

    /// A key that is not cached: held off, or looked up in its turn.
    async fn ask(
        self: &Arc<Self>,
        hash: KeyHash,
        from: IpAddr,
        moment: Moment,
    ) -> Result<Arc<KeyRecord>, Unidentified> {
        if self.is_known_unknown(&hash, moment) {
            return Err(self.unknown_from(from));
        }
        self.refuse_flood(from)?;
        if self.failed_within(PAUSE_MS, moment) {
            return Err(Unidentified::StoreDown);
        }
        // Bound first: an expression in the condition of `if let` would hold the lock to the end of the block.
        let under_way = self.flights.lock().under_way.get(&hash).cloned();
        let landing = if let Some(flight) = under_way {
            flight.await
        } else {
            let turn = timeout(LOOKUP_TIME_MAX, self.turns.acquire()).await;
            let Ok(Ok(_turn)) = turn else { return Err(Unidentified::StoreDown) };
            self.refuse_flood(from)?;
            self.fly(hash, None, moment).await
        };
        match landing {
            Ok(Some(entry)) => entry.admit(moment.now),
            Ok(None) => Err(self.unknown_from(from)),
            Err(_) => Err(Unidentified::StoreDown),
        }
    }

    fn is_known_unknown(&self, hash: &KeyHash, moment: Moment) -> bool {
        self.unknown.get(hash).is_some_and(|at| moment.at.saturating_sub(at) < UNKNOWN_AGE_MAX_MS)
    }

    fn refuse_flood(&self, from: IpAddr) -> Result<(), Unidentified> {
        if self.guard.is_flooding(from) { Err(flooded()) } else { Ok(()) }
    }

    fn unknown_from(&self, from: IpAddr) -> Unidentified {
        if self.guard.count_unknown(from) { flooded() } else { Unidentified::Unknown }
    }

    /// The look-up of a key: the one under way, or a new one, or what has landed since the caller looked.
    /// It runs to its end by itself: callers that go away do not stop it for the others.
    fn fly(self: &Arc<Self>, hash: KeyHash, old: Option<&Entry>, moment: Moment) -> Flight {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.under_way.get(&hash) {
            return flight.clone();
        }
        if let Some(landed) = self.landed(&hash, old, moment) {
            return std::future::ready(landed).boxed().shared();
        }
        let (inner, epoch) = (Arc::clone(self), flights.epoch);
        let task = self.tasks.spawn(async move {
            let _landed = FlightEnd { inner: &inner, hash, epoch };
            inner.look_up(hash, moment, epoch).await
        });
        let flight = task.map(|end| end.unwrap_or_else(|_| Err(StoreDown::new("the look-up broke off"))));
        let flight = flight.boxed().shared();
        flights.under_way.insert(hash, flight.clone());
        flight
    }

    /// What a look-up has brought between the caller's look into the cache and now.
    fn landed(&self, hash: &KeyHash, old: Option<&Entry>, moment: Moment) -> Option<Landing> {
        if let Some(entry) = self.known.get(hash) {
            return old.is_none_or(|old| entry.read_at > old.read_at).then_some(Ok(Some(entry)));
        }
        self.is_known_unknown(hash, moment).then_some(Ok(None))
    }

    async fn look_up(&self, hash: KeyHash, moment: Moment, epoch: u64) -> Landing {
        METRICS.key_lookups_total.inc();
        let began = clock::instant();
        let found = timeout(LOOKUP_TIME_MAX, self.store.find(&hash)).await;
        match found.unwrap_or_else(|_| Err(StoreDown::new("no answer in time"))) {
            Ok(record) => {
                self.failed_at.store(u64::MAX, Relaxed);
                Ok(self.keep(hash, record, moment, epoch))
            }
            Err(down) => {
                METRICS.key_store_failures_total.inc();
                let took = millis(clock::instant().saturating_duration_since(began));
                let before = self.failed_at.swap(moment.at.saturating_add(took), Relaxed);
                if before == u64::MAX {
                    tracing::error!(reason = %down, "control store down: cached keys go on, others are refused");
                }
                Err(down)
            }
        }
    }

    /// Caches what was read, unless a key was revoked or issued in the meantime.
    fn keep(&self, hash: KeyHash, record: Option<KeyRecord>, moment: Moment, epoch: u64) -> Option<Arc<Entry>> {
        let entry = record.map(|record| {
            let refresh_at = moment.at.saturating_add(self.age_max_ms - self.age_max_ms / 4);
            Arc::new(Entry::new(Arc::new(record), moment, refresh_at, self.known.peek(&hash).as_deref()))
        });
        let flights = self.flights.lock();
        if flights.epoch == epoch {
            if let Some(entry) = &entry {
                self.unknown.remove(&hash);
                self.known.insert(hash, Arc::clone(entry));
            } else {
                self.known.remove(&hash);
                self.unknown.insert(hash, moment.at);
            }
        }
        entry
    }
}

impl Entry {
    fn new(record: Arc<KeyRecord>, moment: Moment, refresh_at: u64, before: Option<&Self>) -> Self {
        let carried = |time: fn(&Self) -> &AtomicI64| before.map(|before| time(before).load(Relaxed));
        Self {
            record,
            read_at: moment.at,
            refresh_at: AtomicU64::new(refresh_at),
            used_at: AtomicI64::new(carried(|before| &before.used_at).unwrap_or(i64::MIN)),
            noted_at: AtomicI64::new(carried(|before| &before.noted_at).unwrap_or(i64::MIN)),
        }
    }

    /// The record, if the key may be used at that time. Remembers the use.
    fn admit(&self, now: Timestamp) -> Result<Arc<KeyRecord>, Unidentified> {
        match self.record.status(now) {
            Status::Active if self.record.organization_disabled => Err(Unidentified::Disabled),
            Status::Active => {
                if now.millis().saturating_sub(self.used_at.load(Relaxed)) >= USE_STEP_MS {
                    self.used_at.store(now.millis(), Relaxed);
                }
                Ok(Arc::clone(&self.record))
            }
            Status::Expired => Err(Unidentified::Expired),
            Status::Revoked => Err(Unidentified::Revoked),
        }
    }

    /// True for one caller each second, from the moment of refreshing on.
    fn takes_refresh(&self, at: u64) -> bool {
        let due = self.refresh_at.load(Relaxed);
        at >= due && self.refresh_at.compare_exchange(due, at.saturating_add(PAUSE_MS), Relaxed, Relaxed).is_ok()
    }

    fn use_to_note(&self) -> Option<Timestamp> {
        let used_at = self.used_at.load(Relaxed);
        (used_at > self.noted_at.load(Relaxed)).then(|| Timestamp::from_millis(used_at))
    }
}

impl Flights {
    fn turn(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.under_way.clear();
    }
}

/// Takes a look-up off the list however it ends.
struct FlightEnd<'a> {
    inner: &'a Inner,
    hash: KeyHash,
    epoch: u64,
}

impl Drop for FlightEnd<'_> {
    fn drop(&mut self) {
        let mut flights = self.inner.flights.lock();
        if flights.epoch == self.epoch {
            flights.under_way.remove(&self.hash);
        }
    }
}

fn flooded() -> Unidentified {
    METRICS.floods_refused_total.inc();
    Unidentified::Flooded { retry_after_seconds: RETRY_AFTER_SECONDS }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
