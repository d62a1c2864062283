//! Organizations and keys in SQLite, for those who issue them; every change is written down in the audit with it.

use super::{
    super::rows::{KeyRow, OrganizationRow},
    SqliteStore,
    audit::Note,
    budgets, down, to_json,
};
use crate::{
    auth::{
        audit::AuditRow,
        ceiling::Ceiling,
        key::{KeyHash, KeyRecord},
        port::{Organization, Page, Registry, RegistryError, Revocation, StoreDown},
        view,
    },
    base::{
        clock::Timestamp,
        ids::{KeyId, OrganizationId},
    },
    budgets::{budget::Budget, port::SetError},
    limits::KeyLimits,
};
use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::SqliteConnection;
use std::sync::Arc;

const KEY_BY_ID: &str = "SELECT keys.*, organizations.name AS organization_name,
           organizations.limits AS organization_limits, organizations.disabled_at AS organization_disabled_at
    FROM keys JOIN organizations ON organizations.id = keys.organization_id
    WHERE keys.id = ?";

/// What of an organization can be changed.
#[derive(Debug, Clone, Copy)]
enum Column {
    Ceiling,
    Limits,
    DisabledAt,
}

impl Column {
    /// The statements that read and write it, and what a change of it is called.
    const fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Ceiling => (
                "SELECT ceiling FROM organizations WHERE id = ?",
                "UPDATE organizations SET ceiling = ? WHERE id = ?",
                "organization.ceiling_set",
            ),
            Self::Limits => (
                "SELECT limits FROM organizations WHERE id = ?",
                "UPDATE organizations SET limits = ? WHERE id = ?",
                "organization.limits_set",
            ),
            Self::DisabledAt => (
                "SELECT CAST(disabled_at AS TEXT) FROM organizations WHERE id = ?",
                "UPDATE organizations SET disabled_at = CAST(? AS INTEGER) WHERE id = ?",
                "organization.disabled_set",
            ),
        }
    }
}

#[async_trait]
impl Registry for SqliteStore {
    async fn add_organization(&self, organization: &Organization) -> Result<(), RegistryError> {
        let mut transaction = self.write().await.map_err(down)?;
        self.insert_organization(&mut transaction, organization).await.map_err(refused)?;
        Ok(transaction.commit().await.map_err(down)?)
    }

    async fn organizations(&self, page: Page<'_, OrganizationId>) -> Result<Vec<Organization>, StoreDown> {
        let rows: Vec<OrganizationRow> = sqlx::query_as("SELECT * FROM organizations WHERE id > ? ORDER BY id LIMIT ?")
            .bind(page.after.map_or("", OrganizationId::as_str))
            .bind(page.count_max)
            .fetch_all(&self.pool)
            .await
            .map_err(down)?;
        rows.into_iter().map(Organization::try_from).collect()
    }

    async fn find_organization(&self, id_or_name: &str) -> Result<Option<Organization>, StoreDown> {
        let row: Option<OrganizationRow> =
            sqlx::query_as("SELECT * FROM organizations WHERE id = ?1 OR name = ?1 ORDER BY id <> ?1 LIMIT 1")
                .bind(id_or_name)
                .fetch_optional(&self.pool)
                .await
                .map_err(down)?;
        row.map(Organization::try_from).transpose()
    }

    async fn add_key_below(&self, hash: &KeyHash, record: &KeyRecord, ceiling: &Ceiling) -> Result<(), RegistryError> {
        let mut transaction = self.write().await.map_err(down)?;
        let row: Option<OrganizationRow> = sqlx::query_as("SELECT * FROM organizations WHERE id = ?")
            .bind(record.organization_id.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(down)?;
        let organization = Organization::try_from(row.ok_or(RegistryError::NoOrganization)?)?;
        if organization.ceiling != *ceiling {
            return Err(RegistryError::CeilingChanged);
        }
        self.insert_key(&mut transaction, hash, record).await.map_err(refused)?;
        Ok(transaction.commit().await.map_err(down)?)
    }

    async fn set_ceiling(&self, id: &OrganizationId, ceiling: &Ceiling) -> Result<(), RegistryError> {
        self.change_organization(id, Column::Ceiling, Some(to_json(ceiling).map_err(down)?)).await
    }

    async fn set_organization_limits(&self, id: &OrganizationId, limits: &KeyLimits) -> Result<(), RegistryError> {
        self.change_organization(id, Column::Limits, Some(to_json(limits).map_err(down)?)).await
    }

    async fn set_disabled(&self, id: &OrganizationId, since: Option<Timestamp>) -> Result<(), RegistryError> {
        self.change_organization(id, Column::DisabledAt, since.map(|at| at.millis().to_string())).await
    }

    async fn find_key(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreDown> {
        let row: Option<KeyRow> =
            sqlx::query_as(KEY_BY_ID).bind(id.as_str()).fetch_optional(&self.pool).await.map_err(down)?;
        row.map(KeyRecord::try_from).transpose()
    }

    async fn rotate_key(
        &self,
        old: &KeyId,
        until: Timestamp,
        (hash, record): (&KeyHash, &KeyRecord),
    ) -> Result<(), RegistryError> {
        let mut transaction = self.write().await.map_err(down)?;
        let ended: Option<i64> = sqlx::query_scalar(
            "UPDATE keys SET expires_at = min(ifnull(expires_at, ?1), ?1) WHERE id = ?2 AND revoked_at IS NULL
             RETURNING expires_at",
        )
        .bind(until.millis())
        .bind(old.as_str())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(down)?;
        let ended = ended.ok_or(RegistryError::NoKey)?;
        self.insert_key(&mut transaction, hash, record).await.map_err(refused)?;
        budgets::copy_of_key(&mut transaction, old, &record.id).await?;
        let note = Note {
            what: "key.rotated",
            organization_id: &record.organization_id,
            subject: old.as_str(),
            before: None,
            after: Some(
                json!({"expires_at": Timestamp::from_millis(ended).to_rfc3339(), "replaced_by": record.id.as_str()}),
            ),
        };
        self.note(&mut transaction, note).await.map_err(down)?;
        Ok(transaction.commit().await.map_err(down)?)
    }

    async fn audit(&self, of: Option<&OrganizationId>, page: Page<'_, String>) -> Result<Vec<AuditRow>, StoreDown> {
        self.audit_rows(of, page).await
    }

    fn by(&self, who: &str) -> Arc<dyn Registry> {
        Arc::new(self.acting_as(who))
    }

    async fn add_key(&self, hash: &KeyHash, record: &KeyRecord, budgets: &[Budget]) -> Result<(), RegistryError> {
        let mut transaction = self.write().await.map_err(down)?;
        self.insert_key(&mut transaction, hash, record).await.map_err(refused)?;
        for budget in budgets {
            self.upsert_budget(&mut transaction, budget).await.map_err(|error| match error {
                SetError::Down(down) => RegistryError::Down(down),
                SetError::NoOrganization | SetError::NoKey => RegistryError::NoOrganization,
            })?;
        }
        Ok(transaction.commit().await.map_err(down)?)
    }

    async fn keys(&self, of: Option<&OrganizationId>, page: Page<'_, KeyId>) -> Result<Vec<KeyRecord>, StoreDown> {
        // Two statements, so that each has an index to walk along.
        let query = if of.is_some() {
            "SELECT keys.*, organizations.name AS organization_name,
                    organizations.limits AS organization_limits,
                    organizations.disabled_at AS organization_disabled_at
             FROM keys JOIN organizations ON organizations.id = keys.organization_id
             WHERE keys.organization_id = ?1 AND keys.id > ?2 ORDER BY keys.id LIMIT ?3"
        } else {
            "SELECT keys.*, organizations.name AS organization_name,
                    organizations.limits AS organization_limits,
                    organizations.disabled_at AS organization_disabled_at
             FROM keys JOIN organizations ON organizations.id = keys.organization_id
             WHERE ?1 = '' AND keys.id > ?2 ORDER BY keys.id LIMIT ?3"
        };
        let rows: Vec<KeyRow> = sqlx::query_as(query)
            .bind(of.map_or("", OrganizationId::as_str))
            .bind(page.after.map_or("", KeyId::as_str))
            .bind(page.count_max)
            .fetch_all(&self.pool)
            .await
            .map_err(down)?;
        rows.into_iter().map(KeyRecord::try_from).collect()
    }

    async fn revoke_key(
        &self,
        id: &KeyId,
        of: Option<&OrganizationId>,
        now: Timestamp,
    ) -> Result<Revocation, StoreDown> {
        let mut transaction = self.write().await.map_err(down)?;
        let found: Option<(Option<i64>, String)> = sqlx::query_as(
            "SELECT revoked_at, organization_id FROM keys WHERE id = ?1 AND (?2 = '' OR organization_id = ?2)",
        )
        .bind(id.as_str())
        .bind(of.map_or("", OrganizationId::as_str))
        .fetch_optional(&mut *transaction)
        .await
        .map_err(down)?;
        let organization_id = match found {
            None => return Ok(Revocation::NoSuchKey),
            Some((Some(_), _)) => return Ok(Revocation::AlreadyRevoked),
            Some((None, organization_id)) => OrganizationId::new(organization_id),
        };
        sqlx::query("UPDATE keys SET revoked_at = ? WHERE id = ?")
            .bind(now.millis())
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(down)?;
        let (before, after) = (Some(json!({"status": "active"})), Some(json!({"status": "revoked"})));
        let subject = id.as_str();
        let note = Note { what: "key.revoked", organization_id: &organization_id, subject, before, after };
        self.note(&mut transaction, note).await.map_err(down)?;
        transaction.commit().await.map_err(down)?;
        Ok(Revocation::Revoked)
    }

    async fn add_first(
        &self,
        organization: &Organization,
        hash: &KeyHash,
        record: &KeyRecord,
    ) -> Result<bool, StoreDown> {
        let mut transaction = self.write().await.map_err(down)?;
        let occupied: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM organizations)")
            .fetch_one(&mut *transaction)
            .await
            .map_err(down)?;
        if occupied {
            return Ok(false);
        }
        self.insert_organization(&mut transaction, organization).await.map_err(down)?;
        self.insert_key(&mut transaction, hash, record).await.map_err(down)?;
        transaction.commit().await.map_err(down)?;
        Ok(true)
    }
}

impl SqliteStore {
    async fn change_organization(
        &self,
        id: &OrganizationId,
        column: Column,
        to: Option<String>,
    ) -> Result<(), RegistryError> {
        let (read, write, what) = column.parts();
        let mut transaction = self.write().await.map_err(down)?;
        let before: Option<Option<String>> =
            sqlx::query_scalar(read).bind(id.as_str()).fetch_optional(&mut *transaction).await.map_err(down)?;
        let before = before.ok_or(RegistryError::NoOrganization)?;
        if before == to {
            return Ok(());
        }
        let write = sqlx::query(write).bind(&to).bind(id.as_str());
        write.execute(&mut *transaction).await.map_err(down)?;
        let value = |text: Option<String>| text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let (before, after) = (value(before), value(to));
        let note = Note { what, organization_id: id, subject: id.as_str(), before, after };
        self.note(&mut transaction, note).await.map_err(down)?;
        Ok(transaction.commit().await.map_err(down)?)
    }

    async fn insert_organization(
        &self,
        connection: &mut SqliteConnection,
        organization: &Organization,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO organizations (id, name, limits, created_at) VALUES (?, ?, ?, ?)")
            .bind(organization.id.as_str())
            .bind(&organization.name)
            .bind(to_json(&organization.limits)?)
            .bind(organization.created_at.millis())
            .execute(&mut *connection)
            .await?;
        let note = Note {
            what: "organization.created",
            organization_id: &organization.id,
            subject: organization.id.as_str(),
            before: None,
            after: Some(json!({"name": organization.name})),
        };
        self.note(connection, note).await
    }

    async fn insert_key(
        &self,
        connection: &mut SqliteConnection,
        hash: &KeyHash,
        key: &KeyRecord,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO keys (id, organization_id, hash, key_prefix, environment, name, scopes, entitlements, limits,
                               usage_mode, created_at, expires_at, revoked_at, last_used_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(key.id.as_str())
        .bind(key.organization_id.as_str())
        .bind(hash.as_bytes().as_slice())
        .bind(&key.key_prefix)
        .bind(key.environment.as_str())
        .bind(key.name.as_deref())
        .bind(to_json(&key.scopes)?)
        .bind(to_json(&key.entitlements)?)
        .bind(to_json(&key.limits)?)
        .bind(key.usage_mode.as_str())
        .bind(key.created_at.millis())
        .bind(key.expires_at.map(Timestamp::millis))
        .bind(key.revoked_at.map(Timestamp::millis))
        .bind(key.last_used_at.map(Timestamp::millis))
        .execute(&mut *connection)
        .await?;
        let after = serde_json::to_value(view::listed(key, key.created_at))
            .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        let note = Note {
            what: "key.issued",
            organization_id: &key.organization_id,
            subject: key.id.as_str(),
            before: None,
            after: Some(after),
        };
        self.note(connection, note).await
    }
}

fn refused(error: sqlx::Error) -> RegistryError {
    match error.as_database_error() {
        Some(fault) if fault.is_foreign_key_violation() => RegistryError::NoOrganization,
        Some(fault) if fault.is_unique_violation() && fault.message().contains("organizations.name") => {
            RegistryError::NameTaken
        }
        Some(_) | None => RegistryError::Down(down(error)),
    }
}
