//! Endpoints and named sets of endpoints in providers.yaml.

use super::{
    fault::quoted,
    fields::{Fields, Item},
    pattern::Pattern,
};
use crate::{
    base::ids::EndpointName,
    providers::provider::{Endpoint, EndpointKind, ModelPlace},
};
use std::{cell::Cell, collections::BTreeMap};

const SETS_MAX: usize = 128;
/// Endpoints of one set, and of one provider.
const ENDPOINTS_MAX: usize = 400;

/// The sets by name.
pub(super) struct Sets<'a>(BTreeMap<&'a str, Set<'a>>);

struct Set<'a> {
    item: Item<'a>,
    endpoints: Vec<Endpoint>,
    used: Cell<bool>,
}

impl<'a> Sets<'a> {
    /// Reads `endpoint_sets`.
    pub(super) fn read(top: &Fields<'a>) -> Self {
        let mut sets = BTreeMap::new();
        for (key, item) in top.members("endpoint_sets", SETS_MAX).unwrap_or_default() {
            let mut endpoints = Checked::default();
            for element in item.elements(ENDPOINTS_MAX) {
                if let Some(endpoint) = element.section(endpoint) {
                    endpoints.push(&element, vec![endpoint]);
                }
            }
            sets.insert(key.text, Set { item, endpoints: endpoints.into_inner(), used: Cell::new(false) });
        }
        Self(sets)
    }

    /// The endpoints of one provider: sets by name, sets under a path, endpoints written out. Without any, those of
    /// the set that is called like the dialect.
    pub(super) fn choose(&self, provider: &Fields<'a>, dialect: &str) -> Vec<Endpoint> {
        let Some(list) = provider.get("endpoints") else {
            return self.of_dialect(provider, dialect);
        };
        let elements = list.elements(ENDPOINTS_MAX);
        let mut chosen = Checked::default();
        for element in &elements {
            let endpoints = match element.written() {
                Some(name) => self.named(element, name),
                None => {
                    element.section(|f| if f.has("set") { self.under(f) } else { endpoint(f).into_iter().collect() })
                }
            };
            chosen.push(element, endpoints);
        }
        if elements.is_empty() && list.is_list() {
            list.fault("expected at least one endpoint set");
        }
        if chosen.0.len() > ENDPOINTS_MAX {
            list.fault(format!("names {} endpoints: at most {ENDPOINTS_MAX} are searched", chosen.0.len()));
        }
        chosen.into_inner()
    }

    fn of_dialect(&self, provider: &Fields<'a>, dialect: &str) -> Vec<Endpoint> {
        let Some(set) = self.0.get(dialect) else {
            // A wrong dialect is a fault of its own.
            if dialect.is_empty() {
                return Vec::new();
            }
            provider.fault(format!("endpoints is missing, and no endpoint set is called {dialect:?} like the dialect"));
            return Vec::new();
        };
        set.used.set(true);
        set.endpoints.clone()
    }

    /// Notes sets that no provider names: most likely a slip.
    pub(super) fn note_unused(&self) {
        for set in self.0.values().filter(|set| !set.used.get()) {
            set.item.fault("no provider uses this endpoint set");
        }
    }

    fn named(&self, item: &Item<'_>, name: &str) -> Vec<Endpoint> {
        let Some(set) = self.0.get(name) else {
            let known: Vec<&str> = self.0.keys().copied().collect();
            item.fault(format!("no endpoint set is called {}: known are {}", quoted(name), known.join(", ")));
            return Vec::new();
        };
        set.used.set(true);
        set.endpoints.clone()
    }

    fn under(&self, f: &Fields<'_>) -> Vec<Endpoint> {
        const EXPECTED: &str = "a path to put before the set's paths, such as /v1beta/openai";
        let path = f.required("under", EXPECTED);
        let under = path.as_ref().and_then(|item| item.text(EXPECTED)).unwrap_or_default();
        let Some((set, text)) =
            f.get("set").and_then(|item| item.text("the name of an endpoint set").map(|t| (item, t)))
        else {
            return Vec::new();
        };
        let mut endpoints = self.named(&set, &text);
        for endpoint in &mut endpoints {
            endpoint.path = format!("{under}{}", endpoint.path);
        }
        let problem = endpoints.iter().find_map(|endpoint| Pattern::parse(&endpoint.path).err());
        if let (Some(item), Some(problem)) = (path, problem) {
            item.fault(problem);
        }
        endpoints
    }
}

/// Endpoints in their order, each reachable.
#[derive(Default)]
struct Checked(Vec<(Endpoint, Option<Pattern>)>);

impl Checked {
    /// Adds what one line of the file names; notes those that an earlier line hides.
    fn push(&mut self, item: &Item<'_>, endpoints: Vec<Endpoint>) {
        let earlier = self.0.len();
        for endpoint in endpoints {
            let pattern = Pattern::parse(&endpoint.path).ok();
            let hides = |(first, theirs): &&(Endpoint, Option<Pattern>)| {
                let method = first.method.is_none() || first.method == endpoint.method;
                let path = theirs.as_ref().zip(pattern.as_ref()).is_some_and(|(theirs, ours)| theirs.covers(ours));
                method && path
            };
            if let Some((first, _)) = self.0.iter().take(earlier).find(hides) {
                let (here, first) = (shown(&endpoint), shown(first));
                item.fault(format!("{here} can never match: {first} comes before it and matches the same requests"));
            }
            self.0.push((endpoint, pattern));
        }
    }

    fn into_inner(self) -> Vec<Endpoint> {
        self.0.into_iter().map(|(endpoint, _)| endpoint).collect()
    }
}

fn shown(endpoint: &Endpoint) -> String {
    format!("{} ({} {})", endpoint.name, endpoint.method.as_deref().unwrap_or("any"), endpoint.path)
}

fn endpoint(f: &Fields<'_>) -> Option<Endpoint> {
    let name = f.required("name", NAME_EXPECTED).and_then(|item| item.parsed(NAME_EXPECTED, endpoint_name));
    let kind = f.get("kind").and_then(|item| item.parsed(KIND_EXPECTED, kind)).unwrap_or(EndpointKind::Inference);
    let default = if kind == EndpointKind::Listing { "GET" } else { "POST" };
    let method = match f.get("method") {
        Some(item) => item.parsed("an HTTP method in capitals, or any", method)?,
        None => Some(default.to_owned()),
    };
    if method.as_deref() == Some("HEAD") {
        f.fault("HEAD is taken for GET: name GET");
    }
    if kind == EndpointKind::Listing && method.as_deref() != Some("GET") {
        f.fault("a listing endpoint is read-only: its method must be GET");
    }
    let path = f.required("path", "a path pattern")?;
    let text = path.text("a path pattern")?;
    let pattern = Pattern::parse(&text).map_err(|problem| path.fault(problem)).ok()?;
    let model = model_place(f, kind, &pattern)?;
    Some(Endpoint { name: EndpointName::new(name?), method, path: text, model, kind })
}

fn model_place(f: &Fields<'_>, kind: EndpointKind, pattern: &Pattern) -> Option<ModelPlace> {
    let item = f.get("model");
    let model = match &item {
        Some(item) => item.parsed(MODEL_EXPECTED, place)?,
        None if kind == EndpointKind::Listing => ModelPlace::None,
        None if pattern.has("model") => ModelPlace::Path,
        None => ModelPlace::Json("model".to_owned()),
    };
    let in_path = model == ModelPlace::Path;
    if in_path && !pattern.has("model") {
        item.as_ref().map_or_else(|| f.fault(NO_PARAMETER), |item| item.fault(NO_PARAMETER));
    }
    if !in_path && pattern.has("model") && kind != EndpointKind::Listing {
        f.fault("the path has {model}, but model says that it stands elsewhere: rename the parameter");
    }
    Some(model)
}

const NO_PARAMETER: &str = "model is in the path, but the path has no {model}";
const NAME_EXPECTED: &str = "an endpoint's name: 1 to 64 of a-z, 0-9, `_`, `.`, `-`";
const KIND_EXPECTED: &str = "inference, listing or free";
const MODEL_EXPECTED: &str =
    "json, multipart, json_or_multipart or query, each with :name for another name than model, or path, or none";

fn endpoint_name(text: &str) -> Option<String> {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    ((1..=64).contains(&text.len()) && text.bytes().all(valid)).then(|| text.to_owned())
}

fn kind(text: &str) -> Option<EndpointKind> {
    match text {
        "inference" => Some(EndpointKind::Inference),
        "listing" => Some(EndpointKind::Listing),
        "free" => Some(EndpointKind::Free),
        _ => None,
    }
}

/// The outer `None` is a fault, the inner one every method.
#[expect(clippy::option_option, reason = "a method that is any method is not a method that is wrong")]
fn method(text: &str) -> Option<Option<String>> {
    if text == "any" {
        return Some(None);
    }
    let valid = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase());
    valid.then(|| Some(text.to_owned()))
}

fn place(text: &str) -> Option<ModelPlace> {
    let (place, name) = text.split_once(':').map_or((text, None), |(place, name)| (place, Some(name)));
    let valid = |name: &str| (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_some_and(|name| !valid(name)) {
        return None;
    }
    let member = name.unwrap_or("model").to_owned();
    match (place, name) {
        ("json", _) => Some(ModelPlace::Json(member)),
        ("multipart", _) => Some(ModelPlace::Multipart(member)),
        ("json_or_multipart", _) => Some(ModelPlace::JsonOrMultipart(member)),
        ("query", _) => Some(ModelPlace::Query(member)),
        ("path", None) => Some(ModelPlace::Path),
        ("none", None) => Some(ModelPlace::None),
        _ => None,
    }
}
