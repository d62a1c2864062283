//! The gateway as an operator meets it: file shapes, arguments, log lines and metric names. The one place that changes
//! when they do.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The arguments before the folder of the configuration.
pub const ARGUMENTS_SERVE: &[&str] = &["serve", "--config"];

/// The argument that takes the listening sockets of the process that runs.
pub const ARGUMENT_UPGRADE: &str = "--upgrade";

/// The metric that counts usage events.
pub const USAGE_EVENTS: &str = "gateway_usage_events_total";
/// Usage events that were lost.
pub const USAGE_EVENTS_LOST: &str = "gateway_usage_events_lost_total";
/// Usage events that are not stored yet.
pub const USAGE_EVENTS_WAITING: &str = "gateway_usage_events_waiting";
/// Exchanges that have not ended.
pub const EXCHANGES_OPEN: &str = "gateway_exchanges_open";
/// Exchanges by provider.
pub const EXCHANGES: &str = "gateway_exchanges_total";
/// Requests refused because their address sent too many unknown keys: they make no usage event.
pub const FLOODS_REFUSED: &str = "gateway_floods_refused_total";
/// The provider label of exchanges on the gateway's own endpoints: they make no usage event.
pub const EXCHANGES_OWN: &str = "provider=\"gateway\"";
/// The provider label of exchanges that were not routed: they make one, unless they were refused before.
pub const EXCHANGES_UNROUTED: &str = "provider=\"none\"";

/// gateway.yaml, with everything that has a place in one folder. JSON is YAML.
pub fn gateway_yaml(folder: &Path) -> Value {
    json!({
        "listeners": [{"address": "127.0.0.1:0"}],
        "operations": {"address": "127.0.0.1:0"},
        "store": {"sqlite": folder.join("control.sqlite")},
        "usage": {
            "embedded": {"folder": usage_folder(folder)},
            "spool": {"folder": spool_folder(folder)},
            "flush_interval_ms": 200,
        },
        "server": {"threads": 2, "grace_period_seconds": 10, "graceful_shutdown_timeout_seconds": 5},
    })
}

/// Where the usage store is.
pub fn usage_folder(folder: &Path) -> PathBuf {
    folder.join("usage")
}

/// Where usage events wait for the usage store.
pub fn spool_folder(folder: &Path) -> PathBuf {
    folder.join("spool")
}

/// A line of the access log about an exchange that was routed to a provider.
pub fn access(line: &Value) -> Option<&Value> {
    let is = |name: &str, text: &str| line.get(name).and_then(Value::as_str) == Some(text);
    (is("target", "access") && !is("provider", "gateway") && !is("provider", "none")).then_some(line)
}

/// One more provider that speaks the `openai` dialect, as lines under `providers:`.
pub fn extra_provider(name: &str, upstream: &str, variable: &str) -> String {
    format!(
        "  {name}:\n    dialect: openai\n    upstream: {upstream}\n    credential: env:{variable}\n    endpoints: [openai]\n"
    )
}

/// Where a log line says that the gateway listens: the surface and the address.
pub fn listening(line: &Value) -> Option<(&str, &str)> {
    let fields = line.get("fields").unwrap_or(line);
    let is = fields.get("message").and_then(Value::as_str) == Some("listening");
    let text = |name| fields.get(name).and_then(Value::as_str);
    if is { text("surface").zip(text("address")) } else { None }
}

/// The key that a first start shows, and nothing else ever does.
pub fn bootstrap_key(line: &str) -> Option<&str> {
    line.trim().strip_prefix("bootstrap key: ")
}

/// What a key that a test asks for may do.
#[derive(Debug, Clone)]
pub struct Grant {
    pub organization: String,
    pub scopes: Vec<String>,
    /// `provider:pattern`
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    /// Further arguments of `key issue`.
    pub arguments: Vec<String>,
}

impl Grant {
    /// All scopes and all models, in an organization of that name.
    pub fn all(organization: &str) -> Self {
        let scopes = ["inference:use", "prompt:use", "stats:read", "keys:manage"].map(str::to_owned).to_vec();
        Self {
            organization: organization.to_owned(),
            scopes,
            allow: vec!["*:*".to_owned()],
            deny: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// The arguments of `sociaro-gateway` that issue it.
    pub fn arguments(&self, config: &Path) -> Vec<String> {
        let mut arguments =
            vec!["key", "issue", "--json", "--config"].into_iter().map(str::to_owned).collect::<Vec<_>>();
        arguments.push(config.display().to_string());
        arguments.extend(["--org".to_owned(), self.organization.clone()]);
        for (flag, values) in [("--scope", &self.scopes), ("--allow", &self.allow), ("--deny", &self.deny)] {
            arguments.extend(values.iter().flat_map(|value| [flag.to_owned(), value.clone()]));
        }
        arguments.extend(self.arguments.iter().cloned());
        arguments
    }
}

/// The arguments that create an organization.
pub fn create_organization(name: &str, config: &Path) -> Vec<String> {
    let config = config.display().to_string();
    ["org", "create", "--name", name, "--json", "--config", &config].map(str::to_owned).to_vec()
}

/// A key that was issued.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

impl Key {
    /// From what `key issue --json`, or `POST /gw/keys`, prints.
    pub fn of(printed: &Value) -> Option<Self> {
        let text = |name| printed.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self { id: text("api_key_id")?, secret: text("key")? })
    }
}
