//! The budgets of all organizations in this process: which of them a request counts against, and the hold on them.
//!
//! A request whose organization has no budget costs one look-up. One that has holds in each budget that it concerns, or in
//! none: the first that has no room refuses, and what was held before is given back. Definitions are replaced as a whole;
//! the money goes on in slots that they share.

use super::{
    account::{Cell, Part},
    budget::{Budget, Enforcement, Subject},
    calendar::{Calendar, Span, Window},
};
use crate::{
    base::{
        clock::Timestamp,
        ids::{BudgetId, KeyId, OrganizationId},
        money::Money,
    },
    telemetry::metrics::METRICS,
};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Whose money a request costs.
#[derive(Debug, Clone, Copy)]
pub struct Payer<'a> {
    pub organization: &'a OrganizationId,
    pub key: &'a KeyId,
    pub tags: &'a [(String, String)],
}

/// A budget has no room for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    pub subject: Subject,
    pub window: Window,
    /// What the request may cost.
    pub amount: Money,
    /// When the budget begins anew.
    pub resets_at: Option<Timestamp>,
}

/// One budget with its money.
#[derive(Debug)]
pub struct Account {
    pub budget: Budget,
    slot: Arc<Slot>,
}

/// The money of one budget: of the window that goes on, and of those that have ended and are not done with.
#[derive(Debug)]
struct Slot {
    cell: ArcSwap<Cell>,
    past: Mutex<Vec<Arc<Cell>>>,
    /// From this moment on this process has counted everything that it let in.
    tracked_since: Timestamp,
}

#[derive(Debug, Default)]
struct Table {
    organizations: HashMap<OrganizationId, Accounts>,
    all: Vec<Arc<Account>>,
}

/// One organization's budgets.
#[derive(Debug, Default)]
struct Accounts {
    whole: Vec<Arc<Account>>,
    keys: HashMap<KeyId, Vec<Arc<Account>>>,
    /// By name and value.
    tags: HashMap<String, HashMap<String, Vec<Arc<Account>>>>,
}

/// All budgets that this process knows.
#[derive(Debug)]
pub struct Ledger {
    calendar: Calendar,
    table: ArcSwap<Table>,
}

impl Ledger {
    /// Without budgets.
    pub fn new(calendar: Calendar) -> Self {
        Self { calendar, table: ArcSwap::default() }
    }

    /// Replaces the definitions. Budgets that were there before keep their money.
    pub fn define(&self, budgets: Vec<Budget>, now: Timestamp) {
        let before = self.table.load();
        let slots: HashMap<(&BudgetId, Window), &Arc<Slot>> =
            before.all.iter().map(|account| ((&account.budget.id, account.budget.window), &account.slot)).collect();
        let mut table = Table::default();
        for budget in budgets {
            let known = slots.get(&(&budget.id, budget.window)).map(|slot| Arc::clone(slot));
            let slot = known.unwrap_or_else(|| Arc::new(Slot::new(self.calendar.span(budget.window, now), now)));
            table.add(Arc::new(Account { budget, slot }));
        }
        self.table.store(Arc::new(table));
    }

    /// Sets aside what a request may cost in each budget that it counts against; `None` when there is none.
    /// `amount` is asked for only when there is one. `at` is when the request arrived.
    ///
    /// # Errors
    /// A budget that refuses has no room; nothing is held then.
    pub fn hold(
        &self,
        payer: &Payer<'_>,
        at: Timestamp,
        amount: impl FnOnce() -> Money,
    ) -> Result<Option<Hold>, Exhausted> {
        let table = self.table.load();
        let Some(accounts) = table.organizations.get(payer.organization) else { return Ok(None) };
        let mut concerned = accounts.concerning(payer).peekable();
        if concerned.peek().is_none() {
            return Ok(None);
        }
        let mut hold = Hold::new(amount());
        for account in concerned {
            hold.take(account, &account.slot.cell(&self.calendar, account.budget.window, at))?;
        }
        Ok(Some(hold))
    }

    /// Whether a request counts against any budget at all.
    pub fn concerns(&self, payer: &Payer<'_>) -> bool {
        let table = self.table.load();
        table.organizations.get(payer.organization).is_some_and(|accounts| accounts.concerning(payer).next().is_some())
    }

    /// The budgets of one organization, or of all.
    pub fn accounts(&self, of: Option<&OrganizationId>) -> Vec<Arc<Account>> {
        let table = self.table.load();
        let wanted = |account: &&Arc<Account>| of.is_none_or(|of| account.budget.organization_id == *of);
        table.all.iter().filter(wanted).cloned().collect()
    }

    /// A budget's money in the window that a moment is in.
    pub fn cell(&self, account: &Account, at: Timestamp) -> Arc<Cell> {
        account.slot.cell(&self.calendar, account.budget.window, at)
    }
}

impl Account {
    /// From this moment on this process has counted everything that it let in.
    pub(super) fn tracked_since(&self) -> Timestamp {
        self.slot.tracked_since
    }

    /// Windows that have ended and are not done with; those for which `done` says so are forgotten.
    pub(super) fn past(&self, done: impl Fn(&Arc<Cell>) -> bool) -> Vec<Arc<Cell>> {
        let mut past = self.slot.past.lock();
        past.retain(|cell| !done(cell));
        past.clone()
    }
}

impl Slot {
    fn new(span: Span, now: Timestamp) -> Self {
        Self { cell: ArcSwap::from_pointee(Cell::new(span)), past: Mutex::default(), tracked_since: now }
    }

    /// The window that goes on at a moment. A moment before it counts to it, too: a request that arrived just before
    /// midnight and was read after it.
    fn cell(&self, calendar: &Calendar, window: Window, at: Timestamp) -> Arc<Cell> {
        let cell = self.cell.load();
        if at < cell.span.end { Arc::clone(&cell) } else { self.roll(calendar, window, at) }
    }

    #[cold]
    fn roll(&self, calendar: &Calendar, window: Window, at: Timestamp) -> Arc<Cell> {
        let mut past = self.past.lock();
        let cell = self.cell.load_full();
        if at < cell.span.end {
            return cell; // another was faster
        }
        let new = Arc::new(Cell::new(calendar.span(window, at)));
        past.push(cell);
        self.cell.store(Arc::clone(&new));
        new
    }
}

impl Table {
    fn add(&mut self, account: Arc<Account>) {
        let accounts = self.organizations.entry(account.budget.organization_id.clone()).or_default();
        let place = match &account.budget.subject {
            Subject::Organization => &mut accounts.whole,
            Subject::Key(id) => accounts.keys.entry(id.clone()).or_default(),
            Subject::Tag { name, value } => {
                accounts.tags.entry(name.clone()).or_default().entry(value.clone()).or_default()
            }
        };
        place.push(Arc::clone(&account));
        self.all.push(account);
    }
}

impl Accounts {
    /// The narrowest first: what they refuse has not been held in those that more callers share.
    fn concerning<'a>(&'a self, payer: &Payer<'a>) -> impl Iterator<Item = &'a Arc<Account>> {
        let key = if self.keys.is_empty() { None } else { self.keys.get(payer.key) };
        let tags = if self.tags.is_empty() { &[] } else { payer.tags };
        let tagged = tags.iter().filter_map(|(name, value)| self.tags.get(name)?.get(value));
        key.into_iter().chain(tagged).flatten().chain(&self.whole)
    }
}

/// Budgets of one request that are held without allocating.
const INLINE: usize = 4;

/// What is set aside for one request in all budgets that it counts against. Settled with what the request cost; dropped
/// unsettled, it is given back.
#[derive(Debug)]
#[must_use = "what is set aside is given back when the hold is dropped"]
pub struct Hold {
    amount: Money,
    parts: [Option<Part>; INLINE],
    more: Vec<Part>,
}

impl Hold {
    fn new(amount: Money) -> Self {
        METRICS.budget_holds.inc();
        Self { amount, parts: [const { None }; INLINE], more: Vec::new() }
    }

    /// What is set aside.
    pub fn amount(&self) -> Money {
        self.amount
    }

    fn take(&mut self, account: &Account, cell: &Arc<Cell>) -> Result<(), Exhausted> {
        let Budget { subject, window, limit, enforcement, .. } = &account.budget;
        let part = match enforcement {
            Enforcement::Off => cell.hold_anyway(self.amount),
            Enforcement::On => cell.hold(self.amount, *limit).ok_or_else(|| {
                METRICS.budget_refused_total.inc();
                let (subject, resets_at) = (subject.clone(), cell.span.ends_at());
                Exhausted { subject, window: *window, amount: self.amount, resets_at }
            })?,
        };
        match self.parts.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(part),
            None => self.more.push(part),
        }
        Ok(())
    }

    /// What the request cost takes the place of what was set aside for it.
    pub fn settle(mut self, cost: Money) {
        let parts = std::mem::take(&mut self.parts).into_iter().flatten();
        parts.chain(std::mem::take(&mut self.more)).for_each(|part| part.settle(cost));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        METRICS.budget_holds.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOON: Timestamp = Timestamp::from_millis(1_795_305_600_000 - 1_795_305_600_000 % (24 * HOUR) + 12 * HOUR);

    fn nanos(nanos: i64) -> Money {
        Money::from_nanos(nanos)
    }

    fn budget(id: &str, subject: Subject, window: Window, limit: i64) -> Budget {
        Budget {
            id: BudgetId::new(id),
            organization_id: OrganizationId::new("org_a"),
            subject,
            window,
            limit: nanos(limit),
            enforcement: Enforcement::On,
        }
    }

    fn ledger(budgets: Vec<Budget>) -> Ledger {
        let ledger = Ledger::new(Calendar::default());
        ledger.define(budgets, NOON);
        ledger
    }

    struct Caller {
        organization: OrganizationId,
        key: KeyId,
        tags: Vec<(String, String)>,
    }

    impl Caller {
        fn new(organization: &str, key: &str, tags: &[(&str, &str)]) -> Self {
            let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Self { organization: OrganizationId::new(organization), key: KeyId::new(key), tags }
        }

        fn hold(&self, ledger: &Ledger, at: Timestamp, amount: i64) -> Result<Option<Hold>, Exhausted> {
            let payer = Payer { organization: &self.organization, key: &self.key, tags: &self.tags };
            ledger.hold(&payer, at, || nanos(amount))
        }
    }

    fn standing(ledger: &Ledger, id: &str, at: Timestamp) -> (i64, i64) {
        let account = ledger.accounts(None).into_iter().find(|account| account.budget.id.as_str() == id).unwrap();
        let standing = ledger.cell(&account, at).standing();
        (standing.spent.nanos(), standing.held.nanos())
    }

    fn tag(value: &str) -> Subject {
        Subject::Tag { name: "project".into(), value: value.into() }
    }

    #[test]
    fn a_request_counts_against_each_budget_that_it_concerns_and_no_other() {
        let ledger = ledger(vec![
            budget("whole", Subject::Organization, Window::Month, 1_000),
            budget("today", Subject::Organization, Window::Day, 1_000),
            budget("key", Subject::Key(KeyId::new("key_1")), Window::Total, 1_000),
            budget("other key", Subject::Key(KeyId::new("key_2")), Window::Total, 1_000),
            budget("x", tag("x"), Window::Month, 1_000),
            budget("x today", tag("x"), Window::Day, 1_000),
            budget("y", tag("y"), Window::Month, 1_000),
        ]);
        let caller = Caller::new("org_a", "key_1", &[("feature", "x"), ("project", "x")]);
        let hold = caller.hold(&ledger, NOON, 100).unwrap().unwrap();
        for id in ["whole", "today", "key", "x", "x today"] {
            assert_eq!(standing(&ledger, id, NOON), (0, 100), "{id}");
        }
        hold.settle(nanos(30));
        for id in ["whole", "today", "key", "x", "x today"] {
            assert_eq!(standing(&ledger, id, NOON), (30, 0), "{id}");
        }
        for id in ["other key", "y"] {
            assert_eq!(standing(&ledger, id, NOON), (0, 0), "{id}");
        }
        for stranger in [Caller::new("org_b", "key_1", &[("project", "x")]), Caller::new("", "", &[])] {
            assert!(stranger.hold(&ledger, NOON, i64::MAX).unwrap().is_none());
        }
    }

    #[test]
    fn the_budget_that_has_no_room_is_told_and_the_others_get_theirs_back() {
        let ledger = ledger(vec![
            budget("whole", Subject::Organization, Window::Day, 50),
            budget("key", Subject::Key(KeyId::new("key_1")), Window::Total, 1_000),
            budget("x", tag("x"), Window::Month, 1_000),
        ]);
        let caller = Caller::new("org_a", "key_1", &[("project", "x")]);
        let refused = caller.hold(&ledger, NOON, 51).unwrap_err();
        assert_eq!(
            refused,
            Exhausted {
                subject: Subject::Organization,
                window: Window::Day,
                amount: nanos(51),
                resets_at: Some(NOON.plus_millis(12 * HOUR)),
            }
        );
        for id in ["whole", "key", "x"] {
            assert_eq!(standing(&ledger, id, NOON), (0, 0), "{id}");
        }
        assert!(caller.hold(&ledger, NOON, 50).is_ok());
    }

    #[test]
    fn a_budget_that_only_reports_refuses_nothing() {
        let only = Budget { enforcement: Enforcement::Off, ..budget("b", Subject::Organization, Window::Day, 10) };
        let ledger = ledger(vec![only]);
        Caller::new("org_a", "key_1", &[]).hold(&ledger, NOON, 500).unwrap().unwrap().settle(nanos(400));
        assert_eq!(standing(&ledger, "b", NOON), (400, 0));
    }

    #[test]
    fn a_new_window_begins_with_nothing_and_an_old_hold_ends_in_its_own() {
        let ledger = ledger(vec![budget("b", Subject::Organization, Window::Day, 100)]);
        let (caller, tomorrow) = (Caller::new("org_a", "key_1", &[]), NOON.plus_millis(24 * HOUR));
        let old = caller.hold(&ledger, NOON, 100).unwrap().unwrap();
        assert!(caller.hold(&ledger, NOON.plus_millis(12 * HOUR - 1), 1).is_err(), "the same day");
        let new = caller.hold(&ledger, NOON.plus_millis(12 * HOUR), 60).unwrap().unwrap();
        old.settle(nanos(90));
        assert_eq!(standing(&ledger, "b", tomorrow), (0, 60));
        new.settle(nanos(60));
        assert_eq!(standing(&ledger, "b", tomorrow), (60, 0));
        let account = &ledger.accounts(None)[0];
        let past = account.past(|_| false);
        assert_eq!(past.iter().map(|cell| cell.standing().spent.nanos()).collect::<Vec<_>>(), [90]);
        assert!(account.past(|_| true).is_empty());
    }

    #[test]
    fn new_definitions_keep_the_money_of_budgets_that_were_there() {
        let ledger = ledger(vec![budget("b", Subject::Organization, Window::Day, 100)]);
        let caller = Caller::new("org_a", "key_1", &[]);
        let held = caller.hold(&ledger, NOON, 40).unwrap().unwrap();
        ledger.define(
            vec![
                budget("b", Subject::Organization, Window::Day, 50),
                budget("c", Subject::Organization, Window::Month, 9_000),
            ],
            NOON,
        );
        assert_eq!((standing(&ledger, "b", NOON), standing(&ledger, "c", NOON)), ((0, 40), (0, 0)));
        assert!(caller.hold(&ledger, NOON, 11).is_err(), "the new limit");
        held.settle(nanos(5));
        caller.hold(&ledger, NOON, 45).unwrap().unwrap().settle(nanos(45));
        assert_eq!((standing(&ledger, "b", NOON), standing(&ledger, "c", NOON)), ((50, 0), (45, 0)));
        ledger.define(Vec::new(), NOON);
        assert!(caller.hold(&ledger, NOON, i64::MAX).unwrap().is_none());
    }

    #[test]
    fn more_budgets_than_have_room_in_place_are_held_and_given_back() {
        let windows = Window::ALL.into_iter().enumerate();
        let subjects = [Subject::Organization, Subject::Key(KeyId::new("key_1")), tag("x")];
        let budgets = windows
            .flat_map(|(at, window)| {
                subjects.clone().map(|subject| {
                    let (kind, _) = subject.parts();
                    budget(&format!("{kind}{at}"), subject, window, 100)
                })
            })
            .collect::<Vec<_>>();
        let ledger = ledger(budgets);
        let caller = Caller::new("org_a", "key_1", &[("project", "x")]);
        drop(caller.hold(&ledger, NOON, 100).unwrap());
        caller.hold(&ledger, NOON, 100).unwrap().unwrap().settle(nanos(7));
        for account in ledger.accounts(None) {
            assert_eq!(standing(&ledger, account.budget.id.as_str(), NOON), (7, 0));
        }
    }
}
