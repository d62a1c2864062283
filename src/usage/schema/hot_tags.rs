//! Tags that settings name as hot: a column of the events for each, a map of them all in the rollups, and a record of since
//! when they are there. Before that moment, statistics must look at the events.

use super::{super::tag::hot_column, MigrateError, Plan, run, store};
use crate::{
    base::clock::{self, Timestamp},
    usage::ask::{AskError, Bounds, Statement},
};
use clickhouse::Client;
use std::collections::BTreeSet;

/// Changes that are looked back at.
const CHANGES: u32 = 1000;

/// The newest changes first: when, and what the hot tags are from then on.
const SELECT: &str = "SELECT toUnixTimestamp64Milli(changed_at) AS at, tags FROM";
const ORDER: &str = "hot_tags ORDER BY changed_at DESC, length(tags) LIMIT";

#[derive(Debug, clickhouse::Row, serde::Deserialize)]
struct Change {
    at: i64,
    tags: Vec<String>,
}

/// A column that the events must have.
pub(super) struct Column {
    name: String,
    /// Set where it matters what the column is made of.
    expression: Option<String>,
    /// Makes it, as a text of the template.
    pub(super) text: String,
}

/// Sets the columns, and notes the change. Columns of tags that are hot no longer stay.
pub(super) async fn set(plan: &Plan<'_>, client: &Client) -> Result<(), MigrateError> {
    let failed = |source| store("hot tags", source);
    let sql = "SELECT name, default_expression FROM system.columns \
               WHERE database = {database:String} AND table = {table:String}";
    let query = client.query_raw(sql).param("database", plan.template.database);
    let query = query.param("table", plan.fill("usage_events{local}"));
    let present: Vec<(String, String)> = query.fetch_all().await.map_err(failed)?;
    for column in columns(plan)? {
        let same = |(name, expression): &(String, String)| {
            *name == column.name && column.expression.as_ref().is_none_or(|wanted| wanted == expression)
        };
        if !present.iter().any(same) {
            plan.apply(client, "hot tags", &column.text).await?;
        }
    }
    let noted = plan.fill(&format!("{SELECT} {{database}}.{ORDER} 1"));
    let noted: Option<Change> = client.query_raw(&noted).fetch_optional().await.map_err(failed)?;
    let wanted: BTreeSet<&String> = plan.hot_tags.iter().collect();
    if noted.is_some_and(|noted| noted.tags.iter().collect::<BTreeSet<_>>() == wanted) {
        return Ok(());
    }
    // events expire, sums do not
    let any = plan.fill("SELECT count() FROM (SELECT 1 FROM {database}.usage_daily LIMIT 1)");
    let rows: u64 = client.query_raw(&any).fetch_one().await.map_err(failed)?;
    let since = if rows == 0 { Timestamp::from_millis(0) } else { clock::now() };
    run(client, "hot tags", &note(plan, since)).await
}

/// The columns that the settings want, the map for the rollups last.
pub(super) fn columns(plan: &Plan<'_>) -> Result<Vec<Column>, MigrateError> {
    let mut columns = Vec::new();
    for tag in plan.hot_tags {
        let Some(name) = hot_column(tag) else { return Err(MigrateError::Tag(tag.clone())) };
        let kind = format!("LowCardinality(String) MATERIALIZED tags['{tag}']");
        let add = format!("ADD COLUMN IF NOT EXISTS `{name}` {kind} COMMENT 'the tag {tag}'");
        let text = format!(
            "ALTER TABLE {{database}}.usage_events{{local}}{{on_cluster}} {add};\n\
             {{in_cluster}} ALTER TABLE {{database}}.usage_events{{on_cluster}} {add};\n"
        );
        columns.push(Column { name, expression: None, text });
    }
    let map = map(plan.hot_tags);
    let text = format!(
        "ALTER TABLE {{database}}.usage_events{{local}}{{on_cluster}} \
         MODIFY COLUMN hot_tags Map(LowCardinality(String), String) MATERIALIZED {map};\n"
    );
    columns.push(Column { name: "hot_tags".to_owned(), expression: Some(map), text });
    Ok(columns)
}

/// Notes that these are the hot tags from a moment on.
pub(super) fn note(plan: &Plan<'_>, since: Timestamp) -> String {
    let tags: Vec<String> = plan.hot_tags.iter().map(|tag| format!("'{tag}'")).collect();
    plan.fill(&format!(
        "INSERT INTO {{database}}.hot_tags (changed_at, tags) VALUES (fromUnixTimestamp64Milli({}, 'UTC'), [{}])",
        since.millis(),
        tags.join(", ")
    ))
}

/// As ClickHouse itself writes it, so that the comparison holds.
fn map(hot_tags: &[String]) -> String {
    if hot_tags.is_empty() {
        return "map()".into();
    }
    let names: Vec<String> = hot_tags.iter().map(|tag| format!("'{tag}'")).collect();
    format!("mapFilter((k, v) -> has([{}], k), tags)", names.join(", "))
}

/// The first moment from which on the rollups have all of these tags; `None` when they do not have them now.
///
/// # Errors
/// The store does not answer, or has no tables yet.
pub(in crate::usage) async fn hot_since(
    client: &Client,
    bounds: &Bounds,
    tags: &[&str],
) -> Result<Option<Timestamp>, AskError> {
    let statement = Statement { sql: format!("{SELECT} {ORDER} {CHANGES}"), ..Statement::default() };
    let changes: Vec<Change> = statement.fetch(client, bounds).await?;
    Ok(since(&changes, tags))
}

fn since(changes: &[Change], tags: &[&str]) -> Option<Timestamp> {
    let hot = |change: &&Change| tags.iter().all(|tag| change.tags.iter().any(|name| name == tag));
    changes.iter().take_while(hot).last().map(|change| Timestamp::from_millis(change.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_counts_from_its_last_return_on() {
        let changes = [(40, vec!["a", "b"]), (30, vec!["a"]), (20, vec!["b"]), (10, vec!["a"])]
            .map(|(at, tags)| Change { at, tags: tags.into_iter().map(str::to_owned).collect() });
        for (tags, expected) in [
            (vec!["a"], Some(30)),
            (vec!["b"], Some(40)),
            (vec!["a", "b"], Some(40)),
            (vec!["c"], None),
            (vec![], Some(10)),
        ] {
            assert_eq!(since(&changes, &tags).map(Timestamp::millis), expected, "{tags:?}");
        }
    }
}
