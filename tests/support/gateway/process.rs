//! The gateway as a child process: started, listened to, stopped. Threads drain its two pipes, so that a full pipe never
//! holds it up; each line is searched for secrets as it comes, and a bounded number is kept.

use super::{
    super::{canaries::Canaries, wait::wait_blocking},
    names,
};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use sociaro_gateway::base::clock::Duration;
use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread::JoinHandle,
};

const LINES_KEPT_MAX: usize = 200_000;
/// A start loads the configuration, opens the stores and starts the usage store.
const START_MAX: Duration = Duration::from_secs(30);
/// A stop drains requests and the spool.
const STOP_MAX: Duration = Duration::from_secs(30);

/// What one process has written.
#[derive(Debug, Default)]
pub struct Log {
    lines: Mutex<VecDeque<String>>,
    bootstrap_key: Mutex<Option<String>>,
}

impl Log {
    /// The lines of both pipes, in the order in which they came.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().iter().cloned().collect()
    }

    fn add(&self, line: String, canaries: &Canaries) {
        if let Some(key) = names::bootstrap_key(&line) {
            // Its one permitted showing.
            *self.bootstrap_key.lock() = Some(key.to_owned());
            return;
        }
        canaries.logged(&line);
        let mut lines = self.lines.lock();
        if lines.len() == LINES_KEPT_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Where the gateway listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub callers: SocketAddr,
    pub operations: SocketAddr,
}

/// A running gateway.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Log>,
    pipes: Vec<JoinHandle<()>>,
    addresses: Addresses,
}

impl Process {
    /// Starts `serve` and waits until it listens.
    pub fn start(config: &Path, environment: &BTreeMap<String, String>, canaries: &Arc<Canaries>) -> Self {
        let mut command = command(environment);
        command.args(names::ARGUMENTS_SERVE).arg(config);
        Self::run(command, canaries)
    }

    /// Runs a command that serves and waits until it listens.
    pub fn run(mut command: Command, canaries: &Arc<Canaries>) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let log = Arc::new(Log::default());
        let out: Option<Box<dyn Read + Send>> = child.stdout.take().map(|pipe| Box::new(pipe) as _);
        let err: Option<Box<dyn Read + Send>> = child.stderr.take().map(|pipe| Box::new(pipe) as _);
        let pipes = [out, err].into_iter().flatten().map(|pipe| drain(pipe, &log, canaries)).collect();
        let waited = wait_blocking(START_MAX, || match (accepting(&log), child.try_wait()) {
            (Some(addresses), _) => Ok(Some(addresses)),
            (None, Ok(None)) => Err(()),
            (None, _) => Ok(None),
        });
        let Ok(Some(addresses)) = waited else {
            drop(child.kill());
            let status = child.wait();
            panic!("the gateway does not listen ({status:?}); it wrote:\n{}", log.lines().join("\n"));
        };
        Self { child, log, pipes, addresses }
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The lines that it has written.
    pub fn lines(&self) -> Vec<String> {
        self.log.lines()
    }

    /// The key that a first start shows.
    pub fn bootstrap_key(&self) -> Option<String> {
        self.log.bootstrap_key.lock().clone()
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the gateway still runs");
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end, and for all that it wrote. It is killed when it does not end in time: the error says so.
    pub fn wait(&mut self) -> Result<ExitStatus, String> {
        let ended = wait_blocking(STOP_MAX, || self.child.try_wait().ok().flatten().ok_or(()));
        if ended.is_err() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
        for pipe in self.pipes.drain(..) {
            drop(pipe.join());
        }
        ended.map_err(|()| format!("the gateway did not end within {STOP_MAX:?}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.runs() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// The shipped program with nothing of the developer's environment but what every program needs.
pub fn command(environment: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sociaro-gateway"));
    command.env_clear().envs(inherited()).envs(environment);
    command
}

#[expect(clippy::disallowed_methods, reason = "the child's environment is made from ours")]
fn inherited() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    let names = [
        "PATH",
        "HOME",
        "TMPDIR",
        // Where the usage store's engine is installed.
        "XDG_DATA_HOME",
        "SOCIARO_GATEWAY_LIB",
        "RUST_BACKTRACE",
        "LLVM_PROFILE_FILE",
    ];
    names.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}

fn drain(pipe: Box<dyn Read + Send>, log: &Arc<Log>, canaries: &Arc<Canaries>) -> JoinHandle<()> {
    let (log, canaries) = (Arc::clone(log), Arc::clone(canaries));
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            log.add(String::from_utf8_lossy(&line).trim_end().to_owned(), &canaries);
            line.clear();
        }
    })
}

/// The addresses, once both surfaces have said theirs and take connections.
fn accepting(log: &Log) -> Option<Addresses> {
    let found = addresses(log)?;
    let accepts = |address| TcpStream::connect(address).is_ok();
    (accepts(found.callers) && accepts(found.operations)).then_some(found)
}

/// The addresses, once both surfaces have said theirs.
fn addresses(log: &Log) -> Option<Addresses> {
    let (mut callers, mut operations) = (None, None);
    for line in log.lines.lock().iter() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        match names::listening(&value) {
            Some(("callers", address)) => callers = address.parse().ok(),
            Some(("operations", address)) => operations = address.parse().ok(),
            _ => {}
        }
    }
    Some(Addresses { callers: callers?, operations: operations? })
}
