//! What must be stored of budgets, and who knows what was spent. `store/` and `usage/` answer.

use super::alerts::Alert;
use super::budget::{Budget, Subject};
use super::calendar::Window;
use crate::{
    auth::port::{Page, StoreDown},
    base::{
        clock::Timestamp,
        ids::{BudgetId, OrganizationId},
        money::Money,
    },
};
use async_trait::async_trait;
use std::sync::Arc;

/// One process that serves; a new one each time that it starts.
pub type Instance = Arc<str>;

/// What one process has spent of a budget in one window, and holds. The whole of it, not a difference: storing it twice
/// changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub budget_id: BudgetId,
    pub window_start: Timestamp,
    pub instance: Instance,
    pub spent: Money,
    pub held: Money,
    /// When the process stored it.
    pub seen_at: Timestamp,
}

/// Why a budget was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    #[error("there is no such organization")]
    NoOrganization,
    #[error("the organization has no such key")]
    NoKey,
    #[error(transparent)]
    Down(#[from] StoreDown),
}

/// Budgets and their use, in the control store.
#[async_trait]
pub trait BudgetStore: Send + Sync + 'static {
    /// A number that changes whenever a budget is set or removed.
    async fn budgets_revision(&self) -> Result<i64, StoreDown>;

    /// Budgets of one organization or of all, in the order of their ids.
    async fn budgets(&self, of: Option<&OrganizationId>, page: Page<'_, BudgetId>) -> Result<Vec<Budget>, StoreDown>;

    /// Adds a budget. Where the organization has one for that subject and window, that one keeps its id and gets the
    /// new limit and enforcement. Gives what stands now.
    async fn set_budget(&self, budget: &Budget) -> Result<Budget, SetError>;

    /// Removes a budget; true when there was one.
    async fn remove_budget(&self, of: &OrganizationId, subject: &Subject, window: Window) -> Result<bool, StoreDown>;

    /// What other processes than this one have stored since a moment, for windows that began at or after another.
    async fn uses(
        &self,
        but_of: &Instance,
        seen_since: Timestamp,
        windows_since: Timestamp,
    ) -> Result<Vec<Use>, StoreDown>;

    /// Stores what one process has spent and holds; all of it or nothing.
    async fn save_uses(&self, uses: &[Use]) -> Result<(), StoreDown>;

    /// Forgets what processes held that are gone.
    async fn release(&self, uses: &[Use]) -> Result<(), StoreDown>;

    /// Notes an alert; true for the first who notes that share of that budget in that window.
    async fn note_alert(&self, alert: &Alert) -> Result<bool, StoreDown>;

    /// Alerts that are to be sent now. Whoever gets one has it for a minute: nobody else is given it.
    async fn alerts_due(&self, now: Timestamp, count_max: u32) -> Result<Vec<Alert>, StoreDown>;

    /// An alert was delivered, or is given up; or, with a time, was sent in vain and is due again then.
    async fn alert_sent(&self, alert: &Alert, again_at: Option<Timestamp>) -> Result<(), StoreDown>;
}

/// Somebody who takes alerts.
#[async_trait]
pub trait AlertReceiver: Send + Sync + 'static {
    /// Delivers one.
    ///
    /// # Errors
    /// Why it was not taken, for the log.
    async fn deliver(&self, alert: &Alert, now: Timestamp) -> Result<(), String>;
}

/// The usage store does not say what was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the usage store does not say what was spent")]
pub struct Untold;

/// The durable record of what exchanges have cost.
#[async_trait]
pub trait SpendingRecord: Send + Sync + 'static {
    /// What the exchanges that arrived from a moment up to, but not at, another have cost, corrections included.
    /// Test keys' are left out.
    async fn spent(
        &self,
        of: &OrganizationId,
        subject: &Subject,
        (since, until): (Timestamp, Timestamp),
    ) -> Result<Money, Untold>;
}
