//! How much at once: a count of requests in flight, and the permit that holds one place until it is dropped.

use super::states::State;
use crate::telemetry::metrics::METRICS;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// How many requests of one key, or one organization, are in flight.
#[derive(Debug, Default)]
pub(super) struct InFlight(AtomicU32);

impl InFlight {
    /// The number now.
    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self, at_most: u32) -> bool {
        // Relaxed: the count guards no other memory.
        let one_more = |count: u32| count.checked_add(1).filter(|count| *count <= at_most);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

/// One place among the requests in flight of a key or an organization. Dropping it gives the place back, whatever ended the request.
#[must_use = "the place is given back when the permit is dropped"]
#[derive(Debug)]
pub struct Permit {
    state: Arc<State>,
}

impl Permit {
    /// Takes a place; `None` when as many as the bound are taken.
    pub(super) fn acquire(state: Arc<State>, at_most: u32) -> Option<Self> {
        state.in_flight.enter(at_most).then_some(())?;
        METRICS.permits.inc();
        Some(Self { state })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.state.in_flight.0.fetch_sub(1, Ordering::Relaxed);
        METRICS.permits.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_are_given_out_up_to_the_bound_and_come_back_on_drop() {
        let state = Arc::new(State::default());
        let first = Permit::acquire(Arc::clone(&state), 2).unwrap();
        let second = Permit::acquire(Arc::clone(&state), 2).unwrap();
        assert!(Permit::acquire(Arc::clone(&state), 2).is_none());
        drop(first);
        assert_eq!(state.in_flight.count(), 1);
        let third = Permit::acquire(Arc::clone(&state), 2).unwrap();
        assert_eq!(state.in_flight.count(), 2);
        drop((second, third));
        assert_eq!(state.in_flight.count(), 0);
        assert!(Permit::acquire(state, 0).is_none(), "a bound of zero lets nothing in");
    }

    #[test]
    fn a_panic_gives_the_place_back() {
        let state = Arc::new(State::default());
        let held = Permit::acquire(Arc::clone(&state), 1).unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = held;
            std::panic::resume_unwind(Box::new("what a request may do"));
        }));
        assert!(caught.is_err());
        assert_eq!(state.in_flight.count(), 0);
    }

    #[test]
    fn a_permit_may_end_on_another_thread() {
        fn sendable<T: Send + Sync + 'static>(_: &T) {}
        let permit = Permit::acquire(Arc::new(State::default()), 1).unwrap();
        sendable(&permit);
    }

    proptest! {
        #[test]
        fn the_count_is_that_of_the_permits_held(bound in 0..5_u32, enters in prop::collection::vec(any::<bool>(), 0..60)) {
            let state = Arc::new(State::default());
            let mut held = Vec::new();
            for enter in enters {
                if enter {
                    let permit = Permit::acquire(Arc::clone(&state), bound);
                    prop_assert_eq!(permit.is_some(), held.len() < bound as usize);
                    held.extend(permit);
                } else {
                    held.pop();
                }
                prop_assert_eq!(state.in_flight.count() as usize, held.len());
            }
        }
    }
}
