//! The provider simulator of the tests as a program of its own, for `make demo` and the benches:
//! `cargo run --example provider_simulator -- [--port N] [--threads N] [--keep N] [--credential FAMILY=SECRET]…`
//! Prints one line, `listening on 127.0.0.1:PORT`, and serves until it is interrupted.

#[path = "../tests/support/simulator/mod.rs"]
pub mod simulator;

use clap::Parser;
use simulator::{Family, Options, Simulator};
use std::io::Write;

/// Answers as the providers do, counting words as tokens.
#[derive(Debug, Parser)]
struct Arguments {
    /// The loopback port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Threads that serve connections.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// How many requests to keep in memory.
    #[arg(long, default_value_t = 0)]
    keep: usize,
    /// The secret that a family accepts; a family that is not named accepts any. May be repeated.
    #[arg(long, value_name = "FAMILY=SECRET", value_parser = credential)]
    credential: Vec<(Family, String)>,
}

fn credential(text: &str) -> Result<(Family, String), String> {
    let (name, secret) = text.split_once('=').ok_or("expected FAMILY=SECRET")?;
    let family = Family::ALL.into_iter().find(|family| format!("{family:?}").eq_ignore_ascii_case(name));
    family.map(|family| (family, secret.to_owned())).ok_or_else(|| format!("the families are {:?}", Family::ALL))
}

fn main() -> anyhow::Result<()> {
    let Arguments { port, threads, keep, credential } = Arguments::parse();
    let options = Options { port, threads, requests_kept_max: keep, credentials: credential };
    let simulator = Simulator::start(options)?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", simulator.address())?;
    out.flush()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    })?;
    Ok(())
}
