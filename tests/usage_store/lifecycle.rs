//! Start, sharing, death and end of the process, and what stays of the data.

use crate::harness::{Store, command, library, wait_until};
use sociaro_gateway::{
    base::tasks::Tasks,
    usage::{
        embedded::{Embedded, Program, State},
        engine::{self, library::FILE_NAME},
        settings,
    },
};
use std::{
    fs,
    io::Read,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::Stdio,
    time::Duration,
};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS rows (batch UInt64, n UInt64) ENGINE = MergeTree ORDER BY (batch, n) \
    SETTINGS fsync_after_insert = 1, fsync_part_directory = 1";

async fn count(client: &clickhouse::Client) -> u64 {
    client.query("SELECT count() FROM rows").fetch_one().await.unwrap()
}

#[tokio::test]
async fn kill_9_during_inserts_loses_no_acknowledged_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0_u64;
    for round in 0..3_u64 {
        let mut store = Store::start(folder.path());
        let client = store.client();
        client.query(TABLE).execute().await.unwrap();
        assert_eq!(count(&client).await, acknowledged, "round {round}");
        let inserts = Tasks::new().spawn({
            let client = client.clone();
            async move {
                let mut done = 0_u64;
                loop {
                    let sql = format!("INSERT INTO rows SELECT {done}, number FROM numbers(1000)");
                    if client.query(&sql).execute().await.is_err() {
                        return done;
                    }
                    done += 1;
                }
            }
        });
        let before = acknowledged;
        while count(&client).await < before + 20_000 {}
        store.child.kill().unwrap();
        store.wait();
        acknowledged += inserts.await.unwrap() * 1000;
        // The insert under way when the process died may have been stored whole without its acknowledgement.
        let store = Store::start(folder.path());
        let stored = count(&store.client()).await;
        assert!(
            stored == acknowledged || stored == acknowledged + 1000,
            "{stored} stored, {acknowledged} acknowledged"
        );
        acknowledged = stored;
    }
}

#[test]
fn a_second_store_on_a_folder_is_refused_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Store::start(folder.path());
    let second = command(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8_lossy(&second.stderr) + String::from_utf8_lossy(&second.stdout);
    assert!(text.contains("another usage store has"), "{text}");
}

#[test]
fn folder_socket_and_locks_are_for_the_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let store = Store::start(folder.path());
    for (path, mode) in [(folder.path(), 0o700), (&store.socket, 0o600)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
}

#[tokio::test]
async fn sigterm_lets_a_running_statement_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::start(folder.path());
    let client = store.client();
    let slow = Tasks::new().spawn(async move { client.query("SELECT sleep(2)").fetch_one::<u8>().await });
    let client = store.client();
    loop {
        let sql = "SELECT count() FROM system.processes WHERE query LIKE '%sleep(2)%' AND query NOT LIKE '%processes%'";
        if client.query(sql).fetch_one::<u64>().await.unwrap() == 1 {
            break;
        }
    }
    store.terminate();
    assert_eq!(slow.await.unwrap().unwrap(), 0);
    let status = tokio::task::spawn_blocking(move || store.wait()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(!engine::socket(folder.path()).exists(), "the socket goes with the store");
}

fn lease(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /lease HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

#[test]
fn the_store_ends_well_soon_after_its_last_lease() {
    let folder = tempfile::tempdir().unwrap();
    // The grace also bounds the time from start to first lease, so it is not tiny.
    let mut store = Store::run(command(folder.path()).args(["--lease-grace-ms", "2000"]), folder.path());
    let (first, second) = (lease(&store.socket), lease(&store.socket));
    drop(first);
    assert!(store.child.try_wait().unwrap().is_none(), "one lease is left");
    drop(second);
    let status = store.wait();
    assert!(status.success(), "{status}");
}

fn embedded(folder: &Path) -> settings::Embedded {
    settings::Embedded { folder: folder.to_owned(), libchdb: None, memory_bytes_max: 2_000_000_000, loopback: None }
}

fn program() -> Program {
    let library = library();
    assert_eq!(library.file_name().unwrap(), FILE_NAME, "script and program name the same file");
    Program {
        executable: env!("CARGO_BIN_EXE_sociaro-gateway").into(),
        library_folders: vec![library.parent().unwrap().to_owned()],
    }
}

async fn ready(embedded: &Embedded) {
    let mut states = embedded.states();
    let wait = states.wait_for(|state| *state == State::Ready);
    let state = tokio::time::timeout(Duration::from_mins(1), wait).await;
    assert!(state.is_ok(), "{}", embedded.state());
}

async fn pid(client: &clickhouse::Client) -> String {
    let sql = "SELECT value FROM system.server_settings WHERE name = 'path'";
    client.query(sql).fetch_one::<String>().await.unwrap()
}

#[tokio::test]
async fn gateways_share_one_store_which_outlives_each_of_them_and_is_started_anew_when_it_dies() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let settings = embedded(folder.path());
    let old = Embedded::start(&settings, program(), &tasks);
    let new = Embedded::start(&settings, program(), &tasks);
    ready(&old).await;
    ready(&new).await;
    new.client().query(TABLE).execute().await.unwrap();
    old.client().query("INSERT INTO rows VALUES (1, 1)").execute().await.unwrap();
    assert!(pid(&new.client()).await.contains(folder.path().file_name().unwrap().to_str().unwrap()));
    let server = server_pid(folder.path());

    // A hot upgrade: the old gateway goes, the store stays.
    drop(old);
    assert_eq!(count(&new.client()).await, 1);
    assert_eq!(server_pid(folder.path()), server);

    // A crash of the store: seen at once, and mended.
    let mut states = new.states();
    rustix::process::kill_process(rustix::process::Pid::from_raw(server).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    tokio::time::timeout(Duration::from_mins(1), states.wait_for(|state| matches!(state, State::Failed(_))))
        .await
        .expect("the death is seen")
        .unwrap();
    ready(&new).await;
    assert_ne!(server_pid(folder.path()), server);
    assert_eq!(count(&new.client()).await, 1, "the row is still there");

    let server = server_pid(folder.path());
    drop(new);
    assert!(tasks.drain(Duration::from_secs(5)).await);
    rustix::process::kill_process(rustix::process::Pid::from_raw(server).unwrap(), rustix::process::Signal::TERM)
        .unwrap();
    tokio::task::spawn_blocking(move || wait_until("the store has gone", || !engine::socket(folder.path()).exists()))
        .await
        .unwrap();
}

/// Which process serves the folder's socket, by its command line.
fn server_pid(folder: &Path) -> i32 {
    let folder = folder.to_str().unwrap();
    let serves = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments: Vec<_> =
            line.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect();
        arguments.iter().any(|argument| argument == "usage-store")
            && arguments.iter().any(|argument| argument == folder)
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let found: Vec<i32> = processes.filter(serves).collect();
    assert_eq!(found.len(), 1, "one store serves the folder");
    found.first().copied().unwrap()
}
