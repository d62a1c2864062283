//! A gateway with its usage store at hand: rows go in as a test wants them, and come out by SQL.

use crate::support::{
    gateway::{Gateway, Grant, Key, Options},
    http::{Answer, Ask},
};
use serde_json::{Value, json};
use sociaro_gateway::{
    base::ids::RequestId,
    usage::{connector, engine, settings::Server},
};

/// A gateway whose tables are there.
pub struct Ground {
    pub gateway: Gateway,
    pub client: clickhouse::Client,
}

#[expect(clippy::disallowed_methods, reason = "the environment names a server to test against")]
fn variable(name: &str) -> Option<String> {
    std::env::var(format!("GATEWAY_TEST_CLICKHOUSE_{name}")).ok()
}

/// Whether a server is used instead of the embedded store.
pub fn on_server() -> bool {
    variable("URL").is_some()
}

impl Ground {
    /// Starts it, on the embedded store or the server that the environment names.
    pub fn start(options: Options) -> Self {
        let Some(url) = variable("URL") else {
            let gateway = Gateway::start(options);
            let client = connector::embedded(&engine::socket(&gateway.usage_folder()));
            return Self::migrated(gateway, client.with_database("sociaro"));
        };
        let user = variable("USER").unwrap_or_else(|| "default".to_owned());
        let password = variable("PASSWORD");
        let database = format!("test_{}", RequestId::generate()).to_ascii_lowercase();
        let mut store = json!({"url": url, "user": user});
        let mut options = options.set("/usage/database", json!(database));
        if let Some(password) = &password {
            store["password"] = json!("env:TEST_STORE_PASSWORD");
            options = options.env("TEST_STORE_PASSWORD", password);
        }
        let gateway = Gateway::start(options.set("/usage/clickhouse", store));
        let password = password.map(sociaro_gateway::base::secret::Secret::new);
        let client = connector::server(&Server { url, user, password, cluster: None });
        Self::migrated(gateway, client.with_database(database))
    }

    fn migrated(gateway: Gateway, client: clickhouse::Client) -> Self {
        let ground = Self { gateway, client };
        let output = ground.command(&["migrate"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ground
    }

    /// A command of the program, on the gateway's configuration.
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        let config = self.gateway.config().display().to_string();
        let arguments = arguments.iter().copied().chain(["--config", &config]);
        self.gateway.run(&arguments.map(str::to_owned).collect::<Vec<_>>())
    }

    /// What a command prints that must succeed.
    pub fn printed(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A key with all rights in an organization of that name, and the organization's id.
    pub fn issue(&self, organization: &str) -> (Key, String) {
        let key = self.gateway.issue(&Grant::all(organization));
        let list: Value = serde_json::from_str(&self.printed(&["org", "list", "--json"])).unwrap();
        let found = list.as_array().unwrap().iter().find(|one| one["name"] == organization);
        (key, found.unwrap()["id"].as_str().unwrap().to_owned())
    }

    /// Stores rows. What a row does not say is as a plain, priced success of `gpt-5` has it.
    pub async fn insert(&self, rows: &[Value]) {
        let text = rows.iter().fold(String::new(), |text, row| text + &whole(row).to_string() + "\n");
        let insert = self.client.insert_formatted_with("INSERT INTO usage_events FORMAT JSONEachRow");
        let mut insert = insert.with_setting("insert_deduplication_token", RequestId::generate().to_string());
        insert.send(text.into()).await.unwrap();
        insert.end().await.unwrap();
    }

    /// One request with a key.
    pub async fn get(&self, target: &str, key: &Key) -> Answer {
        self.gateway.client().send(&Ask::get(target).bearer(&key.secret)).await
    }

    /// Statistics, which must be answered.
    pub async fn stats(&self, query: &str, key: &Key) -> Value {
        self.get(&format!("/gw/stats?{query}"), key).await.expect(200).json()
    }

    /// The rows of a statement, each a JSON list.
    pub async fn select(&self, sql: &str) -> Vec<Value> {
        let mut cursor = self.client.query_raw(sql).fetch_bytes("JSONCompactEachRow").unwrap();
        lines(&cursor.collect().await.unwrap())
    }
}

/// JSON documents, one a line.
pub fn lines(bytes: &[u8]) -> Vec<Value> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn whole(row: &Value) -> Value {
    let mut whole = json!({
        "kind": "exchange", "request_id": RequestId::generate().as_str(), "environment": "live", "provider": "openai",
        "endpoint": "chat.completions", "method": "POST", "model_requested": "gpt-5", "model_served": "gpt-5", "status": 200,
        "key_prefix": "gw_live_01234567", "usage_source": "provider", "price_version": "v1/openai/gpt-5", "latency_ms": 100,
        "recorded_at": row["time"], "tags": {},
    });
    for (name, value) in row.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole
}
