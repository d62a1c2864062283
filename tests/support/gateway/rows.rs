//! What stands in the usage store, read from it directly: each row by its request id, whatever the statistics make of it.

use super::{Gateway, names};
use serde_json::Value;
use sociaro_gateway::usage::{connector, engine};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const ROWS: &str = "SELECT toString(request_id) AS request_id, organization_id, key_id, endpoint, status, error_type, attempts, \
    streamed, bytes_in, bytes_out, model_requested, input_tokens, output_tokens, usage_source, tags, \
    entities, provider, method, key_id, cost_nanousd, ttft_ms \
    FROM sociaro.usage_events WHERE kind = 'exchange'";

/// The stored usage events of one organization, or of all.
#[derive(Debug, Clone, Default)]
pub struct Rows(Vec<Value>);

impl Rows {
    /// Asks the usage store of this folder.
    pub async fn read(folder: &Path) -> Result<Self, String> {
        let client = connector::embedded(&engine::socket(folder));
        let mut cursor = client.query(ROWS).fetch_bytes("JSONEachRow").map_err(|error| error.to_string())?;
        let bytes = cursor.collect().await.map_err(|error| error.to_string())?;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Those whose member is this text.
    #[must_use]
    pub fn with(&self, pointer: &str, text: &str) -> Self {
        let same = |row: &&Value| row.pointer(pointer).and_then(Value::as_str) == Some(text);
        Self(self.0.iter().filter(same).cloned().collect())
    }

    /// How many there are, doubled ones twice.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Each row.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// The request ids. Fails when one is there twice.
    pub fn ids(&self) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for row in &self.0 {
            assert!(ids.insert(text(row, "/request_id")), "stored twice: {row}");
        }
        ids
    }

    /// The rows by the value of a tag. Fails when a value is there twice.
    pub fn by_tag(&self, name: &str) -> BTreeMap<String, Value> {
        let mut rows = BTreeMap::new();
        for row in &self.0 {
            let before = rows.insert(text(row, &format!("/tags/{name}")), row.clone());
            assert!(before.is_none(), "stored twice: {row} and {before:?}");
        }
        rows
    }

    /// How many rows have each `error_type`.
    pub fn error_types(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for row in &self.0 {
            *counts.entry(text(row, "/error_type")).or_default() += 1;
        }
        counts
    }
}

/// A member as text; empty when it is none.
pub fn text(row: &Value, pointer: &str) -> String {
    row.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The request ids of the access log's lines, own endpoints left out. Fails when one is there twice.
pub fn logged_ids(log: &[Value]) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for line in log.iter().filter_map(names::access) {
        assert!(ids.insert(text(line, "/request_id")), "logged twice: {line}");
    }
    ids
}

impl Gateway {
    /// The folder of the usage store.
    pub fn usage_folder(&self) -> std::path::PathBuf {
        names::usage_folder(self.folder())
    }

    /// The rows that are stored now.
    pub async fn rows_now(&self) -> Result<Rows, String> {
        Rows::read(&self.usage_folder()).await
    }

    /// The rows once each exchange of this process that has a line in the access log is stored, and no other is open.
    pub async fn rows(&self) -> Rows {
        let look = async || {
            let metrics = self.metrics();
            let left = (metrics.total(names::EXCHANGES_OPEN), metrics.total(names::USAGE_EVENTS_WAITING));
            if left != (0.0, 0.0) {
                return Err(format!("{left:?} exchanges open and events waiting"));
            }
            let rows = self.rows_now().await?;
            let (logged, stored) = (logged_ids(&self.log()), rows.ids());
            let missing: Vec<_> = logged.difference(&stored).take(5).collect();
            let ended = metrics.exchanges_with_events().0;
            if missing.is_empty() && logged.len().to_string() == ended.to_string() {
                return Ok(rows);
            }
            Err(format!("{ended} ended, {} logged, {} stored; not stored: {missing:?}", logged.len(), stored.len()))
        };
        super::wait_until("each exchange is stored", look).await
    }

    /// The process that serves the usage store's folder; `None` while there is none.
    pub fn usage_store_process(&self) -> Option<rustix::process::Pid> {
        let folder = self.usage_folder();
        let serves = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut arguments = line.split(|byte| *byte == 0);
            arguments.clone().any(|argument| argument == b"usage-store")
                && arguments.any(|argument| Path::new(&*String::from_utf8_lossy(argument)) == folder)
        };
        let entries = fs::read_dir("/proc").expect("/proc can be read");
        let mut processes = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        rustix::process::Pid::from_raw(processes.find(serves)?)
    }
}
