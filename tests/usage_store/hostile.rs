//! Requests that no client would send, and the door for tools.

use crate::harness::{Store, command};
use std::{
    fmt::Write as _,
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    process::Stdio,
    time::Duration,
};

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

#[test]
fn garbage_and_excess_are_refused_and_the_store_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(folder.path());
    let mut headers = String::from("GET /ping HTTP/1.1\r\nHost: x\r\n");
    for n in 0..10_000 {
        write!(headers, "X-{n}: y\r\n").unwrap();
    }
    headers.push_str("\r\n");
    let long = format!("GET /?query={} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20));
    let cases: &[(&str, &[u8], &[&str])] = &[
        ("no HTTP", b"\x00\xff\x16\x03\x01\r\n\r\n", &["400", "closed"]),
        ("TLS", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, b'\r', b'\n', b'\r', b'\n'], &["400", "closed"]),
        ("10k headers", headers.as_bytes(), &["431", "400", "closed"]),
        ("long URL", long.as_bytes(), &["414", "431", "400", "closed"]),
        ("two lengths", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", &["400", "closed"]),
        ("unknown path", b"GET /play HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &["501"]),
        ("unknown method", b"DELETE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &["501"]),
        ("empty query", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", &["400"]),
        ("no UTF-8", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n\xff\xfe", &["400"]),
        (
            "no block",
            b"POST /?query=INSERT+INTO+t+FORMAT+TSV&decompress=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
            &["500"],
        ),
        (
            "no gzip",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
            &["500"],
        ),
        (
            "broken multipart",
            b"POST /?query=SELECT+1 HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
            &["400"],
        ),
        ("write by GET", b"GET /?query=CREATE+DATABASE+x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &["500"]),
        ("huge length", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\nConnection: close\r\n\r\n", &["413"]),
    ];
    for (name, request, expected) in cases {
        let answer = store.raw(request);
        assert!(expected.contains(&status(&answer)), "{name}: {answer}");
    }
    assert!(store.raw(b"GET /?query=SELECT+1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ends_with("1\n"));
}

#[test]
fn an_answer_says_what_a_servers_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(folder.path());
    let get = |path: &str| store.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
    let answer = get("/?query=SELECT+1+FORMAT+JSONEachRow&query_id=mine-1").to_ascii_lowercase();
    for header in [
        "x-clickhouse-query-id: mine-1",
        "x-clickhouse-format: jsoneachrow",
        "x-clickhouse-timezone: utc",
        "x-clickhouse-summary: {\"read_rows\":\"1\"",
        "content-type: application/x-ndjson",
    ] {
        assert!(answer.contains(header), "{header}: {answer}");
    }
    let fault = get("/?query=SELECT+nope");
    assert!(fault.starts_with("HTTP/1.1 404"), "{fault}");
    assert!(fault.to_ascii_lowercase().contains("x-clickhouse-exception-code: 47"), "{fault}");
    assert!(fault.contains("(UNKNOWN_IDENTIFIER) (version 26."), "{fault}");
}

/// A request to the loopback port, with or without a password.
fn tool(port: u16, password: Option<&str>, query: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let key = password.map(|password| format!("X-ClickHouse-User: default\r\nX-ClickHouse-Key: {password}\r\n"));
    let key = key.unwrap_or_default();
    let length = query.len();
    write!(stream, "POST / HTTP/1.1\r\nHost: x\r\n{key}Content-Length: {length}\r\nConnection: close\r\n\r\n{query}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_port_for_tools_wants_the_password_and_reads_tables_only() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = command(folder.path());
    command.args(["--loopback", "127.0.0.1:0", "--loopback-password", "open sesame"]);
    command.stderr(File::create(&log).unwrap());
    let store = Store::run(&mut command, folder.path());
    let said = std::fs::read_to_string(log).unwrap();
    let port = said.split("\"address\":\"127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let port = port.parse().unwrap();
    for wrong in [None, Some(""), Some("open"), Some("Open sesame"), Some("open sesame!")] {
        let answer = tool(port, wrong, "SELECT 1");
        assert_eq!(status(&answer), "403", "{answer}");
    }
    assert!(tool(port, Some("open sesame"), "SELECT 41 + 1").ends_with("42\n"));
    let basic = "GET /?query=SELECT+1 HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZGVmYXVsdDpvcGVuIHNlc2FtZQ==\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(basic.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("1\n"), "{answer}");
    for forbidden in [
        "CREATE TABLE t (a UInt8) ENGINE = Memory",
        "SYSTEM FLUSH LOGS",
        "KILL QUERY WHERE 1",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT file('/etc/hostname')",
        "SELECT x.* APPLY file FROM (SELECT '/etc/hostname' AS a) AS x",
        "SELECT `fil\\x65`('/etc/hostname')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT 1 SETTINGS readonly = 0",
    ] {
        let answer = tool(port, Some("open sesame"), forbidden);
        assert!(["500", "403"].contains(&status(&answer)), "{forbidden}: {answer}");
        assert!(
            answer.contains("READONLY") || answer.contains("QUERY_IS_PROHIBITED") || answer.contains("OUTFILE"),
            "{answer}"
        );
    }
    let lease = store.raw(b"GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&lease), "501");
}

#[test]
fn an_open_door_is_refused_at_start() {
    for (address, password, text) in [
        ("0.0.0.0:0", "x", "loopback address"),
        ("127.0.0.1:0", "", "needs a password"),
        ("[::]:0", "x", "loopback address"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path());
        command.args(["--loopback", address, "--loopback-password", password]);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{address}: {said}");
        assert!(said.contains(text), "{address}: {said}");
    }
}
