//! What is stored, what waits on the disk, and what the gateway's own account says.

use crate::support::gateway::{Gateway, Metrics, Rows, names};
use serde_json::Value;
use sociaro_gateway::{
    base::ids::RequestId,
    usage::{connector, engine},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folders of processes in a spool.
pub(crate) fn folders(spool: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(spool).into_iter().flatten().map(|entry| entry.expect("a readable folder").path());
    let mut folders: Vec<_> =
        entries.filter(|path| path.file_name().and_then(|name| RequestId::parse(name.to_str()?)).is_some()).collect();
    folders.sort();
    folders
}

/// The segments of all folders, in their order.
pub(crate) fn segments(spool: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders(spool) {
        let entries = fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("an entry").path());
        found.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "segment")));
    }
    found.sort();
    found
}

/// Waits until nothing waits: all events of all processes are stored, and the folders of those that have gone are removed.
pub(crate) async fn settled(gateway: &Gateway) -> Rows {
    let spool = names::spool_folder(gateway.folder());
    let mut before = usize::MAX;
    loop {
        let look = async || {
            let (left, metrics) = (folders(&spool), gateway.metrics());
            let waiting = (metrics.total(names::EXCHANGES_OPEN), metrics.total(names::USAGE_EVENTS_WAITING));
            if left.len() == 1 && waiting == (0.0, 0.0) {
                return gateway.rows_now().await.map(|rows| (1, Some(rows)));
            }
            if left.len() < before {
                return Ok((left.len(), None));
            }
            Err(format!("{waiting:?} open and waiting, {} folders: {left:?}", left.len()))
        };
        // However many there are, each is done with soon.
        match crate::support::wait::wait_until("a folder less, or nothing waits", look).await {
            (_, Some(rows)) => return rows,
            (left, None) => before = left,
        }
    }
}

/// Rows, and the exchanges in the two rollups.
pub(crate) async fn sums(gateway: &Gateway) -> [u64; 3] {
    let client = connector::embedded(&engine::socket(&gateway.usage_folder())).with_database("sociaro");
    let mut sums = [0; 3];
    for (sum, sql) in sums.iter_mut().zip([
        "SELECT countIf(kind = 'exchange') FROM usage_events",
        "SELECT sum(requests) FROM usage_hourly",
        "SELECT sum(requests) FROM usage_daily",
    ]) {
        *sum = client.query_raw(sql).fetch_one().await.expect("the usage store answers");
    }
    sums
}

/// What `usage verify --json` says, and its exit status.
pub(crate) fn verify(gateway: &Gateway) -> (Value, Option<i32>) {
    let config = gateway.config().display().to_string();
    let output = gateway.run(&["usage", "verify", "--since", "1h", "--json", "--config", &config].map(str::to_owned));
    let account = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no account: {}", String::from_utf8_lossy(&output.stderr)));
    (account, output.status.code())
}

/// A number of the account.
pub(crate) fn count(account: &Value, name: &str) -> usize {
    let count = account[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {account}"));
    usize::try_from(count).expect("a small number")
}

/// A metric that counts.
pub(crate) fn whole(metrics: &Metrics, name: &str) -> usize {
    let value = metrics.total(name).to_string();
    value.parse().unwrap_or_else(|_| panic!("{name} is {value}"))
}
