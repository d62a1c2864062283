//! Which tables answer a question: whole days from the sums by day, whole hours at its edges from the sums by hour, what is left
//! from the events. Together they hold each moment of the span once, so the answer is that of the events.

use super::{
    super::selection::{DAY_MS, Dimension, Selection},
    Interval, StatsQuery,
    buckets::HOUR_MS,
};
use crate::base::clock::Timestamp;

/// Rollups hold dates that end in this century; what is asked for beyond is looked for among the events.
const ROLLUPS_END: Timestamp = Timestamp::from_millis(4_102_444_800_000);

/// Where figures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Events,
    Hourly,
    Daily,
}

/// From the first moment to before the second.
pub(super) type Span = (Timestamp, Timestamp);

/// Spans that one table answers: one, or one at each edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) table: Table,
    pub(super) spans: Vec<Span>,
}

impl StatsQuery {
    /// The tags that it groups or filters by; `None` when one of them is not in the rollups.
    pub(super) fn rolled_up_tags(&self) -> Option<Vec<&str>> {
        let filters = self.selection.filters.iter().map(|filter| &filter.dimension);
        let mut tags = Vec::new();
        for dimension in self.group_by.iter().chain(filters) {
            match dimension {
                Dimension::Tag { column: None, .. } => return None,
                Dimension::Tag { name, column: Some(_) } => tags.push(name.as_str()),
                _ => {}
            }
        }
        Some(tags)
    }

    /// Whether sums by hour can answer a part of it at all.
    pub(super) fn may_use_rollups(&self) -> bool {
        let Selection { since, until, .. } = self.selection;
        let whole_hours = ceil(since, HOUR_MS) < floor(until.min(ROLLUPS_END), HOUR_MS);
        self.rollups && self.interval != Some(Interval::Minute) && whole_hours && self.rolled_up_tags().is_some()
    }

    /// The parts; the rollups have all that is asked for from `rolled_up_since` on.
    pub(super) fn parts(&self, rolled_up_since: Option<Timestamp>) -> Vec<Part> {
        let Selection { since, until, .. } = self.selection;
        let Some(first) = rolled_up_since.filter(|_| self.may_use_rollups()) else {
            return vec![Part { table: Table::Events, spans: vec![(since, until)] }];
        };
        let hours = (ceil(since.max(first), HOUR_MS), floor(until.min(ROLLUPS_END), HOUR_MS));
        let days = match self.interval {
            Some(Interval::Hour) => (until, until),
            _ => (ceil(hours.0, DAY_MS), floor(hours.1, DAY_MS)),
        };
        let split = |table, outer: Span, inner: Span| {
            let spans = if inner.0 < inner.1 { vec![(outer.0, inner.0), (inner.1, outer.1)] } else { vec![outer] };
            let spans: Vec<Span> = spans.into_iter().filter(|(from, to)| from < to).collect();
            Some(Part { table, spans }).filter(|part| !part.spans.is_empty())
        };
        let none = (until, until);
        let parts = [
            split(Table::Events, (since, until), hours),
            split(Table::Hourly, hours, days).filter(|_| hours.0 < hours.1),
            split(Table::Daily, days, none).filter(|_| hours.0 < hours.1),
        ];
        parts.into_iter().flatten().collect()
    }
}

fn floor(at: Timestamp, width: i64) -> Timestamp {
    Timestamp::from_millis(at.millis().div_euclid(width) * width)
}

fn ceil(at: Timestamp, width: i64) -> Timestamp {
    floor(at.plus_millis(width - 1), width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::settings::sample;
    use proptest::prelude::*;

    fn parts(pairs: &[(&str, &str)], rolled_up_since: Option<&str>) -> Vec<String> {
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let query = StatsQuery::parse(&pairs, at("2026-11-25T12:00:00Z"), &sample()).unwrap();
        let short = |at: Timestamp| at.to_rfc3339().replace("2026-11-", "").replace(":00.000Z", "");
        let spans = |part: &Part| {
            let spans = part.spans.iter().map(|(from, to)| format!(" {}..{}", short(*from), short(*to)));
            format!("{:?}{}", part.table, spans.collect::<String>())
        };
        query.parts(rolled_up_since.map(at)).iter().map(spans).collect()
    }

    #[test]
    fn days_lie_within_hours_and_hours_within_events() {
        let always = Some("1970-01-01T00:00:00Z");
        let span = [("since", "2026-11-20T22:30:00Z"), ("until", "2026-11-23T01:20:00Z")];
        let with = |more: (&'static str, &'static str)| [&span[..], &[more]].concat();
        let raw = ["Events 20T22:30..23T01:20"];
        let days = [
            "Events 20T22:30..20T23:00 23T01:00..23T01:20",
            "Hourly 20T23:00..21T00:00 23T00:00..23T01:00",
            "Daily 21T00:00..23T00:00",
        ];
        let hours = ["Events 20T22:30..20T23:00 23T01:00..23T01:20", "Hourly 20T23:00..23T01:00"];
        for (pairs, since, expected) in [
            (span.to_vec(), always, &days[..]),
            (with(("group_by", "endpoint,status,feature")), always, &days),
            (with(("interval", "day")), always, &days),
            (with(("interval", "month")), always, &days),
            (with(("interval", "hour")), always, &hours),
            (with(("interval", "minute")), always, &raw),
            (with(("group_by", "team")), always, &raw),
            (with(("team", "x")), always, &raw),
            (span.to_vec(), None, &raw),
            (
                with(("feature", "x")),
                Some("2026-11-22T00:00:00.001Z"),
                &["Events 20T22:30..22T01:00 23T01:00..23T01:20", "Hourly 22T01:00..23T01:00"],
            ),
            (with(("feature", "x")), Some("2026-11-24T00:00:00Z"), &raw),
            (
                vec![("since", "2026-11-20T00:00:00Z"), ("until", "2026-11-21T00:00:00Z")],
                always,
                &["Daily 20T00:00..21T00:00"],
            ),
            (
                vec![("since", "2026-11-20T00:00:00Z"), ("until", "2026-11-20T01:00:00Z")],
                always,
                &["Hourly 20T00:00..20T01:00"],
            ),
            (
                vec![("since", "2026-11-20T00:01:00Z"), ("until", "2026-11-20T01:59:00Z")],
                always,
                &["Events 20T00:01..20T01:59"],
            ),
        ] {
            assert_eq!(parts(&pairs, since), expected, "{pairs:?} {since:?}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_is_read_once(since in 0..200_i64, width in 1..400_i64, first in 0..600_i64, unit in 1..7_200_000_i64) {
            let at = |n: i64| Timestamp::from_millis(1_795_300_000_000 + n * unit);
            let pairs = [("since", at(since)), ("until", at(since + width))];
            let pairs = pairs.map(|(name, at)| (name.to_owned(), at.to_rfc3339()));
            let query = StatsQuery::parse(&pairs, at(9999), &sample()).unwrap();
            let parts = query.parts(Some(at(first)));
            let mut spans: Vec<(Span, Table)> =
                parts.iter().flat_map(|part| part.spans.iter().map(|span| (*span, part.table))).collect();
            spans.sort_by_key(|(span, _)| span.0);
            prop_assert_eq!((spans[0].0.0, spans.last().unwrap().0.1), (at(since), at(since + width)));
            for pair in spans.windows(2) {
                prop_assert_eq!(pair[0].0.1, pair[1].0.0);
            }
            for ((from, to), table) in spans {
                let width = match table { Table::Events => 1, Table::Hourly => HOUR_MS, Table::Daily => DAY_MS };
                prop_assert!(from < to && from.millis() % width == 0 && to.millis() % width == 0);
                prop_assert!(table == Table::Events || at(first) <= from);
            }
        }
    }
}
