//! Where records must be durable (`usage.spool.durable`), a request goes to its provider when its intent is on the disk, and the
//! last bytes of an answer go to its caller when its event is.
//!
//! Pingora's hook on an answer's body cannot wait. So over HTTP/1 the connection itself takes no more bytes until the hold is
//! released; what was taken before goes out meanwhile. Over HTTP/2 a connection carries other answers, too: there the hook
//! blocks its thread, whose other work goes to another one, which takes a runtime whose threads share their work.
//!
//! A disk that hangs holds nobody for longer than a bound.

use super::head_time;
use crate::{base::clock::Duration, usage::spool::hold::Hold};
use parking_lot::Mutex;
use pingora_proxy::Session;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    time::{Timeout, timeout},
};

/// The longest time that anything is held.
const HOLD_MAX: Duration = Duration::from_secs(5);

/// Waits for a hold.
pub(super) async fn wait(hold: Hold) {
    if timeout(HOLD_MAX, hold).await.is_err() {
        tell();
    }
}

/// What is written to the caller from now on has to wait for the hold.
pub(super) fn hold_end(session: &Session, hold: Hold) {
    if hold.is_released() {
        return;
    }
    if let Some(held) = head_time::held(session) {
        held.put(hold);
    } else if let Ok(handle) = Handle::try_current()
        && handle.runtime_flavor() == RuntimeFlavor::MultiThread
    {
        tokio::task::block_in_place(|| handle.block_on(wait(hold)));
    }
}

#[cold]
fn tell() {
    tracing::error!(
        seconds = HOLD_MAX.as_secs(),
        "the usage spool does not reach the disk: answers go out without their record"
    );
}

/// What a connection waits for before it takes more bytes.
#[derive(Default)]
pub(super) struct Held {
    is_held: AtomicBool,
    hold: Mutex<Option<Pin<Box<Timeout<Hold>>>>>,
}

impl Held {
    fn put(&self, hold: Hold) {
        *self.hold.lock() = Some(Box::pin(timeout(HOLD_MAX, hold)));
        self.is_held.store(true, Ordering::Release);
    }

    /// Ready when nothing is held.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_held.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let mut hold = self.hold.lock();
        let Some(waiting) = hold.as_mut() else { return Poll::Ready(()) };
        let Poll::Ready(outcome) = waiting.as_mut().poll(context) else { return Poll::Pending };
        if outcome.is_err() {
            tell();
        }
        *hold = None;
        self.is_held.store(false, Ordering::Release);
        Poll::Ready(())
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("is_held", &self.is_held).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::spool::hold::hold;
    use std::task::Waker;

    #[tokio::test(start_paused = true)]
    async fn bytes_wait_for_a_hold_and_for_one_that_nobody_releases_not_for_ever() {
        let held = Held::default();
        let context = &mut Context::from_waker(Waker::noop());
        assert!(held.poll(context).is_ready());
        let (first, release) = hold();
        held.put(first);
        assert!(held.poll(context).is_pending());
        drop(release);
        assert!(held.poll(context).is_ready() && held.poll(context).is_ready());
        let (second, _never) = hold();
        held.put(second);
        assert!(held.poll(context).is_pending());
        tokio::time::sleep(HOLD_MAX).await;
        assert!(held.poll(context).is_ready());
    }
}
