//! `prices check` and `prices show`: the price book, looked at without starting anything.

use super::{
    error::CliError,
    output::{print_json, print_table},
};
use crate::{
    base::clock::{self, Timestamp},
    config::{env, report::refused, settings::load_prices},
    pricing::{
        book::{PriceBook, PriceRow},
        view::{self, RowView, TierView, prices_named},
    },
};
use serde_json::json;
use std::{collections::BTreeSet, io::Write, path::Path};

/// Prices.
#[derive(Debug, clap::Subcommand)]
pub enum PricesCommand {
    /// Check prices.yaml alone, and say what is in it
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the prices of a model, whoever provides it
    Show(Show),
}

/// `prices show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The model as a caller or a provider names it: its own name, an alias, a dated snapshot
    model: String,
    /// Only this provider's price
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Prices of that time instead of now: `2026-01-31` (in UTC) or `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command on the configuration of a folder.
pub fn run(command: PricesCommand, folder: &Path, out: &mut dyn Write) -> Result<(), CliError> {
    let book = load_prices(folder, &env::variable);
    match (command, book) {
        (PricesCommand::Check { json }, Err(faults)) => {
            let (text, value) = refused(&faults);
            if !json {
                return Err(CliError::Usage(text));
            }
            print_json(&value, out)?;
            Err(CliError::Usage("the price file has faults".to_owned()))
        }
        (PricesCommand::Show(_), Err(faults)) => Err(CliError::Usage(refused(&faults).0)),
        (PricesCommand::Check { json }, Ok(book)) => check(&book, clock::now(), json, out),
        (PricesCommand::Show(asked), Ok(book)) => show(&book, &asked, out),
    }
}

fn check(book: &PriceBook, now: Timestamp, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let rows = book.rows();
    let names = |keep: &dyn Fn(&PriceRow) -> bool| -> Vec<String> {
        rows.iter().filter(|row| keep(row)).map(|row| book.row_version(row)).collect()
    };
    let ended = names(&|row| row.until.is_some_and(|until| until <= now));
    let to_come = names(&|row| now < row.from);
    let without_source = names(&|row| row.source.is_empty());
    let models: BTreeSet<_> = rows.iter().map(|row| (&row.provider, &row.model)).collect();
    let providers: BTreeSet<_> = rows.iter().map(|row| &row.provider).collect();
    let prices: usize = rows.iter().map(prices_named).sum();
    if json {
        let value = json!({
            "valid": true,
            "faults": [],
            "version": book.version(),
            "rows": rows.len(),
            "models": models.len(),
            "providers": providers,
            "prices": prices,
            "ended": ended,
            "to_come": to_come,
            "without_source": without_source,
        });
        return print_json(&value, out);
    }
    writeln!(out, "The price file is valid.")?;
    writeln!(out, "version         {}", book.version())?;
    writeln!(out, "rows            {}, of {} models at {} providers", rows.len(), models.len(), providers.len())?;
    writeln!(out, "prices          {prices}")?;
    for (title, rows) in [("ended", ended), ("to come", to_come), ("without source", without_source)] {
        writeln!(out, "{title:<14}  {}", rows.len())?;
        for row in rows {
            writeln!(out, "  {row}")?;
        }
    }
    Ok(())
}

fn show(book: &PriceBook, asked: &Show, out: &mut dyn Write) -> Result<(), CliError> {
    let at = asked.at.unwrap_or_else(clock::now);
    let wanted = |name: &&str| asked.provider.as_deref().is_none_or(|wanted| wanted == *name);
    let providers = book.providers().into_iter().filter(wanted);
    let rows: Vec<RowView> = providers.filter_map(|provider| view::find(book, provider, &asked.model, at)).collect();
    if asked.json {
        print_json(&json!({"model": asked.model, "at": at.to_rfc3339(), "rows": rows}), out)?;
    } else {
        for (place, row) in rows.iter().enumerate() {
            if place > 0 {
                writeln!(out)?;
            }
            print_row(row, out)?;
        }
    }
    if !rows.is_empty() {
        return Ok(());
    }
    let of = asked.provider.as_ref().map_or_else(String::new, |provider| format!(" of {provider}"));
    Err(CliError::Failed(format!("no price for the model {:?}{of} at {}", asked.model, at.to_rfc3339())))
}

fn print_row(row: &RowView, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(out, "{}: {}", row.provider, row.model)?;
    writeln!(out, "version  {}", row.version)?;
    let of = row.like.as_ref().map_or_else(String::new, |owner| format!("the row of {owner}, "));
    if row.like.is_some() || row.times != "1" {
        writeln!(out, "terms    {of}times {}", row.times)?;
    }
    let span = match (&row.from, &row.until) {
        (None, None) => "always".to_owned(),
        (Some(from), None) => format!("from {from}"),
        (None, Some(until)) => format!("until {until}"),
        (Some(from), Some(until)) => format!("from {from} until {until}"),
    };
    writeln!(out, "holds    {span}")?;
    if !row.aliases.is_empty() {
        writeln!(out, "aliases  {}", row.aliases.join(", "))?;
    }
    writeln!(out, "source   {}", if row.source.is_empty() { "not given" } else { &row.source })?;
    let heads: Vec<String> = ["USD".to_owned()].into_iter().chain(row.tiers.iter().map(tier_name)).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    // Each tier names the same classes, but for those that it has no price for.
    let mut classes: Vec<(&str, u32)> = Vec::new();
    for price in row.tiers.iter().flat_map(|tier| &tier.prices) {
        if !classes.contains(&(price.class, price.per)) {
            classes.push((price.class, price.per));
        }
    }
    let line = |(class, per): &(&str, u32)| {
        let price =
            |tier: &TierView| tier.prices.iter().find(|price| price.class == *class).map(|price| price.usd.clone());
        let prices = row.tiers.iter().map(|tier| price(tier).unwrap_or_else(|| "-".to_owned()));
        let name = if *per == 1 { format!("{class}, each") } else { format!("{class}, per million") };
        std::iter::once(name).chain(prices).collect::<Vec<_>>()
    };
    print_table(&heads, &classes.iter().map(line).collect::<Vec<_>>(), out)?;
    if !row.stand_ins.is_empty() {
        let stand_ins = row.stand_ins.iter().map(|one| format!("{} as {}", one.class, one.charged_as));
        writeln!(out, "charged  {}", stand_ins.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

fn tier_name(tier: &TierView) -> String {
    let name = tier.service_tier.as_deref().unwrap_or("standard");
    tier.input_tokens_above.map_or_else(|| name.to_owned(), |above| format!("{name} >{above}"))
}

/// A date, which means its first moment in UTC, or a moment in RFC 3339.
fn moment(text: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse_rfc3339(&whole).map_err(|_| "must be a date such as 2026-01-31 or 2026-01-31T12:00:00Z".to_owned())
}
