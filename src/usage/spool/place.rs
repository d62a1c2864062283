//! A folder of the spool: one for each process, under a lock that ends with it. Its segments, and the place up to which
//! they were shipped.
//!
//! ```text
//! <spool>/<ULID>/lock                 held by the process whose folder it is, or who adopted it
//! <spool>/<ULID>/position             how far it is shipped
//! <spool>/<ULID>/0000000001.segment   …
//! <spool>/ledger/<ULID>               what that process counted (see `ledger`)
//! <spool>/quarantine/…                batches that the store refused (see `quarantine`)
//! ```

use super::{
    disk::Disk,
    quarantine::FOLDER as QUARANTINE,
    segment::{self, Segment},
};
use crate::base::ids::RequestId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

const LOCK: &str = "lock";
const POSITION: &str = "position";
/// Two slots that are written in turn: one is whole whatever happens.
const SLOT_BYTES: usize = 64;
/// How often a new folder is tried: another process may think that one is an orphan before its lock is held.
const TRIES_MAX: u32 = 8;

/// Up to where a folder is shipped: all before it is stored, or in quarantine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// Events before it.
    pub(super) events: u64,
}

/// A folder that this process holds.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: RequestId,
    pub(super) root: PathBuf,
    folder: PathBuf,
    pub(super) disk: Arc<Disk>,
    /// Lengths of the segments that are here.
    segments: Mutex<BTreeMap<u64, u64>>,
    position: Mutex<PositionFile>,
    /// Held until the end.
    _lock: File,
}

impl Place {
    /// A new folder.
    pub(super) fn create(root: &Path, disk: Arc<Disk>) -> io::Result<Self> {
        let mut folders = DirBuilder::new();
        folders.recursive(true).mode(0o700).create(root)?;
        for _ in 0..TRIES_MAX {
            let id = RequestId::generate();
            let folder = root.join(id.as_str());
            folders.create(&folder)?;
            let path = folder.join(LOCK);
            let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
            if let Some(lock) = locked(lock)? {
                return Self::of(root, id, lock, disk);
            }
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "other processes take each new folder for an orphan"))
    }

    /// A folder that no process holds any more; `None` when one does, or when it is none.
    pub(super) fn adopt(root: &Path, name: &str, disk: &Arc<Disk>) -> io::Result<Option<Self>> {
        let Some(id) = RequestId::parse(name).filter(|id| id.as_str() == name) else { return Ok(None) };
        let lock = match File::options().write(true).open(root.join(name).join(LOCK)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        locked(lock)?.map(|lock| Self::of(root, id, lock, Arc::clone(disk))).transpose()
    }

    fn of(root: &Path, id: RequestId, lock: File, disk: Arc<Disk>) -> io::Result<Self> {
        let folder = root.join(id.as_str());
        let position = Mutex::new(PositionFile::open(&folder.join(POSITION))?);
        Ok(Self { id, root: root.to_owned(), folder, disk, segments: Mutex::default(), position, _lock: lock })
    }

    /// A new segment.
    pub(super) fn segment(&self, number: u64, columns: Bytes) -> io::Result<Segment> {
        let segment = Segment::create(&self.folder, self.id, number, columns)?;
        self.grew(number, segment.first);
        Ok(segment)
    }

    /// Bytes were appended to a segment.
    pub(super) fn grew(&self, number: u64, bytes: u64) {
        *self.segments.lock().entry(number).or_default() += bytes;
        self.disk.add(bytes);
    }

    /// A segment in which nothing new stands is not wanted any more.
    pub(super) fn discard(&self, number: u64) {
        if let Some(bytes) = self.segments.lock().remove(&number) {
            drop(fs::remove_file(self.folder.join(segment::file_name(number))));
            self.disk.sub(bytes);
        }
    }

    /// The segments that an earlier process left.
    pub(super) fn left(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let files = segments_of(&self.folder)?;
        for (number, path) in &files {
            self.grew(*number, fs::metadata(path)?.len());
        }
        Ok(files)
    }

    /// A segment that cannot be read goes where nobody removes it.
    pub(super) fn set_aside(&self, number: u64) {
        let name = segment::file_name(number);
        let folder = self.root.join(QUARANTINE);
        drop(DirBuilder::new().recursive(true).mode(0o700).create(&folder));
        if fs::rename(self.folder.join(&name), folder.join(format!("{}-{name}", self.id))).is_ok() {
            self.segments.lock().remove(&number);
        }
    }

    pub(super) fn position(&self) -> Position {
        self.position.lock().last
    }

    /// Everything up to here is done with; segments before it go.
    pub(super) fn shipped(&self, segment: &Segment, offset: u64, events: u64) -> io::Result<()> {
        let mut position = self.position.lock();
        let events = position.last.events.saturating_add(events);
        position.set(Position { segment: segment.number, offset, events })?;
        drop(position);
        let is_whole = segment.ends_at(offset);
        let mut segments = self.segments.lock();
        let done: Vec<u64> = segments.keys().copied().filter(|number| *number < segment.number).collect();
        for number in done.into_iter().chain(is_whole.then_some(segment.number)) {
            if let Some(bytes) = segments.remove(&number) {
                fs::remove_file(self.folder.join(segment::file_name(number)))?;
                self.disk.sub(bytes);
            }
        }
        Ok(())
    }

    /// Removes the folder, in which nothing waits any more.
    pub(super) fn remove(&self) -> io::Result<()> {
        let mut segments = self.segments.lock();
        while let Some((number, bytes)) = segments.pop_first() {
            fs::remove_file(self.folder.join(segment::file_name(number)))?;
            self.disk.sub(bytes);
        }
        // The lock goes last: until then nobody else takes this for an orphan.
        for name in [POSITION, LOCK] {
            fs::remove_file(self.folder.join(name))?;
        }
        fs::remove_dir(&self.folder)
    }
}

/// The lock, unless another process holds it, or has removed it with its folder.
fn locked(lock: File) -> io::Result<Option<File>> {
    match lock.try_lock() {
        Ok(()) => Ok((lock.metadata()?.nlink() > 0).then_some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[derive(Debug)]
struct PositionFile {
    file: File,
    last: Position,
    /// Of the slot that was written last.
    turn: u64,
}

impl PositionFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        let mut slots = [0; 2 * SLOT_BYTES];
        let is_new = file.metadata()?.len() < slots.len() as u64;
        if is_new {
            // Both slots exist from now on: noting a position needs no more room.
            file.write_all_at(&slots, 0)?;
        }
        file.read_exact_at(&mut slots, 0)?;
        let (turn, last) =
            slots.chunks(SLOT_BYTES).filter_map(read_slot).max_by_key(|(turn, _)| *turn).unwrap_or_default();
        Ok(Self { file, last, turn })
    }

    fn set(&mut self, position: Position) -> io::Result<()> {
        let turn = self.turn + 1;
        let words = [turn, position.segment, position.offset, position.events];
        let mut slot: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        slot.extend_from_slice(&crc32fast::hash(&slot).to_le_bytes());
        self.file.write_all_at(&slot, (turn % 2) * SLOT_BYTES as u64)?;
        (self.turn, self.last) = (turn, position);
        Ok(())
    }
}

fn read_slot(slot: &[u8]) -> Option<(u64, Position)> {
    let word = |at: usize| slot.get(at * 8..at * 8 + 8)?.try_into().ok().map(u64::from_le_bytes);
    let sum = slot.get(32..36)?.try_into().map(u32::from_le_bytes).ok()?;
    let turn = word(0).filter(|turn| *turn > 0)?;
    (crc32fast::hash(slot.get(..32)?) == sum)
        .then_some((turn, Position { segment: word(1)?, offset: word(2)?, events: word(3)? }))
}

/// The segments in a folder, in their order.
pub(super) fn segments_of(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        files.extend(segment::number_of(&path).map(|number| (number, path)));
    }
    files.sort_unstable();
    Ok(files)
}

/// Up to where a folder is shipped that another process may hold.
pub(super) fn position_of(folder: &Path) -> Position {
    let slots = fs::read(folder.join(POSITION)).unwrap_or_default();
    slots.chunks(SLOT_BYTES).filter_map(read_slot).max_by_key(|(turn, _)| *turn).unwrap_or_default().1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Arc<Disk> {
        Arc::new(Disk::new(1 << 30))
    }

    #[test]
    fn a_folder_is_an_orphan_when_its_process_has_gone_and_is_adopted_once() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::create(root.path(), disk()).unwrap();
        let name = place.id.to_string();
        assert!(Place::adopt(root.path(), &name, &disk()).unwrap().is_none(), "its process lives");
        drop(place);
        let adopted = Place::adopt(root.path(), &name, &disk()).unwrap().unwrap();
        assert!(Place::adopt(root.path(), &name, &disk()).unwrap().is_none(), "it is adopted");
        adopted.remove().unwrap();
        assert!(Place::adopt(root.path(), &name, &disk()).unwrap().is_none(), "it is gone");
        for none in ["ledger", "quarantine", ".."] {
            assert!(Place::adopt(root.path(), none, &disk()).unwrap().is_none(), "{none}");
        }
    }

    #[test]
    fn a_position_is_the_last_that_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(POSITION);
        let mut file = PositionFile::open(&path).unwrap();
        assert_eq!(file.last, Position::default());
        let at = |offset| Position { segment: 2, offset, events: offset / 10 };
        for offset in [100, 200, 300] {
            file.set(at(offset)).unwrap();
            assert_eq!(PositionFile::open(&path).unwrap().last, at(offset));
            assert_eq!(position_of(folder.path()), at(offset));
        }
        // the third was torn
        file.file.write_all_at(b"torn", SLOT_BYTES as u64 + 20).unwrap();
        assert_eq!(PositionFile::open(&path).unwrap().last, at(200));
        fs::write(&path, [255; 300]).unwrap();
        assert_eq!(PositionFile::open(&path).unwrap().last, Position::default());
    }

    #[test]
    fn segments_go_when_they_are_shipped_whole() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::create(root.path(), disk()).unwrap();
        let segments = [1, 2, 3].map(|number| place.segment(number, Bytes::from_static(b"c")).unwrap());
        let here = || {
            let entries = fs::read_dir(&place.folder).unwrap().map(|entry| entry.unwrap().path());
            let mut numbers: Vec<_> = entries.filter_map(|path| segment::number_of(&path)).collect();
            numbers.sort_unstable();
            numbers
        };
        place.shipped(&segments[1], 50, 4).unwrap();
        assert_eq!(here(), [2, 3]);
        segments[1].close(80);
        place.shipped(&segments[1], 80, 3).unwrap();
        assert_eq!((here(), place.position()), (vec![3], Position { segment: 2, offset: 80, events: 7 }));
        place.remove().unwrap();
        assert!(!place.folder.exists());
    }
}
