//! The catalog: which models callers may ask for, and where each of them is asked.

use super::{
    refusal::No,
    settings::{BoundMember, Model},
    wire::Wire,
};
use crate::{
    auth::{entitlement::Verdict, key::KeyRecord},
    base::ids::EndpointName,
    exchange::route::Routes,
    providers::provider::{Dialect, Endpoint, EndpointKind, ModelPlace, Provider},
};
use serde::Serialize;
use std::sync::Arc;

/// What usage records call a prompt.
const ENDPOINT: &str = "prompt";
/// The version of the path of Gemini's own protocol.
const GEMINI_VERSION: &str = "v1beta";

/// A model that can be asked.
#[derive(Debug)]
pub struct Entry {
    pub model: Model,
    pub(super) wire: Wire,
    /// The provider's own endpoint, for the meter.
    pub(super) native: Arc<Endpoint>,
    /// The endpoint as usage records have it.
    pub(super) recorded: Arc<Endpoint>,
    /// The provider's native path.
    pub(super) path: String,
}

/// All models that can be asked, in the order of the configuration.
#[derive(Debug, Default)]
pub struct Catalog(Vec<Arc<Entry>>);

/// What `GET /models` answers.
#[derive(Debug, Serialize)]
pub struct Listing {
    object: &'static str,
    data: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    id: String,
    object: &'static str,
    owned_by: String,
    max_output_tokens: u32,
    fallback: Option<String>,
}

/// Which of a provider's endpoints takes prompts: its own protocol's, or else `OpenAI`'s, which most providers speak.
pub fn endpoint_of(provider: &Provider) -> Option<(Wire, &Endpoint)> {
    let wires = match provider.dialect {
        Dialect::Anthropic => [Wire::Messages, Wire::Chat],
        Dialect::Gemini => [Wire::GenerateContent, Wire::Chat],
        _ => [Wire::Chat, Wire::Messages],
    };
    wires.into_iter().find_map(|wire| {
        let fits = |endpoint: &&Endpoint| {
            let is_literal = !endpoint.path.contains('{') || wire == Wire::GenerateContent;
            endpoint.name.as_str() == wire.endpoint() && endpoint.kind == EndpointKind::Inference && is_literal
        };
        provider.endpoints.iter().find(fits).map(|endpoint| (wire, endpoint))
    })
}

impl Entry {
    fn new(model: &Model, provider: &Provider) -> Option<Self> {
        let (wire, native) = endpoint_of(provider)?;
        let name: String = form_urlencoded::byte_serialize(model.model.as_bytes()).collect();
        let path = native.path.replace("{version}", GEMINI_VERSION).replace("{model}", &name.replace('+', "%20"));
        let recorded = Endpoint {
            name: EndpointName::new(ENDPOINT),
            method: Some("POST".to_owned()),
            path: path.clone(),
            model: ModelPlace::None,
            kind: EndpointKind::Inference,
        };
        let is_openai = provider.dialect == Dialect::OpenAi;
        let member = if is_openai { BoundMember::MaxCompletionTokens } else { BoundMember::MaxTokens };
        let model = Model { bound_member: model.bound_member.or(Some(member)), ..model.clone() };
        Some(Self { model, wire, native: Arc::new(native.clone()), recorded: Arc::new(recorded), path })
    }
}

impl Catalog {
    /// The models that are enabled and whose providers are, too.
    pub fn new(models: &[Model], routes: &Routes) -> Self {
        let enabled = models.iter().filter(|model| model.enabled);
        let entry = |model: &Model| Entry::new(model, &routes.find(model.provider.as_str())?.provider);
        Self(enabled.filter_map(entry).map(Arc::new).collect())
    }

    /// The model of that id.
    ///
    /// # Errors
    /// 400 when there is none, or it is disabled.
    pub(super) fn find(&self, id: &str) -> Result<Arc<Entry>, No> {
        let unknown =
            || No::validation("`model` is not in the catalog, or is disabled; GET /models lists what there is");
        self.get(id).ok_or_else(unknown)
    }

    /// The model that is asked when this one fails.
    pub(super) fn fallback_of(&self, entry: &Entry) -> Option<Arc<Entry>> {
        self.get(entry.model.fallback.as_deref()?)
    }

    /// What a key may ask for.
    pub(super) fn listing(&self, key: &KeyRecord) -> Listing {
        let allowed = self.0.iter().filter(|entry| is_entitled(entry, key));
        let listed = |entry: &Arc<Entry>| Listed {
            id: entry.model.id.clone(),
            object: "model",
            owned_by: entry.model.provider.as_str().to_owned(),
            max_output_tokens: entry.model.output_tokens_max,
            fallback: self
                .fallback_of(entry)
                .filter(|fallback| is_entitled(fallback, key))
                .map(|fallback| fallback.model.id.clone()),
        };
        Listing { object: "list", data: allowed.map(listed).collect() }
    }

    fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.0.iter().find(|entry| entry.model.id == id).cloned()
    }
}

/// Whether a key may ask for a model: by the rules of the proxy, for what the provider will see.
pub(super) fn is_entitled(entry: &Entry, key: &KeyRecord) -> bool {
    key.entitlements.allows(entry.model.provider.as_str(), &entry.model.model) == Verdict::Allowed
}
