//! Whether a request may go on: which provider it is for, whose key it carries, what it asks for, and whether the key's
//! scope, entitlements and limits allow it. Each "no" is a `Refusal`; each "yes" is a value that only the check makes.

use super::{
    attribution,
    auth_slots::{self, Presented, Swap},
    body::{Ask, check_model},
    endpoint,
    refusal::{Kind, Refusal},
    route::{Route, Routes},
    settings::Settings,
    target::Target,
};
use crate::{
    auth::{
        entitlement::Verdict,
        key::{GatewayKey, KeyRecord, Scope, contains_gateway_key},
        keyring::{Keyring, Unidentified},
    },
    base::clock,
    limits::{
        concurrency::Permit,
        limiters::{Limit, Limiters},
    },
    providers::provider::{Endpoint, EndpointKind, ModelPlace, Provider},
};
use arc_swap::ArcSwap;
use http::{HeaderMap, Method};
use std::{net::IpAddr, sync::Arc};

/// The endpoint whose requests are charged by what they give to be spoken.
const SPEECH: &str = "audio.speech";

/// What admission needs.
pub struct Gate {
    pub routes: ArcSwap<Routes>,
    pub keyring: Arc<Keyring>,
    pub limiters: Arc<Limiters>,
    pub settings: Settings,
}

/// Which provider and endpoint a request is for.
pub struct Routed {
    pub route: Arc<Route>,
    pub target: Target,
    /// `None` when the provider's configuration names no such endpoint.
    pub endpoint: Option<Arc<Endpoint>>,
    /// The model that the path names.
    pub path_model: Option<String>,
    pub tags: Vec<(String, String)>,
}

impl Routed {
    /// The endpoint's name, when it is known.
    pub fn endpoint_name(&self) -> Option<&str> {
        self.endpoint.as_ref().map(|endpoint| endpoint.name.as_str())
    }

    /// Where the request names its model.
    pub fn model_place(&self) -> &ModelPlace {
        self.endpoint.as_ref().map_or(&ModelPlace::None, |endpoint| &endpoint.model)
    }
}

/// A caller whose key is good, and what must not be forwarded of the request's head.
pub struct Identified {
    pub key: Arc<KeyRecord>,
    pub swap: Swap,
}

/// What a request asks for, as far as its body says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub model: Option<String>,
    /// Models that the provider may take instead.
    pub fallback_models: Vec<String>,
    /// The characters of the text that is to be spoken.
    pub characters: Option<u64>,
}

/// Proof that a request may be forwarded. Holds the permit until the exchange ends.
pub struct Admission {
    pub swap: Swap,
    _permit: Permit,
}

impl Gate {
    /// Finds the provider and endpoint of a target.
    ///
    /// # Errors
    /// 404 when there is no such provider.
    pub fn route(&self, method: &Method, target: Target, headers: &HeaderMap) -> Result<Routed, Refusal> {
        let routes = self.routes.load();
        let route = routes.find(target.provider()).ok_or_else(|| {
            Refusal::new(
                Kind::NotFound,
                "there is no provider of this name; see the first path segment, as in /openai/v1/models",
            )
        })?;
        let route = Arc::clone(route);
        let found = route.endpoints.find(method.as_str(), target.path());
        let path_model = found.as_ref().and_then(|found| found.model()).map(str::to_owned);
        let endpoint = found.map(|found| Arc::clone(found.endpoint));
        let tags = attribution::tags(headers, &self.settings.attribution_headers);
        Ok(Routed { route, target, endpoint, path_model, tags })
    }

    /// Authenticates the request.
    ///
    /// # Errors
    /// 401, 429 for floods of unknown keys, 503 when the control store is down.
    pub async fn identify(&self, routed: &Routed, headers: &HeaderMap, from: IpAddr) -> Result<Identified, Refusal> {
        let provider = &routed.route.provider;
        let key = key_of(routed, headers)?;
        let key = authenticate(&self.keyring, &key, from).await?;
        let mut swap = Swap::plan(headers, routed.target.query(), provider)
            .map_err(|bad| Refusal::internal(format!("{}: {bad}", provider.name)))?;
        if provider.strip_attribution {
            swap.remove.extend(attribution::headers(headers, &self.settings.attribution_headers));
        }
        Ok(Identified { key, swap })
    }

    /// Whose key a request carries that was refused as unauthorized: a revoked or expired one is known all the same.
    pub fn holder(&self, routed: &Routed, headers: &HeaderMap) -> Option<Arc<KeyRecord>> {
        self.keyring.holder(&key_of(routed, headers).ok()?)
    }

    /// Checks the scope, and that the head says which method and model the provider will see.
    ///
    /// # Errors
    /// 403 for the scope, 400.
    pub fn check_head(&self, routed: &Routed, key: &KeyRecord, headers: &HeaderMap) -> Result<(), Refusal> {
        require_scope(key, Scope::InferenceUse)?;
        if let Some(header) = endpoint::method_override(headers) {
            return Err(Refusal::bad_request(format!("the header {header} is not supported")));
        }
        let path_model = routed.path_model.as_deref();
        path_model.map_or(Ok(()), check_model).map_err(|bad| Refusal::bad_request(bad.to_string()))
    }

    /// Checks entitlement and takes a permit.
    ///
    /// # Errors
    /// 400 when the model cannot be told, 403, 429.
    pub fn admit(&self, routed: &Routed, caller: Identified, asked: &Asked) -> Result<Admission, Refusal> {
        entitled(routed, &caller.key, asked.model.as_deref())?;
        for model in &asked.fallback_models {
            entitled(routed, &caller.key, Some(model))?;
        }
        let permit = self.limiters.enter(&caller.key.id, &caller.key.limits, clock::instant()).map_err(|exceeded| {
            let limit = match exceeded.limit {
                Limit::Rate => "rps",
                Limit::Concurrency => "concurrency",
            };
            limited(limit, exceeded.retry_after_seconds)
        })?;
        Ok(Admission { swap: caller.swap, _permit: permit })
    }
}

/// What a request asks for: the body's word, else the path's.
pub fn asked(routed: &Routed, ask: Ask) -> Asked {
    let speaks = routed.endpoint_name() == Some(SPEECH);
    Asked {
        model: ask.model.or_else(|| routed.path_model.clone()),
        fallback_models: ask.fallback_models,
        characters: ask.characters.filter(|_| speaks),
    }
}

/// The key that a request carries where its provider takes one, not looked up yet.
fn key_of(routed: &Routed, headers: &HeaderMap) -> Result<GatewayKey, Refusal> {
    let provider = &routed.route.provider;
    let text = match auth_slots::present(headers, routed.target.query(), &provider.accept) {
        Presented::Key(text) => text,
        Presented::Missing => return Err(place_of_key("there is no gateway key", provider)),
        Presented::Misplaced => return Err(place_of_key("the gateway key is in the wrong place", provider)),
        Presented::Unreadable => return Err(place_of_key("there is not exactly one gateway key", provider)),
    };
    GatewayKey::parse(text.expose().as_bytes()).ok_or_else(|| unauthorized("this is no gateway key"))
}

/// Finds the record of a key.
///
/// # Errors
/// 401, 429 for floods of unknown keys, 503 when the control store is down.
pub async fn authenticate(keyring: &Keyring, key: &GatewayKey, from: IpAddr) -> Result<Arc<KeyRecord>, Refusal> {
    keyring.identify(key, from, clock::now(), clock::instant()).await.map_err(|reason| match reason {
        Unidentified::Unknown => unauthorized("this gateway key is not known"),
        Unidentified::Revoked => unauthorized("this gateway key is revoked"),
        Unidentified::Expired => unauthorized("this gateway key is expired"),
        Unidentified::Flooded { retry_after_seconds } => limited("unknown_keys", retry_after_seconds),
        Unidentified::StoreDown => Refusal::unavailable("keys cannot be checked at the moment"),
    })
}

/// Checks that a key may use a surface.
///
/// # Errors
/// 403 naming the scope.
pub fn require_scope(key: &KeyRecord, scope: Scope) -> Result<(), Refusal> {
    if key.has_scope(scope) {
        return Ok(());
    }
    Err(Refusal::new(Kind::Forbidden, format!("this key lacks the scope {}", scope.as_str())))
}

/// Contract §5: default-deny, deny-wins; what names no model needs an allow rule for all models, listings any rule.
fn entitled(routed: &Routed, key: &KeyRecord, model: Option<&str>) -> Result<(), Refusal> {
    let provider = routed.route.provider.name.as_str();
    let kind = routed.endpoint.as_ref().map(|endpoint| endpoint.kind);
    let rules = &key.entitlements;
    match model {
        Some(model) if rules.allows(provider, model) == Verdict::Allowed => Ok(()),
        Some(model) => Err(Refusal::new(
            Kind::Forbidden,
            format!("this key may not use the model {:?} of {provider}", short(model)),
        )),
        None if kind == Some(EndpointKind::Listing) && rules.allows_any(provider) == Verdict::Allowed => Ok(()),
        None if rules.allows_all(provider) == Verdict::Allowed => Ok(()),
        None => Err(Refusal::new(
            Kind::Forbidden,
            format!("this call names no model, which takes a key that may use all models of {provider}"),
        )),
    }
}

/// A model as a message may show it: bounded, and never a key that was put in the wrong place.
fn short(model: &str) -> String {
    if contains_gateway_key(model.as_bytes()) {
        return "[redacted]".to_owned();
    }
    model.chars().take(64).collect()
}

fn place_of_key(what: &str, provider: &Provider) -> Refusal {
    let place = auth_slots::describe(&provider.accept);
    Refusal::new(Kind::Unauthorized, format!("{what}; send it as {place}"))
}

fn unauthorized(outside: &'static str) -> Refusal {
    Refusal::new(Kind::Unauthorized, outside)
}

fn limited(limit: &'static str, retry_after_seconds: u32) -> Refusal {
    let outside = match limit {
        "rps" => "too many requests a second for this key",
        "concurrency" => "too many requests at once for this key",
        _ => "too many unknown keys from this address",
    };
    Refusal { limit: Some(limit), ..Refusal::new(Kind::RateLimited, outside).with_retry_after(retry_after_seconds) }
}
