//! What must not happen before something is on the disk is held. It is let go when that is so, or can never be: whoever could
//! say so has gone.

use futures_util::task::AtomicWaker;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

#[derive(Debug, Default)]
struct State {
    is_released: AtomicBool,
    waiter: AtomicWaker,
}

/// Ready once it is released. One task at a time may wait for it.
#[derive(Debug, Clone)]
pub struct Hold(Arc<State>);

/// Releases its hold when it is dropped.
#[derive(Debug)]
pub struct Release(Arc<State>);

/// A hold, and what releases it.
pub fn hold() -> (Hold, Release) {
    let state = Arc::<State>::default();
    (Hold(Arc::clone(&state)), Release(state))
}

impl Hold {
    /// Whether it is released.
    pub fn is_released(&self) -> bool {
        self.0.is_released.load(Ordering::Acquire)
    }
}

impl Future for Hold {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.waiter.register(context.waker());
        if self.is_released() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.0.is_released.store(true, Ordering::Release);
        self.0.waiter.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;

    #[tokio::test]
    async fn a_hold_is_ready_once_it_is_released() {
        let (mut hold, release) = hold();
        assert!(poll!(&mut hold).is_pending() && !hold.is_released());
        let other = std::thread::spawn(|| drop(release));
        (&mut hold).await;
        other.join().unwrap();
        assert!(hold.is_released() && poll!(&mut hold).is_ready());
    }
}
