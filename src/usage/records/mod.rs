//! Single usage records of one organization: what `GET /gw/usage` and `GET /gw/usage/{request_id}` ask and answer.
//!
//! A page is found in two steps, so that its cost is that of statistics over the same span: first which exchanges are on
//! it, by their times and ids alone; then all rows of those, corrections included.

mod answer;
mod cursor;

pub use answer::{Record, RecordsAnswer};

use super::{
    ask::{AskError, Bounds, Statement},
    selection::{BadParameter, Selecting, Selection, bad, each_once, limit},
    settings::Settings,
};
use crate::base::{
    clock::Timestamp,
    ids::{OrganizationId, RequestId},
};
use answer::{COLUMNS, StoredRow};
use clickhouse::Client;
use cursor::{Cursor, Question};

/// Records on a page unless another number is asked for.
const LIMIT: u32 = 100;
/// How far a row's time may lie from the time in its request id: both are taken when the request arrives.
const ID_TIME_SLACK_MS: i64 = 60_000;

/// A checked question for a page of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsQuery {
    organization_id: OrganizationId,
    selection: Selection,
    question: Question,
    after: Option<Place>,
    limit: u32,
    bounds: Bounds,
}

/// Where an exchange stands among all of its organization: newest first, ids deciding between equal times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    time: Timestamp,
    request_id: RequestId,
}

#[derive(Debug, clickhouse::Row, serde::Deserialize)]
struct PlaceRow {
    time: i64,
    request_id: [u8; 26],
}

impl PlaceRow {
    fn place(&self) -> Option<Place> {
        let request_id = RequestId::parse(std::str::from_utf8(&self.request_id).ok()?)?;
        Some(Place { time: Timestamp::from_millis(self.time), request_id })
    }
}

impl RecordsQuery {
    /// Reads decoded query parameters. What is no parameter of its own is a filter by a dimension of that name. The
    /// organization comes from the key that asks, never from a parameter.
    ///
    /// # Errors
    /// The first parameter that cannot be followed, and why. A cursor of another organization, or of other parameters,
    /// is like one that nobody ever gave.
    pub fn parse(
        pairs: &[(String, String)],
        organization_id: &OrganizationId,
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Self, BadParameter> {
        each_once(pairs)?;
        let mut selecting = Selecting::new(now, settings);
        let (mut rows, mut given) = (LIMIT, None);
        for (name, value) in pairs {
            match name.as_str() {
                "limit" => rows = limit(value)?,
                "cursor" => given = Some(value.as_str()),
                _ => selecting.take(name, value)?,
            }
        }
        let mut selection = selecting.finish()?;
        let question = Question::new(organization_id, pairs);
        let mut after = None;
        if let Some(text) = given {
            let cursor = question.read(text).ok_or_else(|| {
                bad(
                    "cursor",
                    "no cursor that was given out for these parameters; only `limit` may change between pages",
                )
            })?;
            (selection.since, selection.until, after) = (cursor.since, cursor.until, Some(cursor.after));
        }
        let bounds = Bounds::of(settings);
        Ok(Self { organization_id: organization_id.clone(), selection, question, after, limit: rows, bounds })
    }

    /// Asks for the page.
    ///
    /// # Errors
    /// The store does not answer, the question is too expensive, or there is a defect; never the store's own words.
    pub async fn run(&self, client: &Client) -> Result<RecordsAnswer, AskError> {
        let found = self.places()?.fetch::<PlaceRow>(client, &self.bounds).await?;
        let mut places: Vec<Place> = found.iter().filter_map(PlaceRow::place).collect();
        let page = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = places.len() > page;
        places.truncate(page);
        let next = places.last().filter(|_| more).map(|last| {
            let (since, until) = (self.selection.since, self.selection.until);
            self.question.write(&Cursor { since, until, after: *last })
        });
        let rows = match rows_of(&places, &self.organization_id)? {
            Some(statement) => statement.fetch::<StoredRow>(client, &self.bounds).await?,
            None => Vec::new(),
        };
        Ok(RecordsAnswer::new(&places.iter().map(|place| place.request_id).collect::<Vec<_>>(), rows, next))
    }

    /// The exchanges on the page, and one more when there is one.
    fn places(&self) -> Result<Statement, AskError> {
        let mut statement = Statement::default();
        let mut conditions = statement.conditions(&self.selection, &self.organization_id)?;
        if let Some(Place { time, request_id }) = self.after {
            let time = statement.moment("after", time);
            let id = statement.text("after_id", request_id.as_str());
            conditions.push(format!("(time < {time} OR (time = {time} AND request_id < {id}))"));
        }
        statement.sql = format!(
            "SELECT time, request_id FROM usage_events WHERE kind = 'exchange' AND {} \
             ORDER BY time DESC, request_id DESC LIMIT {}",
            conditions.join(" AND "),
            u64::from(self.limit) + 1
        );
        Ok(statement)
    }
}

/// All rows of these exchanges, which stand in their order; `None` when there is none to ask for.
fn rows_of(places: &[Place], organization_id: &OrganizationId) -> Result<Option<Statement>, AskError> {
    let (Some(newest), Some(oldest)) = (places.first(), places.last()) else { return Ok(None) };
    let mut statement = Statement::default();
    let organization = statement.organization(organization_id)?;
    let (from, to) = (statement.moment("from", oldest.time), statement.moment("to", newest.time));
    // ids were read as ULIDs: letters and digits
    let ids: Vec<String> = places.iter().map(|place| format!("'{}'", place.request_id)).collect();
    statement.sql = format!(
        "SELECT {COLUMNS} FROM usage_events WHERE {organization} AND time >= {from} AND time <= {to} \
         AND request_id IN ({}) ORDER BY recorded_at, correction_id",
        ids.join(", ")
    );
    Ok(Some(statement))
}

/// One record; `None` when the organization has none of that id.
///
/// # Errors
/// As for a page.
pub async fn find(
    client: &Client,
    settings: &Settings,
    organization_id: &OrganizationId,
    request_id: RequestId,
) -> Result<Option<Record>, AskError> {
    let Some(at) = request_id.time() else { return Ok(None) };
    let mut statement = Statement::default();
    let organization = statement.organization(organization_id)?;
    let from = statement.moment("from", at.plus_millis(-ID_TIME_SLACK_MS));
    let to = statement.moment("to", at.plus_millis(ID_TIME_SLACK_MS));
    let id = statement.text("id", request_id.as_str());
    statement.sql = format!(
        "SELECT {COLUMNS} FROM usage_events WHERE {organization} AND time >= {from} AND time <= {to} \
         AND request_id = {id} ORDER BY recorded_at, correction_id"
    );
    let rows = statement.fetch::<StoredRow>(client, &Bounds::of(settings)).await?;
    Ok(RecordsAnswer::new(&[request_id], rows, None).records.pop())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::settings::sample;

    const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_123);

    fn parse(pairs: &[(&str, &str)], organization: &str) -> Result<RecordsQuery, BadParameter> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        RecordsQuery::parse(&pairs, &OrganizationId::new(organization), NOW, &sample())
    }

    fn cursor_of(query: &RecordsQuery) -> String {
        let after = Place { time: NOW.plus_millis(-5), request_id: RequestId::generate() };
        let Selection { since, until, .. } = query.selection;
        query.question.write(&Cursor { since, until, after })
    }

    #[test]
    fn a_cursor_goes_on_in_the_span_that_the_first_page_had() {
        let first = parse(&[("since", "1h"), ("provider", "openai")], "org_a").unwrap();
        let cursor = cursor_of(&first);
        let pairs = [("provider", "openai"), ("limit", "7"), ("cursor", &*cursor), ("since", "1h")];
        let pairs: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let later = NOW.plus_millis(600_000);
        let next = RecordsQuery::parse(&pairs, &OrganizationId::new("org_a"), later, &sample()).unwrap();
        assert_eq!((next.selection.since, next.selection.until), (first.selection.since, first.selection.until));
        assert_eq!((next.limit, next.after.unwrap().time), (7, NOW.plus_millis(-5)));
    }

    #[test]
    fn a_cursor_of_anyone_or_anything_else_is_refused_by_name() {
        let cursor = cursor_of(&parse(&[("provider", "openai")], "org_a").unwrap());
        let changed = format!("{}{}", if cursor.starts_with('0') { '1' } else { '0' }, cursor.get(1..).unwrap());
        for (pairs, organization) in [
            (vec![("provider", "openai"), ("cursor", &*cursor)], "org_b"),
            (vec![("cursor", &*cursor)], "org_a"),
            (vec![("provider", "openai"), ("team", "x"), ("cursor", &*cursor)], "org_a"),
            (vec![("provider", "openai"), ("since", "1h"), ("cursor", &*cursor)], "org_a"),
            (vec![("provider", "openai"), ("cursor", &*changed)], "org_a"),
            (vec![("provider", "openai"), ("cursor", cursor.get(2..).unwrap())], "org_a"),
            (vec![("provider", "openai"), ("cursor", "")], "org_a"),
            (vec![("provider", "openai"), ("cursor", "zz")], "org_a"),
            (vec![("provider", "openai"), ("cursor", "ä")], "org_a"),
        ] {
            let fault = parse(&pairs, organization).unwrap_err();
            assert_eq!(fault.name, "cursor", "{pairs:?}");
        }
        assert!(parse(&[("provider", "openai"), ("cursor", &cursor)], "org_a").is_ok());
    }

    #[test]
    fn what_statistics_can_do_and_records_cannot_is_a_filter_or_refused() {
        assert_eq!(parse(&[("limit", "1001")], "org_a").unwrap_err().name, "limit");
        assert_eq!(parse(&[("limit", "0")], "org_a").unwrap_err().name, "limit");
        assert_eq!(parse(&[("since", "1h"), ("until", "2h")], "org_a").unwrap_err().name, "since");
        assert_eq!(parse(&[("Provider", "x")], "org_a").unwrap_err().name, "Provider");
        assert_eq!(parse(&[], "org_a").unwrap().limit, LIMIT);
    }
}
