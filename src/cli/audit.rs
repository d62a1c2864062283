//! `audit list`.

use super::{
    error::CliError,
    keys::organization,
    orgs::store_down,
    output::{PAGE, all, print_json, print_table},
};
use crate::auth::{
    audit::AuditRow,
    port::{Page, Registry},
};
use std::io::Write;

/// What was changed.
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// List all changes, oldest first
    List(List),
}

/// `audit list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only those of this organization: its name or id
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command and prints what comes of it.
pub async fn run(command: AuditCommand, registry: &dyn Registry, out: &mut dyn Write) -> Result<(), CliError> {
    let AuditCommand::List(list) = command;
    let of = match &list.org {
        Some(org) => Some(organization(org, registry).await?.id),
        None => None,
    };
    let page = async |last: Option<&AuditRow>| {
        registry.audit(of.as_ref(), Page { after: last.map(|row| &row.id), count_max: PAGE }).await
    };
    let rows = all(page).await.map_err(store_down)?;
    if list.json {
        return print_json(&rows, out);
    }
    let cells = rows.iter().map(|row| {
        let value = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        let (before, after) = (value(&row.before), value(&row.after));
        vec![row.at.to_rfc3339(), row.who.clone(), row.what.clone(), row.subject.clone(), before, after]
    });
    print_table(&["AT", "WHO", "WHAT", "SUBJECT", "BEFORE", "AFTER"], &cells.collect::<Vec<_>>(), out)
}
