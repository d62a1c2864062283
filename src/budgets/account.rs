//! The money of one budget in one window: what was spent, and what is set aside for requests that go on.
//!
//! One atomic word, `committed`, is the sum of everything that counts against the limit: a hold is one compare-and-swap
//! on it, so spent + held is never above the limit when a request is let in, whatever else happens at that moment.
//! Nothing here waits or allocates.

use super::calendar::Span;
use crate::base::money::Money;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::Relaxed},
};

/// What is set aside for one request at most: a million dollars. Keeps sums far from the end of the range.
const HOLD_MAX: i64 = 1_000_000_000_000_000;
/// No sum goes beyond this, whatever a budget that only reports is made to carry.
const COMMITTED_MAX: i64 = i64::MAX / 2;

/// A budget's money in one window. Amounts are nano-dollars.
#[derive(Debug)]
pub struct Cell {
    pub span: Span,
    /// Own and others' spent and held. Relaxed here and below: the words guard no other memory.
    committed: AtomicI64,
    /// What exchanges of this process came to.
    spent: AtomicI64,
    /// What is known of other processes and of the past.
    others_spent: AtomicI64,
    others_held: AtomicI64,
    pub(super) saved: Saved,
}

/// What the keeper has stored of a cell, so that it need not store it again. Nobody else looks at it.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) spent: AtomicI64,
    pub(super) held: AtomicI64,
    /// In milliseconds; 0 before the first time.
    pub(super) at: AtomicI64,
    /// Others' part was told to the cell once.
    pub(super) knows_others: AtomicBool,
    /// A bit for each share that an alert was noted for.
    pub(super) alerts: AtomicU32,
}

/// What a cell comes to at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Everybody's.
    pub spent: Money,
    /// Everybody's, for requests that go on.
    pub held: Money,
    /// This process' part of `spent`.
    pub own_spent: Money,
    /// This process' part of `held`, or a little more while requests end.
    pub own_held: Money,
}

impl Cell {
    /// Nothing spent, nothing held.
    pub const fn new(span: Span) -> Self {
        Self {
            span,
            committed: AtomicI64::new(0),
            spent: AtomicI64::new(0),
            others_spent: AtomicI64::new(0),
            others_held: AtomicI64::new(0),
            saved: Saved {
                spent: AtomicI64::new(0),
                held: AtomicI64::new(0),
                at: AtomicI64::new(0),
                knows_others: AtomicBool::new(false),
                alerts: AtomicU32::new(0),
            },
        }
    }

    /// Sets an amount aside, if it fits under the limit. An amount of nothing fits as long as something is left.
    pub(super) fn hold(self: &Arc<Self>, amount: Money, limit: Money) -> Option<Part> {
        let amount = amount.nanos().clamp(0, HOLD_MAX);
        let limit = limit.nanos().min(COMMITTED_MAX);
        let with_it = |committed: i64| {
            let after = committed.checked_add(amount)?;
            (after <= limit && (amount > 0 || committed < limit)).then_some(after)
        };
        self.committed.fetch_update(Relaxed, Relaxed, with_it).ok()?;
        Some(Part { cell: Arc::clone(self), amount })
    }

    /// Sets an amount aside whatever the limit: for a budget that only reports.
    pub(super) fn hold_anyway(self: &Arc<Self>, amount: Money) -> Part {
        let amount = amount.nanos().clamp(0, HOLD_MAX);
        let with_it = |committed: i64| committed.checked_add(amount).filter(|after| *after <= COMMITTED_MAX);
        let fits = self.committed.fetch_update(Relaxed, Relaxed, with_it).is_ok();
        Part { cell: Arc::clone(self), amount: if fits { amount } else { 0 } }
    }

    /// Says what other processes, and processes before this one, have spent and hold.
    pub(super) fn set_others(&self, spent: Money, held: Money) {
        let before = self.others_spent.swap(spent.nanos(), Relaxed) + self.others_held.swap(held.nanos(), Relaxed);
        self.committed.fetch_add(spent.nanos() + held.nanos() - before, Relaxed);
    }

    /// Adds (or, when negative, takes back) what the usage store tells of spending that nobody counted.
    pub(super) fn correct(&self, by: Money) {
        self.spend(by.nanos(), 0);
    }

    /// What it comes to now. `spent` never shows more than was committed.
    pub fn standing(&self) -> Standing {
        // In this order: an exchange that ends in between is counted twice rather than not at all.
        let (committed, own_spent) = (self.committed.load(Relaxed), self.spent.load(Relaxed));
        let (others_spent, others_held) = (self.others_spent.load(Relaxed), self.others_held.load(Relaxed));
        let own_held = committed.saturating_sub(own_spent).saturating_sub(others_spent).saturating_sub(others_held);
        let own_held = own_held.max(0);
        Standing {
            spent: Money::from_nanos(own_spent.saturating_add(others_spent)),
            held: Money::from_nanos(own_held.saturating_add(others_held)),
            own_spent: Money::from_nanos(own_spent),
            own_held: Money::from_nanos(own_held),
        }
    }

    fn spend(&self, cost: i64, held: i64) {
        self.spent.fetch_add(cost, Relaxed);
        self.committed.fetch_add(cost - held, Relaxed);
    }
}

/// An amount set aside in one cell. Settled once; dropped unsettled, it is given back.
#[derive(Debug)]
#[must_use = "the amount is given back when it is dropped"]
pub(super) struct Part {
    cell: Arc<Cell>,
    amount: i64,
}

impl Part {
    /// What the request came to takes the place of what was set aside for it.
    pub(super) fn settle(mut self, cost: Money) {
        self.cell.spend(cost.nanos().max(0), self.amount);
        self.amount = 0;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.amount != 0 {
            self.cell.spend(0, self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanos(nanos: i64) -> Money {
        Money::from_nanos(nanos)
    }

    fn cell() -> Arc<Cell> {
        Arc::new(Cell::new(Span::ALL))
    }

    fn standing(cell: &Cell) -> (i64, i64) {
        let standing = cell.standing();
        (standing.spent.nanos(), standing.held.nanos())
    }

    #[test]
    fn an_amount_is_held_then_settled_with_the_cost_or_given_back() {
        let cell = cell();
        let (first, second) = (cell.hold(nanos(60), nanos(100)).unwrap(), cell.hold(nanos(40), nanos(100)).unwrap());
        assert_eq!(standing(&cell), (0, 100));
        assert!(cell.hold(nanos(1), nanos(100)).is_none());
        first.settle(nanos(10));
        assert_eq!(standing(&cell), (10, 40));
        drop(second);
        assert_eq!(standing(&cell), (10, 0));
        assert!(cell.hold(nanos(91), nanos(100)).is_none());
        cell.hold(nanos(90), nanos(100)).unwrap().settle(nanos(90));
        assert_eq!(standing(&cell), (100, 0));
    }

    #[test]
    fn what_may_cost_nothing_passes_while_something_is_left() {
        let cell = cell();
        assert!(cell.hold(nanos(0), nanos(0)).is_none(), "a limit of nothing lets nothing pass");
        assert!(cell.hold(nanos(0), nanos(1)).is_some());
        cell.hold(nanos(1), nanos(1)).unwrap().settle(nanos(1));
        assert!(cell.hold(nanos(0), nanos(1)).is_none(), "exhausted");
        assert!(cell.hold(nanos(0), nanos(2)).is_some(), "a raised limit");
    }

    #[test]
    fn a_budget_that_only_reports_counts_beyond_its_limit() {
        let cell = cell();
        cell.hold_anyway(nanos(500)).settle(nanos(700));
        assert_eq!(standing(&cell), (700, 0));
        let huge: Vec<_> = (0..10_000).map(|_| cell.hold_anyway(nanos(i64::MAX))).collect();
        drop(huge);
        assert_eq!(standing(&cell), (700, 0), "nothing overflows");
    }

    #[test]
    fn a_cost_above_the_hold_counts_in_full() {
        let cell = cell();
        cell.hold(nanos(10), nanos(100)).unwrap().settle(nanos(99));
        assert!(cell.hold(nanos(2), nanos(100)).is_none());
        assert!(cell.hold(nanos(1), nanos(100)).is_some());
    }

    #[test]
    fn what_others_spent_and_hold_counts_and_is_replaced_by_newer_word() {
        let cell = cell();
        cell.hold(nanos(10), nanos(100)).unwrap().settle(nanos(10));
        cell.set_others(nanos(50), nanos(30));
        assert_eq!(standing(&cell), (60, 30));
        assert!(cell.hold(nanos(11), nanos(100)).is_none());
        cell.set_others(nanos(55), nanos(0));
        cell.correct(nanos(5));
        assert_eq!(standing(&cell), (70, 0));
        let kept = cell.hold(nanos(30), nanos(100)).unwrap();
        let Standing { own_spent, own_held, .. } = cell.standing();
        assert_eq!((own_spent.nanos(), own_held.nanos()), (15, 30));
        drop(kept);
    }

    #[test]
    fn a_panic_gives_the_amount_back() {
        let cell = cell();
        let part = cell.hold(nanos(10), nanos(100)).unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _part = part;
            std::panic::resume_unwind(Box::new("what a request may do"));
        }));
        assert!(caught.is_err());
        assert_eq!(standing(&cell), (0, 0));
    }

    #[test]
    fn threads_together_never_commit_more_than_the_limit_and_use_it_up() {
        let (cell, limit, done) = (cell(), nanos(100_000), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                while !done.load(Relaxed) {
                    let (spent, held) = standing(&cell);
                    assert!(spent <= 100_000 && spent + held <= 100_000, "{spent} + {held}");
                }
            });
            let workers: Vec<_> = (1..=4_i64)
                .map(|seed| {
                    let cell = &cell;
                    scope.spawn(move || {
                        let mut at = seed;
                        for _ in 0..50_000 {
                            at = (at * 1_103_515_245 + 12_345) % 2_147_483_648;
                            let amount = 1 + at % 50;
                            match cell.hold(nanos(amount), limit) {
                                Some(part) if at % 7 == 0 => drop(part),
                                Some(part) => part.settle(nanos(amount - at % amount)),
                                None => {}
                            }
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.join().unwrap();
            }
            done.store(true, Relaxed);
            watch.join().unwrap();
        });
        let (spent, held) = standing(&cell);
        assert_eq!(held, 0);
        assert!((99_950..=100_000).contains(&spent), "{spent}");
    }

    proptest! {
        #[test]
        fn it_is_what_a_simple_sum_is(
            limit in 0..200_i64,
            steps in prop::collection::vec((0..4_u8, 0..80_i64), 0..80),
        ) {
            let cell = cell();
            let (mut spent, mut held) = (0, Vec::new());
            for (step, amount) in steps {
                match (step, held.is_empty()) {
                    (0 | 1, _) => {
                        let committed = spent + held.iter().map(|(amount, _)| amount).sum::<i64>();
                        let fits = committed + amount <= limit && (amount > 0 || committed < limit);
                        let part = cell.hold(nanos(amount), nanos(limit));
                        prop_assert_eq!(part.is_some(), fits, "{} + {} of {}", committed, amount, limit);
                        held.extend(part.map(|part| (amount, part)));
                    }
                    (2, false) => drop(held.remove(0)),
                    (_, false) => {
                        let (_, part) = held.remove(0);
                        part.settle(nanos(amount));
                        spent += amount;
                    }
                    _ => {}
                }
                let all_held = held.iter().map(|(amount, _)| amount).sum::<i64>();
                prop_assert_eq!(standing(&cell), (spent, all_held));
            }
        }
    }
}
