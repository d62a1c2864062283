//! Aggregates over one organization's usage: what `GET /gw/stats` asks and what it answers.
//!
//! `StatsQuery::parse` checks parameters, `statement` makes one SQL statement of them (what callers wrote goes in as
//! parameters of it, never as text), `StatsQuery::run` asks the store, `StatsAnswer` renders as JSON or CSV.
//! The totals come from the same statement as the rows, so they are the sum over all groups, shown or not.

mod answer;
mod parse;
mod run;
mod statement;

pub use answer::{Figures, Percentiles, Row, StatsAnswer};
pub use run::StatsError;

use super::tag::{hot_column, is_tag_name};
use crate::base::clock::{Duration, Timestamp};

/// A parameter that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}`: {problem}")]
pub struct BadParameter {
    pub name: String,
    pub problem: String,
}

/// A checked question, not yet bound to an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsQuery {
    since: Timestamp,
    until: Timestamp,
    group_by: Vec<Dimension>,
    interval: Option<Interval>,
    filters: Vec<Filter>,
    order: Vec<Order>,
    limit: u32,
    format: Format,
    bounds: Bounds,
}

impl StatsQuery {
    /// How the answer is to be rendered.
    pub const fn format(&self) -> Format {
        self.format
    }
}

/// How an answer is rendered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Csv,
}

/// What one query may cost the store.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bounds {
    database: String,
    time_max: Duration,
    memory_bytes_max: u64,
    rows_max: u64,
}

/// What usage is grouped and filtered by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Dimension {
    Provider,
    Model,
    Endpoint,
    Key,
    Status,
    Environment,
    ErrorType,
    /// A tag; `column` is set when it is hot and has one of its own.
    Tag {
        name: String,
        column: Option<String>,
    },
}

impl Dimension {
    /// The dimension of that name; `None` when it can be neither a built-in one nor a tag.
    fn find(name: &str, hot_tags: &[String]) -> Option<Self> {
        Some(match name {
            "provider" => Self::Provider,
            "model" => Self::Model,
            "endpoint" => Self::Endpoint,
            "key" => Self::Key,
            "status" => Self::Status,
            "environment" => Self::Environment,
            "error_type" => Self::ErrorType,
            _ if is_tag_name(name) => {
                let column = hot_tags.iter().any(|hot| hot == name).then(|| hot_column(name)).flatten();
                Self::Tag { name: name.into(), column }
            }
            _ => return None,
        })
    }

    fn name(&self) -> &str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Endpoint => "endpoint",
            Self::Key => "key",
            Self::Status => "status",
            Self::Environment => "environment",
            Self::ErrorType => "error_type",
            Self::Tag { name, .. } => name,
        }
    }
}

/// The width of a bucket of time, in UTC; weeks begin on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interval {
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

impl Interval {
    const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month];

    const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// Keeps rows whose dimension equals a value or matches a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter {
    dimension: Dimension,
    /// As the caller wrote it; a glob when it holds `*` or `?`.
    value: String,
}

/// A figure of a row, as a thing to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Requests,
    Errors,
    InputTokens,
    CachedInputTokens,
    OutputTokens,
    CostUsd,
    UnpricedRequests,
    /// Percentile by its position in `Percentiles`.
    LatencyMs(u8),
    TtftMs(u8),
}

impl Figure {
    const ALL: [(&'static str, Self); 13] = [
        ("requests", Self::Requests),
        ("errors", Self::Errors),
        ("input_tokens", Self::InputTokens),
        ("cached_input_tokens", Self::CachedInputTokens),
        ("output_tokens", Self::OutputTokens),
        ("cost_usd", Self::CostUsd),
        ("unpriced_requests", Self::UnpricedRequests),
        ("latency_ms.p50", Self::LatencyMs(0)),
        ("latency_ms.p95", Self::LatencyMs(1)),
        ("latency_ms.p99", Self::LatencyMs(2)),
        ("ttft_ms.p50", Self::TtftMs(0)),
        ("ttft_ms.p95", Self::TtftMs(1)),
        ("ttft_ms.p99", Self::TtftMs(2)),
    ];
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Bucket,
    /// Position in `group_by`.
    Dimension(usize),
    Figure(Figure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    by: By,
    descending: bool,
}
