//! From a result or a fault to an HTTP answer with ClickHouse's headers.

use super::{budget::Share, encoding, fault::Fault};
use crate::base::clock::Duration;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{Response, StatusCode, header::CONTENT_TYPE, http::response::Builder};
use libchdb::Answer;
use std::convert::Infallible;

/// The body of every answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A result ready to leave. Its memory counts until the last byte has been sent.
#[derive(Debug)]
pub(super) struct Rows {
    format: String,
    summary: String,
    bytes: Bytes,
}

impl Rows {
    /// `share` is the request's; with `blocks` the result is compressed in ClickHouse's own way.
    pub(super) fn new(
        answer: Answer,
        format: String,
        blocks: bool,
        elapsed: Duration,
        mut share: Share,
    ) -> Result<Self, Fault> {
        share.grow(answer.bytes().len())?;
        let summary = summary(&answer, elapsed);
        let bytes = if blocks {
            Bytes::from_owner(Counted { bytes: encoding::compress_blocks(answer.bytes()), _share: share })
        } else {
            Bytes::from_owner(Counted { bytes: answer, _share: share })
        };
        Ok(Self { format, summary, bytes })
    }
}

struct Counted<B> {
    bytes: B,
    _share: Share,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Counted<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// What every answer to one request says in its headers.
#[derive(Debug)]
pub(super) struct Heading {
    pub(super) query_id: String,
    /// The engine's ClickHouse version.
    pub(super) version: String,
}

impl Heading {
    fn begin(&self, status: StatusCode) -> Builder {
        Response::builder()
            .status(status)
            .header("X-ClickHouse-Server-Display-Name", "usage-store")
            .header("X-ClickHouse-Timezone", "UTC")
            .header("X-ClickHouse-Query-Id", &self.query_id)
    }

    /// A result, complete before its first byte leaves.
    pub(super) fn rows(&self, rows: Rows) -> Response<Body> {
        let builder = self
            .begin(StatusCode::OK)
            .header("X-ClickHouse-Format", &rows.format)
            .header("X-ClickHouse-Summary", rows.summary)
            .header(CONTENT_TYPE, content_type(&rows.format));
        finish(builder, rows.bytes)
    }

    /// A short text.
    pub(super) fn text(&self, text: &'static str) -> Response<Body> {
        let builder = self.begin(StatusCode::OK).header(CONTENT_TYPE, "text/html; charset=UTF-8");
        finish(builder, Bytes::from_static(text.as_bytes()))
    }

    /// A fault: its code stands in a header, its text ends with the version, as clients expect.
    pub(super) fn fault(&self, fault: &Fault) -> Response<Body> {
        let version =
            if fault.message.contains("(version ") { String::new() } else { format!(" (version {})", self.version) };
        let builder = self
            .begin(fault.status())
            .header("X-ClickHouse-Exception-Code", fault.code)
            .header(CONTENT_TYPE, "text/plain; charset=UTF-8");
        finish(builder, Bytes::from(format!("{}{version}\n", fault.message)))
    }

    /// A body that goes on.
    pub(super) fn stream(&self, body: Body) -> Response<Body> {
        let response = self.begin(StatusCode::OK).body(body);
        response.unwrap_or_else(|_| Response::new(Full::default().boxed_unsync()))
    }
}

fn finish(builder: Builder, bytes: Bytes) -> Response<Body> {
    let body = Full::from(bytes).boxed_unsync();
    // Only a header value could be wrong; the format's name, the one that callers choose, is a word.
    builder.body(body).unwrap_or_else(|_| {
        let mut response = Response::new(Full::default().boxed_unsync());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

fn summary(answer: &Answer, elapsed: Duration) -> String {
    format!(
        concat!(
            r#"{{"read_rows":"{}","read_bytes":"{}","written_rows":"{}","written_bytes":"{}","#,
            r#""total_rows_to_read":"{}","result_rows":"{}","result_bytes":"{}","elapsed_ns":"{}"}}"#
        ),
        answer.rows_read(),
        answer.bytes_read(),
        answer.rows_written(),
        answer.bytes_written(),
        answer.rows_read(),
        answer.rows(),
        answer.bytes().len(),
        elapsed.as_nanos(),
    )
}

fn content_type(format: &str) -> &'static str {
    match format {
        "JSON" | "JSONCompact" | "JSONStrings" | "JSONColumns" => "application/json; charset=UTF-8",
        "JSONEachRow" | "JSONCompactEachRow" | "NDJSON" | "JSONLines" => "application/x-ndjson; charset=UTF-8",
        "CSV" | "CSVWithNames" | "CSVWithNamesAndTypes" => "text/csv; charset=UTF-8; header=absent",
        _ if format.starts_with("TabSeparated") || format.starts_with("TSV") => {
            "text/tab-separated-values; charset=UTF-8"
        }
        "RowBinary" | "RowBinaryWithNamesAndTypes" | "Native" | "Parquet" | "Arrow" | "ArrowStream" => {
            "application/octet-stream"
        }
        _ => "text/plain; charset=UTF-8",
    }
}
