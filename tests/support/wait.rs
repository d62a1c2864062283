//! Waiting for what must come. The only sleeps of the tests, each short and bounded.

use sociaro_gateway::base::clock::{self, Duration};

/// How long to wait for what should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until there is something. Fails with what it waited for, and what it saw last.
pub async fn wait_until<T, S: std::fmt::Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    let started = clock::instant();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => {
                assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for: {what}; saw last: {seen:?}");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same without a runtime, for `Drop`. `Err` is what was seen last.
pub fn wait_blocking<T, S>(bound: Duration, mut look: impl FnMut() -> Result<T, S>) -> Result<T, S> {
    let started = clock::instant();
    loop {
        match look() {
            Err(_) if started.elapsed() < bound => std::thread::sleep(PAUSE),
            found => return found,
        }
    }
}

/// A future that must end soon.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let found = tokio::time::timeout(PATIENCE, future).await;
    found.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for: {what}"))
}
