//! A usage event as a row of `usage_events`: the columns by name, borrowed from the event.

use super::event::UsageEvent;

/// The table that holds one row for each exchange and each later correction.
pub const TABLE: &str = "usage_events";

/// One row. Field names are column names; `schema/0001_usage_events.sql` says what each holds.
#[derive(Debug, Clone, PartialEq, Eq, clickhouse::Row, serde::Serialize, serde::Deserialize)]
pub struct UsageRow<'a> {
    pub kind: &'a str,
    pub reason: &'a str,
    pub request_id: [u8; 26],
    pub time: i64,
    pub recorded_at: i64,
    pub organization_id: &'a str,
    pub key_id: &'a str,
    pub key_prefix: &'a str,
    pub environment: &'a str,
    pub provider: &'a str,
    pub endpoint: &'a str,
    pub method: &'a str,
    pub model_requested: &'a str,
    pub model_served: &'a str,
    pub status: u16,
    pub error_type: &'a str,
    pub streamed: bool,
    pub attempts: u8,
    pub latency_ms: u32,
    pub ttft_ms: u32,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub input_tokens: u64,
    pub cached_input_tokens: u64,
    pub cache_write_5m_tokens: u64,
    pub cache_write_1h_tokens: u64,
    pub output_tokens: u64,
    pub reasoning_tokens: u64,
    pub audio_input_tokens: u64,
    pub audio_output_tokens: u64,
    pub image_input_tokens: u64,
    pub image_output_tokens: u64,
    pub unit_images: u64,
    pub unit_millis: u64,
    pub unit_characters: u64,
    pub unit_searches: u64,
    pub unit_requests: u64,
    pub usage_source: &'a str,
    pub cost_nanousd: i64,
    #[serde(borrow)]
    pub cost_breakdown_nanousd: Vec<(&'a str, i64)>,
    pub price_version: &'a str,
    pub provider_request_id: &'a str,
    #[serde(borrow)]
    pub tags: Vec<(&'a str, &'a str)>,
}

impl<'a> From<&'a UsageEvent> for UsageRow<'a> {
    fn from(event: &'a UsageEvent) -> Self {
        let (tokens, units, charge) = (&event.tokens, &event.units, &event.charge);
        Self {
            kind: "exchange",
            reason: "",
            request_id: *event.request_id.as_bytes(),
            time: event.time.millis(),
            recorded_at: event.time.plus_millis(i64::from(event.latency_ms)).millis(),
            organization_id: event.organization_id.as_ref().map_or("", |id| id.as_str()),
            key_id: event.key_id.as_ref().map_or("", |id| id.as_str()),
            key_prefix: &event.key_prefix,
            environment: event.environment.as_str(),
            provider: &event.provider,
            endpoint: &event.endpoint,
            method: &event.method,
            model_requested: &event.model_requested,
            model_served: &event.model_served,
            status: event.status,
            error_type: &event.error_type,
            streamed: event.streamed,
            attempts: event.attempts,
            latency_ms: event.latency_ms,
            ttft_ms: event.ttft_ms,
            bytes_in: event.bytes_in,
            bytes_out: event.bytes_out,
            input_tokens: tokens.input,
            cached_input_tokens: tokens.cached_input,
            cache_write_5m_tokens: tokens.cache_write_5m,
            cache_write_1h_tokens: tokens.cache_write_1h,
            output_tokens: tokens.output,
            reasoning_tokens: tokens.reasoning,
            audio_input_tokens: tokens.audio_input,
            audio_output_tokens: tokens.audio_output,
            image_input_tokens: tokens.image_input,
            image_output_tokens: tokens.image_output,
            unit_images: units.images,
            unit_millis: units.millis,
            unit_characters: units.characters,
            unit_searches: units.searches,
            unit_requests: units.requests,
            usage_source: event.usage_source.as_str(),
            cost_nanousd: charge.cost.nanos(),
            cost_breakdown_nanousd: charge.breakdown.iter().map(|(class, cost)| (*class, cost.nanos())).collect(),
            price_version: &charge.price_version,
            provider_request_id: &event.provider_request_id,
            tags: event.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::event::sample;

    #[test]
    fn a_row_says_what_the_event_says() {
        let event = sample();
        let row = UsageRow::from(&event);
        assert_eq!((row.kind, row.reason), ("exchange", ""));
        assert_eq!(row.request_id, *event.request_id.as_bytes());
        assert_eq!(row.recorded_at - row.time, i64::from(event.latency_ms));
        assert_eq!(row.cost_nanousd, event.charge.cost.nanos());
        assert_eq!(row.cost_breakdown_nanousd.iter().map(|(_, cost)| cost).sum::<i64>(), row.cost_nanousd);
        assert_eq!(row.tags.len(), event.tags.len());
    }

    #[test]
    fn an_unknown_key_leaves_its_columns_empty() {
        let event = UsageEvent { organization_id: None, key_id: None, ..sample() };
        let row = UsageRow::from(&event);
        assert_eq!((row.organization_id, row.key_id), ("", ""));
    }

    #[test]
    fn every_column_of_the_row_stands_in_the_schema() {
        let ddl = include_str!("../../schema/0001_usage_events.sql");
        for column in <UsageRow<'_> as clickhouse::Row>::COLUMN_NAMES {
            assert!(ddl.lines().any(|line| line.split_whitespace().next() == Some(column)), "{column}");
        }
    }
}
