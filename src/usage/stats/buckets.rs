//! The buckets of time that a span touches, in UTC.

use super::{super::selection::DAY_MS, Interval};
use crate::base::clock::Timestamp;

const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 3_600_000;
/// The epoch was a Thursday; weeks begin on Monday.
const MONDAY_MS: i64 = 4 * DAY_MS;

/// The bucket that a time falls in.
pub(super) fn start(interval: Interval, at: Timestamp) -> Timestamp {
    let floor = |width: i64| at.millis().div_euclid(width) * width;
    Timestamp::from_millis(match interval {
        Interval::Minute => floor(MINUTE_MS),
        Interval::Hour => floor(HOUR_MS),
        Interval::Day => floor(DAY_MS),
        Interval::Week => (at.millis() - MONDAY_MS).div_euclid(7 * DAY_MS) * (7 * DAY_MS) + MONDAY_MS,
        Interval::Month => floor(DAY_MS) - (day_of_month(at) - 1) * DAY_MS,
    })
}

/// The bucket behind one.
fn after(interval: Interval, start_of_one: Timestamp) -> Timestamp {
    start_of_one.plus_millis(match interval {
        Interval::Minute => MINUTE_MS,
        Interval::Hour => HOUR_MS,
        Interval::Day => DAY_MS,
        Interval::Week => 7 * DAY_MS,
        // somewhere in the next month, whose start it is then
        Interval::Month => return start(interval, start_of_one.plus_millis(32 * DAY_MS)),
    })
}

/// The bucket before one.
fn before(interval: Interval, start_of_one: Timestamp) -> Timestamp {
    start(interval, start_of_one.plus_millis(-1))
}

/// The buckets of a span, the first or the last so many, in the order of time.
pub(super) fn of_span(
    interval: Interval,
    span: (Timestamp, Timestamp),
    at_most: usize,
    from_end: bool,
) -> Vec<Timestamp> {
    let (first, last) = (start(interval, span.0), start(interval, span.1.plus_millis(-1)));
    let inside = |at: &Timestamp| first <= *at && *at <= last;
    if from_end {
        let back = std::iter::successors(Some(last), |at| Some(before(interval, *at)).filter(inside));
        let mut buckets: Vec<Timestamp> = back.take(at_most).collect();
        buckets.reverse();
        return buckets;
    }
    std::iter::successors(Some(first), |at| Some(after(interval, *at)).filter(inside)).take(at_most).collect()
}

/// 1 for the first; days before year 1 and after 9999 do not come here.
fn day_of_month(at: Timestamp) -> i64 {
    let day = jiff::Timestamp::from_millisecond(at.millis())
        .map(|at| at.to_zoned_datetime(jiff::tz::TimeZone::UTC).date().day());
    day.map_or(1, i64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn shown(interval: Interval, since: &str, until: &str, at_most: usize, from_end: bool) -> Vec<String> {
        let buckets = of_span(interval, (at(since), at(until)), at_most, from_end);
        buckets.into_iter().map(|bucket| bucket.to_rfc3339().replace(".000Z", "Z")).collect()
    }

    #[test]
    fn buckets_begin_where_calendars_say() {
        for (interval, since, until, expected) in [
            (
                Interval::Minute,
                "2026-11-25T03:54:55Z",
                "2026-11-25T03:56:00Z",
                vec!["2026-11-25T03:54:00Z", "2026-11-25T03:55:00Z"],
            ),
            (
                Interval::Hour,
                "2026-11-25T03:54:55Z",
                "2026-11-25T04:00:01Z",
                vec!["2026-11-25T03:00:00Z", "2026-11-25T04:00:00Z"],
            ),
            (
                Interval::Day,
                "2026-02-28T23:00:00Z",
                "2026-03-01T01:00:00Z",
                vec!["2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"],
            ),
            (
                Interval::Week,
                "2026-11-22T23:00:00Z",
                "2026-11-23T01:00:00Z",
                vec!["2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"],
            ),
            (
                Interval::Month,
                "2024-01-31T00:00:00Z",
                "2024-03-01T00:00:00Z",
                vec!["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"],
            ),
        ] {
            assert_eq!(shown(interval, since, until, 100, false), expected, "{interval:?}");
            assert_eq!(shown(interval, since, until, 100, true), expected, "{interval:?}");
        }
        assert_eq!(
            shown(Interval::Month, "2024-01-31T00:00:00Z", "2025-01-01T00:00:00Z", 2, true),
            ["2024-11-01T00:00:00Z", "2024-12-01T00:00:00Z"]
        );
    }

    proptest! {
        #[test]
        fn each_moment_lies_in_one_bucket_and_no_bucket_is_missing(
            since in 0..4_000_000_000_000_i64,
            width in 1..4_000_000_000_i64,
            interval in prop::sample::select(&Interval::ALL[..]),
        ) {
            let span = (Timestamp::from_millis(since), Timestamp::from_millis(since + width));
            let buckets = of_span(interval, span, usize::MAX, false);
            prop_assert_eq!(&buckets, &of_span(interval, span, usize::MAX, true));
            prop_assert!(buckets[0] <= span.0 && span.1 <= after(interval, *buckets.last().unwrap()));
            for pair in buckets.windows(2) {
                prop_assert_eq!(after(interval, pair[0]), pair[1]);
                prop_assert_eq!(start(interval, pair[1].plus_millis(-1)), pair[0]);
            }
        }
    }
}
