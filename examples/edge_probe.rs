//! Measures how long one streamed chunk takes from a provider to a caller. Plays both ends in one process, so that both
//! read one clock; what stands between them is what is measured.
//!
//! `edge_probe <own upstream address> <address to call> <path> <gateway key>`
//! prints `{"chunks":…,"p50_us":…,"p99_us":…}`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

const CHUNKS: usize = 500;
const PAUSE: Duration = Duration::from_millis(2);

/// The moment from which both ends count.
static START: OnceLock<Instant> = OnceLock::new();

#[expect(clippy::disallowed_methods, reason = "a measuring tool has a clock of its own")]
fn nanos() -> u128 {
    START.get_or_init(Instant::now).elapsed().as_nanos()
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [own, to, path, key] = arguments.as_slice() else { return Ok(()) };
    nanos();
    let listener = TcpListener::bind(own)?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || drop(answer(stream)));
        }
    });
    let mut delays = call(to, path, key)?;
    delays.sort_unstable();
    let at = |share: usize| delays.get((delays.len() * share / 100).min(delays.len().saturating_sub(1))).copied();
    let micros = |nanos: Option<u128>| nanos.unwrap_or_default() / 1000;
    let line = format!("{{\"chunks\":{},\"p50_us\":{},\"p99_us\":{}}}\n", delays.len(), micros(at(50)), micros(at(99)));
    std::io::stdout().write_all(line.as_bytes())
}

/// The provider: events with the moment at which each was written.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    read_request(&mut BufReader::new(stream.try_clone()?))?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for _ in 0..CHUNKS {
        thread::sleep(PAUSE);
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{:020}\"}}}}]}}\n\n", nanos());
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
    }
    stream.write_all(b"0\r\n\r\n")
}

/// Reads a request's head and the body that its length announces.
fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)
}

/// The caller: the delay of each event in nanoseconds.
fn call(to: &str, path: &str, key: &str) -> std::io::Result<Vec<u128>> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    let body = "{\"model\":\"gpt-5.4-mini\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    let mut delays = Vec::with_capacity(CHUNKS);
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let Some((_, rest)) = line.split_once("\"content\":\"") else { continue };
        let sent: u128 = rest.split('"').next().and_then(|digits| digits.parse().ok()).unwrap_or_default();
        delays.push(nanos().saturating_sub(sent));
    }
    Ok(delays)
}
