//! Whether a request may go on: which provider it is for, whose key it carries, what it asks for, and whether the key's
//! scope, entitlements, limits and budgets allow it. Each "no" is a `Refusal`; each "yes" is a value that only the check makes.

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
        key::{Environment, GatewayKey, KeyRecord, Scope, contains_gateway_key},
        keyring::{Keyring, Unidentified},
    },
    base::{
        clock::{self, Instant, Timestamp},
        money::Money,
    },
    budgets::{
        self,
        calendar::Window,
        ledger::{Exhausted, Hold, Ledger, Payer},
    },
    limits::{
        self,
        limiters::{Entrant, Entry, Limit, LimitExceeded, Limiters},
        tokens::{TokenHold, Tokens},
    },
    metering::reading,
    pricing::{
        book::PriceBook,
        bound::{Most, bound},
    },
    providers::provider::{Endpoint, EndpointKind, ModelPlace, Provider},
};
use arc_swap::ArcSwap;
use http::{HeaderMap, Method};
use std::{net::IpAddr, sync::Arc};

/// The endpoint whose requests are charged by what they give to be spoken.
const SPEECH: &str = "audio.speech";
/// Of usual text, for estimates.
const BYTES_PER_TOKEN: u64 = 4;

/// What admission needs.
pub struct Gate {
    pub routes: ArcSwap<Routes>,
    pub keyring: Arc<Keyring>,
    pub limiters: Arc<Limiters>,
    pub limit_settings: limits::settings::Settings,
    pub budgets: Arc<Ledger>,
    pub budget_settings: budgets::settings::Settings,
    pub prices: Arc<ArcSwap<PriceBook>>,
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
    /// The bound on output of each answer, where the request sets one.
    pub max_output_tokens: Option<u64>,
    /// How many answers it asks for at once.
    pub choices: Option<u64>,
    pub service_tier: Option<String>,
    /// The bytes of the request's body, where they are known.
    pub body_bytes: Option<u64>,
}

/// Proof that a request may be forwarded. Holds its permits until the exchange ends.
pub struct Admission {
    pub swap: Swap,
    pub holds: Holds,
    _entry: Entry,
}

/// What is set aside for a request, to be settled with what it used. Dropped unsettled, all of it is given back.
#[derive(Debug, Default)]
pub struct Holds {
    /// If it counts against a budget.
    money: Option<Hold>,
    /// If a limit counts tokens.
    tokens: Option<TokenHold>,
}

impl Holds {
    /// What the exchange used takes the place of what was set aside for it.
    pub fn settle(self, cost: Money, used: &reading::Tokens, end: Instant) {
        if let Some(money) = self.money {
            money.settle(cost);
        }
        if let Some(tokens) = self.tokens {
            tokens.correct(Tokens { input: used.input_all(), output: used.output_all() }, end);
        }
    }
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

    /// Whether something is set aside for what a request may use, so that the bounds in its body are worth reading.
    pub fn reads_bounds(&self, routed: &Routed, key: &KeyRecord) -> bool {
        let counts_tokens = key.limits.has_tokens() || key.organization_limits.has_tokens();
        let has_budget = || payer(routed, key).is_some_and(|payer| self.budgets.concerns(&payer));
        (counts_tokens && !is_free(routed)) || has_budget()
    }

    /// Checks entitlement, takes permits, and sets aside what the request may cost. `at` is when it arrived.
    ///
    /// # Errors
    /// 400 when the model cannot be told, 402, 403, 429.
    pub fn admit(
        &self,
        routed: &Routed,
        caller: Identified,
        asked: &Asked,
        at: Timestamp,
    ) -> Result<Admission, Refusal> {
        entitled(routed, &caller.key, asked.model.as_deref())?;
        for model in &asked.fallback_models {
            entitled(routed, &caller.key, Some(model))?;
        }
        let key = &*caller.key;
        let entrant = Entrant {
            key: &key.id,
            limits: &key.limits,
            organization: &key.organization_id,
            organization_limits: &key.organization_limits,
        };
        let estimate = if is_free(routed) { Tokens::default() } else { self.estimate(asked) };
        let entered = self.limiters.enter(&entrant, estimate, clock::instant());
        let mut entry = entered.map_err(over)?;
        let money = match payer(routed, key) {
            Some(payer) => {
                self.budgets.hold(&payer, at, || self.most(routed, asked, at)).map_err(|no| exhausted(&no))?
            }
            None => None,
        };
        let holds = Holds { money, tokens: entry.tokens.take() };
        Ok(Admission { swap: caller.swap, holds, _entry: entry })
    }

    /// The tokens that a request is taken to use: usual text has four bytes a token.
    fn estimate(&self, asked: &Asked) -> Tokens {
        let output = asked.max_output_tokens.unwrap_or(self.limit_settings.output_tokens_default);
        let answers = asked.choices.unwrap_or(1).max(1);
        Tokens { input: asked.body_bytes.unwrap_or(0) / BYTES_PER_TOKEN, output: output.saturating_mul(answers) }
    }

    /// What a request may cost at most, by the dearest of the models that may answer it. A token is at least a byte, so
    /// the body's size bounds what text it puts in.
    fn most(&self, routed: &Routed, asked: &Asked, at: Timestamp) -> Money {
        let provider = routed.route.provider.name.as_str();
        let settings = &self.budget_settings;
        let most = Most {
            input_tokens: asked.body_bytes.unwrap_or(u64::MAX).min(settings.input_tokens_max),
            output_tokens: asked.max_output_tokens.unwrap_or(settings.output_tokens_default),
            answers: asked.choices.unwrap_or(1).max(1),
            characters: asked.characters.unwrap_or(0),
        };
        let tier = asked.service_tier.as_deref().unwrap_or_default();
        let prices = self.prices.load();
        let models = asked.model.iter().chain(&asked.fallback_models);
        models.map(|model| bound(&prices, (provider, model), tier, &most, at)).max().unwrap_or(Money::ZERO)
    }
}

/// Whether a request does no work that is charged: a listing, counting tokens.
fn is_free(routed: &Routed) -> bool {
    routed.endpoint.as_ref().is_some_and(|endpoint| endpoint.kind != EndpointKind::Inference)
}

/// Whose money a request costs; `None` where it costs none: test keys' count against no budget.
fn payer<'a>(routed: &'a Routed, key: &'a KeyRecord) -> Option<Payer<'a>> {
    let payer = Payer { organization: &key.organization_id, key: &key.id, tags: &routed.tags };
    (!is_free(routed) && key.environment == Environment::Live).then_some(payer)
}

fn exhausted(no: &Exhausted) -> Refusal {
    let window = match no.window {
        Window::Day => "today's budget",
        Window::Month => "this month's budget",
        Window::Total => "the budget",
    };
    let what = if no.amount == Money::ZERO {
        "is spent".to_owned()
    } else {
        format!(
            "has no room for this request, which may cost up to {} USD; a smaller bound on output may fit",
            no.amount
        )
    };
    let until = no.resets_at.map(|at| format!("; it begins anew at {}", at.to_rfc3339())).unwrap_or_default();
    Refusal::new(Kind::BudgetExceeded, format!("{window} of {} {what}{until}", no.subject))
}

/// What a request asks for: the body's word, else the path's.
pub fn asked(routed: &Routed, ask: Ask) -> Asked {
    let speaks = routed.endpoint_name() == Some(SPEECH);
    Asked {
        model: ask.model.or_else(|| routed.path_model.clone()),
        fallback_models: ask.fallback_models,
        characters: ask.characters.filter(|_| speaks),
        max_output_tokens: ask.max_output_tokens,
        choices: ask.choices,
        service_tier: ask.service_tier,
        body_bytes: ask.bytes,
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
        Unidentified::Disabled => unauthorized("this gateway key's organization is switched off"),
        Unidentified::Expired => unauthorized("this gateway key is expired"),
        Unidentified::Flooded { retry_after_seconds } => flooded(retry_after_seconds),
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

/// A limit of the key or of its organization.
fn over(exceeded: LimitExceeded) -> Refusal {
    let (limit, what) = match exceeded.limit {
        Limit::Rate => ("rps", "too many requests a second"),
        Limit::Concurrency => ("concurrency", "too many requests at once"),
        Limit::Tokens => ("tokens", "too many tokens a minute"),
    };
    let whose = exceeded.whose;
    let refusal = Refusal::new(Kind::RateLimited, format!("{what} for this {whose}"));
    Refusal { limit: Some(limit), ..refusal.with_retry_after(exceeded.retry_after_seconds) }
}

fn flooded(retry_after_seconds: u32) -> Refusal {
    let refusal = Refusal::new(Kind::RateLimited, "too many unknown keys from this address");
    Refusal { limit: Some("unknown_keys"), ..refusal.with_retry_after(retry_after_seconds) }
}
