//! Limits on the command line: of a key that is issued, and `org set-limits`.

use super::{error::CliError, keys::organization, orgs::told, output::print_json};
use crate::{
    auth::{issue, port::Registry, view},
    limits::KeyLimits,
};
use std::io::Write;

/// Limits; those that are not given do not exist.
#[derive(Debug, clap::Args)]
pub struct LimitArguments {
    /// Requests a second, sustained; unlimited unless given
    #[arg(long, value_name = "N")]
    rps: Option<u32>,
    /// Requests at once above the sustained pace; one second's worth unless given
    #[arg(long, value_name = "N", requires = "rps")]
    burst: Option<u32>,
    /// Requests in flight at once; unlimited unless given
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Tokens a minute, in and out together; unlimited unless given
    #[arg(long, value_name = "N")]
    tpm: Option<u32>,
    /// Tokens a minute that go in; unlimited unless given
    #[arg(long, value_name = "N")]
    input_tpm: Option<u32>,
    /// Tokens a minute that come out; unlimited unless given
    #[arg(long, value_name = "N")]
    output_tpm: Option<u32>,
}

impl From<LimitArguments> for KeyLimits {
    fn from(arguments: LimitArguments) -> Self {
        Self {
            requests_per_second: arguments.rps,
            burst: arguments.burst,
            concurrent_requests: arguments.concurrency,
            tokens_per_minute: arguments.tpm,
            input_tokens_per_minute: arguments.input_tpm,
            output_tokens_per_minute: arguments.output_tpm,
        }
    }
}

/// `org set-limits`.
#[derive(Debug, clap::Args)]
pub struct SetLimits {
    /// The organization's name or id
    #[arg(long, value_name = "ORG")]
    org: String,
    #[command(flatten)]
    limits: LimitArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Replaces the limits of an organization; gateways that run follow as they read its keys again.
pub(super) async fn set_limits(asked: SetLimits, registry: &dyn Registry, out: &mut dyn Write) -> Result<(), CliError> {
    let organization = organization(&asked.org, registry).await?;
    let set = issue::set_organization_limits(registry, organization, asked.limits.into()).await.map_err(told)?;
    if asked.json {
        return print_json(&view::organization(&set), out);
    }
    let limits = serde_json::to_string(&set.limits).map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(writeln!(out, "{}: {limits}; instances that run follow within 30 seconds", set.name)?)
}
