//! The shipped program under test, with a simulator behind it and everything else in a folder of its own.
//!
//! Its end is a test too: when a `Gateway` is dropped, every exchange must have ended and made one usage event, every event
//! must be stored, the process must end with 0 at SIGTERM, and no secret may have gone where it does not belong.

pub mod files;
pub mod names;
pub mod operations;
pub mod process;
pub mod rows;

pub use self::{
    files::Options,
    names::{Grant, Key},
    operations::Metrics,
    rows::Rows,
};

use self::{files::Files, process::Process};
use super::{
    canaries::Canaries,
    http::{Ask, Client},
    simulator::{self, Simulator},
    wait::{PATIENCE, wait_blocking, wait_until},
};
use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::Value;
use std::{
    collections::HashSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
    sync::{Arc, Weak},
};
use tempfile::TempDir;

/// A running gateway.
pub struct Gateway {
    /// What it takes for all its providers.
    pub simulator: Simulator,
    files: Files,
    config: PathBuf,
    canaries: Arc<Canaries>,
    process: Process,
    bootstrap_key: Option<String>,
    /// Those that were created.
    organizations: Mutex<HashSet<String>>,
    /// Removed last.
    folder: TempDir,
}

impl Gateway {
    /// Starts one, and waits until it listens.
    pub fn start(options: Options) -> Self {
        Self::start_as(options, |start| (start(), ())).0
    }

    /// Starts two processes at once on one configuration: this gateway, and another whose end is the test's business.
    pub fn start_two(options: Options) -> (Self, Process) {
        Self::start_as(options, |start| {
            std::thread::scope(|scope| {
                let other = scope.spawn(start);
                (start(), other.join().expect("the other gateway starts"))
            })
        })
    }

    fn start_as<T>(options: Options, run: impl FnOnce(&(dyn Fn() -> Process + Sync)) -> (Process, T)) -> (Self, T) {
        let files = Files::new(options);
        let credentials = files.credentials().iter().map(|one| (one.family(), one.secret.clone())).collect();
        let options = simulator::Options { credentials, ..simulator::Options::default() };
        let simulator = Simulator::start(options).expect("the simulator starts");
        let folder = tempfile::Builder::new().prefix("gateway-test-").tempdir().expect("a folder");
        let config = files.write(folder.path(), simulator.address());
        let secrets = files.credentials().iter().map(|one| one.secret.clone()).collect();
        let canaries = Arc::new(Canaries::new(secrets));
        let (process, rest) = run(&|| Process::start(&config, &files.environment(), &canaries));
        let (bootstrap_key, organizations) = (process.bootstrap_key(), Mutex::default());
        (Self { simulator, files, config, canaries, process, bootstrap_key, organizations, folder }, rest)
    }

    /// The one that the tests of a program share while any of them runs: each must use an organization of its own. It
    /// stops, and is checked, with the last of them.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Gateway>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock();
        shared.upgrade().unwrap_or_else(|| {
            let gateway = Arc::new(Self::start(Options::default()));
            *shared = Arc::downgrade(&gateway);
            gateway
        })
    }

    /// Where callers connect.
    pub fn address(&self) -> SocketAddr {
        self.process.addresses().callers
    }

    /// Where operators look.
    pub fn operations(&self) -> SocketAddr {
        self.process.addresses().operations
    }

    /// A caller.
    pub fn client(&self) -> Client {
        Client::new(self.address(), Arc::clone(&self.canaries))
    }

    /// The folder of the three files.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The credential that the simulator accepts from a provider.
    pub fn credential(&self, provider: &str) -> &str {
        let found = self.files.credentials().iter().find(|one| one.provider == provider);
        &found.unwrap_or_else(|| panic!("{provider} has no credential")).secret
    }

    /// The key that the first start showed.
    pub fn bootstrap_key(&self) -> &str {
        self.bootstrap_key.as_deref().expect("the first start shows a bootstrap key")
    }

    /// The same program with the same environment, for its commands.
    pub fn command(&self) -> Command {
        process::command(&self.files.environment())
    }

    /// Runs a command to its end. `--config` must be among the arguments.
    pub fn run(&self, arguments: &[String]) -> Output {
        self.command().args(arguments).output().expect("the command runs")
    }

    /// Issues a key with the command line, in an organization that is created when it is new.
    pub fn issue(&self, grant: &Grant) -> Key {
        if self.organizations.lock().insert(grant.organization.clone()) {
            let created = self.run(&names::create_organization(&grant.organization, &self.config));
            assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        }
        let output = self.run(&grant.arguments(&self.config));
        let printed = serde_json::from_slice(&output.stdout).ok().as_ref().and_then(Key::of);
        printed.unwrap_or_else(|| panic!("no key for {grant:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The log lines so far, those that are JSON.
    pub fn log(&self) -> Vec<Value> {
        self.process.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Everything written so far.
    pub fn lines(&self) -> Vec<String> {
        self.process.lines()
    }

    /// Its metrics now.
    pub fn metrics(&self) -> Metrics {
        Metrics::read(self.operations()).expect("the operations surface answers")
    }

    /// Waits until the metrics are as a test wants them.
    pub async fn wait_for_metrics(&self, what: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
        let look = async || {
            let metrics = self.metrics();
            if holds(&metrics) { Ok(metrics) } else { Err(metrics.text().to_owned()) }
        };
        wait_until(what, look).await
    }

    /// Asks one of the gateway's own endpoints until its JSON is as a test wants it; a 4xx will not get better.
    pub async fn wait_for_json(&self, target: &str, key: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let look = async || {
            let answer = self.client().send(&Ask::get(target).bearer(key)).await;
            assert!(!(400..500).contains(&answer.status()), "{target}: {} {}", answer.status(), answer.text());
            let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            if answer.status() == 200 && holds(&value) { Ok(value) } else { Err((answer.status(), answer.text())) }
        };
        wait_until(target, look).await
    }

    /// `GET /gw/stats` with that query, until it is as a test wants it.
    pub async fn stats(&self, query: &str, key: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_json(&format!("/gw/stats?{query}"), key, holds).await
    }

    /// `GET /gw/usage` until that many records are there; newest first.
    pub async fn usage(&self, count: usize, key: &str) -> Vec<Value> {
        let records = |value: &Value| value["records"].as_array().cloned().unwrap_or_default();
        let value = self.wait_for_json("/gw/usage?limit=1000", key, |value| records(value).len() >= count).await;
        records(&value)
    }

    /// Sends the gateway a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The gateway's process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Stops it in good order, checks its end, and starts it again on the same folder (and new ports).
    pub fn restart(&mut self) {
        if let Err(faults) = self.stop() {
            panic!("the gateway did not end well:\n{}", faults.join("\n"));
        }
        self.process = Process::start(&self.config, &self.files.environment(), &self.canaries);
    }

    /// Kills it as a crash does, and starts it again on the same folder (and new ports).
    pub fn crash(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait().expect("a killed process ends");
        self.process = Process::start(&self.config, &self.files.environment(), &self.canaries);
    }

    /// Waits for the end that a test's signal brings; it may be started again then.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        self.process.wait().unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// Starts it again after its end on the same folder (and new ports).
    pub fn start_again(&mut self) {
        assert!(!self.process.runs(), "it has not ended");
        self.process = Process::start(&self.config, &self.files.environment(), &self.canaries);
    }

    /// Starts a process that takes the listening sockets over, and tells the old one to hand them over. The new one serves
    /// when this returns; the old one, which is given back, ends when it has drained.
    pub fn upgrade(&mut self) -> Process {
        let mut command = self.command();
        command.args(names::ARGUMENTS_SERVE).arg(&self.config).arg(names::ARGUMENT_UPGRADE);
        let new = std::thread::scope(|scope| {
            let new = scope.spawn(|| Process::run(command, &self.canaries));
            self.process.signal(Signal::QUIT);
            new.join().expect("the new process serves")
        });
        std::mem::replace(&mut self.process, new)
    }

    /// Stops it; the error holds everything that is not as it must be.
    fn stop(&mut self) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        if self.process.runs() {
            faults.extend(self.unsettled());
            self.process.signal(Signal::TERM);
        } else {
            faults.push("it ended by itself".to_owned());
        }
        match self.process.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => faults.push(format!("it ended with {status}")),
            Err(fault) => faults.push(fault),
        }
        for request in self.simulator.requests() {
            let what = format!("the provider ({} {})", request.method(), request.path());
            for bytes in [&request.head.0, &request.body_raw, &request.body, &request.after_upgrade] {
                self.canaries.provider_received(&what, bytes);
            }
        }
        faults.extend(self.canaries.found());
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// What its metrics say that must not be so once all callers have gone.
    fn unsettled(&self) -> Vec<String> {
        let look = || {
            let metrics = Metrics::read(self.operations()).map_err(|fault| vec![fault])?;
            let (events, (least, most)) = (metrics.total(names::USAGE_EVENTS), metrics.exchanges_with_events());
            let mut faults = Vec::new();
            for name in [names::EXCHANGES_OPEN, names::USAGE_EVENTS_WAITING, names::USAGE_EVENTS_LOST] {
                let value = metrics.total(name);
                if value != 0.0 {
                    faults.push(format!("{name} is {value}, not 0"));
                }
            }
            if !(least..=most).contains(&events) {
                faults.push(format!("{events} usage events for {least} to {most} exchanges"));
            }
            if faults.is_empty() { Ok(()) } else { Err(faults) }
        };
        wait_blocking(PATIENCE, look).err().unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.process.lines();
            let last = lines.len().saturating_sub(50);
            eprintln!("the gateway's last lines:\n{}", lines[last..].join("\n"));
            return;
        }
        if let Err(faults) = self.stop() {
            panic!("the gateway did not end well:\n{}", faults.join("\n"));
        }
    }
}
