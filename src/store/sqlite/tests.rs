//! The control store on real files.

use super::*;
use crate::{
    auth::{
        self,
        entitlement::{Effect, Entitlement},
        issue::{self, Issued, KeyOrder},
        key::{Environment, GatewayKey, KeyKind, Scope, UsageMode},
        keyring::{Keyring, Unidentified},
        port::{Organization, Page, Registry, RegistryError, Revocation},
    },
    base::{clock, ids::OrganizationId, tasks::Tasks},
    limits::KeyLimits,
};
use std::net::IpAddr;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_123);

fn settings(folder: &TempDir) -> Settings {
    Settings { sqlite: folder.path().join("data/control.db") }
}

async fn open(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&settings(folder)).await.unwrap()
}

async fn issue_key(store: &SqliteStore, organization: &Organization) -> Issued {
    let rule = Entitlement { provider: "openai".into(), model_pattern: "gpt-*".into(), effect: Effect::Allow };
    let order = KeyOrder {
        organization: organization.clone(),
        name: Some("ci".into()),
        kind: KeyKind::Security,
        environment: Environment::Test,
        scopes: vec![Scope::PromptUse, Scope::StatsRead],
        entitlements: vec![rule],
        limits: KeyLimits {
            requests_per_second: Some(5),
            burst: Some(9),
            concurrent_requests: None,
            ..KeyLimits::default()
        },
        usage_mode: UsageMode::Inject,
        expires_at: Some(NOW.plus_millis(1_000)),
    };
    issue::issue(store, order, NOW).await.unwrap()
}

const fn first<Id>() -> Page<'static, Id> {
    Page { after: None, count_max: 1000 }
}

#[tokio::test]
async fn a_key_survives_closing_and_opening_again_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    let issued = issue_key(&store, &acme).await;
    store.close().await;

    let store = open(&folder).await;
    assert_eq!(store.find(&issued.key.hash()).await.unwrap(), Some(issued.record));
    let other = GatewayKey::generate(KeyKind::Proxy, Environment::Live).unwrap();
    assert_eq!(store.find(&other.hash()).await.unwrap(), None);
    assert_eq!(store.organizations(first()).await.unwrap(), [acme]);
    store.reachable().await.unwrap();
}

#[tokio::test]
async fn no_file_of_the_store_holds_a_plaintext_and_all_belong_to_their_owner() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    let issued = issue_key(&store, &acme).await;
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(memchr::memmem::find(&bytes, issued.key.expose().as_bytes()).is_none(), "{path:?}");
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{path:?}");
        seen += 1;
    }
    assert!(seen >= 2, "the file and its log");
}

#[tokio::test]
async fn a_file_that_others_can_read_is_closed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).await.close().await;
    let path = settings(&folder).sqlite;
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    open(&folder).await.close().await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn names_are_unique_whatever_their_case_and_found_by_id_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    let taken = Organization::new("ACME", NOW);
    assert_eq!(store.add_organization(&taken).await, Err(RegistryError::NameTaken));
    for text in ["acme", "Acme", acme.id.as_str()] {
        assert_eq!(store.find_organization(text).await.unwrap().as_ref(), Some(&acme), "{text}");
    }
    assert_eq!(store.find_organization("nobody").await.unwrap(), None);
}

#[tokio::test]
async fn a_key_needs_an_organization_that_exists() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    let mut issued = issue_key(&store, &acme).await;
    issued.record.id = KeyId::generate();
    issued.record.organization_id = OrganizationId::generate();
    let hash = KeyHash::from_bytes([7; 32]);
    assert_eq!(store.add_key(&hash, &issued.record, &[]).await, Err(RegistryError::NoOrganization));
}

#[tokio::test]
async fn revoking_keeps_the_row_and_its_first_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    let other = issue::create_organization(&store, "other", NOW).await.unwrap();
    let issued = issue_key(&store, &acme).await;
    let id = &issued.record.id;
    let revoke = async |of, later| store.revoke_key(id, of, NOW.plus_millis(later)).await.unwrap();

    assert_eq!(revoke(Some(&other.id), 1).await, Revocation::NoSuchKey);
    assert_eq!(store.find(&issued.key.hash()).await.unwrap().unwrap().revoked_at, None);
    assert_eq!(revoke(Some(&acme.id), 2).await, Revocation::Revoked);
    assert_eq!(revoke(None, 3).await, Revocation::AlreadyRevoked);
    assert_eq!(store.find(&issued.key.hash()).await.unwrap().unwrap().revoked_at, Some(NOW.plus_millis(2)));
    assert_eq!(store.revoke_key(&KeyId::generate(), None, NOW).await.unwrap(), Revocation::NoSuchKey);
}

#[tokio::test]
async fn lists_come_in_pages_that_miss_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    let other = issue::create_organization(&store, "other", NOW).await.unwrap();
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(issue_key(&store, &acme).await.record);
        issue_key(&store, &other).await;
    }
    made.sort_by(|a, b| a.id.cmp(&b.id));
    let mut read: Vec<KeyRecord> = Vec::new();
    loop {
        let after = read.last().map(|key| key.id.clone());
        let page = store.keys(Some(&acme.id), Page { after: after.as_ref(), count_max: 3 }).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!(read, made);
    assert_eq!(store.keys(None, first()).await.unwrap().len(), 14);
}

#[tokio::test]
async fn a_use_is_noted_and_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    let issued = issue_key(&store, &acme).await;
    let id = issued.record.id.clone();
    store.note_uses(&[(id.clone(), NOW.plus_millis(5)), (KeyId::generate(), NOW)]).await.unwrap();
    store.note_uses(&[(id, NOW)]).await.unwrap();
    let record = store.find(&issued.key.hash()).await.unwrap().unwrap();
    assert_eq!(record.last_used_at, Some(NOW.plus_millis(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_first_starts_at_once_one_gets_the_bootstrap_key() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let starts = (0..8).map(|_| {
        let settings = settings.clone();
        async move {
            let store = SqliteStore::open(&settings).await.unwrap();
            let issued = issue::bootstrap(&store, NOW).await.unwrap();
            store.close().await;
            issued
        }
    });
    let issued: Vec<Issued> = futures_util::future::join_all(starts).await.into_iter().flatten().collect();
    assert_eq!(issued.len(), 1);

    let store = SqliteStore::open(&settings).await.unwrap();
    let record = store.find(&issued[0].key.hash()).await.unwrap().unwrap();
    assert_eq!(record.organization_name, issue::FIRST_ORGANIZATION);
    assert_eq!(record.scopes, Scope::ALL);
    assert!(record.entitlements.allows_all("openai").is_allowed());
    assert_eq!(store.keys(None, first()).await.unwrap().len(), 1);
    assert!(issue::bootstrap(&store, NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn a_store_with_an_organization_gets_no_bootstrap_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    issue::create_organization(&store, "acme", NOW).await.unwrap();
    assert!(issue::bootstrap(&store, NOW).await.unwrap().is_none());
    assert_eq!(store.keys(None, first()).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_no_database_is_named_damaged_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let text = "this is a letter, not a database. ".repeat(100);
    std::fs::write(&settings.sqlite, &text).unwrap();
    let error = SqliteStore::open(&settings).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&settings.sqlite).unwrap(), text);
}

#[tokio::test]
async fn a_page_overwritten_is_named_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    for _ in 0..50 {
        issue_key(&store, &acme).await;
    }
    store.close().await;
    let path = settings(&folder).sqlite;
    let mut bytes = std::fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page.fill(0x5a);
    }
    std::fs::write(&path, bytes).unwrap();
    let error = SqliteStore::open(&settings(&folder)).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (9999, 'future', CURRENT_TIMESTAMP, TRUE, x'00', 1)")
        .execute(&store.pool)
        .await
        .unwrap();
    store.close().await;
    let error = SqliteStore::open(&settings(&folder)).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { version: 9999, .. }), "{error}");
}

#[tokio::test]
async fn a_path_that_cannot_be_a_file_is_named_not_writable() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for sqlite in [folder.path().join("file/control.db"), folder.path().to_owned()] {
        let error = SqliteStore::open(&Settings { sqlite }).await.unwrap_err();
        assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
    }
}

#[test]
fn result_codes_of_sqlite_become_what_an_operator_can_do() {
    #[derive(Debug, thiserror::Error)]
    #[error("code {0}")]
    struct Code(u32);
    impl sqlx::error::DatabaseError for Code {
        fn message(&self) -> &'static str {
            ""
        }
        fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
            Some(self.0.to_string().into())
        }
        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }
    let told = |code| open_error(Path::new("control.db"), &sqlx::Error::Database(Box::new(Code(code)))).to_string();
    for (codes, expected) in
        [(&[8, 264, 520, 1032, 13, 14, 526][..], "cannot be made or written"), (&[11, 267, 26][..], "damaged")]
    {
        for code in codes {
            assert!(told(*code).contains(expected), "{code}: {}", told(*code));
        }
    }
}

#[tokio::test]
async fn a_record_that_a_newer_version_wrote_is_refused_and_not_guessed_at() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    let issued = issue_key(&store, &acme).await;
    let future = r#"[{"provider":"*","model_pattern":"*","effect":"allow","until":"noon"}]"#;
    sqlx::query("UPDATE keys SET entitlements = ?").bind(future).execute(&store.pool).await.unwrap();
    let error = store.find(&issued.key.hash()).await.unwrap_err().to_string();
    assert!(error.contains("entitlements"), "{error}");
}

#[tokio::test]
async fn the_schema_itself_refuses_what_the_program_would_never_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    issue_key(&store, &acme).await;
    let refused = [
        "INSERT INTO organizations VALUES ('1', 'x', 0)",
        "INSERT INTO organizations VALUES ('org_1', '', 0)",
        "UPDATE keys SET hash = x'00'",
        "UPDATE keys SET environment = 'prod'",
        "UPDATE keys SET scopes = '{}'",
        "UPDATE keys SET limits = 'none'",
        "UPDATE keys SET expires_at = created_at",
        "UPDATE keys SET key_prefix = 'gw_live_0123456789abcdef'",
        "DELETE FROM organizations",
    ];
    for statement in refused {
        assert!(sqlx::query(statement).execute(&store.pool).await.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named_not_writable() {
    let folder = tempfile::tempdir().unwrap();
    let path = settings(&folder).sqlite;
    let lock = |mode| std::fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(mode)).unwrap();
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    lock(0o500);
    let everything_is_writable = std::fs::write(path.with_extension("probe"), "").is_ok(); // for a superuser
    let new = SqliteStore::open(&settings(&folder)).await;
    lock(0o700);
    open(&folder).await.close().await;
    lock(0o500);
    let old = SqliteStore::open(&settings(&folder)).await;
    lock(0o700);
    for opened in [new, old] {
        match opened {
            Ok(_) => assert!(everything_is_writable),
            Err(error) => assert!(matches!(error, OpenError::NotWritable { .. }), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_closed_store_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.close().await;
    assert!(store.find(&KeyHash::from_bytes([0; 32])).await.is_err());
    assert!(store.reachable().await.is_err());
    assert!(store.note_uses(&[]).await.is_err());
}

#[tokio::test]
async fn two_instances_over_one_file_agree_on_a_key_within_the_age_of_their_caches() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    let Issued { key, record } = issue_key(&store, &acme).await;
    let settings = auth::settings::Settings {
        cache_age_max: Duration::from_secs(20),
        cache_keys_max: 100,
        cache_unknown_max: 100,
        unknown_per_second_max: 10,
        store_down_grace: Duration::from_mins(1),
    };
    let other_store = open(&folder).await;
    let here = Keyring::new(Arc::new(store.clone()), &settings, Tasks::new());
    let elsewhere = Keyring::new(Arc::new(other_store.clone()), &settings, Tasks::new());
    let start = clock::instant();
    let ask = async |ring: &Keyring, seconds| {
        ring.identify(&key, IpAddr::from([192, 0, 2, 1]), NOW, start + Duration::from_secs(seconds)).await
    };
    assert_eq!(*ask(&here, 0).await.unwrap(), record);
    assert_eq!(*ask(&elsewhere, 0).await.unwrap(), record);
    here.note_uses().await.unwrap();

    store.revoke_key(&record.id, Some(&acme.id), NOW).await.unwrap();
    here.forget(&record.id);
    assert_eq!(ask(&here, 1).await.unwrap_err(), Unidentified::Revoked);
    assert!(ask(&elsewhere, 1).await.is_ok());
    assert_eq!(ask(&elsewhere, 21).await.unwrap_err(), Unidentified::Revoked);
    assert_eq!(other_store.find(&key.hash()).await.unwrap().unwrap().last_used_at, Some(NOW));
}

#[tokio::test]
async fn the_audit_can_be_added_to_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let acme = issue::create_organization(&store, "acme", NOW).await.unwrap();
    for statement in ["DELETE FROM audit", "UPDATE audit SET who = 'nobody'"] {
        let error = sqlx::query(statement).execute(&store.pool).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    let rows = store.audit(Some(&acme.id), Page { after: None, count_max: 10 }).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.what.as_str()).collect::<Vec<_>>(), ["organization.created"]);
}
