//! A key record as others may see it: no hash, no plaintext. The JSON of `/gw/me`, `/gw/keys` and `--json`.

use super::{
    entitlement::Entitlements,
    key::{Environment, GatewayKey, KeyRecord, Scope, Status, UsageMode},
    port::Organization,
};
use crate::{base::clock::Timestamp, limits::KeyLimits};
use serde::{Serialize, Serializer};

/// What `GET /gw/me` answers: the key that asks, as it sees itself.
#[derive(Debug, Serialize)]
pub struct Me<'a> {
    organization: &'a str,
    key_prefix: &'a str,
    environment: Environment,
    scopes: &'a [Scope],
    entitlements: &'a Entitlements,
    limits: &'a KeyLimits,
    usage_mode: UsageMode,
}

/// The key that asks, as it sees itself.
pub fn me(record: &KeyRecord) -> Me<'_> {
    Me {
        organization: &record.organization_name,
        key_prefix: &record.key_prefix,
        environment: record.environment,
        scopes: &record.scopes,
        entitlements: &record.entitlements,
        limits: &record.limits,
        usage_mode: record.usage_mode,
    }
}

/// One key in a list of keys.
#[derive(Debug, Serialize)]
pub struct Listed<'a> {
    id: &'a str,
    organization: &'a str,
    name: Option<&'a str>,
    key_prefix: &'a str,
    environment: Environment,
    #[serde(serialize_with = "status_name")]
    status: Status,
    scopes: &'a [Scope],
    entitlements: &'a Entitlements,
    limits: &'a KeyLimits,
    usage_mode: UsageMode,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: Option<String>,
}

/// A key as a list shows it at a moment.
pub fn listed(record: &KeyRecord, now: Timestamp) -> Listed<'_> {
    Listed {
        id: record.id.as_str(),
        organization: &record.organization_name,
        name: record.name.as_deref(),
        key_prefix: &record.key_prefix,
        environment: record.environment,
        status: record.status(now),
        scopes: &record.scopes,
        entitlements: &record.entitlements,
        limits: &record.limits,
        usage_mode: record.usage_mode,
        created_at: record.created_at.to_rfc3339(),
        last_used_at: record.last_used_at.map(Timestamp::to_rfc3339),
        expires_at: record.expires_at.map(Timestamp::to_rfc3339),
    }
}

/// A key at the moment it is issued: the only view that shows its text. It has no `Debug`.
#[derive(Serialize)]
pub struct Issued<'a> {
    api_key_id: &'a str,
    key: &'a str,
    organization: &'a str,
    name: Option<&'a str>,
    key_prefix: &'a str,
    environment: Environment,
    scopes: &'a [Scope],
    entitlements: &'a Entitlements,
    limits: &'a KeyLimits,
    usage_mode: UsageMode,
    created_at: String,
    expires_at: Option<String>,
}

/// A key at the moment it is issued, with its text.
pub fn issued<'a>(key: &'a GatewayKey, record: &'a KeyRecord) -> Issued<'a> {
    Issued {
        api_key_id: record.id.as_str(),
        key: key.expose(),
        organization: &record.organization_name,
        name: record.name.as_deref(),
        key_prefix: &record.key_prefix,
        environment: record.environment,
        scopes: &record.scopes,
        entitlements: &record.entitlements,
        limits: &record.limits,
        usage_mode: record.usage_mode,
        created_at: record.created_at.to_rfc3339(),
        expires_at: record.expires_at.map(Timestamp::to_rfc3339),
    }
}

/// An organization.
#[derive(Debug, Serialize)]
pub struct OrganizationView<'a> {
    id: &'a str,
    name: &'a str,
    limits: &'a KeyLimits,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
    created_at: String,
}

/// An organization as a list shows it.
pub fn organization(organization: &Organization) -> OrganizationView<'_> {
    OrganizationView {
        id: organization.id.as_str(),
        name: &organization.name,
        limits: &organization.limits,
        disabled_at: organization.disabled_at.map(Timestamp::to_rfc3339),
        created_at: organization.created_at.to_rfc3339(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn status_name<S: Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{
            entitlement::{Effect, Entitlement},
            key::KeyKind,
        },
        base::ids::{KeyId, OrganizationId},
    };
    use serde_json::json;

    fn record() -> KeyRecord {
        KeyRecord {
            id: KeyId::new("key_1"),
            organization_id: OrganizationId::new("org_1"),
            organization_name: "acme".into(),
            name: Some("ci".into()),
            key_prefix: "gw_test_01234567".into(),
            environment: Environment::Test,
            scopes: vec![Scope::InferenceUse, Scope::StatsRead],
            entitlements: vec![Entitlement {
                provider: "openai".into(),
                model_pattern: "gpt-*".into(),
                effect: Effect::Allow,
            }]
            .into(),
            limits: KeyLimits { requests_per_second: Some(5), ..KeyLimits::default() },
            organization_limits: KeyLimits::default(),
            organization_disabled: false,
            usage_mode: UsageMode::Inject,
            created_at: Timestamp::from_millis(0),
            expires_at: Some(Timestamp::from_millis(60_000)),
            revoked_at: None,
            last_used_at: None,
        }
    }

    #[test]
    fn me_has_the_members_of_the_contract_and_no_others() {
        assert_eq!(
            serde_json::to_value(me(&record())).unwrap(),
            json!({
                "organization": "acme",
                "key_prefix": "gw_test_01234567",
                "environment": "test",
                "scopes": ["inference:use", "stats:read"],
                "entitlements": [{"provider": "openai", "model_pattern": "gpt-*", "effect": "allow"}],
                "limits": {"requests_per_second": 5},
                "usage_mode": "inject",
            })
        );
    }

    #[test]
    fn a_listed_key_tells_its_status_and_its_times() {
        let at = |millis| serde_json::to_value(listed(&record(), Timestamp::from_millis(millis))).unwrap();
        assert_eq!(at(59_999)["status"], "active");
        assert_eq!(at(60_000)["status"], "expired");
        assert_eq!(at(0)["expires_at"], "1970-01-01T00:01:00.000Z");
        assert_eq!(at(0)["last_used_at"], json!(null));
        let revoked = KeyRecord { revoked_at: Some(Timestamp::from_millis(1)), ..record() };
        assert_eq!(listed(&revoked, Timestamp::from_millis(60_000)).status, Status::Revoked);
    }

    #[test]
    fn only_an_issued_key_shows_its_text() {
        let key = GatewayKey::generate(KeyKind::Proxy, Environment::Test).unwrap();
        let value = serde_json::to_value(issued(&key, &record())).unwrap();
        assert_eq!(value["key"], key.expose());
        assert_eq!(value["api_key_id"], "key_1");
    }
}
