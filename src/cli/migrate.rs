//! `migrate`: brings the stores' schemas up to date, or prints what the usage store's consists of.

use super::{error::CliError, output::print_json};
use crate::{
    app,
    config::settings::Settings,
    usage::schema::{Script, script},
};
use serde_json::json;
use std::io::Write;

/// What to do about the schemas.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// Only print the statements that make the usage store's tables, and touch nothing
    #[arg(long)]
    print: bool,
    /// Print for one server or for a cluster, whatever the configuration says
    #[arg(long, value_enum, requires = "print")]
    mode: Option<Mode>,
    /// The cluster's name
    #[arg(long, requires = "print", value_name = "NAME")]
    cluster: Option<String>,
    /// Print the statements that make a user who reads the views and nothing else
    #[arg(long, requires = "print")]
    analyst: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// The embedded store, or one ClickHouse server
    Single,
    /// Replicated tables on each shard, and tables that read all of them
    Cluster,
}

/// Migrates, or prints.
pub fn run(asked: &Migrate, settings: &Settings, out: &mut dyn Write) -> Result<(), CliError> {
    if asked.print {
        return print(asked, settings, out);
    }
    let (from, to) = app::migrate(settings).map_err(CliError::from)?;
    if asked.json {
        return print_json(&json!({"usage_store": {"from": from, "to": to}}), out);
    }
    Ok(writeln!(out, "the control store is up to date; the usage store went from version {from} to {to}")?)
}

fn print(asked: &Migrate, settings: &Settings, out: &mut dyn Write) -> Result<(), CliError> {
    let configured = asked.cluster.as_deref().or(settings.usage.store.cluster());
    let cluster = match (asked.mode, configured) {
        (Some(Mode::Single), _) => None,
        (Some(Mode::Cluster), None) => {
            return Err(CliError::Usage("--mode cluster needs --cluster NAME, or one in the configuration".to_owned()));
        }
        (_, configured) => configured,
    };
    let which = if asked.analyst { Script::Analyst } else { Script::Tables };
    let text = script(&settings.usage, cluster, which).map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(write!(out, "{text}")?)
}
