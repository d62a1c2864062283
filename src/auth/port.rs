//! What must be stored of organizations and gateway keys, as the domain asks for it. `store/` answers.
//! `KeyStore` serves requests, `Registry` the people who issue keys; one adapter implements both.

use super::{
    audit::AuditRow,
    ceiling::Ceiling,
    key::{KeyHash, KeyRecord},
};
use crate::{
    base::{
        clock::Timestamp,
        ids::{KeyId, OrganizationId},
    },
    budgets::budget::Budget,
    limits::KeyLimits,
};
use async_trait::async_trait;
use std::sync::Arc;

/// The control store did not answer, or not sensibly. The reason is for the log alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the control store is not available: {reason}")]
pub struct StoreDown {
    reason: Arc<str>,
}

impl StoreDown {
    /// With what went wrong.
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self { reason: reason.into() }
    }
}

/// What requests need.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// The record of the key with that hash, whatever its status; `None` when there is no such key.
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, StoreDown>;

    /// Notes when keys were last used. Earlier times than the noted ones change nothing.
    async fn note_uses(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreDown>;

    /// Whether the store answers.
    async fn reachable(&self) -> Result<(), StoreDown>;
}

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    pub id: OrganizationId,
    pub name: String,
    /// What all its keys together may do.
    pub limits: KeyLimits,
    /// The most that keys may get which it issues itself.
    pub ceiling: Ceiling,
    /// None of its keys is taken since then.
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl Organization {
    /// A new one of that name, without limits.
    pub fn new(name: &str, now: Timestamp) -> Self {
        Self {
            id: OrganizationId::generate(),
            name: name.to_owned(),
            limits: KeyLimits::default(),
            ceiling: Ceiling::default(),
            disabled_at: None,
            created_at: now,
        }
    }
}

/// What came of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// The key is revoked from now on.
    Revoked,
    /// It had been revoked before; that time stands.
    AlreadyRevoked,
    /// There is no such key, or it is another organization's.
    NoSuchKey,
}

/// Why the registry did not take something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    #[error("there is an organization of that name")]
    NameTaken,
    #[error("there is no such organization")]
    NoOrganization,
    #[error("there is no such key, or it is revoked")]
    NoKey,
    #[error("the organization's ceiling has changed meanwhile")]
    CeilingChanged,
    #[error(transparent)]
    Down(#[from] StoreDown),
}

/// One page of a list: what comes behind an id, at most so many.
#[derive(Debug, Clone)]
pub struct Page<'a, Id> {
    pub after: Option<&'a Id>,
    pub count_max: u32,
}

/// What those who issue keys need. Ids are ULIDs, so lists in the order of ids are in the order of creation.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Adds an organization; names are unique whatever their case.
    async fn add_organization(&self, organization: &Organization) -> Result<(), RegistryError>;

    /// Organizations in the order of their ids.
    async fn organizations(&self, page: Page<'_, OrganizationId>) -> Result<Vec<Organization>, StoreDown>;

    /// The organization with that id or, failing that, of that name.
    async fn find_organization(&self, id_or_name: &str) -> Result<Option<Organization>, StoreDown>;

    /// Adds a key to an organization if that still has this ceiling.
    async fn add_key_below(&self, hash: &KeyHash, record: &KeyRecord, ceiling: &Ceiling) -> Result<(), RegistryError>;

    /// Replaces the ceiling of an organization.
    async fn set_ceiling(&self, id: &OrganizationId, ceiling: &Ceiling) -> Result<(), RegistryError>;

    /// Replaces the limits of an organization.
    async fn set_organization_limits(&self, id: &OrganizationId, limits: &KeyLimits) -> Result<(), RegistryError>;

    /// Switches an organization off, since a time, or on again.
    async fn set_disabled(&self, id: &OrganizationId, since: Option<Timestamp>) -> Result<(), RegistryError>;

    /// The key with that id, whatever its status.
    async fn find_key(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreDown>;

    /// Adds a key in place of another, which ends at a time at the latest; the new one gets the old one's budgets. All of it
    /// or nothing.
    async fn rotate_key(&self, old: &KeyId, until: Timestamp, new: (&KeyHash, &KeyRecord))
    -> Result<(), RegistryError>;

    /// What was written down of changes, in their order.
    async fn audit(&self, of: Option<&OrganizationId>, page: Page<'_, String>) -> Result<Vec<AuditRow>, StoreDown>;

    /// The same; what is changed through it is written down as somebody's doing.
    fn by(&self, who: &str) -> Arc<dyn Registry>;

    /// Adds a key to an organization that exists, with budgets of its own; all of it or nothing.
    async fn add_key(&self, hash: &KeyHash, record: &KeyRecord, budgets: &[Budget]) -> Result<(), RegistryError>;

    /// Keys of one organization or of all, revoked ones included, in the order of their ids.
    async fn keys(&self, of: Option<&OrganizationId>, page: Page<'_, KeyId>) -> Result<Vec<KeyRecord>, StoreDown>;

    /// Revokes a key; with `of`, only if it is that organization's. The row stays.
    async fn revoke_key(
        &self,
        id: &KeyId,
        of: Option<&OrganizationId>,
        now: Timestamp,
    ) -> Result<Revocation, StoreDown>;

    /// Adds an organization with its first key, both or neither, if there is no organization at all.
    /// True when it did; of several callers at once, in whatever process, one gets true.
    async fn add_first(
        &self,
        organization: &Organization,
        hash: &KeyHash,
        record: &KeyRecord,
    ) -> Result<bool, StoreDown>;
}
