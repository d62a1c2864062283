//! 64-bit counters in a file that is mapped into memory. Counting costs what an atomic costs, no system call, and what was
//! counted is in the file when the process is killed: the kernel keeps the page. After a power failure it may be gone.
//!
//! The file is written whole before it is mapped, so that its blocks exist and a full disk cannot fault later. Who cuts the
//! file while it is mapped ends the process: it belongs into a folder that nobody else writes to.

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::{
    ffi::c_void,
    fs::File,
    io,
    ops::Deref,
    os::unix::fs::FileExt,
    ptr::{NonNull, null_mut},
    slice,
    sync::atomic::AtomicU64,
};

/// A fixed number of counters.
#[derive(Debug)]
pub struct Counters(Place);

#[derive(Debug)]
enum Place {
    Memory(Box<[AtomicU64]>),
    File(Mapping),
}

impl Counters {
    /// Counters that end with the process.
    pub fn in_memory(count: usize) -> Self {
        Self(Place::Memory((0..count).map(|_| AtomicU64::new(0)).collect()))
    }

    /// Counters in a file, which is set to zeros.
    ///
    /// # Errors
    /// The file cannot be written or mapped.
    pub fn in_file(file: &File, count: usize) -> io::Result<Self> {
        let count = count.max(1);
        file.set_len(0)?;
        file.write_all_at(&vec![0; count * size_of::<AtomicU64>()], 0)?;
        Mapping::new(file, count).map(|mapping| Self(Place::File(mapping)))
    }
}

impl Deref for Counters {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        match &self.0 {
            Place::Memory(counters) => counters,
            Place::File(mapping) => mapping.counters(),
        }
    }
}

/// A shared mapping of a whole file of so many counters.
#[derive(Debug)]
struct Mapping {
    start: NonNull<AtomicU64>,
    count: usize,
}

#[expect(unsafe_code, reason = "mapped memory is nothing that the compiler knows of")]
// SAFETY: the mapping belongs to no thread, and all access to it is atomic.
unsafe impl Send for Mapping {}
#[expect(unsafe_code, reason = "mapped memory is nothing that the compiler knows of")]
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    #[expect(unsafe_code, reason = "mapped memory is nothing that the compiler knows of")]
    fn new(file: &File, count: usize) -> io::Result<Self> {
        let bytes = count * size_of::<AtomicU64>();
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe { mmap(null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast::<AtomicU64>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, count })
    }

    #[expect(unsafe_code, reason = "mapped memory is nothing that the compiler knows of")]
    fn counters(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, holds `count` words of initialised memory, and lives as long as `self`;
        // whoever else maps the file may change a word at any time, which atomics allow.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for Mapping {
    #[expect(unsafe_code, reason = "mapped memory is nothing that the compiler knows of")]
    fn drop(&mut self) {
        let start = self.start.as_ptr().cast::<c_void>();
        // SAFETY: this is the mapping that `new` made, and nobody can borrow from it any more.
        let unmapped = unsafe { munmap(start, self.count * size_of::<AtomicU64>()) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, sync::atomic::Ordering::Relaxed};

    #[test]
    fn what_is_counted_is_in_the_file_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counters");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        let counters = Counters::in_file(&file, 600).unwrap();
        counters[0].fetch_add(7, Relaxed);
        counters[599].fetch_add(u64::MAX, Relaxed);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 4800);
        assert_eq!((bytes[..8].to_vec(), bytes[4792..].to_vec()), (7_u64.to_ne_bytes().to_vec(), vec![255; 8]));
        drop(counters);
        let counters = Counters::in_file(&file, 600).unwrap();
        assert_eq!(counters[0].load(Relaxed), 0, "a new count begins with zeros");
    }

    #[test]
    fn counters_without_a_file_count_too() {
        let counters = Counters::in_memory(2);
        counters[1].fetch_add(1, Relaxed);
        assert_eq!((counters.len(), counters[1].load(Relaxed)), (2, 1));
    }
}
