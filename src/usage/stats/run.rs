//! Asks the store. What it says when it fails may quote statements and values, so it goes no further than here.

use super::{Bounds, Figures, Percentiles, Row, StatsAnswer, StatsQuery, statement::Statement};
use crate::{
    base::{
        clock::{Duration, Timestamp},
        ids::OrganizationId,
        money::Money,
    },
    usage::store_error::{code, describe},
};
use clickhouse::{Client, error::Error};

/// Time that the store gets beyond its own bound to say that it was reached.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// ClickHouse's numbers for a query that went beyond its bounds: rows, time, speed, memory, bytes.
const EXPENSIVE_CODES: [u32; 6] = [158, 159, 160, 241, 307, 396];
/// … and for a store that is not ready: databases, tables or columns not there yet, too many queries, shutting down.
const UNREADY_CODES: [u32; 10] = [16, 47, 60, 81, 202, 209, 210, 236, 394, 516];

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatsError {
    #[error("the usage store does not answer")]
    Unavailable,
    #[error("this takes more time or memory than a query may: ask for a shorter span or fewer groups")]
    TooExpensive,
    #[error("the usage store did not understand the query")]
    Internal,
}

impl StatsError {
    fn from_store(error: &Error) -> Self {
        let this = match (error, code(error)) {
            (_, Some(code)) if EXPENSIVE_CODES.contains(&code) => Self::TooExpensive,
            (_, Some(code)) if UNREADY_CODES.contains(&code) => Self::Unavailable,
            (Error::Network(_) | Error::TimedOut, _) | (Error::BadResponse(_), None) => Self::Unavailable,
            _ => Self::Internal,
        };
        if this != Self::TooExpensive {
            tracing::warn!(error = describe(error), "a statistics query failed");
        }
        this
    }
}

/// The figures in the order of the statement.
type FiguresRow = (u64, u64, u64, u64, u64, i64, u64, Vec<Option<u32>>, Vec<Option<u32>>);

#[derive(Debug, clickhouse::Row, serde::Deserialize)]
struct StatsRow {
    dimensions: Vec<String>,
    bucket: i64,
    figures: FiguresRow,
    totals: FiguresRow,
}

impl StatsQuery {
    /// Asks for one organization's usage. The organization comes from the key that asks, never from a parameter.
    ///
    /// # Errors
    /// The store does not answer, the question is too expensive, or there is a defect; never the store's own words.
    pub async fn run(&self, client: &Client, organization_id: &OrganizationId) -> Result<StatsAnswer, StatsError> {
        // events of unknown keys have an empty organization, and belong to nobody
        if organization_id.as_str().is_empty() {
            return Err(StatsError::Internal);
        }
        let Statement { sql, texts, numbers } = Statement::new(self, organization_id);
        let client = bounded(client, &self.bounds);
        let query = client.query_raw(&sql);
        let query = texts.iter().fold(query, |query, (name, value)| query.param(name, value));
        let query = numbers.iter().fold(query, |query, (name, value)| query.param(name, value));
        let answer = tokio::time::timeout(self.bounds.time_max + ANSWER_GRACE, query.fetch_all::<StatsRow>());
        let rows = match answer.await {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => return Err(StatsError::from_store(&error)),
            Err(_) => return Err(StatsError::from_store(&Error::TimedOut)),
        };
        Ok(self.answer(rows))
    }

    fn answer(&self, rows: Vec<StatsRow>) -> StatsAnswer {
        let totals = rows.first().map(|row| figures(&row.totals)).unwrap_or_default();
        let rows = rows
            .into_iter()
            .map(|row| Row {
                bucket: self.interval.map(|_| Timestamp::from_millis(row.bucket)),
                figures: figures(&row.figures),
                dimensions: row.dimensions,
            })
            .collect();
        StatsAnswer { query: self.clone(), rows, totals }
    }
}

fn bounded(client: &Client, bounds: &Bounds) -> Client {
    let seconds = bounds.time_max.as_secs().max(1);
    client
        .clone()
        .with_database(&bounds.database)
        .with_setting("max_execution_time", seconds.to_string())
        .with_setting("max_memory_usage", bounds.memory_bytes_max.to_string())
        .with_setting("max_rows_to_read", bounds.rows_max.to_string())
}

fn figures(row: &FiguresRow) -> Figures {
    let (requests, errors, input, cached, output, cost, unpriced, latency, ttft) = row;
    Figures {
        requests: *requests,
        errors: *errors,
        input_tokens: *input,
        cached_input_tokens: *cached,
        output_tokens: *output,
        cost_usd: Money::from_nanos(*cost),
        unpriced_requests: *unpriced,
        latency_ms: percentiles(latency),
        ttft_ms: percentiles(ttft),
    }
}

fn percentiles(values: &[Option<u32>]) -> Percentiles {
    let at = |index: usize| values.get(index).copied().flatten();
    Percentiles { p50: at(0), p95: at(1), p99: at(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_words_never_leave() {
        for (text, expected) in [
            ("Code: 159. DB::Exception: Timeout exceeded", StatsError::TooExpensive),
            ("Code: 241. DB::Exception: Memory limit", StatsError::TooExpensive),
            ("Code: 60. DB::Exception: Table gateway.usage_events does not exist", StatsError::Unavailable),
            ("Code: 62. DB::Exception: Syntax error near 'secret'", StatsError::Internal),
            ("503 Service Unavailable", StatsError::Unavailable),
        ] {
            let error = StatsError::from_store(&Error::BadResponse(text.into()));
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("secret") && !error.to_string().contains("Code"));
        }
    }
}
