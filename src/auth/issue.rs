//! Makes organizations and gateway keys: checks what is asked for, says all the faults, and hands the plaintext out
//! once. Leaves out who may ask (the command line may everything; a ceiling bounds the API).

use super::{
    ceiling::{Beyond, Ceiling},
    entitlement::{Effect, Entitlement},
    key::{Environment, GatewayKey, KeyKind, KeyRecord, NoRandomness, Scope, Status, UsageMode},
    port::{Organization, Registry, RegistryError, StoreDown},
};
use crate::{
    base::{
        clock::Timestamp,
        ids::{BudgetId, KeyId},
        money::Money,
    },
    budgets::{
        budget::{Budget, Enforcement, Subject},
        calendar::Window,
    },
    limits::KeyLimits,
};
use std::fmt;

/// The organization that a first start makes.
pub const FIRST_ORGANIZATION: &str = "default";

/// How often a ceiling may change under an order before that is given up.
const CEILING_TRIES_MAX: usize = 3;
const NAME_CHARS_MAX: usize = 100;
const RULES_MAX: usize = 100;
const PATTERN_BYTES_MAX: usize = 256;
const PROVIDER_BYTES_MAX: usize = 64;
const LIMIT_MAX: u32 = 1_000_000;
const TOKENS_MAX: u32 = 1_000_000_000;
/// 9999-12-31T23:59:59Z: what RFC 3339 can still write.
const EXPIRY_MAX: Timestamp = Timestamp::from_millis(253_402_300_799_000);

/// A key as it is asked for.
#[derive(Debug, Clone)]
pub struct KeyOrder {
    pub organization: Organization,
    pub name: Option<String>,
    pub kind: KeyKind,
    pub environment: Environment,
    pub scopes: Vec<Scope>,
    pub entitlements: Vec<Entitlement>,
    pub limits: KeyLimits,
    pub usage_mode: UsageMode,
    pub expires_at: Option<Timestamp>,
}

/// A key that was just made: its plaintext, this once, and its record.
#[derive(Debug)]
pub struct Issued {
    pub key: GatewayKey,
    pub record: KeyRecord,
}

/// What is wrong with one member of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The member, as the API names it.
    pub field: &'static str,
    /// What it must be.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("{}", join(.0))]
    Faulty(Vec<Fault>),
    #[error(transparent)]
    Beyond(#[from] Beyond),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl From<StoreDown> for IssueError {
    fn from(down: StoreDown) -> Self {
        Self::Registry(down.into())
    }
}

fn join(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Makes an organization.
pub async fn create_organization(
    registry: &dyn Registry,
    name: &str,
    now: Timestamp,
) -> Result<Organization, IssueError> {
    let mut faults = Vec::new();
    check_name(name, &mut faults);
    if name.starts_with("org_") {
        faults.push(fault("name", "must not start with `org_`, as ids do"));
    }
    if !faults.is_empty() {
        return Err(IssueError::Faulty(faults));
    }
    let organization = Organization::new(name, now);
    registry.add_organization(&organization).await?;
    Ok(organization)
}

/// Replaces the limits of an organization. Gives it as it stands then.
pub async fn set_organization_limits(
    registry: &dyn Registry,
    organization: Organization,
    limits: KeyLimits,
) -> Result<Organization, IssueError> {
    let mut faults = Vec::new();
    check_limits(&limits, &mut faults);
    if !faults.is_empty() {
        return Err(IssueError::Faulty(faults));
    }
    registry.set_organization_limits(&organization.id, &limits).await?;
    Ok(Organization { limits, ..organization })
}

/// A budget of a key, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyBudget {
    pub limit: Money,
    pub window: Window,
    pub enforcement: Enforcement,
}

/// Makes a key.
pub async fn issue(registry: &dyn Registry, order: KeyOrder, now: Timestamp) -> Result<Issued, IssueError> {
    issue_with(registry, order, &[], now).await
}

/// Makes a key for an organization that issues it itself: within its ceiling, or not at all.
pub async fn issue_below_ceiling(
    registry: &dyn Registry,
    mut order: KeyOrder,
    now: Timestamp,
) -> Result<Issued, IssueError> {
    let asked = std::mem::take(&mut order.entitlements);
    for _ in 0..CEILING_TRIES_MAX {
        let found = registry.find_organization(order.organization.id.as_str()).await?;
        let organization = found.ok_or(RegistryError::NoOrganization)?;
        let faults = check(&KeyOrder { entitlements: asked.clone(), ..order.clone() }, now);
        if !faults.is_empty() {
            return Err(IssueError::Faulty(faults));
        }
        let ceiling = organization.ceiling.clone();
        ceiling.check(&order.scopes, &asked)?;
        let rules = asked.iter().chain(ceiling.denials()).cloned().collect();
        let issued = assemble(KeyOrder { organization, entitlements: rules, ..order.clone() }, now)?;
        match registry.add_key_below(&issued.key.hash(), &issued.record, &ceiling).await {
            Ok(()) => return Ok(issued),
            Err(RegistryError::CeilingChanged) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(RegistryError::CeilingChanged.into())
}

/// Makes a key like another one, which ends at a time at the latest.
pub async fn rotate(
    registry: &dyn Registry,
    old: &KeyId,
    until: Timestamp,
    now: Timestamp,
) -> Result<Issued, IssueError> {
    let record = registry.find_key(old).await?.ok_or(RegistryError::NoKey)?;
    if record.status(now) != Status::Active {
        return Err(RegistryError::NoKey.into());
    }
    if until <= record.created_at || until > EXPIRY_MAX {
        return Err(IssueError::Faulty(vec![fault("old_until", "must be behind the old key's beginning")]));
    }
    let kind = if record.key_prefix.starts_with("sk-") { KeyKind::Security } else { KeyKind::Proxy };
    let key = GatewayKey::generate(kind, record.environment)?;
    let record = KeyRecord {
        id: KeyId::generate(),
        key_prefix: key.prefix().to_owned(),
        created_at: now,
        last_used_at: None,
        ..record
    };
    registry.rotate_key(old, until, (&key.hash(), &record)).await?;
    Ok(Issued { key, record })
}

/// Replaces the ceiling of an organization. Gives it as it stands then.
pub async fn set_ceiling(
    registry: &dyn Registry,
    organization: Organization,
    ceiling: Ceiling,
) -> Result<Organization, IssueError> {
    let mut faults = Vec::new();
    check_rules(&ceiling.entitlements, &mut faults);
    if !faults.is_empty() {
        return Err(IssueError::Faulty(faults));
    }
    registry.set_ceiling(&organization.id, &ceiling).await?;
    Ok(Organization { ceiling, ..organization })
}

/// Makes a key with budgets of its own.
pub async fn issue_with(
    registry: &dyn Registry,
    order: KeyOrder,
    budgets: &[KeyBudget],
    now: Timestamp,
) -> Result<Issued, IssueError> {
    let issued = make(order, now)?;
    let budget = |budget: &KeyBudget| Budget {
        id: BudgetId::generate(),
        organization_id: issued.record.organization_id.clone(),
        subject: Subject::Key(issued.record.id.clone()),
        window: budget.window,
        limit: budget.limit,
        enforcement: budget.enforcement,
    };
    let budgets: Vec<Budget> = budgets.iter().map(budget).collect();
    registry.add_key(&issued.key.hash(), &issued.record, &budgets).await?;
    Ok(issued)
}

/// On a store without organizations: makes one and its first key, which may do everything. `None` on any other
/// store, and for all but one of several processes that start at once.
pub async fn bootstrap(registry: &dyn Registry, now: Timestamp) -> Result<Option<Issued>, IssueError> {
    let organization = Organization::new(FIRST_ORGANIZATION, now);
    let everything = Entitlement { provider: "*".into(), model_pattern: "*".into(), effect: Effect::Allow };
    let order = KeyOrder {
        organization: organization.clone(),
        name: Some("bootstrap".into()),
        kind: KeyKind::Proxy,
        environment: Environment::Live,
        scopes: Scope::ALL.to_vec(),
        entitlements: vec![everything],
        limits: KeyLimits::default(),
        usage_mode: UsageMode::default(),
        expires_at: None,
    };
    let issued = make(order, now)?;
    let first = registry.add_first(&organization, &issued.key.hash(), &issued.record).await?;
    Ok(first.then_some(issued))
}

fn make(order: KeyOrder, now: Timestamp) -> Result<Issued, IssueError> {
    let faults = check(&order, now);
    if !faults.is_empty() {
        return Err(IssueError::Faulty(faults));
    }
    assemble(order, now)
}

/// A key of an order that was checked.
fn assemble(order: KeyOrder, now: Timestamp) -> Result<Issued, IssueError> {
    let key = GatewayKey::generate(order.kind, order.environment)?;
    let mut scopes = order.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    let record = KeyRecord {
        id: KeyId::generate(),
        organization_id: order.organization.id,
        organization_name: order.organization.name,
        name: order.name,
        key_prefix: key.prefix().to_owned(),
        environment: order.environment,
        scopes,
        entitlements: order.entitlements.into(),
        limits: order.limits,
        organization_limits: order.organization.limits,
        organization_disabled: order.organization.disabled_at.is_some(),
        usage_mode: order.usage_mode,
        created_at: now,
        expires_at: order.expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    Ok(Issued { key, record })
}

/// Everything that is wrong with an order; empty when nothing is.
pub fn check(order: &KeyOrder, now: Timestamp) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(name) = &order.name {
        check_name(name, &mut faults);
    }
    if order.scopes.is_empty() {
        faults.push(fault("scopes", "must name at least one"));
    }
    check_rules(&order.entitlements, &mut faults);
    check_limits(&order.limits, &mut faults);
    match order.expires_at {
        Some(end) if end <= now => faults.push(fault("expires_at", "must be in the future")),
        Some(end) if end > EXPIRY_MAX => faults.push(fault("expires_at", "must be before the year 10000")),
        Some(_) | None => {}
    }
    faults
}

fn fault(field: &'static str, reason: impl Into<String>) -> Fault {
    Fault { field, reason: reason.into() }
}

fn check_name(name: &str, faults: &mut Vec<Fault>) {
    let length = name.chars().count();
    if length == 0 || length > NAME_CHARS_MAX {
        faults.push(fault("name", format!("must have 1 to {NAME_CHARS_MAX} characters")));
    }
    if name.chars().any(char::is_control) {
        faults.push(fault("name", "must not hold control characters"));
    }
    if name.trim() != name {
        faults.push(fault("name", "must not begin or end with white space"));
    }
}

fn check_rules(rules: &[Entitlement], faults: &mut Vec<Fault>) {
    if rules.len() > RULES_MAX {
        faults.push(fault("entitlements", format!("must be at most {RULES_MAX} rules")));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    for Entitlement { provider, model_pattern, .. } in rules.iter().take(RULES_MAX) {
        let provider_fits = (1..=PROVIDER_BYTES_MAX).contains(&provider.len()) && provider.bytes().all(is_name);
        if !provider_fits && provider != "*" {
            let reason = format!("provider must be `*` or a name of letters, digits, `-_.`, not {provider:?}");
            faults.push(fault("entitlements", reason));
        }
        let pattern_fits = (1..=PATTERN_BYTES_MAX).contains(&model_pattern.len());
        if !pattern_fits || model_pattern.chars().any(|c| c.is_control() || c.is_whitespace()) {
            let reason = format!("model_pattern must have 1 to {PATTERN_BYTES_MAX} bytes, none of them white space");
            faults.push(fault("entitlements", reason));
        }
    }
}

fn check_limits(limits: &KeyLimits, faults: &mut Vec<Fault>) {
    for (name, limit, max) in [
        ("requests_per_second", limits.requests_per_second, LIMIT_MAX),
        ("burst", limits.burst, LIMIT_MAX),
        ("concurrent_requests", limits.concurrent_requests, LIMIT_MAX),
        ("tokens_per_minute", limits.tokens_per_minute, TOKENS_MAX),
        ("input_tokens_per_minute", limits.input_tokens_per_minute, TOKENS_MAX),
        ("output_tokens_per_minute", limits.output_tokens_per_minute, TOKENS_MAX),
    ] {
        if limit.is_some_and(|limit| !(1..=max).contains(&limit)) {
            faults.push(fault("limits", format!("{name} must be 1 to {max}; leave it out for no limit")));
        }
    }
    if limits.burst.is_some() && limits.requests_per_second.is_none() {
        faults.push(fault("limits", "burst has no meaning without requests_per_second"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::OrganizationId;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn order() -> KeyOrder {
        KeyOrder {
            organization: Organization { id: OrganizationId::new("org_1"), ..Organization::new("acme", NOW) },
            name: None,
            kind: KeyKind::Proxy,
            environment: Environment::Live,
            scopes: vec![Scope::StatsRead, Scope::InferenceUse, Scope::StatsRead],
            entitlements: vec![rule("openai", "gpt-*")],
            limits: KeyLimits::default(),
            usage_mode: UsageMode::default(),
            expires_at: None,
        }
    }

    fn rule(provider: &str, model_pattern: &str) -> Entitlement {
        Entitlement { provider: provider.into(), model_pattern: model_pattern.into(), effect: Effect::Allow }
    }

    fn limits(requests_per_second: Option<u32>, burst: Option<u32>, concurrent_requests: Option<u32>) -> KeyLimits {
        KeyLimits { requests_per_second, burst, concurrent_requests, ..KeyLimits::default() }
    }

    #[test]
    fn a_key_is_made_as_ordered() {
        let Issued { key, record } = make(order(), NOW).unwrap();
        assert_eq!(record.scopes, [Scope::InferenceUse, Scope::StatsRead]);
        assert_eq!(record.key_prefix, key.prefix());
        assert!(record.id.as_str().starts_with("key_"));
        assert_eq!((record.created_at, record.revoked_at), (NOW, None));
    }

    #[test]
    fn each_fault_names_its_member() {
        let at = |millis| Some(Timestamp::from_millis(millis));
        let cases: Vec<(&str, KeyOrder)> = vec![
            ("name", KeyOrder { name: Some(String::new()), ..order() }),
            ("name", KeyOrder { name: Some("x".repeat(101)), ..order() }),
            ("name", KeyOrder { name: Some("a\u{1b}[31mb".into()), ..order() }),
            ("name", KeyOrder { name: Some(" a".into()), ..order() }),
            ("scopes", KeyOrder { scopes: vec![], ..order() }),
            ("entitlements", KeyOrder { entitlements: vec![rule("", "x")], ..order() }),
            ("entitlements", KeyOrder { entitlements: vec![rule("open*", "x")], ..order() }),
            ("entitlements", KeyOrder { entitlements: vec![rule("openai", "")], ..order() }),
            ("entitlements", KeyOrder { entitlements: vec![rule("openai", "a b")], ..order() }),
            ("entitlements", KeyOrder { entitlements: vec![rule("openai", &"x".repeat(257))], ..order() }),
            ("entitlements", KeyOrder { entitlements: vec![rule("openai", "x"); 101], ..order() }),
            ("limits", KeyOrder { limits: limits(Some(0), None, None), ..order() }),
            ("limits", KeyOrder { limits: limits(Some(1), Some(0), None), ..order() }),
            ("limits", KeyOrder { limits: limits(None, None, Some(1_000_001)), ..order() }),
            ("limits", KeyOrder { limits: limits(None, Some(5), None), ..order() }),
            (
                "limits",
                KeyOrder { limits: KeyLimits { tokens_per_minute: Some(0), ..KeyLimits::default() }, ..order() },
            ),
            ("expires_at", KeyOrder { expires_at: at(1_000), ..order() }),
            ("expires_at", KeyOrder { expires_at: at(i64::MAX), ..order() }),
        ];
        for (field, order) in cases {
            let faults = check(&order, NOW);
            assert_eq!(faults.iter().map(|fault| fault.field).collect::<Vec<_>>(), [field], "{order:?}");
            assert!(matches!(make(order, NOW), Err(IssueError::Faulty(_))));
        }
    }

    #[test]
    fn all_faults_are_said_at_once() {
        let bad = KeyOrder { name: Some("\n".into()), scopes: vec![], expires_at: Some(NOW), ..order() };
        let error = make(bad, NOW).unwrap_err().to_string();
        for field in ["name", "scopes", "expires_at"] {
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn generous_orders_pass() {
        let fine = [
            KeyOrder { name: Some("Çı 東京 — prod".into()), ..order() },
            KeyOrder { entitlements: vec![rule("*", "*"); 100], ..order() },
            KeyOrder { entitlements: vec![], ..order() },
            KeyOrder { limits: limits(Some(1), Some(1), Some(1_000_000)), ..order() },
            KeyOrder { expires_at: Some(Timestamp::from_millis(1_001)), ..order() },
        ];
        for order in fine {
            assert_eq!(check(&order, NOW), [], "{order:?}");
        }
    }
}
