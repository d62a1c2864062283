//! Leases: each gateway that uses the store holds one open connection. When the last is gone for a while, the store
//! ends by itself, so nobody has to stop it.

use crate::base::clock::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The count of leases.
#[derive(Debug, Clone)]
pub(super) struct Leases {
    count: watch::Sender<usize>,
    stop: CancellationToken,
}

/// One gateway's hold on the store, given back when dropped.
#[derive(Debug)]
pub(super) struct Lease(Leases);

impl Leases {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { count: watch::Sender::new(0), stop }
    }

    pub(super) fn take(&self) -> Lease {
        self.count.send_modify(|count| *count = count.saturating_add(1));
        Lease(self.clone())
    }

    /// Returns when there has been no lease for as long as `grace`.
    pub(super) async fn expired(&self, grace: Duration) {
        let mut count = self.count.subscribe();
        loop {
            // The sender lives in `self`: these waits cannot fail.
            if count.wait_for(|count| *count == 0).await.is_err() {
                return;
            }
            if tokio::time::timeout(grace, count.wait_for(|count| *count > 0)).await.is_err() {
                return;
            }
        }
    }
}

impl Lease {
    /// Returns when the store stops.
    pub(super) async fn stopped(&self) {
        self.0.stop.cancelled().await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn the_store_ends_only_after_the_last_lease() {
        let leases = Leases::new(CancellationToken::new());
        let grace = Duration::from_secs(10);
        let (first, second) = (leases.take(), leases.take());
        let expired = leases.expired(grace);
        tokio::pin!(expired);
        drop(first);
        assert!(tokio::time::timeout(grace * 3, &mut expired).await.is_err());
        drop(second);
        assert!(tokio::time::timeout(grace / 2, &mut expired).await.is_err());
        let third = leases.take();
        assert!(tokio::time::timeout(grace * 3, &mut expired).await.is_err());
        drop(third);
        assert!((&mut expired).now_or_never().is_none());
        expired.await;
    }
}
