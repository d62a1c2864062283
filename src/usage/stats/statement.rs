//! One SQL statement for a `StatsQuery`. Its text is made of our own words alone; all that callers wrote, names of tags
//! included, goes in as parameters.

use super::{By, Dimension, Figure, Filter, Interval, Order, StatsQuery};
use crate::base::{clock::Timestamp, ids::OrganizationId};

/// The span of time that ClickHouse's `DateTime64(3)` columns can be compared in: 1970 to 2200.
const MILLIS_MAX: i64 = 7_258_118_400_000;

/// Percentiles of durations: within one percent, for half the time that t-digests take, and the same whatever the order
/// in which parts are merged. `NULL` where there was nothing to measure.
const PERCENTILES: &str = "quantilesBFloat16StateIf(0.5, 0.95, 0.99)";
const PERCENTILES_MERGE: &str = "quantilesBFloat16Merge(0.5, 0.95, 0.99)";

/// A statement and the values of its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) texts: Vec<(String, String)>,
    pub(super) numbers: Vec<(String, i64)>,
}

impl Statement {
    pub(super) fn new(query: &StatsQuery, organization_id: &OrganizationId) -> Self {
        let mut statement = Self::default();
        let groups = statement.groups(query, organization_id);
        let keys: Vec<String> = (0..query.group_by.len()).map(|at| format!("toString(k{at})")).collect();
        let bucket =
            if query.interval.is_some() { "toInt64(toUnixTimestamp(bucket_start)) * 1000" } else { "toInt64(0)" };
        let order: Vec<String> = query.order.iter().map(order).collect();
        statement.sql = format!(
            "SELECT CAST([{keys}], 'Array(String)') AS dimensions, {bucket} AS bucket, \
             ({figures}) AS figures, ({totals}) AS totals \
             FROM ({groups}) ORDER BY {order} LIMIT {limit}",
            keys = keys.join(", "),
            figures = figures(|sum| sum.into(), |state| format!("finalizeAggregation({state})")),
            totals =
                figures(|sum| format!("sum({sum}) OVER ()"), |state| format!("{PERCENTILES_MERGE}({state}) OVER ()")),
            order = order.join(", "),
            limit = query.limit,
        );
        statement
    }

    /// The groups with their sums; percentiles as states, which the totals can still merge.
    fn groups(&mut self, query: &StatsQuery, organization_id: &OrganizationId) -> String {
        let mut columns: Vec<String> = Vec::new();
        let mut keys: Vec<String> = Vec::new();
        for (at, dimension) in query.group_by.iter().enumerate() {
            columns.push(format!("{} AS k{at}", self.expression(dimension)));
            keys.push(format!("k{at}"));
        }
        if let Some(interval) = query.interval {
            columns.push(format!("{} AS bucket_start", bucket_start(interval)));
            keys.push("bucket_start".into());
        }
        columns.push(format!(
            "countIf(kind = 'exchange') AS f_requests, countIf(kind = 'exchange' AND error_type != '') AS f_errors, \
             sum(input_tokens) AS f_input, sum(cached_input_tokens) AS f_cached, sum(output_tokens) AS f_output, \
             sum(cost_nanousd) AS f_cost, countIf(unpriced) AS f_unpriced, \
             {PERCENTILES}(latency_ms, kind = 'exchange') AS f_latency, \
             {PERCENTILES}(ttft_ms, kind = 'exchange' AND ttft_ms > 0) AS f_ttft"
        ));
        let conditions = self.conditions(query, organization_id);
        let by = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
        format!("SELECT {} FROM usage_events WHERE {}{by}", columns.join(", "), conditions.join(" AND "))
    }

    fn conditions(&mut self, query: &StatsQuery, organization_id: &OrganizationId) -> Vec<String> {
        let organization = self.text("organization", organization_id.as_str());
        let since = self.moment("since", query.since);
        let until = self.moment("until", query.until);
        let mut conditions =
            vec![format!("organization_id = {organization}"), format!("time >= {since}"), format!("time < {until}")];
        for (at, Filter { dimension, value }) in query.filters.iter().enumerate() {
            let expression = match dimension {
                Dimension::Status => "toString(status)".into(),
                _ => self.expression(dimension),
            };
            let name = format!("filter_{at}");
            conditions.push(match like_pattern(value) {
                Some(pattern) => format!("{expression} LIKE {}", self.text(&name, &pattern)),
                None => format!("{expression} = {}", self.text(&name, value)),
            });
        }
        let names_environment = |dimension: &Dimension| *dimension == Dimension::Environment;
        let filtered = query.filters.iter().any(|filter| names_environment(&filter.dimension));
        if !filtered && !query.group_by.iter().any(names_environment) {
            conditions.push("environment != 'test'".into());
        }
        conditions
    }

    fn expression(&mut self, dimension: &Dimension) -> String {
        match dimension {
            Dimension::Provider => "provider".into(),
            Dimension::Model => "model".into(),
            Dimension::Endpoint => "endpoint".into(),
            Dimension::Key => "key_id".into(),
            Dimension::Status => "status".into(),
            Dimension::Environment => "environment".into(),
            Dimension::ErrorType => "error_type".into(),
            Dimension::Tag { column: Some(column), .. } => format!("`{column}`"),
            Dimension::Tag { name, column: None } => {
                let parameter = format!("tag_{}", self.texts.len());
                format!("tags[{}]", self.text(&parameter, name))
            }
        }
    }

    fn text(&mut self, name: &str, value: &str) -> String {
        self.texts.push((name.into(), value.into()));
        format!("{{{name}:String}}")
    }

    fn moment(&mut self, name: &str, value: Timestamp) -> String {
        self.numbers.push((name.into(), value.millis().clamp(0, MILLIS_MAX)));
        format!("fromUnixTimestamp64Milli({{{name}:Int64}}, 'UTC')")
    }
}

/// The figures of a row, in the order that `Figures` reads them.
fn figures(sum: impl Fn(&str) -> String, percentiles: impl Fn(&str) -> String) -> String {
    let sums = ["f_requests", "f_errors", "f_input", "f_cached", "f_output", "f_cost", "f_unpriced"].map(sum);
    let states = ["f_latency", "f_ttft"]
        .map(|name| format!("arrayMap(x -> if(isNaN(x), NULL, toUInt32(round(x))), {})", percentiles(name)));
    format!("{}, {}", sums.join(", "), states.join(", "))
}

const fn bucket_start(interval: Interval) -> &'static str {
    match interval {
        Interval::Minute => "toStartOfMinute(time)",
        Interval::Hour => "toStartOfHour(time)",
        Interval::Day => "toStartOfDay(time)",
        Interval::Week => "toDateTime(toMonday(time), 'UTC')",
        Interval::Month => "toDateTime(toStartOfMonth(time), 'UTC')",
    }
}

fn order(order: &Order) -> String {
    let by = match order.by {
        By::Bucket => "bucket_start".into(),
        By::Dimension(at) => format!("k{at}"),
        By::Figure(figure) => match figure {
            Figure::Requests => "f_requests".into(),
            Figure::Errors => "f_errors".into(),
            Figure::InputTokens => "f_input".into(),
            Figure::CachedInputTokens => "f_cached".into(),
            Figure::OutputTokens => "f_output".into(),
            Figure::CostUsd => "f_cost".into(),
            Figure::UnpricedRequests => "f_unpriced".into(),
            Figure::LatencyMs(at) => format!("finalizeAggregation(f_latency)[{}]", at + 1),
            Figure::TtftMs(at) => format!("finalizeAggregation(f_ttft)[{}]", at + 1),
        },
    };
    // groups without a measured duration come last either way
    format!("{by} {} NULLS LAST", if order.descending { "DESC" } else { "ASC" })
}

/// A glob as a pattern of `LIKE`; `None` when the value holds no `*` or `?` and means itself.
fn like_pattern(value: &str) -> Option<String> {
    value.contains(['*', '?']).then(|| {
        value.chars().fold(String::with_capacity(value.len() + 8), |mut pattern, c| {
            match c {
                '*' => pattern.push('%'),
                '?' => pattern.push('_'),
                '%' | '_' | '\\' => pattern.extend(['\\', c]),
                _ => pattern.push(c),
            }
            pattern
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::settings::sample;
    use proptest::prelude::*;

    fn statement(pairs: &[(&str, &str)]) -> Statement {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let query = StatsQuery::parse(&pairs, Timestamp::from_millis(1_795_300_000_000), &sample()).unwrap();
        Statement::new(&query, &OrganizationId::new("org_a"))
    }

    #[test]
    fn globs_become_patterns_with_everything_else_literal() {
        for (glob, pattern) in
            [("chat*", "chat%"), ("?x", "_x"), ("50%*", "50\\%%"), ("a_b*", "a\\_b%"), ("\\*", "\\\\%")]
        {
            assert_eq!(like_pattern(glob).as_deref(), Some(pattern), "{glob}");
        }
        assert_eq!(like_pattern("50%_"), None);
    }

    #[test]
    fn the_organization_always_binds_the_query() {
        let statement = statement(&[("group_by", "model"), ("provider", "openai")]);
        assert!(statement.sql.contains("WHERE organization_id = {organization:String} AND time >= "));
        assert!(statement.texts.contains(&("organization".into(), "org_a".into())));
    }

    #[test]
    fn test_keys_are_left_out_unless_asked_for() {
        let left_out = |pairs| statement(pairs).sql.contains("environment != 'test'");
        assert!(left_out(&[]));
        assert!(left_out(&[("group_by", "model")]));
        assert!(!left_out(&[("group_by", "environment")]));
        assert!(!left_out(&[("environment", "test")]));
        assert!(!left_out(&[("environment", "*")]));
    }

    #[test]
    fn names_of_tags_are_parameters_and_hot_tags_are_columns() {
        let statement = statement(&[("group_by", "team,feature"), ("team", "a*")]);
        assert!(statement.sql.contains("tags[{tag_0:String}] AS k0, `tag_feature` AS k1"), "{}", statement.sql);
        assert_eq!(statement.texts.iter().filter(|(_, value)| value == "team").count(), 2);
        let mut names: Vec<&String> = statement.texts.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), statement.texts.len(), "no parameter is set twice");
    }

    proptest! {
        #[test]
        fn what_callers_write_never_stands_in_the_statement(value in "[ -~]{0,8}zq[ -~]{0,8}", tag in "zq[a-z0-9_.-]{0,9}") {
            let statement = statement(&[("group_by", &tag), ("provider", &value), ("status", &value)]);
            prop_assert!(!statement.sql.contains("zq"));
        }
    }
}
