//! `org show`, `org disable`, `org enable` and `key show`.

use super::{
    error::CliError,
    keys::organization,
    orgs::{store_down, told},
    output::print_json,
};
use crate::{
    auth::{
        port::{Organization, Page, Registry},
        view,
    },
    base::{
        clock,
        ids::{KeyId, OrganizationId},
    },
    budgets::{
        self,
        budget::{Budget, Subject},
        port::BudgetStore,
    },
};
use std::io::Write;

/// Budgets of one organization that are shown.
const BUDGETS_MAX: u32 = 1_000;

/// An organization that a command is about.
#[derive(Debug, clap::Args)]
pub struct OneOrganization {
    /// Its name or id
    #[arg(long, value_name = "ORG")]
    org: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `key show`.
#[derive(Debug, clap::Args)]
pub struct ShowKey {
    /// The key's id, as `key list` shows it
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows all that is set of an organization.
pub(super) async fn show_organization<S: Registry + BudgetStore>(
    asked: OneOrganization,
    store: &S,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let organization = organization(&asked.org, store).await?;
    let budgets = budgets_of(store, &organization.id, |_| true).await?;
    let Organization { id, name, limits, ceiling, disabled_at, created_at } = &organization;
    let shown = serde_json::json!({
        "id": id.as_str(),
        "name": name,
        "created_at": created_at.to_rfc3339(),
        "disabled_at": disabled_at.map(clock::Timestamp::to_rfc3339),
        "limits": limits,
        "ceiling": ceiling,
        "budgets": budgets.iter().map(budgets::view::budget).collect::<Vec<_>>(),
    });
    print(&shown, asked.json, out)
}

/// Switches an organization off or on.
pub(super) async fn switch<S: Registry + BudgetStore>(
    asked: OneOrganization,
    on: bool,
    store: &S,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let organization = organization(&asked.org, store).await?;
    let since = match organization.disabled_at {
        _ if on => None,
        Some(since) => Some(since),
        None => Some(clock::now()),
    };
    store.set_disabled(&organization.id, since).await.map_err(|error| told(error.into()))?;
    let organization = Organization { disabled_at: since, ..organization };
    if asked.json {
        return print_json(&view::organization(&organization), out);
    }
    let state = if on { "on" } else { "off" };
    Ok(writeln!(out, "{} is switched {state}; instances that run follow within 30 seconds", organization.name)?)
}

/// Shows all that is set of a key.
pub(super) async fn show_key<S: Registry + BudgetStore>(
    asked: ShowKey,
    store: &S,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let id = KeyId::new(asked.id);
    let found = store.find_key(&id).await.map_err(store_down)?;
    let key =
        found.ok_or_else(|| CliError::Failed(format!("there is no key {:?}; `key list` shows them", id.as_str())))?;
    let budgets = budgets_of(store, &key.organization_id, |budget| budget.subject == Subject::Key(id.clone())).await?;
    let mut shown =
        serde_json::to_value(view::listed(&key, clock::now())).map_err(|error| CliError::Failed(error.to_string()))?;
    if let Some(members) = shown.as_object_mut() {
        let budgets = serde_json::json!(budgets.iter().map(budgets::view::budget).collect::<Vec<_>>());
        members.insert("budgets".to_owned(), budgets);
    }
    print(&shown, asked.json, out)
}

async fn budgets_of(
    store: &impl BudgetStore,
    id: &OrganizationId,
    wanted: impl Fn(&Budget) -> bool,
) -> Result<Vec<Budget>, CliError> {
    let page = Page { after: None, count_max: BUDGETS_MAX };
    let all = store.budgets(Some(id), page).await.map_err(store_down)?;
    Ok(all.into_iter().filter(wanted).collect())
}

/// A line for each member, or JSON.
fn print(shown: &serde_json::Value, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    if json {
        return print_json(shown, out);
    }
    for (name, value) in shown.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        writeln!(out, "{:<16}{text}", format!("{name}:"))?;
    }
    Ok(())
}
