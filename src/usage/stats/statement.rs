//! One SQL statement for a `StatsQuery`.

use super::{
    super::ask::{AskError, Columns, Statement},
    By, Figure, Interval, Order, StatsQuery, buckets,
    parts::{Part, Table},
};
use crate::{
    base::{clock::Timestamp, ids::OrganizationId},
    usage::selection::Dimension,
};

/// Percentiles of durations: within one percent, for half the time that t-digests take, and the same whatever the order
/// in which parts are merged. `NULL` where there was nothing to measure.
const PERCENTILES: &str = "quantilesBFloat16StateIf(0.5, 0.95, 0.99)";
const PERCENTILES_MERGE: &str = "quantilesBFloat16Merge(0.5, 0.95, 0.99)";
const PERCENTILES_MERGE_STATE: &str = "quantilesBFloat16MergeState(0.5, 0.95, 0.99)";
const SUMS: [&str; 7] = ["requests", "errors", "input", "cached", "output", "cost", "unpriced"];
const STATES: [&str; 2] = ["latency", "ttft"];
/// The figures of a row, in the order that `Figures` reads them.
const FIGURES_TYPE: &str = "Tuple(UInt64, UInt64, UInt64, UInt64, UInt64, Int64, Int64, Array(Nullable(UInt32)), \
    Array(Nullable(UInt32)))";
const NO_FIGURES: &str = "(0, 0, 0, 0, 0, 0, 0, [NULL, NULL, NULL], [NULL, NULL, NULL])";
/// Buckets of time that a `DateTime` can hold.
const BUCKETS_END: Timestamp = Timestamp::from_millis(4_102_444_800_000);

/// The statement for one organization's usage, read from these parts.
///
/// # Errors
/// There is no such organization.
pub(super) fn statement(
    query: &StatsQuery,
    organization_id: &OrganizationId,
    parts: &[Part],
) -> Result<Statement, AskError> {
    let mut statement = Statement::default();
    let groups = groups(&mut statement, query, organization_id, parts)?;
    let keys: Vec<String> = (0..query.group_by.len()).map(|at| format!("k{at}")).collect();
    let named: Vec<String> = keys.iter().map(|key| format!("{key}, ")).collect();
    let rows = format!(
        "SELECT {named}{bucket} AS bucket_start, CAST(({figures}), '{FIGURES_TYPE}') AS figures, \
         CAST(({totals}), '{FIGURES_TYPE}') AS totals FROM ({groups})",
        named = named.concat(),
        bucket = if query.interval.is_some() { "bucket_start" } else { "toInt64(0)" },
        figures = figures(|sum| format!("f_{sum}"), |state| format!("finalizeAggregation(f_{state})")),
        totals =
            figures(|sum| format!("sum(f_{sum}) OVER ()"), |state| format!("{PERCENTILES_MERGE}(f_{state}) OVER ()")),
    );
    let rows = match query.interval {
        Some(interval) if query.is_series() => filled(query, interval, &keys, &rows),
        _ => rows,
    };
    let texts: Vec<String> = keys.iter().map(|key| format!("toString({key})")).collect();
    let order: Vec<String> = query.order.iter().map(order).collect();
    statement.sql = format!(
        "SELECT CAST([{texts}], 'Array(String)') AS dimensions, bucket_start * 1000 AS bucket, figures, totals \
         FROM ({rows}) ORDER BY {order} LIMIT {limit}",
        texts = texts.join(", "),
        order = order.join(", "),
        limit = query.limit,
    );
    Ok(statement)
}

/// The rows with one for each bucket of each group, also where nothing was used. No more buckets are filled than can be shown: as
/// many as rows, and where all groups of one bucket come before the next bucket, that many divided by the groups.
fn filled(query: &StatsQuery, interval: Interval, keys: &[String], rows: &str) -> String {
    let span = (
        query.selection.since.max(Timestamp::from_millis(0)),
        query.selection.until.clamp(Timestamp::from_millis(1), BUCKETS_END),
    );
    let limit = query.limit;
    let at_most = usize::try_from(limit).unwrap_or(usize::MAX);
    let from_end = query.order.iter().find(|order| order.by == By::Bucket).is_some_and(|order| order.descending);
    let buckets = buckets::of_span(interval, span, at_most, from_end);
    let list: Vec<String> = buckets.iter().map(|bucket| bucket.seconds().to_string()).collect();
    let list = format!("CAST([{}], 'Array(Int64)')", list.join(", "));
    let wanted = match (query.order.first().map(|first| first.by), from_end) {
        (Some(By::Bucket), false) => format!("arraySlice({list}, 1, toInt64(ceil({limit} / groups)))"),
        (Some(By::Bucket), true) => format!("arraySlice({list}, -toInt64(ceil({limit} / groups)))"),
        _ => list.clone(),
    };
    let by = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
    let named: Vec<String> = keys.iter().map(|key| format!("{key}, ")).collect();
    let named = named.concat();
    format!(
        "SELECT {named}totals, tupleElement(one, 1) AS bucket_start, tupleElement(one, 2) AS figures FROM \
         (SELECT {named}totals, arrayJoin(arrayConcat(present, arrayMap(\
         start -> (start, CAST({NO_FIGURES}, '{FIGURES_TYPE}')), \
         arrayFilter(start -> NOT has(tupleElement(present, 1), start), {wanted})))) AS one FROM \
         (SELECT {named}any(totals) AS totals, groupArrayIf((bucket_start, figures), has({list}, bucket_start)) AS present, \
         count() OVER () AS groups FROM ({rows}){by}))"
    )
}

/// The groups with their sums; percentiles as states, which the totals can still merge.
fn groups(
    statement: &mut Statement,
    query: &StatsQuery,
    organization_id: &OrganizationId,
    parts: &[Part],
) -> Result<String, AskError> {
    let mut keys: Vec<String> = (0..query.group_by.len()).map(|at| format!("k{at}")).collect();
    keys.extend(query.interval.map(|_| "bucket_start".to_owned()));
    let by = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
    let mut selects: Vec<String> = Vec::new();
    // what is read from one table alone needs no further adding up
    let prefix = if parts.len() == 1 { "f" } else { "p" };
    for part in parts {
        let figures = figures_of(part.table, prefix);
        selects.push(format!(
            "{}, {figures}{}{by}",
            columns(statement, query, part),
            from(statement, query, organization_id, part)?
        ));
    }
    let selects: Vec<String> =
        selects.into_iter().map(|select| format!("SELECT {}", select.trim_start_matches(", "))).collect();
    if let [select] = selects.as_slice() {
        return Ok(select.clone());
    }
    let sums = SUMS.map(|sum| format!("sum(p_{sum}) AS f_{sum}"));
    let states = STATES.map(|state| format!("{PERCENTILES_MERGE_STATE}(p_{state}) AS f_{state}"));
    let all: Vec<String> = keys.iter().cloned().chain(sums).chain(states).collect();
    Ok(format!("SELECT {} FROM ({}){by}", all.join(", "), selects.join(" UNION ALL ")))
}

/// What a part is grouped by.
fn columns(statement: &mut Statement, query: &StatsQuery, part: &Part) -> String {
    let kind = kind(part.table);
    let mut columns: Vec<String> = Vec::new();
    for (at, dimension) in query.group_by.iter().enumerate() {
        // plain types, so that parts can be put together
        let expression = statement.expression(dimension, kind);
        columns.push(match dimension {
            Dimension::Status => format!("{expression} AS k{at}"),
            _ => format!("toString({expression}) AS k{at}"),
        });
    }
    if let Some(interval) = query.interval {
        columns.push(format!("toInt64(toUnixTimestamp({})) AS bucket_start", bucket_start(interval, part.table)));
    }
    columns.join(", ")
}

/// Where a part's rows come from.
fn from(
    statement: &mut Statement,
    query: &StatsQuery,
    organization_id: &OrganizationId,
    part: &Part,
) -> Result<String, AskError> {
    let table = match part.table {
        Table::Events => "usage_events",
        Table::Hourly => "usage_hourly",
        Table::Daily => "usage_daily",
    };
    let mut spans: Vec<String> = Vec::new();
    for (at, (since, until)) in part.spans.iter().enumerate() {
        let since = statement.moment(&format!("{table}_{at}_since"), *since);
        let until = statement.moment(&format!("{table}_{at}_until"), *until);
        spans.push(match part.table {
            Table::Events => format!("(time >= {since} AND time < {until})"),
            Table::Hourly => format!("(hour >= toDateTime({since}, 'UTC') AND hour < toDateTime({until}, 'UTC'))"),
            Table::Daily => format!("(day >= toDate({since}, 'UTC') AND day < toDate({until}, 'UTC'))"),
        });
    }
    let mut conditions = vec![statement.organization(organization_id)?, format!("({})", spans.join(" OR "))];
    let grouped_by_environment = query.group_by.contains(&Dimension::Environment);
    conditions.extend(statement.filters(&query.selection, kind(part.table), grouped_by_environment));
    Ok(format!(" FROM {table} WHERE {}", conditions.join(" AND ")))
}

/// The sums of a part. An adjustment adds to the cost and to no count; one that found a price for an exchange without one takes
/// that back out of the unpriced.
fn figures_of(table: Table, prefix: &str) -> String {
    let expressions: [String; 9] = match table {
        Table::Events => [
            "countIf(kind = 'exchange')".into(),
            "countIf(kind = 'exchange' AND error_type != '')".into(),
            "sumIf(input_tokens, kind = 'exchange')".into(),
            "sumIf(cached_input_tokens, kind = 'exchange')".into(),
            "sumIf(output_tokens, kind = 'exchange')".into(),
            "sum(cost_nanousd)".into(),
            "toInt64(countIf(unpriced)) - toInt64(countIf(priced_later))".into(),
            format!("{PERCENTILES}(latency_ms, kind = 'exchange')"),
            format!("{PERCENTILES}(ttft_ms, kind = 'exchange' AND ttft_ms > 0)"),
        ],
        Table::Hourly | Table::Daily => [
            "sum(requests)".into(),
            "sum(errors)".into(),
            "sum(input_tokens)".into(),
            "sum(cached_input_tokens)".into(),
            "sum(output_tokens)".into(),
            "sum(cost_nanousd)".into(),
            "toInt64(sum(unpriced_requests)) - toInt64(sum(priced_later))".into(),
            format!("{PERCENTILES_MERGE_STATE}(latency_ms_quantiles)"),
            format!("{PERCENTILES_MERGE_STATE}(ttft_ms_quantiles)"),
        ],
    };
    let names = SUMS.iter().chain(&STATES);
    let named = expressions.iter().zip(names).map(|(expression, name)| format!("{expression} AS {prefix}_{name}"));
    named.collect::<Vec<_>>().join(", ")
}

const fn kind(table: Table) -> Columns {
    match table {
        Table::Events => Columns::Events,
        Table::Hourly | Table::Daily => Columns::Rollup,
    }
}

fn figures(sum: impl Fn(&str) -> String, percentiles: impl Fn(&str) -> String) -> String {
    let sums = SUMS.map(sum);
    let states =
        STATES.map(|name| format!("arrayMap(x -> if(isNaN(x), NULL, toUInt32(round(x))), {})", percentiles(name)));
    format!("{}, {}", sums.join(", "), states.join(", "))
}

fn bucket_start(interval: Interval, table: Table) -> String {
    let time = match table {
        Table::Events => "time",
        Table::Hourly => "hour",
        Table::Daily => "toDateTime(day, 'UTC')",
    };
    match interval {
        Interval::Minute => format!("toStartOfMinute({time})"),
        Interval::Hour => format!("toStartOfHour({time})"),
        Interval::Day => format!("toStartOfDay({time})"),
        Interval::Week => format!("toDateTime(toMonday({time}), 'UTC')"),
        Interval::Month => format!("toDateTime(toStartOfMonth({time}), 'UTC')"),
    }
}

fn order(order: &Order) -> String {
    let figure = |at: usize| format!("tupleElement(figures, {at})");
    let by = match order.by {
        By::Bucket => "bucket_start".into(),
        By::Dimension(at) => format!("k{at}"),
        By::Figure(name) => match name {
            Figure::Requests => figure(1),
            Figure::Errors => figure(2),
            Figure::InputTokens => figure(3),
            Figure::CachedInputTokens => figure(4),
            Figure::OutputTokens => figure(5),
            Figure::CostUsd => figure(6),
            Figure::UnpricedRequests => figure(7),
            Figure::LatencyMs(at) => format!("{}[{}]", figure(8), at + 1),
            Figure::TtftMs(at) => format!("{}[{}]", figure(9), at + 1),
        },
    };
    // groups without a measured duration come last either way
    format!("{by} {} NULLS LAST", if order.descending { "DESC" } else { "ASC" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::settings::sample;
    use proptest::prelude::*;

    fn asked(pairs: &[(&str, &str)]) -> Statement {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let query = StatsQuery::parse(&pairs, Timestamp::from_millis(1_795_300_000_000), &sample()).unwrap();
        let parts = query.parts(Some(Timestamp::from_millis(0)));
        super::statement(&query, &OrganizationId::new("org_a"), &parts).unwrap()
    }

    #[test]
    fn the_organization_binds_every_table_that_is_read() {
        for pairs in [&[("group_by", "model"), ("provider", "openai")][..], &[("since", "9d")], &[("group_by", "team")]]
        {
            let statement = asked(pairs);
            let tables = statement.sql.matches(" FROM usage_").count();
            let bound = statement.sql.matches(" WHERE organization_id = {organization:String} AND ").count();
            assert!(0 < tables && tables == bound, "{}", statement.sql);
            assert!(statement.texts.contains(&("organization".into(), "org_a".into())));
        }
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
        assert!(
            statement.sql.contains("toString(tags[{tag_0:String}]) AS k0, toString(`tag_feature`) AS k1"),
            "{}",
            statement.sql
        );
        assert_eq!(statement.texts.iter().filter(|(_, value)| value == "team").count(), 2);
        for pairs in
            [&[("group_by", "team,feature"), ("team", "a*")][..], &[("feature", "a"), ("since", "9d"), ("model", "b")]]
        {
            let mut names: Vec<String> = asked(pairs).texts.into_iter().map(|(name, _)| name).collect();
            let all = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), all, "no parameter is set twice");
        }
    }

    proptest! {
        #[test]
        fn what_callers_write_never_stands_in_the_statement(
            value in "[ -~]{0,8}zq[ -~]{0,8}",
            tag in "zq[a-z0-9_.-]{0,9}",
            since in prop::sample::select(&["1h", "20d"][..]),
        ) {
            let pairs = [("group_by", &*tag), ("provider", &*value), ("status", &*value), ("feature", &*value), ("since", since)];
            let statement = asked(&pairs);
            prop_assert!(!statement.sql.contains("zq"));
            prop_assert!(!asked(&[("feature", &*value), ("since", since), ("interval", "hour")]).sql.contains("zq"));
        }
    }
}
