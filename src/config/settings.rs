//! All settings of the program, checked: each module owns its own part.

use super::{
    env::Env,
    fault::{Fault, in_order},
    fields::{Fields, Source},
    gateway, prices, providers, yaml,
};
use crate::{
    auth, budgets, exchange, limits, pricing, prompt, providers::provider::Provider, proxy, store, telemetry, usage,
};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The three files of a configuration folder.
pub const FILES: [&str; 3] = ["gateway.yaml", "providers.yaml", "prices.yaml"];

/// What the three files say, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub log: telemetry::settings::Settings,
    pub proxy: proxy::settings::Settings,
    pub store: store::settings::Settings,
    pub auth: auth::settings::Settings,
    pub limits: limits::settings::Settings,
    pub budgets: budgets::settings::Settings,
    pub exchange: exchange::settings::Settings,
    pub usage: usage::settings::Settings,
    pub prompt: prompt::settings::Settings,
    /// The enabled providers.
    pub providers: Vec<Provider>,
    /// Providers whose credential is not set: name, and what would enable it.
    pub disabled: Vec<(String, String)>,
    pub prices: Arc<pricing::book::PriceBook>,
}

/// One file's name, as faults show it, and what it holds.
#[derive(Debug)]
pub struct File {
    pub name: PathBuf,
    pub bytes: io::Result<Vec<u8>>,
}

/// Reads and checks the three files of a folder. `env` looks up a variable of the environment.
///
/// # Errors
/// Every fault of every file.
pub fn load(folder: &Path, env: Env<'_>) -> Result<Settings, Vec<Fault>> {
    let files = FILES.map(|name| {
        let name = folder.join(name);
        File { bytes: read_file(&name), name }
    });
    check(&files, env)
}

/// Reads and checks prices.yaml of a folder, alone.
///
/// # Errors
/// Every fault of it.
pub fn load_prices(folder: &Path, env: Env<'_>) -> Result<pricing::book::PriceBook, Vec<Fault>> {
    let [_, _, name] = FILES.map(|name| folder.join(name));
    let file = File { bytes: read_file(&name), name };
    part(&file, env, prices::read).map(|(book, _)| book)
}

/// Checks what the three files hold: gateway, providers, prices.
///
/// # Errors
/// Every fault of every file.
pub fn check([gateway, providers, prices]: &[File; 3], env: Env<'_>) -> Result<Settings, Vec<Fault>> {
    let gateway_file = gateway.name.display().to_string();
    let gateway = part(gateway, env, gateway::read);
    let providers = part(providers, env, providers::read);
    let prices = part(prices, env, prices::read);
    // What one file says of another.
    let gateway = gateway.and_then(|(gateway, asked)| {
        let faults =
            providers.as_ref().map(|(known, _)| gateway.named.faults(&gateway_file, known)).unwrap_or_default();
        if faults.is_empty() { Ok((gateway, asked)) } else { Err(in_order(faults)) }
    });
    match (gateway, providers, prices) {
        (Ok((gateway, _)), Ok((providers, _)), Ok((prices, _))) => Ok(Settings {
            log: gateway.log,
            proxy: gateway.proxy,
            store: gateway.store,
            auth: gateway.auth,
            limits: gateway.limits,
            budgets: gateway.budgets,
            exchange: gateway.exchange,
            usage: gateway.usage,
            prompt: gateway.prompt,
            providers: providers.enabled,
            disabled: providers.disabled,
            prices: Arc::new(prices),
        }),
        (gateway, providers, prices) => {
            let faults = [gateway.err(), providers.err(), prices.err()];
            Err(faults.into_iter().flatten().flatten().collect())
        }
    }
}

/// One file: its value, and the fields that were asked for.
fn part<T>(
    file: &File,
    env: Env<'_>,
    read: impl FnOnce(&Fields<'_>) -> T,
) -> Result<(T, BTreeSet<String>), Vec<Fault>> {
    let name = file.name.display().to_string();
    let bytes = match &file.bytes {
        Ok(bytes) => bytes,
        Err(error) => return Err(vec![Fault::of_file(&name, format!("cannot be read: {error}"))]),
    };
    let mut syntax = Vec::new();
    let root = yaml::parse(&name, bytes, &mut syntax);
    let Some(root) = root else {
        return Err(in_order(syntax));
    };
    let source = Source::new(name, env);
    let value = source.read(&root, read);
    let asked = source.asked();
    let faults: Vec<Fault> = syntax.into_iter().chain(source.into_faults()).collect();
    if faults.is_empty() { Ok((value, asked)) } else { Err(in_order(faults)) }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is not a file"));
    }
    let mut bytes = Vec::new();
    // One byte more than is accepted: the reader then says that the file is too large.
    let bound = u64::try_from(yaml::FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(path)?.take(bound).read_to_end(&mut bytes)?;
    Ok(bytes)
}
