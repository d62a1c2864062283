//! Asks the store, and reads what it answers.

use super::{
    super::{ask::AskError, schema::hot_since},
    Figures, Percentiles, Row, StatsAnswer, StatsQuery,
    statement::statement,
};
use crate::base::{clock::Timestamp, ids::OrganizationId, money::Money};
use clickhouse::Client;

/// The figures in the order of the statement.
type FiguresRow = (u64, u64, u64, u64, u64, i64, i64, Vec<Option<u32>>, Vec<Option<u32>>);

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
    pub async fn run(&self, client: &Client, organization_id: &OrganizationId) -> Result<StatsAnswer, AskError> {
        let parts = self.parts(self.rolled_up_since(client).await?);
        let rows = statement(self, organization_id, &parts)?.fetch::<StatsRow>(client, &self.bounds).await?;
        Ok(self.answer(rows))
    }

    /// Since when the rollups have all that is asked for; `None` when they cannot answer.
    async fn rolled_up_since(&self, client: &Client) -> Result<Option<Timestamp>, AskError> {
        match self.rolled_up_tags().filter(|_| self.may_use_rollups()) {
            None => Ok(None),
            Some(tags) if tags.is_empty() => Ok(Some(Timestamp::from_millis(0))),
            Some(tags) => hot_since(client, &self.bounds, &tags).await,
        }
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

fn figures(row: &FiguresRow) -> Figures {
    let (requests, errors, input, cached, output, cost, unpriced, latency, ttft) = row;
    Figures {
        requests: *requests,
        errors: *errors,
        input_tokens: *input,
        cached_input_tokens: *cached,
        output_tokens: *output,
        cost_usd: Money::from_nanos(*cost),
        // below zero only when adjustments came in and their exchanges have expired
        unpriced_requests: u64::try_from(*unpriced).unwrap_or_default(),
        latency_ms: percentiles(latency),
        ttft_ms: percentiles(ttft),
    }
}

fn percentiles(values: &[Option<u32>]) -> Percentiles {
    let at = |index: usize| values.get(index).copied().flatten();
    Percentiles { p50: at(0), p95: at(1), p99: at(2) }
}
