//! Asking the usage store on a caller's behalf: one statement made of our own words alone (all that callers wrote goes in
//! as parameters), bounded in time, memory and rows. What the store says when it fails may quote statements and values,
//! so it goes no further than here.

use super::{
    selection::{Dimension, Filter, Selection},
    settings::Settings,
    store_error::{code, describe},
};
use crate::base::{
    clock::{Duration, Timestamp},
    ids::OrganizationId,
};
use clickhouse::{Client, RowOwned, RowRead, error::Error, query::Query};

/// The span of time that ClickHouse's `DateTime64(3)` columns can be compared in: 1970 to 2200.
const MILLIS_MAX: i64 = 7_258_118_400_000;
/// Time that the store gets beyond its own bound to say that it was reached.
const ANSWER_GRACE: Duration = Duration::from_secs(5);
/// ClickHouse's numbers for a query that went beyond its bounds: rows, time, speed, memory, bytes.
const EXPENSIVE_CODES: [u32; 6] = [158, 159, 160, 241, 307, 396];
/// … and for a store that is not ready: databases, tables or columns not there yet, too many queries, shutting down.
const UNREADY_CODES: [u32; 10] = [16, 47, 60, 81, 202, 209, 210, 236, 394, 516];

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("the usage store does not answer")]
    Unavailable,
    #[error("this takes more time or memory than a query may: ask for a shorter span or fewer groups")]
    TooExpensive,
    #[error("the usage store did not understand the query")]
    Internal,
    #[error("this key asks for too many statistics at once: wait for an answer before the next question")]
    TooManyByKey,
    #[error("too many statistics are being asked for at once: try again")]
    TooMany,
}

impl AskError {
    fn from_store(error: &Error) -> Self {
        let this = match (error, code(error)) {
            (_, Some(code)) if EXPENSIVE_CODES.contains(&code) => Self::TooExpensive,
            (_, Some(code)) if UNREADY_CODES.contains(&code) => Self::Unavailable,
            (Error::Network(_) | Error::TimedOut, _) | (Error::BadResponse(_), None) => Self::Unavailable,
            _ => Self::Internal,
        };
        if this != Self::TooExpensive {
            tracing::warn!(error = describe(error), "a question to the usage store failed");
        }
        this
    }
}

/// What one question may cost the store, and which database it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bounds {
    database: String,
    time_max: Duration,
    memory_bytes_max: u64,
    rows_max: u64,
}

impl Bounds {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            database: settings.database.clone(),
            time_max: settings.query_time_max,
            memory_bytes_max: settings.query_memory_bytes_max,
            rows_max: settings.query_rows_max,
        }
    }

    fn bind(&self, client: &Client) -> Client {
        let seconds = self.time_max.as_secs().max(1);
        client
            .clone()
            .with_database(&self.database)
            .with_setting("max_execution_time", seconds.to_string())
            .with_setting("max_memory_usage", self.memory_bytes_max.to_string())
            .with_setting("max_rows_to_read", self.rows_max.to_string())
    }
}

/// What a table's columns are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// Those of events.
    Events,
    /// Those of sums by hour or day.
    Rollup,
}

/// A statement and the values of its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) texts: Vec<(String, String)>,
    pub(super) numbers: Vec<(String, i64)>,
}

impl Statement {
    /// The rows that it selects.
    ///
    /// # Errors
    /// The store does not answer, the question is too expensive, or there is a defect; never the store's own words.
    pub(super) async fn fetch<T: RowOwned + RowRead>(
        &self,
        client: &Client,
        bounds: &Bounds,
    ) -> Result<Vec<T>, AskError> {
        let query = self.query(&bounds.bind(client));
        match tokio::time::timeout(bounds.time_max + ANSWER_GRACE, query.fetch_all::<T>()).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(AskError::from_store(&error)),
            Err(_) => Err(AskError::from_store(&Error::TimedOut)),
        }
    }

    /// It, with its parameters.
    pub(super) fn query(&self, client: &Client) -> Query {
        let query = client.query_raw(&self.sql);
        let query = self.texts.iter().fold(query, |query, (name, value)| query.param(name, value));
        self.numbers.iter().fold(query, |query, (name, value)| query.param(name, value))
    }

    /// What holds for the rows of a selection. Test keys' rows are left out unless a filter by environment asks for them.
    ///
    /// # Errors
    /// Events of unknown keys have an empty organization, and belong to nobody.
    pub(super) fn conditions(
        &mut self,
        selection: &Selection,
        organization_id: &OrganizationId,
    ) -> Result<Vec<String>, AskError> {
        let mut conditions = vec![self.organization(organization_id)?];
        let (since, until) = (self.moment("since", selection.since), self.moment("until", selection.until));
        conditions.extend([format!("time >= {since}"), format!("time < {until}")]);
        conditions.extend(self.filters(selection, Columns::Events, false));
        Ok(conditions)
    }

    /// The filters of a selection. Test keys' rows are left out unless `with_test`, or a filter by environment asks for them.
    pub(super) fn filters(&mut self, selection: &Selection, columns: Columns, with_test: bool) -> Vec<String> {
        let mut conditions = Vec::new();
        for (at, Filter { dimension, value }) in selection.filters.iter().enumerate() {
            let expression = match dimension {
                Dimension::Status => "toString(status)".into(),
                _ => self.expression(dimension, columns),
            };
            let name = format!("filter_{at}");
            conditions.push(match like_pattern(value) {
                Some(pattern) => format!("{expression} LIKE {}", self.text(&name, &pattern)),
                None => format!("{expression} = {}", self.text(&name, value)),
            });
        }
        let filtered = selection.filters.iter().any(|filter| filter.dimension == Dimension::Environment);
        if !filtered && !with_test {
            conditions.push("environment != 'test'".into());
        }
        conditions
    }

    /// The one condition that stands in every question.
    ///
    /// # Errors
    /// Events of unknown keys have an empty organization, and belong to nobody.
    pub(super) fn organization(&mut self, organization_id: &OrganizationId) -> Result<String, AskError> {
        if organization_id.as_str().is_empty() {
            return Err(AskError::Internal);
        }
        Ok(format!("organization_id = {}", self.text("organization", organization_id.as_str())))
    }

    /// A dimension of the rows of that kind of table.
    pub(super) fn expression(&mut self, dimension: &Dimension, columns: Columns) -> String {
        match dimension {
            Dimension::Provider => "provider".into(),
            Dimension::Model => "model".into(),
            Dimension::Endpoint => "endpoint".into(),
            Dimension::Key => "key_id".into(),
            Dimension::Status => "status".into(),
            Dimension::Environment => "environment".into(),
            Dimension::ErrorType => "error_type".into(),
            Dimension::Tag { column: Some(column), .. } if columns == Columns::Events => format!("`{column}`"),
            Dimension::Tag { name, .. } => {
                let map = if columns == Columns::Events { "tags" } else { "hot_tags" };
                let parameter = format!("tag_{}", self.texts.len());
                format!("{map}[{}]", self.text(&parameter, name))
            }
        }
    }

    /// A text as a parameter. One that stands there already is not given twice.
    pub(super) fn text(&mut self, name: &str, value: &str) -> String {
        let given = (name.to_owned(), value.to_owned());
        if !self.texts.contains(&given) {
            self.texts.push(given);
        }
        format!("{{{name}:String}}")
    }

    /// A time as a parameter.
    pub(super) fn moment(&mut self, name: &str, value: Timestamp) -> String {
        self.numbers.push((name.into(), value.millis().clamp(0, MILLIS_MAX)));
        format!("fromUnixTimestamp64Milli({{{name}:Int64}}, 'UTC')")
    }
}

/// A glob as a pattern of `LIKE`; `None` when the value holds no `*` or `?` and means itself.
pub(super) fn like_pattern(value: &str) -> Option<String> {
    value.contains(['*', '?']).then(|| {
        value.chars().fold(String::with_capacity(value.len() + 8), |mut pattern, c| {
            match c {
                '*' => pattern.push('%'),
                '?' => pattern.push('_'),
                '%' | '_' | '\\' => pattern.extend(['\\', c]),
                _ => pattern.push(c),
            }
            pattern
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_words_never_leave() {
        for (text, expected) in [
            ("Code: 159. DB::Exception: Timeout exceeded", AskError::TooExpensive),
            ("Code: 241. DB::Exception: Memory limit", AskError::TooExpensive),
            ("Code: 60. DB::Exception: Table gateway.usage_events does not exist", AskError::Unavailable),
            ("Code: 62. DB::Exception: Syntax error near 'secret'", AskError::Internal),
            ("503 Service Unavailable", AskError::Unavailable),
        ] {
            let error = AskError::from_store(&Error::BadResponse(text.into()));
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("secret") && !error.to_string().contains("Code"));
        }
    }

    #[test]
    fn globs_become_patterns_with_everything_else_literal() {
        for (glob, pattern) in
            [("chat*", "chat%"), ("?x", "_x"), ("50%*", "50\\%%"), ("a_b*", "a\\_b%"), ("\\*", "\\\\%")]
        {
            assert_eq!(like_pattern(glob).as_deref(), Some(pattern), "{glob}");
        }
        assert_eq!(like_pattern("50%_"), None);
    }
}
