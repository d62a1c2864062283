//! `GET /gw/ceiling`, `GET|POST /gw/keys`, `DELETE /gw/keys/{id}`: an organization issues and revokes its own keys.

use super::{
    Parts,
    answer::{Answer, caller_with},
};
use crate::{
    auth::{
        entitlement::Entitlement,
        issue::{IssueError, KeyOrder, issue_below_ceiling},
        key::{Environment, KeyKind, KeyRecord, Scope, UsageMode},
        port::{Organization, Page, RegistryError, Revocation, StoreDown},
        view,
    },
    base::{
        clock::{self, Timestamp},
        ids::KeyId,
    },
    exchange::refusal::{Kind, Refusal},
    limits::KeyLimits,
    proxy::own::Asker,
};
use axum::{
    Extension,
    body::Bytes,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::HeaderMap,
};
use std::sync::Arc;

const PAGE_MAX: u32 = 1_000;
/// Of what a parser says about a body.
const REASON_CHARS_MAX: usize = 200;

/// The body of `POST /gw/keys`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    scopes: Vec<Scope>,
    entitlements: Vec<Entitlement>,
    name: Option<String>,
    #[serde(default)]
    limits: Option<KeyLimits>,
    expires_at: Option<String>,
    environment: Option<Environment>,
    usage_mode: Option<UsageMode>,
}

pub(super) async fn ceiling(
    State(parts): State<Parts>,
    Extension(asker): Extension<Asker>,
    headers: HeaderMap,
) -> Answer {
    let answer = async {
        let key = manager(&parts, &headers, asker).await?;
        Ok(Answer::json(&organization(&parts, &key).await?.ceiling))
    };
    answer.await.unwrap_or_else(|refusal| Answer::refused(asker, &refusal))
}

pub(super) async fn list(
    State(parts): State<Parts>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let answer = async {
        let key = manager(&parts, &headers, asker).await?;
        let (after, count_max) = page(query.as_deref().unwrap_or_default())?;
        let page = Page { after: after.as_ref(), count_max };
        let keys = parts.registry.keys(Some(&key.organization_id), page).await.map_err(|error| down(&error))?;
        let now = clock::now();
        Ok(Answer::json(&keys.iter().map(|key| view::listed(key, now)).collect::<Vec<_>>()))
    };
    answer.await.unwrap_or_else(|refusal| Answer::refused(asker, &refusal))
}

pub(super) async fn issue(
    State(parts): State<Parts>,
    Extension(asker): Extension<Asker>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let answer = async {
        let key = manager(&parts, &headers, asker).await?;
        let order = order(&body, organization(&parts, &key).await?)?;
        let issued =
            issue_below_ceiling(&*parts.registry.by(key.id.as_str()), order, clock::now()).await.map_err(refused)?;
        parts.keyring.issued(&issued.key);
        Ok(Answer::created(&view::issued(&issued.key, &issued.record)))
    };
    answer.await.unwrap_or_else(|refusal| Answer::refused(asker, &refusal))
}

pub(super) async fn revoke(
    State(parts): State<Parts>,
    Extension(asker): Extension<Asker>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    let answer = async {
        let key = manager(&parts, &headers, asker).await?;
        // The same words for what is no id, what nobody has and what another organization has.
        let unknown = || Refusal::new(Kind::NotFound, "there is no key of this id");
        let Path(id) = path.map_err(|_| unknown())?;
        let id = KeyId::new(id);
        let registry = parts.registry.by(key.id.as_str());
        let revocation = registry.revoke_key(&id, Some(&key.organization_id), clock::now()).await;
        match revocation.map_err(|error| down(&error))? {
            Revocation::NoSuchKey => Err(unknown()),
            Revocation::Revoked | Revocation::AlreadyRevoked => {
                parts.keyring.forget(&id);
                Ok(Answer::nothing())
            }
        }
    };
    answer.await.unwrap_or_else(|refusal| Answer::refused(asker, &refusal))
}

async fn manager(parts: &Parts, headers: &HeaderMap, asker: Asker) -> Result<Arc<KeyRecord>, Refusal> {
    caller_with(&parts.keyring, headers, asker, Scope::KeysManage).await
}

async fn organization(parts: &Parts, key: &KeyRecord) -> Result<Organization, Refusal> {
    let found = parts.registry.find_organization(key.organization_id.as_str()).await.map_err(|error| down(&error))?;
    found.ok_or_else(|| Refusal::internal("a key whose organization is not there"))
}

/// `limit` and `after` of a list.
fn page(query: &str) -> Result<(Option<KeyId>, u32), Refusal> {
    let (mut after, mut count_max) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "after" if after.is_none() => after = Some(KeyId::new(&*value)),
            "limit" if count_max.is_none() => {
                let fits = value.parse().ok().filter(|count| (1..=PAGE_MAX).contains(count));
                count_max = Some(fits.ok_or_else(|| bad("limit", &format!("must be 1 to {PAGE_MAX}")))?);
            }
            "after" | "limit" => return Err(bad(&name, "stands twice")),
            _ => return Err(bad(&name.chars().take(64).collect::<String>(), "is not known")),
        }
    }
    Ok((after, count_max.unwrap_or(PAGE_MAX)))
}

fn bad(name: &str, reason: &str) -> Refusal {
    Refusal::bad_request(format!("parameter `{name}`: {reason}"))
}

fn order(body: &[u8], organization: Organization) -> Result<KeyOrder, Refusal> {
    let order: Order = serde_json::from_slice(body).map_err(|error| {
        let reason: String = error.to_string().chars().take(REASON_CHARS_MAX).collect();
        Refusal::bad_request(format!("the body is no order for a key: {reason}"))
    })?;
    let expires_at = order.expires_at.as_deref().map(Timestamp::parse_rfc3339).transpose();
    let expires_at = expires_at
        .map_err(|_| Refusal::bad_request("expires_at: must be a time in RFC 3339, such as 2030-01-31T00:00:00Z"))?;
    Ok(KeyOrder {
        organization,
        name: order.name,
        // What its prefix tells people that it is for.
        kind: if order.scopes == [Scope::PromptUse] { KeyKind::Security } else { KeyKind::Proxy },
        environment: order.environment.unwrap_or(Environment::Live),
        scopes: order.scopes,
        entitlements: order.entitlements,
        limits: order.limits.unwrap_or_default(),
        usage_mode: order.usage_mode.unwrap_or_default(),
        expires_at,
    })
}

fn refused(error: IssueError) -> Refusal {
    match error {
        IssueError::Faulty(_) => Refusal::bad_request(error.to_string()),
        IssueError::Beyond(beyond) => Refusal::new(Kind::Forbidden, beyond.to_string()),
        IssueError::Registry(RegistryError::Down(error)) => down(&error),
        IssueError::Registry(RegistryError::CeilingChanged) => {
            Refusal::unavailable("the organization's ceiling is being changed")
        }
        IssueError::Registry(_) | IssueError::NoRandomness(_) => Refusal::internal(error.to_string()),
    }
}

fn down(error: &StoreDown) -> Refusal {
    Refusal::unavailable("keys cannot be read or changed at the moment").with_inside(error.to_string())
}
