//! The audit in SQLite: each row is written in the transaction of the change that it tells of.

use super::{SqliteStore, down};
use crate::{
    auth::{
        audit::AuditRow,
        port::{Page, StoreDown},
    },
    base::{
        clock::{self, Timestamp},
        ids::{OrganizationId, RequestId},
    },
};
use serde_json::Value;
use sqlx::SqliteConnection;

/// A change that is to be written down.
pub(super) struct Note<'a> {
    pub(super) what: &'static str,
    pub(super) organization_id: &'a OrganizationId,
    pub(super) subject: &'a str,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    at: i64,
    who: String,
    what: String,
    organization_id: String,
    subject: String,
    before: Option<String>,
    after: Option<String>,
}

impl From<Row> for AuditRow {
    fn from(row: Row) -> Self {
        let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        Self {
            id: row.id,
            at: Timestamp::from_millis(row.at),
            who: row.who,
            what: row.what,
            organization_id: OrganizationId::new(row.organization_id),
            subject: row.subject,
            before: value(row.before),
            after: value(row.after),
        }
    }
}

impl SqliteStore {
    /// Writes a change down, in its own transaction.
    pub(super) async fn note(&self, connection: &mut SqliteConnection, note: Note<'_>) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO audit (id, at, who, what, organization_id, subject, before, after)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(RequestId::generate().as_str().to_ascii_lowercase())
        .bind(clock::now().millis())
        .bind(&*self.who)
        .bind(note.what)
        .bind(note.organization_id.as_str())
        .bind(note.subject)
        .bind(note.before.map(|value| value.to_string()))
        .bind(note.after.map(|value| value.to_string()))
        .execute(connection)
        .await?;
        Ok(())
    }

    pub(super) async fn audit_rows(
        &self,
        of: Option<&OrganizationId>,
        page: Page<'_, String>,
    ) -> Result<Vec<AuditRow>, StoreDown> {
        let query = "SELECT * FROM audit WHERE (?1 = '' OR organization_id = ?1) AND id > ?2 ORDER BY id LIMIT ?3";
        let rows: Vec<Row> = sqlx::query_as(query)
            .bind(of.map_or("", OrganizationId::as_str))
            .bind(page.after.map_or("", String::as_str))
            .bind(page.count_max)
            .fetch_all(&self.pool)
            .await
            .map_err(down)?;
        Ok(rows.into_iter().map(AuditRow::from).collect())
    }
}
