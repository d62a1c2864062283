//! One request from its key to its answer, step by step. Each step puts what it learnt into the exchange, so that whatever
//! ends the request, its usage event says how far it came.

use super::{
    attempt::{Asking, Failed, target_of},
    catalog::{Entry, is_entitled},
    on_record,
    question::Question,
    refusal::No,
    reply::Reply,
    surface::{Caller, Surface},
};
use crate::{
    auth::key::{GatewayKey, KeyRecord, Scope},
    base::clock::{self, Duration, Instant},
    exchange::{
        admit::{Asked, Identified, Routed, authenticate, require_scope},
        attribution,
        auth_slots::{self, Presented, Swap},
        exchange::{Exchange, Spent, Surface as ExchangeSurface},
        refusal::{Kind, Refusal},
        relay::Answer,
    },
    masking::{Counts, Masked},
    metering::{
        beside::Finished,
        reading::{Reading, UsageSource},
    },
    providers::provider::AuthSlot,
};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::json;
use std::sync::Arc;
use tokio::{sync::oneshot, time::timeout_at};
use tokio_util::sync::CancellationToken;
use zeroize::{Zeroize as _, Zeroizing};

/// One request on its way.
pub(super) struct Course<'s> {
    surface: &'s Surface,
    exchange: Exchange,
    left: CancellationToken,
    deadline: Instant,
}

/// Why a request ends without an answer.
enum Stop {
    No(No),
    /// The caller has left.
    Left,
}

impl From<No> for Stop {
    fn from(no: No) -> Self {
        Self::No(no)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::No(refusal.into())
    }
}

/// An answer of a provider's.
struct Answered {
    text: Zeroizing<String>,
    by: Arc<Entry>,
    /// Why the first model did not answer, when the fallback did.
    fallback: Option<Failed>,
}

/// What is told at the end.
struct Restored {
    answer: Zeroizing<String>,
    answered: Answered,
    counts: Counts,
    masking: Duration,
    provider: Duration,
    rehydration: Duration,
}

impl<'s> Course<'s> {
    pub(super) fn begin(
        surface: &'s Surface,
        mut exchange: Exchange,
        left: CancellationToken,
        endpoint: &'static str,
    ) -> Self {
        exchange.surface = ExchangeSurface::Prompt;
        exchange.own_endpoint = endpoint;
        Self { surface, exchange, left, deadline: clock::instant() + surface.settings.time_max }
    }

    /// Lists the catalog.
    pub(super) async fn models(mut self, caller: &Caller) -> Reply {
        match self.identify(caller).await {
            Ok(key) => {
                let listing = self.surface.catalog.listing(&key);
                Reply::document(self.exchange, self.left, &listing)
            }
            Err(no) => Reply::refused(self.exchange, self.left, &no),
        }
    }

    /// Answers a prompt.
    pub(super) async fn ask(mut self, caller: &Caller, body: Result<Bytes, Refusal>) -> Reply {
        let wants_stream = accepts_stream(&caller.headers);
        match Box::pin(self.run(caller, body)).await {
            Ok((restored, stream)) if stream || wants_stream => {
                Reply::segments(self.exchange, self.left, restored.answer, &self.surface.settings)
            }
            Ok((restored, _)) => {
                let document = restored.document(clock::instant() - self.exchange.arrival.instant);
                Reply::document(self.exchange, self.left, &document)
            }
            Err(Stop::No(no)) => Reply::refused(self.exchange, self.left, &no),
            Err(Stop::Left) => Reply::unheard(self.exchange, self.left),
        }
    }

    /// The fixed order; gives the answer, and whether a stream was asked for.
    async fn run(&mut self, caller: &Caller, body: Result<Bytes, Refusal>) -> Result<(Restored, bool), Stop> {
        let body = body.inspect_err(|_| self.exchange.caller = self.holder(&caller.headers))?;
        self.exchange.bytes_in = body.len() as u64;
        let key = self.identify(caller).await?;
        if caller.headers.contains_key(header::CONTENT_ENCODING) {
            return Err(No::validation("send the body without a content coding").into());
        }
        let question = Question::parse(&body);
        wipe(body);
        let question = question?;
        let entry = self.surface.catalog.find(&question.model)?;
        self.admit(&entry, &key, &caller.headers)?;
        let began = clock::instant();
        let masked = self.surface.detector.mask(&question.prompt);
        let masking = clock::instant() - began;
        self.exchange.entities = masked.counts.iter().map(|(kind, count)| (kind.name(), count)).collect();
        let stream = question.stream;
        drop(question);
        if let Some(hold) = self.exchange.goes_out() {
            on_record(hold).await;
        }
        let began = clock::instant();
        let answered = self.answered(entry, &key, &masked).await?;
        let provider = clock::instant() - began;
        let began = clock::instant();
        let answer = Zeroizing::new(masked.map.restore(&answered.text));
        let rehydration = clock::instant() - began;
        Ok((Restored { answer, answered, counts: masked.counts, masking, provider, rehydration }, stream))
    }

    /// Whose key it is, and that it may be used here.
    async fn identify(&mut self, caller: &Caller) -> Result<Arc<KeyRecord>, No> {
        let key = key_of(&caller.headers)?;
        let identified = authenticate(&self.surface.gate.keyring, &key, caller.address).await;
        match identified.as_ref().map_err(|refusal| refusal.kind) {
            Ok(key) => self.exchange.caller = Some(Arc::clone(key)),
            Err(Kind::RateLimited) => self.exchange.surface = ExchangeSurface::Flood,
            Err(_) => self.exchange.caller = self.surface.gate.keyring.holder(&key),
        }
        let key = identified?;
        require_scope(&key, Scope::PromptUse)?;
        Ok(key)
    }

    /// Whose key a request carries that was refused before it was looked at, as far as that is known.
    fn holder(&self, headers: &HeaderMap) -> Option<Arc<KeyRecord>> {
        self.surface.gate.keyring.holder(&key_of(headers).ok()?)
    }

    /// Entitlement, limits, budget: the proxy's own check, for the provider and the model that will be asked.
    fn admit(&mut self, entry: &Entry, key: &Arc<KeyRecord>, headers: &HeaderMap) -> Result<(), No> {
        let gate = &self.surface.gate;
        self.turn_to(entry, attribution::tags(headers, &gate.settings.attribution_headers))?;
        let identified = Identified { key: Arc::clone(key), swap: Swap::default() };
        if let (Some(routed), Some(asked)) = (&self.exchange.routed, &self.exchange.asked) {
            self.exchange.admission = Some(gate.admit(routed, identified, asked, self.exchange.arrival.time)?);
        }
        Ok(())
    }

    /// From here on it is this model that is asked.
    fn turn_to(&mut self, entry: &Entry, tags: Vec<(String, String)>) -> Result<(), No> {
        let routes = self.surface.gate.routes.load();
        let internal = |what: String| No::from(Refusal::internal(what));
        let route = routes.find(entry.model.provider.as_str()).cloned();
        let route = route.ok_or_else(|| internal("a model of the catalog has no provider any more".to_owned()))?;
        let target = target_of(entry).map_err(|bad| internal(format!("{}: {bad}", entry.model.id)))?;
        let endpoint = Some(Arc::clone(&entry.recorded));
        self.exchange.routed = Some(Routed { route, target, endpoint, path_model: None, tags });
        self.exchange.asked = Some(Asked {
            model: Some(entry.model.model.clone()),
            max_output_tokens: Some(entry.model.output_tokens_max.into()),
            body_bytes: Some(self.exchange.bytes_in),
            ..Asked::default()
        });
        Ok(())
    }

    /// Asks the provider, until there is an answer, no more time, or no caller.
    async fn answered(&mut self, entry: Arc<Entry>, key: &KeyRecord, masked: &Masked) -> Result<Answered, Stop> {
        let (left, deadline) = (self.left.clone(), self.deadline);
        tokio::select! {
            biased;
            () = left.cancelled() => Err(Stop::Left),
            answered = timeout_at(deadline.into(), Box::pin(self.attempts(entry, key, masked))) => match answered {
                Err(_) => Err(No::gateway_timeout().into()),
                Ok(answered) => Ok(answered?),
            },
        }
    }

    /// The first attempt and, where it fails and there is one, the fallback.
    async fn attempts(&mut self, entry: Arc<Entry>, key: &KeyRecord, masked: &Masked) -> Result<Answered, No> {
        let fallback = self.surface.catalog.fallback_of(&entry).filter(|fallback| is_entitled(fallback, key));
        let attempt_max = self.surface.settings.attempt_max;
        let first = self.attempt(&entry, masked);
        let outcome = if fallback.is_none() {
            first.await
        } else {
            let deadline = clock::instant() + attempt_max;
            let silent = |_| Err(Failed::TimedOut("prompt.attempt_timeout_seconds are over".to_owned()));
            timeout_at(deadline.into(), first).await.unwrap_or_else(silent)
        };
        let failed = match outcome {
            Ok(text) => return Ok(Answered { text, by: entry, fallback: None }),
            Err(failed) => failed,
        };
        let Some(other) = fallback.filter(|_| failed.is_retryable()) else { return Err(failed.into()) };
        self.keep_what_was_spent(&entry).await;
        let tags = self.exchange.routed.take().map(|routed| routed.tags).unwrap_or_default();
        self.turn_to(&other, tags)?;
        self.exchange.attempts.turn_to_another();
        let text = self.attempt(&other, masked).await?;
        Ok(Answered { text, by: other, fallback: Some(failed) })
    }

    async fn attempt(&mut self, entry: &Entry, masked: &Masked) -> Result<Zeroizing<String>, Failed> {
        let surface = self.surface;
        let hint = surface.settings.hint && !masked.map.is_empty();
        let asking = Asking {
            gate: &surface.gate,
            dial: &*surface.dial,
            entry,
            body: entry.wire.request(entry, &masked.text, hint).into(),
            answer_bytes_max: surface.settings.answer_bytes_max,
        };
        asking.ask(&mut self.exchange.attempts, &mut self.exchange.answer).await.map(Zeroizing::new)
    }

    /// An attempt that came to nothing may have cost something all the same.
    async fn keep_what_was_spent(&mut self, entry: &Entry) {
        let Some(answer) = self.exchange.answer.take() else { return };
        let reading = reading_of(answer).await;
        if reading.source != UsageSource::None {
            let (provider, model) = (entry.model.provider.clone(), entry.model.model.clone());
            self.exchange.earlier.push(Spent { provider, model, reading });
        }
    }
}

impl Restored {
    /// Contract §12.
    fn document(&self, total: Duration) -> serde_json::Value {
        let fallback = self.answered.fallback.as_ref();
        let reason = fallback.map_or("not_attempted", Failed::reason);
        let used = fallback.is_some();
        json!({
            "response": *self.answer,
            "model": self.answered.by.model.id,
            "meta": {
                "providerId": self.answered.by.model.provider.as_str(),
                "executionPath": if used { "fallback" } else { "primary" },
                "fallbackUsed": used,
                "timedOut": matches!(fallback, Some(Failed::TimedOut(_))),
                "entitiesDetected": self.counts.total(),
                "latency": {
                    "totalMs": millis(total),
                    "maskingMs": millis(self.masking),
                    "providerMs": millis(self.provider),
                    "rehydrationMs": millis(self.rehydration),
                },
                "fallback": {"used": used, "reason": reason},
            },
        })
    }
}

/// Milliseconds to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The key in `Authorization: Bearer` or `x-api-key`.
fn key_of(headers: &HeaderMap) -> Result<GatewayKey, No> {
    let slots = [AuthSlot::Bearer, AuthSlot::Header("x-api-key".to_owned())];
    let place = "send one gateway key, as `Authorization: Bearer <key>` or `x-api-key: <key>`";
    let no = |outside: &'static str| No::from(Refusal::new(Kind::Unauthorized, outside));
    match auth_slots::present(headers, None, &slots) {
        Presented::Key(text) => GatewayKey::parse(text.expose().as_bytes()).ok_or_else(|| no("this is no gateway key")),
        Presented::Missing | Presented::Misplaced | Presented::Unreadable => Err(no(place)),
    }
}

/// Whether `Accept` names the type of a stream.
fn accepts_stream(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut types = lines.flat_map(|line| line.split(',')).filter_map(|item| item.split(';').next());
    types.any(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The prompt must not stay in memory longer than it is needed.
fn wipe(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.zeroize();
    }
}

async fn reading_of(mut answer: Answer) -> Reading {
    match answer.finish() {
        Finished::Read(reading) => reading,
        Finished::Later(later) => {
            let (sender, receiver) = oneshot::channel();
            later.then(move |reading| drop(sender.send(reading)));
            receiver.await.unwrap_or_default()
        }
    }
}
