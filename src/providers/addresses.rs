//! Where a provider's host is: resolved in the background, so that no request waits for a name server, with fail-over
//! among the addresses. What was once resolved stays in use while the name server does not answer.

use crate::base::clock::Duration;
use arc_swap::ArcSwap;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
};

/// How long one look-up may take.
const LOOK_UP_MAX: Duration = Duration::from_secs(5);
/// More addresses than this are not kept.
const ADDRESSES_MAX: usize = 64;

/// The addresses of one host and port.
#[derive(Debug)]
pub struct Addresses {
    host: String,
    port: u16,
    known: ArcSwap<Vec<SocketAddr>>,
    /// Where the next request begins: moves on when an address does not answer.
    preferred: AtomicUsize,
}

impl Addresses {
    /// For a host name or a literal address; the latter needs no look-up.
    pub fn new(host: &str, port: u16) -> Self {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let known = literal.map(|ip| vec![SocketAddr::new(ip, port)]).unwrap_or_default();
        Self { host: host.to_owned(), port, known: ArcSwap::from_pointee(known), preferred: AtomicUsize::new(0) }
    }

    /// The address for the n-th try of one request that began at `start` (see [`Self::start`]); `None` when nothing is
    /// known.
    pub fn pick(&self, start: usize, attempt: usize) -> Option<SocketAddr> {
        let known = self.known.load();
        let at = start.wrapping_add(attempt).checked_rem(known.len())?;
        known.get(at).copied()
    }

    /// Where a new request begins.
    pub fn start(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// How many addresses are known.
    pub fn count(&self) -> usize {
        self.known.load().len()
    }

    /// Says that an address did not answer: requests to come begin at the next one.
    pub fn failed(&self, address: SocketAddr) {
        let known = self.known.load();
        let now = self.start();
        if now.checked_rem(known.len()).and_then(|at| known.get(at)) == Some(&address) {
            // Lost races only mean that another thread has moved on already.
            let _moved =
                self.preferred.compare_exchange(now, now.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Asks the name server. Keeps what was known when it fails or finds nothing.
    ///
    /// # Errors
    /// The look-up's own error, or `TimedOut`.
    pub async fn refresh(&self) -> io::Result<()> {
        if self.host.parse::<IpAddr>().is_ok() || self.host.starts_with('[') {
            return Ok(());
        }
        let found = tokio::time::timeout(LOOK_UP_MAX, tokio::net::lookup_host((self.host.as_str(), self.port)))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let mut found: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
        found.sort_unstable();
        found.dedup();
        if !found.is_empty() && **self.known.load() != found {
            self.known.store(found.into());
            self.preferred.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Addresses {
        let addresses = Addresses::new("provider.test", 443);
        addresses.known.store(vec![([10, 0, 0, 1], 443).into(), ([10, 0, 0, 2], 443).into()].into());
        addresses
    }

    #[test]
    fn literals_need_no_name_server() {
        for host in ["127.0.0.1", "::1", "[::1]"] {
            assert_eq!(Addresses::new(host, 8080).pick(0, 0).unwrap().port(), 8080, "{host}");
        }
        assert_eq!(Addresses::new("example.test", 1).pick(0, 0), None);
    }

    #[test]
    fn tries_of_one_request_go_round_all_addresses() {
        let addresses = two();
        let tries: Vec<_> = (0..3).map(|attempt| addresses.pick(0, attempt).unwrap().to_string()).collect();
        assert_eq!(tries, ["10.0.0.1:443", "10.0.0.2:443", "10.0.0.1:443"]);
    }

    #[test]
    fn an_address_that_failed_is_not_the_next_requests_first() {
        let addresses = two();
        let first = addresses.pick(addresses.start(), 0).unwrap();
        addresses.failed(first);
        addresses.failed(first);
        assert_eq!(addresses.pick(addresses.start(), 0).unwrap().to_string(), "10.0.0.2:443");
    }
}
