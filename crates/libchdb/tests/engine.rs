//! The engine itself, through this crate alone: what the C interface does not say, as tests. One process has one
//! engine, so all of them share it. Needs the library (`make setup`).
#![cfg(test)]

use libchdb::{Connection, Engine, OpenError, StatementClass};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

struct Shared {
    engine: Engine,
    folder: tempfile::TempDir,
    signals_before: [u64; 2],
    signals_after: [u64; 2],
}

fn library() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/libchdb.sh");
    let output = Command::new(script).arg("--path").output().unwrap();
    let path = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    assert!(path.is_file(), "{} is missing: run `make setup`", path.display());
    path
}

/// The calling thread's blocked and the process' caught signals, without the real-time ones: the engine takes one of
/// those for its stack traces.
fn signals() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    ["SigBlk:", "SigCgt:"].map(|name| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 0x7fff_ffff
    })
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let signals_before = signals();
    let memory = [("max_server_memory_usage", "1500000000".to_owned())];
    let engine = Engine::open(&library(), &folder.path().join("data"), &memory).unwrap();
    Shared { engine, folder, signals_before, signals_after: signals() }
});

fn connect() -> Connection {
    SHARED.engine.connect().unwrap()
}

fn text(connection: &mut Connection, sql: &str) -> String {
    String::from_utf8(connection.query(sql, "TSV", &[]).unwrap().bytes().to_vec()).unwrap()
}

#[test]
fn binary_data_with_line_breaks_arrives_whole() {
    let mut connection = connect();
    text(&mut connection, "CREATE TABLE whole (v UInt64) ENGINE = MergeTree ORDER BY v");
    let values = [10_u64, 0x0a0a_0a0a, 0x3b0a, 7];
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let answer = connection.insert("INSERT INTO whole", "RowBinary", &[], &data).unwrap();
    assert_eq!(answer.rows_written(), 4);
    assert_eq!(text(&mut connection, "SELECT sum(v), count() FROM whole"), "168445221\t4\n");
}

#[test]
fn data_larger_than_one_piece_arrives_whole_and_broken_data_leaves_nothing() {
    let mut connection = connect();
    text(&mut connection, "CREATE TABLE large (v UInt64) ENGINE = MergeTree ORDER BY v");
    let data: Vec<u8> = (0..400_000_u64).flat_map(u64::to_le_bytes).collect();
    connection.insert("INSERT INTO large", "RowBinary", &[], &data).unwrap();
    assert_eq!(text(&mut connection, "SELECT count(), max(v) FROM large"), "400000\t399999\n");
    let error = connection.insert("INSERT INTO large", "RowBinary", &[], &data[..11]).unwrap_err();
    assert_eq!(error.code, 33, "{error}");
    assert_eq!(text(&mut connection, "SELECT count() FROM large"), "400000\n", "the session goes on after a failure");
}

#[test]
fn settings_concern_one_session_only() {
    let (mut one, mut other) = (connect(), connect());
    text(&mut one, "SET max_threads = 1");
    let threads = "SELECT value FROM system.settings WHERE name = 'max_threads'";
    assert_eq!(text(&mut one, threads), "1\n");
    assert_ne!(text(&mut other, threads), "1\n");
}

#[test]
fn parameters_fill_their_places() {
    let parameters = [("x".to_owned(), "a'b".to_owned()), ("n".to_owned(), "[1,2]".to_owned())];
    let answer = connect().query("SELECT {x:String}, arraySum({n:Array(UInt8)})", "CSV", &parameters).unwrap();
    assert_eq!(answer.bytes(), b"\"a'b\",3\n");
}

#[test]
fn errors_carry_the_engines_code() {
    for (sql, code) in [("SELECT nope", 47), ("SELECT FROM WHERE", 62), ("SET nope = 1", 115)] {
        assert_eq!(connect().query(sql, "TSV", &[]).unwrap_err().code, code, "{sql}");
    }
}

#[test]
fn statements_are_classified_by_the_engines_parser() {
    let mut connection = connect();
    for (sql, statements, class) in [
        ("SELECT 1", 1, StatementClass::Reads),
        ("SELECT 1; SELECT 2", 2, StatementClass::Reads),
        ("CREATE DATABASE x", 1, StatementClass::Changes),
        ("SYSTEM FLUSH LOGS", 1, StatementClass::Controls),
        ("SELECT 1 INTO OUTFILE 'x'", 1, StatementClass::Controls),
        ("SELEC 1", 0, StatementClass::Unknown),
    ] {
        let analysis = connection.analyse(sql).unwrap();
        assert_eq!((analysis.statements, analysis.class), (statements, class), "{sql}");
    }
}

#[test]
fn the_hosts_signals_stay_as_they_were_and_a_second_engine_is_refused() {
    assert_eq!(SHARED.signals_before, SHARED.signals_after);
    let second = Engine::open(&library(), &SHARED.folder.path().join("other"), &[]);
    assert!(matches!(second, Err(OpenError::SecondEngine)));
}

#[test]
fn an_answer_outlives_its_session() {
    let answer = connect().query("SELECT number FROM numbers(1000)", "RowBinary", &[]).unwrap();
    assert_eq!((answer.bytes().len(), answer.rows()), (8000, 1000));
}
