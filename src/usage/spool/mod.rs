//! The spool: usage events on the disk from the end of their exchange until the store has them, each counted once whatever dies
//! in between. docs/usage.md describes it for operators.
//!
//! Exchanges push frames into the queue; one thread (`writer`) appends them to segments, brings them onto the disk in groups and
//! seals batches; the shipper takes those from `source` (this process' own) and `adopted` (what others left). A batch is named by
//! its place, so every try of it, also by the next process, is the same insert under the same token, which the store counts once.
//! An intent goes ahead of each event: what was under way when a process is killed is recorded by the next.

mod adopted;
mod disk;
pub mod frame;
pub mod hold;
pub mod ledger;
mod place;
pub mod quarantine;
mod recover;
mod segment;
mod settle;
mod shelf;
mod source;
#[cfg(test)]
mod tests;
pub mod verify;
mod writer;

pub use adopted::AdoptedSource;
pub use source::SpoolSource;

use super::{
    queue::{EventQueue, queue, queue_with},
    settings::Settings,
    shipper::Sink,
};
use crate::base::clock;
use disk::Disk;
use ledger::Ledger;
use place::Place;
use std::{io, path::Path, sync::Arc};

/// Both ends of an open spool.
pub struct Spool<K> {
    pub queue: EventQueue,
    /// This process' batches.
    pub own: SpoolSource,
    /// Those of others; `None` while nothing can be kept on the disk.
    pub adopted: Option<AdoptedSource<K>>,
}

/// Opens the spool. A folder that cannot be written costs durability, not service: events are kept in memory then.
pub fn open<K: Sink>(settings: &Settings, store: K) -> Spool<K> {
    let root = &settings.spool.folder;
    let disk = Arc::new(Disk::new(settings.spool.bytes_max));
    let (place, ledger) = match place(root, &disk) {
        Ok((place, ledger)) => (Some(Arc::new(place)), ledger),
        Err(error) => {
            let folder = root.display();
            tracing::error!(%folder, %error, "the usage spool cannot be opened: usage events are kept in memory alone");
            (None, Ledger::default())
        }
    };
    let (queue, reader) = queue_with(settings, ledger);
    let adopted = place.is_some().then(|| AdoptedSource::new(root, disk, &reader, store));
    Spool { queue, own: SpoolSource::start(reader, settings, place), adopted }
}

/// A spool in memory alone.
pub fn volatile(settings: &Settings) -> (EventQueue, SpoolSource) {
    let (queue, reader) = queue(settings);
    (queue, SpoolSource::volatile(reader, settings))
}

fn place(root: &Path, disk: &Arc<Disk>) -> io::Result<(Place, Ledger)> {
    let place = Place::create(root, Arc::clone(disk))?;
    disk.add(quarantine::bytes(root));
    let ledger = Ledger::create(root, place.id)?;
    if let Err(error) = ledger::sweep(root, clock::now()) {
        tracing::warn!(%error, "old ledgers of the usage spool cannot be removed");
    }
    Ok((place, ledger))
}
