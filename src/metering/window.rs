//! The memory that decoders of all answers share for their windows.
//!
//! A window is what an encoder may refer back to: 32 KiB for gzip, but up to 8 MiB for zstd and 16 MiB for br. It is filled
//! by what has been decoded, so a short answer costs little of it. What is beyond a decoder's own allowance is taken
//! from one budget for the whole process; a decoder that finds it used up gives up its answer.

use std::sync::atomic::{AtomicU64, Ordering};

/// What all windows together may hold.
const ALL_BYTES_MAX: u64 = 256 << 20;

static ALL_BYTES: AtomicU64 = AtomicU64::new(0);

/// One answer's part of the budget; returned on drop.
#[derive(Debug, Default)]
pub(super) struct WindowShare(u64);

impl WindowShare {
    /// Makes the share at least this large; `false` when the budget does not allow it.
    pub(super) fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.0);
        if more == 0 {
            return true;
        }
        let taken = ALL_BYTES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| {
            all.checked_add(more).filter(|all| *all <= ALL_BYTES_MAX)
        });
        if taken.is_ok() {
            self.0 = bytes;
        }
        taken.is_ok()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.0
    }
}

impl Drop for WindowShare {
    fn drop(&mut self) {
        ALL_BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_out_of_one_budget_and_go_back_into_it() {
        let mut one = WindowShare::default();
        let mut two = WindowShare::default();
        assert!(one.grow_to(ALL_BYTES_MAX / 2) && one.grow_to(1), "a share does not shrink");
        assert!(!two.grow_to(ALL_BYTES_MAX), "more than is left");
        assert!(two.grow_to(1 << 20), "what was refused costs nothing");
        drop(one);
        assert!(two.grow_to(ALL_BYTES_MAX / 2));
    }
}
