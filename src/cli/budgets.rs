//! `org set-budget`, and how budgets are written on the command line.

use super::{error::CliError, keys::organization, orgs::store_down, output::print_json};
use crate::{
    auth::port::Registry,
    base::{
        ids::{BudgetId, KeyId},
        money::Money,
    },
    budgets::{
        budget::{self, Budget, Enforcement, Subject},
        calendar::Window,
        port::{BudgetStore, SetError},
        view,
    },
};
use std::io::Write;

/// `org set-budget`.
#[derive(Debug, clap::Args)]
pub struct SetBudget {
    /// The organization's name or id
    #[arg(long, value_name = "ORG")]
    org: String,
    /// Only what this key spends
    #[arg(long, value_name = "KEY_ID", conflicts_with = "tag")]
    key: Option<String>,
    /// Only what requests with this attribution tag spend
    #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
    tag: Option<Subject>,
    /// The most that may be spent in a window, in dollars
    #[arg(long, value_name = "USD", value_parser = limit, required_unless_present = "remove")]
    limit: Option<Money>,
    /// The window, by the calendar of `budgets.time_zone`
    #[arg(long, value_name = "day|month|total", default_value = "month", value_parser = window)]
    window: Window,
    /// `on`: what there is no room for is refused; `off`: it only reports
    #[arg(long, value_name = "on|off", default_value = "on", value_parser = enforcement)]
    enforcement: Enforcement,
    /// Remove the budget of that subject and window
    #[arg(long, conflicts_with_all = ["limit", "enforcement"])]
    remove: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Sets, changes or removes a budget; gateways that run follow within a second or so.
pub(super) async fn set_budget<S: Registry + BudgetStore>(
    asked: SetBudget,
    store: &S,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let organization = organization(&asked.org, store).await?;
    let key = asked.key.map(|id| Subject::Key(KeyId::new(id)));
    let subject = key.or(asked.tag).unwrap_or(Subject::Organization);
    let (organization_id, window) = (organization.id, asked.window);
    let Some(limit) = asked.limit else {
        let removed = store.remove_budget(&organization_id, &subject, window).await.map_err(store_down)?;
        return print_removed(removed, asked.json, out);
    };
    let (id, enforcement) = (BudgetId::generate(), asked.enforcement);
    let budget = Budget { id, organization_id, subject, window, limit, enforcement };
    let set = store.set_budget(&budget).await.map_err(|error| match error {
        SetError::Down(down) => store_down(down),
        SetError::NoOrganization | SetError::NoKey => CliError::Failed(error.to_string()),
    })?;
    if asked.json {
        return print_json(&view::budget(&set), out);
    }
    let Budget { id, subject, window, limit, enforcement, .. } = &set;
    let (window, enforcement) = (window.as_str(), enforcement.as_str());
    Ok(writeln!(out, "{id}: {limit} USD, window {window}, for {subject}, enforcement {enforcement}")?)
}

fn print_removed(removed: bool, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    if json {
        return print_json(&serde_json::json!({"removed": removed}), out);
    }
    Ok(writeln!(out, "{}", if removed { "the budget is removed" } else { "there was no such budget" })?)
}

/// Reads `25/month`.
pub(super) fn budget(text: &str) -> Result<(Money, Window), String> {
    let (amount, name) = text.split_once('/').ok_or("must be dollars and a window, such as 25/month")?;
    Ok((limit(amount)?, window(name)?))
}

pub(super) fn enforcement(text: &str) -> Result<Enforcement, String> {
    Enforcement::parse(text).ok_or_else(|| "must be on or off".to_owned())
}

fn limit(text: &str) -> Result<Money, String> {
    budget::limit(text).ok_or_else(|| "must be dollars, from 0 to 1000000000 with at most nine decimals".to_owned())
}

fn window(text: &str) -> Result<Window, String> {
    Window::parse(text).ok_or_else(|| "must be day, month or total".to_owned())
}

fn tag(text: &str) -> Result<Subject, String> {
    Subject::tag(text).ok_or_else(|| "must be a tag's name and its value, such as project=atlas".to_owned())
}
