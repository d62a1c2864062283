//! One request and its answer. Settles itself once, however it ends: `Drop` is the last line of every ending,
//! a panic and a shutdown included, so permits return and exactly one usage event is made.

use super::{
    admit::{Admission, Asked, Holds, Routed},
    arrive::Arrival,
    choose::Attempts,
    refusal::{Kind, Refusal},
    relay::Answer,
    settle::Settlement,
};
use crate::{
    auth::key::KeyRecord,
    base::{clock, ids::ProviderName},
    metering::{beside::Finished, reading::Reading},
    usage::spool::hold::{Hold, Release},
};
use http::Method;
use std::sync::Arc;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The whole answer was relayed.
    Answered,
    /// We answered ourselves.
    Refused(Kind),
    /// Likewise, on a surface that has codes of its own.
    RefusedAs(&'static str),
    /// The caller went away before the end.
    CallerGone,
    /// The provider's answer broke off after it had begun.
    ProviderCut,
    /// Nobody said how: a panic, or a shutdown that could wait no longer.
    CutShort,
}

/// What surface the request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Not known: the request was refused before it was routed.
    Unrouted,
    /// The provider proxy: makes a usage event.
    Proxy,
    /// The security gateway: makes a usage event.
    Prompt,
    /// An endpoint of our own: makes an access log line, no usage event.
    Own,
    /// The proxy or the security gateway, refused by the flood guard: counted in a metric alone, so that strangers cannot fill a disk.
    Flood,
}

/// What an attempt used that came to nothing: another one took its place.
#[derive(Debug, Clone)]
pub struct Spent {
    pub provider: ProviderName,
    pub model: String,
    pub reading: Reading,
}

/// One request and its answer, as far as it has come. Each stage puts in the value that it makes.
pub struct Exchange {
    pub arrival: Arrival,
    pub method: Method,
    pub surface: Surface,
    /// What the endpoint is called where it is none of a provider's.
    pub own_endpoint: &'static str,
    /// Which provider and endpoint, once the target is known.
    pub routed: Option<Routed>,
    /// Whose key it was, once it is identified; also of one that is revoked or expired.
    pub caller: Option<Arc<KeyRecord>>,
    /// What was asked for, once the request is read that far.
    pub asked: Option<Asked>,
    pub admission: Option<Admission>,
    pub attempts: Attempts,
    pub answer: Option<Answer>,
    /// What attempts before the one that `answer` is of have used.
    pub earlier: Vec<Spent>,
    /// How many findings of each kind were masked.
    pub entities: Vec<(&'static str, u32)>,
    pub ending: Ending,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// The status that the caller got; 0 before any.
    pub status: u16,
    /// What only the log may say about the ending.
    pub inside: Option<String>,
    /// What is to be recorded if nothing more is heard of it is noted.
    pub(super) has_intent: bool,
    /// `None` once it is settled, or will be.
    settlement: Option<Arc<Settlement>>,
}

impl Exchange {
    /// A new exchange, from this moment on.
    pub fn begin(settlement: Arc<Settlement>) -> Self {
        settlement.opened();
        Self {
            arrival: Arrival::now(),
            method: Method::GET,
            surface: Surface::Unrouted,
            own_endpoint: "",
            routed: None,
            caller: None,
            asked: None,
            admission: None,
            attempts: Attempts::default(),
            answer: None,
            earlier: Vec::new(),
            entities: Vec::new(),
            ending: Ending::CutShort,
            bytes_in: 0,
            status: 0,
            inside: None,
            has_intent: false,
            settlement: Some(settlement),
        }
    }

    /// Notes what is to be recorded if nothing more is heard of this exchange: it goes to the provider next. Where records
    /// must be durable, that has to wait for the hold.
    pub fn goes_out(&mut self) -> Option<Hold> {
        let settlement = self.settlement.as_ref()?;
        let (hold, release) = settlement.hold().unzip();
        self.has_intent = settlement.begin(self, release);
        hold
    }

    /// The whole answer has come. Where records must be durable it is recorded now, and its end has to wait for the hold;
    /// else when the exchange is dropped.
    pub fn has_answer(&mut self) -> Option<Hold> {
        let (hold, release) = self.settlement.as_ref()?.hold()?;
        self.ending = Ending::Answered;
        self.settle(Some(release));
        Some(hold)
    }

    fn settle(&mut self, release: Option<Release>) {
        let Some(settlement) = self.settlement.take() else { return };
        let (end, holds) = (clock::instant(), self.take_holds());
        let settle =
            move |exchange: &Self, reading: &Reading| settlement.settle(exchange, reading, end, (holds, release));
        match self.answer.as_mut().map(Answer::finish) {
            None => settle(self, &Reading::default()),
            Some(Finished::Read(reading)) => settle(self, &reading),
            Some(Finished::Later(later)) => {
                let remains = self.remains();
                later.then(move |reading| settle(&remains, &reading));
            }
        }
    }

    /// What its records need, for when they are made later; the permit stays, and so returns at once; what is
    /// set aside is settled with what was used.
    fn remains(&mut self) -> Self {
        Self {
            arrival: self.arrival,
            method: std::mem::take(&mut self.method),
            surface: self.surface,
            own_endpoint: self.own_endpoint,
            routed: self.routed.take(),
            caller: self.caller.take(),
            asked: self.asked.take(),
            admission: None,
            attempts: std::mem::take(&mut self.attempts),
            answer: self.answer.take(),
            earlier: std::mem::take(&mut self.earlier),
            entities: std::mem::take(&mut self.entities),
            ending: self.ending,
            bytes_in: self.bytes_in,
            status: self.status,
            inside: self.inside.take(),
            has_intent: self.has_intent,
            settlement: None,
        }
    }

    /// Gives the exchange to a surface that goes on with it and settles it. What stays here knows its arrival alone, and
    /// settles nothing.
    #[must_use]
    pub fn hand_over(&mut self) -> Self {
        let mut given = self.remains();
        given.admission = self.admission.take();
        given.settlement = self.settlement.take();
        given
    }

    /// What is set aside for it, so that it can be settled.
    fn take_holds(&mut self) -> Holds {
        self.admission.as_mut().map(|admission| std::mem::take(&mut admission.holds)).unwrap_or_default()
    }

    /// Notes that we answered ourselves.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.ending = Ending::Refused(refusal.kind);
        self.status = refusal.kind.status();
        self.inside.clone_from(&refusal.inside);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.settle(None);
    }
}
