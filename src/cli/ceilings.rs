//! `org set-ceiling`.

use super::{
    error::CliError,
    keys::{organization, provider_and_pattern, rules, scope},
    orgs::told,
    output::print_json,
};
use crate::auth::{ceiling::Ceiling, issue, key::Scope, port::Registry};
use std::io::Write;

/// `org set-ceiling`.
#[derive(Debug, clap::Args)]
pub struct SetCeiling {
    /// The organization's name or id
    #[arg(long, value_name = "ORG")]
    org: String,
    /// Scopes that its keys may have; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = scope, value_delimiter = ',')]
    scopes: Vec<Scope>,
    /// Models that its keys may be allowed, as globs: `openai:gpt-*`, `*:*`; may be repeated
    #[arg(long = "allow", value_name = "PROVIDER:PATTERN", value_parser = provider_and_pattern)]
    allow: Vec<(String, String)>,
    /// Models that all its new keys are denied; may be repeated
    #[arg(long = "deny", value_name = "PROVIDER:PATTERN", value_parser = provider_and_pattern)]
    deny: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Replaces the ceiling of an organization. Keys that there are keep what they have.
pub(super) async fn set_ceiling(
    asked: SetCeiling,
    registry: &dyn Registry,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let organization = organization(&asked.org, registry).await?;
    let mut max_scopes = asked.scopes;
    max_scopes.sort_unstable();
    max_scopes.dedup();
    let ceiling = Ceiling { max_scopes, entitlements: rules(asked.allow, asked.deny) };
    let set = issue::set_ceiling(registry, organization, ceiling).await.map_err(told)?;
    if asked.json {
        return print_json(&set.ceiling, out);
    }
    Ok(writeln!(out, "the ceiling of {} is set; keys that there are keep what they have", set.name)?)
}
