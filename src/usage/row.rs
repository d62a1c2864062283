//! A usage event as a row of `usage_events`, in the bytes that ClickHouse reads.

use super::event::UsageEvent;
use crate::base::clock::Timestamp;

/// The table that holds one row for each exchange and each later correction.
pub const TABLE: &str = "usage_events";

/// The kind of a row that stands for an exchange.
pub const EXCHANGE: &str = "exchange";
/// The kind of a row that corrects an exchange's cost.
pub const ADJUSTMENT: &str = "adjustment";

/// The columns that an event fills, in the order in which `encode` writes them, with their types in the schema.
pub const COLUMNS: &[(&str, &str)] = &[
    ("kind", "LowCardinality(String)"),
    ("reason", "LowCardinality(String)"),
    ("request_id", "FixedString(26)"),
    ("time", "DateTime64(3, 'UTC')"),
    ("recorded_at", "DateTime64(3, 'UTC')"),
    ("organization_id", "LowCardinality(String)"),
    ("key_id", "LowCardinality(String)"),
    ("key_prefix", "LowCardinality(String)"),
    ("environment", "LowCardinality(String)"),
    ("provider", "LowCardinality(String)"),
    ("endpoint", "LowCardinality(String)"),
    ("method", "LowCardinality(String)"),
    ("model_requested", "LowCardinality(String)"),
    ("model_served", "LowCardinality(String)"),
    ("status", "UInt16"),
    ("error_type", "LowCardinality(String)"),
    ("streamed", "Bool"),
    ("attempts", "UInt8"),
    ("latency_ms", "UInt32"),
    ("ttft_ms", "UInt32"),
    ("bytes_in", "UInt64"),
    ("bytes_out", "UInt64"),
    ("input_tokens", "UInt64"),
    ("cached_input_tokens", "UInt64"),
    ("cache_write_5m_tokens", "UInt64"),
    ("cache_write_1h_tokens", "UInt64"),
    ("output_tokens", "UInt64"),
    ("reasoning_tokens", "UInt64"),
    ("audio_input_tokens", "UInt64"),
    ("audio_output_tokens", "UInt64"),
    ("image_input_tokens", "UInt64"),
    ("image_output_tokens", "UInt64"),
    ("unit_images", "UInt64"),
    ("unit_millis", "UInt64"),
    ("unit_characters", "UInt64"),
    ("unit_searches", "UInt64"),
    ("unit_requests", "UInt64"),
    ("usage_source", "LowCardinality(String)"),
    ("cost_nanousd", "Int64"),
    ("cost_breakdown_nanousd", "Map(LowCardinality(String), Int64)"),
    ("price_version", "LowCardinality(String)"),
    ("provider_request_id", "String"),
    ("tags", "Map(LowCardinality(String), String)"),
    ("service_tier", "LowCardinality(String)"),
    ("entities", "Map(LowCardinality(String), UInt32)"),
];

/// The statement that a batch is inserted with into a table of that name, whose head names these columns; the head and rows
/// follow it. `None` when the head is none.
pub fn insert_statement(head: &[u8], table: &str) -> Option<String> {
    let (count, mut rest) = take_length(head)?;
    let mut names = Vec::new();
    for _ in 0..count {
        let (name, behind) = take_text(rest)?;
        let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
        names.push(std::str::from_utf8(name).ok().filter(|name| name.as_bytes().iter().all(is_plain))?);
        rest = behind;
    }
    Some(format!("INSERT INTO {table} ({}) FORMAT RowBinaryWithNamesAndTypes", names.join(", ")))
}

/// The request id of a row, and when the request arrived. `None` when it is no row.
pub fn identity(row: &[u8]) -> Option<([u8; 26], Timestamp)> {
    let (_kind, rest) = take_text(row)?;
    let (_reason, rest) = take_text(rest)?;
    let (id, rest) = rest.split_at_checked(26)?;
    let millis = rest.get(..8)?.try_into().map(i64::from_le_bytes).ok()?;
    Some((id.try_into().ok()?, Timestamp::from_millis(millis)))
}

fn take_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = take_length(bytes)?;
    rest.split_at_checked(length)
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((length, bytes.get(at + 1..)?));
        }
    }
    None
}

/// What stands before the rows of a batch: the names and types that they were written for. The store compares them with its
/// table, so rows that do not fit are refused and never misread.
pub fn head() -> Vec<u8> {
    let mut head = Vec::new();
    length(&mut head, COLUMNS.len());
    for value in COLUMNS.iter().map(|(name, _)| name).chain(COLUMNS.iter().map(|(_, kind)| kind)) {
        text(&mut head, value);
    }
    head
}

/// Appends an event's row in ClickHouse's `RowBinary`.
pub fn encode(event: &UsageEvent<'_>, row: &mut Vec<u8>) {
    text(row, EXCHANGE);
    text(row, ""); // reason
    row.extend_from_slice(event.request_id.as_bytes());
    row.extend_from_slice(&event.time.millis().to_le_bytes());
    row.extend_from_slice(&event.time.plus_millis(i64::from(event.latency_ms)).millis().to_le_bytes());
    text(row, event.organization_id.as_ref().map_or("", |id| id.as_str()));
    text(row, event.key_id.as_ref().map_or("", |id| id.as_str()));
    text(row, &event.key_prefix);
    text(row, event.environment.as_str());
    for value in [&event.provider, &event.endpoint, &event.method, &event.model_requested, &event.model_served] {
        text(row, value);
    }
    row.extend_from_slice(&event.status.to_le_bytes());
    text(row, &event.error_type);
    row.extend_from_slice(&[u8::from(event.streamed), event.attempts]);
    row.extend_from_slice(&event.latency_ms.to_le_bytes());
    row.extend_from_slice(&event.ttft_ms.to_le_bytes());
    let (tokens, units) = (&event.tokens, &event.units);
    for count in [
        event.bytes_in,
        event.bytes_out,
        tokens.input,
        tokens.cached_input,
        tokens.cache_write_5m,
        tokens.cache_write_1h,
        tokens.output,
        tokens.reasoning,
        tokens.audio_input,
        tokens.audio_output,
        tokens.image_input,
        tokens.image_output,
        units.images,
        units.millis,
        units.characters,
        units.searches,
        units.requests,
    ] {
        row.extend_from_slice(&count.to_le_bytes());
    }
    text(row, event.usage_source.as_str());
    row.extend_from_slice(&event.charge.cost.nanos().to_le_bytes());
    length(row, event.charge.breakdown.len());
    for (class, cost) in &event.charge.breakdown {
        text(row, class);
        row.extend_from_slice(&cost.nanos().to_le_bytes());
    }
    text(row, &event.charge.price_version);
    text(row, &event.provider_request_id);
    length(row, event.tags.len());
    for (name, value) in event.tags.iter() {
        text(row, name);
        text(row, value);
    }
    text(row, &event.service_tier);
    length(row, event.entities.len());
    for (kind, count) in event.entities.iter() {
        text(row, kind);
        row.extend_from_slice(&count.to_le_bytes());
    }
}

fn text(row: &mut Vec<u8>, value: &str) {
    length(row, value.len());
    row.extend_from_slice(value.as_bytes());
}

/// LEB128.
fn length(row: &mut Vec<u8>, value: usize) {
    let mut rest = value;
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            return row.push(low & 0x7f);
        }
        row.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::event::sample;

    #[test]
    fn every_column_stands_in_the_schema_with_its_type_and_in_this_order() {
        let ddl = include_str!("../../schema/0001_usage_events.sql");
        let mut lines = ddl.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        for (name, kind) in COLUMNS {
            let begins = format!("{name} {kind}");
            assert!(
                lines.any(|line| line.strip_prefix(&begins).is_some_and(|rest| !rest.starts_with('('))),
                "{begins}"
            );
        }
    }

    #[test]
    fn a_row_says_whose_it_is_and_when() {
        let (event, mut row) = (sample(), Vec::new());
        encode(&event, &mut row);
        assert_eq!(identity(&row), Some((*event.request_id.as_bytes(), event.time)));
        for cut in 0..40 {
            assert_eq!(identity(&row[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn the_statement_names_the_columns_of_the_head() {
        let statement = insert_statement(&head(), TABLE).unwrap();
        assert!(statement.starts_with("INSERT INTO usage_events (kind, reason, request_id, time,"), "{statement}");
        assert!(
            statement.ends_with(", tags, service_tier, entities) FORMAT RowBinaryWithNamesAndTypes"),
            "{statement}"
        );
        for none in [&b""[..], b"\x01", b"\x02\x01a", b"\x01\x03a) "] {
            assert_eq!(insert_statement(none, TABLE), None, "{none:?}");
        }
    }

    #[test]
    fn lengths_are_leb128() {
        for (value, expected) in
            [(0, &[0][..]), (1, &[1]), (127, &[127]), (128, &[0x80, 1]), (300, &[0xac, 2]), (1 << 14, &[0x80, 0x80, 1])]
        {
            let mut row = Vec::new();
            length(&mut row, value);
            assert_eq!(row, expected, "{value}");
            assert_eq!(take_length(&row), Some((value, &[][..])));
        }
    }

    #[test]
    fn an_unknown_key_leaves_its_columns_empty() {
        let event = UsageEvent { organization_id: None, key_id: None, key_prefix: "".into(), ..sample() };
        let (mut with, mut without) = (Vec::new(), Vec::new());
        encode(&UsageEvent { request_id: event.request_id, time: event.time, ..sample() }, &mut with);
        encode(&event, &mut without);
        let known = sample();
        let texts = [
            known.organization_id.unwrap().as_str().len(),
            known.key_id.unwrap().as_str().len(),
            known.key_prefix.len(),
        ];
        assert_eq!(with.len() - without.len(), texts.iter().sum::<usize>());
    }
}
