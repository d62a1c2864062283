//! How fast: the generic cell rate algorithm, one atomic word per key and measure, no lock.
//!
//! The word is the theoretical arrival time: the moment at which the key would have used up nothing. Each
//! request moves it one interval ahead (or, where tokens are counted, as many as it is taken to use); a request
//! that would move it further than the burst from now is refused and moves nothing. Exact for any number of
//! threads: the word moves by compare-and-swap only. What was taken for too much is given back in the same unit.

use super::KeyLimits;
use std::sync::atomic::{AtomicU64, Ordering};

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MINUTE: u64 = 60 * NANOS_PER_SECOND;

/// A key that may send nothing is asked to come back after an hour: no time would be truthful.
const NEVER_NANOS: u64 = 3600 * NANOS_PER_SECOND;

/// A sustained pace and a burst, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// What one request takes. A rate that does not divide a second is rounded in the limit's favour, so that no
    /// more than the rate ever passes: by less than a nanosecond for each request.
    interval: u64,
    /// How far the arrival time may be ahead: the burst times the interval. Zero: nothing may pass.
    ahead_max: u64,
}

impl Pace {
    /// The pace of these limits; `None` when requests may come as fast as they like.
    /// The burst is one second's worth where none is given, and never less than one request.
    pub(super) fn of(limits: &KeyLimits) -> Option<Self> {
        let per_second = limits.requests_per_second?;
        if per_second == 0 {
            return Some(Self { interval: NEVER_NANOS, ahead_max: 0 });
        }
        let burst = u64::from(limits.burst.unwrap_or(per_second).max(1));
        let interval = NANOS_PER_SECOND.div_ceil(u64::from(per_second));
        // At most 2^32 × 1e9: fits.
        Some(Self { interval, ahead_max: burst.saturating_mul(interval) })
    }
}

impl Pace {
    /// What a request of so many tokens takes of a limit a minute. One of more than a minute's worth takes all of it,
    /// so that it may pass at all: when nothing is used up.
    pub(super) fn of_tokens(tokens: u64, per_minute: u32) -> Self {
        Self { interval: token_nanos(tokens, per_minute).min(NANOS_PER_MINUTE), ahead_max: NANOS_PER_MINUTE }
    }

    /// What it takes, in nanoseconds.
    pub(super) const fn nanos(self) -> u64 {
        self.interval
    }
}

/// How long so many tokens take to come again, rounded up.
pub(super) fn token_nanos(tokens: u64, per_minute: u32) -> u64 {
    let nanos = u128::from(tokens) * u128::from(NANOS_PER_MINUTE);
    u64::try_from(nanos.div_ceil(u128::from(per_minute.max(1)))).unwrap_or(u64::MAX)
}

/// One key's use of its rate. Times are nanoseconds since a start that all keys share.
#[derive(Debug, Default)]
pub(super) struct Rate(AtomicU64);

impl Rate {
    /// Whether one more request may pass now, without using anything up.
    ///
    /// # Errors
    /// The nanoseconds after which it may, if nothing else passes until then.
    pub(super) fn check(&self, pace: Pace, now: u64) -> Result<(), u64> {
        // Relaxed here and below: the word guards no other memory.
        Self::next(self.0.load(Ordering::Relaxed), pace, now).map(drop)
    }

    /// Lets one request pass now.
    ///
    /// # Errors
    /// As [`Rate::check`]; a refused request uses nothing up.
    pub(super) fn take(&self, pace: Pace, now: u64) -> Result<(), u64> {
        let mut arrival = self.0.load(Ordering::Relaxed);
        loop {
            let next = Self::next(arrival, pace, now)?;
            match self.0.compare_exchange_weak(arrival, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(moved) => arrival = moved,
            }
        }
    }

    /// Gives back what was taken for too much.
    pub(super) fn give_back(&self, nanos: u64) {
        let less = |arrival: u64| Some(arrival.saturating_sub(nanos));
        // It always says yes.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
    }

    /// Takes more than was taken, whatever the limit: it was used already.
    pub(super) fn take_more(&self, nanos: u64, now: u64) {
        let more = |arrival: u64| Some(arrival.max(now).saturating_add(nanos));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok();
    }

    fn next(arrival: u64, pace: Pace, now: u64) -> Result<u64, u64> {
        let next = arrival.max(now).saturating_add(pace.interval);
        match next.saturating_sub(now).checked_sub(pace.ahead_max) {
            None | Some(0) => Ok(next),
            Some(too_far) => Err(too_far),
        }
    }

    /// Whether nothing is used up, so that a new state would let the same requests pass.
    pub(super) fn is_refilled(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }
}

/// Whole seconds that are not less than the wait, at least one.
pub(super) fn retry_after_seconds(wait_nanos: u64) -> u32 {
    u32::try_from(wait_nanos.div_ceil(NANOS_PER_SECOND)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn pace(per_second: u32, burst: Option<u32>) -> Pace {
        let limits = KeyLimits { requests_per_second: Some(per_second), burst, ..KeyLimits::default() };
        Pace::of(&limits).unwrap()
    }

    fn allowed_at_once(rate: &Rate, pace: Pace, now: u64) -> u64 {
        (0..1_000_u64).take_while(|_| rate.take(pace, now).is_ok()).count() as u64
    }

    #[test]
    fn the_burst_passes_at_once_and_then_the_pace() {
        for (per_second, burst, at_once) in [(10, Some(3), 3), (10, None, 10), (1, None, 1), (5, Some(0), 1)] {
            let (rate, pace) = (Rate::default(), pace(per_second, burst));
            let interval = NANOS_PER_SECOND / u64::from(per_second);
            assert_eq!(allowed_at_once(&rate, pace, 0), at_once, "{per_second} {burst:?}");
            assert_eq!(allowed_at_once(&rate, pace, interval - 1), 0);
            assert_eq!(allowed_at_once(&rate, pace, interval), 1);
            assert_eq!(allowed_at_once(&rate, pace, interval * 1000), at_once, "never more than the burst");
        }
    }

    #[test]
    fn no_rate_means_no_pace_and_a_rate_of_zero_lets_nothing_pass() {
        assert_eq!(Pace::of(&KeyLimits { burst: Some(5), ..KeyLimits::default() }), None);
        let (rate, none) = (Rate::default(), pace(0, Some(5)));
        assert_eq!(rate.take(none, 5), Err(NEVER_NANOS));
        assert!(rate.is_refilled(5));
    }

    #[test]
    fn the_largest_limits_do_not_overflow() {
        let (rate, pace) = (Rate::default(), pace(1, Some(u32::MAX)));
        for now in [0, u64::MAX / 2, u64::MAX] {
            assert_eq!(rate.take(pace, now), Ok(()), "{now}");
        }
        assert_eq!(allowed_at_once(&Rate::default(), self::pace(u32::MAX, Some(7)), 0), 7);
    }

    #[test]
    fn a_wait_is_whole_seconds_and_never_none() {
        for (nanos, seconds) in [(1, 1), (999 * MS, 1), (1000 * MS, 1), (1000 * MS + 1, 2), (u64::MAX, u32::MAX)] {
            assert_eq!(retry_after_seconds(nanos), seconds, "{nanos}");
        }
    }

    /// A bucket of whole requests that fills by exact fractions: what the algorithm must amount to.
    struct Bucket {
        level: u128,
        at: u64,
    }

    impl Bucket {
        fn take(&mut self, interval: u128, burst: u128, now: u64) -> bool {
            self.level = (self.level + u128::from(now - self.at)).min(burst * interval);
            self.at = now;
            let enough = self.level >= interval;
            if enough {
                self.level -= interval;
            }
            enough
        }
    }

    #[test]
    fn tokens_come_again_within_a_minute_and_more_than_a_minutes_worth_takes_it_all() {
        let rate = Rate::default();
        let take = |tokens, now| rate.take(Pace::of_tokens(tokens, 600), now);
        assert_eq!(take(400, 0), Ok(()));
        assert_eq!(take(201, 0), Err(100 * MS), "a token takes a tenth of a second");
        assert_eq!(take(200, 0), Ok(()));
        assert_eq!(take(1, 0), Err(100 * MS));
        assert_eq!(take(1, 100 * MS), Ok(()));
        let all = NANOS_PER_MINUTE + 100 * MS;
        assert_eq!(take(9_999, all - 1), Err(1), "more than a minute's worth waits for all of it");
        assert_eq!(take(9_999, all), Ok(()));
        assert_eq!((token_nanos(1, 7), token_nanos(0, 7), token_nanos(u64::MAX, 1)), (8_571_428_572, 0, u64::MAX));
    }

    #[test]
    fn what_was_taken_for_too_much_comes_back_and_what_was_used_beyond_is_taken() {
        let rate = Rate::default();
        let half = Pace::of_tokens(300, 600);
        rate.take(half, 0).unwrap();
        rate.take(half, 0).unwrap();
        assert!(rate.take(Pace::of_tokens(1, 600), 0).is_err());
        rate.give_back(half.nanos());
        rate.take(half, 0).unwrap();
        rate.take_more(NANOS_PER_MINUTE, 0);
        assert_eq!(
            rate.take(Pace::of_tokens(600, 600), NANOS_PER_MINUTE),
            Err(NANOS_PER_MINUTE),
            "a debt is waited for"
        );
        rate.give_back(u64::MAX);
        assert!(rate.is_refilled(0));
    }

    proptest! {
        #[test]
        fn it_lets_pass_what_a_bucket_would(
            per_second in 1..2000_u32,
            burst in 1..50_u32,
            gaps in prop::collection::vec(0..2_000_000_000_u64, 1..200),
        ) {
            let (rate, pace) = (Rate::default(), pace(per_second, Some(burst)));
            let (interval, burst) = (u128::from(pace.interval), u128::from(burst));
            let mut bucket = Bucket { level: burst * interval, at: 0 };
            let mut now = 0;
            for gap in gaps {
                // Gaps of all sizes, from far below an interval to a whole refill.
                now += gap >> (gap % 16);
                prop_assert_eq!(rate.take(pace, now).is_ok(), bucket.take(interval, burst, now));
                prop_assert_eq!(rate.is_refilled(now), bucket.level == burst * interval);
            }
        }

        #[test]
        fn waiting_as_long_as_it_says_is_enough_and_a_nanosecond_less_is_not(
            per_second in 1..2000_u32,
            burst in 1..20_u32,
            now in 0..u64::from(u32::MAX),
        ) {
            let (rate, pace) = (Rate::default(), pace(per_second, Some(burst)));
            allowed_at_once(&rate, pace, now);
            let wait = rate.take(pace, now).unwrap_err();
            prop_assert!(rate.check(pace, now + wait - 1).is_err());
            prop_assert_eq!(rate.check(pace, now + wait), Ok(()));
            prop_assert_eq!(rate.take(pace, now + wait), Ok(()));
        }

        #[test]
        fn no_second_sees_more_than_the_burst_and_the_rate(
            per_second in 1..50_u32,
            burst in 1..50_u32,
            gaps in prop::collection::vec(0..40_000_000_u64, 1..300),
        ) {
            let (rate, pace) = (Rate::default(), pace(per_second, Some(burst)));
            let (mut now, mut passed) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                if rate.take(pace, now).is_ok() {
                    passed.push(now);
                }
            }
            for (place, first) in passed.iter().enumerate() {
                let within = passed[place..].iter().take_while(|at| **at < first + NANOS_PER_SECOND).count();
                prop_assert!(within <= (per_second + burst) as usize);
            }
        }
    }
}
