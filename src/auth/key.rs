//! A gateway key: its text forms, its hash, and the record that the control store keeps of it.

use super::entitlement::Entitlement;
use crate::{
    base::{
        clock::Timestamp,
        ids::{KeyId, OrganizationId},
    },
    limits::KeyLimits,
};

/// Which world a key's usage is recorded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Live,
    Test,
}

impl Environment {
    /// `live` or `test`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// Which surfaces a key may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Scope {
    #[serde(rename = "inference:use")]
    InferenceUse,
    #[serde(rename = "prompt:use")]
    PromptUse,
    #[serde(rename = "stats:read")]
    StatsRead,
    #[serde(rename = "keys:manage")]
    KeysManage,
}

/// What the control store keeps of a key. Immutable but for its status; the plaintext is nowhere.
#[derive(Debug, Clone)]
pub struct KeyRecord {
    pub id: KeyId,
    pub organization_id: OrganizationId,
    pub organization_name: String,
    pub name: Option<String>,
    /// `gw_live_` and 8 characters: what may be shown and logged.
    pub key_prefix: String,
    pub environment: Environment,
    pub scopes: Vec<Scope>,
    pub entitlements: Vec<Entitlement>,
    pub limits: KeyLimits,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}
