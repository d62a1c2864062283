//! Alerts of budgets in SQLite: noted once, given out to one sender at a time.

use super::{SqliteStore, down};
use crate::{
    auth::port::StoreDown,
    base::{
        clock::Timestamp,
        ids::{BudgetId, OrganizationId},
    },
    budgets::alerts::Alert,
};

/// So long an alert belongs to the sender that it was given to.
const LEASE_MS: i64 = 60_000;

/// A row of `budget_alerts`.
#[derive(sqlx::FromRow)]
struct AlertRow {
    budget_id: String,
    window_start: i64,
    share: u16,
    organization_id: String,
    noted_at: i64,
    document: String,
    tries: u32,
}

impl From<AlertRow> for Alert {
    fn from(row: AlertRow) -> Self {
        Self {
            budget_id: BudgetId::new(row.budget_id),
            window_start: Timestamp::from_millis(row.window_start),
            share: row.share,
            organization_id: OrganizationId::new(row.organization_id),
            at: Timestamp::from_millis(row.noted_at),
            document: row.document,
            tries: row.tries,
        }
    }
}

impl SqliteStore {
    pub(super) async fn insert_alert(&self, alert: &Alert) -> Result<bool, StoreDown> {
        let inserted = sqlx::query(
            "INSERT INTO budget_alerts (budget_id, window_start, share, organization_id, noted_at, document, due_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5) ON CONFLICT DO NOTHING",
        )
        .bind(alert.budget_id.as_str())
        .bind(alert.window_start.millis())
        .bind(alert.share)
        .bind(alert.organization_id.as_str())
        .bind(alert.at.millis())
        .bind(&alert.document)
        .execute(&self.pool)
        .await
        .map_err(down)?;
        Ok(inserted.rows_affected() == 1)
    }

    pub(super) async fn take_alerts(&self, now: Timestamp, count_max: u32) -> Result<Vec<Alert>, StoreDown> {
        let is_due: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM budget_alerts WHERE due_at <= ?)")
            .bind(now.millis())
            .fetch_one(&self.pool)
            .await
            .map_err(down)?;
        if !is_due {
            return Ok(Vec::new()); // without a write, nearly always
        }
        let rows: Vec<AlertRow> = sqlx::query_as(
            "UPDATE budget_alerts SET due_at = ?1 WHERE (budget_id, window_start, share) IN (
                 SELECT budget_id, window_start, share FROM budget_alerts WHERE due_at <= ?2 ORDER BY due_at LIMIT ?3)
             RETURNING *",
        )
        .bind(now.millis().saturating_add(LEASE_MS))
        .bind(now.millis())
        .bind(count_max)
        .fetch_all(&self.pool)
        .await
        .map_err(down)?;
        Ok(rows.into_iter().map(Alert::from).collect())
    }

    pub(super) async fn end_try(&self, alert: &Alert, again_at: Option<Timestamp>) -> Result<(), StoreDown> {
        sqlx::query(
            "UPDATE budget_alerts SET due_at = ?, tries = ? WHERE budget_id = ? AND window_start = ? AND share = ?",
        )
        .bind(again_at.map(Timestamp::millis))
        .bind(alert.tries.saturating_add(1))
        .bind(alert.budget_id.as_str())
        .bind(alert.window_start.millis())
        .bind(alert.share)
        .execute(&self.pool)
        .await
        .map_err(down)?;
        Ok(())
    }
}
