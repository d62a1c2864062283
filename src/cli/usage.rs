//! `usage verify` and `usage quarantine`: whether every exchange is accounted for, and batches that the store refused.

use super::{
    error::CliError,
    output::{print_json, print_table},
};
use crate::{
    app,
    config::settings::Settings,
    usage::{
        shipper::{ClickHouse, Sink},
        spool::{
            quarantine::{self, Kept},
            verify::{self, Account},
        },
    },
};
use serde_json::{Value, json};
use std::{io::Write, path::Path};

/// Usage events on their way into the store.
#[derive(Debug, clap::Subcommand)]
pub enum UsageCommand {
    /// Prove that each exchange is stored, waits, or is counted as lost; exit status 1 when one is not
    Verify {
        /// From this moment on, at most a day ago: how long ago (`30m`, `1h`) or `2026-11-01T12:00:00Z`
        #[arg(long, value_name = "TIME", default_value = "1h")]
        since: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Batches that the store refused
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
}

/// `usage quarantine …`.
#[derive(Debug, clap::Subcommand)]
pub enum QuarantineCommand {
    /// List them
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try them again; those that are stored leave quarantine, exit status 1 when one is not
    Retry {
        /// Only these; all when none is given
        batches: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command.
pub fn run(command: UsageCommand, settings: &Settings, out: &mut dyn Write) -> Result<(), CliError> {
    let root = &settings.usage.spool.folder;
    match command {
        UsageCommand::Verify { since, json } => verify(&since, json, settings, out),
        UsageCommand::Quarantine(QuarantineCommand::List { json }) => list(root, json, out),
        UsageCommand::Quarantine(QuarantineCommand::Retry { batches, json }) => retry(&batches, json, settings, out),
    }
}

fn verify(since: &str, json: bool, settings: &Settings, out: &mut dyn Write) -> Result<(), CliError> {
    let since = verify::since(since).map_err(|bad| CliError::Usage(format!("{}: {}", bad.name, bad.problem)))?;
    let account = app::with_usage_store(settings, async |client| {
        let account = verify::verify(client, &settings.usage, since).await;
        account.map_err(|error| CliError::Failed(error.to_string()))
    })?;
    let Account { served, stored, waiting, quarantined, lost, open } = account;
    if json {
        let account = json!({
            "since": since.to_rfc3339(), "balanced": account.is_balanced(), "served": served, "stored": stored,
            "waiting": waiting, "quarantined": quarantined, "lost": lost, "open": open,
        });
        print_json(&account, out)?;
    } else {
        writeln!(out, "exchanges since {}", since.to_rfc3339())?;
        let rows = [("served", served), ("stored", stored), ("waiting", waiting), ("quarantined", quarantined)];
        for (name, count) in rows.into_iter().chain([("lost", lost), ("open", open)]) {
            writeln!(out, "{name:<14}{count}")?;
        }
    }
    if account.is_balanced() {
        return Ok(());
    }
    Err(CliError::Failed(format!("{served} exchanges were served, {} are accounted for", account.sum())))
}

fn kept(root: &Path) -> Result<(Vec<Kept>, Vec<String>), CliError> {
    let all = quarantine::list(root).map_err(|error| CliError::Failed(format!("{}: {error}", root.display())))?;
    let (mut kept, mut faults) = (Vec::new(), Vec::new());
    for one in all {
        match one {
            Ok(one) => kept.push(one),
            Err(fault) => faults.push(fault),
        }
    }
    Ok((kept, faults))
}

fn as_json(kept: &Kept) -> Value {
    json!({
        "batch": kept.batch.token, "events": kept.batch.count, "kept_at": kept.kept_at.to_rfc3339(), "reason": kept.reason,
    })
}

fn list(root: &Path, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let (kept, faults) = kept(root)?;
    if json {
        print_json(&json!({"batches": kept.iter().map(as_json).collect::<Vec<_>>(), "faults": faults}), out)?;
    } else {
        let row = |one: &Kept| {
            vec![one.batch.token.clone(), one.batch.count.to_string(), one.kept_at.to_rfc3339(), one.reason.clone()]
        };
        print_table(&["BATCH", "EVENTS", "SINCE", "REASON"], &kept.iter().map(row).collect::<Vec<_>>(), out)?;
    }
    if faults.is_empty() { Ok(()) } else { Err(CliError::Failed(faults.join("\n"))) }
}

fn retry(wanted: &[String], json: bool, settings: &Settings, out: &mut dyn Write) -> Result<(), CliError> {
    let (mut kept, mut faults) = kept(&settings.usage.spool.folder)?;
    for token in wanted.iter().filter(|token| !kept.iter().any(|one| one.batch.token == **token)) {
        faults.push(format!("there is no batch {token} in quarantine"));
    }
    kept.retain(|one| wanted.is_empty() || wanted.contains(&one.batch.token));
    let mut stored = Vec::new();
    if !kept.is_empty() {
        app::with_usage_store(settings, async |client| {
            let mut sink = ClickHouse::new(client, &settings.usage);
            sink.prepare().await.map_err(|fault| CliError::Failed(fault.to_string()))?;
            for one in &kept {
                match sink.store(&one.batch).await {
                    Ok(()) => {
                        stored.push(as_json(one));
                        one.remove().map_err(|error| CliError::Failed(format!("{}: {error}", one.path.display())))?;
                    }
                    Err(fault) => faults.push(format!("{}: {fault}", one.batch.token)),
                }
            }
            Ok::<_, CliError>(())
        })?;
    }
    if json {
        print_json(&json!({"stored": stored, "faults": faults}), out)?;
    } else {
        writeln!(out, "{} batches were stored", stored.len())?;
    }
    if faults.is_empty() { Ok(()) } else { Err(CliError::Failed(faults.join("\n"))) }
}
