//! The classes of usage that have a price: how each is named, counted, priced, and which price stands in
//! where a row names none.
//!
//! `reasoning` is no class: it is inside `output`.

use super::book::{Pico, Prices};
use crate::metering::reading::Reading;

/// One class of usage, in the order in which a charge lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Input,
    CachedInput,
    CacheWrite5m,
    CacheWrite1h,
    Output,
    AudioInput,
    AudioOutput,
    ImageInput,
    ImageOutput,
    Images,
    Seconds,
    Characters,
    Searches,
    Requests,
}

impl Class {
    pub(super) const ALL: [Self; 14] = [
        Self::Input,
        Self::CachedInput,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::Output,
        Self::AudioInput,
        Self::AudioOutput,
        Self::ImageInput,
        Self::ImageOutput,
        Self::Images,
        Self::Seconds,
        Self::Characters,
        Self::Searches,
        Self::Requests,
    ];

    /// As the contract names it in a usage record.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CachedInput => "cached_input",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
            Self::AudioInput => "audio_input",
            Self::AudioOutput => "audio_output",
            Self::ImageInput => "image_input",
            Self::ImageOutput => "image_output",
            Self::Images => "images",
            Self::Seconds => "seconds",
            Self::Characters => "characters",
            Self::Searches => "searches",
            Self::Requests => "requests",
        }
    }

    /// The class whose price stands in where a row names none for this one.
    pub(super) const fn stand_in(self) -> Option<Self> {
        match self {
            Self::CachedInput | Self::CacheWrite5m | Self::AudioInput | Self::ImageInput => Some(Self::Input),
            Self::CacheWrite1h => Some(Self::CacheWrite5m),
            Self::AudioOutput | Self::ImageOutput => Some(Self::Output),
            Self::Input
            | Self::Output
            | Self::Images
            | Self::Seconds
            | Self::Characters
            | Self::Searches
            | Self::Requests => None,
        }
    }

    /// Whether its unit is a token.
    pub(super) const fn is_of_tokens(self) -> bool {
        !matches!(self, Self::Images | Self::Seconds | Self::Characters | Self::Searches | Self::Requests)
    }

    /// Whether it measures an answer that tokens or another unit may measure as well. A row charges by one of them
    /// and leaves the others out on purpose.
    pub(super) const fn is_another_measure(self) -> bool {
        matches!(self, Self::Images | Self::Seconds | Self::Characters | Self::Requests)
    }

    /// The price of one unit of it, where these prices name one.
    pub(super) const fn price(self, prices: &Prices) -> Option<Pico> {
        match self {
            Self::Input => prices.input,
            Self::CachedInput => prices.cached_input,
            Self::CacheWrite5m => prices.cache_write_5m,
            Self::CacheWrite1h => prices.cache_write_1h,
            Self::Output => prices.output,
            Self::AudioInput => prices.audio_input,
            Self::AudioOutput => prices.audio_output,
            Self::ImageInput => prices.image_input,
            Self::ImageOutput => prices.image_output,
            Self::Images => prices.image,
            Self::Seconds => prices.second,
            Self::Characters => prices.character,
            Self::Searches => prices.search,
            Self::Requests => prices.request,
        }
    }

    /// How much of it was used, in thousandths of its unit: seconds are counted in milliseconds.
    pub(super) fn thousandths_used(self, reading: &Reading) -> i128 {
        let (tokens, units) = (&reading.tokens, &reading.units);
        let whole = match self {
            Self::Seconds => return i128::from(units.millis),
            Self::Input => tokens.input,
            Self::CachedInput => tokens.cached_input,
            Self::CacheWrite5m => tokens.cache_write_5m,
            Self::CacheWrite1h => tokens.cache_write_1h,
            Self::Output => tokens.output,
            Self::AudioInput => tokens.audio_input,
            Self::AudioOutput => tokens.audio_output,
            Self::ImageInput => tokens.image_input,
            Self::ImageOutput => tokens.image_output,
            Self::Images => units.images,
            Self::Characters => units.characters,
            Self::Searches => units.searches,
            Self::Requests => units.requests,
        };
        // At most 2^64 × 1000: far from what an i128 holds.
        i128::from(whole) * 1000
    }
}

/// All tokens that the request put in, whatever their class: what context tiers go by.
pub(super) fn input_tokens(reading: &Reading) -> u64 {
    let tokens = &reading.tokens;
    [tokens.cached_input, tokens.cache_write_5m, tokens.cache_write_1h, tokens.audio_input, tokens.image_input]
        .into_iter()
        .fold(tokens.input, u64::saturating_add)
}
