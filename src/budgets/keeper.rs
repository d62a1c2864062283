//! Keeps the ledger and the control store alike: definitions come in, what was spent and is held goes out, and what other
//! processes and the past have spent comes in. No request waits for it.
//!
//! What is stored is the whole of what a process has spent and holds, under its own name, so that storing it twice changes
//! nothing. What a killed process held goes on counting until the usage store has told what its exchanges cost.

use super::{
    account::{Cell, Standing},
    alerts,
    budget::{Budget, Subject},
    ledger::{Account, Ledger},
    port::{BudgetStore, Instance, SpendingRecord, Untold, Use},
};
use crate::{
    auth::port::{Page, StoreDown},
    base::{
        clock::{Duration, Timestamp},
        ids::{BudgetId, OrganizationId, RequestId},
        money::Money,
    },
    telemetry::metrics::METRICS,
};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// Budgets that are read from the store at once.
const PAGE: u32 = 1_000;
/// A process that holds something says so at least this often.
const SIGN_OF_LIFE_MS: i64 = 10_000;
/// One that has not said so for this long is gone.
const GONE_MS: i64 = 30_000;
/// How far back what others have stored is read again, for clocks that differ and commits that take their time.
const OVERLAP_MS: i64 = 5_000;
/// No window that goes on is longer, but for the one without an end, which begins at 0.
const WINDOW_MAX_MS: i64 = 32 * 86_400_000;
/// What the past has cost is asked for until this long after a budget became known here: so long a killed process' usage
/// events take to reach the usage store.
const SETTLED_AFTER_MS: i64 = 120_000;
/// … and this often.
const ASK_EVERY_MS: i64 = 15_000;

/// What is known of other processes, by budget, window and process.
type Others = HashMap<BudgetId, HashMap<Timestamp, HashMap<Instance, Use>>>;

/// See above. One for a process.
pub struct Keeper {
    store: Arc<dyn BudgetStore>,
    ledger: Arc<Ledger>,
    alert_shares: Vec<u16>,
    instance: Instance,
    revision: Option<i64>,
    others: Others,
    polled_at: Timestamp,
    checks: HashMap<BudgetId, Check>,
}

/// What a budget's current window had cost before this process counted.
#[derive(Debug, Clone)]
struct Check {
    window_start: Timestamp,
    /// Processes that had stored something when the budget became known. What they have stored since belongs to the past, too:
    /// one that hands over to this process still ends what it had begun.
    known: Vec<Instance>,
    /// What the usage store said beyond what these have stored.
    added: Money,
    next_at: Timestamp,
    over: bool,
}

/// A question to the usage store: what did a budget's window cost up to a moment?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    budget_id: BudgetId,
    organization_id: OrganizationId,
    subject: Subject,
    window_start: Timestamp,
    until: Timestamp,
}

impl Question {
    /// Asks it.
    pub async fn ask(&self, record: &dyn SpendingRecord) -> Result<Money, Untold> {
        record.spent(&self.organization_id, &self.subject, (self.window_start, self.until)).await
    }
}

impl Keeper {
    /// Nothing read, nothing stored yet.
    pub fn new(store: Arc<dyn BudgetStore>, ledger: Arc<Ledger>, alert_shares: Vec<u16>) -> Self {
        Self {
            store,
            ledger,
            alert_shares,
            instance: RequestId::generate().as_str().into(),
            revision: None,
            others: Others::new(),
            polled_at: Timestamp::from_millis(0),
            checks: HashMap::new(),
        }
    }

    /// One round: to be called before the first request, then once an interval, and at the end.
    ///
    /// # Errors
    /// The control store does not answer: the ledger goes on with what it knows, and what was not stored is stored by
    /// the next round.
    pub async fn round(&mut self, now: Timestamp) -> Result<(), StoreDown> {
        let revision = self.store.budgets_revision().await?;
        if self.revision != Some(revision) {
            self.ledger.define(self.read_budgets().await?, now);
            self.revision = Some(revision);
        }
        let accounts = self.ledger.accounts(None);
        if accounts.is_empty() {
            return Ok(());
        }
        self.save(&accounts, now).await?;
        self.look_at_others(&accounts, now).await?;
        self.note_alerts(&accounts, now).await
    }

    async fn note_alerts(&self, accounts: &[Arc<Account>], now: Timestamp) -> Result<(), StoreDown> {
        for account in accounts {
            let cell = self.ledger.cell(account, now);
            for alert in alerts::due(&self.alert_shares, &account.budget, &cell, now) {
                let is_first = self.store.note_alert(&alert).await?;
                alerts::noted(&self.alert_shares, &cell, std::slice::from_ref(&alert));
                if is_first {
                    METRICS.budget_alerts_total.inc();
                    let (budget, organization) = (alert.budget_id.as_str(), alert.organization_id.as_str());
                    tracing::warn!(
                        budget,
                        organization,
                        share_percent = alert.share,
                        "a budget has come to a share of its limit"
                    );
                }
            }
        }
        Ok(())
    }

    async fn read_budgets(&self) -> Result<Vec<Budget>, StoreDown> {
        let mut all: Vec<Budget> = Vec::new();
        loop {
            let after = all.last().map(|budget| &budget.id);
            let page = self.store.budgets(None, Page { after, count_max: PAGE }).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    async fn save(&self, accounts: &[Arc<Account>], now: Timestamp) -> Result<(), StoreDown> {
        let mut uses = Vec::new();
        let mut saved = Vec::new();
        for account in accounts {
            let current = self.ledger.cell(account, now);
            let past = account.past(|cell| Arc::strong_count(cell) == 1 && is_saved(cell, cell.standing()));
            for cell in past.into_iter().chain([current]) {
                let standing = cell.standing();
                if !is_saved(&cell, standing) || needs_sign_of_life(&cell, standing, now) {
                    uses.push(self.use_of(&account.budget.id, &cell, standing, now));
                    saved.push((cell, standing));
                }
            }
        }
        if uses.is_empty() {
            return Ok(());
        }
        self.store.save_uses(&uses).await?;
        for (cell, standing) in saved {
            cell.saved.spent.store(standing.own_spent.nanos(), Relaxed);
            cell.saved.held.store(standing.own_held.nanos(), Relaxed);
            cell.saved.at.store(now.millis(), Relaxed);
        }
        Ok(())
    }

    fn use_of(&self, id: &BudgetId, cell: &Cell, standing: Standing, now: Timestamp) -> Use {
        Use {
            budget_id: id.clone(),
            window_start: cell.span.start,
            instance: Arc::clone(&self.instance),
            spent: standing.own_spent,
            held: standing.own_held,
            seen_at: now,
        }
    }

    async fn look_at_others(&mut self, accounts: &[Arc<Account>], now: Timestamp) -> Result<(), StoreDown> {
        let windows_since = Timestamp::from_millis(now.millis() - WINDOW_MAX_MS);
        let news = self.store.uses(&self.instance, self.polled_at.plus_millis(-OVERLAP_MS), windows_since).await?;
        self.polled_at = now;
        let changed: std::collections::HashSet<BudgetId> = news.iter().map(|one| one.budget_id.clone()).collect();
        for one in news {
            let windows = self.others.entry(one.budget_id.clone()).or_default();
            windows.entry(one.window_start).or_default().insert(Arc::clone(&one.instance), one);
        }
        for account in accounts {
            let cell = self.ledger.cell(account, now);
            let is_new = !cell.saved.knows_others.swap(true, Relaxed);
            if is_new || changed.contains(&account.budget.id) {
                self.tell(account, &cell);
            }
            if is_new {
                self.begin_check(account, &cell, now);
            }
        }
        Ok(())
    }

    /// Tells a cell what others have spent and hold; forgets windows before it.
    fn tell(&mut self, account: &Account, cell: &Cell) {
        let Some(windows) = self.others.get_mut(&account.budget.id) else { return };
        windows.retain(|start, _| *start >= cell.span.start);
        let uses = windows.get(&cell.span.start).into_iter().flat_map(HashMap::values);
        let sum = uses.fold((Money::ZERO, Money::ZERO), |(spent, held), one| {
            (spent.saturating_add(one.spent), held.saturating_add(one.held))
        });
        cell.set_others(sum.0, sum.1);
    }

    fn begin_check(&mut self, account: &Account, cell: &Cell, now: Timestamp) {
        let uses = self.others.get(&account.budget.id).and_then(|windows| windows.get(&cell.span.start));
        let known = uses.into_iter().flat_map(HashMap::keys).cloned().collect();
        // A window that began while this process counted has no past.
        let over = account.tracked_since() <= cell.span.start;
        let check = Check { window_start: cell.span.start, known, added: Money::ZERO, next_at: now, over };
        self.checks.insert(account.budget.id.clone(), check);
    }

    /// What the usage store must be asked now.
    pub fn questions(&mut self, now: Timestamp) -> Vec<Question> {
        let mut questions = Vec::new();
        for account in self.ledger.accounts(None) {
            let Budget { id, organization_id, subject, .. } = &account.budget;
            let Some(check) = self.checks.get_mut(id).filter(|check| !check.over && check.next_at <= now) else {
                continue;
            };
            check.next_at = now.plus_millis(ASK_EVERY_MS);
            questions.push(Question {
                budget_id: id.clone(),
                organization_id: organization_id.clone(),
                subject: subject.clone(),
                window_start: check.window_start,
                until: account.tracked_since(),
            });
        }
        questions
    }

    /// Takes an answer in: what the usage store has and the control store has not is added to what was spent. When all
    /// that can come has come, what processes held that are gone counts no longer.
    ///
    /// # Errors
    /// The control store does not answer.
    pub async fn learn(&mut self, question: &Question, cost: Money, now: Timestamp) -> Result<(), StoreDown> {
        let accounts = self.ledger.accounts(Some(&question.organization_id));
        let Some(account) = accounts.iter().find(|account| account.budget.id == question.budget_id) else {
            return Ok(());
        };
        let cell = self.ledger.cell(account, now);
        let Some(check) = self.checks.get_mut(&question.budget_id) else { return Ok(()) };
        if cell.span.start != question.window_start || check.window_start != question.window_start {
            return Ok(()); // that window is over
        }
        let uses = self.others.get(&question.budget_id).and_then(|windows| windows.get(&question.window_start));
        let of_known = |one: &&Use| check.known.contains(&one.instance);
        let stored: i64 =
            uses.into_iter().flat_map(HashMap::values).filter(of_known).map(|one| one.spent.nanos()).sum();
        let beyond = cost.nanos().saturating_sub(stored).max(0);
        let correction = Money::from_nanos(beyond - check.added.nanos());
        if correction != Money::ZERO {
            cell.correct(correction);
            check.added = Money::from_nanos(beyond);
            let budget = question.budget_id.as_str();
            tracing::info!(budget, correction_usd = %correction, "a budget follows what the usage store says was spent");
        }
        if now.millis() - account.tracked_since().millis() < SETTLED_AFTER_MS {
            return Ok(());
        }
        self.release(account, &cell, now).await?;
        if let Some(check) = self.checks.get_mut(&question.budget_id) {
            check.over = true;
        }
        Ok(())
    }

    async fn release(&mut self, account: &Account, cell: &Cell, now: Timestamp) -> Result<(), StoreDown> {
        let Some(windows) = self.others.get_mut(&account.budget.id) else { return Ok(()) };
        let Some(uses) = windows.get_mut(&cell.span.start) else { return Ok(()) };
        let is_gone = |one: &Use| one.held > Money::ZERO && now.millis() - one.seen_at.millis() > GONE_MS;
        let gone: Vec<Use> = uses.values().filter(|one| is_gone(one)).cloned().collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.store.release(&gone).await?;
        for one in uses.values_mut().filter(|one| is_gone(one)) {
            one.held = Money::ZERO;
        }
        self.tell(account, cell);
        Ok(())
    }
}

fn is_saved(cell: &Cell, standing: Standing) -> bool {
    let saved = (cell.saved.spent.load(Relaxed), cell.saved.held.load(Relaxed));
    saved == (standing.own_spent.nanos(), standing.own_held.nanos())
}

fn needs_sign_of_life(cell: &Cell, standing: Standing, now: Timestamp) -> bool {
    standing.own_held > Money::ZERO && now.millis() - cell.saved.at.load(Relaxed) >= SIGN_OF_LIFE_MS
}

/// How long the last round may take when the process ends.
pub const LAST_ROUND_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
