//! The composition root: the only file that names every part.

use crate::{
    api,
    auth::{issue::bootstrap, keyring::Keyring, port::KeyStore},
    base::{
        clock::{self, Duration},
        tasks::Tasks,
    },
    budgets::{
        alerts,
        keeper::{Keeper, LAST_ROUND_MAX},
        ledger::Ledger,
        port::SpendingRecord,
    },
    config::{env, settings::Settings},
    exchange::{admit::Gate, route::Routes, settle::Settlement},
    limits::limiters::Limiters,
    masking::Detector,
    metering::{beside, tokenizer},
    notify::webhook::Webhook,
    prompt::{catalog::Catalog, surface::Surface},
    proxy::{
        dial::Dialer,
        drain::Places,
        gateway::Gateway,
        server::{self, Built},
    },
    store::sqlite::SqliteStore,
    telemetry::{logs, metrics::METRICS},
    usage::{
        self,
        embedded::{Embedded, Program, State},
        settings::Store,
        shipper::{ClickHouse, Shipper},
        spent::UsageRecord,
        spool,
    },
};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use futures_util::future::join_all;
use std::{
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::{
    runtime::Runtime,
    sync::{Mutex, watch},
    time::MissedTickBehavior,
};

/// Threads for what no request waits for: shipping usage, name look-ups, the operators' listener.
const BACKGROUND_THREADS: usize = 2;
/// Names of providers are looked up again this often.
const ADDRESSES_EVERY: Duration = Duration::from_secs(30);
/// … and this often while one of them has never been found.
const ADDRESSES_MISSING_EVERY: Duration = Duration::from_secs(2);
/// When keys were last used is noted this often.
const USES_EVERY: Duration = Duration::from_mins(1);
/// How often alerts are looked for that are to be sent.
const ALERTS_EVERY: Duration = Duration::from_secs(1);
/// How often the usage store is asked what was spent, where there is something to ask.
const QUESTIONS_EVERY: Duration = Duration::from_secs(1);
/// How long the last usage events may take to be stored when the process ends.
const FLUSH_MAX: Duration = Duration::from_secs(10);
/// How often a draining process looks whether its exchanges have ended.
const DRAIN_POLL: Duration = Duration::from_millis(10);
/// How long answers that were relayed may still be metered then.
const METERING_MAX: Duration = Duration::from_secs(5);

/// A runtime for what no request waits for.
pub(crate) fn background() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(BACKGROUND_THREADS)
        .thread_name("background")
        .enable_all()
        .build()
        .context("cannot start the background threads")
}

/// Serves until a signal ends it, then drains.
pub(crate) fn serve(settings: &Settings, upgrade: bool) -> anyhow::Result<()> {
    let logs = logs::start(&settings.log)?;
    let runtime = background()?;
    let tasks = Tasks::new();
    slow_meters_down();
    let loading = thread::spawn(tokenizer::load);
    for (provider, missing) in &settings.disabled {
        tracing::warn!(provider, missing, "provider disabled: its credential is not set");
    }
    let draining = Arc::new(AtomicBool::new(false));
    let parts = runtime.block_on(Parts::start(settings, &tasks))?;
    let gateway = parts.gateway(settings, logs.access(), Arc::clone(&draining))?;
    let gate = Arc::clone(&gateway.gate);
    let built = server::build(&settings.proxy, gateway, settings.exchange.attempts_max, upgrade)?;
    runtime.block_on(parts.operations(settings, Arc::clone(&draining), &tasks))?;
    // So that the first calls find their provider; bounded by the time of one look-up.
    let found = runtime.block_on(look_up(&gate));
    if loading.join().is_err() {
        tracing::error!("the tokenizer cannot be loaded: estimates will be rough");
    }
    keep_fresh(&runtime, (gate, found), Arc::clone(&parts.keyring), &tasks);
    for address in &built.addresses {
        tracing::info!(surface = "callers", address = %address, "listening");
    }
    run_until_drained(built, &draining);
    runtime.block_on(parts.finish());
    tracing::info!("stopped");
    Ok(())
}

/// What lives as long as the process serves.
struct Parts {
    store: Arc<SqliteStore>,
    keyring: Arc<Keyring>,
    budgets: Arc<Ledger>,
    keeper: Arc<Mutex<Keeper>>,
    usage_store: UsageStore,
    shipper: Shipper,
    queue: usage::queue::EventQueue,
}

/// Where usage goes: the embedded store, held, or a server.
enum UsageStore {
    Embedded(Arc<Embedded>),
    Server(Box<usage::Client>),
}

impl UsageStore {
    fn client(&self) -> usage::Client {
        match self {
            Self::Embedded(embedded) => embedded.client(),
            Self::Server(client) => (**client).clone(),
        }
    }

    /// What keeps the store from answering, for operators.
    fn fault(&self) -> Option<String> {
        match self {
            Self::Embedded(embedded) => match embedded.state() {
                State::Ready => None,
                other => Some(other.to_string()),
            },
            Self::Server(_) => None,
        }
    }
}

impl Parts {
    async fn start(settings: &Settings, tasks: &Tasks) -> anyhow::Result<Self> {
        let store = Arc::new(SqliteStore::open(&settings.store).await?);
        if let Some(first) = bootstrap(&*store, clock::now()).await? {
            // The one moment at which the plaintext exists; it goes to the terminal, not into the log.
            writeln!(std::io::stderr(), "bootstrap key: {}", first.key.expose())?;
        }
        let key_store: Arc<dyn KeyStore> = Arc::clone(&store) as Arc<dyn KeyStore>;
        let keyring = Arc::new(Keyring::new(key_store, &settings.auth, tasks.clone()));
        let budgets = Arc::new(Ledger::new(settings.budgets.calendar.clone()));
        let mut keeper =
            Keeper::new(Arc::clone(&store) as Arc<_>, Arc::clone(&budgets), settings.budgets.alert_shares.clone());
        // Before the first request: a budget that is not known yet would let everything pass.
        keeper.round(clock::now()).await?;
        let keeper = Arc::new(Mutex::new(keeper));
        let usage_store = match &settings.usage.store {
            Store::Embedded(embedded) => UsageStore::Embedded(Arc::new(Embedded::start(embedded, program()?, tasks))),
            Store::ClickHouse(server) => UsageStore::Server(Box::new(usage::connector::server(server))),
        };
        let sink = ClickHouse::new(&usage_store.client(), &settings.usage);
        tasks.spawn(usage::prices::keep(usage_store.client(), settings.usage.clone(), Arc::clone(&settings.prices)));
        let spool = spool::open(&settings.usage, sink.clone());
        let mut shipper = Shipper::start(tasks, spool.own, sink.clone());
        if let Some(adopted) = spool.adopted {
            shipper = shipper.also(tasks, adopted, sink);
        }
        let parts = Self { store, keyring, budgets, keeper, usage_store, shipper, queue: spool.queue };
        parts.keep_budgets(settings, tasks);
        Ok(parts)
    }

    /// Stores what was spent, and asks what was spent before.
    fn keep_budgets(&self, settings: &Settings, tasks: &Tasks) {
        let (keeper, save_interval) = (Arc::clone(&self.keeper), settings.budgets.save_interval);
        tasks.spawn(async move {
            let mut every = tokio::time::interval(save_interval);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut failing = false;
            loop {
                every.tick().await;
                let done = keeper.lock().await.round(clock::now()).await;
                if let Err(error) = &done {
                    METRICS.budget_store_failures_total.inc();
                    if !failing {
                        tracing::error!(%error, "budgets go on with what is known; what is spent is stored later");
                    }
                }
                failing = done.is_err();
            }
        });
        if let Some(webhook) = settings.budgets.webhook.clone() {
            let (store, webhook) = (Arc::clone(&self.store), Webhook::new(webhook));
            tasks.spawn(async move {
                let mut every = tokio::time::interval(ALERTS_EVERY);
                every.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    every.tick().await;
                    if let Err(error) = alerts::send_due(&*store, &webhook).await {
                        tracing::warn!(%error, "alerts of budgets wait for the control store");
                    }
                }
            });
        }
        let statistics = self.statistics_store();
        let record = UsageRecord::new(Arc::new(move || statistics().ok()), settings.usage.clone());
        let keeper = Arc::clone(&self.keeper);
        tasks.spawn(async move {
            let mut every = tokio::time::interval(QUESTIONS_EVERY);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                ask_what_was_spent(&keeper, &record).await;
            }
        });
    }

    fn gateway(
        &self,
        settings: &Settings,
        access_log: Option<logs::AccessLog>,
        draining: Arc<AtomicBool>,
    ) -> anyhow::Result<Gateway> {
        let routes = Routes::new(settings.providers.clone()).map_err(|faults| anyhow::anyhow!(faults.join("; ")))?;
        let catalog = Catalog::new(&settings.prompt.models, &routes);
        let prices = Arc::new(ArcSwap::new(Arc::clone(&settings.prices)));
        let gate = Arc::new(Gate {
            routes: ArcSwap::from_pointee(routes),
            keyring: Arc::clone(&self.keyring),
            limiters: Arc::new(Limiters::new(clock::instant())),
            limit_settings: settings.limits.clone(),
            budgets: Arc::clone(&self.budgets),
            budget_settings: settings.budgets.clone(),
            prices: Arc::clone(&prices),
            settings: settings.exchange.clone(),
        });
        let prompt = Surface {
            gate: Arc::clone(&gate),
            catalog,
            detector: Detector::new()?,
            dial: Arc::new(Dialer::new(&settings.proxy)),
            settings: settings.prompt.clone(),
        };
        let settlement =
            Settlement { prices, queue: self.queue.clone(), durable: settings.usage.spool.durable, access_log };
        let own = api::router(api::Parts {
            keyring: Arc::clone(&self.keyring),
            registry: Arc::clone(&self.store) as Arc<_>,
            budgets: Arc::clone(&self.budgets),
            usage: Arc::new(settings.usage.clone()),
            store: self.statistics_store(),
            prompt: Arc::new(prompt),
            turns: usage::turns::Turns::new(&settings.usage),
        });
        let drains = Places::new(settings.exchange.drains_max);
        Ok(Gateway { gate, settlement: Arc::new(settlement), own, drains, draining })
    }

    /// The client for statistics, or what callers are told while there is none.
    fn statistics_store(&self) -> api::StatisticsStore {
        match &self.usage_store {
            UsageStore::Server(client) => {
                let client = client.clone();
                Arc::new(move || Ok((*client).clone()))
            }
            UsageStore::Embedded(embedded) => {
                let embedded = Arc::clone(embedded);
                let client = embedded.client();
                Arc::new(move || match embedded.state() {
                    State::Ready => Ok(client.clone()),
                    State::Missing(_) => Err("the usage store's engine is not installed: run `make setup`".to_owned()),
                    State::Starting => Err("the usage store is starting".to_owned()),
                    State::Failed(_) => Err("the usage store does not answer".to_owned()),
                })
            }
        }
    }

    /// Serves health and metrics on their own listener.
    async fn operations(&self, settings: &Settings, draining: Arc<AtomicBool>, tasks: &Tasks) -> anyhow::Result<()> {
        let address = settings.proxy.operations;
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on the operations address {address}"))?;
        tracing::info!(surface = "operations", address = %listener.local_addr()?, "listening");
        let reachable = watch_store(Arc::clone(&self.store), tasks);
        let usage_fault = match &self.usage_store {
            UsageStore::Embedded(embedded) => {
                let embedded = Arc::clone(embedded);
                Box::new(move || UsageStore::Embedded(Arc::clone(&embedded)).fault())
                    as Box<dyn Fn() -> _ + Send + Sync>
            }
            UsageStore::Server(_) => Box::new(|| None),
        };
        let readiness: api::operations::Readiness = Arc::new(move || {
            let mut faults = Vec::new();
            faults.extend(draining.load(Ordering::Relaxed).then(|| "draining".to_owned()));
            faults.extend((!*reachable.borrow()).then(|| "the control store does not answer".to_owned()));
            faults.extend(usage_fault());
            faults
        });
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, api::operations::router(readiness)).await {
                tracing::error!(%error, "the operations listener ended");
            }
        });
        Ok(())
    }

    /// Stores what waits.
    async fn finish(self) {
        if let Err(error) = self.keyring.note_uses().await {
            tracing::warn!(%error, "the last uses of keys were not noted");
        }
        let last_round = async { self.keeper.lock().await.round(clock::now()).await };
        match tokio::time::timeout(LAST_ROUND_MAX, last_round).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "what was spent last is not stored in the control store"),
            Err(_) => tracing::error!("what was spent last is not stored in the control store: it does not answer"),
        }
        if !self.shipper.finish(FLUSH_MAX).await {
            tracing::warn!("the usage store did not take all usage events in time");
        }
        self.store.close().await;
    }
}

/// Asks the usage store what budgets' windows had cost before this process counted, as far as that is not known for sure.
async fn ask_what_was_spent(keeper: &Mutex<Keeper>, record: &dyn SpendingRecord) {
    let questions = keeper.lock().await.questions(clock::now());
    for question in questions {
        // Untold: it is asked again.
        let Ok(cost) = question.ask(record).await else { continue };
        if let Err(error) = keeper.lock().await.learn(&question, cost, clock::now()).await {
            tracing::warn!(%error, "what a killed process held of a budget is not given back yet");
        }
    }
}

/// Asks the control store every few seconds whether it answers.
fn watch_store(store: Arc<SqliteStore>, tasks: &Tasks) -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(true);
    tasks.spawn(async move {
        let mut every = tokio::time::interval(Duration::from_secs(5));
        while !sender.is_closed() {
            every.tick().await;
            let answers = store.reachable().await.is_ok();
            sender.send_if_modified(|known| std::mem::replace(known, answers) != answers);
        }
    });
    receiver
}

/// Looks up the names of all providers at once: one that is slow to be found holds up no other. True when each has an
/// address.
async fn look_up(gate: &Gate) -> bool {
    let routes = gate.routes.load_full();
    let look_ups = routes.all().map(async |route| {
        if let Err(error) = route.addresses.refresh().await {
            tracing::warn!(provider = %route.provider.name, %error, "the provider's name was not found");
        }
        route.addresses.count() > 0
    });
    join_all(look_ups).await.into_iter().all(|found| found)
}

/// Looks up providers' names, and notes when keys were last used.
fn keep_fresh(runtime: &Runtime, (gate, mut found): (Arc<Gate>, bool), keyring: Arc<Keyring>, tasks: &Tasks) {
    let _entered = runtime.enter();
    let refresh = async move {
        loop {
            tokio::time::sleep(if found { ADDRESSES_EVERY } else { ADDRESSES_MISSING_EVERY }).await;
            found = look_up(&gate).await;
        }
    };
    tasks.spawn(refresh);
    tasks.spawn(async move {
        let mut every = tokio::time::interval(USES_EVERY);
        loop {
            every.tick().await;
            if let Err(error) = keyring.note_uses().await {
                tracing::warn!(%error, "the last uses of keys were not noted");
            }
        }
    });
}

/// Runs the server on a thread of its own and returns when its last exchange has ended, or it has stopped: Pingora itself
/// always waits for the whole grace period. What is left then is cut, and ends as it is dropped: only after that may the
/// usage queue be closed.
fn run_until_drained(built: Built, draining: &Arc<AtomicBool>) {
    let mut phases = built.server.watch_execution_phase();
    let flag = Arc::clone(draining);
    let running = thread::spawn(move || built.run(flag));
    while !running.is_finished() {
        match phases.blocking_recv() {
            Ok(phase) if server::is_stopping(&phase) => break,
            Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(tokio::sync::broadcast::error::RecvError::Closed) => break,
        }
    }
    tracing::info!(open = METRICS.exchanges_open.get(), "draining");
    while METRICS.exchanges_open.get() > 0 && !running.is_finished() {
        thread::sleep(DRAIN_POLL);
    }
    // What is open now has no connection any more: its answer is being read to its end.
    let since = clock::instant();
    while METRICS.exchanges_open.get() > 0 && since.elapsed() < METERING_MAX {
        thread::sleep(DRAIN_POLL);
    }
    // Their intents stay in the spool.
    if let Ok(open @ 1..) = u64::try_from(METRICS.exchanges_open.get()) {
        tracing::error!(open, "answers were not metered in time: the next start records what was expected of them");
    }
}

/// For tests of builds with debug assertions: meters wait until this can be read, a pipe above all.
fn slow_meters_down() {
    if let Some(name) = env::variable("SOCIARO_GATEWAY_FAULT_SLOW_METERS") {
        beside::slow_down(move || drop(std::fs::read(&name)));
    }
}

/// This program, and where the engine's library may be.
fn program() -> anyhow::Result<Program> {
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    let own = env::variable("SOCIARO_GATEWAY_LIB").map(PathBuf::from);
    let data = env::variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| env::variable("HOME").map(|home| PathBuf::from(home).join(".local/share")))
        .map(|data| data.join("sociaro-gateway/lib"));
    let beside = executable.parent().and_then(|bin| bin.parent()).map(|prefix| prefix.join("lib/sociaro-gateway"));
    let library_folders = [own, data, beside, Some(PathBuf::from("/usr/local/lib"))].into_iter().flatten().collect();
    Ok(Program { executable, library_folders })
}

/// Opens the control store for a command.
pub(crate) fn with_store<T, E: From<anyhow::Error>>(
    settings: &Settings,
    command: impl AsyncFnOnce(&SqliteStore) -> Result<T, E>,
) -> Result<T, E> {
    let runtime = background()?;
    runtime.block_on(async {
        let store = SqliteStore::open(&settings.store).await.map_err(anyhow::Error::from)?;
        let who = format!("command line, uid {}", rustix::process::getuid().as_raw());
        let done = command(&store.acting_as(&who)).await;
        store.close().await;
        done
    })
}

/// Gives a command the usage store; the embedded one is started for it when no gateway has.
pub(crate) fn with_usage_store<T, E: From<anyhow::Error>>(
    settings: &Settings,
    command: impl AsyncFnOnce(&usage::Client) -> Result<T, E>,
) -> Result<T, E> {
    let runtime = background()?;
    runtime.block_on(async {
        match &settings.usage.store {
            Store::ClickHouse(server) => command(&usage::connector::server(server)).await,
            Store::Embedded(embedded) => {
                let tasks = Tasks::new();
                let held = Embedded::start(embedded, program()?, &tasks);
                let mut states = held.states();
                let ready = states.wait_for(|state| *state != State::Starting).await.map(|state| state.clone());
                match ready.map_err(anyhow::Error::from)? {
                    State::Ready => command(&held.client()).await,
                    other => Err(anyhow::anyhow!("{other}").into()),
                }
            }
        }
    })
}

/// Brings both stores' schemas up to date.
pub(crate) fn migrate(settings: &Settings) -> anyhow::Result<(u32, u32)> {
    with_store(settings, async |_| anyhow::Ok(()))?;
    with_usage_store(settings, async |client| {
        let done = usage::schema::migrate(client, &settings.usage).await?;
        usage::prices::publish(client, &settings.usage, &settings.prices).await?;
        Ok((done.from, done.to))
    })
}
