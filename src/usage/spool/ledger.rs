//! What a process counts, minute by minute, in a file that outlives a kill: so that what only its memory held is missed, and
//! counted. One file for each process in `<spool>/ledger`, locked while the process lives, kept for some days after it.
//!
//! ```text
//! word 0      layout
//! word 1      exchanges known: with an intent, or with an event and no intent
//! word 2      events given up
//! word 8 + 5n a minute (since 1970): which one; of the exchanges that arrived in it: known, ended, written, given up
//! ```
//!
//! Words are 64 bits of the machine's own order. An exchange counts in the minute of its arrival. `written` says that its event
//! is on the disk, or stored without having been there.

use crate::base::{
    clock::{self, Timestamp},
    ids::RequestId,
};
use counters::Counters;
use std::{
    fs::{DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

const FOLDER: &str = "ledger";
const LAYOUT: u64 = 0x5347_4c45_4447_0001;
const HEAD_WORDS: usize = 8;
const MINUTE_WORDS: usize = 5;
/// A day and an hour: the last day is always there whole.
const MINUTES: usize = 25 * 60;
const MINUTE_MS: i64 = 60_000;
/// Minutes that a clock which was set back may lie behind before what it says counts again.
const MINUTES_AHEAD_MAX: u64 = 5;

/// A process' own ledger.
#[derive(Debug)]
pub struct Ledger {
    counters: Counters,
    /// Locked for as long as the process lives.
    _file: Option<File>,
}

/// What may be counted of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Known = 1,
    Ended = 2,
    Written = 3,
    Lost = 4,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { counters: Counters::in_memory(words()), _file: None }
    }
}

impl Ledger {
    /// The ledger of the process whose folder has this id.
    pub(super) fn create(root: &Path, id: RequestId) -> io::Result<Self> {
        let path = path_of(root, id);
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = File::options().create_new(true).read(true).write(true).mode(0o600).open(path)?;
        file.try_lock()?;
        let counters = Counters::in_file(&file, words())?;
        if let Some(word) = counters.first() {
            word.store(LAYOUT, Relaxed);
        }
        Ok(Self { counters, _file: Some(file) })
    }

    /// An exchange has an intent. To be called by one thread at a time, as the next two.
    pub(crate) fn begun(&self, time: Timestamp, now: Timestamp) {
        self.add_head(1, 1);
        self.claim(time, now);
        self.add(time, Fact::Known, 1);
    }

    /// An exchange has an event.
    pub(crate) fn ended(&self, time: Timestamp, had_intent: bool, now: Timestamp) {
        if !had_intent {
            self.begun(time, now);
        }
        self.add(time, Fact::Ended, 1);
    }

    /// An event is on the disk.
    pub(crate) fn written(&self, time: Timestamp) {
        self.add(time, Fact::Written, 1);
    }

    /// An event is given up.
    pub(crate) fn lost(&self, time: Timestamp) {
        self.add_head(2, 1);
        self.add(time, Fact::Lost, 1);
    }

    /// Events are given up of which nobody can tell when they were: now, as it were.
    pub(super) fn missed(&self, count: u64) {
        self.add_head(2, count);
        self.add(clock::now(), Fact::Lost, count);
    }

    fn add_head(&self, word: usize, count: u64) {
        if let Some(word) = self.counters.get(word) {
            word.fetch_add(count, Relaxed);
        }
    }

    fn minute(&self, time: Timestamp) -> Option<(u64, &[AtomicU64])> {
        let minute = minute_of(time);
        let from = slot_of(minute);
        Some((minute, self.counters.get(from..from + MINUTE_WORDS)?))
    }

    /// Gives the minute its words, if those of a minute of an earlier day are there.
    fn claim(&self, time: Timestamp, now: Timestamp) {
        let Some((minute, [name, counts @ ..])) = self.minute(time) else { return };
        let there = name.load(Relaxed);
        let is_of_a_wrong_clock = there > minute_of(now) + MINUTES_AHEAD_MAX;
        if there < minute || is_of_a_wrong_clock && there != minute {
            for count in counts {
                count.store(0, Relaxed);
            }
            name.store(minute, Relaxed);
        }
    }

    fn add(&self, time: Timestamp, fact: Fact, count: u64) {
        let Some((minute, words)) = self.minute(time) else { return };
        if let (true, Some(word)) =
            (words.first().is_some_and(|name| name.load(Relaxed) == minute), words.get(fact as usize))
        {
            word.fetch_add(count, Relaxed);
        }
    }
}

fn words() -> usize {
    HEAD_WORDS + MINUTES * MINUTE_WORDS
}

pub(super) fn minute_of(time: Timestamp) -> u64 {
    u64::try_from(time.millis() / MINUTE_MS).unwrap_or_default()
}

fn slot_of(minute: u64) -> usize {
    HEAD_WORDS + usize::try_from(minute % MINUTES as u64).unwrap_or_default() * MINUTE_WORDS
}

fn path_of(root: &Path, id: RequestId) -> PathBuf {
    root.join(FOLDER).join(id.as_str())
}

/// A minute of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Minute {
    /// Since 1970.
    pub(super) number: u64,
    pub(super) known: u64,
    pub(super) ended: u64,
    pub(super) written: u64,
    pub(super) lost: u64,
}

/// The ledger of a process, as another one reads it.
#[derive(Debug)]
pub(super) struct Read {
    file: File,
    /// Its process lives.
    pub(super) is_alive: bool,
    pub(super) known: u64,
    pub(super) lost: u64,
    pub(super) minutes: Vec<Minute>,
}

impl Read {
    /// Reads the ledger of that process; `None` when there is none that can be read.
    pub(super) fn of(root: &Path, id: RequestId) -> io::Result<Option<Self>> {
        let file = match File::options().read(true).write(true).open(path_of(root, id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let is_alive = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        let mut bytes = vec![0; words() * 8];
        if file.metadata()?.len() < bytes.len() as u64 {
            return Ok(None);
        }
        file.read_exact_at(&mut bytes, 0)?;
        let words: Vec<u64> =
            bytes.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes)).collect();
        let (Some(&[LAYOUT, known, lost, ..]), Some(rest)) = (words.get(..HEAD_WORDS), words.get(HEAD_WORDS..)) else {
            return Ok(None);
        };
        let minute = |words: &[u64]| match words {
            &[number, known, ended, written, lost] if number > 0 => {
                Some(Minute { number, known, ended, written, lost })
            }
            _ => None,
        };
        let minutes = rest.chunks_exact(MINUTE_WORDS).filter_map(minute).collect();
        Ok(Some(Self { file, is_alive, known, lost, minutes }))
    }

    /// Notes that exchanges of a process that has gone are forgotten: they were in its memory alone, and so of its last
    /// minutes.
    pub(super) fn forgot(&self, count: u64) -> io::Result<()> {
        let set = |word: usize, value: u64| self.file.write_all_at(&value.to_ne_bytes(), word as u64 * 8);
        set(2, self.lost.saturating_add(count))?;
        let Some(last) = self.minutes.iter().max_by_key(|minute| minute.number) else { return Ok(()) };
        set(slot_of(last.number) + Fact::Lost as usize, last.lost.saturating_add(count))
    }
}

/// The ids of all ledgers.
pub(super) fn ids(root: &Path) -> io::Result<Vec<RequestId>> {
    let entries = match std::fs::read_dir(root.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.filter_map(|entry| RequestId::parse(entry.ok()?.file_name().to_str()?));
    Ok(names.collect())
}

/// Removes ledgers whose processes have gone and which hold no minute of the last two days.
pub(super) fn sweep(root: &Path, now: Timestamp) -> io::Result<()> {
    let oldest = minute_of(now).saturating_sub(2 * 24 * 60);
    for id in ids(root)? {
        let is_over = |read: &Read| !read.is_alive && read.minutes.iter().all(|minute| minute.number < oldest);
        let made = id.time().is_none_or(|time| minute_of(time) < oldest);
        let place = root.join(id.as_str());
        if made && !place.exists() && Read::of(root, id)?.is_none_or(|read| is_over(&read)) {
            std::fs::remove_file(path_of(root, id))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn read(root: &Path, id: RequestId) -> Read {
        Read::of(root, id).unwrap().unwrap()
    }

    #[test]
    fn what_was_counted_is_read_by_another_process_minute_by_minute() {
        let (root, id) = (tempfile::tempdir().unwrap(), RequestId::generate());
        let ledger = Ledger::create(root.path(), id).unwrap();
        let later = NOW.plus_millis(MINUTE_MS);
        ledger.begun(NOW, NOW);
        ledger.ended(NOW, true, NOW);
        ledger.written(NOW);
        ledger.ended(later, false, later);
        ledger.lost(later);
        let found = read(root.path(), id);
        assert!(found.is_alive);
        assert_eq!((found.known, found.lost), (2, 1));
        let minute = minute_of(NOW);
        let expected = [
            Minute { number: minute, known: 1, ended: 1, written: 1, lost: 0 },
            Minute { number: minute + 1, known: 1, ended: 1, written: 0, lost: 1 },
        ];
        let mut minutes = found.minutes;
        minutes.sort_unstable_by_key(|minute| minute.number);
        assert_eq!(minutes, expected);
        drop(ledger);
        let found = read(root.path(), id);
        assert!(!found.is_alive);
        found.forgot(5).unwrap();
        assert_eq!(read(root.path(), id).lost, 6);
    }

    #[test]
    fn a_clock_that_jumps_forth_and_back_spoils_no_minute() {
        let (root, id) = (tempfile::tempdir().unwrap(), RequestId::generate());
        let ledger = Ledger::create(root.path(), id).unwrap();
        let day = MINUTE_MS * i64::try_from(MINUTES).unwrap();
        let known = |time: Timestamp| {
            let minutes = read(root.path(), id).minutes;
            minutes.iter().find(|minute| minute.number == minute_of(time)).map(|minute| minute.known)
        };
        ledger.begun(NOW, NOW);
        // the same words, a year ahead
        let ahead = NOW.plus_millis(day * 365);
        ledger.begun(ahead, ahead);
        assert_eq!((known(NOW), known(ahead)), (None, Some(1)));
        // the clock is right again
        ledger.begun(NOW, NOW);
        ledger.begun(NOW, NOW);
        assert_eq!((known(NOW), known(ahead)), (Some(2), None));
        // an exchange of the day before ends late: the minute of today keeps its words
        ledger.ended(NOW.plus_millis(-day), true, NOW);
        ledger.begun(NOW.plus_millis(-day), NOW);
        assert_eq!(known(NOW), Some(2));
        ledger.begun(Timestamp::from_millis(-5), NOW);
        ledger.begun(Timestamp::from_millis(i64::MAX), NOW);
    }

    #[test]
    fn ledgers_of_the_past_are_swept_and_those_of_the_living_are_not() {
        let root = tempfile::tempdir().unwrap();
        let old = RequestId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        let living = RequestId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAW").unwrap();
        drop(Ledger::create(root.path(), old).unwrap());
        let _living = Ledger::create(root.path(), living).unwrap();
        sweep(root.path(), NOW).unwrap();
        assert_eq!(ids(root.path()).unwrap(), [living]);
    }
}
