//! The one immutable record of an exchange.

use crate::{
    auth::key::Environment,
    base::{
        clock::Timestamp,
        ids::{KeyId, OrganizationId, RequestId},
    },
    metering::reading::{Tokens, Units, UsageSource},
    pricing::charge::Charge,
};
use std::borrow::Cow;

/// One usage event: one exchange that reached the proxy, refused ones included.
/// Fields that are unknown are empty (`organization_id` of an unknown key, `model_served` without an answer). Texts are
/// borrowed from the exchange: an event lives until it is encoded.
#[derive(Debug, Clone)]
pub struct UsageEvent<'a> {
    pub request_id: RequestId,
    /// When the request arrived.
    pub time: Timestamp,
    /// `None` when no key was recognised; such events belong to no organization.
    pub organization_id: Option<Cow<'a, OrganizationId>>,
    pub key_id: Option<Cow<'a, KeyId>>,
    pub key_prefix: Cow<'a, str>,
    pub environment: Environment,
    /// The provider that was asked for; empty when there is none of that name.
    pub provider: Cow<'a, str>,
    pub endpoint: Cow<'a, str>,
    pub method: Cow<'a, str>,
    pub model_requested: Cow<'a, str>,
    pub model_served: Cow<'a, str>,
    /// The status that the caller got; 0 when the caller went before any.
    pub status: u16,
    /// See the contract: empty for success, else a refusal's type, `provider_error`, `provider_cut`, `caller_gone`, …
    pub error_type: Cow<'a, str>,
    pub streamed: bool,
    pub attempts: u8,
    pub latency_ms: u32,
    /// Time to the first byte of the answer's body; 0 when there was none.
    pub ttft_ms: u32,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub tokens: Tokens,
    pub units: Units,
    pub usage_source: UsageSource,
    /// The service tier that the answer reported; empty when it named none.
    pub service_tier: Cow<'a, str>,
    pub charge: Charge,
    pub provider_request_id: Cow<'a, str>,
    /// Attribution tags, names in lower case, sorted.
    pub tags: Cow<'a, [(String, String)]>,
    /// How many findings of each kind were masked; only kinds that were found.
    pub entities: Cow<'a, [(&'static str, u32)]>,
}

/// An event with every field set, for the tests of this module's parts.
#[cfg(test)]
pub(super) fn sample() -> UsageEvent<'static> {
    use crate::base::{clock, money::Money};
    UsageEvent {
        request_id: RequestId::generate(),
        time: clock::now(),
        organization_id: Some(Cow::Owned(OrganizationId::new("org_a"))),
        key_id: Some(Cow::Owned(KeyId::new("key_a"))),
        key_prefix: "gw_live_01234567".into(),
        environment: Environment::Live,
        provider: "openai".into(),
        endpoint: "chat.completions".into(),
        method: "POST".into(),
        model_requested: "gpt-5".into(),
        model_served: "gpt-5-2026-03-05".into(),
        status: 200,
        error_type: "".into(),
        streamed: true,
        attempts: 1,
        latency_ms: 1234,
        ttft_ms: 210,
        bytes_in: 900,
        bytes_out: 4000,
        tokens: Tokens { input: 100, cached_input: 20, output: 50, reasoning: 10, ..Tokens::default() },
        units: Units::default(),
        usage_source: UsageSource::Provider,
        service_tier: "default".into(),
        charge: Charge {
            cost: Money::from_nanos(1_500),
            price_version: "gpt-5@2026-01-01".into(),
            breakdown: vec![("input", Money::from_nanos(500)), ("output", Money::from_nanos(1_000))],
            ..Charge::default()
        },
        provider_request_id: "req_1".into(),
        tags: vec![("feature".into(), "chat".into())].into(),
        entities: vec![("EMAIL", 2), ("PERSON", 1)].into(),
    }
}
