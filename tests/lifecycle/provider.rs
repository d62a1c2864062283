//! A provider that answers when the test says so: what it sends, and when, is in the test's hand.

use crate::support::{
    simulator::{BodyReader, Head},
    wait::soon,
};
use bytes::BytesMut;
use std::{io, net::IpAddr};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// How many connections may wait to be taken.
const WAITING_MAX: u32 = 64;

/// A free port of an address, taken and not listened on: connections to it are refused.
pub(crate) struct Closed(TcpSocket);

/// One address of a provider.
pub(crate) struct Provider(TcpListener);

impl Closed {
    /// Takes a free port.
    pub(crate) fn on(address: IpAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server of ours that is to have the port may bind it, too.
        socket.set_reuseaddr(true)?;
        socket.bind((address, 0).into())?;
        Ok(Self(socket))
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().expect("a live socket").port()
    }

    /// Begins to listen on it.
    pub(crate) fn open(self) -> io::Result<Provider> {
        self.0.listen(WAITING_MAX).map(Provider)
    }
}

/// A request that waits for its answer.
pub(crate) struct Asked {
    stream: TcpStream,
    pub(crate) head: Head,
}

impl Provider {
    /// Listens on a free port of this address.
    pub(crate) fn listen(address: IpAddr) -> io::Result<Self> {
        Closed::on(address)?.open()
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().expect("a live socket").port()
    }

    /// The next request on a new connection, read to its end.
    pub(crate) async fn asked(&self) -> Asked {
        let (mut stream, _) = soon("a connection to the provider", self.0.accept()).await.expect("a live socket");
        let (mut buffer, mut head, mut body) = (BytesMut::new(), None, BodyReader::ToEnd);
        loop {
            assert!(soon("a request", stream.read_buf(&mut buffer)).await.expect("the gateway sends") > 0);
            if let (None, Some(end)) = (&head, memchr::memmem::find(&buffer, b"\r\n\r\n")) {
                let whole = Head(buffer.split_to(end + 4).to_vec());
                body = BodyReader::of_request(&whole).expect("a readable head");
                head = Some(whole);
            }
            if head.is_some() {
                body.take(&mut buffer).expect("a readable body");
            }
            if let (Some(head), BodyReader::Done) = (&head, &body) {
                return Asked { stream, head: head.clone() };
            }
        }
    }
}

impl Asked {
    /// Begins a stream.
    pub(crate) async fn begin(&mut self) {
        self.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await;
    }

    /// Sends a piece of the stream.
    pub(crate) async fn send(&mut self, piece: &str) {
        self.write(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await;
    }

    /// Ends the stream.
    pub(crate) async fn end(&mut self) {
        self.write(b"0\r\n\r\n").await;
    }

    /// Sends a whole small answer.
    pub(crate) async fn answer(&mut self) {
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        self.write(answer.as_bytes()).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        soon("the gateway to read", self.stream.write_all(bytes)).await.expect("the gateway reads");
    }
}
