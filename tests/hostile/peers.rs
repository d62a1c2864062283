//! A provider that answers on a raw socket what no provider should: as much as it likes, for as long as it is read.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// What it sends: a beginning once, a piece so many times, an end once. Then it closes.
#[derive(Debug, Clone, Default)]
pub struct Part {
    pub begin: Vec<u8>,
    pub piece: Vec<u8>,
    pub times: usize,
    pub end: Vec<u8>,
}

impl Part {
    /// Just these bytes.
    pub fn once(begin: impl Into<Vec<u8>>) -> Self {
        Self { begin: begin.into(), ..Self::default() }
    }
}

/// Serves the answer whose number the request names in `x-part`, after its head and body have been read; `early` answers
/// before the body.
pub fn serve(parts: Vec<Part>, early: bool) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let parts = Arc::new(parts);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let parts = Arc::clone(&parts);
            // A peer that goes away in the midst is what some tests are about.
            thread::spawn(move || drop(answer(stream, &parts, early)));
        }
    });
    address
}

fn answer(mut stream: TcpStream, parts: &[Part], early: bool) -> std::io::Result<()> {
    let mut received = Vec::new();
    let mut bytes = [0; 16 * 1024];
    let whole = |received: &[u8]| match memchr::memmem::find(received, b"\r\n\r\n") {
        Some(end) => early || received.len() >= end + 4 + number(&received[..end], "content-length:"),
        None => false,
    };
    while !whole(&received) {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            read => received.extend_from_slice(&bytes[..read]),
        }
    }
    let part = &parts[number(&received, "x-part:")];
    stream.write_all(&part.begin)?;
    for _ in 0..part.times {
        stream.write_all(&part.piece)?;
    }
    stream.write_all(&part.end)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // An unread byte would turn the end into a reset.
    while stream.read(&mut bytes)? > 0 {}
    Ok(())
}

/// The number that a header holds.
fn number(head: &[u8], name: &str) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}
