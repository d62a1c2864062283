//! Usage records as the contract shapes them: an exchange's row and its adjustments, added up.

use crate::{
    base::{clock::Timestamp, ids::RequestId, money::Money},
    metering::reading::Tokens,
    usage::row::{ADJUSTMENT, EXCHANGE},
};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeStruct},
};
use std::collections::HashMap;

/// The columns of a `StoredRow`, in its order.
pub(super) const COLUMNS: &str = "kind, reason, request_id, time, recorded_at, key_id, key_prefix, environment, provider, \
    endpoint, method, model_requested, model_served, status, error_type, streamed, latency_ms, ttft_ms, bytes_in, bytes_out, \
    input_tokens, cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, \
    audio_input_tokens, audio_output_tokens, image_input_tokens, image_output_tokens, unit_images, unit_millis, \
    unit_characters, unit_searches, unit_requests, usage_source, cost_nanousd, cost_breakdown_nanousd, price_version, \
    provider_request_id, tags";

/// A row of an exchange or of an adjustment, as far as a record shows it.
#[derive(Debug, Clone, clickhouse::Row, serde::Deserialize)]
pub(super) struct StoredRow {
    kind: String,
    reason: String,
    request_id: [u8; 26],
    time: i64,
    recorded_at: i64,
    key_id: String,
    key_prefix: String,
    environment: String,
    provider: String,
    endpoint: String,
    method: String,
    model_requested: String,
    model_served: String,
    status: u16,
    error_type: String,
    streamed: bool,
    latency_ms: u32,
    ttft_ms: u32,
    bytes_in: u64,
    bytes_out: u64,
    input_tokens: u64,
    cached_input_tokens: u64,
    cache_write_5m_tokens: u64,
    cache_write_1h_tokens: u64,
    output_tokens: u64,
    reasoning_tokens: u64,
    audio_input_tokens: u64,
    audio_output_tokens: u64,
    image_input_tokens: u64,
    image_output_tokens: u64,
    unit_images: u64,
    unit_millis: u64,
    unit_characters: u64,
    unit_searches: u64,
    unit_requests: u64,
    usage_source: String,
    cost_nanousd: i64,
    cost_breakdown_nanousd: Vec<(String, i64)>,
    price_version: String,
    provider_request_id: String,
    tags: Vec<(String, String)>,
}

/// One usage record, of contract §10.
#[derive(Debug, Clone)]
pub struct Record {
    row: StoredRow,
    cost: Money,
    breakdown: Vec<(String, Money)>,
    price_version: String,
    adjustments: Vec<Adjustment>,
}

/// A correction of a record's cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Adjustment {
    time: String,
    reason: String,
    delta_usd: String,
}

/// A page of records, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct RecordsAnswer {
    pub records: Vec<Record>,
    /// Asks for the page behind this one; `None` when there is none.
    pub next_cursor: Option<String>,
}

impl RecordsAnswer {
    /// Puts rows, the oldest correction first, together to records in the order of the ids.
    pub(super) fn new(ids: &[RequestId], rows: Vec<StoredRow>, next_cursor: Option<String>) -> Self {
        let mut exchanges: HashMap<[u8; 26], Record> = HashMap::with_capacity(ids.len());
        let (mut adjustments, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.kind == ADJUSTMENT);
        for row in others.into_iter().filter(|row| row.kind == EXCHANGE) {
            exchanges.insert(row.request_id, Record::new(row));
        }
        for row in adjustments.drain(..) {
            if let Some(record) = exchanges.get_mut(&row.request_id) {
                record.adjust(row);
            }
        }
        Self { records: ids.iter().filter_map(|id| exchanges.remove(id.as_bytes())).collect(), next_cursor }
    }
}

impl Record {
    fn new(row: StoredRow) -> Self {
        let money = |(class, nanos): &(String, i64)| (class.clone(), Money::from_nanos(*nanos));
        Self {
            cost: Money::from_nanos(row.cost_nanousd),
            breakdown: row.cost_breakdown_nanousd.iter().map(money).collect(),
            price_version: row.price_version.clone(),
            adjustments: Vec::new(),
            row,
        }
    }

    fn adjust(&mut self, row: StoredRow) {
        let delta = Money::from_nanos(row.cost_nanousd);
        self.cost = self.cost.saturating_add(delta);
        for (class, nanos) in row.cost_breakdown_nanousd {
            let delta = Money::from_nanos(nanos);
            match self.breakdown.iter_mut().find(|(own, _)| *own == class) {
                Some((_, cost)) => *cost = cost.saturating_add(delta),
                None => self.breakdown.push((class, delta)),
            }
        }
        if !row.price_version.is_empty() {
            self.price_version = row.price_version;
        }
        let time = Timestamp::from_millis(row.recorded_at).to_rfc3339();
        self.adjustments.push(Adjustment { time, reason: row.reason, delta_usd: delta.to_string() });
    }

    fn tokens(&self) -> Tokens {
        Tokens {
            input: self.row.input_tokens,
            cached_input: self.row.cached_input_tokens,
            cache_write_5m: self.row.cache_write_5m_tokens,
            cache_write_1h: self.row.cache_write_1h_tokens,
            output: self.row.output_tokens,
            reasoning: self.row.reasoning_tokens,
            audio_input: self.row.audio_input_tokens,
            audio_output: self.row.audio_output_tokens,
            image_input: self.row.image_input_tokens,
            image_output: self.row.image_output_tokens,
        }
    }

    fn units(&self) -> ShownUnits {
        ShownUnits {
            images: self.row.unit_images,
            seconds: Seconds(self.row.unit_millis),
            characters: self.row.unit_characters,
            searches: self.row.unit_searches,
            requests: self.row.unit_requests,
        }
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = &self.row;
        let mut record = serializer.serialize_struct("Record", 26)?;
        record.serialize_field("request_id", &String::from_utf8_lossy(&row.request_id))?;
        record.serialize_field("time", &Timestamp::from_millis(row.time).to_rfc3339())?;
        record.serialize_field("key_id", &row.key_id)?;
        record.serialize_field("key_prefix", &row.key_prefix)?;
        record.serialize_field("environment", &row.environment)?;
        record.serialize_field("provider", &row.provider)?;
        record.serialize_field("endpoint", &row.endpoint)?;
        record.serialize_field("method", &row.method)?;
        record.serialize_field("model_requested", &row.model_requested)?;
        record.serialize_field("model_served", &row.model_served)?;
        record.serialize_field("status", &row.status)?;
        record.serialize_field("error_type", &row.error_type)?;
        record.serialize_field("streamed", &row.streamed)?;
        record.serialize_field("latency_ms", &row.latency_ms)?;
        // null, as in statistics: no first byte is not one that came at once
        record.serialize_field("ttft_ms", &Some(row.ttft_ms).filter(|ttft| *ttft > 0))?;
        record.serialize_field("bytes_in", &row.bytes_in)?;
        record.serialize_field("bytes_out", &row.bytes_out)?;
        record.serialize_field("tokens", &self.tokens())?;
        record.serialize_field("units", &self.units())?;
        record.serialize_field("cost_usd", &self.cost.to_string())?;
        record.serialize_field("cost_breakdown", &Amounts(&self.breakdown))?;
        record.serialize_field("price_version", &self.price_version)?;
        record.serialize_field("usage_source", &row.usage_source)?;
        record.serialize_field("provider_request_id", &row.provider_request_id)?;
        record.serialize_field("tags", &Texts(&row.tags))?;
        record.serialize_field("adjustments", &self.adjustments)?;
        record.end()
    }
}

#[derive(Serialize)]
struct ShownUnits {
    images: u64,
    seconds: Seconds,
    characters: u64,
    searches: u64,
    requests: u64,
}

/// Milliseconds, shown as a number of seconds.
struct Seconds(u64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (whole, millis) = (self.0 / 1000, self.0 % 1000);
        match format!("{whole}.{millis:03}").parse::<f64>() {
            Ok(seconds) if millis > 0 => serializer.serialize_f64(seconds),
            _ => serializer.serialize_u64(whole),
        }
    }
}

struct Amounts<'a>(&'a [(String, Money)]);

impl Serialize for Amounts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (class, money) in self.0 {
            map.serialize_entry(class, &money.to_string())?;
        }
        map.end()
    }
}

struct Texts<'a>(&'a [(String, String)]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
