//! What statistics should say, computed the slow and obvious way over events in memory.

use sociaro_gateway::{
    base::money::Money,
    usage::{
        event::UsageEvent,
        stats::{Figures, Percentiles},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// The question, in the words of the parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) group_by: Vec<&'static str>,
    pub(crate) interval: Option<&'static str>,
    pub(crate) filters: Vec<(&'static str, String)>,
    pub(crate) order_by: Option<String>,
    pub(crate) limit: usize,
    pub(crate) since: i64,
    pub(crate) until: i64,
}

impl Question {
    /// Sorted by a figure: buckets without requests are left out.
    fn is_ranking(&self) -> bool {
        let by = self.order_by.as_deref().and_then(|order| order.split(':').next());
        by.is_some_and(|name| name != "bucket" && !self.group_by.contains(&name))
    }
}

/// One group: its bucket, its values, its events.
pub(crate) type Group<'a> = ((Option<i64>, Vec<String>), Vec<&'a UsageEvent<'static>>);

/// The value of a dimension in an event.
pub(crate) fn value(event: &UsageEvent<'_>, dimension: &str) -> String {
    match dimension {
        "provider" => event.provider.to_string(),
        "model" if event.model_served.is_empty() => event.model_requested.to_string(),
        "model" => event.model_served.to_string(),
        "endpoint" => event.endpoint.to_string(),
        "key" => event.key_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        "status" => event.status.to_string(),
        "environment" => event.environment.as_str().into(),
        "error_type" => event.error_type.to_string(),
        tag => event.tags.iter().find(|(name, _)| name == tag).map(|(_, value)| value.clone()).unwrap_or_default(),
    }
}

/// Whether a glob matches the whole text.
pub(crate) fn glob(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) if glob(rest, text) => true,
        (Some(('*', _)), Some((_, text))) => glob(pattern, text),
        (Some(('?', rest)), Some((_, text))) => glob(rest, text),
        (Some((p, rest)), Some((t, text))) => p == t && glob(rest, text),
        _ => false,
    }
}

/// The start of the bucket that a time falls in.
pub(crate) fn bucket(millis: i64, interval: &str) -> i64 {
    const DAY: i64 = 86_400_000;
    let floor = |width: i64| millis.div_euclid(width) * width;
    match interval {
        "minute" => floor(60_000),
        "hour" => floor(3_600_000),
        "day" => floor(DAY),
        // the epoch was a Thursday
        "week" => (millis + 3 * DAY).div_euclid(7 * DAY) * 7 * DAY - 3 * DAY,
        "month" => {
            let at = jiff::Timestamp::from_millisecond(millis).unwrap().to_zoned_datetime(jiff::tz::TimeZone::UTC);
            floor(DAY) - i64::from(at.date().day() - 1) * DAY
        }
        _ => panic!("no interval: {interval}"),
    }
}

/// The starts of the buckets that the span touches.
fn buckets(question: &Question, interval: &str) -> BTreeSet<i64> {
    let width = if interval == "minute" { 60_000 } else { 3_600_000 };
    let steps = (question.since..question.until).step_by(width);
    steps.chain([question.until - 1]).map(|at| bucket(at, interval)).collect()
}

/// The events that the question is about, in their groups, in the order asked for.
pub(crate) fn groups<'a>(events: &'a [UsageEvent<'static>], organization: &str, question: &Question) -> Vec<Group<'a>> {
    let names_environment = question.group_by.contains(&"environment")
        || question.filters.iter().any(|(dimension, _)| *dimension == "environment");
    let mut groups: BTreeMap<(Option<i64>, Vec<String>), Vec<&'a UsageEvent<'static>>> = BTreeMap::new();
    for event in events {
        let ours = event.organization_id.as_ref().is_some_and(|id| id.as_str() == organization);
        let in_span = (question.since..question.until).contains(&event.time.millis());
        let kept = question.filters.iter().all(|(dimension, pattern)| {
            let (pattern, value) =
                (pattern.chars().collect::<Vec<_>>(), value(event, dimension).chars().collect::<Vec<_>>());
            glob(&pattern, &value)
        });
        if ours && in_span && kept && (names_environment || event.environment.as_str() != "test") {
            let bucket = question.interval.map(|interval| bucket(event.time.millis(), interval));
            let values = question.group_by.iter().map(|dimension| value(event, dimension)).collect();
            groups.entry((bucket, values)).or_default().push(event);
        }
    }
    if groups.is_empty() && question.group_by.is_empty() && question.interval.is_none() {
        groups.insert((None, Vec::new()), Vec::new());
    }
    if let Some(interval) = question.interval.filter(|_| !question.is_ranking()) {
        let found = groups.keys().map(|(_, values)| values.clone());
        let series: BTreeSet<Vec<String>> = match question.group_by.len() {
            0 => [Vec::new()].into(),
            _ => found.collect(),
        };
        for start in buckets(question, interval) {
            for values in &series {
                groups.entry((Some(start), values.clone())).or_default();
            }
        }
    }
    let mut groups: Vec<Group<'_>> = groups.into_iter().collect();
    groups.sort_by(|a, b| compare(question, a, b));
    groups
}

fn compare(question: &Question, a: &Group<'_>, b: &Group<'_>) -> std::cmp::Ordering {
    let by = |name: &str| {
        if name == "requests" {
            return a.1.len().cmp(&b.1.len());
        }
        let key = |(_, events): &Group<'_>| {
            let sums = figures(events);
            match name {
                "errors" => i128::from(sums.errors),
                "output_tokens" => i128::from(sums.output_tokens),
                "cost_usd" => i128::from(sums.cost_usd.nanos()),
                _ => panic!("no figure: {name}"),
            }
        };
        key(a).cmp(&key(b))
    };
    let asked = question.order_by.as_deref().map_or(std::cmp::Ordering::Equal, |order| {
        let (name, way) = order.split_once(':').unwrap_or((order, ""));
        match question.group_by.iter().position(|dimension| *dimension == name) {
            _ if name == "bucket" && way == "desc" => b.0.0.cmp(&a.0.0),
            _ if name == "bucket" => a.0.0.cmp(&b.0.0),
            Some(at) if way == "desc" => b.0.1[at].cmp(&a.0.1[at]),
            Some(at) => a.0.1[at].cmp(&b.0.1[at]),
            None if way == "asc" => by(name),
            None => by(name).reverse(),
        }
    });
    asked.then(a.0.0.cmp(&b.0.0)).then(by("requests").reverse()).then(a.0.1.cmp(&b.0.1))
}

/// The figures of some events; percentiles are left out.
pub(crate) fn figures(events: &[&UsageEvent<'static>]) -> Figures {
    Figures {
        requests: events.len() as u64,
        errors: events.iter().filter(|event| !event.error_type.is_empty()).count() as u64,
        input_tokens: events.iter().map(|event| event.tokens.input).sum(),
        cached_input_tokens: events.iter().map(|event| event.tokens.cached_input).sum(),
        output_tokens: events.iter().map(|event| event.tokens.output).sum(),
        cost_usd: Money::from_nanos(events.iter().map(|event| event.charge.cost.nanos()).sum()),
        unpriced_requests: events
            .iter()
            .filter(|event| event.usage_source.as_str() != "none" && event.charge.price_version.is_empty())
            .count() as u64,
        ..Figures::default()
    }
}

/// Percentiles may be off by one percent and by rounding.
pub(crate) fn assert_percentiles(found: Percentiles, mut values: Vec<u32>, what: &str) {
    values.sort_unstable();
    for (percent, found) in [(50, found.p50), (95, found.p95), (99, found.p99)] {
        let Some(last) = values.len().checked_sub(1) else {
            assert_eq!(found, None, "{what}");
            continue;
        };
        let (below, above) = (values[last * percent / 100], values[(last * percent).div_ceil(100)]);
        let (least, most) = (u64::from(below) * 99 / 100, u64::from(above) * 101 / 100 + 1);
        let found = u64::from(found.unwrap_or_else(|| panic!("{what}: p{percent} is missing")));
        assert!(
            (least.saturating_sub(1)..=most).contains(&found),
            "{what}: p{percent} is {found}, not {below}..{above}"
        );
    }
}
