//! The engine behind the interface: one fresh session for each statement, with its settings, its bounds and its
//! access. Blocking; callers run it on a blocking thread.

use super::{
    budget::Share,
    fault::{Code, Fault},
    statement,
};
use crate::base::clock::Duration;
use bytes::Bytes;
use libchdb::{Answer, Connection, Engine, StatementClass};

/// Rows in the engine's memory for one answer, unless the caller sets another bound.
const RESULT_BYTES_MAX: u64 = 256 << 20;

/// What a statement may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Full,
    /// HTTP's GET: reads, and may change settings.
    Get,
    /// A door for readers only: reads, and touches nothing outside the tables.
    Reader,
}

/// One statement with everything that belongs to it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) sql: String,
    /// The output format where the statement names none.
    pub(super) format: String,
    /// Values for `{name:Type}`.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) settings: Vec<(String, String)>,
    pub(super) database: Option<String>,
    pub(super) data: Option<Data>,
    /// An INSERT of any kind: these are not bounded in time, so that a large backfill can end.
    pub(super) insert: bool,
    pub(super) access: Access,
    /// The memory of the request.
    pub(super) share: Share,
}

/// An INSERT's data.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) format: String,
    pub(super) bytes: Bytes,
}

/// The open engine.
#[derive(Debug)]
pub(super) struct Store {
    engine: Engine,
    /// The engine's ClickHouse version, such as `26.7.2.1`.
    pub(super) version: String,
    query_time_max: Duration,
    query_memory_bytes_max: u64,
}

impl Store {
    pub(super) fn new(engine: Engine, query_time_max: Duration, query_memory_bytes_max: u64) -> Result<Self, Fault> {
        let mut connection = connect(&engine)?;
        let answer = connection.query("SELECT version()", "TSVRaw", &[])?;
        let version = String::from_utf8_lossy(answer.bytes()).trim().to_owned();
        Ok(Self { engine, version, query_time_max, query_memory_bytes_max })
    }

    /// Runs one statement.
    pub(super) fn run(&self, job: &Job) -> Result<Answer, Fault> {
        let mut connection = connect(&self.engine)?;
        connection.query(&self.settings(job)?, "Null", &[])?;
        if let Some(database) = &job.database {
            connection.query(&format!("USE {}", quoted(database, '`')), "Null", &[])?;
        }
        if let Some(data) = &job.data {
            return Ok(connection.insert(&job.sql, &data.format, &job.parameters, &data.bytes)?);
        }
        check(&mut connection, job)?;
        Ok(connection.query(&job.sql, &job.format, &job.parameters)?)
    }

    /// Ends all statements under way; their callers get an error.
    pub(super) fn cancel_all(&self) -> Result<(), Fault> {
        connect(&self.engine)?.query("KILL QUERY WHERE query NOT LIKE 'KILL QUERY%' ASYNC", "Null", &[])?;
        Ok(())
    }

    /// One SET statement: what a server's default profile would say, then what the caller asks for, then the access.
    /// The engine answers unknown names (115) and bad values in its own words.
    fn settings(&self, job: &Job) -> Result<String, Fault> {
        let mut settings = vec![
            // Embedded conveniences that a server does not have.
            ("implicit_select".to_owned(), "0".to_owned()),
            ("allow_introspection_functions".to_owned(), "0".to_owned()),
            ("max_memory_usage".to_owned(), self.query_memory_bytes_max.to_string()),
            ("max_result_bytes".to_owned(), RESULT_BYTES_MAX.to_string()),
        ];
        if !job.insert {
            settings.push(("max_execution_time".to_owned(), self.query_time_max.as_secs_f64().to_string()));
        }
        settings.retain(|(name, _)| !job.settings.iter().any(|(given, _)| given == name));
        let given = job.settings.iter().filter(|(name, _)| job.access == Access::Full || name != "readonly");
        settings.extend(given.cloned());
        match job.access {
            Access::Full => {}
            Access::Get => settings.push(("readonly".to_owned(), "2".to_owned())),
            Access::Reader => settings.push(("readonly".to_owned(), "1".to_owned())),
        }
        let mut assignments = Vec::with_capacity(settings.len());
        for (name, value) in &settings {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(Fault::new(Code::UnknownSetting, format!("Unknown setting {}", quoted(name, '\''))));
            }
            assignments.push(format!("{name} = {}", quoted(value, '\'')));
        }
        Ok(format!("SET {}", assignments.join(", ")))
    }
}

fn connect(engine: &Engine) -> Result<Connection, Fault> {
    engine.connect().map_err(|error| Fault::new(Code::CannotScheduleTask, error))
}

/// What a server's interface would refuse, and the embedded engine would do.
fn check(connection: &mut Connection, job: &Job) -> Result<(), Fault> {
    let analysis = connection.analyse(&job.sql)?;
    if analysis.statements > 1 {
        return Err(Fault::new(Code::SyntaxError, "Syntax error (Multi-statements are not allowed)"));
    }
    if job.access != Access::Reader {
        return Ok(());
    }
    // A text that does not parse goes on to the engine, which says where it is wrong.
    if !matches!(analysis.class, StatementClass::Reads | StatementClass::Unknown) {
        return Err(Fault::new(Code::Readonly, "Cannot execute query in readonly mode"));
    }
    if std::iter::once(&job.sql)
        .chain(job.parameters.iter().map(|(_, value)| value))
        .any(|text| statement::may_read_files(text))
    {
        let text = "This port reads tables only: the name `file` and escapes in quoted names are not allowed";
        return Err(Fault::new(Code::QueryIsProhibited, text));
    }
    Ok(())
}

fn quoted(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push(quote);
    for character in text.chars() {
        if character == quote || character == '\\' {
            out.push('\\');
        }
        out.push(character);
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_leaves_no_way_out() {
        for (text, literal) in [("a", "'a'"), ("a'b", r"'a\'b'"), (r"a\", r"'a\\'"), (r"\'", r"'\\\''"), ("`", "'`'")] {
            assert_eq!(quoted(text, '\''), literal);
        }
        assert_eq!(quoted("a`b", '`'), r"`a\`b`");
    }
}
