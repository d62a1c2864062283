//! A caller in an organization of its own, and the usage event of each of its requests as it is stored.

use crate::support::{
    gateway::{Gateway, Grant, Key, rows::text},
    http::{Answer, Ask},
    simulator::{Content, Reply},
    wait::wait_until,
};
use serde_json::Value;
use sociaro_gateway::usage::{connector, engine};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

pub(crate) struct Desk {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) key: Key,
}

impl Desk {
    /// A caller of the shared gateway.
    pub(crate) fn new(organization: &str) -> Self {
        Self::of(Gateway::shared(), organization)
    }

    /// A caller of that gateway.
    pub(crate) fn of(gateway: Arc<Gateway>, organization: &str) -> Self {
        let key = gateway.issue(&Grant::all(organization));
        Self { gateway, key }
    }

    /// The gateway key where most providers take it.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.key.secret)
    }

    /// Registers a reply, and gives the knob that asks for it.
    pub(crate) fn reply(&self, reply: Reply) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("metered{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.gateway.simulator.name(&name, reply);
        format!("reply={name}")
    }

    /// Sends a request that the provider answers so, and gives its usage record.
    pub(crate) async fn record(&self, ask: Ask, reply: Reply) -> Value {
        let status = match &reply.content {
            Content::Http { status, .. } => *status,
            _ => 101,
        };
        let ask = ask.header("authorization", &self.bearer()).sim(&self.reply(reply));
        let answer = self.gateway.client().send(&ask).await;
        assert_eq!(answer.status(), status, "{}", answer.text());
        self.record_of(&answer).await
    }

    /// The stored usage event of an exchange.
    pub(crate) async fn record_of(&self, answer: &Answer) -> Value {
        let id = answer.header("x-gateway-request-id").expect("each answer has an id");
        self.row(&format!("request_id = '{id}'")).await
    }

    /// The stored usage event of the one exchange of this caller.
    pub(crate) async fn only_record(&self) -> Value {
        self.row(&format!("key_id = '{}'", self.key.id)).await
    }

    async fn row(&self, condition: &str) -> Value {
        let sql = format!(
            "SELECT *, toString(request_id) AS request_id FROM sociaro.usage_events WHERE kind = 'exchange' AND {condition}"
        );
        let client = connector::embedded(&engine::socket(&self.gateway.usage_folder()));
        wait_until("the usage event", async || {
            let mut cursor = client.query(&sql).fetch_bytes("JSONEachRow").map_err(|error| error.to_string())?;
            let bytes = cursor.collect().await.map_err(|error| error.to_string())?;
            let rows: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
            match rows[..] {
                [row] => serde_json::from_slice(row).map_err(|error| error.to_string()),
                _ => Err(format!("{} events where {condition}", rows.len())),
            }
        })
        .await
    }
}

/// The figures of an event that are not zero, as `input 7`; then cost, price row, source and error.
pub(crate) fn figures(record: &Value) -> String {
    let mut lines = Vec::new();
    for (name, value) in record.as_object().expect("an event") {
        let name = name.strip_suffix("_tokens").or_else(|| name.strip_prefix("unit_"));
        let count = value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default();
        lines.extend(name.filter(|_| count > 0).map(|name| format!("{name} {count}")));
    }
    lines.sort_unstable();
    let version = text(record, "/price_version");
    let rows: Vec<&str> = version.split('+').map(|row| row.split_once('/').map_or(row, |(_, row)| row)).collect();
    let priced = if version.is_empty() { "without a price".to_owned() } else { format!("by {}", rows.join("+")) };
    lines.push(format!("{} nano-dollars {priced}", number(record, "/cost_nanousd")));
    lines.push(text(record, "/usage_source"));
    lines.extend(Some(text(record, "/error_type")).filter(|error| !error.is_empty()));
    lines.join(", ")
}

/// A whole number, which the store may write as a text.
pub(crate) fn number(record: &Value, pointer: &str) -> i64 {
    let value = record.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {record}"));
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{pointer} is {value}"))
}
