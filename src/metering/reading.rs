//! A reading: what one answer used, in disjoint units.

/// Where the figures come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageSource {
    /// Nothing was reported and nothing could be estimated.
    #[default]
    None,
    /// The provider's own figures.
    Provider,
    /// Estimated by us because the provider reported none.
    Estimated,
}

impl UsageSource {
    /// `none`, `provider` or `estimated`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Provider => "provider",
            Self::Estimated => "estimated",
        }
    }
}

/// Token counts in disjoint classes, so that cost = Σ class × price.
/// `reasoning` alone is informative: it says how much of `output` was reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Text read at the full price: without cached, cache-write, audio and image tokens.
    pub input: u64,
    pub cached_input: u64,
    /// Cache writes that live up to 30 minutes.
    pub cache_write_5m: u64,
    /// Cache writes that live longer.
    pub cache_write_1h: u64,
    /// All text written, reasoning included; without audio and image tokens.
    pub output: u64,
    /// How much of `output` was reasoning.
    pub reasoning: u64,
    pub audio_input: u64,
    pub audio_output: u64,
    pub image_input: u64,
    pub image_output: u64,
}

impl Tokens {
    /// All that was put in, whatever its class: what context tiers go by.
    pub fn input_all(&self) -> u64 {
        [self.cached_input, self.cache_write_5m, self.cache_write_1h, self.audio_input, self.image_input]
            .into_iter()
            .fold(self.input, u64::saturating_add)
    }

    /// All that came out, whatever its class.
    pub fn output_all(&self) -> u64 {
        self.output.saturating_add(self.audio_output).saturating_add(self.image_output)
    }

    /// Adds others, class by class.
    pub fn add(&mut self, more: &Self) {
        for (sum, more) in [
            (&mut self.input, more.input),
            (&mut self.cached_input, more.cached_input),
            (&mut self.cache_write_5m, more.cache_write_5m),
            (&mut self.cache_write_1h, more.cache_write_1h),
            (&mut self.output, more.output),
            (&mut self.reasoning, more.reasoning),
            (&mut self.audio_input, more.audio_input),
            (&mut self.audio_output, more.audio_output),
            (&mut self.image_input, more.image_input),
            (&mut self.image_output, more.image_output),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Units that are no tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Units {
    pub images: u64,
    /// Whole milliseconds of audio or video; shown as seconds.
    pub millis: u64,
    pub characters: u64,
    pub searches: u64,
    pub requests: u64,
}

impl Units {
    /// Adds others, unit by unit.
    pub fn add(&mut self, more: &Self) {
        for (sum, more) in [
            (&mut self.images, more.images),
            (&mut self.millis, more.millis),
            (&mut self.characters, more.characters),
            (&mut self.searches, more.searches),
            (&mut self.requests, more.requests),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Part of an answer that has a price of its own: a response among several, or what another model did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Which model it was; `None` when it is not told.
    pub model: Option<String>,
    /// It was another model than the one that was asked for.
    pub is_aside: bool,
    pub service_tier: Option<String>,
    pub tokens: Tokens,
    pub units: Units,
    /// The largest input of the requests that are summed here: what context tiers go by.
    pub input_largest: u64,
}

/// What one answer used, as its meter read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// All of it, parts included.
    pub tokens: Tokens,
    pub units: Units,
    /// The parts, where they are not all priced alike; empty where the answer is one.
    pub parts: Vec<Part>,
    pub source: UsageSource,
    /// The model that answered, when the answer names one.
    pub model_served: Option<String>,
    /// The service tier that the answer reports (`default`, `flex`, `priority`, `batch`, …).
    pub service_tier: Option<String>,
    /// The id that the provider gave the answer in its body.
    pub provider_response_id: Option<String>,
    /// The answer held an error although its status said success, or broke off before its end.
    pub stream_error: bool,
    /// The answer's own end was seen (`[DONE]`, `message_stop`, a whole JSON body).
    pub complete: bool,
}
