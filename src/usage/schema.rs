//! The tables in ClickHouse: ordered, additive migrations, and what settings decide (retention, hot tags).
//! The same statements serve the embedded engine and a server. Every one may run twice or on two instances at once.

use super::{
    settings::Settings,
    tag::{hot_column, is_tag_name},
};
use clickhouse::Client;

/// All migrations, in order; the version is the number that the name begins with. Never edit one that was released: add another.
const MIGRATIONS: [(&str, &str); 5] = [
    ("0001_usage_events", include_str!("../../schema/0001_usage_events.sql")),
    ("0002_rollups", include_str!("../../schema/0002_rollups.sql")),
    ("0003_finance", include_str!("../../schema/0003_finance.sql")),
    ("0004_corrections", include_str!("../../schema/0004_corrections.sql")),
    ("0010_entities", include_str!("../../schema/0010_entities.sql")),
];

/// The record of what was applied; it comes before all migrations.
const SCHEMA_VERSION: &str = include_str!("../../schema/0000_schema_version.sql");

/// Tables whose rows expire, and the column that says when.
const EXPIRING: [(&str, &str); 2] = [("usage_events", "toDateTime(time)"), ("usage_hourly", "hour")];

const DATABASE_BYTES_MAX: usize = 64;
const KEEP_DAYS_MAX: u32 = 36_500;

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("`{0}` is no name for a database: letters, digits and `_`, at most 64")]
    Database(String),
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
    run(&client, "database", &format!("CREATE DATABASE IF NOT EXISTS {}", plan.database)).await?;
    plan.apply(&client, "0000_schema_version", SCHEMA_VERSION).await?;
    let from = plan.version(&client).await?;
    let mut to = from;
    for (name, text) in MIGRATIONS {
        let version = version_of(name);
        if version <= from {
            continue;
        }
        plan.apply(&client, name, text).await?;
        let insert = format!(
            "INSERT INTO {}.schema_version (version, name, applied_at) VALUES ({version}, '{name}', now64(3))",
            plan.database
        );
        run(&client, name, &insert).await?;
        to = version;
    }
    plan.set_retention(&client).await?;
    plan.set_hot_tags(&client).await?;
    Ok(Migrated { from, to })
}

/// The parts of the settings that the schema depends on, checked: they are written into statements.
struct Plan<'a> {
    database: &'a str,
    keep_days: u32,
    hot_tags: &'a [String],
}

impl<'a> Plan<'a> {
    fn new(settings: &'a Settings) -> Result<Self, MigrateError> {
        let database = settings.database.as_str();
        let plain = database.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !plain || database.is_empty() || database.len() > DATABASE_BYTES_MAX {
            return Err(MigrateError::Database(database.into()));
        }
        if let Some(tag) = settings.hot_tags.iter().find(|tag| !is_tag_name(tag)) {
            return Err(MigrateError::Tag(tag.clone()));
        }
        Ok(Self { database, keep_days: settings.keep_days.clamp(1, KEEP_DAYS_MAX), hot_tags: &settings.hot_tags })
    }

    /// The statements of a migration's text, filled in.
    fn statements(&self, text: &str) -> Vec<String> {
        let text: String = text.lines().filter(|line| !line.trim_start().starts_with("--")).fold(
            String::with_capacity(text.len()),
            |mut text, line| {
                text.push_str(line);
                text.push('\n');
                text
            },
        );
        let text = text.replace("{database}", self.database).replace("{keep_days}", &self.keep_days.to_string());
        text.split(";\n").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    async fn apply(&self, client: &Client, name: &str, text: &str) -> Result<(), MigrateError> {
        for statement in self.statements(text) {
            run(client, name, &statement).await?;
        }
        Ok(())
    }

    async fn version(&self, client: &Client) -> Result<u32, MigrateError> {
        let sql = format!("SELECT max(version) FROM {}.schema_version", self.database);
        client.query_raw(&sql).fetch_one().await.map_err(|source| store("schema_version", source))
    }

    /// Rows that are there already expire by the new rule when their parts merge.
    async fn set_retention(&self, client: &Client) -> Result<(), MigrateError> {
        for (table, column) in EXPIRING {
            let wanted = format!("{column} + toIntervalDay({})", self.keep_days);
            let sql =
                "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {table:String}";
            let query = client.query_raw(sql).param("database", self.database).param("table", table);
            let engine: String = query.fetch_one().await.map_err(|source| store("retention", source))?;
            if !engine.contains(&format!("TTL {wanted}")) {
                let alter = format!(
                    "ALTER TABLE {}.{table} MODIFY TTL {wanted} SETTINGS materialize_ttl_after_modify = 0",
                    self.database
                );
                run(client, "retention", &alter).await?;
            }
        }
        Ok(())
    }

    /// A column for each hot tag, and the map that the rollups keep. Columns of tags that are hot no longer stay.
    async fn set_hot_tags(&self, client: &Client) -> Result<(), MigrateError> {
        let database = self.database;
        let sql = "SELECT name, default_expression FROM system.columns \
                   WHERE database = {database:String} AND table = 'usage_events'";
        let query = client.query_raw(sql).param("database", database);
        let columns: Vec<(String, String)> = query.fetch_all().await.map_err(|source| store("hot tags", source))?;
        for tag in self.hot_tags {
            let Some(column) = hot_column(tag) else { return Err(MigrateError::Tag(tag.clone())) };
            if columns.iter().any(|(name, _)| *name == column) {
                continue;
            }
            let alter = format!(
                "ALTER TABLE {database}.usage_events \
                 ADD COLUMN IF NOT EXISTS `{column}` LowCardinality(String) MATERIALIZED tags['{tag}']"
            );
            run(client, "hot tags", &alter).await?;
        }
        let wanted = self.hot_tags_expression();
        if !columns.iter().any(|(name, expression)| name == "hot_tags" && *expression == wanted) {
            let alter = format!(
                "ALTER TABLE {database}.usage_events \
                 MODIFY COLUMN hot_tags Map(LowCardinality(String), String) MATERIALIZED {wanted}"
            );
            run(client, "hot tags", &alter).await?;
        }
        Ok(())
    }

    /// As ClickHouse itself writes it, so that the comparison holds.
    fn hot_tags_expression(&self) -> String {
        if self.hot_tags.is_empty() {
            return "map()".into();
        }
        let names: Vec<String> = self.hot_tags.iter().map(|tag| format!("'{tag}'")).collect();
        format!("mapFilter((k, v) -> has([{}], k), tags)", names.join(", "))
    }
}

fn version_of(name: &str) -> u32 {
    name.split_once('_').and_then(|(number, _)| number.parse().ok()).unwrap_or_default()
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
        for tag in ["", "A", "a'b", "a]b"] {
            let settings = Settings { hot_tags: vec!["ok".into(), tag.into()], ..sample() };
            assert!(matches!(Plan::new(&settings), Err(MigrateError::Tag(_))), "{tag}");
        }
    }

    #[test]
    fn every_migration_renders_to_statements_that_may_run_twice() {
        let settings = sample();
        let plan = Plan::new(&settings).unwrap();
        for (name, text) in MIGRATIONS.into_iter().chain([("0000_schema_version", SCHEMA_VERSION)]) {
            let statements = plan.statements(text);
            assert!(!statements.is_empty(), "{name}");
            for statement in statements {
                let repeatable = ["IF NOT EXISTS", "OR REPLACE", "MODIFY QUERY", "COMMENT COLUMN"];
                assert!(repeatable.iter().any(|words| statement.contains(words)), "{name}: {statement}");
                assert!(!statement.contains('{') && !statement.contains("--"), "{name}: {statement}");
            }
        }
    }

    #[test]
    fn migrations_are_in_the_order_of_their_numbers() {
        let versions = MIGRATIONS.map(|(name, _)| version_of(name));
        assert!(versions.iter().all(|version| *version > 0) && versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    }
}
