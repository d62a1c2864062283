//! Batches that are in the rows and perhaps not in the sums over them: a crash can fall between the two. Each batch is
//! noted in `usage_corrections` once it is everywhere, so what is not noted is looked after.

use super::{REASON, RepriceError, Span, TABLE, insert, rows::AdjustmentRow};
use crate::{
    base::clock::{self, Duration, Timestamp},
    usage::{ask::Statement, row::ADJUSTMENT, shards::Shards},
};
use clickhouse::{Client, Row as _, error::Error};

const NOTES: &str = "usage_corrections";
/// The store remembers the tokens of its last 10,000 inserts; a batch is sent again only while that is surely so.
const RESEND_AGE_MAX_MS: i64 = 900_000;
/// Sums of an hour that goes on may be caught in the middle of an insert, so a difference is looked at so often.
const LOOKS: u32 = 20;
const LOOK_PAUSE: Duration = Duration::from_millis(150);

#[derive(clickhouse::Row, serde::Serialize)]
struct Note<'a> {
    correction_id: &'a str,
    hour: u32,
    stored_at: i64,
    reason: &'a str,
    adjustments: u64,
    cost_nanousd: i64,
}

/// A batch that is not noted: its id, when it was made, and the start of its hour.
#[derive(Debug, clickhouse::Row, serde::Deserialize)]
struct Found {
    correction_id: String,
    made_at: i64,
    hour: i64,
}

/// Notes that a batch is everywhere.
pub(super) async fn note(client: &Client, id: &str, hour: Timestamp, rows: &[AdjustmentRow]) -> Result<(), Error> {
    let mut insert = client.insert::<Note<'_>>(NOTES).await?;
    let note = Note {
        correction_id: id,
        hour: u32::try_from(hour.seconds()).unwrap_or_default(),
        stored_at: clock::now().millis(),
        reason: REASON,
        adjustments: u64::try_from(rows.len()).unwrap_or(u64::MAX),
        cost_nanousd: rows.iter().fold(0, |sum, row| row.cost_nanousd.saturating_add(sum)),
    };
    insert.write(&note).await?;
    insert.end().await
}

/// Finishes the batches of the span that are not noted; says how many there were.
pub(super) async fn finish(shards: &Shards, span: &Span) -> Result<u64, RepriceError> {
    let client = &shards.client;
    let mut statement = Statement::default();
    let (since, until) = (statement.moment("since", span.since), statement.moment("until", span.until));
    statement.sql = format!(
        "SELECT correction_id, toUnixTimestamp64Milli(max(recorded_at)) AS made_at, \
         toInt64(toUnixTimestamp(toStartOfHour(min(time)))) * 1000 AS hour FROM {TABLE} \
         WHERE kind = '{ADJUSTMENT}' AND correction_id != '' AND time >= {since} AND time < {until} \
         AND correction_id NOT IN (SELECT correction_id FROM {NOTES}) GROUP BY correction_id ORDER BY hour, correction_id"
    );
    let found: Vec<Found> = statement.query(client).fetch_all().await?;
    let mut finished = 0;
    for batch in found {
        let hour = Timestamp::from_millis(batch.hour);
        let rows = rows_of(client, &batch.correction_id, hour).await?;
        if !sums_agree(client, hour).await? {
            if clock::now().millis() - batch.made_at > RESEND_AGE_MAX_MS {
                return Err(RepriceError::Unfinished(batch.correction_id));
            }
            // the rows that are there are not counted again; the sums that are missing are made up
            insert(shards, &batch.correction_id, &rows).await?;
        }
        note(client, &batch.correction_id, hour, &rows).await?;
        finished += 1;
    }
    Ok(finished)
}

/// The rows of a batch as they were first sent.
async fn rows_of(client: &Client, id: &str, hour: Timestamp) -> Result<Vec<AdjustmentRow>, Error> {
    let mut statement = Statement::default();
    let (from, to) = (statement.moment("from", hour), statement.moment("to", hour.plus_millis(super::HOUR_MS)));
    let id = statement.text("id", id);
    statement.sql = format!(
        "SELECT {} FROM {TABLE} WHERE kind = '{ADJUSTMENT}' AND correction_id = {id} AND time >= {from} AND time < {to} \
         ORDER BY time, request_id",
        AdjustmentRow::COLUMN_NAMES.join(", ")
    );
    statement.query(client).fetch_all().await
}

/// Whether the hour's sum is that of its rows, and the day's that of its hours.
async fn sums_agree(client: &Client, hour: Timestamp) -> Result<bool, Error> {
    let mut statement = Statement::default();
    let (from, to) = (statement.moment("from", hour), statement.moment("to", hour.plus_millis(super::HOUR_MS)));
    statement.sql = format!(
        "SELECT toUInt8(ifNull((SELECT sum(cost_nanousd) FROM {TABLE} WHERE time >= {from} AND time < {to}) \
         = (SELECT sum(cost_nanousd) FROM usage_hourly WHERE hour = toDateTime({from}, 'UTC')) \
         AND (SELECT sum(cost_nanousd) FROM usage_hourly WHERE toDate(hour) = toDate({from})) \
         = (SELECT sum(cost_nanousd) FROM usage_daily WHERE day = toDate({from})), 0)) AS agree"
    );
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        if statement.query(client).fetch_one::<u8>().await? == 1 {
            return Ok(true);
        }
    }
    Ok(false)
}
