//! How much room the spool takes on the disk, and how much it may: alarms on the way, and a bound at the end.

use crate::telemetry::metrics::METRICS;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Alarms at so many hundredths of the bound.
const LEVELS: [u64; 3] = [50, 80, 100];

/// The bytes of all segments and quarantined batches that this process holds.
#[derive(Debug)]
pub(super) struct Disk {
    bytes: AtomicU64,
    bytes_max: u64,
    /// How many levels were passed.
    passed: AtomicUsize,
}

impl Disk {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes: AtomicU64::new(0), bytes_max: bytes_max.max(1), passed: AtomicUsize::new(0) }
    }

    /// Whether so many bytes more are within the bound.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.bytes.load(Relaxed).saturating_add(bytes) <= self.bytes_max
    }

    /// Bytes were written.
    pub(super) fn add(&self, bytes: u64) {
        self.show(self.bytes.fetch_add(bytes, Relaxed).saturating_add(bytes));
    }

    /// Files were removed.
    pub(super) fn sub(&self, bytes: u64) {
        self.show(self.bytes.fetch_sub(bytes, Relaxed).saturating_sub(bytes));
    }

    /// An append was refused for want of room.
    pub(super) fn is_full(&self) {
        self.passed(LEVELS.len(), self.bytes.load(Relaxed));
    }

    fn show(&self, bytes: u64) {
        METRICS.usage_spool_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let passed = LEVELS.iter().filter(|level| bytes.saturating_mul(100) >= self.bytes_max.saturating_mul(**level));
        self.passed(passed.count(), bytes);
    }

    /// Each level is told of once, and again only after the spool was below all of them.
    fn passed(&self, passed: usize, bytes: u64) {
        let before = self.passed.fetch_max(passed, Relaxed);
        if passed == 0 && before > 0 {
            self.passed.store(0, Relaxed);
            METRICS.usage_spool_alarm.set(0);
            tracing::info!(bytes, "the usage spool has room again");
        }
        let Some(level) = passed.checked_sub(1).filter(|_| passed > before).and_then(|at| LEVELS.get(at)) else {
            return;
        };
        METRICS.usage_spool_alarm.set(i64::try_from(*level).unwrap_or(i64::MAX));
        tracing::error!(
            percent = level,
            bytes,
            bytes_max = self.bytes_max,
            "the usage spool fills: the store takes less than comes"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_told_once_on_the_way_up_and_again_after_the_spool_was_empty() {
        let disk = Disk::new(1000);
        let passed = |disk: &Disk| disk.passed.load(Relaxed);
        for (add, expected) in [(499, 0), (1, 1), (299, 1), (1, 2), (199, 2), (1, 3)] {
            disk.add(add);
            assert_eq!(passed(&disk), expected, "after {add}");
        }
        assert!(!disk.has_room(1));
        disk.sub(400);
        assert_eq!(passed(&disk), 3, "it has not been empty enough to speak again");
        disk.sub(200);
        assert_eq!(passed(&disk), 0);
        assert!(disk.has_room(600) && !disk.has_room(601));
    }
}
