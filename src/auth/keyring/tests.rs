//! The key ring in front of a store that can be slow, down, or wrong.

use super::*;
use crate::{
    auth::{
        entitlement::Entitlements,
        key::{Environment, KeyKind, Scope, UsageMode},
    },
    base::ids::OrganizationId,
    limits::KeyLimits,
};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_000);
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

#[derive(Default)]
struct FakeStore {
    keys: Mutex<HashMap<KeyHash, KeyRecord>>,
    finds: AtomicUsize,
    noted: Mutex<Vec<(KeyId, Timestamp)>>,
    down: AtomicBool,
    panics: AtomicBool,
    /// When set, a look-up reads and then waits for a permit before it answers.
    gate: Mutex<Option<Arc<Semaphore>>>,
}

#[async_trait]
impl KeyStore for FakeStore {
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, StoreDown> {
        self.finds.fetch_add(1, SeqCst);
        assert!(!self.panics.load(SeqCst), "a defect in the store");
        let found = self.keys.lock().get(hash).cloned();
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        if self.down.load(SeqCst) { Err(StoreDown::new("down")) } else { Ok(found) }
    }

    async fn note_uses(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreDown> {
        if self.down.load(SeqCst) {
            return Err(StoreDown::new("down"));
        }
        self.noted.lock().extend_from_slice(uses);
        Ok(())
    }

    async fn reachable(&self) -> Result<(), StoreDown> {
        Ok(())
    }
}

struct Bench {
    store: Arc<FakeStore>,
    ring: Keyring,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// Records live 20 s, the grace is 60 s.
    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            cache_age_max: Duration::from_secs(20),
            cache_keys_max: 1_000,
            cache_unknown_max: 1_000,
            unknown_per_second_max: 0,
            store_down_grace: Duration::from_mins(1),
        };
        change(&mut settings);
        let store = Arc::new(FakeStore::default());
        let ring = Keyring::new(Arc::<FakeStore>::clone(&store), &settings, Tasks::new());
        let start = ring.0.origin;
        Self { store, ring, start }
    }

    /// A new key that the store knows.
    fn key(&self) -> GatewayKey {
        self.key_with(|_| {})
    }

    fn key_with(&self, change: impl FnOnce(&mut KeyRecord)) -> GatewayKey {
        let key = stranger();
        let mut record = KeyRecord {
            id: KeyId::generate(),
            organization_id: OrganizationId::new("org_1"),
            organization_name: "acme".into(),
            name: None,
            key_prefix: key.prefix().to_owned(),
            environment: Environment::Live,
            scopes: vec![Scope::InferenceUse],
            entitlements: Entitlements::default(),
            limits: KeyLimits::default(),
            organization_limits: KeyLimits::default(),
            organization_disabled: false,
            usage_mode: UsageMode::default(),
            created_at: NOW,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        };
        change(&mut record);
        self.store.keys.lock().insert(key.hash(), record);
        key
    }

    fn revoke_elsewhere(&self, key: &GatewayKey) -> KeyId {
        let mut keys = self.store.keys.lock();
        let record = keys.get_mut(&key.hash()).unwrap();
        record.revoked_at = Some(NOW);
        record.id.clone()
    }

    /// Asks so many milliseconds after the start, by both clocks.
    async fn ask(&self, key: &GatewayKey, from: IpAddr, ms: u64) -> Result<Arc<KeyRecord>, Unidentified> {
        let now = NOW.plus_millis(i64::try_from(ms).unwrap());
        self.ring.identify(key, from, now, self.start + Duration::from_millis(ms)).await
    }

    /// Asks, and must get the answer without waiting for anything.
    fn ask_warm(&self, key: &GatewayKey, ms: u64) -> Result<Arc<KeyRecord>, Unidentified> {
        self.ask(key, HOME, ms).now_or_never().expect("a warm key does not wait")
    }

    fn finds(&self) -> usize {
        self.store.finds.load(SeqCst)
    }

    fn go_down(&self, down: bool) {
        self.store.down.store(down, SeqCst);
    }

    fn close_gate(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.store.gate.lock() = Some(Arc::clone(&gate));
        gate
    }

    fn open_gate(&self, gate: &Semaphore) {
        *self.store.gate.lock() = None;
        gate.add_permits(1_000);
    }

    /// Lets background look-ups run until none is left.
    async fn settle(&self) {
        until(|| self.ring.0.flights.lock().under_way.is_empty()).await;
    }
}

fn stranger() -> GatewayKey {
    GatewayKey::generate(KeyKind::Proxy, Environment::Live).unwrap()
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_key_is_asked_for_once_and_then_known_without_waiting() {
    let bench = Bench::new();
    let key = bench.key();
    let first = bench.ask(&key, HOME, 0).await.unwrap();
    for ms in [0, 1, 5_000, 14_999] {
        assert!(Arc::ptr_eq(&bench.ask_warm(&key, ms).unwrap(), &first));
    }
    bench.settle().await;
    assert_eq!(bench.finds(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_come_together_share_one_look_up() {
    let bench = Bench::new();
    let gate = bench.close_gate();
    let (known, unknown) = (bench.key(), stranger());
    let asks = (0..500).map(|n| bench.ask(if n % 2 == 0 { &known } else { &unknown }, HOME, 0));
    let open = async {
        until(|| bench.finds() == 2).await;
        bench.open_gate(&gate);
    };
    let (answers, ()) = tokio::join!(join_all(asks), open);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 250);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Err(Unidentified::Unknown))).count(), 250);
    assert_eq!(bench.finds(), 2);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_the_look_up_for_the_others() {
    let bench = Bench::new();
    let gate = bench.close_gate();
    let key = bench.key();
    assert!(bench.ask(&key, HOME, 0).now_or_never().is_none());
    until(|| bench.finds() == 1).await;
    bench.open_gate(&gate);
    bench.settle().await;
    assert!(bench.ask_warm(&key, 0).is_ok());
    assert_eq!(bench.finds(), 1);
}

#[tokio::test]
async fn a_used_record_is_read_again_before_it_is_too_old_and_nobody_waits_for_it() {
    let bench = Bench::new();
    let key = bench.key();
    bench.ask(&key, HOME, 0).await.unwrap();
    for ms in [15_000, 15_001, 15_999] {
        assert!(bench.ask_warm(&key, ms).is_ok());
    }
    bench.settle().await;
    assert_eq!(bench.finds(), 2);
    assert!(bench.ask_warm(&key, 29_999).is_ok());
    bench.settle().await;
    assert_eq!(bench.finds(), 2);
}

#[tokio::test]
async fn a_revocation_elsewhere_holds_when_the_record_is_too_old_at_the_latest() {
    let bench = Bench::new();
    let (idle, busy) = (bench.key(), bench.key());
    bench.ask(&idle, HOME, 0).await.unwrap();
    bench.ask(&busy, HOME, 0).await.unwrap();
    bench.revoke_elsewhere(&idle);
    bench.revoke_elsewhere(&busy);
    assert!(bench.ask_warm(&busy, 15_000).is_ok());
    bench.settle().await;
    assert_eq!(bench.ask_warm(&busy, 15_000).unwrap_err(), Unidentified::Revoked);
    assert_eq!(bench.ask(&idle, HOME, 20_000).await.unwrap_err(), Unidentified::Revoked);
}

#[tokio::test]
async fn settings_cannot_make_a_record_older_than_the_contract_allows() {
    let bench = Bench::with(|settings| settings.cache_age_max = Duration::from_hours(1));
    let key = bench.key();
    bench.ask(&key, HOME, 0).await.unwrap();
    bench.revoke_elsewhere(&key);
    assert_eq!(bench.ask(&key, HOME, 30_000).await.unwrap_err(), Unidentified::Revoked);
}

#[tokio::test]
async fn a_revocation_here_holds_at_once_even_against_a_look_up_that_is_under_way() {
    let bench = Bench::new();
    let key = bench.key();
    bench.ask(&key, HOME, 0).await.unwrap();
    let gate = bench.close_gate();
    assert!(bench.ask_warm(&key, 15_000).is_ok());
    until(|| bench.finds() == 2).await; // it has read the record as it was
    let id = bench.revoke_elsewhere(&key);
    bench.ring.forget(&id);
    bench.open_gate(&gate);
    assert_eq!(bench.ask(&key, HOME, 15_001).await.unwrap_err(), Unidentified::Revoked);
    bench.settle().await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.ask_warm(&key, 15_002).unwrap_err(), Unidentified::Revoked);
}

#[tokio::test]
async fn while_the_store_is_down_cached_keys_go_on_for_the_grace_and_others_do_not() {
    let bench = Bench::new();
    let (known, cold) = (bench.key(), bench.key());
    bench.ask(&known, HOME, 0).await.unwrap();
    bench.go_down(true);
    assert_eq!(bench.ask(&cold, HOME, 1).await.unwrap_err(), Unidentified::StoreDown);
    for ms in (15_000..80_000).step_by(500) {
        assert!(bench.ask(&known, HOME, ms).await.is_ok(), "{ms}");
        bench.settle().await;
    }
    assert_eq!(bench.ask(&known, HOME, 80_000).await.unwrap_err(), Unidentified::StoreDown);

    bench.go_down(false);
    assert!(bench.ask(&known, HOME, 80_001).await.is_ok());
    assert!(bench.ask(&cold, HOME, 80_001).await.is_ok());
}

#[tokio::test]
async fn while_the_store_hangs_aged_keys_do_not_wait_for_it() {
    let bench = Bench::new();
    let key = bench.key();
    bench.ask(&key, HOME, 0).await.unwrap();
    bench.go_down(true);
    assert!(bench.ask_warm(&key, 19_000).is_ok());
    bench.settle().await; // the store is known to be down
    let gate = bench.close_gate();
    assert!(bench.ask_warm(&key, 20_500).is_ok());
    assert!(bench.ask_warm(&key, 20_501).is_ok());
    bench.go_down(false);
    bench.open_gate(&gate);
    bench.settle().await;
    assert!(bench.ask_warm(&key, 35_000).is_ok());
}

#[tokio::test]
async fn a_store_that_just_failed_is_asked_for_uncached_keys_once_a_second_only() {
    let bench = Bench::new();
    bench.go_down(true);
    assert_eq!(bench.ask(&stranger(), HOME, 0).await.unwrap_err(), Unidentified::StoreDown);
    for ms in 0..500 {
        assert_eq!(bench.ask(&stranger(), HOME, ms).await.unwrap_err(), Unidentified::StoreDown);
    }
    assert_eq!(bench.finds(), 1);
    bench.go_down(false);
    assert!(bench.ask(&bench.key(), HOME, 1_500).await.is_ok());
}

#[tokio::test]
async fn an_unknown_key_is_remembered_for_two_seconds_and_forgotten_when_it_is_issued_here() {
    let bench = Bench::new();
    let keys = [bench.key(), bench.key()];
    let records: Vec<_> = keys.iter().map(|key| bench.store.keys.lock().remove(&key.hash()).unwrap()).collect();
    for key in &keys {
        for ms in [0, 1, 1_999] {
            assert_eq!(bench.ask(key, HOME, ms).await.unwrap_err(), Unidentified::Unknown);
        }
    }
    assert_eq!(bench.finds(), 2);
    for (key, record) in keys.iter().zip(records) {
        bench.store.keys.lock().insert(key.hash(), record);
    }
    bench.ring.issued(&keys[0]);
    assert!(bench.ask(&keys[0], HOME, 1_999).await.is_ok());
    assert_eq!(bench.ask(&keys[1], HOME, 1_999).await.unwrap_err(), Unidentified::Unknown);
    assert!(bench.ask(&keys[1], HOME, 2_000).await.is_ok());
}

#[tokio::test]
async fn a_flood_of_unknown_keys_stops_before_the_store_and_cached_keys_go_on() {
    let bench = Bench::with(|settings| settings.unknown_per_second_max = 10);
    let (cached, cold) = (bench.key(), bench.key());
    bench.ask(&cached, HOME, 0).await.unwrap();
    let flooded = Unidentified::Flooded { retry_after_seconds: 1 };
    let mut refused = 0;
    for _ in 0..2_000 {
        match bench.ask(&stranger(), HOME, 0).await.unwrap_err() {
            Unidentified::Unknown => {}
            error => {
                assert_eq!(error, flooded);
                refused += 1;
            }
        }
    }
    assert!(refused > 1_000, "{refused} refused; a window may have turned over a few times");
    assert_eq!(bench.finds(), 1 + 2_000 - refused);
    assert!(bench.ask_warm(&cached, 1).is_ok());
    assert!(bench.ask(&cold, AWAY, 0).await.is_ok());
}

#[tokio::test]
async fn one_unknown_key_over_and_over_is_a_flood_too() {
    let bench = Bench::with(|settings| settings.unknown_per_second_max = 10);
    let key = stranger();
    let asks = join_all((0..1_000).map(|_| bench.ask(&key, HOME, 0))).await;
    assert!(asks.iter().filter(|answer| matches!(answer, Err(Unidentified::Flooded { .. }))).count() > 500);
    assert_eq!(bench.finds(), 1);
}

#[tokio::test]
async fn known_keys_that_are_not_cached_are_not_counted_as_a_flood() {
    let bench = Bench::with(|settings| settings.unknown_per_second_max = 1);
    let keys: Vec<_> = (0..300).map(|_| bench.key()).collect();
    let answers = join_all(keys.iter().map(|key| bench.ask(key, HOME, 0))).await;
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test]
async fn strangers_at_once_overshoot_the_bound_by_no_more_than_the_look_ups_that_run() {
    let bench = Bench::with(|settings| settings.unknown_per_second_max = 10);
    let gate = bench.close_gate();
    let strangers: Vec<_> = (0..400).map(|_| stranger()).collect();
    let asks = join_all(strangers.iter().map(|key| bench.ask(key, HOME, 0)));
    let open = async {
        until(|| bench.finds() == LOOKUPS_MAX).await;
        bench.open_gate(&gate);
    };
    tokio::join!(asks, open);
    assert!(bench.finds() <= 2 * (LOOKUPS_MAX + 10), "{} look-ups, a turn of the window included", bench.finds());
}

#[tokio::test]
async fn a_key_ends_in_the_very_millisecond_of_its_expiry_though_it_is_cached() {
    let bench = Bench::new();
    let key = bench.key_with(|record| record.expires_at = Some(NOW.plus_millis(1_000)));
    assert!(bench.ask(&key, HOME, 0).await.is_ok());
    assert!(bench.ask_warm(&key, 999).is_ok());
    assert_eq!(bench.ask_warm(&key, 1_000).unwrap_err(), Unidentified::Expired);
    assert_eq!(bench.ask_warm(&key, 1_001).unwrap_err(), Unidentified::Expired);
    let both = bench.key_with(|record| {
        record.expires_at = Some(NOW);
        record.revoked_at = Some(NOW);
    });
    assert_eq!(bench.ask(&both, HOME, 0).await.unwrap_err(), Unidentified::Revoked);
    assert_eq!(bench.finds(), 2);
}

#[tokio::test]
async fn a_hundred_thousand_unknown_keys_leave_the_memory_bounded_and_the_known_one_cached() {
    let bench = Bench::new();
    let key = bench.key();
    bench.ask(&key, HOME, 0).await.unwrap();
    let mut text = stranger().expose().as_bytes().to_vec();
    for n in 0..100_000 {
        text.splice(8..24, format!("{n:016x}").into_bytes());
        let unknown = GatewayKey::parse(&text).unwrap();
        assert_eq!(bench.ask(&unknown, HOME, 0).await.unwrap_err(), Unidentified::Unknown);
    }
    assert!(bench.ring.0.unknown.len() <= 1_000);
    assert_eq!(bench.ring.0.known.len(), 1);
    bench.settle().await;
    assert!(bench.ask_warm(&key, 1).is_ok());
}

#[tokio::test]
async fn more_known_keys_than_the_cache_holds_still_work() {
    let bench = Bench::with(|settings| settings.cache_keys_max = 10);
    let keys: Vec<_> = (0..200).map(|_| bench.key()).collect();
    for key in keys.iter().chain(&keys) {
        assert!(bench.ask(key, HOME, 0).await.is_ok());
    }
    assert!(bench.ring.0.known.len() <= 10);
}

#[tokio::test]
async fn a_look_up_that_panics_refuses_its_callers_and_wedges_nothing() {
    let bench = Bench::new();
    let key = bench.key();
    bench.store.panics.store(true, SeqCst);
    assert_eq!(bench.ask(&key, HOME, 0).await.unwrap_err(), Unidentified::StoreDown);
    bench.store.panics.store(false, SeqCst);
    assert!(bench.ask(&key, HOME, 1).await.is_ok());
}

#[tokio::test]
async fn uses_are_noted_once_with_their_latest_time_and_outlive_a_re_read() {
    let bench = Bench::new();
    let (used, revoked) = (bench.key(), bench.key_with(|record| record.revoked_at = Some(NOW)));
    bench.ask(&used, HOME, 0).await.unwrap();
    bench.ask(&revoked, HOME, 0).await.unwrap_err();
    bench.ask_warm(&used, 12_000).unwrap();
    bench.ask(&used, HOME, 20_000).await.unwrap();

    bench.go_down(true);
    assert!(bench.ring.note_uses().await.is_err());
    bench.go_down(false);
    bench.ring.note_uses().await.unwrap();
    bench.ring.note_uses().await.unwrap();
    let id = bench.store.keys.lock()[&used.hash()].id.clone();
    assert_eq!(*bench.store.noted.lock(), [(id.clone(), NOW.plus_millis(20_000))]);

    bench.ask_warm(&used, 21_000).unwrap();
    bench.ring.note_uses().await.unwrap();
    assert_eq!(bench.store.noted.lock().last(), Some(&(id, NOW.plus_millis(21_000))));
}

#[test]
fn what_a_caller_is_told_holds_no_key() {
    for error in [Unidentified::Unknown, Unidentified::Expired, Unidentified::Revoked, Unidentified::StoreDown] {
        assert!(!error.to_string().contains("gw_"));
    }
}
