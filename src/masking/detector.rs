//! The detector: rules that all organizations share, and what one organization adds.

use super::{
    context::Lexicon,
    custom::Custom,
    kind::{Finding, Rank},
    overlap,
    placeholder::{self, Masked, StableKey},
    plain::plain,
    repeat, scan,
    text::Text,
};
use std::sync::Arc;

/// Finds personal data and secrets. Built once, cheap to clone, safe to share between threads.
#[derive(Clone)]
pub struct Detector {
    lexicon: Arc<Lexicon>,
    custom: Arc<Custom>,
}

/// The rules could not be built; a test builds them, so that this shows before a release.
#[derive(Debug, thiserror::Error)]
#[error("the rules of masking could not be built: {0}")]
pub struct BuildError(String);

impl Detector {
    /// The shared rules.
    pub fn new() -> Result<Self, BuildError> {
        let lexicon = Lexicon::new().map_err(|error| BuildError(error.to_string()))?;
        Ok(Self { lexicon: Arc::new(lexicon), custom: Arc::default() })
    }

    /// The same rules with an organization's own besides.
    #[must_use]
    pub fn with_custom(&self, custom: Arc<Custom>) -> Self {
        Self { lexicon: Arc::clone(&self.lexicon), custom }
    }

    /// What a text holds: by place, without overlaps.
    pub fn find(&self, text: &str) -> Vec<Finding> {
        let plain = plain(text);
        let view = Text::new(&plain);
        let mut found = scan::run(view, self.lexicon.hits(view));
        found.extend(self.custom.find(text).map(|(kind, start, end)| Finding {
            kind,
            start,
            end,
            rank: Rank::Ordered,
        }));
        overlap::settle(found)
    }

    /// The text with a placeholder for each finding, numbered within this text.
    pub fn mask(&self, text: &str) -> Masked {
        placeholder::mask(text, &self.find_everywhere(text), None)
    }

    /// The text with placeholders that stay the same for the same value from text to text, as long as the key does.
    pub fn mask_stable(&self, text: &str, key: &StableKey) -> Masked {
        placeholder::mask(text, &self.find_everywhere(text), Some(key))
    }

    /// What is masked: the findings, and all other places of their values.
    fn find_everywhere(&self, text: &str) -> Vec<Finding> {
        repeat::everywhere(Text::new(text), self.find(text))
    }
}
