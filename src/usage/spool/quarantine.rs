//! Batches that the store refused: kept in a folder of their own, with all that is needed to try them again.
//!
//! ```text
//! 0   8  magic
//! 8   4  CRC-32 of all that follows
//! 12  8  when it was put here, milliseconds since 1970
//! 20  8  how many events are in it
//! 28  4  length of the reason, 32  4  length of the columns
//! 36  …  reason, columns, when the request of each event arrived (8 bytes each), rows
//! ```

use crate::{
    base::clock::{self, Timestamp},
    usage::source::Batch,
};
use bytes::Bytes;
use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

pub(super) const FOLDER: &str = "quarantine";
const EXTENSION: &str = "batch";
const MAGIC: &[u8; 8] = b"SGQUARA\x01";
const FIXED_BYTES: usize = 36;
const REASON_CHARS_MAX: usize = 500;

/// A batch in quarantine.
#[derive(Debug, Clone)]
pub struct Kept {
    pub batch: Batch,
    /// When the requests of its events arrived.
    pub times: Vec<Timestamp>,
    pub kept_at: Timestamp,
    /// In the store's words, as far as logs may have them.
    pub reason: String,
    pub path: PathBuf,
}

/// Puts a batch there, whole and on the disk. Gives its size.
pub(super) fn keep(root: &Path, batch: &Batch, times: &[Timestamp], reason: &str) -> io::Result<u64> {
    let folder = root.join(FOLDER);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let bytes = encode(batch, times, clock::now(), &reason);
    let path = folder.join(format!("{}.{EXTENSION}", batch.token));
    let unfinished = path.with_extension("new");
    let written = (|| {
        let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        fs::rename(&unfinished, &path)?;
        File::open(&folder)?.sync_data()
    })();
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    written.map(|()| bytes.len() as u64)
}

fn encode(batch: &Batch, times: &[Timestamp], at: Timestamp, reason: &str) -> Vec<u8> {
    let times: Vec<u8> = times.iter().flat_map(|time| time.millis().to_le_bytes()).collect();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let rest = [
        at.millis().to_le_bytes().as_slice(),
        &(times.len() as u64 / 8).to_le_bytes(),
        &length(reason.as_bytes()),
        &length(&batch.columns),
        reason.as_bytes(),
        &batch.columns,
        &times,
        &batch.rows,
    ]
    .concat();
    [MAGIC.as_slice(), &crc32fast::hash(&rest).to_le_bytes(), &rest].concat()
}

/// All batches in quarantine, the oldest first; for those that cannot be read, why.
///
/// # Errors
/// The folder cannot be read.
pub fn list(root: &Path) -> io::Result<Vec<Result<Kept, String>>> {
    let entries = match fs::read_dir(root.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
    paths.sort_unstable();
    Ok(paths.iter().map(|path| read(path)).collect())
}

fn read(path: &Path) -> Result<Kept, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let token = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    decode(token, &bytes, path).ok_or_else(|| format!("{}: is damaged", path.display()))
}

fn decode(token: &str, bytes: &[u8], path: &Path) -> Option<Kept> {
    let word = |from: usize| bytes.get(from..from + 4)?.try_into().ok().map(u32::from_le_bytes);
    let rest = bytes.get(12..)?;
    if !bytes.starts_with(MAGIC) || word(8)? != crc32fast::hash(rest) {
        return None;
    }
    let kept_at = Timestamp::from_millis(bytes.get(12..20)?.try_into().map(i64::from_le_bytes).ok()?);
    let count = bytes.get(20..28)?.try_into().map(u64::from_le_bytes).ok()?;
    let (reason, behind) = bytes.get(FIXED_BYTES..)?.split_at_checked(usize::try_from(word(28)?).ok()?)?;
    let (columns, behind) = behind.split_at_checked(usize::try_from(word(32)?).ok()?)?;
    let (times, rows) = behind.split_at_checked(usize::try_from(count.checked_mul(8)?).ok()?)?;
    let times = times.chunks_exact(8).filter_map(|time| time.try_into().ok().map(i64::from_le_bytes));
    let times = times.map(Timestamp::from_millis).collect();
    let (columns, rows) = (Bytes::copy_from_slice(columns), Bytes::copy_from_slice(rows));
    let batch = Batch { token: token.to_owned(), columns, rows, count };
    Some(Kept { batch, times, kept_at, reason: String::from_utf8_lossy(reason).into_owned(), path: path.to_owned() })
}

/// How many bytes are there.
pub(super) fn bytes(root: &Path) -> u64 {
    let entries = fs::read_dir(root.join(FOLDER)).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

impl Kept {
    /// Takes it out.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{event::sample, queue::Rows};

    #[test]
    fn a_batch_comes_back_as_it_went_in_and_a_damaged_one_is_told() {
        let root = tempfile::tempdir().unwrap();
        assert!(list(root.path()).unwrap().is_empty());
        let batch = Batch::new("folder-1-0", Rows::of(&[sample(), sample()]));
        let times = [Timestamp::from_millis(5), Timestamp::from_millis(-6)];
        let size = keep(root.path(), &batch, &times, "ClickHouse error 27").unwrap();
        assert_eq!(bytes(root.path()), size);
        let kept = list(root.path()).unwrap().remove(0).unwrap();
        assert_eq!((&kept.batch.token, kept.batch.count, &*kept.reason), (&batch.token, 2, "ClickHouse error 27"));
        assert_eq!(
            (&kept.batch.rows, &kept.batch.columns, kept.times.clone()),
            (&batch.rows, &batch.columns, times.to_vec())
        );
        let mut bytes = fs::read(&kept.path).unwrap();
        bytes[60] ^= 1;
        fs::write(&kept.path, &bytes).unwrap();
        assert!(list(root.path()).unwrap().remove(0).unwrap_err().ends_with("folder-1-0.batch: is damaged"));
        kept.remove().unwrap();
        assert!(list(root.path()).unwrap().is_empty());
    }
}
