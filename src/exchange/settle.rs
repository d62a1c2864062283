//! The last line of every exchange: reading → charge → what was set aside is settled → one usage event → queue, and one access
//! log line. Never waits.

use super::{
    admit::Holds,
    exchange::{Ending, Exchange, Spent, Surface},
};
use crate::{
    auth::key::{Environment, contains_gateway_key},
    base::clock::{self, Instant},
    metering::reading::{Reading, Tokens, UsageSource},
    pricing::{
        book::PriceBook,
        charge::{Charge, charge},
    },
    providers::provider::EndpointKind,
    telemetry::{
        logs::{AccessLine, AccessLog},
        metrics::METRICS,
    },
    usage::{
        event::UsageEvent,
        queue::EventQueue,
        spool::hold::{self, Hold, Release},
    },
};
use arc_swap::ArcSwap;
use std::{borrow::Cow, sync::Arc};

/// Model names longer than this are cut in records.
const MODEL_CHARS_MAX: usize = 256;
/// Of a request's body, for what is expected before its answer.
const BYTES_PER_TOKEN: u64 = 4;

/// What is open until an exchange is settled: money and tokens that are set aside, and who waits for its record.
pub(super) type Open = (Holds, Option<Release>);

/// What the end of an exchange needs.
pub struct Settlement {
    pub prices: Arc<ArcSwap<PriceBook>>,
    pub queue: EventQueue,
    /// What goes out waits until it is on record.
    pub durable: bool,
    /// One log line an exchange.
    pub access_log: Option<AccessLog>,
}

impl Settlement {
    /// Counts an exchange that begins.
    pub fn opened(&self) {
        METRICS.exchanges_open.inc();
    }

    /// Makes the usage event and hands it on. Only then does the exchange count as ended: a process that drains closes
    /// the queue when none is open.
    pub fn settle(&self, exchange: &Exchange, reading: &Reading, end: Instant, (holds, release): Open) {
        let event = event_of(exchange, reading, charge_of(exchange, reading, &self.prices.load()), end);
        if event.charge.price_version.is_empty() && reading.source != UsageSource::None {
            METRICS.unpriced_total.inc();
        }
        holds.settle(event.charge.cost, &event.tokens, end);
        let class = status_class(event.status);
        METRICS.exchanges_total.with_label_values(&[provider_label(exchange), class]).inc();
        if let Some(log) = &self.access_log {
            log.write(access_line(exchange, &event));
        }
        if matches!(exchange.surface, Surface::Proxy | Surface::Prompt) {
            self.queue.end(&event, exchange.has_intent, release);
        }
        METRICS.exchanges_open.dec();
    }

    /// Notes the event that an exchange has if the gateway ends before it. True when there was room.
    pub(super) fn begin(&self, exchange: &Exchange, release: Option<Release>) -> bool {
        let reading = expected(exchange);
        let charge = charge_of(exchange, &reading, &self.prices.load());
        self.queue.begin(&event_of(exchange, &reading, charge, exchange.arrival.instant), release)
    }

    /// A hold, where records must be durable.
    pub(super) fn hold(&self) -> Option<(Hold, Release)> {
        self.durable.then(hold::hold)
    }
}

/// What a request that has been admitted is taken to use if nothing more is heard of it: what its size says, and the bound
/// that it sets on output.
fn expected(exchange: &Exchange) -> Reading {
    let endpoint = exchange.routed.as_ref().and_then(|routed| routed.endpoint.as_ref());
    if endpoint.is_none_or(|endpoint| endpoint.kind != EndpointKind::Inference) {
        return Reading::default();
    }
    let bound = exchange.asked.as_ref().and_then(|asked| Some((asked.max_output_tokens?, asked.choices.unwrap_or(1))));
    let output = bound.map_or(0, |(tokens, answers)| tokens.saturating_mul(answers.max(1)));
    let input = exchange.bytes_in.div_ceil(BYTES_PER_TOKEN);
    let tokens = Tokens { input, output, ..Tokens::default() };
    Reading { tokens, source: UsageSource::Estimated, ..Reading::default() }
}

/// Computes the event from what the stages know; no stage ever writes into a half-made event.
fn event_of<'a>(exchange: &'a Exchange, reading: &'a Reading, charge: Charge, end: Instant) -> UsageEvent<'a> {
    let (arrival, answer) = (&exchange.arrival, exchange.answer.as_ref());
    let routed = exchange.routed.as_ref();
    let caller = exchange.caller.as_deref();
    let provider = routed.map(|routed| routed.route.provider.name.as_str()).unwrap_or_default();
    let model_requested = model_requested(exchange);
    let (mut tokens, mut units, mut usage_source) = (reading.tokens, reading.units, reading.source);
    for Spent { reading, .. } in &exchange.earlier {
        tokens.add(&reading.tokens);
        units.add(&reading.units);
        if usage_source == UsageSource::None {
            usage_source = reading.source;
        }
    }
    let since_arrival = |at: Instant| clock::millis_u32(at.saturating_duration_since(arrival.instant));
    UsageEvent {
        request_id: arrival.id,
        time: arrival.time,
        organization_id: caller.map(|key| Cow::Borrowed(&key.organization_id)),
        key_id: caller.map(|key| Cow::Borrowed(&key.id)),
        key_prefix: caller.map(|key| key.key_prefix.as_str()).unwrap_or_default().into(),
        environment: caller.map_or(Environment::Live, |key| key.environment),
        provider: provider.into(),
        endpoint: routed.and_then(|routed| routed.endpoint_name()).unwrap_or(exchange.own_endpoint).into(),
        method: exchange.method.as_str().into(),
        model_requested,
        model_served: recorded(reading.model_served.as_deref().unwrap_or_default()),
        status: exchange.status,
        error_type: error_type(exchange.ending, answer.map_or(0, |answer| answer.status), reading).into(),
        streamed: answer.is_some_and(|answer| answer.streamed),
        attempts: exchange.attempts.count(),
        latency_ms: since_arrival(end),
        ttft_ms: answer.and_then(|answer| answer.first_byte).map(|at| since_arrival(at).max(1)).unwrap_or_default(),
        bytes_in: exchange.bytes_in,
        bytes_out: answer.map_or(0, |answer| answer.bytes_out),
        tokens,
        units,
        usage_source,
        service_tier: recorded(reading.service_tier.as_deref().unwrap_or_default()),
        charge,
        provider_request_id: answer
            .map(|answer| answer.provider_request_id.as_str())
            .filter(|id| !id.is_empty())
            .or(reading.provider_response_id.as_deref())
            .unwrap_or_default()
            .into(),
        tags: routed.map(|routed| routed.tags.as_slice()).unwrap_or_default().into(),
        entities: exchange.entities.as_slice().into(),
    }
}

fn model_requested(exchange: &Exchange) -> Cow<'_, str> {
    recorded(exchange.asked.as_ref().and_then(|asked| asked.model.as_deref()).unwrap_or_default())
}

/// What the answer cost, and what attempts before it did.
fn charge_of(exchange: &Exchange, reading: &Reading, prices: &PriceBook) -> Charge {
    let provider = exchange.routed.as_ref().map(|routed| routed.route.provider.name.as_str()).unwrap_or_default();
    let charge_of = |reading: &Reading, provider: &str, model: &str| match reading.source {
        UsageSource::None => Charge::default(),
        _ => charge(prices, reading, provider, model, exchange.arrival.time),
    };
    let mut sum = charge_of(reading, provider, &model_requested(exchange));
    for Spent { provider, model, reading } in &exchange.earlier {
        sum.add(charge_of(reading, provider.as_str(), model));
    }
    sum
}

/// Contract §10's `error_type`.
fn error_type(ending: Ending, answer_status: u16, reading: &Reading) -> &'static str {
    match ending {
        Ending::Refused(kind) => kind.as_str(),
        Ending::RefusedAs(code) => code,
        Ending::CallerGone => "caller_gone",
        Ending::ProviderCut => "provider_cut",
        Ending::CutShort => "gateway_crash",
        Ending::Answered if answer_status >= 400 || reading.stream_error => "provider_error",
        Ending::Answered => "",
    }
}

/// Caller-given text as records may hold it: bounded, and never a key that was put in the wrong place.
fn recorded(text: &str) -> Cow<'_, str> {
    if contains_gateway_key(text.as_bytes()) {
        return "[redacted]".into();
    }
    if text.len() <= MODEL_CHARS_MAX { text.into() } else { text.chars().take(MODEL_CHARS_MAX).collect() }
}

/// A closed set of label values: configured providers, our own surface, or neither.
fn provider_label(exchange: &Exchange) -> &str {
    match (&exchange.routed, exchange.surface) {
        (Some(routed), _) => routed.route.provider.name.as_str(),
        (None, Surface::Own) => "gateway",
        (None, _) => "none",
    }
}

fn status_class(status: u16) -> &'static str {
    match status {
        0 => "none",
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

fn access_line(exchange: &Exchange, event: &UsageEvent<'_>) -> AccessLine {
    AccessLine::at(event.time.plus_millis(i64::from(event.latency_ms)))
        .text("request_id", event.request_id.as_str())
        .text("organization", event.organization_id.as_ref().map_or("", |id| id.as_str()))
        .text("key", &event.key_prefix)
        .text("provider", provider_label(exchange))
        .text("endpoint", &event.endpoint)
        .text("method", &event.method)
        .text("model", &event.model_requested)
        .number("status", event.status.into())
        .text("error_type", &event.error_type)
        .text("inside", exchange.inside.as_deref().unwrap_or_default())
        .number("latency_ms", event.latency_ms.into())
        .number("ttft_ms", event.ttft_ms.into())
        .number("bytes_in", event.bytes_in)
        .number("bytes_out", event.bytes_out)
        .number("attempts", event.attempts.into())
        .text("cost_usd", &event.charge.cost.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::refusal::Kind;

    #[test]
    fn every_ending_has_its_error_type() {
        let fine = Reading::default();
        let broken = Reading { stream_error: true, ..Reading::default() };
        for (ending, status, reading, expected) in [
            (Ending::Answered, 200, &fine, ""),
            (Ending::Answered, 302, &fine, ""),
            (Ending::Answered, 200, &broken, "provider_error"),
            (Ending::Answered, 429, &fine, "provider_error"),
            (Ending::Refused(Kind::RateLimited), 0, &fine, "rate_limited"),
            (Ending::Refused(Kind::ProviderTimeout), 0, &fine, "provider_timeout"),
            (Ending::RefusedAs("validation"), 0, &fine, "validation"),
            (Ending::CallerGone, 200, &fine, "caller_gone"),
            (Ending::ProviderCut, 200, &fine, "provider_cut"),
            (Ending::CutShort, 200, &fine, "gateway_crash"),
        ] {
            assert_eq!(error_type(ending, status, reading), expected, "{ending:?} {status}");
        }
    }

    #[test]
    fn a_key_in_the_place_of_a_model_is_not_recorded() {
        let key = format!("gw_live_{}", "0123456789abcdef".repeat(3));
        assert_eq!(recorded(&format!("gpt-{key}")), "[redacted]");
        assert_eq!(recorded("gpt-5.4"), "gpt-5.4");
        assert_eq!(recorded(&"ä".repeat(1000)).chars().count(), MODEL_CHARS_MAX);
    }
}
