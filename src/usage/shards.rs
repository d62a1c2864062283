//! Where a batch of rows is written: into the one table there is, or, in a cluster, into the local table of the shard that the
//! batch's token chooses. The same token always chooses the same shard, so a batch that is tried again meets its own token there.

use super::{
    connector,
    row::TABLE,
    settings::{Server, Settings, Store},
    shipper,
};
use clickhouse::Client;
use sha2::{Digest, Sha256};

/// The local table of a shard.
const TABLE_LOCAL: &str = "usage_events_local";

/// The store as a place to write to.
#[derive(Debug, Clone)]
pub(super) struct Shards {
    /// For questions, and for tables that every node has.
    pub(super) client: Client,
    shards: Vec<Client>,
}

impl Shards {
    /// The store behind a client that has its address and login.
    pub(super) fn new(client: &Client, settings: &Settings) -> Self {
        let shards = match &settings.store {
            Store::ClickHouse(server @ Server { cluster: Some(cluster), .. }) => {
                let at = |url: &String| connector::server(&Server { url: url.clone(), ..server.clone() });
                cluster.shards.iter().map(|url| shipper::inserting(&at(url), settings)).collect()
            }
            _ => Vec::new(),
        };
        Self { client: shipper::inserting(client, settings), shards }
    }

    /// Where the batch of that token goes, and into which table.
    pub(super) fn place(&self, token: &str) -> (&Client, &'static str) {
        let chosen = chosen(token, self.shards.len()).and_then(|at| self.shards.get(at));
        chosen.map_or((&self.client, TABLE), |client| (client, TABLE_LOCAL))
    }
}

/// The number of the shard; `None` when there are none.
fn chosen(token: &str, shards: usize) -> Option<usize> {
    let shards = u64::try_from(shards).ok()?;
    let digest: [u8; 32] = Sha256::digest(token).into();
    let number = u64::from_be_bytes(*digest.first_chunk()?);
    usize::try_from(number.checked_rem(shards)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_chooses_one_shard_for_good_and_tokens_choose_all_of_them() {
        assert_eq!(chosen("any", 0), None);
        assert_eq!(chosen("any", 1), Some(0));
        // for good: what waits on disk is sent by the next program
        assert_eq!(["a/1", "a/2", "a/3", "a/4"].map(|token| chosen(token, 3)), [Some(2), Some(2), Some(1), Some(1)]);
        let mut counts = [0_u32; 5];
        for token in 0..1000 {
            counts[chosen(&format!("segment/{token}"), 5).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (150..250).contains(count)), "{counts:?}");
    }
}
