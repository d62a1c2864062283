//! The tables in ClickHouse: ordered, additive migrations, and what settings decide (retention, hot tags).
//! The same statements serve the embedded engine, a server and a cluster. Every one may run twice or on two instances at once.

mod hot_tags;
mod script;
mod template;

pub(super) use hot_tags::hot_since;
pub use script::{Script, script};

use super::{settings::Settings, tag::is_tag_name};
use clickhouse::Client;
use template::Template;

/// All migrations, in order; the position plus one is the version. Never edit one that was released: add another.
const MIGRATIONS: [(&str, &str); 5] = [
    ("0001_usage_events", include_str!("../../../schema/0001_usage_events.sql")),
    ("0002_rollups", include_str!("../../../schema/0002_rollups.sql")),
    ("0003_finance", include_str!("../../../schema/0003_finance.sql")),
    ("0004_corrections", include_str!("../../../schema/0004_corrections.sql")),
    ("0005_prices", include_str!("../../../schema/0005_prices.sql")),
];

/// The record of what was applied; it comes before all migrations.
const SCHEMA_VERSION: &str = include_str!("../../../schema/0000_schema_version.sql");
const DATABASE: &str = "CREATE DATABASE IF NOT EXISTS {database}{on_cluster}";

/// Tables whose rows expire, and the column that says when.
const EXPIRING: [(&str, &str); 2] = [("usage_events", "toDateTime(time)"), ("usage_hourly", "hour")];

const NAME_BYTES_MAX: usize = 64;
const KEEP_DAYS_MAX: u32 = 36_500;

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("`{0}` is no name for a database: letters, digits and `_`, at most 64")]
    Database(String),
    #[error("`{0}` is no name for a cluster: letters, digits, `_` and `-`, at most 64")]
    Cluster(String),
    #[error("`{0}` is no name for a tag: `[a-z0-9_.-]`, at most 64")]
    Tag(String),
    #[error("cannot bring the usage store's schema up to date ({step}): {source}")]
    Store { step: String, source: clickhouse::error::Error },
}

/// What a migration found and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 when there was none.
    pub from: u32,
    /// The version now. Above what this program knows when a newer one was here.
    pub to: u32,
}

/// Brings the schema up to date with this program and its settings.
///
/// # Errors
/// A name in the settings is none, or the store refuses or does not answer. Running it again goes on where it stopped.
pub async fn migrate(client: &Client, settings: &Settings) -> Result<Migrated, MigrateError> {
    let plan = Plan::new(settings)?;
    // the database may not be there yet, so statements name it themselves
    let client = client.clone().with_database("default").with_setting("async_insert", "0");
    plan.apply(&client, "database", DATABASE).await?;
    plan.apply(&client, "0000_schema_version", SCHEMA_VERSION).await?;
    let from = plan.version(&client).await?;
    let mut to = from;
    for (version, (name, text)) in (1_u32..).zip(MIGRATIONS) {
        if version <= from {
            continue;
        }
        plan.apply(&client, name, text).await?;
        run(&client, name, &plan.applied(version, name)).await?;
        to = version;
    }
    plan.set_retention(&client).await?;
    hot_tags::set(&plan, &client).await?;
    Ok(Migrated { from, to })
}

/// The parts of the settings that the schema depends on, checked: they are written into statements.
struct Plan<'a> {
    template: Template<'a>,
    hot_tags: &'a [String],
}

impl<'a> Plan<'a> {
    fn new(settings: &'a Settings) -> Result<Self, MigrateError> {
        Self::of(settings, settings.store.cluster())
    }

    fn of(settings: &'a Settings, cluster: Option<&'a str>) -> Result<Self, MigrateError> {
        let database = settings.database.as_str();
        if !is_name(database, b"_") {
            return Err(MigrateError::Database(database.into()));
        }
        if let Some(name) = cluster.filter(|name| !is_name(name, b"_-")) {
            return Err(MigrateError::Cluster(name.into()));
        }
        if let Some(tag) = settings.hot_tags.iter().find(|tag| !is_tag_name(tag)) {
            return Err(MigrateError::Tag(tag.clone()));
        }
        let keep_days = settings.keep_days.clamp(1, KEEP_DAYS_MAX);
        Ok(Self { template: Template { database, keep_days, cluster }, hot_tags: &settings.hot_tags })
    }

    /// One statement, filled in.
    fn fill(&self, statement: &str) -> String {
        self.template.statement(statement).unwrap_or_default()
    }

    /// Notes that a migration was applied.
    fn applied(&self, version: u32, name: &str) -> String {
        let into = "INSERT INTO {database}.schema_version (version, name, applied_at)";
        self.fill(&format!("{into} VALUES ({version}, '{name}', now64(3))"))
    }

    async fn apply(&self, client: &Client, name: &str, text: &str) -> Result<(), MigrateError> {
        for statement in self.template.statements(text) {
            run(client, name, &statement).await?;
        }
        Ok(())
    }

    async fn version(&self, client: &Client) -> Result<u32, MigrateError> {
        let sql = self.fill("SELECT max(version) FROM {database}.schema_version");
        client.query_raw(&sql).fetch_one().await.map_err(|source| store("schema_version", source))
    }

    /// Rows that are there already expire by the new rule when their parts merge.
    async fn set_retention(&self, client: &Client) -> Result<(), MigrateError> {
        for (table, column) in EXPIRING {
            let (wanted, name) = (
                self.fill(&format!("{column} + toIntervalDay({{keep_days}})")),
                self.fill(&format!("{table}{{local}}")),
            );
            let sql =
                "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {table:String}";
            let query = client.query_raw(sql).param("database", self.template.database).param("table", name);
            let engine: String = query.fetch_one().await.map_err(|source| store("retention", source))?;
            if !engine.contains(&format!("TTL {wanted}")) {
                let alter = format!("ALTER TABLE {{database}}.{table}{{local}}{{on_cluster}} MODIFY TTL {wanted}");
                let alter = self.fill(&format!("{alter} SETTINGS materialize_ttl_after_modify = 0"));
                run(client, "retention", &alter).await?;
            }
        }
        Ok(())
    }
}

fn is_name(text: &str, besides: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || besides.contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

async fn run(client: &Client, step: &str, sql: &str) -> Result<(), MigrateError> {
    client.query_raw(sql).execute().await.map_err(|source| store(step, source))
}

fn store(step: &str, source: clickhouse::error::Error) -> MigrateError {
    MigrateError::Store { step: step.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::settings::sample;

    #[test]
    fn names_that_would_break_out_of_a_statement_are_refused() {
        for database in ["", "a b", "a;b", "a`b", "ä", &"x".repeat(65)] {
            let settings = Settings { database: database.into(), ..sample() };
            assert!(matches!(Plan::new(&settings), Err(MigrateError::Database(_))), "{database}");
        }
        for name in ["", "a b", "a`b", "a'b"] {
            assert!(matches!(Plan::of(&sample(), Some(name)), Err(MigrateError::Cluster(_))), "{name}");
        }
        for tag in ["", "A", "a'b", "a]b"] {
            let settings = Settings { hot_tags: vec!["ok".into(), tag.into()], ..sample() };
            assert!(matches!(Plan::new(&settings), Err(MigrateError::Tag(_))), "{tag}");
        }
    }

    #[test]
    fn every_migration_renders_to_statements_that_may_run_twice() {
        let settings = sample();
        let macros = ["{shard}", "{replica}"];
        for cluster in [None, Some("c")] {
            let plan = Plan::of(&settings, cluster).unwrap();
            for (name, text) in MIGRATIONS.into_iter().chain([("0000_schema_version", SCHEMA_VERSION)]) {
                let statements = plan.template.statements(text);
                assert!(!statements.is_empty(), "{name}");
                for statement in statements {
                    let repeatable = ["IF NOT EXISTS", "OR REPLACE", "COMMENT COLUMN"];
                    // From then until the engine starts again, tokens of inserts would not be those of their tries after it:
                    // sums would count a batch twice.
                    assert!(!statement.contains("MODIFY QUERY"), "{name}: {statement}");
                    assert!(repeatable.iter().any(|words| statement.contains(words)), "{name}: {statement}");
                    assert_eq!(statement.contains("ON CLUSTER `c`"), cluster.is_some(), "{name}: {statement}");
                    let plain = macros.iter().fold(statement.clone(), |text, word| text.replace(word, ""));
                    assert!(!plain.contains('{') && !plain.contains("--"), "{name}: {statement}");
                    assert!(cluster.is_some() || plain == statement, "{name}: {statement}");
                }
            }
        }
    }

    #[test]
    fn migrations_are_numbered_by_their_place() {
        for (version, (name, _)) in (1..).zip(MIGRATIONS) {
            assert!(name.starts_with(&format!("{version:04}_")), "{name}");
        }
    }
}
