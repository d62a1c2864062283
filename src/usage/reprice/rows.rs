//! What repricing reads of an exchange, and the rows that it adds.

use crate::{base::ids::RequestId, usage::row::EXCHANGE};
use sha2::{Digest, Sha256};

/// An exchange, as far as its price and the dimensions of its corrections depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, clickhouse::Row, serde::Deserialize)]
pub(super) struct ExchangeRow {
    pub(super) request_id: [u8; 26],
    pub(super) time: i64,
    pub(super) organization_id: String,
    pub(super) key_id: String,
    pub(super) key_prefix: String,
    pub(super) environment: String,
    pub(super) provider: String,
    pub(super) endpoint: String,
    pub(super) method: String,
    pub(super) model_requested: String,
    pub(super) model_served: String,
    pub(super) status: u16,
    pub(super) error_type: String,
    pub(super) streamed: bool,
    pub(super) input_tokens: u64,
    pub(super) cached_input_tokens: u64,
    pub(super) cache_write_5m_tokens: u64,
    pub(super) cache_write_1h_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) audio_input_tokens: u64,
    pub(super) audio_output_tokens: u64,
    pub(super) image_input_tokens: u64,
    pub(super) image_output_tokens: u64,
    pub(super) unit_images: u64,
    pub(super) unit_millis: u64,
    pub(super) unit_characters: u64,
    pub(super) unit_searches: u64,
    pub(super) unit_requests: u64,
    pub(super) usage_source: String,
    pub(super) service_tier: String,
    pub(super) cost_nanousd: i64,
    pub(super) cost_breakdown_nanousd: Vec<(String, i64)>,
    pub(super) price_version: String,
    pub(super) tags: Vec<(String, String)>,
}

/// A correction: a row of `usage_events` without counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, clickhouse::Row, serde::Serialize, serde::Deserialize)]
pub(super) struct AdjustmentRow {
    pub(super) kind: String,
    pub(super) reason: String,
    pub(super) request_id: [u8; 26],
    pub(super) time: i64,
    pub(super) recorded_at: i64,
    pub(super) organization_id: String,
    pub(super) key_id: String,
    pub(super) key_prefix: String,
    pub(super) environment: String,
    pub(super) provider: String,
    pub(super) endpoint: String,
    pub(super) method: String,
    pub(super) model_requested: String,
    pub(super) model_served: String,
    pub(super) status: u16,
    pub(super) error_type: String,
    pub(super) streamed: bool,
    pub(super) usage_source: String,
    pub(super) service_tier: String,
    pub(super) cost_nanousd: i64,
    pub(super) cost_breakdown_nanousd: Vec<(String, i64)>,
    pub(super) price_version: String,
    pub(super) correction_id: String,
    pub(super) priced_later: bool,
    pub(super) tags: Vec<(String, String)>,
}

impl AdjustmentRow {
    /// A row with the time and the dimensions of an exchange, that changes nothing yet.
    pub(super) fn of(exchange: &ExchangeRow) -> Self {
        Self {
            request_id: exchange.request_id,
            time: exchange.time,
            organization_id: exchange.organization_id.clone(),
            key_id: exchange.key_id.clone(),
            key_prefix: exchange.key_prefix.clone(),
            environment: exchange.environment.clone(),
            provider: exchange.provider.clone(),
            endpoint: exchange.endpoint.clone(),
            method: exchange.method.clone(),
            model_requested: exchange.model_requested.clone(),
            model_served: exchange.model_served.clone(),
            status: exchange.status,
            error_type: exchange.error_type.clone(),
            streamed: exchange.streamed,
            usage_source: exchange.usage_source.clone(),
            service_tier: exchange.service_tier.clone(),
            tags: exchange.tags.clone(),
            ..Self::default()
        }
    }
}

/// Corrections that are stored together under one token.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<AdjustmentRow>,
    hash: Sha256,
}

impl Batch {
    /// Adds a correction of an exchange that cost `before` after so many earlier ones.
    pub(super) fn add(&mut self, row: AdjustmentRow, before: i64, earlier: usize) {
        let earlier = u64::try_from(earlier).unwrap_or(u64::MAX);
        self.hash.update(row.request_id);
        self.hash.update(earlier.to_be_bytes());
        for nanos in [before, row.cost_nanousd] {
            self.hash.update(nanos.to_be_bytes());
        }
        for (class, nanos) in &row.cost_breakdown_nanousd {
            self.hash.update(class);
            self.hash.update(nanos.to_be_bytes());
        }
        self.hash.update(&row.price_version);
        self.hash.update([0, u8::from(row.priced_later)]);
        self.rows.push(row);
    }

    /// The rows under their id, which depends on nothing but what was stored before and what they change: whoever makes
    /// the same correction again makes it under the same id, which the store counts once.
    pub(super) fn close(self, recorded_at: i64) -> (String, Vec<AdjustmentRow>) {
        let id = hex::encode(self.hash.finalize().get(..16).unwrap_or_default());
        let mut rows = self.rows;
        for row in &mut rows {
            (row.correction_id, row.recorded_at) = (id.clone(), recorded_at);
        }
        (id, rows)
    }
}

/// What selects the exchanges that may have a price.
pub(super) fn conditions() -> Vec<String> {
    vec![format!("kind = '{EXCHANGE}'"), "usage_source != 'none'".to_owned()]
}

/// A request id as it stands in a statement: letters and digits, or nothing that is stored.
pub(super) fn id_text(request_id: &[u8; 26]) -> String {
    let id = std::str::from_utf8(request_id).ok().and_then(RequestId::parse);
    id.map_or_else(String::new, |id| id.to_string())
}
