//! Aggregates over one organization's usage: what `GET /gw/stats` asks and what it answers.
//!
//! `StatsQuery::parse` checks parameters, `parts` chooses the tables, `statement` makes one SQL statement of them,
//! `StatsQuery::run` asks the store, `StatsAnswer` renders as JSON or CSV.
//! The totals come from the same statement as the rows, so they are the sum over all groups, shown or not.

mod answer;
mod buckets;
mod parse;
mod parts;
mod run;
mod statement;

pub use answer::{Figures, Percentiles, Row, StatsAnswer};

use super::{
    ask::Bounds,
    selection::{Dimension, Selection},
};

/// A checked question, not yet bound to an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsQuery {
    selection: Selection,
    group_by: Vec<Dimension>,
    interval: Option<Interval>,
    order: Vec<Order>,
    limit: u32,
    format: Format,
    bounds: Bounds,
    /// Sums by hour and day may answer.
    rollups: bool,
}

impl StatsQuery {
    /// How the answer is to be rendered.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The same question, to be answered from the events alone: slower, and with the same answer.
    #[must_use]
    pub fn from_events_alone(self) -> Self {
        Self { rollups: false, ..self }
    }

    /// Whether rows are a series over time, in which no bucket may be missing. Sorted by a figure they are a ranking.
    fn is_series(&self) -> bool {
        let ranked = self.order.first().is_some_and(|first| matches!(first.by, By::Figure(_)));
        self.interval.is_some() && !ranked
    }
}

/// How an answer is rendered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Csv,
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
