//! The keeper between a ledger and a store in memory, with a clock that the tests set.

use super::*;
use crate::base::ids::KeyId;
use crate::budgets::{
    alerts::Alert,
    budget::Enforcement,
    calendar::{Calendar, Window},
    ledger::{Hold, Payer},
    port::SetError,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::atomic::AtomicBool;

const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_000);

#[derive(Default)]
struct FakeStore {
    budgets: Mutex<(i64, Vec<Budget>)>,
    uses: Mutex<Vec<Use>>,
    down: AtomicBool,
}

impl FakeStore {
    fn answer<T>(&self, value: T) -> Result<T, StoreDown> {
        if self.down.load(Relaxed) { Err(StoreDown::new("down")) } else { Ok(value) }
    }
}

#[async_trait]
impl BudgetStore for FakeStore {
    async fn budgets_revision(&self) -> Result<i64, StoreDown> {
        self.answer(self.budgets.lock().0)
    }

    async fn budgets(&self, _: Option<&OrganizationId>, page: Page<'_, BudgetId>) -> Result<Vec<Budget>, StoreDown> {
        let after = page.after.map_or("", BudgetId::as_str);
        self.answer(self.budgets.lock().1.iter().filter(|one| one.id.as_str() > after).cloned().collect())
    }

    async fn set_budget(&self, budget: &Budget) -> Result<Budget, SetError> {
        let mut budgets = self.budgets.lock();
        budgets.0 += 1;
        budgets.1.push(budget.clone());
        Ok(budget.clone())
    }

    async fn remove_budget(&self, _: &OrganizationId, _: &Subject, _: Window) -> Result<bool, StoreDown> {
        Ok(false)
    }

    async fn uses(&self, but_of: &Instance, seen: Timestamp, windows: Timestamp) -> Result<Vec<Use>, StoreDown> {
        let wanted = |one: &&Use| {
            let of_time = one.window_start >= windows || one.window_start.millis() == 0;
            one.instance != *but_of && one.seen_at >= seen && of_time
        };
        self.answer(self.uses.lock().iter().filter(wanted).cloned().collect())
    }

    async fn save_uses(&self, uses: &[Use]) -> Result<(), StoreDown> {
        self.answer(())?;
        let mut stored = self.uses.lock();
        for one in uses {
            let same = |other: &Use| {
                (&other.budget_id, other.window_start, &other.instance)
                    == (&one.budget_id, one.window_start, &one.instance)
            };
            stored.retain(|other| !same(other));
            stored.push(one.clone());
        }
        Ok(())
    }

    async fn release(&self, uses: &[Use]) -> Result<(), StoreDown> {
        self.answer(())?;
        for stored in self.uses.lock().iter_mut().filter(|one| uses.contains(one)) {
            stored.held = Money::ZERO;
        }
        Ok(())
    }

    async fn note_alert(&self, _: &Alert) -> Result<bool, StoreDown> {
        Ok(true)
    }

    async fn alerts_due(&self, _: Timestamp, _: u32) -> Result<Vec<Alert>, StoreDown> {
        Ok(Vec::new())
    }

    async fn alert_sent(&self, _: &Alert, _: Option<Timestamp>) -> Result<(), StoreDown> {
        Ok(())
    }
}

/// One process.
struct Process {
    keeper: Keeper,
    ledger: Arc<Ledger>,
}

impl Process {
    async fn start(store: &Arc<FakeStore>, now: Timestamp) -> Self {
        let ledger = Arc::new(Ledger::new(Calendar::default()));
        let mut keeper = Keeper::new(Arc::clone(store) as Arc<_>, Arc::clone(&ledger), Vec::new());
        keeper.round(now).await.unwrap();
        Self { keeper, ledger }
    }

    fn hold(&self, amount: i64, now: Timestamp) -> Option<Hold> {
        let (organization, key) = (&OrganizationId::new("org_a"), &KeyId::new("key_1"));
        let payer = Payer { organization, key, tags: &[] };
        self.ledger.hold(&payer, now, || Money::from_nanos(amount)).ok()?
    }

    fn spend(&self, amount: i64, now: Timestamp) {
        self.hold(amount, now).expect("room").settle(Money::from_nanos(amount));
    }

    /// Spent and held by all.
    fn standing(&self, now: Timestamp) -> (i64, i64) {
        let standing = self.ledger.cell(&self.ledger.accounts(None)[0], now).standing();
        (standing.spent.nanos(), standing.held.nanos())
    }

    /// The usage store says that so much was spent.
    async fn told(&mut self, spent: i64, now: Timestamp) {
        for question in self.keeper.questions(now) {
            self.keeper.learn(&question, Money::from_nanos(spent), now).await.unwrap();
        }
    }
}

async fn store(window: Window) -> Arc<FakeStore> {
    let store = Arc::new(FakeStore::default());
    let budget = Budget {
        id: BudgetId::new("bud_1"),
        organization_id: OrganizationId::new("org_a"),
        subject: Subject::Organization,
        window,
        limit: Money::from_nanos(1_000),
        enforcement: Enforcement::On,
    };
    store.set_budget(&budget).await.unwrap();
    store
}

fn later(seconds: i64) -> Timestamp {
    NOW.plus_millis(seconds * 1_000)
}

#[tokio::test]
async fn what_one_process_spends_and_holds_another_knows_a_round_later() {
    let store = store(Window::Total).await;
    let (mut one, mut two) = (Process::start(&store, NOW).await, Process::start(&store, NOW).await);
    one.spend(100, NOW);
    let held = one.hold(200, NOW).unwrap();
    one.keeper.round(later(1)).await.unwrap();
    two.keeper.round(later(1)).await.unwrap();
    assert_eq!(two.standing(later(1)), (100, 200));
    assert!(two.hold(701, later(1)).is_none() && two.hold(700, later(1)).is_some());
    held.settle(Money::from_nanos(50));
    one.keeper.round(later(2)).await.unwrap();
    two.keeper.round(later(2)).await.unwrap();
    assert_eq!((one.standing(later(2)), two.standing(later(2))), ((150, 0), (150, 0)));
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_it_stored_and_its_holds_count_until_all_is_told() {
    let store = store(Window::Total).await;
    let mut killed = Process::start(&store, NOW).await;
    killed.spend(100, NOW);
    let held = killed.hold(300, NOW).unwrap();
    killed.keeper.round(later(1)).await.unwrap();
    killed.spend(40, later(1)); // not stored
    drop(killed);

    let mut new = Process::start(&store, later(10)).await;
    assert_eq!(new.standing(later(10)), (100, 300));
    drop(held); // its process has gone: nobody hears of it
    new.spend(7, later(10));
    // The usage store has everything that ended, in two portions.
    new.told(100, later(11)).await;
    assert_eq!(new.standing(later(11)), (107, 300));
    new.told(140, later(30)).await;
    assert_eq!(new.standing(later(30)), (147, 300), "what was not stored is found again, once");
    new.told(140, later(60)).await;
    assert_eq!(new.standing(later(60)), (147, 300), "the holds still count");
    new.told(140, later(200)).await;
    assert_eq!(new.standing(later(200)), (147, 0), "all that can come has come");
    assert_eq!(new.keeper.questions(later(400)), [], "nothing is left to ask");
    new.keeper.round(later(201)).await.unwrap();

    // And the next start finds the same.
    let next = Process::start(&store, later(300)).await;
    assert_eq!(next.standing(later(300)), (147, 0));
}

#[tokio::test]
async fn what_a_process_ends_while_it_hands_over_counts_once() {
    let store = store(Window::Total).await;
    let mut old = Process::start(&store, NOW).await;
    let held = old.hold(300, NOW).unwrap();
    old.keeper.round(later(1)).await.unwrap();
    let mut new = Process::start(&store, later(2)).await;
    held.settle(Money::from_nanos(200));
    // The usage store may be faster than the control store.
    new.told(200, later(3)).await;
    old.keeper.round(later(4)).await.unwrap();
    new.keeper.round(later(5)).await.unwrap();
    new.told(200, later(30)).await;
    assert_eq!(new.standing(later(30)), (200, 0));
}

#[tokio::test]
async fn a_budget_that_is_new_learns_what_its_window_has_cost() {
    let store = store(Window::Day).await;
    let mut process = Process::start(&store, NOW).await;
    process.told(250, later(1)).await;
    assert_eq!(process.standing(later(1)), (250, 0));
    assert!(process.hold(751, later(1)).is_none());
    // A window that begins while it is known has no past.
    let tomorrow = later(86_400);
    process.keeper.round(tomorrow).await.unwrap();
    assert_eq!((process.standing(tomorrow), process.keeper.questions(tomorrow)), ((0, 0), vec![]));
}

#[tokio::test]
async fn a_store_that_is_down_stops_nothing_and_gets_all_of_it_later() {
    let store = store(Window::Total).await;
    let mut process = Process::start(&store, NOW).await;
    store.down.store(true, Relaxed);
    process.spend(600, later(1));
    assert!(process.keeper.round(later(1)).await.is_err());
    assert!(process.hold(401, later(1)).is_none(), "what is known is enforced");
    process.spend(100, later(2));
    store.down.store(false, Relaxed);
    process.keeper.round(later(3)).await.unwrap();
    let next = Process::start(&store, later(4)).await;
    assert_eq!(next.standing(later(4)), (700, 0));
}

#[tokio::test]
async fn windows_that_have_ended_are_stored_to_the_end_and_forgotten() {
    let store = store(Window::Day).await;
    let mut process = Process::start(&store, NOW).await;
    let held = process.hold(300, NOW).unwrap();
    let tomorrow = later(86_400);
    process.spend(1, tomorrow);
    process.keeper.round(tomorrow).await.unwrap();
    held.settle(Money::from_nanos(120));
    process.keeper.round(later(86_401)).await.unwrap();
    process.keeper.round(later(86_402)).await.unwrap();
    let mut stored: Vec<i64> = store.uses.lock().iter().map(|one| one.spent.nanos() + one.held.nanos()).collect();
    stored.sort_unstable();
    assert_eq!(stored, [1, 120]);
    let account = &process.ledger.accounts(None)[0];
    assert!(account.past(|_| false).is_empty(), "nothing is kept of it");
}
