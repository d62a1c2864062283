//! One SQL statement for a `StatsQuery`.

use super::{
    super::ask::{AskError, Statement},
    By, Figure, Interval, Order, StatsQuery,
};
use crate::{base::ids::OrganizationId, usage::selection::Dimension};

/// Percentiles of durations: within one percent, for half the time that t-digests take, and the same whatever the order
/// in which parts are merged. `NULL` where there was nothing to measure.
const PERCENTILES: &str = "quantilesBFloat16StateIf(0.5, 0.95, 0.99)";
const PERCENTILES_MERGE: &str = "quantilesBFloat16Merge(0.5, 0.95, 0.99)";

/// The statement for one organization's usage.
///
/// # Errors
/// There is no such organization.
pub(super) fn statement(query: &StatsQuery, organization_id: &OrganizationId) -> Result<Statement, AskError> {
    let mut statement = Statement::default();
    let groups = groups(&mut statement, query, organization_id)?;
    let keys: Vec<String> = (0..query.group_by.len()).map(|at| format!("toString(k{at})")).collect();
    let bucket = if query.interval.is_some() { "toInt64(toUnixTimestamp(bucket_start)) * 1000" } else { "toInt64(0)" };
    let order: Vec<String> = query.order.iter().map(order).collect();
    statement.sql = format!(
        "SELECT CAST([{keys}], 'Array(String)') AS dimensions, {bucket} AS bucket, \
         ({figures}) AS figures, ({totals}) AS totals \
         FROM ({groups}) ORDER BY {order} LIMIT {limit}",
        keys = keys.join(", "),
        figures = figures(|sum| sum.into(), |state| format!("finalizeAggregation({state})")),
        totals = figures(|sum| format!("sum({sum}) OVER ()"), |state| format!("{PERCENTILES_MERGE}({state}) OVER ()")),
        order = order.join(", "),
        limit = query.limit,
    );
    Ok(statement)
}

/// The groups with their sums; percentiles as states, which the totals can still merge. An adjustment adds to the cost and
/// to no count; one that found a price for an exchange without one takes that back out of the unpriced.
fn groups(statement: &mut Statement, query: &StatsQuery, organization_id: &OrganizationId) -> Result<String, AskError> {
    let mut columns: Vec<String> = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    for (at, dimension) in query.group_by.iter().enumerate() {
        columns.push(format!("{} AS k{at}", statement.expression(dimension)));
        keys.push(format!("k{at}"));
    }
    if let Some(interval) = query.interval {
        columns.push(format!("{} AS bucket_start", bucket_start(interval)));
        keys.push("bucket_start".into());
    }
    columns.push(format!(
        "countIf(kind = 'exchange') AS f_requests, countIf(kind = 'exchange' AND error_type != '') AS f_errors, \
         sumIf(input_tokens, kind = 'exchange') AS f_input, \
         sumIf(cached_input_tokens, kind = 'exchange') AS f_cached, \
         sumIf(output_tokens, kind = 'exchange') AS f_output, \
         sum(cost_nanousd) AS f_cost, countIf(unpriced) - countIf(priced_later) AS f_unpriced, \
         {PERCENTILES}(latency_ms, kind = 'exchange') AS f_latency, \
         {PERCENTILES}(ttft_ms, kind = 'exchange' AND ttft_ms > 0) AS f_ttft"
    ));
    let grouped_by_environment = query.group_by.contains(&Dimension::Environment);
    let conditions = statement.conditions(&query.selection, organization_id, grouped_by_environment)?;
    let by = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
    Ok(format!("SELECT {} FROM usage_events WHERE {}{by}", columns.join(", "), conditions.join(" AND ")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::clock::Timestamp, usage::settings::sample};
    use proptest::prelude::*;

    fn asked(pairs: &[(&str, &str)]) -> Statement {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let query = StatsQuery::parse(&pairs, Timestamp::from_millis(1_795_300_000_000), &sample()).unwrap();
        super::statement(&query, &OrganizationId::new("org_a")).unwrap()
    }

    #[test]
    fn the_organization_always_binds_the_query() {
        let statement = asked(&[("group_by", "model"), ("provider", "openai")]);
        assert!(statement.sql.contains("WHERE organization_id = {organization:String} AND time >= "));
        assert!(statement.texts.contains(&("organization".into(), "org_a".into())));
    }

    #[test]
    fn test_keys_are_left_out_unless_asked_for() {
        let left_out = |pairs| asked(pairs).sql.contains("environment != 'test'");
        assert!(left_out(&[]));
        assert!(left_out(&[("group_by", "model")]));
        assert!(!left_out(&[("group_by", "environment")]));
        assert!(!left_out(&[("environment", "test")]));
        assert!(!left_out(&[("environment", "*")]));
    }

    #[test]
    fn names_of_tags_are_parameters_and_hot_tags_are_columns() {
        let statement = asked(&[("group_by", "team,feature"), ("team", "a*")]);
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
            let statement = asked(&[("group_by", &tag), ("provider", &value), ("status", &value)]);
            prop_assert!(!statement.sql.contains("zq"));
        }
    }
}
