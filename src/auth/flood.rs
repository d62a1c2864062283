//! Holds off floods of unknown keys before the control store is asked. Counts unknown keys alone, per address, in a
//! sketch of fixed size: an address may be counted too high when very many others send unknown keys in the same
//! second, never too low, and cached keys are not looked at here at all. Leaves out exact limits of known keys.

use crate::base::clock::Duration;
use parking_lot::Mutex;
use pingora_limits::rate::Rate;
use std::net::IpAddr;

/// The window in which unknown keys are counted. Pingora's sketch is sound for whole seconds only.
const WINDOW: Duration = Duration::from_secs(1);
/// The sketch: with 4 rows of 8192 counters, addresses begin to be over-counted by one at some ten thousand
/// unknown keys a second from everywhere together. Half a megabyte in all.
const ROWS: usize = 4;
const COUNTERS_PER_ROW: usize = 8192;
/// When an address may try again: in the next window.
pub const RETRY_AFTER_SECONDS: u32 = 1;

/// Counts unknown keys per address.
pub struct FloodGuard {
    /// `None` when the guard is off.
    bound: Option<isize>,
    /// Behind a lock, since turning the window over races between threads inside the sketch (an overflow when
    /// another thread turned it between reading the clock and the last turn). Warm requests never come here.
    unknown: Mutex<Rate>,
}

impl FloodGuard {
    /// A guard that lets through so many unknown keys a second from one address; 0 turns it off.
    pub fn new(unknown_per_second_max: u32) -> Self {
        let bound = (unknown_per_second_max > 0).then(|| isize::try_from(unknown_per_second_max).unwrap_or(isize::MAX));
        Self { bound, unknown: Mutex::new(Rate::new_with_estimator_config(WINDOW, ROWS, COUNTERS_PER_ROW)) }
    }

    /// Whether the address has used up its unknown keys of this second.
    pub fn is_flooding(&self, from: IpAddr) -> bool {
        self.bound.is_some_and(|bound| self.unknown.lock().observe(&Origin::of(from), 0) >= bound)
    }

    /// Counts an unknown key. True when it is above the bound.
    pub fn count_unknown(&self, from: IpAddr) -> bool {
        self.bound.is_some_and(|bound| self.unknown.lock().observe(&Origin::of(from), 1) > bound)
    }
}

/// What is counted as one sender: an IPv4 address, or the 64 bits of an IPv6 address that name a network, since
/// whoever has one address of a network has them all.
#[derive(PartialEq, Eq, Hash)]
enum Origin {
    V4([u8; 4]),
    V6(u128),
}

impl Origin {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6(address.to_bits() >> 64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Counts until the guard says stop; a window may turn over on the way.
    fn count_until_refused(guard: &FloodGuard, from: IpAddr) -> usize {
        (1..=1000).find(|_| guard.count_unknown(from)).expect("refused at last")
    }

    #[test]
    fn an_address_over_its_bound_is_flooding_and_no_other_is() {
        let guard = FloodGuard::new(10);
        assert!(!guard.is_flooding(at("192.0.2.1")));
        assert!(count_until_refused(&guard, at("192.0.2.1")) > 10);
        assert!(!guard.is_flooding(at("192.0.2.2")));
        assert!(!guard.count_unknown(at("192.0.2.2")));
    }

    #[test]
    fn asking_does_not_count() {
        let guard = FloodGuard::new(1);
        assert!((0..1000).all(|_| !guard.is_flooding(at("192.0.2.1"))));
    }

    #[test]
    fn a_bound_of_zero_turns_the_guard_off() {
        let guard = FloodGuard::new(0);
        assert!((0..1000).all(|_| !guard.count_unknown(at("192.0.2.1"))));
        assert!(!guard.is_flooding(at("192.0.2.1")));
    }

    #[test]
    fn one_sender_is_one_sender_however_the_address_is_written() {
        assert!(Origin::of(at("::ffff:192.0.2.1")) == Origin::of(at("192.0.2.1")));
        assert!(Origin::of(at("2001:db8:1:2::1")) == Origin::of(at("2001:db8:1:2:ffff::9")));
        assert!(Origin::of(at("2001:db8:1:2::1")) != Origin::of(at("2001:db8:1:3::1")));
        assert!(Origin::of(at("192.0.2.1")) != Origin::of(at("192.0.2.2")));
    }
}
