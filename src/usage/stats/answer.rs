//! The answer to a `StatsQuery`, as JSON and as CSV (RFC 4180).

use super::{super::selection::Dimension, StatsQuery};
use crate::base::{clock::Timestamp, money::Money};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

/// Durations that so many of a hundred stay below, in whole milliseconds; `null` where none was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    pub p50: Option<u32>,
    pub p95: Option<u32>,
    pub p99: Option<u32>,
}

/// The figures of one group, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub requests: u64,
    /// Those with an `error_type`.
    pub errors: u64,
    pub input_tokens: u64,
    pub cached_input_tokens: u64,
    pub output_tokens: u64,
    #[serde(serialize_with = "decimal")]
    pub cost_usd: Money,
    /// Those with usage that no price was found for; their cost counts as zero.
    pub unpriced_requests: u64,
    pub latency_ms: Percentiles,
    /// Only of answers that had a first byte.
    pub ttft_ms: Percentiles,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn decimal<S: Serializer>(money: &Money, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(money)
}

/// One group: the values of its dimensions, in the order of `group_by`, and its figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub bucket: Option<Timestamp>,
    pub dimensions: Vec<String>,
    pub figures: Figures,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsAnswer {
    pub query: StatsQuery,
    pub rows: Vec<Row>,
    /// Over all groups, also those that the limit left out.
    pub totals: Figures,
}

impl Serialize for StatsAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let query = &self.query;
        let group_by: Vec<&str> = query.group_by.iter().map(Dimension::name).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("since", &query.selection.since.to_rfc3339())?;
        map.serialize_entry("until", &query.selection.until.to_rfc3339())?;
        map.serialize_entry("group_by", &group_by)?;
        map.serialize_entry("interval", &query.interval.map(super::Interval::name))?;
        map.serialize_entry("rows", &Rows(self))?;
        map.serialize_entry("totals", &self.totals)?;
        map.end()
    }
}

struct Rows<'a>(&'a StatsAnswer);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.rows.len()))?;
        for row in &self.0.rows {
            rows.serialize_element(&OneRow {
                bucket: row.bucket.map(Timestamp::to_rfc3339),
                dimensions: Dimensions(&self.0.query.group_by, &row.dimensions),
                figures: &row.figures,
            })?;
        }
        rows.end()
    }
}

#[derive(Serialize)]
struct OneRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    #[serde(flatten)]
    dimensions: Dimensions<'a>,
    #[serde(flatten)]
    figures: &'a Figures,
}

struct Dimensions<'a>(&'a [Dimension], &'a [String]);

impl Serialize for Dimensions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (dimension, value) in self.0.iter().zip(self.1) {
            match (dimension, value.parse::<u16>()) {
                // a status is a number here as it is in a usage record
                (Dimension::Status, Ok(status)) => map.serialize_entry("status", &status)?,
                _ => map.serialize_entry(dimension.name(), value)?,
            }
        }
        map.end()
    }
}

const FIGURE_COLUMNS: [&str; 13] = [
    "requests",
    "errors",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "cost_usd",
    "unpriced_requests",
    "latency_ms_p50",
    "latency_ms_p95",
    "latency_ms_p99",
    "ttft_ms_p50",
    "ttft_ms_p95",
    "ttft_ms_p99",
];

impl StatsAnswer {
    /// A line of names and a line for each row; totals are left to the reader's tool.
    pub fn to_csv(&self) -> String {
        let mut csv = String::new();
        let bucket = self.query.interval.map(|_| "bucket");
        let dimensions = self.query.group_by.iter().map(Dimension::name);
        line(&mut csv, bucket.into_iter().chain(dimensions).chain(FIGURE_COLUMNS));
        for Row { bucket, dimensions, figures } in &self.rows {
            let bucket = bucket.map(Timestamp::to_rfc3339);
            let figures = cells(figures);
            let values = bucket.iter().chain(dimensions).chain(&figures);
            line(&mut csv, values.map(String::as_str));
        }
        csv
    }
}

fn cells(figures: &Figures) -> [String; 13] {
    let millis = |value: Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
    let (latency, ttft) = (figures.latency_ms, figures.ttft_ms);
    [
        figures.requests.to_string(),
        figures.errors.to_string(),
        figures.input_tokens.to_string(),
        figures.cached_input_tokens.to_string(),
        figures.output_tokens.to_string(),
        figures.cost_usd.to_string(),
        figures.unpriced_requests.to_string(),
        millis(latency.p50),
        millis(latency.p95),
        millis(latency.p99),
        millis(ttft.p50),
        millis(ttft.p95),
        millis(ttft.p99),
    ]
}

fn line<'a>(csv: &mut String, values: impl Iterator<Item = &'a str>) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            csv.push(',');
        }
        if value.contains(['"', ',', '\r', '\n']) {
            csv.push('"');
            csv.push_str(&value.replace('"', "\"\""));
            csv.push('"');
        } else {
            csv.push_str(value);
        }
    }
    csv.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::settings::sample;

    fn answer() -> StatsAnswer {
        let pairs = [("group_by", "status,feature"), ("interval", "hour"), ("since", "1h")];
        let pairs: Vec<_> = pairs.map(|(name, value)| (name.into(), value.into())).into();
        let figures = Figures {
            requests: 3,
            cost_usd: Money::from_nanos(1_500),
            latency_ms: Percentiles { p50: Some(7), p95: Some(8), p99: Some(9) },
            ..Figures::default()
        };
        StatsAnswer {
            query: StatsQuery::parse(&pairs, Timestamp::from_millis(1_795_300_000_000), &sample()).unwrap(),
            rows: vec![Row {
                bucket: Some(Timestamp::from_millis(1_795_298_400_000)),
                dimensions: vec!["429".into(), "say \"hi\", you\n".into()],
                figures: figures.clone(),
            }],
            totals: figures,
        }
    }

    #[test]
    fn json_is_the_contracts() {
        let figures = serde_json::json!({
            "requests": 3, "errors": 0, "input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0,
            "cost_usd": "0.0000015", "unpriced_requests": 0,
            "latency_ms": {"p50": 7, "p95": 8, "p99": 9}, "ttft_ms": {"p50": null, "p95": null, "p99": null},
        });
        let mut row = figures.clone();
        row["bucket"] = "2026-11-21T22:00:00.000Z".into();
        row["status"] = 429.into();
        row["feature"] = "say \"hi\", you\n".into();
        let expected = serde_json::json!({
            "since": "2026-11-21T21:26:40.000Z", "until": "2026-11-21T22:26:40.000Z",
            "group_by": ["status", "feature"], "interval": "hour", "rows": [row], "totals": figures,
        });
        assert_eq!(serde_json::to_value(answer()).unwrap(), expected);
    }

    #[test]
    fn csv_quotes_what_would_break_a_line() {
        let csv = answer().to_csv();
        let (names, rest) = csv.split_once("\r\n").unwrap();
        assert!(names.starts_with("bucket,status,feature,requests,errors,"), "{names}");
        assert_eq!(rest, "2026-11-21T22:00:00.000Z,429,\"say \"\"hi\"\", you\n\",3,0,0,0,0,0.0000015,0,7,8,9,,,\r\n");
    }
}
