//! gateway.yaml: everything but the providers and the prices. An empty file is valid.

use super::{
    fields::Fields,
    prompt,
    secret::{self, Lookup},
    server,
};
use crate::{
    auth,
    base::secret::Secret,
    budgets::{self, calendar::Calendar},
    exchange, limits, proxy, store, telemetry,
    usage::{
        self,
        settings::{Cluster, Embedded, Server, Spool, Store},
    },
};
use std::{collections::HashSet, net::SocketAddr};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
/// Bounds on tags, as the contract has them.
const TAGS_MAX: usize = 32;
const TAG_CHARS_MAX: usize = 64;
/// Shards of a cluster that are named.
const SHARDS_MAX: usize = 1024;
/// Each hot tag is a column of every usage row.
const HOT_TAGS_MAX: usize = 8;

/// What gateway.yaml says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gateway {
    pub(super) log: telemetry::settings::Settings,
    pub(super) proxy: proxy::settings::Settings,
    pub(super) store: store::settings::Settings,
    pub(super) auth: auth::settings::Settings,
    pub(super) limits: limits::settings::Settings,
    pub(super) budgets: budgets::settings::Settings,
    pub(super) exchange: exchange::settings::Settings,
    pub(super) usage: usage::settings::Settings,
    pub(super) prompt: crate::prompt::settings::Settings,
    /// Where the catalog names providers.
    pub(super) named: prompt::Named,
}

/// Reads the whole file.
pub(super) fn read(top: &Fields<'_>) -> Gateway {
    let proxy = server::read(top);
    let attribution = top.section("attribution", attribution);
    let (prompt, named) = top.section("prompt", prompt::read);
    Gateway {
        proxy,
        exchange: top.section("requests", |f| requests(f, attribution)),
        auth: top.section("auth", auth),
        limits: top.section("limits", limits),
        budgets: top.section("budgets", budgets),
        store: top.section("store", store),
        usage: top.section("usage", usage),
        log: top.section("log", log),
        prompt,
        named,
    }
}

fn requests(f: &Fields<'_>, attribution: Option<Vec<(String, String)>>) -> exchange::settings::Settings {
    let default = exchange::settings::Settings::default();
    exchange::settings::Settings {
        body_bytes_max: f.whole("body_bytes_max", default.body_bytes_max, 1024..=4 * GIB),
        head_bytes_max: f.whole("head_bytes_max", default.head_bytes_max, 1024..=MIB),
        head_read_max: f.seconds("head_read_timeout_seconds", default.head_read_max, 1..=3600),
        body_read_max: f.seconds("body_read_timeout_seconds", default.body_read_max, 1..=3600),
        decoded_bytes_max: f.whole("decoded_bytes_max", default.decoded_bytes_max, 1024..=4 * GIB),
        keepalive_seconds: f.whole("keepalive_seconds", default.keepalive_seconds, 0..=3600),
        caller_write_max: f.seconds("caller_write_timeout_seconds", default.caller_write_max, 1..=3600),
        attempts_max: f.whole("attempts_max", default.attempts_max, 1..=16),
        drains_max: f.whole("drains_max", default.drains_max, 0..=100_000),
        attribution_headers: attribution.unwrap_or(default.attribution_headers),
    }
}

/// Headers with the tags that they become. `None` when the file says nothing about them.
fn attribution(f: &Fields<'_>) -> Option<Vec<(String, String)>> {
    let members = f.members("headers", TAGS_MAX)?;
    let mut headers = Vec::new();
    let (mut names, mut tags) = (HashSet::new(), HashSet::new());
    for (key, item) in members {
        let header = key.text.to_ascii_lowercase();
        let Some(tag) = item.parsed(TAG_EXPECTED, tag) else { continue };
        if !is_header_name(&header) {
            key.fault("expected the name of a header, such as X-Project");
        } else if CARRIES_SECRETS_OR_FRAMING.contains(&header.as_str()) {
            key.fault("carries secrets or belongs to HTTP itself: its value may not become a tag");
        } else if header.starts_with("x-attr-") {
            key.fault("X-Attr-<name> becomes the tag <name> by itself: remove it here");
        } else if !names.insert(header.clone()) {
            key.fault("stands here twice: header names have no case");
        } else if !tags.insert(tag.clone()) {
            item.fault("is the tag of another header already");
        } else {
            headers.push((header, tag));
        }
    }
    Some(headers)
}

const TAG_EXPECTED: &str = "a tag's name: 1 to 64 of a-z, 0-9, `_`, `.`, `-`";

/// Headers that never become tags.
const CARRIES_SECRETS_OR_FRAMING: &[&str] = &[
    "api-key",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "host",
    "proxy-authorization",
    "sec-websocket-protocol",
    "transfer-encoding",
    "x-api-key",
    "x-goog-api-key",
];

fn tag(text: &str) -> Option<String> {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    ((1..=TAG_CHARS_MAX).contains(&text.len()) && text.bytes().all(valid)).then(|| text.to_owned())
}

/// Whether it is a token as HTTP defines it, in lower case.
pub(super) fn is_header_name(text: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(valid)
}

fn auth(f: &Fields<'_>) -> auth::settings::Settings {
    let default = auth::settings::Settings::default();
    auth::settings::Settings {
        cache_age_max: f.seconds("cache_age_max_seconds", default.cache_age_max, 1..=30),
        cache_keys_max: f.whole("cache_keys_max", default.cache_keys_max, 1..=10_000_000),
        cache_unknown_max: f.whole("cache_unknown_max", default.cache_unknown_max, 1..=10_000_000),
        unknown_per_second_max: f.whole("unknown_per_second_max", default.unknown_per_second_max, 0..=100_000),
        store_down_grace: f.seconds("store_down_grace_seconds", default.store_down_grace, 0..=86_400),
    }
}

fn limits(f: &Fields<'_>) -> limits::settings::Settings {
    let default = limits::settings::Settings::default();
    limits::settings::Settings {
        output_tokens_default: f.whole("output_tokens_default", default.output_tokens_default, 0..=100_000_000),
    }
}

fn budgets(f: &Fields<'_>) -> budgets::settings::Settings {
    const EXPECTED: &str = "a time zone of the system's database, such as UTC or Europe/Berlin";
    let default = budgets::settings::Settings::default();
    let calendar = f.get("time_zone").and_then(|item| item.parsed(EXPECTED, Calendar::named));
    budgets::settings::Settings {
        calendar: calendar.unwrap_or(default.calendar),
        save_interval: f.millis("save_interval_ms", default.save_interval, 50..=60_000),
        output_tokens_default: f.whole("output_tokens_default", default.output_tokens_default, 0..=100_000_000),
        input_tokens_max: f.whole("input_tokens_max", default.input_tokens_max, 0..=100_000_000),
        alert_shares: alert_shares(f).unwrap_or(default.alert_shares),
        webhook: webhook(f),
    }
}

fn alert_shares(f: &Fields<'_>) -> Option<Vec<u16>> {
    let items = f.elements("alert_shares", budgets::alerts::SHARES_MAX)?;
    Some(items.iter().filter_map(|item| item.whole(1..=1000)).collect())
}

fn webhook(f: &Fields<'_>) -> Option<budgets::settings::Webhook> {
    const EXPECTED: &str = "a URL such as https://hooks.example/budgets, without user and password";
    let url = f.get("webhook_url").and_then(|item| item.parsed(EXPECTED, webhook_url));
    let secret = password(f, "webhook_secret");
    if f.has("webhook_url") != f.has("webhook_secret") {
        f.fault("webhook_url and webhook_secret go together: deliveries are signed");
    }
    Some(budgets::settings::Webhook { url: url?, secret: secret? })
}

fn webhook_url(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (known && plain).then(|| text.to_owned())
}

fn store(f: &Fields<'_>) -> store::settings::Settings {
    store::settings::Settings { sqlite: f.path("sqlite", &store::settings::Settings::default().sqlite) }
}

fn log(f: &Fields<'_>) -> telemetry::settings::Settings {
    const EXPECTED: &str = "a log filter, such as info or info,sociaro_gateway=debug";
    let default = telemetry::settings::Settings::default();
    let valid = |text: &str| {
        let filter = tracing_subscriber::EnvFilter::builder().parse(text);
        (!text.is_empty() && filter.is_ok()).then(|| text.to_owned())
    };
    let level = f.get("level").and_then(|item| item.parsed(EXPECTED, valid)).unwrap_or(default.level);
    telemetry::settings::Settings { level, access: f.switch("access", default.access) }
}

fn usage(f: &Fields<'_>) -> usage::settings::Settings {
    let default = usage::settings::Settings::default();
    let embedded = f.section("embedded", embedded);
    let server = f.section("clickhouse", clickhouse);
    let store = server.map_or(Store::Embedded(embedded), Store::ClickHouse);
    let settings = usage::settings::Settings {
        store,
        database: f
            .get("database")
            .and_then(|item| item.parsed(DATABASE_EXPECTED, database))
            .unwrap_or(default.database),
        queue_events_max: f.whole("queue_events_max", default.queue_events_max, 1_000..=10_000_000),
        spool: f.section("spool", spool),
        flush_interval: f.millis("flush_interval_ms", default.flush_interval, 50..=60_000),
        batch_events_max: f.whole("batch_events_max", default.batch_events_max, 100..=500_000),
        keep_days: f.whole("keep_days", default.keep_days, 1..=3_650),
        hot_tags: hot_tags(f).unwrap_or(default.hot_tags),
        query_time_max: f.seconds("query_timeout_seconds", default.query_time_max, 1..=600),
        query_memory_bytes_max: f.whole(
            "query_memory_bytes_max",
            default.query_memory_bytes_max,
            64 * MIB..=1024 * GIB,
        ),
        query_rows_max: f.whole("query_rows_max", default.query_rows_max, 100_000..=1_000_000_000_000),
        queries_per_key_max: f.whole("queries_per_key_max", default.queries_per_key_max, 1..=1_000),
        queries_max: f.whole("queries_max", default.queries_max, 1..=1_000),
    };
    if let Store::Embedded(engine) = &settings.store
        && settings.query_memory_bytes_max > engine.memory_bytes_max
    {
        f.fault("query_memory_bytes_max is above embedded.memory_bytes_max: one query may take what the engine has");
    }
    if settings.batch_events_max > settings.queue_events_max {
        f.fault("batch_events_max is above queue_events_max: a batch could never fill");
    }
    settings
}

fn spool(f: &Fields<'_>) -> Spool {
    let default = Spool::default();
    let settings = Spool {
        folder: f.path("folder", &default.folder),
        durable: f.switch("durable", default.durable),
        commit_interval: f.millis("commit_interval_ms", default.commit_interval, 1..=10_000),
        commit_bytes: f.whole("commit_bytes", default.commit_bytes, 4096..=64 * MIB),
        segment_bytes: f.whole("segment_bytes", default.segment_bytes, MIB..=GIB),
        bytes_max: f.whole("bytes_max", default.bytes_max, MIB..=1024 * GIB),
    };
    if settings.segment_bytes > settings.bytes_max {
        f.fault("segment_bytes is above bytes_max: not one file would have room");
    }
    settings
}

fn hot_tags(f: &Fields<'_>) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    for item in f.elements("hot_tags", HOT_TAGS_MAX)? {
        let Some(tag) = item.parsed(TAG_EXPECTED, tag) else { continue };
        if tags.contains(&tag) {
            item.fault("stands here twice");
        } else {
            tags.push(tag);
        }
    }
    Some(tags)
}

const DATABASE_EXPECTED: &str = "a database's name: a-z, 0-9 and `_`, beginning with a letter, at most 64";

fn database(text: &str) -> Option<String> {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    (starts && text.len() <= 64 && text.bytes().all(valid)).then(|| text.to_owned())
}

fn embedded(f: &Fields<'_>) -> Embedded {
    let default = Embedded::default();
    Embedded {
        folder: f.path("folder", &default.folder),
        libchdb: f.path_if_any("libchdb"),
        memory_bytes_max: f.whole("memory_bytes_max", default.memory_bytes_max, 512 * MIB..=1024 * GIB),
        loopback: loopback(f),
    }
}

fn loopback(f: &Fields<'_>) -> Option<(SocketAddr, Secret)> {
    const EXPECTED: &str = "a loopback address and a port, such as 127.0.0.1:8123";
    let parse = |text: &str| text.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback());
    let address = f.get("loopback_address").and_then(|item| item.parsed(EXPECTED, parse));
    let password = password(f, "loopback_password");
    if f.has("loopback_address") && !f.has("loopback_password") {
        f.fault("loopback_address needs a loopback_password: every local user could read all usage otherwise");
    }
    Some((address?, password?))
}

fn clickhouse(f: &Fields<'_>) -> Option<Server> {
    const EXPECTED: &str = "a URL such as https://clickhouse.internal:8443, without user and password";
    let url = f.get("url").and_then(|item| item.parsed(EXPECTED, clickhouse_url));
    let user = f.text_if_any("user", "a user's name");
    let password = password(f, "password");
    if f.has("password") && !f.has("url") {
        f.fault("a password needs a url to go to");
    }
    let cluster = cluster(f);
    Some(Server { url: url?, user: user.unwrap_or_else(|| "default".to_owned()), password, cluster })
}

fn cluster(f: &Fields<'_>) -> Option<Cluster> {
    const NAME: &str = "a cluster's name: letters, digits, `_` and `-`, at most 64";
    const URL: &str = "a URL such as https://shard1.internal:8443, without user and password";
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let parse = |text: &str| ((1..=64).contains(&text.len()) && text.bytes().all(valid)).then(|| text.to_owned());
    let name = f.get("cluster").and_then(|item| item.parsed(NAME, parse));
    let urls = f.elements("shards", SHARDS_MAX).unwrap_or_default();
    let shards: Vec<String> = urls.iter().filter_map(|item| item.parsed(URL, clickhouse_url)).collect();
    if f.has("cluster") == urls.is_empty() {
        f.fault(
            "cluster and shards go together: each batch is written to one shard, which must not change between tries",
        );
    }
    Some(Cluster { name: name?, shards })
}

fn clickhouse_url(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@')) && uri.query().is_none();
    (known && plain).then(|| text.trim_end_matches('/').to_owned())
}

/// A password that is referred to must be there: without it the store would refuse us at run time.
fn password(f: &Fields<'_>, name: &'static str) -> Option<Secret> {
    let item = f.raw(name)?;
    match secret::look_up(&item)? {
        Lookup::Found(secret) => Some(secret),
        Lookup::NotSet(what) => {
            item.fault(what);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{fields::Source, yaml};
    use std::fs;

    fn load(text: &str) -> (Gateway, Vec<String>) {
        let env = |name: &str| (name == "SET").then(|| "hush".to_owned());
        let mut syntax = Vec::new();
        let root = yaml::parse("f", text.as_bytes(), &mut syntax).unwrap();
        let source = Source::new("f", &env);
        let gateway = source.read(&root, read);
        (gateway, syntax.into_iter().chain(source.into_faults()).map(|fault| fault.to_string()).collect())
    }

    /// A file, and what is said of it.
    const WRONG: &[(&str, &str)] = &[
        ("listeners: []", "at least one listener"),
        ("listeners:\n  - {}", "f:2:5: listeners[0].address: is missing"),
        ("listeners:\n  - address: localhost:80", "f:2:14: listeners[0].address: expected an IP address and a port"),
        (
            "listeners:\n  - address: 1.2.3.4:80\n  - address: 1.2.3.4:80",
            "f:3:5: listeners[1]: has the address of listeners[0]",
        ),
        ("listeners:\n  - address: 127.0.0.1:9090", "operations.address is 127.0.0.1:9090 by default"),
        (
            "listeners:\n  - address: 1.2.3.4:80\noperations: {address: 1.2.3.4:80}",
            "f:3:23: operations.address: is the address",
        ),
        ("listeners:\n  - address: 1.2.3.4:80\n    tls: {certificate: /nonexistent}", "/nonexistent cannot be read"),
        ("listeners:\n  - address: 1.2.3.4:80\n    tls: {}", "tls.private_key: is missing"),
        ("server: {threads: many}", "f:1:19: server.threads: expected a whole number from 0 to 1024, found \"many\""),
        ("server: {downstream_tls_offload_threadpools: 2}", "set both or none"),
        (
            "server: {client_bind_to_ipv4: ['::1']}",
            "server.client_bind_to_ipv4[0]: expected an IP address of that family",
        ),
        ("server: {ca_file: /nonexistent}", "server.ca_file: /nonexistent cannot be read"),
        ("requests: {attempts_max: 0}", "requests.attempts_max: expected a whole number from 1 to 16"),
        ("requests: {body_bytes_max: 64MiB}", "found \"64MiB\""),
        ("attribution: {headers: [X-Project]}", "expected a mapping of names, found a list"),
        ("attribution: {headers: {Authorization: a}}", "carries secrets"),
        ("attribution: {headers: {X-A: a, x-a: b}}", "twice"),
        ("attribution: {headers: {X-A: a, X-B: a}}", "another header"),
        ("attribution: {headers: {X-Attr-A: a}}", "by itself"),
        ("attribution: {headers: {X-A: Ä}}", "a tag's name"),
        ("attribution: {headers: {'X A': a}}", "name of a header"),
        ("auth: {cache_age_max_seconds: 31}", "from 1 to 30"),
        ("budgets: {time_zone: Mars/Olympus}", "a time zone of the system's database"),
        ("budgets: {alert_shares: [0]}", "from 1 to 1000"),
        ("budgets: {webhook_url: 'https://h/x'}", "go together"),
        ("budgets: {webhook_url: 'https://u:p@h/x', webhook_secret: env:SET}", "without user and password"),
        ("budgets: {webhook_url: 'https://h/x', webhook_secret: hunter2}", "the secret itself"),
        ("usage: {hot_tags: [a, a]}", "usage.hot_tags[1]: stands here twice"),
        ("usage: {hot_tags: [a, b, c, d, e, f, g, h, i]}", "at most 8"),
        ("usage: {database: 'a b'}", "a database's name"),
        ("usage: {batch_events_max: 2000, queue_events_max: 1000}", "could never fill"),
        ("usage: {spool: {segment_bytes: 2097152, bytes_max: 1048576}}", "not one file would have room"),
        ("usage: {query_memory_bytes_max: 4294967296}", "embedded.memory_bytes_max"),
        ("usage: {embedded: {loopback_address: '0.0.0.0:8123', loopback_password: env:SET}}", "a loopback address"),
        ("usage: {embedded: {loopback_address: '127.0.0.1:8123'}}", "needs a loopback_password"),
        ("usage: {clickhouse: {url: 'https://u:hunter2@host'}}", "without user and password"),
        ("usage: {clickhouse: {url: 'ftp://host'}}", "a URL such as"),
        ("usage: {clickhouse: {url: 'http://h', password: env:UNSET}}", "the variable UNSET is not set"),
        ("usage: {clickhouse: {url: 'http://h', password: hunter2}}", "the secret itself (not shown)"),
        ("usage: {clickhouse: {password: env:SET}}", "needs a url"),
        ("usage: {clickhouse: {url: 'http://h', cluster: c}}", "cluster and shards go together"),
        ("usage: {clickhouse: {url: 'http://h', shards: ['http://h']}}", "cluster and shards go together"),
        ("usage: {clickhouse: {url: 'http://h', cluster: 'a b', shards: ['http://h']}}", "a cluster's name"),
        ("usage: {clickhouse: {url: 'http://h', cluster: c, shards: ['ftp://h']}}", "shards[0]: expected a URL"),
        ("usage: {queries_per_key_max: 0}", "usage.queries_per_key_max: expected a whole number from 1 to 1000"),
        ("log: {level: '=='}", "a log filter"),
        ("log: {access: yes}", "expected true or false, found \"yes\""),
    ];

    #[test]
    fn each_wrong_value_is_a_fault_at_its_line() {
        for (text, says) in WRONG {
            let (_, faults) = load(text);
            assert!(faults.iter().any(|fault| fault.contains(says)), "{text}: {faults:?}");
            assert!(faults.iter().all(|fault| !fault.contains("hunter2")), "{faults:?}");
        }
    }

    #[test]
    fn all_faults_come_out_at_once() {
        let (_, faults) = load("server: {threads: x, daemon: 1}\nauth: {cache: 1}\nlog: {access: 1}\nextra: 1\n");
        assert_eq!(faults.len(), 5, "{faults:?}");
    }

    #[test]
    fn what_the_file_says_is_what_the_settings_hold() {
        let folder = tempfile::tempdir().unwrap();
        let pem = folder.path().join("tls.pem");
        fs::write(&pem, "-----BEGIN CERTIFICATE-----\n").unwrap();
        let text = format!(
            "listeners:\n  - address: '[::1]:0'\n    tls: {{certificate: {pem}, private_key: {pem}, h2: false}}\n\
             server: {{threads: 3, requests_per_connection_max: 0, h2_idle_timeout_seconds: 0}}\n\
             attribution: {{headers: {{X-Team: team}}}}\n\
             usage:\n  flush_interval_ms: 250\n  clickhouse: {{url: 'https://ch:8443/', password: env:SET, cluster: main, \
             shards: ['https://a:1', 'https://b:1/']}}\n",
            pem = pem.display()
        );
        let (gateway, faults) = load(&text);
        assert_eq!(faults, Vec::<String>::new());
        let listener = &gateway.proxy.listeners[0];
        assert_eq!(listener.address.to_string(), "[::1]:0");
        assert!(listener.tls.as_ref().is_some_and(|tls| !tls.h2 && tls.certificate == pem));
        assert_eq!((gateway.proxy.server.threads, gateway.proxy.server.requests_per_connection_max), (3, None));
        assert_eq!(gateway.proxy.server.h2_idle_timeout, None);
        assert_eq!(gateway.exchange.attribution_headers, [("x-team".to_owned(), "team".to_owned())]);
        assert_eq!(gateway.usage.flush_interval.as_millis(), 250);
        let cluster = Cluster { name: "main".into(), shards: vec!["https://a:1".into(), "https://b:1".into()] };
        let server = Server {
            url: "https://ch:8443".into(),
            user: "default".into(),
            password: Some(Secret::new("hush")),
            cluster: Some(cluster),
        };
        assert_eq!(gateway.usage.store, Store::ClickHouse(server));
    }

    #[test]
    fn an_empty_file_gives_the_defaults_of_the_modules() {
        let (gateway, faults) = load("");
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(gateway.auth, auth::settings::Settings::default());
        assert_eq!(gateway.exchange, exchange::settings::Settings::default());
        assert_eq!(gateway.log, telemetry::settings::Settings::default());
        assert_eq!(gateway.proxy.listeners, proxy::settings::Settings::default().listeners);
        assert_eq!(gateway.proxy.server.threads, proxy::settings::cores());
        assert!(gateway.store.sqlite.ends_with("data/control.sqlite") && gateway.store.sqlite.is_absolute());
    }
}
