//! A segment: one file of the spool, or memory in its place while the disk refuses. It begins with a header that names the
//! columns of its rows, so that rows of another version of the program are stored as they were meant. The header may be lost:
//! what frames need is known from the names of the folder and the file.

use super::frame::{Found, Frames};
use crate::{base::ids::RequestId, usage::row};
use bytes::Bytes;
use crc32fast::Hasher;
use parking_lot::Mutex;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

const MAGIC: &[u8; 8] = b"SGSPOOL\x01";
/// Magic, length of the columns, their checksum.
const FIXED_BYTES: usize = 16;
const COLUMNS_BYTES_MAX: usize = 64 * 1024;
const EXTENSION: &str = "segment";
/// A segment that still grows.
const OPEN: u64 = u64::MAX;

/// One segment, open or closed.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// What its frames' checksums begin with.
    pub(super) salt: u32,
    /// What stands before its rows in an insert.
    pub(super) columns: Bytes,
    /// Where its first frame may stand.
    pub(super) first: u64,
    /// Its length once it is closed.
    closed_at: AtomicU64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    File(File),
    Memory(Mutex<Vec<u8>>),
}

impl Segment {
    /// A new file in the folder of that id, with its header. Nothing is left of one that cannot be made.
    pub(super) fn create(folder: &Path, id: RequestId, number: u64, columns: Bytes) -> io::Result<Self> {
        let path = folder.join(file_name(number));
        let file = File::options().create_new(true).read(true).write(true).mode(0o600).open(&path)?;
        let header = header(&columns);
        if let Err(error) = file.write_all_at(&header, 0) {
            fs::remove_file(&path)?;
            return Err(error);
        }
        let (salt, first) = (salt(id, number), header.len() as u64);
        Ok(Self { number, salt, columns, first, closed_at: AtomicU64::new(OPEN), body: Body::File(file) })
    }

    /// One in memory.
    pub(super) fn volatile(id: RequestId, number: u64, columns: Bytes) -> Self {
        let body = Body::Memory(Mutex::default());
        Self { number, salt: salt(id, number), columns, first: 0, closed_at: AtomicU64::new(OPEN), body }
    }

    /// A file that was left by an earlier process: closed, with all its bytes. `None` for the columns when the header is lost.
    pub(super) fn open(path: &Path, id: RequestId, number: u64) -> io::Result<(Self, Vec<u8>)> {
        let file = File::open(path)?;
        let bytes = fs::read(path)?;
        let read = read_header(&bytes);
        let first = read.as_ref().map_or(0, |columns| (FIXED_BYTES + columns.len()) as u64);
        let columns = read.unwrap_or_else(|| Bytes::from(row::head()));
        let closed_at = AtomicU64::new(bytes.len() as u64);
        let body = Body::File(file);
        Ok((Self { number, salt: salt(id, number), columns, first, closed_at, body }, bytes))
    }

    pub(super) fn is_volatile(&self) -> bool {
        matches!(self.body, Body::Memory(_))
    }

    /// Writes frames at a place, the end so far. What was written of them when this fails is cut off.
    pub(super) fn write(&self, at: u64, frames: &[u8]) -> io::Result<()> {
        match &self.body {
            Body::File(file) => {
                let written = file.write_all_at(frames, at);
                if written.is_err() {
                    // A torn tail is no frame: that it stays would do no harm but cost its bytes.
                    drop(file.set_len(at));
                }
                written
            }
            Body::Memory(bytes) => {
                bytes.lock().extend_from_slice(frames);
                Ok(())
            }
        }
    }

    /// Brings all that was written onto the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.body {
            Body::File(file) => file.sync_data(),
            Body::Memory(_) => Ok(()),
        }
    }

    /// Nothing is written from now on.
    pub(super) fn close(&self, at: u64) {
        self.closed_at.store(at, Relaxed);
    }

    /// Whether nothing will stand at or behind this place.
    pub(super) fn ends_at(&self, at: u64) -> bool {
        self.closed_at.load(Relaxed) <= at
    }

    /// The bytes between two places. What is missing of them is left out.
    pub(super) fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        match &self.body {
            Body::File(file) => {
                let mut bytes = vec![0; length];
                let mut filled = 0;
                while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                    match file.read_at(rest, from + filled as u64) {
                        Ok(0) => break,
                        Ok(read) => filled += read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                bytes.truncate(filled);
                Ok(bytes)
            }
            Body::Memory(bytes) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                let bytes = bytes.lock();
                let to = from.saturating_add(length).min(bytes.len());
                Ok(bytes.get(from..to).unwrap_or_default().to_vec())
            }
        }
    }

    /// Calls `see` with each frame or damage between two places; a header is left out.
    pub(super) fn frames(&self, from: u64, to: u64, mut see: impl FnMut(Found<'_>)) -> io::Result<()> {
        let from = from.max(self.first);
        let bytes = self.read(from, to)?;
        Frames::new(&bytes, self.salt, from).for_each(&mut see);
        let end = from + bytes.len() as u64;
        if end < to {
            see(Found::Damage(end, to));
        }
        Ok(())
    }
}

/// The name of a segment's file.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:010}.{EXTENSION}")
}

/// The number in a segment's file name; `None` for other files.
pub(super) fn number_of(path: &Path) -> Option<u64> {
    (path.extension()? == EXTENSION).then_some(())?;
    path.file_stem()?.to_str()?.parse().ok()
}

/// Nobody who only sends requests knows a folder's id.
fn salt(id: RequestId, number: u64) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(id.as_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.finalize()
}

fn header(columns: &[u8]) -> Vec<u8> {
    let length = u32::try_from(columns.len()).unwrap_or(u32::MAX).to_le_bytes();
    [MAGIC.as_slice(), &length, &crc32fast::hash(columns).to_le_bytes(), columns].concat()
}

fn read_header(bytes: &[u8]) -> Option<Bytes> {
    let word = |from: usize| bytes.get(from..from + 4)?.try_into().ok().map(u32::from_le_bytes);
    let length = usize::try_from(word(8)?).ok().filter(|length| *length <= COLUMNS_BYTES_MAX)?;
    let columns = bytes.get(FIXED_BYTES..FIXED_BYTES + length)?;
    let is_whole = bytes.starts_with(MAGIC) && word(12)? == crc32fast::hash(columns);
    is_whole.then(|| Bytes::copy_from_slice(columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::spool::frame::{self, Kind};

    fn frames_of(segment: &Segment, to: u64) -> Vec<String> {
        let mut all = Vec::new();
        let see = |found: Found<'_>| match found {
            Found::Frame(frame) => all.push(String::from_utf8_lossy(frame.payload).into_owned()),
            Found::Damage(from, to) => all.push(format!("{from}-{to}")),
        };
        segment.frames(0, to, see).unwrap();
        all
    }

    #[test]
    fn what_was_written_is_read_by_the_next_process_with_its_columns_or_without() {
        let (folder, id) = (tempfile::tempdir().unwrap(), RequestId::generate());
        let columns = Bytes::from_static(b"columns of another version");
        let segment = Segment::create(folder.path(), id, 3, columns.clone()).unwrap();
        let mut bytes = [frame::whole(Kind::Event, b"one"), frame::whole(Kind::Event, b"two")].concat();
        frame::seat(&mut bytes, segment.salt, segment.first);
        segment.write(segment.first, &bytes).unwrap();
        segment.sync().unwrap();
        let path = folder.path().join("0000000003.segment");
        assert_eq!(number_of(&path), Some(3));
        let (found, all) = Segment::open(&path, id, 3).unwrap();
        assert_eq!((found.columns.clone(), found.first), (columns, segment.first));
        assert_eq!(frames_of(&found, all.len() as u64), ["one", "two"]);
        // the header is damaged: its frames are there all the same, for the columns of today
        segment.write(2, b"?").unwrap();
        let (found, all) = Segment::open(&path, id, 3).unwrap();
        assert_eq!((found.columns.clone(), found.first), (Bytes::from(row::head()), 0));
        assert_eq!(frames_of(&found, all.len() as u64), [format!("0-{}", segment.first), "one".into(), "two".into()]);
    }

    #[test]
    fn bytes_that_are_missing_are_damage() {
        let segment = Segment::volatile(RequestId::generate(), 1, Bytes::new());
        segment.write(0, b"no frame").unwrap();
        assert_eq!(frames_of(&segment, 20), ["0-8", "8-20"]);
    }
}
