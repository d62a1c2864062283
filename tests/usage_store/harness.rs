//! Starts the process that we ship, in a folder of its own, and ends it with the test.

use sociaro_gateway::usage::{connector, engine};
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// Long enough for a loaded machine; no test waits for it when all is well.
const PATIENCE: Duration = Duration::from_mins(1);

/// The engine's library, where `scripts/libchdb.sh` puts it.
pub(crate) fn library() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/libchdb.sh");
    let output = Command::new(script).arg("--path").output().expect("scripts/libchdb.sh runs");
    let path = PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim());
    assert!(path.is_file(), "{} is missing: run `make setup`", path.display());
    path
}

/// A running store.
pub(crate) struct Store {
    pub(crate) child: Child,
    pub(crate) socket: PathBuf,
}

/// The command of a store in the folder; tests add arguments.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sociaro-gateway"));
    command.arg("usage-store").arg("--folder").arg(folder).arg("--libchdb").arg(library());
    command.args(["--memory-bytes-max", "2000000000"]).stdin(Stdio::null());
    command
}

impl Store {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::run(&mut command(folder), folder)
    }

    pub(crate) fn run(command: &mut Command, folder: &Path) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let socket = engine::socket(folder);
        wait_until("the store answers", || {
            assert!(child.try_wait().expect("the child is ours").is_none(), "the store ended while starting");
            exchange(&socket, b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ends_with("Ok.\n")
        });
        Self { child, socket }
    }

    pub(crate) fn client(&self) -> clickhouse::Client {
        connector::embedded(&self.socket)
    }

    /// Sends bytes as they are, and reads until the store closes the connection.
    pub(crate) fn raw(&self, request: &[u8]) -> String {
        exchange(&self.socket, request)
    }

    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the store runs");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the store ends", || {
            status = self.child.try_wait().expect("the child is ours");
            status.is_some()
        });
        status.expect("just seen")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Already ended in many tests; a failing test must leave no process behind.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn exchange(socket: &Path, request: &[u8]) -> String {
    let Ok(mut stream) = UnixStream::connect(socket) else { return String::new() };
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // The store may answer and close before it has read everything.
    stream.write_all(request).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    stream.shutdown(Shutdown::Both).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Polls until something is so.
#[expect(clippy::disallowed_methods, reason = "tests measure real time")]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
