//! One bound on the memory of all requests and answers together. Who finds nothing left is refused at once and may come again;
//! waiting instead would let half-received bodies block each other for ever.

use super::fault::{Code, Fault};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// All requests' and answers' bytes together.
pub(super) const BYTES_MAX: usize = 768 << 20;

/// Bytes that may still be taken.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// A share of nothing yet.
    pub(super) fn share(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }
}

/// What one request has taken; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Fault> {
        let taken = self.budget.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(bytes));
        taken.map_err(|_| {
            Fault::new(Code::MemoryLimitExceeded, "Too many bytes in requests and answers at once, try again")
        })?;
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_took_is_there_again_when_it_ends() {
        let budget = Budget::new(10);
        let mut first = budget.share();
        first.grow(7).unwrap();
        let mut second = budget.share();
        assert_eq!(second.grow(4).unwrap_err().code, 241);
        second.grow(3).unwrap();
        drop(first);
        second.grow(7).unwrap();
        assert!(second.grow(1).is_err());
    }
}
