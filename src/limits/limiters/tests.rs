//! The limits of keys and organizations against simple models, with a clock that the tests set.

use super::*;
use crate::{
    base::clock::{self, Duration},
    limits::states::{SHARD_STATES_MIN, SHARDS},
};
use proptest::prelude::*;

fn limits(requests_per_second: Option<u32>, burst: Option<u32>, concurrent_requests: Option<u32>) -> KeyLimits {
    KeyLimits { requests_per_second, burst, concurrent_requests, ..KeyLimits::default() }
}

impl Limiters {
    /// A request of a key whose organization has no limits and that uses no tokens.
    fn enter_key(&self, key: &KeyId, limits: &KeyLimits, now: Instant) -> Result<Entry, LimitExceeded> {
        self.enter_with(key, (limits, &KeyLimits::default()), Tokens::default(), now)
    }

    fn enter_with(
        &self,
        key: &KeyId,
        (limits, organization_limits): (&KeyLimits, &KeyLimits),
        tokens: Tokens,
        now: Instant,
    ) -> Result<Entry, LimitExceeded> {
        let organization = &OrganizationId::new("org");
        self.enter(&Entrant { key, limits, organization, organization_limits }, tokens, now)
    }
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
        (0..1000).map(|_| limiters.enter_key(&key("a"), &KeyLimits::default(), now).unwrap()).collect();
    assert_eq!(limiters.in_flight(), 1000);
    drop(permits);
    assert_eq!(limiters.in_flight(), 0);
}

#[test]
fn one_keys_traffic_never_makes_anothers_fail() {
    let (limiters, now) = new();
    let limits = limits(Some(1), None, Some(1));
    let held = limiters.enter_key(&key("a"), &limits, now).unwrap();
    assert!(limiters.enter_key(&key("a"), &limits, now).is_err());
    assert!(limiters.enter_key(&key("b"), &limits, now).is_ok());
    drop(held);
}

#[test]
fn a_refusal_names_its_limit_and_a_wait_that_is_true() {
    let (limiters, now) = new();
    let limits = limits(Some(2), Some(5), Some(100));
    let _held: Vec<_> = (0..5).map(|_| limiters.enter_key(&key("a"), &limits, now).unwrap()).collect();
    let refused = limiters.enter_key(&key("a"), &limits, now).unwrap_err();
    assert_eq!(refused, LimitExceeded { limit: Limit::Rate, whose: Whose::Key, retry_after_seconds: 1 });
    assert_eq!(refused.to_string(), "over the key's rate limit: try again in 1 s");
    let later = now + Duration::from_secs(u64::from(refused.retry_after_seconds));
    assert!(limiters.enter_key(&key("a"), &limits, later).is_ok());
}

#[test]
fn what_one_limit_refuses_uses_nothing_up_of_the_other() {
    let (limiters, now) = new();
    let limits = limits(Some(1), Some(3), Some(1));
    let first = limiters.enter_key(&key("a"), &limits, now).unwrap();
    for _ in 0..10 {
        assert_eq!(limiters.enter_key(&key("a"), &limits, now).unwrap_err().limit, Limit::Concurrency);
    }
    drop(first);
    drop(limiters.enter_key(&key("a"), &limits, now).unwrap());
    drop(limiters.enter_key(&key("a"), &limits, now).unwrap());
    for _ in 0..10 {
        assert_eq!(limiters.enter_key(&key("a"), &limits, now).unwrap_err().limit, Limit::Rate);
    }
    assert_eq!(limiters.in_flight(), 0);
    assert!(limiters.enter_key(&key("a"), &limits, now + ms(1000)).is_ok());
}

#[test]
fn changed_limits_take_effect_at_once_and_forgive_nothing() {
    let (limiters, now) = new();
    let held: Vec<_> =
        (0..10).map(|_| limiters.enter_key(&key("a"), &limits(Some(10), None, None), now).unwrap()).collect();
    assert!(limiters.enter_key(&key("a"), &limits(Some(10), None, None), now).is_err(), "a second's worth is used up");
    assert!(limiters.enter_key(&key("a"), &limits(Some(10), Some(11), None), now).is_ok(), "a larger burst");
    assert!(limiters.enter_key(&key("a"), &limits(None, None, Some(10)), now).is_err(), "ten are in flight");
    assert!(limiters.enter_key(&key("a"), &limits(None, None, Some(11)), now).is_ok());
    assert!(limiters.enter_key(&key("a"), &limits(Some(1), Some(1), None), now + ms(200)).is_err());
    drop(held);
}

#[test]
fn idle_keys_are_forgotten_and_busy_ones_are_not() {
    let (limiters, start) = new();
    let (slow, unlimited) = (limits(Some(1), Some(100), None), KeyLimits::default());
    let held = limiters.enter_key(&key("in flight"), &limits(None, None, Some(1)), start).unwrap();
    for _ in 0..100 {
        drop(limiters.enter_key(&key("used up"), &slow, start).unwrap());
    }
    for number in 0..200_000_u64 {
        let now = start + Duration::from_micros(number);
        drop(limiters.enter_key(&key(&format!("key_{number}")), &unlimited, now).unwrap());
    }
    assert!(limiters.keys_held() <= SHARDS * (SHARD_STATES_MIN + 1), "{}", limiters.keys_held());
    let now = start + ms(200);
    assert_eq!(limiters.enter_key(&key("used up"), &slow, now).unwrap_err().limit, Limit::Rate);
    assert!(limiters.enter_key(&key("in flight"), &limits(None, None, Some(1)), now).is_err());
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
            assert!(limiters.enter_key(key, &limits, start + ms(200 * round)).is_ok());
        }
    }
    assert_eq!(limiters.keys_held(), keys.len(), "all are busy, so none is forgotten");
}

#[test]
fn threads_together_get_exactly_what_one_would() {
    let (limiters, now) = new();
    let (key, limits) = (key("a"), limits(Some(100), Some(100), None));
    let passed: usize = std::thread::scope(|scope| {
        let enter = || (0..10_000).filter(|_| limiters.enter_key(&key, &limits, now).is_ok()).count();
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
                    let Ok(permit) = limiters.enter_key(&key, &limits, now) else { continue };
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
                    drop(limiters.enter_key(&stranger, &KeyLimits::default(), now));
                    limiters.enter_key(&key("known"), limits, now).is_ok()
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
        let mut held: std::collections::VecDeque<(usize, Entry)> = std::collections::VecDeque::new();
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
                    let entered = limiters.enter_key(&key(&who.to_string()), &limits, start + ms(now));
                    prop_assert_eq!(entered.as_ref().map(drop).map_err(|exceeded| exceeded.limit), expected);
                    held.extend(entered.ok().map(|permit| (who, permit)));
                }
            }
            prop_assert_eq!(limiters.in_flight(), held.len() as u64);
        }
    }
}

fn tokens(input: u64, output: u64) -> Tokens {
    Tokens { input, output }
}

#[test]
fn tokens_are_held_from_the_estimate_and_corrected_by_what_was_used() {
    let (limiters, now) = new();
    let limits = KeyLimits { tokens_per_minute: Some(1_000), ..KeyLimits::default() };
    let none = KeyLimits::default();
    let enter = |tokens, now| limiters.enter_with(&key("a"), (&limits, &none), tokens, now);
    let first = enter(tokens(300, 300), now).unwrap();
    let refused = enter(tokens(300, 300), now).unwrap_err();
    assert_eq!((refused.limit, refused.retry_after_seconds), (Limit::Tokens, 12), "200 of 1000 a minute");
    first.tokens.unwrap().correct(tokens(100, 100), now);
    let second = enter(tokens(500, 300), now).unwrap();
    assert!(enter(tokens(1, 0), now).is_err());
    second.tokens.unwrap().correct(tokens(500, 800), now);
    // 200 and 1300 were used: 500 more than a minute's worth, which half a minute brings back.
    let refused = enter(tokens(1, 0), now).unwrap_err();
    assert_eq!(refused.retry_after_seconds, 31);
    assert!(enter(tokens(1, 0), now + Duration::from_secs(31)).is_ok());
}

#[test]
fn each_measure_of_tokens_has_its_limit_and_a_dropped_hold_gives_all_back() {
    let (limiters, now) = new();
    let none = KeyLimits::default();
    let limits =
        KeyLimits { input_tokens_per_minute: Some(100), output_tokens_per_minute: Some(50), ..KeyLimits::default() };
    let enter = |tokens| limiters.enter_with(&key("a"), (&limits, &none), tokens, now);
    for _ in 0..10 {
        drop(enter(tokens(100, 50)).unwrap());
    }
    let held = enter(tokens(100, 10)).unwrap();
    assert_eq!(enter(tokens(1, 0)).unwrap_err().limit, Limit::Tokens);
    let other = enter(tokens(0, 40)).unwrap();
    assert_eq!(enter(tokens(0, 1)).unwrap_err().limit, Limit::Tokens);
    drop((held, other));
    assert!(enter(tokens(100, 50)).is_ok());
}

#[test]
fn an_organizations_limits_hold_for_its_keys_together() {
    let (limiters, now) = new();
    let own = limits(Some(100), None, Some(100));
    for (organization_limits, expected) in [
        (limits(Some(3), None, None), Limit::Rate),
        (limits(None, None, Some(3)), Limit::Concurrency),
        (KeyLimits { tokens_per_minute: Some(30), ..KeyLimits::default() }, Limit::Tokens),
    ] {
        let limiters = Limiters::new(now);
        let enter = |name: &str| limiters.enter_with(&key(name), (&own, &organization_limits), tokens(5, 5), now);
        let held: Vec<_> = ["a", "b", "c"].map(|name| enter(name).unwrap()).into();
        let refused = enter("d").unwrap_err();
        assert_eq!((refused.limit, refused.whose), (expected, Whose::Organization));
        drop(held);
    }
    assert_eq!(limiters.in_flight(), 0);
}

#[test]
fn what_the_organization_refuses_uses_nothing_up_of_the_key() {
    let (limiters, now) = new();
    let own = KeyLimits { tokens_per_minute: Some(10), ..limits(Some(1), Some(1), Some(1)) };
    let organization_limits = limits(None, None, Some(1));
    let held = limiters.enter_with(&key("other"), (&KeyLimits::default(), &organization_limits), tokens(0, 0), now);
    for _ in 0..10 {
        let refused = limiters.enter_with(&key("a"), (&own, &organization_limits), tokens(5, 5), now).unwrap_err();
        assert_eq!(refused.whose, Whose::Organization);
    }
    drop(held);
    assert!(limiters.enter_with(&key("a"), (&own, &organization_limits), tokens(5, 5), now).is_ok());
}

#[test]
fn of_keys_just_over_their_limit_the_share_that_theory_says_is_refused() {
    let (limiters, start) = new();
    // A tenth more than the limit, for ten seconds: what the burst and the rate do not let pass is too much.
    for (burst, theory) in [(2_u32, 99.0), (10, 91.0), (50, 51.0)] {
        let limits = limits(Some(100), Some(burst), None);
        for name in 0..100 {
            let key = key(&format!("key_{burst}_{name}"));
            let mut refused = 0_u32;
            for request in 0..1_100_u64 {
                let now = start + Duration::from_nanos(request * 1_000_000_000 / 110);
                refused += u32::from(limiters.enter_key(&key, &limits, now).is_err());
            }
            let share = f64::from(refused) / theory;
            assert!((0.98..=1.02).contains(&share), "{refused} of 1100 at a burst of {burst}, theory {theory}");
        }
    }
}

proptest! {
    /// Whatever is let in and ends, in any order: what is used up at the end is what was used.
    #[test]
    fn all_tokens_that_were_held_are_settled(
        asks in prop::collection::vec((0..200_u64, 0..200_u64, 0..400_u64, any::<bool>()), 1..40),
    ) {
        let (limiters, now) = new();
        let limits = KeyLimits { tokens_per_minute: Some(10_000), ..KeyLimits::default() };
        let none = KeyLimits::default();
        let enter = |tokens| limiters.enter_with(&key("a"), (&limits, &none), tokens, now);
        let (mut held, mut used) = (Vec::new(), 0);
        for (input, output, actual, drops) in asks {
            let Ok(entry) = enter(tokens(input, output)) else { continue };
            held.push((entry, actual, drops));
        }
        for (entry, actual, drops) in held {
            if drops {
                continue;
            }
            used += actual;
            entry.tokens.unwrap().correct(tokens(actual, 0), now);
        }
        let left = 10_000_u64.saturating_sub(used);
        // Each hold and correction is rounded to a nanosecond; a token takes six million of them.
        prop_assert_eq!(enter(tokens(left.saturating_sub(1), 0)).is_ok(), used <= 10_000);
        // more than a minute's worth passes when nothing is used up
        prop_assert_eq!(enter(tokens(left + 2, 0)).is_err(), used > 0);
    }
}
