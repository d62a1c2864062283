//! From an HTTP request to a statement: URL, headers, body and multipart parts, in the ways that ClickHouse's HTTP
//! interface allows. Everything received is bounded.

use super::{
    budget::Share,
    encoding,
    fault::{Code, Fault},
    statement::{self, Shape},
    store::{Access, Data, Job},
};
use crate::base::clock::Duration;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method,
    body::{Body as _, Incoming},
    http::request::Parts,
};

/// A body's bytes, as received and again when decompressed.
const BODY_BYTES_MAX: usize = 256 << 20;
/// The longest wait for the next piece of a body.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// URL parameters and multipart fields in one request.
const FIELDS_MAX: usize = 2000;
/// The longest query id that is echoed.
const QUERY_ID_BYTES_MAX: usize = 256;

/// Parameters of the HTTP interface itself; all others are settings. Sessions, roles and quotas do not exist here:
/// they are accepted and mean nothing, as several client libraries always send them.
const INTERFACE: &[&str] = &[
    "buffer_size",
    "client_protocol_version",
    "close_session",
    "compress",
    "database",
    "decompress",
    "default_format",
    "password",
    "query",
    "query_id",
    "quota_key",
    "role",
    "session_check",
    "session_id",
    "session_timeout",
    "stacktrace",
    "user",
    "wait_end_of_query",
];

/// The named values of a request, from its URL and from multipart fields.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// From the URL.
    pub(super) fn from_url(query: &str) -> Result<Self, Fault> {
        let fields: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().take(FIELDS_MAX + 1).collect();
        if fields.len() > FIELDS_MAX {
            return Err(Fault::new(Code::BadArguments, format!("More than {FIELDS_MAX} parameters")));
        }
        Ok(Self(fields))
    }

    /// The last value of a name, if it is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// The caller's query id, when it can stand in a header.
    pub(super) fn query_id(&self) -> Option<&str> {
        self.get("query_id")
            .filter(|id| id.len() <= QUERY_ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic()))
    }

    async fn read_parts(&mut self, body: Bytes, boundary: String) -> Result<(), Fault> {
        let wrong = |error: multer::Error| Fault::new(Code::BadArguments, format!("Bad multipart body: {error}"));
        let body = futures_util::stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(body)));
        let mut parts = multer::Multipart::new(body, boundary);
        while let Some(part) = parts.next_field().await.map_err(wrong)? {
            if part.file_name().is_some() {
                return Err(Fault::new(Code::NotImplemented, "External tables are not supported by the usage store"));
            }
            if self.0.len() >= FIELDS_MAX {
                return Err(Fault::new(Code::BadArguments, format!("More than {FIELDS_MAX} parameters")));
            }
            let name = part.name().unwrap_or_default().to_owned();
            let value = part.bytes().await.map_err(wrong)?;
            self.0.push((name, text(value.to_vec())?));
        }
        Ok(())
    }
}

/// A header's text; empty when absent or no text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn text(bytes: Vec<u8>) -> Result<String, Fault> {
    String::from_utf8(bytes).map_err(|_| Fault::new(Code::SyntaxError, "Syntax error: the query is not UTF-8"))
}

/// What arrived, still as it came.
#[derive(Debug)]
pub(super) struct Received {
    head: Parts,
    fields: Fields,
    body: Bytes,
    share: Share,
}

impl Received {
    /// Whether the answer is wanted in ClickHouse's compressed blocks.
    pub(super) fn wants_blocks(&self) -> bool {
        self.fields.is_on("compress")
    }
}

/// Reads the body. `fields` hold the URL's parameters.
pub(super) async fn receive(head: Parts, body: Incoming, fields: Fields, mut share: Share) -> Result<Received, Fault> {
    let body = receive_body(body, &mut share).await?;
    Ok(Received { head, fields, body, share })
}

/// Makes the statement of what arrived, and names the output format that it asks for. Blocking: decompression takes
/// time.
pub(super) fn parse(received: Received, reader: bool) -> Result<(Job, String), Fault> {
    let Received { head, mut fields, body, mut share } = received;
    let mut body = encoding::decode(header(&head.headers, "content-encoding"), body, BODY_BYTES_MAX, &mut share)?;
    if let Ok(boundary) = multer::parse_boundary(header(&head.headers, "content-type")) {
        // The body is here already, so nothing in there waits for anything.
        let parts = fields.read_parts(std::mem::take(&mut body), boundary);
        tokio::runtime::Handle::current().block_on(parts)?;
    }
    if fields.is_on("decompress") {
        body = encoding::decompress_blocks(&body, BODY_BYTES_MAX, &mut share)?;
    }
    let statement = assemble(fields.get("query").unwrap_or_default(), body, &mut share)?;
    let access = match head.method {
        _ if reader => Access::Reader,
        Method::GET | Method::HEAD => Access::Get,
        _ => Access::Full,
    };
    let named = |field, name| fields.get(field).or(Some(header(&head.headers, name))).filter(|value| !value.is_empty());
    let mut job = Job {
        sql: statement.sql,
        format: named("default_format", "x-clickhouse-format").unwrap_or("TabSeparated").to_owned(),
        parameters: Vec::new(),
        settings: Vec::new(),
        database: named("database", "x-clickhouse-database").map(str::to_owned),
        data: statement.data,
        insert: statement.shape.insert,
        access,
        share,
    };
    for (name, value) in fields.0 {
        match name.strip_prefix("param_") {
            Some(parameter) => job.parameters.push((parameter.to_owned(), value)),
            None if INTERFACE.contains(&name.as_str()) => {}
            None => job.settings.push((name, value)),
        }
    }
    let format = statement.shape.format.unwrap_or_else(|| job.format.clone());
    Ok((job, format))
}

async fn receive_body(mut body: Incoming, share: &mut Share) -> Result<Bytes, Fault> {
    let lost = |error| Fault::new(Code::NetworkError, format!("The request's body broke off: {error}"));
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(encoding::too_large(BODY_BYTES_MAX));
    }
    let mut out = Vec::new();
    loop {
        let Ok(frame) = tokio::time::timeout(BODY_PAUSE_MAX, body.frame()).await else {
            return Err(Fault::new(Code::SocketTimeout, "The request's body stopped coming"));
        };
        let Some(frame) = frame.transpose().map_err(lost)? else { return Ok(out.into()) };
        let Ok(piece) = frame.into_data() else { continue };
        if out.len().saturating_add(piece.len()) > BODY_BYTES_MAX {
            return Err(encoding::too_large(BODY_BYTES_MAX));
        }
        share.grow(piece.len())?;
        out.extend_from_slice(&piece);
    }
}

#[derive(Debug)]
struct Statement {
    sql: String,
    data: Option<Data>,
    shape: Shape,
}

/// Joins what the URL says with the body. An INSERT's data may begin in either; binary data never joins the SQL text.
fn assemble(url: &str, body: Bytes, share: &mut Share) -> Result<Statement, Fault> {
    let statement = if url.trim().is_empty() {
        let shape = statement::shape(&body);
        match &shape.data {
            Some(data) => {
                let sql = text(body.slice(..data.statement_end).to_vec())?;
                let data = Data { format: data.format.clone(), bytes: body.slice(data.data_start..) };
                Statement { sql, data: Some(data), shape }
            }
            None => Statement { sql: text(body.into())?, data: None, shape },
        }
    } else {
        let shape = statement::shape(url.as_bytes());
        match &shape.data {
            Some(data) => {
                let begun = url.as_bytes().get(data.data_start..).unwrap_or_default();
                share.grow(begun.len())?;
                let bytes = if begun.is_empty() { body } else { [begun, &body].concat().into() };
                let sql = url.get(..data.statement_end).unwrap_or_default().to_owned();
                let data = Data { format: data.format.clone(), bytes };
                Statement { sql, data: Some(data), shape }
            }
            None if body.is_empty() => Statement { sql: url.to_owned(), data: None, shape },
            None => Statement { sql: format!("{url}\n{}", text(body.into())?), data: None, shape },
        }
    };
    if statement.sql.trim().is_empty() {
        return Err(Fault::new(Code::SyntaxError, "Syntax error: Empty query"));
    }
    if statement.shape.names_file {
        let text = "INTO OUTFILE and FROM INFILE are for clients that have files of their own";
        return Err(Fault::new(Code::IntoOutfileNotAllowed, text));
    }
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::engine::budget::Budget;

    fn assembled(url: &str, body: &[u8]) -> Result<Statement, Fault> {
        assemble(url, Bytes::copy_from_slice(body), &mut Budget::new(1 << 20).share())
    }

    #[test]
    fn a_statement_and_its_data_may_stand_in_url_and_body() {
        type Case = (&'static str, &'static [u8], &'static str, Option<&'static [u8]>);
        let cases: &[Case] = &[
            ("SELECT 1", b"", "SELECT 1", None),
            ("", b"SELECT 1", "SELECT 1", None),
            ("SELECT", b"1", "SELECT\n1", None),
            ("INSERT INTO t FORMAT RowBinary", b"\x0a\xff", "INSERT INTO t ", Some(b"\x0a\xff")),
            ("INSERT INTO t FORMAT CSV\n1\n", b"2\n", "INSERT INTO t ", Some(b"1\n2\n")),
            ("", b"INSERT INTO t FORMAT RowBinary\n\x0a\xff", "INSERT INTO t ", Some(b"\x0a\xff")),
            ("INSERT INTO t FORMAT RowBinary", b"", "INSERT INTO t ", Some(b"")),
            ("INSERT INTO t VALUES", b"(1)", "INSERT INTO t VALUES\n(1)", None),
        ];
        for (url, body, sql, data) in cases {
            let statement = assembled(url, body).unwrap();
            assert_eq!(statement.sql, *sql);
            assert_eq!(statement.data.as_ref().map(|data| &*data.bytes), *data, "{url}");
        }
    }

    #[test]
    fn what_is_no_statement_is_refused_with_a_servers_code() {
        for (url, body, code) in [
            ("", b"" as &[u8], 62),
            (" \n", b"  ", 62),
            ("", b"SELECT \xff", 62),
            ("SELECT 1 INTO OUTFILE '/tmp/x'", b"", 358),
            ("INSERT INTO t FROM INFILE '/x' FORMAT CSV", b"", 358),
        ] {
            assert_eq!(assembled(url, body).unwrap_err().code, code, "{url}");
        }
    }

    #[test]
    fn a_query_id_is_echoed_only_when_a_header_can_hold_it() {
        for (url, id) in [("query_id=a-1", Some("a-1")), ("query_id=a%0d%0ab", None), ("query_id=", None), ("", None)] {
            assert_eq!(Fields::from_url(url).unwrap().query_id(), id, "{url}");
        }
    }
}
