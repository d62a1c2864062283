//! How many events a second reach the disk, and what an exchange pays for its intent and its event.
//!
//! `cargo bench --bench spool [-- FOLDER]`: the folder of the spool, on the disk that is to be measured; a temporary one without.

use sociaro_gateway::{
    auth::key::Environment,
    base::{
        clock,
        ids::{KeyId, OrganizationId, RequestId},
        money::Money,
    },
    metering::reading::{Tokens, Units, UsageSource},
    pricing::charge::Charge,
    telemetry::metrics::METRICS,
    usage::{
        event::UsageEvent,
        queue::EventQueue,
        settings::{Settings, Spool},
        shipper::{Fault, Sink},
        source::Batch,
        spool,
    },
};
use std::{
    borrow::Cow,
    io::{Write, stdout},
    path::PathBuf,
    thread,
    time::Duration,
};

const EVENTS: u64 = 400_000;
const THREADS: u64 = 2;
/// So many may be ahead of the disk.
const AHEAD_MAX: u64 = 20_000;

/// Nothing is shipped here.
struct Nowhere;

impl Sink for Nowhere {
    async fn prepare(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn store(&mut self, _batch: &Batch) -> Result<(), Fault> {
        Ok(())
    }
}

fn main() -> std::io::Result<()> {
    let temporary = tempfile::tempdir()?;
    let given = std::env::args().skip(1).find(|word| !word.starts_with("--")).map(PathBuf::from);
    let folder = given.unwrap_or_else(|| temporary.path().join("spool"));
    let settings = Settings { spool: Spool { folder, ..Spool::default() }, ..Settings::default() };
    for with_intent in [false, true] {
        measure(&settings, with_intent)?;
    }
    Ok(())
}

fn measure(settings: &Settings, with_intent: bool) -> std::io::Result<()> {
    let opened = spool::open(settings, Nowhere);
    let (before, lost, bytes) = (spooled(), METRICS.usage_events_lost_total.get(), METRICS.usage_spool_bytes.get());
    let begun = clock::instant();
    let mut pushing = Duration::ZERO;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| push(&opened.queue, with_intent, before))).collect();
        for thread in threads {
            pushing += thread.join().unwrap_or_default();
        }
    });
    while spooled() - before < EVENTS {
        thread::sleep(Duration::from_millis(1));
    }
    let whole = begun.elapsed();
    let lost = METRICS.usage_events_lost_total.get() - lost;
    let megabytes = (METRICS.usage_spool_bytes.get() - bytes) / 1_000_000;
    let what = if with_intent { "intents and events" } else { "events alone" };
    let rate = u128::from(EVENTS) * 1000 / whole.as_millis().max(1);
    let each = pushing.as_nanos() / u128::from(EVENTS);
    writeln!(
        stdout(),
        "{what:<20} {rate:>9} exchanges/s with fsync, {megabytes} MB, {each} ns of the request's thread each, {lost} lost"
    )
}

fn spooled() -> u64 {
    METRICS.usage_events_spooled_total.get()
}

/// Pushes a thread's share, and gives the time that pushing took.
fn push(queue: &EventQueue, with_intent: bool, before: u64) -> Duration {
    const TOGETHER: u64 = 100;
    let mut event = event();
    let mut time = Duration::ZERO;
    for round in 0..EVENTS / THREADS / TOGETHER {
        while (round * TOGETHER * THREADS).saturating_sub(spooled() - before) > AHEAD_MAX {
            thread::sleep(Duration::from_micros(200));
        }
        let ids: Vec<RequestId> = (0..TOGETHER).map(|_| RequestId::generate()).collect();
        let begun = clock::instant();
        for id in ids {
            event.request_id = id;
            let has_intent = with_intent && queue.begin(&event, None);
            queue.end(&event, has_intent, None);
        }
        time += begun.elapsed();
    }
    time
}

/// An event of a usual size.
fn event() -> UsageEvent<'static> {
    UsageEvent {
        request_id: RequestId::generate(),
        time: clock::now(),
        organization_id: Some(Cow::Owned(OrganizationId::generate())),
        key_id: Some(Cow::Owned(KeyId::generate())),
        key_prefix: "gw_live_01234567".into(),
        environment: Environment::Live,
        provider: "openai".into(),
        endpoint: "chat.completions".into(),
        method: "POST".into(),
        model_requested: "gpt-5.4-mini".into(),
        model_served: "gpt-5.4-mini-2026-03-05".into(),
        status: 200,
        error_type: "".into(),
        streamed: true,
        attempts: 1,
        latency_ms: 1234,
        ttft_ms: 210,
        bytes_in: 900,
        bytes_out: 4000,
        tokens: Tokens { input: 100, cached_input: 20, output: 50, ..Tokens::default() },
        units: Units::default(),
        usage_source: UsageSource::Provider,
        service_tier: "default".into(),
        charge: Charge {
            cost: Money::from_nanos(1_500),
            price_version: "2026-11/gpt-5.4-mini".into(),
            breakdown: vec![("input", Money::from_nanos(500)), ("output", Money::from_nanos(1_000))],
            ..Charge::default()
        },
        provider_request_id: "req_0123456789abcdef0123456789abcdef".into(),
        tags: vec![("feature".to_owned(), "chat".to_owned()), ("project".to_owned(), "search".to_owned())].into(),
        entities: Cow::Borrowed(&[]),
    }
}
