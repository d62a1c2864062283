//! What operators choose of the security gateway.

use crate::base::{clock::Duration, ids::ProviderName};

/// The catalog, and bounds on one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The models that callers may ask for.
    pub models: Vec<Model>,
    /// The longest time of one request, both attempts included.
    pub time_max: Duration,
    /// The longest time of the first attempt where there is a fallback.
    pub attempt_max: Duration,
    /// The largest answer that is taken from a provider.
    pub answer_bytes_max: usize,
    /// Tells the model to keep placeholders as they are, where there are some.
    pub hint: bool,
    /// A streamed answer is cut into pieces of about so many bytes …
    pub segment_bytes: usize,
    /// … with this pause between two.
    pub segment_pause: Duration,
}

/// One model of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// What callers ask for: `openai/gpt-5.4-mini`.
    pub id: String,
    /// A provider of providers.yaml.
    pub provider: ProviderName,
    /// What the provider calls it.
    pub model: String,
    /// The bound on output that is sent along.
    pub output_tokens_max: u32,
    /// The member that bounds output in `OpenAI`'s protocol; `None` takes the dialect's.
    pub bound_member: Option<BoundMember>,
    pub enabled: bool,
    /// The model that is asked when this one fails.
    pub fallback: Option<String>,
}

/// What `OpenAI`'s protocol calls the bound on output: the first name is newer, the second is what most others take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundMember {
    MaxCompletionTokens,
    MaxTokens,
}

/// The bound on output where the catalog says nothing.
pub const OUTPUT_TOKENS_MAX: u32 = 4096;

impl Model {
    fn shipped(provider: &str, model: &str, fallback: Option<&str>) -> Self {
        Self {
            id: format!("{provider}/{model}"),
            provider: ProviderName::new(provider),
            model: model.to_owned(),
            output_tokens_max: OUTPUT_TOKENS_MAX,
            bound_member: None,
            enabled: true,
            fallback: fallback.map(str::to_owned),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            models: vec![
                Model::shipped("openai", "gpt-5.4", None),
                Model::shipped("openai", "gpt-5.4-mini", None),
                Model::shipped("openai", "gpt-4o-mini", None),
                Model::shipped("anthropic", "claude-sonnet-5-5", None),
                Model::shipped("anthropic", "claude-haiku-5-5", None),
                Model::shipped("google", "gemini-3.8-flash", None),
            ],
            time_max: Duration::from_mins(2),
            attempt_max: Duration::from_mins(1),
            answer_bytes_max: 4 * 1024 * 1024,
            hint: true,
            segment_bytes: 48,
            segment_pause: Duration::ZERO,
        }
    }
}
