//! The limits of all keys and organizations: whether a request may go on now, and if not, when it will.
//!
//! The limits come with each request, so changed ones take effect at once. What is refused by one limit uses nothing up of the others:
//! all are looked at first; then what can be given back is taken before what cannot, and is given back when a race is lost.

use super::{
    KeyLimits,
    concurrency::Permit,
    rate::{Pace, retry_after_seconds},
    states::{State, States},
    tokens::{TokenHold, Tokens},
};
use crate::{
    base::{
        clock::Instant,
        ids::{KeyId, OrganizationId},
    },
    telemetry::metrics::METRICS,
};
use std::{fmt, sync::Arc};

/// Which limit a request was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests a second.
    Rate,
    /// Requests in flight at once.
    Concurrency,
    /// Tokens a minute.
    Tokens,
}

/// Whose limit it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Key,
    Organization,
}

impl Limit {
    /// `rate`, `concurrency` or `tokens`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
            Self::Tokens => "tokens",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Organization => "organization",
        })
    }
}

/// A request that is over a limit. It used nothing up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the {whose}'s {limit} limit: try again in {retry_after_seconds} s")]
pub struct LimitExceeded {
    pub limit: Limit,
    pub whose: Whose,
    /// At least 1. For rates, a request after that time passes if no other does before. For concurrency nobody can know when
    /// a place becomes free: 1.
    pub retry_after_seconds: u32,
}

/// Whose limits a request counts against, and what they are.
#[derive(Debug, Clone, Copy)]
pub struct Entrant<'a> {
    pub key: &'a KeyId,
    pub limits: &'a KeyLimits,
    pub organization: &'a OrganizationId,
    pub organization_limits: &'a KeyLimits,
}

/// What a request that was let in holds until it ends.
#[derive(Debug)]
#[must_use = "what it holds is given back when it is dropped"]
pub struct Entry {
    /// To be corrected with what the answer used; `None` where no limit counts tokens.
    pub tokens: Option<TokenHold>,
    _key: Permit,
    _organization: Option<Permit>,
}

/// The limits of all keys and organizations of this instance.
#[derive(Debug)]
pub struct Limiters {
    /// Times are counted from here.
    start: Instant,
    keys: States<KeyId>,
    organizations: States<OrganizationId>,
}

impl Limiters {
    /// Nothing used up yet. `start` is any time that is not after the first request.
    pub fn new(start: Instant) -> Self {
        Self { start, keys: States::default(), organizations: States::default() }
    }

    /// Lets one request in that is taken to use so many tokens, or says why not.
    ///
    /// # Errors
    /// The limit that the request is over, and when to try again.
    pub fn enter(&self, entrant: &Entrant<'_>, tokens: Tokens, now: Instant) -> Result<Entry, LimitExceeded> {
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let key = Ask { state: self.keys.state(entrant.key, now), limits: entrant.limits, whose: Whose::Key };
        let limits = entrant.organization_limits;
        let organization = (!limits.is_none()).then(|| Ask {
            state: self.organizations.state(entrant.organization, now),
            limits,
            whose: Whose::Organization,
        });
        let entered = self.admit(&key, organization.as_ref(), tokens, now);
        if let Err(exceeded) = &entered {
            METRICS.limited_total.with_label_values(&[exceeded.limit.as_str()]).inc();
        }
        entered
    }

    /// How many requests of all keys are in flight. Walks over all states: for tests.
    pub fn in_flight(&self) -> u64 {
        self.keys.in_flight()
    }

    /// How many keys have a state.
    pub fn keys_held(&self) -> usize {
        self.keys.count()
    }

    fn admit(
        &self,
        key: &Ask<'_>,
        organization: Option<&Ask<'_>>,
        tokens: Tokens,
        now: u64,
    ) -> Result<Entry, LimitExceeded> {
        let both = || std::iter::once(key).chain(organization);
        // First looked at, so that a request that is over a limit holds nothing of the others; one that loses the last of
        // it to another request does, for an instant.
        both().try_for_each(|ask| ask.check(tokens, now))?;
        let (key_permit, organization_permit) = (key.permit()?, organization.map(Ask::permit).transpose()?);
        let mut held = both().any(|ask| ask.limits.has_tokens()).then(|| TokenHold::new(self.start));
        if let Some(held) = &mut held {
            both().filter(|ask| ask.limits.has_tokens()).try_for_each(|ask| ask.take_tokens(held, tokens, now))?;
        }
        key.take_rate(now)?;
        if let Some(organization) = organization {
            organization.take_rate(now).inspect_err(|_| key.give_rate_back())?;
        }
        Ok(Entry { tokens: held, _key: key_permit, _organization: organization_permit })
    }
}

/// One request at one state.
struct Ask<'a> {
    state: Arc<State>,
    limits: &'a KeyLimits,
    whose: Whose,
}

impl Ask<'_> {
    fn over(&self, limit: Limit, wait: u64) -> LimitExceeded {
        LimitExceeded { limit, whose: self.whose, retry_after_seconds: retry_after_seconds(wait) }
    }

    fn check(&self, tokens: Tokens, now: u64) -> Result<(), LimitExceeded> {
        if let Some(pace) = Pace::of(self.limits) {
            self.state.rate.check(pace, now).map_err(|wait| self.over(Limit::Rate, wait))?;
        }
        if self.limits.has_tokens() {
            let checked = self.state.tokens.check(self.limits, tokens, now);
            checked.map_err(|wait| self.over(Limit::Tokens, wait))?;
        }
        Ok(())
    }

    fn permit(&self) -> Result<Permit, LimitExceeded> {
        let at_most = self.limits.concurrent_requests.unwrap_or(u32::MAX);
        Permit::acquire(Arc::clone(&self.state), at_most).ok_or_else(|| self.over(Limit::Concurrency, 1))
    }

    fn take_tokens(&self, held: &mut TokenHold, tokens: Tokens, now: u64) -> Result<(), LimitExceeded> {
        held.take(&self.state, self.limits, tokens, now).map_err(|wait| self.over(Limit::Tokens, wait))
    }

    fn take_rate(&self, now: u64) -> Result<(), LimitExceeded> {
        let Some(pace) = Pace::of(self.limits) else { return Ok(()) };
        self.state.rate.take(pace, now).map_err(|wait| self.over(Limit::Rate, wait))
    }

    fn give_rate_back(&self) {
        if let Some(pace) = Pace::of(self.limits) {
            self.state.rate.give_back(pace.nanos());
        }
    }
}

#[cfg(test)]
mod tests;
