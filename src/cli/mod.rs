//! The command line: one program, its commands, their exit status (0 done, 1 failed, 2 bad usage or configuration).

pub mod audit;
mod budgets;
mod ceilings;
pub mod error;
pub mod keys;
mod limits;
pub mod mask;
pub mod migrate;
pub mod orgs;
mod output;
pub mod prices;
pub mod reprice;
mod show;
pub mod usage;
mod usage_store;

use crate::{
    app,
    config::{self, env, report::check_report, settings::Settings},
};
use clap::{Parser, Subcommand};
use error::CliError;
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// One entry point to many AI providers.
#[derive(Debug, Parser)]
#[command(name = "sociaro-gateway", version, about, propagate_version = true)]
struct Arguments {
    /// The folder that holds gateway.yaml, providers.yaml and prices.yaml
    #[arg(long, global = true, default_value = "conf", value_name = "DIR")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default)
    Serve {
        /// Take the listening sockets over from the gateway that runs
        #[arg(long)]
        upgrade: bool,
    },
    /// Check the configuration and say all that is wrong, with file, line and field
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Organizations
    #[command(subcommand)]
    Org(orgs::OrgCommand),
    /// Gateway keys
    #[command(subcommand)]
    Key(keys::KeyCommand),
    /// What was changed, by whom and when
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The price book
    #[command(subcommand)]
    Prices(prices::PricesCommand),
    /// Mask personal data and secrets in the text on standard input
    Mask(mask::Mask),
    /// Correct the costs of a span after a correction of prices: adds rows, changes none, and can be run again
    Reprice(reprice::Reprice),
    /// Bring the schemas of the control store and the usage store up to date
    Migrate(migrate::Migrate),
    /// Usage events on their way into the usage store
    #[command(subcommand)]
    Usage(usage::UsageCommand),
    /// Serve the embedded usage store; the gateway starts this by itself
    #[command(hide = true)]
    UsageStore(usage_store::UsageStore),
    /// Print the version
    Version {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _told = writeln!(io::stderr(), "error: {}", error.to_string().trim_end());
            ExitCode::from(error.exit_status())
        }
    }
}

fn run(Arguments { config, command }: Arguments) -> Result<(), CliError> {
    let out = &mut io::stdout();
    match command.unwrap_or(Command::Serve { upgrade: false }) {
        Command::Serve { upgrade } => app::serve(&load(&config)?, upgrade).map_err(CliError::from),
        Command::Check { json } => check(&config, json),
        Command::Org(command) => app::with_store(&load(&config)?, async |store| orgs::run(command, store, out).await),
        Command::Key(command) => app::with_store(&load(&config)?, async |store| keys::run(command, store, out).await),
        Command::Audit(command) => {
            app::with_store(&load(&config)?, async |store| audit::run(command, store, out).await)
        }
        Command::Prices(command) => prices::run(command, &config, out),
        Command::Mask(asked) => mask::run(&asked, &mut io::stdin().lock(), out),
        Command::Reprice(asked) => reprice::run(asked, &load(&config)?, out),
        Command::Migrate(asked) => migrate::run(&asked, &load(&config)?, out),
        Command::Usage(command) => usage::run(command, &load(&config)?, out),
        Command::UsageStore(arguments) => usage_store::run(arguments),
        Command::Version { json } => {
            let version = env!("CARGO_PKG_VERSION");
            let line = if json {
                serde_json::json!({"name": "sociaro-gateway", "version": version}).to_string()
            } else {
                format!("sociaro-gateway {version}")
            };
            Ok(writeln!(out, "{line}")?)
        }
    }
}

/// Loads the configuration; all its faults are one message.
fn load(folder: &Path) -> Result<Settings, CliError> {
    let loaded = config::settings::load(folder, &env::variable);
    let report = check_report(&loaded).0;
    loaded.map_err(|_| CliError::Usage(report))
}

fn check(folder: &Path, json: bool) -> Result<(), CliError> {
    let loaded = config::settings::load(folder, &env::variable);
    let (text, value) = check_report(&loaded);
    if json {
        writeln!(io::stdout(), "{value}")?;
    } else if loaded.is_ok() {
        writeln!(io::stdout(), "{}", text.trim_end())?;
    }
    match loaded {
        Ok(_) => Ok(()),
        Err(_) if json => Err(CliError::Usage("the configuration has faults".to_owned())),
        Err(_) => Err(CliError::Usage(text)),
    }
}
