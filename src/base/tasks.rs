//! Background tasks that shutdown can wait for. The only `tokio::spawn` of the program.

use std::{future::Future, time::Duration};
use tokio_util::task::TaskTracker;

/// The tasks of one program: spawned through it, waited for at its end.
#[derive(Debug, Clone, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a future on the current runtime and remembers it until it ends.
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(future)
    }

    /// Waits until all tasks have ended, but not longer than the bound. True when they have.
    pub async fn drain(&self, bound: Duration) -> bool {
        self.0.close();
        tokio::time::timeout(bound, self.0.wait()).await.is_ok()
    }
}
