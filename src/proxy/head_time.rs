//! A caller's connection as the hooks need it: the time that a request's head may take is bounded, and an answer whose caller has
//! gone may be drained (see `drain`), and the end of an answer may be held (see `hold`).
//!
//! Pingora bounds the wait for each read, so a head that comes byte by byte would hold its connection for ever. Here the
//! time runs from a head's first byte until the hooks say that the head has arrived; then the connection ends. HTTP/2 is left
//! alone: what is read there is no head but frames.

use super::{
    drain::{Drain, Places},
    hold::Held,
};
use crate::{
    base::clock::{self, Duration, Instant},
    providers::provider::DrainBounds,
};
use async_trait::async_trait;
use pingora_core::{
    apps::{HttpServerApp, ServerApp},
    protocols::{
        ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
        TimingDigest, UniqueID, UniqueIDType,
        raw_connect::ProxyDigest,
        tls::{SslDigest, TlsRef},
    },
    server::ShutdownWatch,
};
use pingora_proxy::Session;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

/// An application whose connections are timed.
pub(super) struct HeadTimed<A> {
    app: Arc<A>,
    head_read_max: Duration,
}

impl<A> HeadTimed<A> {
    pub(super) fn new(app: A, head_read_max: Duration) -> Self {
        Self { app: Arc::new(app), head_read_max }
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for HeadTimed<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return self.app.process_new(stream, shutdown).await;
        }
        let timed = Timed {
            stream,
            head_read_max: self.head_read_max,
            phase: AtomicU32::new(0),
            phase_seen: 0,
            began: None,
            alarm: None,
            drain: Drain::default(),
            held: Held::default(),
        };
        self.app.process_new(Box::new(timed), shutdown).await
    }

    async fn cleanup(&self) {
        self.app.cleanup().await;
    }
}

/// Says that the request's head has arrived: what is read from now on is its body.
pub(super) fn head_arrived(session: &Session) {
    set_phase(session, |phase| phase | 1);
}

/// Says that the request is over: what is read from now on is the next head.
pub(super) fn request_over(session: &Session) {
    set_phase(session, |phase| (phase | 1).wrapping_add(1));
}

/// Says that the request has gone to the provider, and that its answer is to be drained if the caller goes away.
pub(super) fn drain_from_now_on(session: &Session, bounds: DrainBounds, places: &Places) {
    if let Some(timed) = timed(session) {
        timed.drain.arm(bounds, places);
    }
}

/// Says that the answer is over; `true` when its caller had gone away before and it was drained.
pub(super) fn was_drained(session: &Session, is_whole: bool) -> bool {
    timed(session).is_some_and(|timed| timed.drain.end(is_whole))
}

/// Whether the caller has gone and its answer is being drained.
pub(super) fn is_drained(session: &Session) -> bool {
    timed(session).is_some_and(|timed| timed.drain.is_draining())
}

/// Where what is written to this caller can be held; `None` over HTTP/2.
pub(super) fn held(session: &Session) -> Option<&Held> {
    timed(session).map(|timed| &timed.held)
}

fn timed(session: &Session) -> Option<&Timed> {
    (**session.as_http1()?.stream()).as_any().downcast_ref::<Timed>()
}

fn set_phase(session: &Session, next: impl Fn(u32) -> u32) {
    if let Some(timed) = timed(session) {
        // Only the connection's own task comes here.
        timed.phase.store(next(timed.phase.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}

/// A connection of which each head is timed.
#[derive(Debug)]
struct Timed {
    stream: Stream,
    head_read_max: Duration,
    /// Even while a head is expected, odd while a request is served; the next number with each change.
    phase: AtomicU32,
    phase_seen: u32,
    /// When the first byte of a head that has not arrived came.
    began: Option<Instant>,
    /// Set once such a head has to be waited for.
    alarm: Option<Pin<Box<Sleep>>>,
    drain: Drain,
    held: Held,
}

impl Timed {
    /// Reads on; that the caller has gone shows here first.
    fn poll_body(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.drain.is_begun() {
            let before = into.filled().len();
            let outcome = Pin::new(&mut self.stream).poll_read(context, into);
            let has_gone = match &outcome {
                Poll::Ready(Ok(())) => into.filled().len() == before && into.remaining() > 0,
                Poll::Ready(Err(_)) => true,
                Poll::Pending => false,
            };
            if !has_gone || !self.drain.caller_left() {
                return outcome;
            }
        }
        // Nothing comes any more; the end of the stream shows when the drain's time is over.
        self.drain.poll_time(context).map(Ok)
    }

    fn wrote(&mut self, outcome: Poll<io::Result<usize>>, length: usize) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(written)) if self.drain.is_begun() => {
                Poll::Ready(self.drain.count(written).map(|()| written))
            }
            Poll::Ready(Err(_)) if self.drain.caller_deaf() => Poll::Ready(self.drain.count(length).map(|()| length)),
            outcome => outcome,
        }
    }

    /// Ready when a head has been coming for too long.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(began) = self.began else { return Poll::Pending };
        let until = began + self.head_read_max;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until.into())));
        alarm.as_mut().poll(context)
    }
}

impl AsyncRead for Timed {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let phase = this.phase.load(Ordering::Relaxed);
        if this.phase_seen != phase {
            (this.phase_seen, this.began, this.alarm) = (phase, None, None);
        }
        if phase % 2 == 1 {
            return this.poll_body(context, into);
        }
        if this.drain.is_begun() {
            return Poll::Ready(Ok(())); // no request follows from a caller that has gone
        }
        if this.began.is_some() && this.poll_alarm(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = into.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(context, into);
        if this.began.is_none() && into.filled().len() > before {
            this.began = Some(clock::instant());
        }
        outcome
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.held.poll(context));
        if self.drain.is_deaf() {
            return Poll::Ready(self.drain.count(bytes.len()).map(|()| bytes.len()));
        }
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(outcome, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.drain.is_deaf() {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(Err(_)) if self.drain.caller_deaf() => Poll::Ready(Ok(())),
            outcome => outcome,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.held.poll(context));
        let length = slices.iter().map(|slice| slice.len()).sum();
        if self.drain.is_deaf() {
            return Poll::Ready(self.drain.count(length).map(|()| length));
        }
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(outcome, length)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Timed {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

#[async_trait]
impl Peek for Timed {
    async fn try_peek(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        self.stream.try_peek(bytes).await
    }
}

impl UniqueID for Timed {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Timed {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Timed {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl GetProxyDigest for Timed {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.stream.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Timed {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.stream.set_socket_digest(digest);
    }
}
