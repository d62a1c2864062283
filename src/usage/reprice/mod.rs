//! Corrects the cost of exchanges after a correction of prices: as rows that are added, as in a ledger, exactly once.
//!
//! A span is worked off hour by hour. What a correction changes is computed against the sum of the rows that are there, so
//! doing it again finds nothing left to do; its batch has an id that says what it changes, so the same batch sent twice
//! counts once. A batch is in the rows before it is in the sums over them: one that a crash broke off in between is found
//! by its missing entry in `usage_corrections`, and is finished first.

mod correction;
mod rows;
mod unfinished;

use super::{
    ask::{Statement, like_pattern},
    row::{ADJUSTMENT, TABLE},
    schema::{self, MigrateError},
    selection::{self, BadParameter, bad},
    settings::Settings,
    shards::Shards,
    store_error::describe,
};
use crate::{
    base::{
        clock::{self, Timestamp},
        money::Money,
    },
    pricing::book::PriceBook,
};
use clickhouse::{Client, Row as _, error::Error};
use correction::{REASON, Verdict, cost, judge};
use rows::{AdjustmentRow, Batch, ExchangeRow, conditions, id_text};
use std::collections::HashMap;

/// Exchanges that are looked at together, and so the largest batch.
const PAGE: usize = 5_000;
const HOUR_MS: i64 = 3_600_000;

/// Which exchanges to look at, of all organizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    since: Timestamp,
    until: Timestamp,
    provider: Option<String>,
    model: Option<String>,
}

impl Span {
    /// From a moment on and before another: RFC 3339, a date in UTC, or how long ago (`7d`). A provider and a model narrow
    /// it, as in statistics: the model is the one that served, and both may be globs.
    ///
    /// # Errors
    /// The argument that cannot be followed, and why.
    pub fn new(
        since: &str,
        until: &str,
        provider: Option<String>,
        model: Option<String>,
    ) -> Result<Self, BadParameter> {
        let now = clock::now();
        let moment = |name, text: &str| {
            let day = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
            selection::moment(name, &day, now).or_else(|_| selection::moment(name, text, now))
        };
        let (since, until) = (moment("--since", since)?, moment("--until", until)?);
        if since >= until {
            return Err(bad("--since", "must lie before --until"));
        }
        Ok(Self { since, until, provider, model })
    }

    /// The first moment, and the first that is too late.
    pub const fn ends(&self) -> (Timestamp, Timestamp) {
        (self.since, self.until)
    }

    fn narrow(&self, statement: &mut Statement, conditions: &mut Vec<String>) {
        for (column, value) in [("provider", &self.provider), ("model", &self.model)] {
            let Some(value) = value else { continue };
            conditions.push(match like_pattern(value) {
                Some(pattern) => format!("{column} LIKE {}", statement.text(column, &pattern)),
                None => format!("{column} = {}", statement.text(column, value)),
            });
        }
    }
}

/// What was found and done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Exchanges of the span that used something.
    pub exchanges: u64,
    /// Those whose cost or price was corrected, or would be.
    pub corrected: u64,
    /// Those that the book has no price for; their cost stays what it is.
    pub without_price: u64,
    /// Those whose cost was corrected for another reason before; it stays what it is.
    pub corrected_otherwise: u64,
    /// Those whose figures are sums over answers that were priced one by one; their cost stays what it is.
    pub summed: u64,
    /// The cost of all these exchanges before, and after.
    pub cost_before: Money,
    pub cost_after: Money,
    /// Batches of an earlier run that had been broken off, and were finished.
    pub batches_finished: u64,
}

/// Why it stopped. What was done until then is whole, and doing it again goes on where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum RepriceError {
    #[error("{0}")]
    Schema(#[from] MigrateError),
    #[error("the usage store does not do its part ({0}); run the same command again to go on")]
    Store(String),
    #[error(
        "batch {0} of an earlier run is in the rows and not in the sums over them, and too old to be sent again safely; \
         nothing was changed"
    )]
    Unfinished(String),
}

impl From<Error> for RepriceError {
    fn from(error: Error) -> Self {
        Self::Store(describe(&error))
    }
}

/// Whether corrections are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Store,
    DryRun,
}

/// Reprices a span by the book.
///
/// # Errors
/// The store does not answer or refuses; doing it again goes on where it stopped.
pub async fn reprice(
    client: &Client,
    settings: &Settings,
    book: &PriceBook,
    span: &Span,
    mode: Mode,
) -> Result<Outcome, RepriceError> {
    schema::migrate(client, settings).await?;
    let shards = Shards::new(client, settings);
    let client = shards.client.clone();
    let mut outcome = Outcome::default();
    if mode == Mode::Store {
        outcome.batches_finished = unfinished::finish(&shards, span).await?;
    }
    for hour in hours(&client, span).await? {
        let hour = (Timestamp::from_millis(hour), Timestamp::from_millis(hour).plus_millis(HOUR_MS));
        let (since, until) = (span.since.max(hour.0), span.until.min(hour.1));
        let mut after: Option<(Timestamp, String)> = None;
        loop {
            let page = exchanges(&client, span, (since, until), after.as_ref()).await?;
            let Some(last) = page.last() else { break };
            after = Some((Timestamp::from_millis(last.time), id_text(&last.request_id)));
            let whole = page.len() < PAGE;
            let earlier = adjustments(&client, span, &page).await?;
            let batch = judge_page(book, page, earlier, &mut outcome);
            if mode == Mode::Store && !batch.rows.is_empty() {
                store(&shards, hour.0, batch).await?;
            }
            if whole {
                break;
            }
        }
    }
    Ok(outcome)
}

/// The hours of the span that hold anything to look at, in their order.
async fn hours(client: &Client, span: &Span) -> Result<Vec<i64>, Error> {
    let mut statement = Statement::default();
    let (since, until) = (statement.moment("since", span.since), statement.moment("until", span.until));
    let mut conditions = conditions();
    conditions.extend([format!("time >= {since}"), format!("time < {until}")]);
    span.narrow(&mut statement, &mut conditions);
    statement.sql = format!(
        "SELECT DISTINCT toInt64(toUnixTimestamp(toStartOfHour(time))) * 1000 AS hour FROM {TABLE} WHERE {} ORDER BY hour",
        conditions.join(" AND ")
    );
    statement.query(client).fetch_all().await
}

async fn exchanges(
    client: &Client,
    span: &Span,
    (since, until): (Timestamp, Timestamp),
    after: Option<&(Timestamp, String)>,
) -> Result<Vec<ExchangeRow>, Error> {
    let mut statement = Statement::default();
    let (since, until) = (statement.moment("since", since), statement.moment("until", until));
    let mut conditions = conditions();
    conditions.extend([format!("time >= {since}"), format!("time < {until}")]);
    span.narrow(&mut statement, &mut conditions);
    if let Some((time, id)) = after {
        let (time, id) = (statement.moment("after", *time), statement.text("after_id", id));
        conditions.push(format!("(time > {time} OR (time = {time} AND request_id > {id}))"));
    }
    statement.sql = format!(
        "SELECT {} FROM {TABLE} WHERE {} ORDER BY time, request_id LIMIT {PAGE}",
        ExchangeRow::COLUMN_NAMES.join(", "),
        conditions.join(" AND ")
    );
    statement.query(client).fetch_all().await
}

/// Corrections so far, by request id.
type Earlier = HashMap<[u8; 26], Vec<AdjustmentRow>>;

/// Judges the exchanges of a page, adds them up, and gives the corrections.
fn judge_page(book: &PriceBook, page: Vec<ExchangeRow>, mut earlier: Earlier, outcome: &mut Outcome) -> Batch {
    let mut batch = Batch::default();
    for exchange in page {
        let earlier = earlier.remove(&exchange.request_id).unwrap_or_default();
        let before = cost(&exchange, &earlier);
        let mut after = before;
        outcome.exchanges += 1;
        match judge(book, &exchange, &earlier) {
            Verdict::Right => {}
            Verdict::WithoutPrice => outcome.without_price += 1,
            Verdict::NotOurs => outcome.corrected_otherwise += 1,
            Verdict::Summed => outcome.summed += 1,
            Verdict::Correct(row) => {
                outcome.corrected += 1;
                after = before.saturating_add(row.cost_nanousd);
                batch.add(*row, before, earlier.len());
            }
        }
        outcome.cost_before = outcome.cost_before.saturating_add(Money::from_nanos(before));
        outcome.cost_after = outcome.cost_after.saturating_add(Money::from_nanos(after));
    }
    batch
}

/// The corrections so far of the exchanges of a page, which stand in the order of their times.
async fn adjustments(client: &Client, span: &Span, page: &[ExchangeRow]) -> Result<Earlier, Error> {
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(Earlier::new()) };
    let mut statement = Statement::default();
    let from = statement.moment("from", Timestamp::from_millis(first.time));
    let to = statement.moment("to", Timestamp::from_millis(last.time));
    let mut conditions = vec![format!("kind = '{ADJUSTMENT}'"), format!("time >= {from}"), format!("time <= {to}")];
    span.narrow(&mut statement, &mut conditions);
    statement.sql = format!(
        "SELECT {} FROM {TABLE} WHERE {} ORDER BY time, request_id, recorded_at",
        AdjustmentRow::COLUMN_NAMES.join(", "),
        conditions.join(" AND ")
    );
    let mut found = Earlier::new();
    for row in statement.query(client).fetch_all::<AdjustmentRow>().await? {
        found.entry(row.request_id).or_default().push(row);
    }
    Ok(found)
}

/// Stores a batch, and then that it is stored.
async fn store(shards: &Shards, hour: Timestamp, batch: Batch) -> Result<(), Error> {
    let (id, rows) = batch.close(clock::now().millis());
    insert(shards, &id, &rows).await?;
    unfinished::note(&shards.client, &id, hour, &rows).await
}

async fn insert(shards: &Shards, id: &str, rows: &[AdjustmentRow]) -> Result<(), Error> {
    let token = format!("{REASON}-{id}");
    let (client, table) = shards.place(&token);
    // the counts, which have no defaults, are left out on purpose: validation would ask for them
    let insert = client.clone().with_validation(false).insert::<AdjustmentRow>(table).await?;
    let mut insert = insert.with_setting("insert_deduplication_token", token);
    for row in rows {
        insert.write(row).await?;
    }
    insert.end().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_given_by_dates_moments_or_how_long_ago() {
        let span = |since, until| Span::new(since, until, None, None);
        let days = span("2026-11-01", "2026-11-02T12:00:00+01:00").unwrap().ends();
        assert_eq!(days.0.to_rfc3339(), "2026-11-01T00:00:00.000Z");
        assert_eq!(days.1.to_rfc3339(), "2026-11-02T11:00:00.000Z");
        assert!(span("7d", "1h").is_ok());
        for (since, until, name) in [
            ("yesterday", "1h", "--since"),
            ("1h", "2026-13-01", "--until"),
            ("1h", "2h", "--since"),
            ("2026-11-01", "2026-11-01", "--since"),
        ] {
            assert_eq!(span(since, until).unwrap_err().name, name, "{since} {until}");
        }
    }
}
