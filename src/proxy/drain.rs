//! What happens to an answer whose caller has gone.
//!
//! By default the provider's side is cancelled at once and what was seen is estimated. Where a provider's settings say `drain`,
//! the rest of the answer is read and thrown away instead, so that the provider's own figures arrive: Pingora goes on as
//! if the caller were still there. Each drain is bounded in time and bytes, and there is a bound on drains at once; what
//! exceeds one is cancelled as without. HTTP/2 is always cancelled.

use crate::{
    base::clock::{self, Instant},
    providers::provider::DrainBounds,
    telemetry::metrics::METRICS,
};
use parking_lot::Mutex;
use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep_until},
};

/// How many answers may be drained at once.
#[derive(Clone)]
pub struct Places(Arc<Semaphore>);

impl Places {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))))
    }
}

/// One connection's part. The hooks arm it for an exchange; the stream asks it when the caller has gone.
#[derive(Default)]
pub(super) struct Drain {
    armed: Mutex<Option<(DrainBounds, Places)>>,
    begun: Option<Begun>,
    /// The exchange is being drained, or was.
    is_draining: AtomicBool,
    has_exceeded: AtomicBool,
}

struct Begun {
    until: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    bytes_left: u64,
    /// Writing to the caller has failed: what is written is thrown away.
    is_deaf: bool,
    _place: OwnedSemaphorePermit,
}

impl Drain {
    /// From now on the answer is worth draining: the request has gone to the provider as a whole.
    pub(super) fn arm(&self, bounds: DrainBounds, places: &Places) {
        *self.armed.lock() = Some((bounds, places.clone()));
    }

    /// The exchange is over. `true` when its caller went away and it was drained; `is_whole`: to its end.
    pub(super) fn end(&self, is_whole: bool) -> bool {
        *self.armed.lock() = None;
        let drained = self.is_draining.load(Ordering::Relaxed);
        if drained {
            let outcome = match (is_whole, self.has_exceeded.load(Ordering::Relaxed)) {
                (true, _) => "whole",
                (false, true) => "bound",
                (false, false) => "provider",
            };
            METRICS.drains_total.with_label_values(&[outcome]).inc();
        }
        drained
    }

    /// The caller sends no more. `true` when its answer is drained from now on.
    pub(super) fn caller_left(&mut self) -> bool {
        if self.begun.is_some() {
            return true;
        }
        let Some((bounds, places)) = self.armed.lock().take() else { return false };
        let Ok(place) = places.0.try_acquire_owned() else {
            METRICS.drains_total.with_label_values(&["refused"]).inc();
            return false;
        };
        self.is_draining.store(true, Ordering::Relaxed);
        self.begun = Some(Begun {
            until: clock::instant() + bounds.time_max,
            alarm: None,
            bytes_left: bounds.bytes_max,
            is_deaf: false,
            _place: place,
        });
        true
    }

    /// The caller takes no more. `true` when its answer is drained from now on.
    pub(super) fn caller_deaf(&mut self) -> bool {
        let drains = self.caller_left();
        if let Some(begun) = &mut self.begun {
            begun.is_deaf = true;
        }
        drains
    }

    /// Whether the caller has gone and its answer is drained, for the hooks.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(super) fn is_begun(&self) -> bool {
        self.begun.is_some()
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.is_deaf)
    }

    /// Ready when the time is over.
    pub(super) fn poll_time(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(begun) = &mut self.begun else { return Poll::Ready(()) };
        let until = begun.until;
        let alarm = begun.alarm.get_or_insert_with(|| Box::pin(sleep_until(until.into())));
        let over = alarm.as_mut().poll(context);
        if over.is_ready() {
            self.has_exceeded.store(true, Ordering::Relaxed);
        }
        over
    }

    /// Counts bytes of a drained answer.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn count(&mut self, bytes: usize) -> io::Result<()> {
        let Some(begun) = &mut self.begun else { return Ok(()) };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some(left) = begun.bytes_left.checked_sub(bytes) else {
            self.has_exceeded.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        begun.bytes_left = left;
        Ok(())
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("begun", &self.begun.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Duration;

    fn armed(places: &Places, bytes_max: u64) -> Drain {
        let drain = Drain::default();
        drain.arm(DrainBounds { time_max: Duration::from_mins(1), bytes_max }, places);
        drain
    }

    #[test]
    fn what_is_not_armed_is_not_drained() {
        let mut drain = Drain::default();
        assert!(!drain.caller_left() && !drain.caller_deaf() && !drain.end(true));
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let places = Places::new(1);
        let (mut first, mut second) = (armed(&places, 10), armed(&places, 10));
        assert!(first.caller_left());
        assert!(!second.caller_left());
        drop(first);
        second.arm(DrainBounds { time_max: Duration::from_mins(1), bytes_max: 10 }, &places);
        assert!(second.caller_deaf() && second.is_deaf());
    }

    #[test]
    fn bytes_beyond_the_bound_end_a_drain() {
        let places = Places::new(1);
        let mut drain = armed(&places, 10);
        assert!(drain.caller_left());
        assert!(drain.count(4).is_ok() && drain.count(6).is_ok());
        assert!(drain.count(1).is_err());
        assert!(drain.end(false));
    }

    #[test]
    fn once_the_exchange_is_over_nothing_is_drained() {
        let places = Places::new(1);
        let mut drain = armed(&places, 10);
        assert!(!drain.end(true));
        assert!(!drain.caller_left());
    }
}
