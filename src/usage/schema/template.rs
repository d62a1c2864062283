//! Statements as they stand in `schema/`, filled in for one server or for a cluster.
//!
//! In a cluster, tables of events and sums are `…_local` and replicated within each shard, and a table of the plain name reads
//! all shards; small tables are replicated to every node. Materialized views go from local table to local table.

/// A node's own path and name, which ClickHouse fills in from its macros.
const SHARD: &str = "{shard}";
const REPLICA: &str = "{replica}";

/// What statements are filled in with. Names are checked by who makes it: they are written into statements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Template<'a> {
    pub(super) database: &'a str,
    pub(super) keep_days: u32,
    /// Set when the tables are spread over a cluster of that name.
    pub(super) cluster: Option<&'a str>,
}

impl Template<'_> {
    /// The statements of a text, without comments, in their order.
    pub(super) fn statements(&self, text: &str) -> Vec<String> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let text = lines.fold(String::with_capacity(text.len()), |text, line| text + line + "\n");
        let parts = text.split(";\n").map(str::trim).filter(|part| !part.is_empty());
        parts.filter_map(|part| self.statement(part)).collect()
    }

    /// One statement; `None` when it is for clusters and this is none.
    pub(super) fn statement(&self, text: &str) -> Option<String> {
        let text = match text.strip_prefix("{in_cluster}") {
            Some(rest) => self.cluster.map(|_| rest.trim_start())?,
            None => text,
        };
        let keep_days = self.keep_days.to_string();
        let on_cluster = self.cluster.map_or_else(String::new, |name| format!(" ON CLUSTER `{name}`"));
        let name = self.cluster.map_or_else(String::new, |name| format!("'{name}'"));
        let (local, window) = match self.cluster {
            None => ("", "non_replicated_deduplication_window = 10000"),
            Some(_) => {
                ("_local", "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800")
            }
        };
        let filled = [
            ("{database}", self.database),
            ("{keep_days}", &keep_days),
            ("{on_cluster}", &on_cluster),
            ("{cluster}", &name),
            ("{local}", local),
            ("{window}", window),
        ];
        let text = filled.iter().fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value));
        Some(self.engine(text))
    }

    /// `{sharded:MergeTree}`, `{everywhere:ReplacingMergeTree:column}`: the engine, replicated in a cluster.
    fn engine(&self, text: String) -> String {
        let found = ["{sharded:", "{everywhere:"].into_iter().find_map(|mark| {
            let (before, rest) = text.split_once(mark)?;
            let (engine, after) = rest.split_once('}')?;
            Some((mark, before, engine, after))
        });
        let Some((mark, before, engine, after)) = found else { return text };
        let (engine, argument) = engine.split_once(':').map_or((engine, None), |(engine, rest)| (engine, Some(rest)));
        let mut arguments: Vec<String> = Vec::new();
        if self.cluster.is_some() {
            let table = self.table_of(before);
            let (path, replica) = match mark {
                "{sharded:" => (SHARD.to_owned(), REPLICA.to_owned()),
                _ => ("everywhere".to_owned(), format!("{SHARD}-{REPLICA}")),
            };
            arguments.push(format!("'/clickhouse/tables/{path}/{}/{table}'", self.database));
            arguments.push(format!("'{replica}'"));
        }
        arguments.extend(argument.map(str::to_owned));
        let replicated = if self.cluster.is_some() { "Replicated" } else { "" };
        let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        format!("{before}{replicated}{engine}{arguments}{after}")
    }

    /// The name of the table that a statement is about.
    fn table_of<'t>(&self, text: &'t str) -> &'t str {
        let mark = format!("{}.", self.database);
        let rest = text.split_once(mark.as_str()).map_or("", |(_, rest)| rest);
        rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "-- what it is for\nCREATE TABLE {database}.a{local}{on_cluster} (x UInt8)\n-- why\n\
        ENGINE = {sharded:MergeTree} ORDER BY x TTL y + {keep_days} SETTINGS {window};\n\n\
        {in_cluster} CREATE TABLE {database}.a{on_cluster} AS {database}.a_local ENGINE = Distributed({cluster}, '{database}', 'a_local');\n\
        CREATE TABLE {database}.b{on_cluster} (v UInt8) ENGINE = {everywhere:ReplacingMergeTree:v} ORDER BY v;\n";

    #[test]
    fn one_server_has_plain_tables() {
        let template = Template { database: "d", keep_days: 7, cluster: None };
        assert_eq!(
            template.statements(TABLE),
            [
                "CREATE TABLE d.a (x UInt8)\nENGINE = MergeTree ORDER BY x TTL y + 7 \
                 SETTINGS non_replicated_deduplication_window = 10000",
                "CREATE TABLE d.b (v UInt8) ENGINE = ReplacingMergeTree(v) ORDER BY v",
            ]
        );
    }

    #[test]
    fn a_cluster_has_replicated_tables_and_one_that_reads_them() {
        let template = Template { database: "d", keep_days: 7, cluster: Some("c") };
        assert_eq!(
            template.statements(TABLE),
            [
                "CREATE TABLE d.a_local ON CLUSTER `c` (x UInt8)\n\
                 ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/d/a_local', '{replica}') ORDER BY x TTL y + 7 \
                 SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800",
                "CREATE TABLE d.a ON CLUSTER `c` AS d.a_local ENGINE = Distributed('c', 'd', 'a_local')",
                "CREATE TABLE d.b ON CLUSTER `c` (v UInt8) \
                 ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/everywhere/d/b', '{shard}-{replica}', v) ORDER BY v",
            ]
        );
    }
}
