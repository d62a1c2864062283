//! What admission costs in memory, warm: `cargo bench --bench admission`. Prints medians and allocations, asserts nothing: a debug
//! build, or a busy machine, shows other figures.
//!
//! One round is what a request goes through between its head and its forwarding, and what settles it: hash and key cache,
//! entitlement, limits of key and organization with tokens, two budgets, and their settlement.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use async_trait::async_trait;
use sociaro_gateway::{
    auth::{
        entitlement::{Effect, Entitlement},
        key::{Environment, GatewayKey, KeyHash, KeyKind, KeyRecord, Scope, UsageMode},
        keyring::Keyring,
        port::{KeyStore, StoreDown},
        settings,
    },
    base::{
        clock::{self, Duration, Timestamp},
        ids::{BudgetId, KeyId, OrganizationId},
        money::Money,
        tasks::Tasks,
    },
    budgets::{
        budget::{Budget, Enforcement, Subject},
        calendar::{Calendar, Window},
        ledger::{Ledger, Payer},
    },
    limits::{
        KeyLimits,
        limiters::{Entrant, Limiters},
        tokens::Tokens,
    },
    pricing::{
        book::{Pico, PriceBook, PriceRow, Prices},
        bound::{Most, bound},
    },
};
use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// Rounds that are timed together.
const ROUNDS: u32 = 1_000;
const RUNS: usize = 201;

mod counting {
    //! Counts the allocations of this thread.
    #![expect(unsafe_code, reason = "an allocator is unsafe to write; this one only counts and hands on")]

    use std::{
        alloc::{GlobalAlloc, Layout, System},
        cell::Cell,
    };

    struct Counting;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    thread_local! {
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }

    // SAFETY: everything is handed on to the system's allocator.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            COUNT.try_with(|count| count.set(count.get() + 1)).unwrap_or_default();
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
            unsafe { System.dealloc(place, layout) }
        }
    }

    /// So far, on this thread.
    pub(crate) fn count() -> u64 {
        COUNT.with(Cell::get)
    }
}

struct Store(KeyRecord);

#[async_trait]
impl KeyStore for Store {
    async fn find(&self, _: &KeyHash) -> Result<Option<KeyRecord>, StoreDown> {
        Ok(Some(self.0.clone()))
    }

    async fn note_uses(&self, _: &[(KeyId, Timestamp)]) -> Result<(), StoreDown> {
        Ok(())
    }

    async fn reachable(&self) -> Result<(), StoreDown> {
        Ok(())
    }
}

/// What admission asks.
struct Desk {
    key: GatewayKey,
    record: KeyRecord,
    ring: Keyring,
    limiters: Limiters,
    ledger: Ledger,
    prices: PriceBook,
    tags: Vec<(String, String)>,
}

impl Desk {
    async fn identify(&self) {
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let found = self.ring.identify(&self.key, home, clock::now(), clock::instant()).await;
        black_box(found.is_ok());
    }

    fn entitled(&self) {
        black_box(self.record.entitlements.allows("openai", "gpt-5.4-mini"));
    }

    fn limited(&self) {
        let entrant = Entrant {
            key: &self.record.id,
            limits: &self.record.limits,
            organization: &self.record.organization_id,
            organization_limits: &self.record.organization_limits,
        };
        let tokens = Tokens { input: 50, output: 50 };
        if let Ok(mut entry) = self.limiters.enter(&entrant, tokens, clock::instant())
            && let Some(held) = entry.tokens.take()
        {
            held.correct(Tokens { input: 40, output: 20 }, clock::instant());
        }
    }

    fn budgeted(&self) {
        let payer = Payer { organization: &self.record.organization_id, key: &self.record.id, tags: &self.tags };
        let most = Most { input_tokens: 200, output_tokens: 50, answers: 1, characters: 0 };
        let at = clock::now();
        let held = self.ledger.hold(&payer, at, || bound(&self.prices, ("openai", "gpt-5.4-mini"), "", &most, at));
        if let Ok(Some(held)) = held {
            held.settle(Money::from_nanos(1));
        }
    }
}

fn desk(tasks: Tasks) -> Option<Desk> {
    let key = GatewayKey::generate(KeyKind::Proxy, Environment::Live).ok()?;
    let rule = |pattern: &str, effect| Entitlement { provider: "openai".into(), model_pattern: pattern.into(), effect };
    let limits = KeyLimits {
        requests_per_second: Some(1_000_000),
        concurrent_requests: Some(1_000),
        tokens_per_minute: Some(1_000_000_000),
        ..KeyLimits::default()
    };
    let record = KeyRecord {
        id: KeyId::generate(),
        organization_id: OrganizationId::generate(),
        organization_name: "acme".into(),
        name: None,
        key_prefix: key.prefix().to_owned(),
        environment: Environment::Live,
        scopes: vec![Scope::InferenceUse],
        entitlements: vec![rule("o3*", Effect::Allow), rule("gpt-*", Effect::Allow), rule("*-pro", Effect::Deny)]
            .into(),
        organization_limits: limits.clone(),
        organization_disabled: false,
        limits,
        usage_mode: UsageMode::default(),
        created_at: clock::now(),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    };
    let budget = |subject, window| Budget {
        id: BudgetId::generate(),
        organization_id: record.organization_id.clone(),
        subject,
        window,
        limit: Money::from_nanos(1_000_000_000_000_000_000),
        enforcement: Enforcement::On,
    };
    let ledger = Ledger::new(Calendar::default());
    let budgets =
        vec![budget(Subject::Organization, Window::Month), budget(Subject::Key(record.id.clone()), Window::Day)];
    ledger.define(budgets, clock::now());
    let row = PriceRow {
        provider: "openai".into(),
        model: "gpt-5.4-mini".into(),
        aliases: Vec::new(),
        from: Timestamp::from_millis(0),
        until: None,
        prices: Prices { input: Some(Pico(750_000)), output: Some(Pico(4_500_000)), ..Prices::default() },
        variants: Vec::new(),
        source: String::new(),
    };
    let ring = Keyring::new(Arc::new(Store(record.clone())), &settings::Settings::default(), tasks);
    let limiters = Limiters::new(clock::instant());
    let prices = PriceBook::new("bench".into(), vec![row]).ok()?;
    let tags = vec![("project".to_owned(), "atlas".to_owned())];
    Some(Desk { key, record, ring, limiters, ledger, prices, tags })
}

fn main() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let Some(desk) = desk(Tasks::new()) else { return };
        desk.identify().await;
        println!("one admission, warm, in memory; median of {RUNS} runs of {ROUNDS}:");
        report("hash and key cache", async || desk.identify().await).await;
        report("entitlement", async || desk.entitled()).await;
        report("limits, taken and corrected", async || desk.limited()).await;
        report("budgets, held and settled", async || desk.budgeted()).await;
        let all = async || {
            desk.identify().await;
            desk.entitled();
            desk.limited();
            desk.budgeted();
        };
        report("all of it (goal: 2000 ns, 0 allocations)", all).await;
    });
}

async fn report(what: &str, work: impl AsyncFn()) {
    let mut took: Vec<Duration> = Vec::with_capacity(RUNS);
    work().await; // a first use makes states
    let before = counting::count();
    for _ in 0..RUNS {
        let begun = clock::instant();
        for _ in 0..ROUNDS {
            work().await;
        }
        took.push(begun.elapsed());
    }
    let allocations = counting::count() - before;
    took.sort_unstable();
    let median = took.get(RUNS / 2).copied().unwrap_or_default() / ROUNDS;
    let rounds = u64::try_from(RUNS).unwrap_or(1) * u64::from(ROUNDS);
    println!("  {what:<42} {:>6} ns, {allocations} allocations in {rounds} rounds", median.as_nanos());
}
