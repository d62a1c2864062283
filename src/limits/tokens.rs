//! Tokens a minute: held from an estimate when a request is let in, corrected by what its answer used.

use super::{
    KeyLimits,
    rate::{Pace, Rate, token_nanos},
    states::State,
};
use crate::base::clock::Instant;
use std::sync::Arc;

/// Tokens that go in and out: as they are taken to be, or as they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
}

/// All, in, out: each with a limit of its own.
const MEASURES: usize = 3;

impl Tokens {
    fn measures(self) -> [u64; MEASURES] {
        [self.input.saturating_add(self.output), self.input, self.output]
    }
}

const fn limits_of(limits: &KeyLimits) -> [Option<u32>; MEASURES] {
    [limits.tokens_per_minute, limits.input_tokens_per_minute, limits.output_tokens_per_minute]
}

/// What one key or organization has used up of each.
#[derive(Debug, Default)]
pub(super) struct TokenRates([Rate; MEASURES]);

impl TokenRates {
    pub(super) fn is_refilled(&self, now: u64) -> bool {
        self.0.iter().all(|rate| rate.is_refilled(now))
    }

    /// Whether so many tokens may pass now, without using anything up.
    ///
    /// # Errors
    /// The nanoseconds after which they may, if nothing else passes until then.
    pub(super) fn check(&self, limits: &KeyLimits, tokens: Tokens, now: u64) -> Result<(), u64> {
        self.limited(limits, tokens).try_for_each(|(rate, pace)| rate.check(pace, now))
    }

    fn limited(&self, limits: &KeyLimits, tokens: Tokens) -> impl Iterator<Item = (&Rate, Pace)> {
        let measures = self.0.iter().zip(limits_of(limits)).zip(tokens.measures());
        measures.filter_map(|((rate, limit), tokens)| Some((rate, Pace::of_tokens(tokens, limit?))))
    }
}

/// Tokens that are held of one state.
#[derive(Debug)]
struct Held {
    state: Arc<State>,
    limits: [Option<u32>; MEASURES],
    nanos: [u64; MEASURES],
}

impl Held {
    /// Corrects each measure to what was used.
    fn correct(&mut self, used: Tokens, now: u64) {
        let each = self.state.tokens.0.iter().zip(self.limits).zip(self.nanos).zip(used.measures());
        for (((rate, limit), held), used) in each {
            let Some(per_minute) = limit else { continue };
            let used = token_nanos(used, per_minute);
            if used > held {
                rate.take_more(used - held, now);
            } else {
                rate.give_back(held - used);
            }
        }
        self.limits = [None; MEASURES];
    }
}

/// The tokens that one request holds of its key's limits and its organization's. Corrected once; dropped uncorrected, all of
/// them are given back.
#[derive(Debug)]
#[must_use = "the tokens are given back when the hold is dropped"]
pub struct TokenHold {
    start: Instant,
    held: [Option<Held>; 2],
}

impl TokenHold {
    /// Times are counted from `start`.
    pub(super) const fn new(start: Instant) -> Self {
        Self { start, held: [const { None }; 2] }
    }

    /// Takes tokens of a state.
    ///
    /// # Errors
    /// As [`TokenRates::check`]; then nothing is taken of this state.
    pub(super) fn take(&mut self, state: &Arc<State>, limits: &KeyLimits, tokens: Tokens, now: u64) -> Result<(), u64> {
        let mut held = Held { state: Arc::clone(state), limits: [None; MEASURES], nanos: [0; MEASURES] };
        let places = held.limits.iter_mut().zip(&mut held.nanos);
        let asked = state.tokens.0.iter().zip(limits_of(limits)).zip(tokens.measures());
        for ((place, nanos), ((rate, limit), tokens)) in places.zip(asked) {
            let Some(per_minute) = limit else { continue };
            let pace = Pace::of_tokens(tokens, per_minute);
            if let Err(wait) = rate.take(pace, now) {
                held.correct(Tokens::default(), now);
                return Err(wait);
            }
            (*place, *nanos) = (limit, pace.nanos());
        }
        if let Some(place) = self.held.iter_mut().find(|place| place.is_none()) {
            *place = Some(held);
        }
        Ok(())
    }

    /// What the answer used takes the place of what was held for it.
    pub fn correct(mut self, used: Tokens, now: Instant) {
        self.end(used, now.saturating_duration_since(self.start).as_nanos());
    }

    fn end(&mut self, used: Tokens, now: u128) {
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.held.iter_mut().filter_map(Option::take).for_each(|mut held| held.correct(used, now));
    }
}

impl Drop for TokenHold {
    fn drop(&mut self) {
        self.end(Tokens::default(), 0);
    }
}
