//! One small state for each key (or organization) that has used something up or has a request in flight.
//!
//! A state outlives the cached record of its key, so refreshing the cache forgives nothing. Memory is bounded by those that are busy:
//! when a shard has doubled, the states that a new one would equal (refilled, no permit out, no tokens held) are dropped. Keys are
//! counted only after they were recognised, so strangers cannot fill it.

use super::{concurrency::InFlight, rate::Rate, tokens::TokenRates};
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

/// What one key, or one organization, has used up.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) rate: Rate,
    pub(super) in_flight: InFlight,
    pub(super) tokens: TokenRates,
}

impl State {
    fn is_refilled(&self, now: u64) -> bool {
        self.rate.is_refilled(now) && self.tokens.is_refilled(now)
    }
}

/// How many parts the map has, so that keys seldom wait for each other.
pub(super) const SHARDS: usize = 64;

/// A shard of fewer states is not looked through for idle ones.
pub(super) const SHARD_STATES_MIN: usize = 64;

#[derive(Debug)]
struct Shard<K> {
    states: HashMap<K, Arc<State>>,
    /// The number of states at which idle ones are dropped.
    evict_at: usize,
}

impl<K> Default for Shard<K> {
    fn default() -> Self {
        Self { states: HashMap::new(), evict_at: SHARD_STATES_MIN }
    }
}

impl<K: Hash + Eq + Clone> Shard<K> {
    /// The key's state, a new one when it has none. Drops idle states when there have become twice as many as were
    /// busy the last time: an insertion costs constant time on average.
    fn state(&mut self, key: &K, now: u64) -> Arc<State> {
        if self.states.len() >= self.evict_at && !self.states.contains_key(key) {
            // Nobody else has the state, and under this lock nobody can get it: no permit is out, no request on its way in.
            self.states.retain(|_, state| Arc::strong_count(state) > 1 || !state.is_refilled(now));
            self.states.shrink_to(self.states.len().saturating_mul(2));
            self.evict_at = self.states.len().saturating_mul(2).max(SHARD_STATES_MIN);
        }
        Arc::clone(self.states.entry(key.clone()).or_default())
    }
}

/// The states of all keys, or of all organizations.
#[derive(Debug)]
pub(super) struct States<K> {
    hasher: RandomState,
    shards: [RwLock<Shard<K>>; SHARDS],
}

impl<K> Default for States<K> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| RwLock::default()) }
    }
}

impl<K: Hash + Eq + Clone> States<K> {
    /// The state of a key.
    pub(super) fn state(&self, key: &K, now: u64) -> Arc<State> {
        let shard = self.shard(key);
        if let Some(state) = shard.read().states.get(key) {
            return Arc::clone(state);
        }
        shard.write().state(key, now)
    }

    /// How many requests are in flight. Walks over all states: for tests.
    pub(super) fn in_flight(&self) -> u64 {
        let of_shard = |shard: &RwLock<Shard<K>>| -> u64 {
            shard.read().states.values().map(|state| u64::from(state.in_flight.count())).sum()
        };
        self.shards.iter().map(of_shard).sum()
    }

    /// How many keys have a state.
    pub(super) fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().states.len()).sum()
    }

    fn shard(&self, key: &K) -> &RwLock<Shard<K>> {
        // The top bits of the hash; the map inside the shard goes by another hash, with a key of its own.
        let place = self.hasher.hash_one(key) >> (u64::BITS - SHARDS.trailing_zeros());
        let [first, ..] = &self.shards;
        usize::try_from(place).ok().and_then(|place| self.shards.get(place)).unwrap_or(first)
    }
}
