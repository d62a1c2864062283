//! `key issue`, `key list`, `key revoke` and `key rotate`.

use super::{
    budgets::{budget, enforcement},
    error::CliError,
    limits::LimitArguments,
    orgs::{store_down, told},
    output::{PAGE, all, print_json, print_table},
    show::{ShowKey, show_key},
};
use crate::{
    auth::{
        entitlement::{Effect, Entitlement},
        issue::{self, Issued, KeyBudget, KeyOrder},
        key::{Environment, KeyKind, KeyRecord, Scope, UsageMode},
        port::{Organization, Page, Registry, Revocation},
        view,
    },
    base::{
        clock::{self, Timestamp},
        ids::KeyId,
        money::Money,
    },
    budgets::{budget::Enforcement, calendar::Window, port::BudgetStore},
};
use std::io::Write;

/// Gateway keys.
#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// Issue a key and print it, this once
    Issue(Box<Issue>),
    /// List keys, revoked ones included
    List(List),
    /// Show all that is set of a key
    Show(ShowKey),
    /// Revoke a key; its usage history stays
    Revoke(Revoke),
    /// Issue a key like another one, which goes on until a time
    Rotate(Rotate),
}

/// `key rotate`.
#[derive(Debug, clap::Args)]
pub struct Rotate {
    /// The old key's id, as `key list` shows it
    id: String,
    /// When the old key ends: a time, or a span from now (`90m`, `12h`, `30d`, `4w`)
    #[arg(long, value_name = "WHEN", default_value = "1d", value_parser = expiry)]
    old_until: Expiry,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `key issue`.
#[derive(Debug, clap::Args)]
pub struct Issue {
    /// The organization's name or id
    #[arg(long, value_name = "ORG")]
    org: String,
    /// What the key may be used for; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = scope, value_delimiter = ',')]
    scopes: Vec<Scope>,
    /// Models that it may ask for, as globs: `openai:gpt-*`, `*:*`; may be repeated. Without any it may ask for none
    #[arg(long = "allow", value_name = "PROVIDER:PATTERN", value_parser = provider_and_pattern)]
    allow: Vec<(String, String)>,
    /// Models that it may not ask for whatever is allowed; may be repeated
    #[arg(long = "deny", value_name = "PROVIDER:PATTERN", value_parser = provider_and_pattern)]
    deny: Vec<(String, String)>,
    #[command(flatten)]
    limits: LimitArguments,
    /// When it ends: a time (`2030-01-31T00:00:00Z`) or a span from now (`90m`, `12h`, `30d`, `4w`); never unless given
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    expires: Option<Expiry>,
    /// What it may spend: dollars and `day`, `month` or `total`, such as `25/month`; may be repeated for several windows
    #[arg(long = "budget", value_name = "USD/WINDOW", value_parser = budget)]
    budgets: Vec<(Money, Window)>,
    /// `on`: what its budgets have no room for is refused; `off`: they only report
    #[arg(long, value_name = "on|off", default_value = "on", value_parser = enforcement, requires = "budgets")]
    budget_enforcement: Enforcement,
    /// `test` keys are left out of budgets and statistics
    #[arg(long, value_name = "live|test", default_value = "live", value_parser = environment)]
    environment: Environment,
    /// What its prefix says: `proxy` makes `gw_…`, `security` makes `sk-gw_…`
    #[arg(long, value_enum, default_value_t = Kind::Proxy)]
    kind: Kind,
    /// Where a streamed chat would report no usage: `transparent` estimates it, `inject` asks the provider for it and
    /// takes what that adds out of the answer again
    #[arg(long, value_name = "transparent|inject", default_value = "transparent", value_parser = usage_mode)]
    usage_mode: UsageMode,
    /// A name for people
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `key list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only this organization's keys: its name or id
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `key revoke`.
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// The key's id, as `key list` shows it
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    Proxy,
    Security,
}

/// When a key ends, as the command line says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    At(Timestamp),
    InMillis(i64),
}

impl Expiry {
    fn after(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(end) => end,
            Self::InMillis(span) => now.plus_millis(span),
        }
    }
}

/// Runs a command and prints what comes of it. A key's plaintext goes to `out` once and nowhere else.
pub async fn run<S: Registry + BudgetStore>(
    command: KeyCommand,
    registry: &S,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        KeyCommand::Show(key) => show_key(key, registry, out).await,
        KeyCommand::Rotate(key) => rotate(key, registry, out).await,
        KeyCommand::Issue(order) => issue(*order, registry, out).await,
        KeyCommand::List(list) => list_keys(list, registry, out).await,
        KeyCommand::Revoke(key) => revoke(key, registry, out).await,
    }
}

async fn issue(asked: Issue, registry: &dyn Registry, out: &mut dyn Write) -> Result<(), CliError> {
    let now = clock::now();
    let order = KeyOrder {
        organization: organization(&asked.org, registry).await?,
        name: asked.name,
        kind: match asked.kind {
            Kind::Proxy => KeyKind::Proxy,
            Kind::Security => KeyKind::Security,
        },
        environment: asked.environment,
        scopes: asked.scopes,
        entitlements: rules(asked.allow, asked.deny),
        limits: asked.limits.into(),
        usage_mode: asked.usage_mode,
        expires_at: asked.expires.map(|end| end.after(now)),
    };
    let enforcement = asked.budget_enforcement;
    let budgets: Vec<KeyBudget> =
        asked.budgets.into_iter().map(|(limit, window)| KeyBudget { limit, window, enforcement }).collect();
    let twice = |at: &KeyBudget| budgets.iter().filter(|one| one.window == at.window).count() > 1;
    if budgets.iter().any(twice) {
        return Err(CliError::Usage("--budget: each window may stand once".to_owned()));
    }
    let issued = issue::issue_with(registry, order, &budgets, now).await.map_err(told)?;
    print_issued(&issued, asked.json, out)
}

async fn rotate(asked: Rotate, registry: &dyn Registry, out: &mut dyn Write) -> Result<(), CliError> {
    let (now, old) = (clock::now(), KeyId::new(asked.id));
    let issued = issue::rotate(registry, &old, asked.old_until.after(now), now).await.map_err(told)?;
    print_issued(&issued, asked.json, out)
}

/// Prints a key that was just issued, with its plaintext.
pub fn print_issued(issued: &Issued, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let Issued { key, record } = issued;
    if json {
        return print_json(&view::issued(key, record), out);
    }
    writeln!(out, "key:           {}", key.expose())?;
    writeln!(out, "id:            {}", record.id)?;
    writeln!(out, "organization:  {}", record.organization_name)?;
    writeln!(out, "scopes:        {}", scope_names(record))?;
    if let Some(end) = record.expires_at {
        writeln!(out, "expires:       {}", end.to_rfc3339())?;
    }
    Ok(writeln!(out, "The key is not stored and cannot be shown again.")?)
}

async fn list_keys(list: List, registry: &dyn Registry, out: &mut dyn Write) -> Result<(), CliError> {
    let of = match &list.org {
        Some(org) => Some(organization(org, registry).await?.id),
        None => None,
    };
    let page = async |last: Option<&KeyRecord>| {
        let page = Page { after: last.map(|key| &key.id), count_max: PAGE };
        registry.keys(of.as_ref(), page).await
    };
    let keys = all(page).await.map_err(store_down)?;
    let now = clock::now();
    if list.json {
        return print_json(&keys.iter().map(|key| view::listed(key, now)).collect::<Vec<_>>(), out);
    }
    let rows = keys.iter().map(|key| {
        vec![
            key.id.to_string(),
            key.organization_name.clone(),
            key.key_prefix.clone(),
            key.status(now).as_str().to_owned(),
            key.expires_at.map_or_else(|| "never".into(), Timestamp::to_rfc3339),
            scope_names(key),
            key.usage_mode.as_str().to_owned(),
            key.name.clone().unwrap_or_default(),
        ]
    });
    let heads = ["ID", "ORGANIZATION", "PREFIX", "STATUS", "EXPIRES", "SCOPES", "USAGE", "NAME"];
    print_table(&heads, &rows.collect::<Vec<_>>(), out)
}

async fn revoke(key: Revoke, registry: &dyn Registry, out: &mut dyn Write) -> Result<(), CliError> {
    let id = KeyId::new(key.id);
    let revocation = registry.revoke_key(&id, None, clock::now()).await.map_err(store_down)?;
    if revocation == Revocation::NoSuchKey {
        return Err(CliError::Failed(format!("there is no key with the id {:?}; `key list` shows ids", id.as_str())));
    }
    if key.json {
        return print_json(&serde_json::json!({"id": id.as_str(), "status": "revoked"}), out);
    }
    let news = match revocation {
        Revocation::AlreadyRevoked => "was revoked before",
        Revocation::Revoked | Revocation::NoSuchKey => {
            "is revoked; instances that run stop taking it within 30 seconds"
        }
    };
    Ok(writeln!(out, "{id} {news}")?)
}

pub(super) async fn organization(id_or_name: &str, registry: &dyn Registry) -> Result<Organization, CliError> {
    let found = registry.find_organization(id_or_name).await.map_err(store_down)?;
    found.ok_or_else(|| CliError::Failed(format!("there is no organization {id_or_name:?}; `org list` shows them")))
}

fn scope_names(key: &KeyRecord) -> String {
    key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",")
}

/// Rules as the command line gives them.
pub(super) fn rules(allow: Vec<(String, String)>, deny: Vec<(String, String)>) -> Vec<Entitlement> {
    let rules = |rules: Vec<(String, String)>, effect| {
        rules.into_iter().map(move |(provider, model_pattern)| Entitlement { provider, model_pattern, effect })
    };
    rules(allow, Effect::Allow).chain(rules(deny, Effect::Deny)).collect()
}

pub(super) fn scope(text: &str) -> Result<Scope, String> {
    let names = || Scope::ALL.map(Scope::as_str).join(", ");
    Scope::parse(text).ok_or_else(|| format!("must be one of {}", names()))
}

fn environment(text: &str) -> Result<Environment, String> {
    Environment::parse(text).ok_or_else(|| "must be live or test".into())
}

fn usage_mode(text: &str) -> Result<UsageMode, String> {
    UsageMode::parse(text).ok_or_else(|| "must be transparent or inject".into())
}

/// Cut at the first colon: models may have some, providers have none.
pub(super) fn provider_and_pattern(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((provider, pattern)) if !provider.is_empty() && !pattern.is_empty() => {
            Ok((provider.into(), pattern.into()))
        }
        Some(_) | None => Err("must be a provider and a pattern, such as openai:gpt-* or *:*".into()),
    }
}

fn expiry(text: &str) -> Result<Expiry, String> {
    if let Ok(end) = Timestamp::parse_rfc3339(text) {
        return Ok(Expiry::At(end));
    }
    span_millis(text)
        .map(Expiry::InMillis)
        .ok_or_else(|| "must be a time such as 2030-01-31T00:00:00Z or a span such as 90m, 12h, 30d, 4w".to_owned())
}

fn span_millis(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count = text.strip_suffix(unit)?;
    if !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    count.parse::<i64>().ok()?.checked_mul(seconds)?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{key::GatewayKey, port::KeyStore},
        store::{settings::Settings, sqlite::SqliteStore},
    };
    use clap::Parser;
    use serde_json::{Value, json};

    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: KeyCommand,
    }

    struct Program {
        _folder: tempfile::TempDir,
        store: SqliteStore,
    }

    impl Program {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(&Settings { sqlite: folder.path().join("control.db") }).await.unwrap();
            issue::create_organization(&store, "acme", clock::now()).await.unwrap();
            issue::create_organization(&store, "other", clock::now()).await.unwrap();
            Self { _folder: folder, store }
        }

        async fn run(&self, arguments: &str) -> Result<String, CliError> {
            let arguments = std::iter::once("key").chain(arguments.split(' '));
            let line = Line::try_parse_from(arguments).map_err(|error| CliError::Usage(error.to_string()))?;
            let mut out = Vec::new();
            run(line.command, &self.store, &mut out).await?;
            Ok(String::from_utf8(out).unwrap())
        }

        async fn json(&self, arguments: &str) -> Value {
            serde_json::from_str(&self.run(&format!("{arguments} --json")).await.unwrap()).unwrap()
        }
    }

    const ISSUE: &str = "issue --org acme --scope inference:use --scope stats:read --allow openai:gpt-* \
                         --allow ollama:llama3:8b --deny openai:gpt-5 --rps 5 --burst 10 --concurrency 3 \
                         --environment test --kind security --usage-mode inject --name ci";

    #[tokio::test]
    async fn an_issued_key_is_stored_as_asked_and_its_text_stands_once_in_the_output() {
        let program = Program::start().await;
        let text = program.run(&format!("{ISSUE} --expires 30d --json")).await.unwrap();
        let made: Value = serde_json::from_str(&text).unwrap();
        let plaintext = made["key"].as_str().unwrap();
        assert_eq!(text.matches(plaintext).count(), 1);
        assert!(plaintext.starts_with("sk-gw_test_"));
        let key = GatewayKey::parse(plaintext.as_bytes()).unwrap();
        let record = program.store.find(&key.hash()).await.unwrap().unwrap();
        assert_eq!(record.id.as_str(), made["api_key_id"]);
        assert_eq!(
            serde_json::to_value(view::me(&record)).unwrap(),
            json!({
                "organization": "acme",
                "key_prefix": key.prefix(),
                "environment": "test",
                "scopes": ["inference:use", "stats:read"],
                "entitlements": [
                    {"provider": "openai", "model_pattern": "gpt-*", "effect": "allow"},
                    {"provider": "ollama", "model_pattern": "llama3:8b", "effect": "allow"},
                    {"provider": "openai", "model_pattern": "gpt-5", "effect": "deny"},
                ],
                "limits": {"requests_per_second": 5, "burst": 10, "concurrent_requests": 3},
                "usage_mode": "inject",
            })
        );
        let life = record.expires_at.unwrap().millis() - record.created_at.millis();
        assert_eq!(life, 30 * 86_400_000);
    }

    #[tokio::test]
    async fn the_text_for_people_shows_the_key_once_too() {
        let program = Program::start().await;
        let text = program.run("issue --org acme --scope inference:use,keys:manage").await.unwrap();
        assert_eq!(text.matches("gw_live_").count(), 1, "{text}");
        assert!(text.contains("inference:use,keys:manage"), "{text}");
    }

    #[tokio::test]
    async fn lists_show_no_secret_and_can_be_of_one_organization() {
        let program = Program::start().await;
        let made = program.json(ISSUE).await;
        program.run("issue --org other --scope stats:read").await.unwrap();
        assert_eq!(program.json("list").await.as_array().unwrap().len(), 2);
        let list = program.run("list --org acme --json").await.unwrap();
        assert!(!list.contains(made["key"].as_str().unwrap()));
        let list: Value = serde_json::from_str(&list).unwrap();
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!((&list[0]["id"], &list[0]["status"]), (&made["api_key_id"], &json!("active")));
        assert_eq!(list[0]["usage_mode"], "inject");
        let all = program.json("list").await;
        assert!(all.as_array().unwrap().iter().any(|key| key["usage_mode"] == "transparent"), "{all}");
        assert!(program.run("list").await.unwrap().contains("inject       ci\n"));
    }

    #[tokio::test]
    async fn a_revoked_key_stays_in_the_list() {
        let program = Program::start().await;
        let id = program.json(ISSUE).await["api_key_id"].as_str().unwrap().to_owned();
        assert_eq!(program.json(&format!("revoke {id}")).await, json!({"id": id, "status": "revoked"}));
        assert_eq!(program.json("list").await[0]["status"], "revoked");
        assert!(program.run(&format!("revoke {id}")).await.unwrap().contains("before"));
    }

    #[tokio::test]
    async fn exit_statuses_tell_bad_usage_from_failure() {
        let program = Program::start().await;
        let cases = [
            ("revoke key_none", 1),
            ("list --org nobody", 1),
            ("issue --org nobody --scope stats:read", 1),
            ("issue --org acme", 2),
            ("issue --org acme --scope admin", 2),
            ("issue --org acme --scope stats:read --allow openai", 2),
            ("issue --org acme --scope stats:read --allow :x", 2),
            ("issue --org acme --scope stats:read --allow open*:x", 2),
            ("issue --org acme --scope stats:read --rps 0", 2),
            ("issue --org acme --scope stats:read --rps -1", 2),
            ("issue --org acme --scope stats:read --burst 5", 2),
            ("issue --org acme --scope stats:read --expires 2001-01-01T00:00:00Z", 2),
            ("issue --org acme --scope stats:read --expires 0d", 2),
            ("issue --org acme --scope stats:read --expires soon", 2),
            ("issue --org acme --scope stats:read --environment prod", 2),
            ("issue --org acme --scope stats:read --kind other", 2),
            ("issue --org acme --scope stats:read --usage-mode on", 2),
            ("revoke", 2),
        ];
        for (arguments, status) in cases {
            let error = program.run(arguments).await.unwrap_err();
            assert_eq!(error.exit_status(), status, "{arguments}: {error}");
        }
        assert_eq!(program.json("list").await, json!([]));
    }

    #[test]
    fn spans_are_read_and_nonsense_is_not() {
        let cases = [
            ("1s", Some(1_000)),
            ("90m", Some(5_400_000)),
            ("12h", Some(43_200_000)),
            ("30d", Some(2_592_000_000)),
            ("4w", Some(2_419_200_000)),
            ("", None),
            ("d", None),
            ("30", None),
            ("-1d", None),
            ("+1d", None),
            ("1é", None),
            ("99999999999999999999d", None),
            ("9223372036854775807w", None),
        ];
        for (text, expected) in cases {
            assert_eq!(span_millis(text), expected, "{text:?}");
        }
    }
}
