//! One connection: reads requests byte for byte, answers them, and notices when the peer goes away meanwhile.

use super::{
    Shared,
    body::BodyReader,
    head::Head,
    knobs::{Expect, Knobs},
    plan::{Step, plan},
    realtime,
    record::Request,
    reply::{Break, Content, Reply},
};
use bytes::BytesMut;
use sociaro_gateway::base::clock::{self, Duration};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{sleep, timeout},
};

/// A request's head may be this long.
const HEAD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much is read ahead while an answer is being sent.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;
/// How long a closing connection is read on, so that the peer still gets what was sent.
const LINGER: Duration = Duration::from_secs(2);

/// One accepted connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    id: usize,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    buffer: BytesMut,
}

/// What becomes of the connection after an exchange.
enum Next {
    KeepAlive,
    Close,
    Reset,
    /// The peer has closed, or a WebSocket has taken the connection to its end.
    Gone,
}

impl Connection {
    /// Takes over an accepted socket.
    pub(super) fn new(shared: Arc<Shared>, id: usize, stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self { shared, id, reader, writer, buffer: BytesMut::with_capacity(16 * 1024) })
    }

    /// Answers requests until either side closes.
    pub(super) async fn serve(mut self) -> io::Result<()> {
        loop {
            let Some(head) = self.read_head().await?.map(Head) else { return Ok(()) };
            let mut request =
                Request { connection: self.id, head, arrived_at: Some(clock::instant()), ..Request::default() };
            request.sequence = self.shared.records.add(request.clone());
            match self.exchange(&mut request).await? {
                Next::KeepAlive => {}
                Next::Gone => return Ok(()),
                Next::Close => return self.close().await,
                Next::Reset => {
                    rustix::net::sockopt::set_socket_linger(self.reader.as_ref(), Some(Duration::ZERO))?;
                    // Dropping this half would say FIN before the reset.
                    self.writer.forget();
                    return Ok(());
                }
            }
        }
    }

    /// The next head, up to and including its empty line; `None` when the peer closed before it was whole.
    async fn read_head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(self.buffer.split_to(end + 4).to_vec()));
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(io::Error::other("a head is too long"));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                if !self.buffer.is_empty() {
                    let head = Head(self.buffer.split().to_vec());
                    self.shared.records.add(Request { connection: self.id, head, ..Request::default() });
                }
                return Ok(None);
            }
        }
    }

    async fn exchange(&mut self, request: &mut Request) -> io::Result<Next> {
        let (knobs, mut body) = match prepare(request) {
            Ok(prepared) => prepared,
            Err(fault) => return self.answer(request, &Reply::new(400, "text/plain", fault), false).await,
        };
        let expects = request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        if expects && knobs.expect == Expect::Refuse {
            return self.answer(request, &Reply::empty(417), false).await;
        }
        if expects && knobs.expect == Expect::Continue && !knobs.early {
            self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if !knobs.early {
            match self.read_body(request, &mut body, knobs.read).await? {
                Read::Whole => {}
                Read::PeerClosed => {
                    self.note_peer_closed(request);
                    return Ok(Next::Gone);
                }
                Read::Unreadable(fault) => {
                    return self.answer(request, &Reply::new(400, "text/plain", fault), false).await;
                }
            }
        }
        let reply = self.shared.reply_to(request, &knobs);
        if let Content::Realtime { model } = &reply.content {
            sleep(reply.delivery.delay_head).await;
            return self.upgrade(request, model).await;
        }
        let keep_alive = body == BodyReader::Done && wants_keep_alive(request);
        self.answer(request, &reply, keep_alive).await
    }

    /// Reads a body to its end, or as far as the test wants.
    async fn read_body(
        &mut self,
        request: &mut Request,
        body: &mut BodyReader,
        read_max: Option<usize>,
    ) -> io::Result<Read> {
        loop {
            let taken = match body.take(&mut self.buffer) {
                Ok(taken) => taken,
                Err(fault) => return Ok(Read::Unreadable(fault)),
            };
            request.body.extend_from_slice(&taken.data);
            request.complete = *body == BodyReader::Done;
            let complete = request.complete;
            if complete || !taken.raw.is_empty() {
                self.shared.records.update(request.sequence, |kept| {
                    kept.body_raw.extend_from_slice(&taken.raw);
                    kept.body.extend_from_slice(&taken.data);
                    kept.complete = complete;
                });
            }
            if complete {
                return Ok(Read::Whole);
            }
            if read_max.is_some_and(|max| request.body.len() >= max) {
                self.wait_for_close().await?;
                return Ok(Read::PeerClosed);
            }
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Ok(Read::PeerClosed),
                Ok(_) => {}
            }
        }
    }

    /// Waits for the peer to close without reading what it sends.
    async fn wait_for_close(&self) -> io::Result<()> {
        while !self.reader.ready(Interest::READABLE).await?.is_read_closed() {
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Sends an answer, unless the peer closes first.
    async fn answer(&mut self, request: &Request, reply: &Reply, keep_alive: bool) -> io::Result<Next> {
        let (steps, keep_alive) = plan(reply, request.method(), keep_alive)?;
        let sent = AtomicUsize::new(0);
        let (reader, writer, buffer) = (&mut self.reader, &mut self.writer, &mut self.buffer);
        let outcome = tokio::select! {
            biased;
            outcome = send(writer, steps, &sent) => outcome,
            () = peer_closed(reader, buffer) => Outcome::PeerClosed,
        };
        let bytes_sent = sent.load(Ordering::Relaxed);
        let now = clock::instant();
        self.shared.records.update(request.sequence, |kept| {
            kept.bytes_sent = bytes_sent;
            match outcome {
                Outcome::PeerClosed => kept.peer_closed_at = Some(now),
                Outcome::Sent | Outcome::Broken(_) => kept.answered_at = Some(now),
            }
        });
        Ok(match outcome {
            Outcome::PeerClosed => Next::Gone,
            Outcome::Broken(Break::Reset) => Next::Reset,
            Outcome::Sent if keep_alive => Next::KeepAlive,
            Outcome::Sent | Outcome::Broken(_) => Next::Close,
        })
    }

    /// Closes so that the peer still gets what was sent: an unread byte would turn the end into a reset.
    async fn close(mut self) -> io::Result<()> {
        self.writer.shutdown().await?;
        let drain = async {
            loop {
                self.buffer.clear();
                if !matches!(self.reader.read_buf(&mut self.buffer).await, Ok(read) if read > 0) {
                    return;
                }
            }
        };
        // A peer that never closes is left alone.
        drop(timeout(LINGER, drain).await);
        Ok(())
    }

    /// Becomes a WebSocket until it ends.
    async fn upgrade(&mut self, request: &Request, model: &str) -> io::Result<Next> {
        let ended = realtime::serve(realtime::Socket {
            shared: &self.shared,
            request,
            model,
            early: self.buffer.split(),
            reader: &mut self.reader,
            writer: &mut self.writer,
        });
        ended.await?;
        let now = clock::instant();
        self.shared.records.update(request.sequence, |kept| kept.answered_at = Some(now));
        Ok(Next::Gone)
    }

    fn note_peer_closed(&self, request: &Request) {
        let now = clock::instant();
        self.shared.records.update(request.sequence, |kept| kept.peer_closed_at = Some(now));
    }
}

enum Read {
    Whole,
    PeerClosed,
    Unreadable(String),
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Sent,
    Broken(Break),
    PeerClosed,
}

/// The knobs and the body's framing, both from the head.
fn prepare(request: &Request) -> Result<(Knobs, BodyReader), String> {
    let mut headers = [httparse::EMPTY_HEADER; 512];
    match httparse::Request::new(&mut headers).parse(&request.head.0) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err("the head is not whole".to_owned()),
        Err(fault) => return Err(format!("the head cannot be read: {fault}")),
    }
    let knobs = Knobs::parse(request.header("x-sim").unwrap_or_default())?;
    Ok((knobs, BodyReader::of_request(&request.head)?))
}

fn wants_keep_alive(request: &Request) -> bool {
    let says_close = request.head.values("connection").any(|value| value.eq_ignore_ascii_case("close"));
    !says_close && request.head.word(2) != "HTTP/1.0"
}

async fn send(writer: &mut OwnedWriteHalf, steps: Vec<Step>, sent: &AtomicUsize) -> Outcome {
    for step in steps {
        match step {
            Step::Sleep(delay) => sleep(delay).await,
            Step::Gate(gate) => gate.passed().await,
            Step::Break(Break::Stall) => std::future::pending().await,
            Step::Break(how) => return Outcome::Broken(how),
            Step::Write(bytes) => {
                if writer.write_all(&bytes).await.is_err() {
                    return Outcome::PeerClosed;
                }
                sent.fetch_add(bytes.len(), Ordering::Relaxed);
            }
        }
    }
    Outcome::Sent
}

/// Returns when the peer has closed or reset the connection; what it sends meanwhile waits in the buffer.
async fn peer_closed(reader: &mut OwnedReadHalf, buffer: &mut BytesMut) {
    while buffer.len() < AHEAD_BYTES_MAX {
        match reader.read_buf(buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    std::future::pending::<()>().await;
}
