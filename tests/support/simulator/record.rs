//! What the simulator received, to the byte: one record a request, in the order in which their heads arrived.
//! A bounded number is kept; what falls out is counted.

use super::head::Head;
use parking_lot::Mutex;
use sociaro_gateway::base::clock::{Duration, Instant};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::sync::watch;

/// One request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Its place among all requests of this simulator, from 0.
    pub sequence: usize,
    /// Which connection carried it, from 0 in the order of accepting.
    pub connection: usize,
    pub head: Head,
    /// The body's bytes as they were on the wire: chunk sizes, extensions and trailers included.
    pub body_raw: Vec<u8>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The whole body has arrived.
    pub complete: bool,
    /// What the peer sent after a `101`, as it was on the wire.
    pub after_upgrade: Vec<u8>,
    pub arrived_at: Option<Instant>,
    /// The answer was sent to its end, as planned (its planned fault included).
    pub answered_at: Option<Instant>,
    /// The peer closed, or reset, the connection before the answer was sent.
    pub peer_closed_at: Option<Instant>,
    /// Bytes of the answer that were handed to the socket, its head included.
    pub bytes_sent: usize,
}

impl Request {
    /// The request line's method.
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    /// The request target as it arrived.
    pub fn target(&self) -> &str {
        self.head.word(1)
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target().split_once('?').map_or(self.target(), |(path, _)| path)
    }

    /// The query without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// One parameter of the query, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query()?.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.value(name)
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether these bytes stand anywhere in what arrived.
    pub fn contains(&self, needle: &[u8]) -> bool {
        let parts = [&self.head.0, &self.body_raw, &self.body, &self.after_upgrade];
        parts.iter().any(|part| memchr::memmem::find(part, needle).is_some())
    }
}

/// All requests of one simulator.
#[derive(Debug)]
pub(super) struct Records {
    kept_max: usize,
    kept: Mutex<VecDeque<Request>>,
    next: AtomicUsize,
    changes: watch::Sender<u64>,
}

impl Records {
    /// Keeps that many.
    pub(super) fn new(kept_max: usize) -> Self {
        Self { kept_max, kept: Mutex::default(), next: AtomicUsize::new(0), changes: watch::Sender::new(0) }
    }

    /// Adds a request and returns its sequence number.
    pub(super) fn add(&self, mut request: Request) -> usize {
        let mut kept = self.kept.lock();
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        if self.kept_max > 0 {
            if kept.len() == self.kept_max {
                kept.pop_front();
            }
            request.sequence = sequence;
            kept.push_back(request);
        }
        drop(kept);
        self.changed();
        sequence
    }

    /// Changes a request that is still kept.
    pub(super) fn update(&self, sequence: usize, change: impl FnOnce(&mut Request)) {
        if self.kept_max == 0 {
            return;
        }
        let mut kept = self.kept.lock();
        let first = kept.front().map_or(0, |request| request.sequence);
        if let Some(request) = sequence.checked_sub(first).and_then(|index| kept.get_mut(index)) {
            change(request);
        }
        drop(kept);
        self.changed();
    }

    /// Forgets all that is kept.
    pub(super) fn forget(&self) {
        self.kept.lock().clear();
    }

    /// How many requests have arrived, forgotten ones included.
    pub(super) fn arrived(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// The kept requests.
    pub(super) fn all(&self) -> Vec<Request> {
        self.kept.lock().iter().cloned().collect()
    }

    /// The kept requests for which the predicate holds.
    pub(super) fn matching(&self, predicate: impl Fn(&Request) -> bool) -> Vec<Request> {
        self.kept.lock().iter().filter(|request| predicate(request)).cloned().collect()
    }

    /// Waits until `look` finds what it looks for. `None` when it did not within the bound.
    pub(super) async fn wait<T>(&self, bound: Duration, mut look: impl FnMut(&Self) -> Option<T>) -> Option<T> {
        let mut changes = self.changes.subscribe();
        let found = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = look(self) {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(bound, found).await.ok().flatten()
    }

    /// Wakes those that wait.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }
}
