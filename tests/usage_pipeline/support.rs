//! A store for each test (a database of its own on one shared engine) and events by a fixed dice.

use parking_lot::Mutex;
use sociaro_gateway::{
    auth::key::Environment,
    base::{
        clock::{Duration, Timestamp, instant},
        ids::{KeyId, OrganizationId, RequestId},
        money::Money,
    },
    metering::reading::{Tokens, Units, UsageSource},
    pricing::charge::Charge,
    usage::{
        connector, engine,
        event::UsageEvent,
        queue::Rows,
        schema::migrate,
        settings::{self, Settings},
        shipper::{ClickHouse, Sink},
        source::Batch,
    },
};
use std::borrow::Cow;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Weak},
};

const START_TIME_MAX: Duration = Duration::from_mins(1);
const START_POLL: Duration = Duration::from_millis(20);

/// The engine's process, shared by the tests that run at the same time, ended by the last of them.
static ENGINE: Mutex<Weak<Engine>> = Mutex::new(Weak::new());

pub(crate) struct Engine {
    folder: tempfile::TempDir,
    child: Child,
}

impl Engine {
    fn share() -> Arc<Self> {
        let mut shared = ENGINE.lock();
        shared.upgrade().unwrap_or_else(|| {
            let engine = Arc::new(Self::start());
            *shared = Arc::downgrade(&engine);
            engine
        })
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Self::spawn(folder.path());
        let mut engine = Self { folder, child };
        engine.wait();
        engine
    }

    fn spawn(folder: &Path) -> Child {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/libchdb.sh");
        let library = Command::new(script).arg("--path").output().unwrap().stdout;
        Command::new(env!("CARGO_BIN_EXE_sociaro-gateway"))
            .args(["usage-store", "--memory-bytes-max", "2000000000", "--libchdb"])
            .arg(String::from_utf8(library).unwrap().trim())
            .arg("--folder")
            .arg(folder)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn wait(&mut self) {
        let started = instant();
        while !self.answers() {
            assert!(self.child.try_wait().unwrap().is_none(), "the engine ended; was `make setup` run?");
            assert!(started.elapsed() < START_TIME_MAX, "the engine does not answer");
            std::thread::sleep(START_POLL);
        }
    }

    /// An end without warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Begins again on the same folder.
    pub(crate) fn restart(&mut self) {
        self.child = Self::spawn(self.folder.path());
        self.wait();
    }

    fn client(&self) -> clickhouse::Client {
        connector::embedded(&engine::socket(self.folder.path()))
    }

    fn answers(&self) -> bool {
        let ask = || {
            let mut stream = UnixStream::connect(engine::socket(self.folder.path()))?;
            stream.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer.ends_with("Ok.\n"))
        };
        ask().unwrap_or(false)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment names a server to test against")]
fn variable(name: &str) -> Option<String> {
    std::env::var(format!("GATEWAY_TEST_CLICKHOUSE_{name}")).ok()
}

/// A database of one test.
pub(crate) struct Store {
    pub(crate) client: clickhouse::Client,
    pub(crate) settings: Settings,
    _engine: Option<Arc<Engine>>,
}

impl Store {
    /// A database without tables, not made yet.
    pub(crate) fn empty() -> Self {
        let (client, engine) = if let Some(url) = variable("URL") {
            let user = variable("USER").unwrap_or_else(|| "default".to_owned());
            let client = clickhouse::Client::default().with_url(url).with_user(user);
            (variable("PASSWORD").map_or(client.clone(), |password| client.with_password(password)), None)
        } else {
            let engine = Engine::share();
            (engine.client(), Some(engine))
        };
        Self { client, settings: settings(), _engine: engine }
    }

    /// A database without tables, on an engine that no other test uses.
    pub(crate) fn alone() -> (Self, Engine) {
        let engine = Engine::start();
        (Self { client: engine.client(), settings: settings(), _engine: None }, engine)
    }
    /// A database with its tables.
    pub(crate) async fn new() -> Self {
        let store = Self::empty();
        migrate(&store.client, &store.settings).await.unwrap();
        store
    }

    /// Sends a batch as the shipper would: again, when a connection to an engine that was killed is found dead.
    pub(crate) async fn insert(&self, token: &str, events: &[UsageEvent<'_>]) {
        let batch = Batch::new(token, Rows::of(events));
        let mut store = ClickHouse::new(&self.client, &self.settings);
        let mut faults = Vec::new();
        while let Err(fault) = store.store(&batch).await {
            faults.push(fault);
            assert!(faults.len() < 5, "{faults:?}");
        }
    }

    /// Exchanges and cost in nano-dollars: from the rows, the hours and the days.
    pub(crate) async fn sums(&self) -> [(u64, i64); 3] {
        let mut sums = [(0, 0); 3];
        for (sum, (requests, table)) in sums.iter_mut().zip([
            ("countIf(kind = 'exchange')", "usage_events"),
            ("sum(requests)", "usage_hourly"),
            ("sum(requests)", "usage_daily"),
        ]) {
            let sql = format!("SELECT {requests}, sum(cost_nanousd) FROM {}.{table}", self.settings.database);
            *sum = self.client.query_raw(&sql).fetch_one().await.unwrap();
        }
        sums
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        // the tests have the client already
        store: settings::Store::ClickHouse(settings::Server {
            url: String::new(),
            user: String::new(),
            password: None,
            cluster: None,
        }),
        database: format!("test_{}", RequestId::generate()),
        queue_events_max: 10_000,
        spool: settings::Spool::default(),
        flush_interval: Duration::from_millis(100),
        batch_events_max: 300,
        keep_days: 400,
        hot_tags: vec!["feature".into()],
        query_time_max: Duration::from_secs(20),
        query_memory_bytes_max: 1 << 30,
        query_rows_max: 1_000_000,
        queries_per_key_max: 4,
        queries_max: 6,
    }
}

/// Numbers that look random and are the same on every run (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below the bound.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(bound)).unwrap()
    }

    pub(crate) fn one_of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(u32::try_from(values.len()).unwrap()) as usize]
    }
}

/// Some event of the last 40 days.
pub(crate) fn event(dice: &mut Dice, now: Timestamp) -> UsageEvent<'static> {
    let text = |dice: &mut Dice, values: &[&str]| (*dice.one_of(values)).to_owned();
    let values = ["", "chat", "chat_v2", "50%", "it's", "a\\b", "two\nlines", "ünï", "{x:String}", "*", "?"];
    let mut tags: Vec<(String, String)> = Vec::new();
    for name in ["a.b-c", "feature", "team"] {
        if dice.below(3) > 0 {
            tags.push((name.into(), text(dice, &values)));
        }
    }
    let failed = dice.below(4) == 0;
    let priced = dice.below(5) > 0;
    let cost = if priced { i64::from(dice.below(2_000_000_000)) } else { 0 };
    UsageEvent {
        request_id: RequestId::generate(),
        time: now.plus_millis(-1 - i64::from(dice.below(u32::MAX)) * 4 / 5),
        organization_id: match dice.below(10) {
            0 => None,
            1 | 2 => Some(Cow::Owned(OrganizationId::new("org_b"))),
            _ => Some(Cow::Owned(OrganizationId::new("org_a"))),
        },
        key_id: Some(Cow::Owned(KeyId::new(format!("key_{}", dice.below(4))))),
        key_prefix: "gw_live_01234567".into(),
        environment: if dice.below(8) == 0 { Environment::Test } else { Environment::Live },
        provider: text(dice, &["openai", "anthropic", "google"]).into(),
        endpoint: text(dice, &["chat.completions", "messages", ""]).into(),
        method: "POST".into(),
        model_requested: text(dice, &["gpt-5", "claude", "gemini"]).into(),
        model_served: text(dice, &["gpt-5-2026-03-05", "claude", ""]).into(),
        status: if failed { *dice.one_of(&[0, 400, 429, 502]) } else { 200 },
        error_type: if failed {
            text(dice, &["rate_limited", "provider_error", "caller_gone"]).into()
        } else {
            "".into()
        },
        streamed: dice.below(2) == 0,
        attempts: 1,
        latency_ms: dice.below(60_000),
        ttft_ms: if dice.below(3) == 0 { 0 } else { dice.below(5_000) },
        bytes_in: u64::from(dice.below(100_000)),
        bytes_out: u64::from(dice.below(100_000)),
        tokens: Tokens {
            input: u64::from(dice.below(10_000)),
            cached_input: u64::from(dice.below(10_000)),
            output: u64::from(dice.below(1_000)),
            ..Tokens::default()
        },
        units: Units::default(),
        usage_source: *dice.one_of(&[UsageSource::Provider, UsageSource::Estimated, UsageSource::None]),
        service_tier: "default".into(),
        charge: Charge {
            cost: Money::from_nanos(cost),
            price_version: if priced { "v1".into() } else { String::new() },
            breakdown: vec![("input", Money::from_nanos(cost))],
            ..Charge::default()
        },
        provider_request_id: "req_1".into(),
        tags: tags.into(),
        entities: if failed { Vec::new() } else { vec![("EMAIL", dice.below(9))] }.into(),
    }
}
