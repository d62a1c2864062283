//! `reprice`: corrects costs of a span after a correction of prices.

use super::{error::CliError, output::print_json};
use crate::{
    app,
    base::money::Money,
    config::settings::Settings,
    usage::reprice::{Mode, Outcome, Span, reprice},
};
use serde_json::json;
use std::io::Write;

/// What to reprice.
#[derive(Debug, clap::Args)]
pub struct Reprice {
    /// From this moment on: `2026-11-01` (in UTC), `2026-11-01T12:00:00Z`, or how long ago (`90m`, `12h`, `7d`, `4w`)
    #[arg(long, value_name = "TIME")]
    since: String,
    /// Before this moment
    #[arg(long, value_name = "TIME")]
    until: String,
    /// Only this provider's; may be a glob
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Only this model's, as statistics name it; may be a glob
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reprices by the price book of the configuration, and says what came of it.
pub fn run(asked: Reprice, settings: &Settings, out: &mut dyn Write) -> Result<(), CliError> {
    let Reprice { since, until, provider, model, dry_run, json } = asked;
    let span = Span::new(&since, &until, provider, model)
        .map_err(|bad| CliError::Usage(format!("{}: {}", bad.name, bad.problem)))?;
    let mode = if dry_run { Mode::DryRun } else { Mode::Store };
    let outcome = app::with_usage_store(settings, async |client| {
        let done = reprice(client, &settings.usage, &settings.prices, &span, mode).await;
        done.map_err(|error| CliError::Failed(error.to_string()))
    })?;
    if json {
        return print_json(&as_json(&outcome, &span, dry_run, settings.prices.version()), out);
    }
    as_text(&outcome, &span, dry_run, out)
}

fn difference(outcome: &Outcome) -> Money {
    Money::from_nanos(outcome.cost_after.nanos().saturating_sub(outcome.cost_before.nanos()))
}

fn as_json(outcome: &Outcome, span: &Span, dry_run: bool, version: &str) -> serde_json::Value {
    let (since, until) = span.ends();
    json!({
        "since": since.to_rfc3339(),
        "until": until.to_rfc3339(),
        "dry_run": dry_run,
        "price_version": version,
        "exchanges": outcome.exchanges,
        "corrected": outcome.corrected,
        "without_price": outcome.without_price,
        "corrected_otherwise": outcome.corrected_otherwise,
        "summed": outcome.summed,
        "cost_usd_before": outcome.cost_before.to_string(),
        "cost_usd_after": outcome.cost_after.to_string(),
        "cost_usd_difference": difference(outcome).to_string(),
        "batches_finished": outcome.batches_finished,
    })
}

fn as_text(outcome: &Outcome, span: &Span, dry_run: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let (since, until) = span.ends();
    writeln!(out, "{} exchanges from {} to {}", outcome.exchanges, since.to_rfc3339(), until.to_rfc3339())?;
    let corrected = if dry_run { "to correct" } else { "corrected" };
    writeln!(out, "{corrected:<22}{}", outcome.corrected)?;
    writeln!(out, "without a price       {} (left as they are)", outcome.without_price)?;
    writeln!(out, "corrected otherwise   {} (left as they are)", outcome.corrected_otherwise)?;
    writeln!(out, "priced in parts       {} (left as they are)", outcome.summed)?;
    if outcome.batches_finished > 0 {
        writeln!(out, "finished              {} batches of a run that was broken off", outcome.batches_finished)?;
    }
    writeln!(out, "cost before           ${}", outcome.cost_before)?;
    writeln!(out, "cost after            ${}", outcome.cost_after)?;
    writeln!(out, "difference            ${}", difference(outcome))?;
    if dry_run {
        writeln!(out, "Nothing was changed.")?;
    }
    Ok(())
}
