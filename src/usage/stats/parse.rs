//! From the parameters of a request to a checked `StatsQuery`. Every fault names its parameter.

use super::{
    super::{
        ask::Bounds,
        selection::{BadParameter, Dimension, LIMIT_MAX, Selecting, bad, each_once, limit},
        settings::Settings,
    },
    By, Figure, Format, Interval, Order, StatsQuery,
};
use crate::base::clock::Timestamp;

const GROUP_BY_MAX: usize = 4;
/// Names of figures in a row, which a dimension of the same name would hide.
const ROW_NAMES: [&str; 10] = [
    "bucket",
    "requests",
    "errors",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "cost_usd",
    "unpriced_requests",
    "latency_ms",
    "ttft_ms",
];

impl StatsQuery {
    /// Reads decoded query parameters. What is no parameter of its own is a filter by a dimension of that name.
    ///
    /// # Errors
    /// The first parameter that cannot be followed, and why.
    pub fn parse(pairs: &[(String, String)], now: Timestamp, settings: &Settings) -> Result<Self, BadParameter> {
        each_once(pairs)?;
        let mut selecting = Selecting::new(now, settings);
        let (mut grouped, mut width, mut rows, mut shape, mut order_by) = (Vec::new(), None, LIMIT_MAX, None, None);
        for (name, value) in pairs {
            match name.as_str() {
                "group_by" => grouped = group_by(value, &settings.hot_tags)?,
                "interval" => width = Some(interval(value)?),
                "limit" => rows = limit(value)?,
                "format" => shape = Some(format(value)?),
                "order_by" => order_by = Some(value.as_str()),
                _ => selecting.take(name, value)?,
            }
        }
        let mut query = Self {
            selection: selecting.finish()?,
            group_by: grouped,
            interval: width,
            order: Vec::new(),
            limit: rows,
            format: shape.unwrap_or_default(),
            bounds: Bounds::of(settings),
            rollups: true,
        };
        query.order = query.order(order_by)?;
        Ok(query)
    }

    /// What was asked for, then the defaults; every dimension stands in it, so that the order is always the same.
    fn order(&self, asked: Option<&str>) -> Result<Vec<Order>, BadParameter> {
        let ascending = |by| Order { by, descending: false };
        let mut order: Vec<Order> = Vec::new();
        if let Some(text) = asked {
            order.push(self.asked_order(text)?);
        }
        if self.interval.is_some() {
            order.push(ascending(By::Bucket));
        }
        order.push(Order { by: By::Figure(Figure::Requests), descending: true });
        order.extend((0..self.group_by.len()).map(By::Dimension).map(ascending));
        Ok(order)
    }

    /// `name`, `name:asc` or `name:desc`. Figures sort the largest first unless told otherwise.
    fn asked_order(&self, text: &str) -> Result<Order, BadParameter> {
        let (name, direction) = text.split_once(':').map_or((text, None), |(name, way)| (name, Some(way)));
        let figure = Figure::ALL.iter().find(|(figure, _)| *figure == name).map(|(_, figure)| By::Figure(*figure));
        let dimension = || self.group_by.iter().position(|dimension| dimension.name() == name).map(By::Dimension);
        let bucket = || (name == "bucket" && self.interval.is_some()).then_some(By::Bucket);
        let Some(by) = figure.or_else(bucket).or_else(dimension) else {
            let figures: Vec<&str> = Figure::ALL.iter().map(|(figure, _)| *figure).collect();
            let figures = figures.join(", ");
            return Err(bad("order_by", format!("sort by a dimension of `group_by`, `bucket`, or one of {figures}")));
        };
        let descending = match direction {
            None => matches!(by, By::Figure(_)),
            Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(bad("order_by", "the direction is `asc` or `desc`")),
        };
        Ok(Order { by, descending })
    }
}

fn group_by(text: &str, hot_tags: &[String]) -> Result<Vec<Dimension>, BadParameter> {
    let mut found: Vec<Dimension> = Vec::new();
    for name in text.split(',').map(str::trim) {
        if ROW_NAMES.contains(&name) {
            return Err(bad("group_by", format!("`{name}` is a figure of every row, not a dimension")));
        }
        let Some(dimension) = Dimension::find(name, hot_tags) else {
            return Err(bad(
                "group_by",
                "dimensions are provider, model, endpoint, key, status, environment, error_type and names of tags",
            ));
        };
        if found.contains(&dimension) {
            return Err(bad("group_by", format!("`{name}` stands there twice")));
        }
        found.push(dimension);
    }
    if found.len() > GROUP_BY_MAX {
        return Err(bad("group_by", format!("at most {GROUP_BY_MAX} dimensions")));
    }
    Ok(found)
}

fn interval(text: &str) -> Result<Interval, BadParameter> {
    let found = Interval::ALL.into_iter().find(|interval| interval.name() == text);
    found.ok_or_else(|| bad("interval", "one of minute, hour, day, week, month"))
}

fn format(text: &str) -> Result<Format, BadParameter> {
    match text {
        "json" => Ok(Format::Json),
        "csv" => Ok(Format::Csv),
        _ => Err(bad("format", "json or csv")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{selection::DAY_MS, settings::sample};
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_123);

    fn parse(pairs: &[(&str, &str)]) -> Result<StatsQuery, BadParameter> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        StatsQuery::parse(&pairs, NOW, &sample())
    }

    #[test]
    fn without_parameters_it_is_the_last_day() {
        let query = parse(&[]).unwrap();
        assert_eq!((query.selection.since, query.selection.until), (NOW.plus_millis(-DAY_MS), NOW));
        assert_eq!((query.limit, query.format()), (LIMIT_MAX, Format::Json));
        assert!(query.group_by.is_empty() && query.selection.filters.is_empty() && query.interval.is_none());
    }

    #[test]
    fn moments_are_rfc_3339_or_relative() {
        for (text, millis) in
            [("15m", 900_000), ("24h", DAY_MS), ("7d", 7 * DAY_MS), ("4w", 28 * DAY_MS), ("1m", 60_000)]
        {
            assert_eq!(parse(&[("since", text)]).unwrap().selection.since, NOW.plus_millis(-millis), "{text}");
        }
        let at = "2026-11-01T00:00:00+01:00";
        let query = parse(&[("since", at), ("until", "1h")]).unwrap();
        assert_eq!(query.selection.since.to_rfc3339(), "2026-10-31T23:00:00.000Z");
        assert_eq!(query.selection.until, NOW.plus_millis(-3_600_000));
    }

    #[test]
    fn an_end_alone_asks_for_the_day_before_it() {
        let query = parse(&[("until", "2d")]).unwrap();
        assert_eq!(
            (query.selection.since, query.selection.until),
            (NOW.plus_millis(-3 * DAY_MS), NOW.plus_millis(-2 * DAY_MS))
        );
    }

    #[test]
    fn every_fault_names_its_parameter() {
        for (name, value) in [
            ("since", ""),
            ("since", "yesterday"),
            ("since", "-1h"),
            ("since", "1y"),
            ("since", "1 h"),
            ("since", "h"),
            ("since", "9999999h"),
            ("since", "0m"),
            ("until", "2026-13-01T00:00:00Z"),
            ("group_by", ""),
            ("group_by", "Model"),
            ("group_by", "a,b,c,d,e"),
            ("group_by", "model,model"),
            ("group_by", "requests"),
            ("group_by", "model;drop"),
            ("interval", "year"),
            ("limit", "0"),
            ("limit", "1001"),
            ("limit", "+5"),
            ("limit", "ten"),
            ("format", "xml"),
            ("order_by", "model"),
            ("order_by", "bucket"),
            ("order_by", "cost_usd:down"),
            ("Provider", "openai"),
            ("a b", "x"),
            ("", "x"),
            ("feature", "a\0b"),
        ] {
            let fault = parse(&[(name, value)]).unwrap_err();
            assert_eq!(fault.name, name, "{name}={value}: {fault}");
        }
        assert_eq!(parse(&[("limit", "1"), ("limit", "2")]).unwrap_err().name, "limit");
    }

    #[test]
    fn every_other_legal_name_is_a_filter() {
        let query = parse(&[("provider", "openai"), ("feature", "chat*"), ("cost-centre", "")]).unwrap();
        let names: Vec<&str> = query.selection.filters.iter().map(|filter| filter.dimension.name()).collect();
        assert_eq!(names, ["provider", "feature", "cost-centre"]);
    }

    #[test]
    fn a_hot_tag_uses_its_column_and_others_the_map() {
        let query = parse(&[("group_by", "feature,team")]).unwrap();
        let columns: Vec<_> = query
            .group_by
            .iter()
            .map(|dimension| match dimension {
                Dimension::Tag { column, .. } => column.as_deref(),
                _ => None,
            })
            .collect();
        assert_eq!(columns, [Some("tag_feature"), None]);
    }

    #[test]
    fn figures_sort_the_largest_first_and_dimensions_by_name() {
        let first = |text| parse(&[("group_by", "model"), ("interval", "day"), ("order_by", text)]).unwrap().order[0];
        assert_eq!(first("cost_usd"), Order { by: By::Figure(Figure::CostUsd), descending: true });
        assert_eq!(first("cost_usd:asc"), Order { by: By::Figure(Figure::CostUsd), descending: false });
        assert_eq!(first("model"), Order { by: By::Dimension(0), descending: false });
        assert_eq!(first("bucket:desc"), Order { by: By::Bucket, descending: true });
    }

    proptest! {
        #[test]
        fn no_parameters_make_it_fail_otherwise(pairs in prop::collection::vec((".{0,20}", ".{0,40}"), 0..6)) {
            let pairs: Vec<(String, String)> = pairs;
            if let Err(fault) = StatsQuery::parse(&pairs, NOW, &sample()) {
                prop_assert!(!fault.problem.is_empty());
            }
        }
    }
}
