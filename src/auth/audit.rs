//! What is written down of every change to who may do what. No row holds a secret.

use crate::base::{clock::Timestamp, ids::OrganizationId};
use serde::Serialize;
use serde_json::Value;

/// One change, as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRow {
    /// A ULID in lower case.
    pub id: String,
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    /// The command line and the user's number, or the id of the gateway key that asked.
    pub who: String,
    /// Such as `key.issued`.
    pub what: String,
    #[serde(serialize_with = "text")]
    pub organization_id: OrganizationId,
    /// The id of what was changed.
    pub subject: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn rfc3339<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339())
}

fn text<S: serde::Serializer>(id: &OrganizationId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.as_str())
}
