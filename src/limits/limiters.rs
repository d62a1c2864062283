//! The limits of all keys: one small state for each key that has used something up or has a request in flight.
//!
//! A key's state outlives its cached record, so refreshing the cache forgives nothing, and the limits come with
//! each request, so changed ones take effect at once. Memory is bounded by the keys that are busy: when a shard
//! has doubled, the states that a new one would equal (refilled, no permit out) are dropped. Keys are counted only
//! after they were recognised, so strangers cannot fill it.

use super::{
    KeyLimits,
    concurrency::{InFlight, Permit},
    rate::{Pace, Rate, retry_after_seconds},
};
use crate::{
    base::{clock::Instant, ids::KeyId},
    telemetry::metrics::METRICS,
};
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

/// Which of a key's limits a request was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests a second.
    Rate,
    /// Requests in flight at once.
    Concurrency,
}

impl Limit {
    /// `rate` or `concurrency`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that is over one of its key's limits. It used nothing up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the key's {limit} limit: try again in {retry_after_seconds} s")]
pub struct LimitExceeded {
    pub limit: Limit,
    /// At least 1. For the rate, a request after that time passes if no other does before. For concurrency nobody
    /// can know when a place becomes free: 1.
    pub retry_after_seconds: u32,
}

/// What one key has used up.
#[derive(Debug, Default)]
pub(super) struct KeyState {
    rate: Rate,
    pub(super) in_flight: InFlight,
}

/// How many parts the map has, so that keys seldom wait for each other.
const SHARDS: usize = 64;

/// A shard of fewer states is not looked through for idle ones.
const SHARD_STATES_MIN: usize = 64;

#[derive(Debug)]
struct Shard {
    states: HashMap<KeyId, Arc<KeyState>>,
    /// The number of states at which idle ones are dropped.
    evict_at: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { states: HashMap::new(), evict_at: SHARD_STATES_MIN }
    }
}

impl Shard {
    /// The key's state, a new one when it has none. Drops idle states when there have become twice as many as were
    /// busy the last time: an insertion costs constant time on average.
    fn state(&mut self, key: &KeyId, now: u64) -> Arc<KeyState> {
        if self.states.len() >= self.evict_at && !self.states.contains_key(key) {
            // Nobody else has the state, and under this lock nobody can get it: no permit is out, no request on its way in.
            self.states.retain(|_, state| Arc::strong_count(state) > 1 || !state.rate.is_refilled(now));
            self.states.shrink_to(self.states.len().saturating_mul(2));
            self.evict_at = self.states.len().saturating_mul(2).max(SHARD_STATES_MIN);
        }
        Arc::clone(self.states.entry(key.clone()).or_default())
    }
}

/// The limits of all keys of this instance.
#[derive(Debug)]
pub struct Limiters {
    /// Times are counted from here.
    start: Instant,
    hasher: RandomState,
    shards: [RwLock<Shard>; SHARDS],
}

impl Limiters {
    /// Nothing used up yet. `start` is any time that is not after the first request.
    pub fn new(start: Instant) -> Self {
        Self { start, hasher: RandomState::new(), shards: std::array::from_fn(|_| RwLock::default()) }
    }

    /// Lets one request of a key in, or says why not. What is refused by one limit uses nothing up of the other.
    ///
    /// # Errors
    /// The limit that the request is over, and when to try again.
    pub fn enter(&self, key: &KeyId, limits: &KeyLimits, now: Instant) -> Result<Permit, LimitExceeded> {
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let entered = admit(self.state(key, now), limits, now);
        if let Err(exceeded) = &entered {
            METRICS.limited_total.with_label_values(&[exceeded.limit.as_str()]).inc();
        }
        entered
    }

    /// How many requests of all keys are in flight. Walks over all states: for metrics and tests.
    pub fn in_flight(&self) -> u64 {
        let of_shard = |shard: &RwLock<Shard>| -> u64 {
            shard.read().states.values().map(|state| u64::from(state.in_flight.count())).sum()
        };
        self.shards.iter().map(of_shard).sum()
    }

    /// How many keys have a state.
    pub fn keys_held(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().states.len()).sum()
    }

    fn state(&self, key: &KeyId, now: u64) -> Arc<KeyState> {
        let shard = self.shard(key);
        if let Some(state) = shard.read().states.get(key) {
            return Arc::clone(state);
        }
        shard.write().state(key, now)
    }

    fn shard(&self, key: &KeyId) -> &RwLock<Shard> {
        // The top bits of the hash; the map inside the shard goes by another hash, with a key of its own.
        let place = self.hasher.hash_one(key) >> (u64::BITS - SHARDS.trailing_zeros());
        let [first, ..] = &self.shards;
        usize::try_from(place).ok().and_then(|place| self.shards.get(place)).unwrap_or(first)
    }
}

fn admit(state: Arc<KeyState>, limits: &KeyLimits, now: u64) -> Result<Permit, LimitExceeded> {
    let over_rate = |wait| LimitExceeded { limit: Limit::Rate, retry_after_seconds: retry_after_seconds(wait) };
    let pace = Pace::of(limits);
    // The place is taken before the rate, since it can be given back. The rate is looked at before that, so that a
    // request that is over it holds no place; one that loses the last of the rate to another does, for an instant.
    if let Some(pace) = pace {
        state.rate.check(pace, now).map_err(over_rate)?;
    }
    let permit = Permit::acquire(state, limits.concurrent_requests.unwrap_or(u32::MAX))
        .ok_or(LimitExceeded { limit: Limit::Concurrency, retry_after_seconds: 1 })?;
    if let Some(pace) = pace {
        permit.state().rate.take(pace, now).map_err(over_rate)?;
    }
    Ok(permit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{self, Duration};
    use proptest::prelude::*;

    fn limits(requests_per_second: Option<u32>, burst: Option<u32>, concurrent_requests: Option<u32>) -> KeyLimits {
        KeyLimits { requests_per_second, burst, concurrent_requests }
    }

    fn key(name: &str) -> KeyId {
        KeyId::new(name)
    }

    fn new() -> (Limiters, Instant) {
        let start = clock::instant();
        (Limiters::new(start), start)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn without_limits_everything_enters_and_is_counted_while_in_flight() {
        let (limiters, now) = new();
        let permits: Vec<_> =
            (0..1000).map(|_| limiters.enter(&key("a"), &KeyLimits::default(), now).unwrap()).collect();
        assert_eq!(limiters.in_flight(), 1000);
        drop(permits);
        assert_eq!(limiters.in_flight(), 0);
    }

    #[test]
    fn one_keys_traffic_never_makes_anothers_fail() {
        let (limiters, now) = new();
        let limits = limits(Some(1), None, Some(1));
        let held = limiters.enter(&key("a"), &limits, now).unwrap();
        assert!(limiters.enter(&key("a"), &limits, now).is_err());
        assert!(limiters.enter(&key("b"), &limits, now).is_ok());
        drop(held);
    }

    #[test]
    fn a_refusal_names_its_limit_and_a_wait_that_is_true() {
        let (limiters, now) = new();
        let limits = limits(Some(2), Some(5), Some(100));
        let _held: Vec<_> = (0..5).map(|_| limiters.enter(&key("a"), &limits, now).unwrap()).collect();
        let refused = limiters.enter(&key("a"), &limits, now).unwrap_err();
        assert_eq!(refused, LimitExceeded { limit: Limit::Rate, retry_after_seconds: 1 });
        assert_eq!(refused.to_string(), "over the key's rate limit: try again in 1 s");
        let later = now + Duration::from_secs(u64::from(refused.retry_after_seconds));
        assert!(limiters.enter(&key("a"), &limits, later).is_ok());
    }

    #[test]
    fn what_one_limit_refuses_uses_nothing_up_of_the_other() {
        let (limiters, now) = new();
        let limits = limits(Some(1), Some(3), Some(1));
        let first = limiters.enter(&key("a"), &limits, now).unwrap();
        for _ in 0..10 {
            assert_eq!(limiters.enter(&key("a"), &limits, now).unwrap_err().limit, Limit::Concurrency);
        }
        drop(first);
        drop(limiters.enter(&key("a"), &limits, now).unwrap());
        drop(limiters.enter(&key("a"), &limits, now).unwrap());
        for _ in 0..10 {
            assert_eq!(limiters.enter(&key("a"), &limits, now).unwrap_err().limit, Limit::Rate);
        }
        assert_eq!(limiters.in_flight(), 0);
        assert!(limiters.enter(&key("a"), &limits, now + ms(1000)).is_ok());
    }

    #[test]
    fn changed_limits_take_effect_at_once_and_forgive_nothing() {
        let (limiters, now) = new();
        let held: Vec<_> =
            (0..10).map(|_| limiters.enter(&key("a"), &limits(Some(10), None, None), now).unwrap()).collect();
        assert!(limiters.enter(&key("a"), &limits(Some(10), None, None), now).is_err(), "a second's worth is used up");
        assert!(limiters.enter(&key("a"), &limits(Some(10), Some(11), None), now).is_ok(), "a larger burst");
        assert!(limiters.enter(&key("a"), &limits(None, None, Some(10)), now).is_err(), "ten are in flight");
        assert!(limiters.enter(&key("a"), &limits(None, None, Some(11)), now).is_ok());
        assert!(limiters.enter(&key("a"), &limits(Some(1), Some(1), None), now + ms(200)).is_err());
        drop(held);
    }

    #[test]
    fn idle_keys_are_forgotten_and_busy_ones_are_not() {
        let (limiters, start) = new();
        let (slow, unlimited) = (limits(Some(1), Some(100), None), KeyLimits::default());
        let held = limiters.enter(&key("in flight"), &limits(None, None, Some(1)), start).unwrap();
        for _ in 0..100 {
            drop(limiters.enter(&key("used up"), &slow, start).unwrap());
        }
        for number in 0..200_000_u64 {
            let now = start + Duration::from_micros(number);
            drop(limiters.enter(&key(&format!("key_{number}")), &unlimited, now).unwrap());
        }
        assert!(limiters.keys_held() <= SHARDS * (SHARD_STATES_MIN + 1), "{}", limiters.keys_held());
        let now = start + ms(200);
        assert_eq!(limiters.enter(&key("used up"), &slow, now).unwrap_err().limit, Limit::Rate);
        assert!(limiters.enter(&key("in flight"), &limits(None, None, Some(1)), now).is_err());
        assert_eq!(limiters.in_flight(), 1);
        drop(held);
        assert_eq!(limiters.in_flight(), 0);
    }

    #[test]
    fn a_hundred_thousand_keys_just_under_their_limit_are_never_refused() {
        let (limiters, start) = new();
        let limits = limits(Some(5), Some(1), Some(1));
        let keys: Vec<_> = (0..100_000).map(|number| key(&format!("key_{number}"))).collect();
        for round in 0..5 {
            for key in &keys {
                assert!(limiters.enter(key, &limits, start + ms(200 * round)).is_ok());
            }
        }
        assert_eq!(limiters.keys_held(), keys.len(), "all are busy, so none is forgotten");
    }

    #[test]
    fn threads_together_get_exactly_what_one_would() {
        let (limiters, now) = new();
        let (key, limits) = (key("a"), limits(Some(100), Some(100), None));
        let passed: usize = std::thread::scope(|scope| {
            let enter = || (0..10_000).filter(|_| limiters.enter(&key, &limits, now).is_ok()).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(enter)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 100);
        assert_eq!(limiters.in_flight(), 0);
    }

    #[test]
    fn threads_together_never_hold_more_places_than_there_are() {
        let (limiters, now) = new();
        let (key, limits) = (key("a"), limits(None, None, Some(3)));
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let Ok(permit) = limiters.enter(&key, &limits, now) else { continue };
                        assert!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 3);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(limiters.in_flight(), 0);
    }

    #[test]
    fn threads_that_bring_new_keys_make_no_key_lose_its_state() {
        let (limiters, now) = new();
        let limits = limits(Some(1), Some(50), None);
        let passed: usize = std::thread::scope(|scope| {
            let enter = |thread: usize| {
                let (limiters, limits) = (&limiters, &limits);
                move || {
                    let strangers = (0..20_000).map(|number| key(&format!("{thread}/{number}")));
                    let enter = |stranger: KeyId| {
                        drop(limiters.enter(&stranger, &KeyLimits::default(), now));
                        limiters.enter(&key("known"), limits, now).is_ok()
                    };
                    strangers.map(enter).filter(|passed| *passed).count()
                }
            };
            let threads: Vec<_> = (0..4).map(|thread| scope.spawn(enter(thread))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 50);
    }

    /// What happens in a run of the model: time passes, a request comes, the oldest permit is dropped.
    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Enter(usize),
        Leave,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..400_u64).prop_map(Step::Wait),
            (0..3_usize).prop_map(Step::Enter),
            (0..3_usize).prop_map(Step::Enter),
            Just(Step::Leave)
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// The model counts in thousandths of a request at whole milliseconds, so it is exact for these rates.
        #[test]
        fn it_does_what_a_simple_model_does(
            steps in steps(),
            per_second in prop::sample::select(vec![1_u32, 2, 5, 10, 100]),
            burst in 1..6_u32,
            at_once in 1..4_u32,
        ) {
            let (limiters, start) = new();
            let limits = limits(Some(per_second), Some(burst), Some(at_once));
            let mut now = 0_u64;
            let mut buckets = [(u64::from(burst) * 1000, 0_u64); 3];
            let mut held: std::collections::VecDeque<(usize, Permit)> = std::collections::VecDeque::new();
            for step in steps {
                match step {
                    Step::Wait(millis) => now += millis,
                    Step::Leave => drop(held.pop_front()),
                    Step::Enter(who) => {
                        let (level, at) = &mut buckets[who];
                        *level = (*level + (now - *at) * u64::from(per_second)).min(u64::from(burst) * 1000);
                        *at = now;
                        let places = held.iter().filter(|(holder, _)| *holder == who).count();
                        let expected = if *level < 1000 {
                            Err(Limit::Rate)
                        } else if places >= at_once as usize {
                            Err(Limit::Concurrency)
                        } else {
                            *level -= 1000;
                            Ok(())
                        };
                        let entered = limiters.enter(&key(&who.to_string()), &limits, start + ms(now));
                        prop_assert_eq!(entered.as_ref().map(drop).map_err(|exceeded| exceeded.limit), expected);
                        held.extend(entered.ok().map(|permit| (who, permit)));
                    }
                }
                prop_assert_eq!(limiters.in_flight(), held.len() as u64);
            }
        }
    }
}
