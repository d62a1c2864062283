//! Budgets and their use in SQLite.

use super::{SqliteStore, audit::Note, down};
use crate::{
    auth::port::{Page, StoreDown},
    base::{
        clock::Timestamp,
        ids::{BudgetId, KeyId, OrganizationId},
        money::Money,
    },
    budgets::{
        alerts::Alert,
        budget::{Budget, Enforcement, Subject},
        calendar::Window,
        port::{BudgetStore, Instance, SetError, Use},
        view,
    },
};
use async_trait::async_trait;
use sqlx::SqliteConnection;

/// A row of `budgets`.
#[derive(sqlx::FromRow)]
struct BudgetRow {
    id: String,
    organization_id: String,
    subject_kind: String,
    subject: String,
    time_window: String,
    limit_nanousd: i64,
    enforcement: String,
}

impl TryFrom<BudgetRow> for Budget {
    type Error = StoreDown;

    fn try_from(row: BudgetRow) -> Result<Self, StoreDown> {
        // A budget that cannot be read must not be guessed at.
        let unreadable = |column: &str| StoreDown::new(format!("column {column} of budget {} is unreadable", row.id));
        Ok(Self {
            subject: Subject::from_parts(&row.subject_kind, &row.subject).ok_or_else(|| unreadable("subject"))?,
            window: Window::parse(&row.time_window).ok_or_else(|| unreadable("time_window"))?,
            limit: Money::from_nanos(row.limit_nanousd),
            enforcement: Enforcement::parse(&row.enforcement).ok_or_else(|| unreadable("enforcement"))?,
            organization_id: OrganizationId::new(row.organization_id),
            id: BudgetId::new(row.id),
        })
    }
}

/// A row of `budget_uses`.
#[derive(sqlx::FromRow)]
struct UseRow {
    budget_id: String,
    window_start: i64,
    instance: String,
    spent_nanousd: i64,
    held_nanousd: i64,
    seen_at: i64,
}

impl From<UseRow> for Use {
    fn from(row: UseRow) -> Self {
        Self {
            budget_id: BudgetId::new(row.budget_id),
            window_start: Timestamp::from_millis(row.window_start),
            instance: row.instance.into(),
            spent: Money::from_nanos(row.spent_nanousd),
            held: Money::from_nanos(row.held_nanousd),
            seen_at: Timestamp::from_millis(row.seen_at),
        }
    }
}

#[async_trait]
impl BudgetStore for SqliteStore {
    async fn budgets_revision(&self) -> Result<i64, StoreDown> {
        sqlx::query_scalar("SELECT revision FROM revisions WHERE name = 'budgets'")
            .fetch_one(&self.pool)
            .await
            .map_err(down)
    }

    async fn budgets(&self, of: Option<&OrganizationId>, page: Page<'_, BudgetId>) -> Result<Vec<Budget>, StoreDown> {
        let query = "SELECT * FROM budgets WHERE (?1 = '' OR organization_id = ?1) AND id > ?2 ORDER BY id LIMIT ?3";
        let rows: Vec<BudgetRow> = sqlx::query_as(query)
            .bind(of.map_or("", OrganizationId::as_str))
            .bind(page.after.map_or("", BudgetId::as_str))
            .bind(page.count_max)
            .fetch_all(&self.pool)
            .await
            .map_err(down)?;
        rows.into_iter().map(Budget::try_from).collect()
    }

    async fn set_budget(&self, budget: &Budget) -> Result<Budget, SetError> {
        let mut transaction = self.write().await.map_err(down)?;
        let set = self.upsert_budget(&mut transaction, budget).await?;
        transaction.commit().await.map_err(down)?;
        Ok(set)
    }

    async fn remove_budget(&self, of: &OrganizationId, subject: &Subject, window: Window) -> Result<bool, StoreDown> {
        let (kind, text) = subject.parts();
        let mut transaction = self.write().await.map_err(down)?;
        let removed: Option<BudgetRow> = sqlx::query_as(
            "DELETE FROM budgets WHERE organization_id = ? AND subject_kind = ? AND subject = ? AND time_window = ?
             RETURNING *",
        )
        .bind(of.as_str())
        .bind(kind)
        .bind(text)
        .bind(window.as_str())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(down)?;
        let Some(removed) = removed else { return Ok(false) };
        let uses = sqlx::query("DELETE FROM budget_uses WHERE budget_id = ?").bind(removed.id.clone());
        uses.execute(&mut *transaction).await.map_err(down)?;
        revise(&mut transaction).await.map_err(down)?;
        let removed = Budget::try_from(removed)?;
        self.note_budget(&mut transaction, "budget.removed", (Some(&removed), None)).await.map_err(down)?;
        transaction.commit().await.map_err(down)?;
        Ok(true)
    }

    async fn uses(
        &self,
        but_of: &Instance,
        seen_since: Timestamp,
        windows_since: Timestamp,
    ) -> Result<Vec<Use>, StoreDown> {
        let query = "SELECT * FROM budget_uses
                     WHERE seen_at >= ?1 AND (window_start >= ?2 OR window_start = 0) AND instance <> ?3";
        let rows: Vec<UseRow> = sqlx::query_as(query)
            .bind(seen_since.millis())
            .bind(windows_since.millis())
            .bind(&**but_of)
            .fetch_all(&self.pool)
            .await
            .map_err(down)?;
        Ok(rows.into_iter().map(Use::from).collect())
    }

    async fn save_uses(&self, uses: &[Use]) -> Result<(), StoreDown> {
        let mut transaction = self.write().await.map_err(down)?;
        for one in uses {
            sqlx::query(
                "INSERT INTO budget_uses (budget_id, window_start, instance, spent_nanousd, held_nanousd, seen_at)
                 VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (budget_id, window_start, instance) DO UPDATE SET
                     spent_nanousd = excluded.spent_nanousd, held_nanousd = excluded.held_nanousd,
                     seen_at = excluded.seen_at",
            )
            .bind(one.budget_id.as_str())
            .bind(one.window_start.millis())
            .bind(&*one.instance)
            .bind(one.spent.nanos())
            .bind(one.held.nanos())
            .bind(one.seen_at.millis())
            .execute(&mut *transaction)
            .await
            .map_err(down)?;
        }
        transaction.commit().await.map_err(down)
    }

    async fn release(&self, uses: &[Use]) -> Result<(), StoreDown> {
        let mut transaction = self.write().await.map_err(down)?;
        for one in uses {
            let query = "UPDATE budget_uses SET held_nanousd = 0
                         WHERE budget_id = ? AND window_start = ? AND instance = ? AND seen_at = ?";
            sqlx::query(query)
                .bind(one.budget_id.as_str())
                .bind(one.window_start.millis())
                .bind(&*one.instance)
                .bind(one.seen_at.millis())
                .execute(&mut *transaction)
                .await
                .map_err(down)?;
        }
        transaction.commit().await.map_err(down)
    }

    async fn note_alert(&self, alert: &Alert) -> Result<bool, StoreDown> {
        self.insert_alert(alert).await
    }

    async fn alerts_due(&self, now: Timestamp, count_max: u32) -> Result<Vec<Alert>, StoreDown> {
        self.take_alerts(now, count_max).await
    }

    async fn alert_sent(&self, alert: &Alert, again_at: Option<Timestamp>) -> Result<(), StoreDown> {
        self.end_try(alert, again_at).await
    }
}

async fn revise(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let query = sqlx::query("UPDATE revisions SET revision = revision + 1 WHERE name = 'budgets'");
    query.execute(connection).await.map(drop)
}

/// Gives a key the budgets that another one has.
pub(super) async fn copy_of_key(connection: &mut SqliteConnection, from: &KeyId, to: &KeyId) -> Result<(), StoreDown> {
    let query = "SELECT * FROM budgets WHERE subject_kind = 'key' AND subject = ?";
    let rows: Vec<BudgetRow> =
        sqlx::query_as(query).bind(from.as_str()).fetch_all(&mut *connection).await.map_err(down)?;
    for row in rows {
        sqlx::query(
            "INSERT INTO budgets (id, organization_id, subject_kind, subject, time_window, limit_nanousd, enforcement)
             VALUES (?, ?, 'key', ?, ?, ?, ?)",
        )
        .bind(BudgetId::generate().as_str())
        .bind(row.organization_id)
        .bind(to.as_str())
        .bind(row.time_window)
        .bind(row.limit_nanousd)
        .bind(row.enforcement)
        .execute(&mut *connection)
        .await
        .map_err(down)?;
    }
    revise(connection).await.map_err(down)
}

impl SqliteStore {
    /// Adds a budget or changes the one that is there, within a transaction.
    pub(super) async fn upsert_budget(
        &self,
        connection: &mut SqliteConnection,
        budget: &Budget,
    ) -> Result<Budget, SetError> {
        let (kind, subject) = budget.subject.parts();
        if let Subject::Key(key) = &budget.subject {
            let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM keys WHERE id = ? AND organization_id = ?")
                .bind(key.as_str())
                .bind(budget.organization_id.as_str())
                .fetch_optional(&mut *connection)
                .await
                .map_err(down)?;
            known.ok_or(SetError::NoKey)?;
        }
        let before: Option<BudgetRow> = sqlx::query_as(
            "SELECT * FROM budgets WHERE organization_id = ? AND subject_kind = ? AND subject = ? AND time_window = ?",
        )
        .bind(budget.organization_id.as_str())
        .bind(kind)
        .bind(&subject)
        .bind(budget.window.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(down)?;
        let row: BudgetRow = sqlx::query_as(
            "INSERT INTO budgets (id, organization_id, subject_kind, subject, time_window, limit_nanousd, enforcement)
             VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (organization_id, subject_kind, subject, time_window) DO UPDATE SET
                 limit_nanousd = excluded.limit_nanousd, enforcement = excluded.enforcement
             RETURNING *",
        )
        .bind(budget.id.as_str())
        .bind(budget.organization_id.as_str())
        .bind(kind)
        .bind(subject)
        .bind(budget.window.as_str())
        .bind(budget.limit.nanos())
        .bind(budget.enforcement.as_str())
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| match error.as_database_error() {
            Some(fault) if fault.is_foreign_key_violation() => SetError::NoOrganization,
            Some(_) | None => SetError::Down(down(error)),
        })?;
        let set = Budget::try_from(row)?;
        let before = before.map(Budget::try_from).transpose()?;
        revise(connection).await.map_err(down)?;
        self.note_budget(connection, "budget.set", (before.as_ref(), Some(&set))).await.map_err(down)?;
        Ok(set)
    }

    async fn note_budget(
        &self,
        connection: &mut SqliteConnection,
        what: &'static str,
        (before, after): (Option<&Budget>, Option<&Budget>),
    ) -> Result<(), sqlx::Error> {
        let Some(budget) = after.or(before) else { return Ok(()) };
        let value = |budget: &Budget| serde_json::to_value(view::budget(budget)).ok();
        let (before, after) = (before.and_then(value), after.and_then(value));
        let (organization_id, subject) = (&budget.organization_id, budget.id.as_str());
        self.note(connection, Note { what, organization_id, subject, before, after }).await
    }
}
