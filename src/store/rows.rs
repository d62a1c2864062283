//! Rows of the control store and the records that they stand for. Leaves out SQL.

use crate::{
    auth::{
        ceiling::Ceiling,
        entitlement::Entitlement,
        key::{Environment, KeyRecord, UsageMode},
        port::{Organization, StoreDown},
    },
    base::{
        clock::Timestamp,
        ids::{KeyId, OrganizationId},
    },
};
use serde::de::DeserializeOwned;

/// A row of `organizations`.
#[derive(sqlx::FromRow)]
pub(super) struct OrganizationRow {
    id: String,
    name: String,
    limits: String,
    ceiling: Option<String>,
    disabled_at: Option<i64>,
    created_at: i64,
}

impl TryFrom<OrganizationRow> for Organization {
    type Error = StoreDown;

    fn try_from(row: OrganizationRow) -> Result<Self, StoreDown> {
        Ok(Self {
            limits: json(&row.id, "limits", &row.limits)?,
            ceiling: row.ceiling.map_or_else(|| Ok(Ceiling::default()), |text| json(&row.id, "ceiling", &text))?,
            disabled_at: row.disabled_at.map(Timestamp::from_millis),
            id: OrganizationId::new(row.id),
            name: row.name,
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

/// A row of `keys` with its organization's name.
#[derive(sqlx::FromRow)]
pub(super) struct KeyRow {
    id: String,
    organization_id: String,
    organization_name: String,
    key_prefix: String,
    environment: String,
    name: Option<String>,
    scopes: String,
    entitlements: String,
    limits: String,
    organization_limits: String,
    organization_disabled_at: Option<i64>,
    usage_mode: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl TryFrom<KeyRow> for KeyRecord {
    type Error = StoreDown;

    fn try_from(row: KeyRow) -> Result<Self, StoreDown> {
        let environment = Environment::parse(&row.environment).ok_or_else(|| unreadable(&row.id, "environment"))?;
        let usage_mode = UsageMode::parse(&row.usage_mode).ok_or_else(|| unreadable(&row.id, "usage_mode"))?;
        let entitlements: Vec<Entitlement> = json(&row.id, "entitlements", &row.entitlements)?;
        Ok(Self {
            organization_id: OrganizationId::new(row.organization_id),
            organization_name: row.organization_name,
            name: row.name,
            key_prefix: row.key_prefix,
            environment,
            scopes: json(&row.id, "scopes", &row.scopes)?,
            entitlements: entitlements.into(),
            limits: json(&row.id, "limits", &row.limits)?,
            organization_limits: json(&row.id, "organization_limits", &row.organization_limits)?,
            organization_disabled: row.organization_disabled_at.is_some(),
            usage_mode,
            created_at: Timestamp::from_millis(row.created_at),
            expires_at: row.expires_at.map(Timestamp::from_millis),
            revoked_at: row.revoked_at.map(Timestamp::from_millis),
            last_used_at: row.last_used_at.map(Timestamp::from_millis),
            id: KeyId::new(row.id),
        })
    }
}

fn json<T: DeserializeOwned>(id: &str, column: &str, text: &str) -> Result<T, StoreDown> {
    serde_json::from_str(text).map_err(|_| unreadable(id, column))
}

/// A record that cannot be read must not be guessed at: its key is refused as if the store were down.
fn unreadable(id: &str, column: &str) -> StoreDown {
    StoreDown::new(format!("column {column} of {id} is unreadable; was it written by a newer version?"))
}
