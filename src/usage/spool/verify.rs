//! Whether every exchange is accounted for: what the gateways of this machine knew (their ledgers) against what the store holds,
//! what waits on the disk, and what is counted as lost. The three are counted by different hands.

use super::{
    ledger::{self, minute_of},
    place, quarantine, recover,
};
use crate::{
    base::{
        clock::{self, Duration, Timestamp},
        ids::RequestId,
    },
    usage::{
        row,
        selection::{BadParameter, bad, moment},
        settings::Settings,
        store_error::describe,
    },
};
use clickhouse::Client;
use std::{fs, io, path::Path};

/// What ledgers reach back to.
const SINCE_MAX_MS: i64 = 24 * 3_600_000;
const MINUTE_MS: i64 = 60_000;
/// Counts are taken one after the other while events are on their way: so often, so far apart.
const LOOKS_MAX: u32 = 40;
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The exchanges that arrived since a moment, each in one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Account {
    /// What the gateways knew of.
    pub served: u64,
    /// Rows in the usage store.
    pub stored: u64,
    /// On the disk, or in the memory of a gateway that lives.
    pub waiting: u64,
    /// In batches that the store refused.
    pub quarantined: u64,
    /// Counted as lost.
    pub lost: u64,
    /// Not ended yet.
    pub open: u64,
}

impl Account {
    /// Where all that is accounted for comes to.
    pub fn sum(&self) -> u64 {
        self.stored + self.waiting + self.quarantined + self.lost + self.open
    }

    /// Whether nothing is missing and nothing is there twice.
    pub fn is_balanced(&self) -> bool {
        self.served == self.sum()
    }
}

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the usage spool cannot be read: {0}")]
    Spool(#[from] io::Error),
    #[error("the usage store cannot be asked: {0}")]
    Store(String),
}

/// The moment of `--since`: a whole minute, at most a day ago.
///
/// # Errors
/// It is no such moment.
pub fn since(text: &str) -> Result<Timestamp, BadParameter> {
    let now = clock::now();
    let since = moment("--since", text, now)?;
    if since < now.plus_millis(-SINCE_MAX_MS) {
        return Err(bad("--since", "must be within the last 24 hours: gateways count no longer back"));
    }
    Ok(Timestamp::from_millis(since.millis() / MINUTE_MS * MINUTE_MS))
}

/// Takes the account. While events are on their way it is taken again, until it is balanced or some seconds have passed.
///
/// # Errors
/// The spool or the store cannot be read.
pub async fn verify(client: &Client, settings: &Settings, since: Timestamp) -> Result<Account, VerifyError> {
    let mut looks = 0;
    loop {
        let stored = stored(client, settings, since).await?;
        let account = Account { stored, ..local(&settings.spool.folder, since)? };
        looks += 1;
        if account.is_balanced() || looks >= LOOKS_MAX {
            return Ok(account);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn stored(client: &Client, settings: &Settings, since: Timestamp) -> Result<u64, VerifyError> {
    let sql = format!(
        "SELECT count() FROM {}.{} WHERE kind = '{}' AND time >= fromUnixTimestamp64Milli({{since:Int64}})",
        settings.database,
        row::TABLE,
        row::EXCHANGE
    );
    let count = client.query_raw(&sql).param("since", since.millis()).fetch_one().await;
    count.map_err(|error| VerifyError::Store(describe(&error)))
}

/// All but what is stored.
fn local(root: &Path, since: Timestamp) -> io::Result<Account> {
    let mut account = Account::default();
    for kept in quarantine::list(root)?.into_iter().flatten() {
        account.quarantined += kept.times.iter().filter(|time| **time >= since).count() as u64;
    }
    for entry in fs::read_dir(root).into_iter().flatten() {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(RequestId::parse) else { continue };
        match waiting(root, id, since) {
            Ok(waiting) => account.waiting += waiting,
            // It was shipped meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let first = minute_of(since);
    for id in ledger::ids(root)? {
        let Some(read) = ledger::Read::of(root, id)? else { continue };
        for minute in read.minutes.iter().filter(|minute| minute.number >= first) {
            account.served += minute.known;
            account.lost += minute.lost;
            if read.is_alive {
                account.open += minute.known.saturating_sub(minute.ended);
                account.waiting += minute.ended.saturating_sub(minute.written + minute.lost);
            }
        }
    }
    Ok(account)
}

/// What waits in one folder.
fn waiting(root: &Path, id: RequestId, since: Timestamp) -> io::Result<u64> {
    let folder = root.join(id.as_str());
    let is_alive = ledger::Read::of(root, id)?.is_some_and(|read| read.is_alive);
    let left = recover::read(id, place::position_of(&folder), place::segments_of(&folder)?);
    let is_late = |time: &Timestamp| *time >= since;
    let mut waiting = 0;
    for sealed in &left.batches {
        waiting += sealed.load(id)?.times.iter().filter(|time| is_late(time)).count() as u64;
    }
    if !is_alive {
        let times = left.orphans.iter().filter_map(|orphan| row::identity(&orphan.row));
        waiting += times.filter(|(_, time)| is_late(time)).count() as u64;
    }
    Ok(waiting)
}
