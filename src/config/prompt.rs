//! The section `prompt` of gateway.yaml: bounds of the security gateway, and its catalog of models.

use super::{
    fault::{Fault, Position},
    fields::{Fields, Item},
    providers::Providers,
};
use crate::{
    base::ids::ProviderName,
    prompt::{
        catalog::endpoint_of,
        settings::{BoundMember, Model, OUTPUT_TOKENS_MAX, Settings},
    },
};

const MODELS_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 200;
const ID_EXPECTED: &str = "an id with its namespace, such as openai/gpt-5.4-mini";
const NAME_EXPECTED: &str = "a name of visible characters, at most 200";
const BOUND_EXPECTED: &str = "max_completion_tokens or max_tokens";

/// Where the file names a provider, for when it is known which providers there are. All are alike: places are no settings.
#[derive(Debug, Clone, Default)]
pub(super) struct Named(Vec<Place>);

#[derive(Debug, Clone)]
struct Place {
    provider: String,
    at: Position,
    field: String,
}

impl PartialEq for Named {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Named {}

impl Named {
    /// What is wrong with the providers that the catalog names.
    pub(super) fn faults(&self, file: &str, providers: &Providers) -> Vec<Fault> {
        let problem = |name: &str| {
            let enabled = providers.enabled.iter().find(|provider| provider.name.as_str() == name);
            match enabled {
                Some(provider) if endpoint_of(provider).is_some() => None,
                Some(_) => Some(
                    "this provider has no endpoint that takes prompts: chat.completions, messages or generate_content",
                ),
                None if providers.disabled.iter().any(|(disabled, _)| disabled == name) => None,
                None => Some("there is no provider of this name in providers.yaml"),
            }
        };
        let fault = |place: &Place| {
            let (file, field) = (file.to_owned(), place.field.clone());
            Some(Fault { file, at: place.at, field, problem: problem(&place.provider)?.to_owned() })
        };
        self.0.iter().filter_map(fault).collect()
    }
}

/// Reads the section.
pub(super) fn read(f: &Fields<'_>) -> (Settings, Named) {
    let default = Settings::default();
    let mut named = Named::default();
    let settings = Settings {
        models: models(f, &mut named).unwrap_or(default.models),
        time_max: f.seconds("timeout_seconds", default.time_max, 1..=3600),
        attempt_max: f.seconds("attempt_timeout_seconds", default.attempt_max, 1..=3600),
        answer_bytes_max: f.whole("answer_bytes_max", default.answer_bytes_max, 1024..=64 * 1024 * 1024),
        hint: f.switch("placeholder_hint", default.hint),
        segment_bytes: f.whole("segment_bytes", default.segment_bytes, 1..=65_536),
        segment_pause: f.millis("segment_pause_ms", default.segment_pause, 0..=10_000),
    };
    if settings.attempt_max > settings.time_max {
        f.fault("attempt_timeout_seconds is above timeout_seconds: a fallback would never have time");
    }
    (settings, named)
}

fn models(f: &Fields<'_>, named: &mut Named) -> Option<Vec<Model>> {
    let items = f.elements("models", MODELS_MAX)?;
    let mut models: Vec<Model> = Vec::new();
    for item in &items {
        let Some(model) = item.section(|f| model(f, named)) else { continue };
        if models.iter().any(|known| known.id == model.id) {
            item.fault(format!("the id {:?} stands here twice", model.id));
        } else {
            models.push(model);
        }
    }
    check_fallbacks(&items, &models);
    Some(models)
}

fn check_fallbacks(items: &[Item<'_>], models: &[Model]) {
    // Where an item is faulty, what it would have been called is not known.
    if items.len() != models.len() {
        return;
    }
    for (item, model) in items.iter().zip(models) {
        match &model.fallback {
            Some(fallback) if *fallback == model.id => item.fault("fallback: a model cannot stand in for itself"),
            Some(fallback) if !models.iter().any(|known| known.id == *fallback) => {
                item.fault(format!("fallback: there is no model {fallback:?} in the catalog"));
            }
            _ => {}
        }
    }
}

fn model(f: &Fields<'_>, named: &mut Named) -> Option<Model> {
    let id_item = f.required("id", ID_EXPECTED);
    let id = id_item.as_ref().and_then(|item| item.parsed(ID_EXPECTED, id));
    let provider_item = f.get("provider");
    let provider = provider_item.as_ref().and_then(|item| item.parsed(NAME_EXPECTED, name));
    let model = f.get("model").and_then(|item| item.parsed(NAME_EXPECTED, name));
    let output_tokens_max = f.whole("max_output_tokens", OUTPUT_TOKENS_MAX, 1..=10_000_000);
    let bound_member = f.get("output_bound").and_then(|item| item.parsed(BOUND_EXPECTED, bound_member));
    let enabled = f.switch("enabled", true);
    let fallback = f.get("fallback").and_then(|item| item.parsed(ID_EXPECTED, self::id));
    let id = id?;
    let (namespace, rest) = id.split_once('/')?;
    let provider = provider.unwrap_or_else(|| namespace.to_owned());
    if let Some(item) = provider_item.or(id_item) {
        named.0.push(Place { provider: provider.clone(), at: item.at(), field: item.name().to_owned() });
    }
    let model = model.unwrap_or_else(|| rest.to_owned());
    let provider = ProviderName::new(provider);
    Some(Model { id, provider, model, output_tokens_max, bound_member, enabled, fallback })
}

fn id(text: &str) -> Option<String> {
    let (namespace, rest) = text.split_once('/')?;
    (!namespace.is_empty() && !rest.is_empty()).then(|| name(text))?
}

fn name(text: &str) -> Option<String> {
    let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

fn bound_member(text: &str) -> Option<BoundMember> {
    match text {
        "max_completion_tokens" => Some(BoundMember::MaxCompletionTokens),
        "max_tokens" => Some(BoundMember::MaxTokens),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{FILES, File, check};

    const PROVIDERS: &str = "endpoint_sets:\n  none:\n    - {name: other, path: /v1/other}\n\
        providers:\n  openai: {upstream: \"https://a.test\", dialect: openai, credential: \"env:KEY\", endpoints: [{name: chat.completions, path: /v1/chat/completions}]}\n\
        \u{20} bare: {upstream: \"https://b.test\", dialect: openai, credential: \"env:KEY\", endpoints: [none]}\n\
        \u{20} off: {upstream: \"https://c.test\", dialect: openai, credential: \"env:UNSET\", endpoints: [{name: chat.completions, path: /v1/chat/completions}]}\n";

    fn faults(models: &str) -> Vec<String> {
        let gateway = format!("prompt:\n  models:\n{models}");
        let mut texts = [gateway.as_str(), PROVIDERS, ""].into_iter();
        let files = FILES.map(|name| {
            let bytes = texts.next().unwrap_or_default().as_bytes().to_vec();
            File { name: name.into(), bytes: Ok(bytes) }
        });
        let env = |name: &str| (name == "KEY").then(|| "sk-hush".to_owned());
        check(&files, &env).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_catalog_that_cannot_hold_is_told_with_its_lines() {
        let cases = [
            (
                "    - {id: openai/a}\n    - {id: off/b, fallback: openai/a}\n    - {id: x/c, provider: openai}\n",
                vec![],
            ),
            (
                "    - {id: nobody/a}\n",
                vec!["gateway.yaml:3:12: prompt.models[0].id: there is no provider of this name"],
            ),
            (
                "    - {id: a/b, provider: nobody}\n",
                vec!["gateway.yaml:3:27: prompt.models[0].provider: there is no provider of this name"],
            ),
            ("    - {id: bare/a}\n", vec!["prompt.models[0].id: this provider has no endpoint that takes prompts"]),
            (
                "    - {id: openai/a}\n    - {id: openai/a}\n",
                vec!["gateway.yaml:4:7: prompt.models[1]: the id \"openai/a\" stands here twice"],
            ),
            (
                "    - {id: openai/a, fallback: openai/b}\n",
                vec!["prompt.models[0]: fallback: there is no model \"openai/b\""],
            ),
            ("    - {id: openai/a, fallback: openai/a}\n", vec!["a model cannot stand in for itself"]),
            ("    - {id: gpt}\n", vec!["prompt.models[0].id: expected an id with its namespace"]),
            ("    - {provider: openai}\n", vec!["prompt.models[0].id: is missing"]),
            ("    - {id: openai/a, max_output_tokens: 0}\n", vec!["expected a whole number from 1"]),
            ("    - {id: openai/a, output_bound: n}\n", vec!["expected max_completion_tokens or max_tokens"]),
            ("    - {id: openai/a, tokens: 1}\n", vec!["prompt.models[0].tokens: unknown field"]),
        ];
        for (models, expected) in cases {
            let found = faults(models);
            assert_eq!(found.len(), expected.len(), "{models}: {found:?}");
            for (found, expected) in found.iter().zip(&expected) {
                assert!(found.contains(expected), "{models}: {found}");
            }
        }
    }
}
