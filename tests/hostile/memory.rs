//! How much memory the gateway's process took at most, since a test began to look.

use std::fs;

/// One mebibyte.
pub const MIB: u64 = 1024 * 1024;
/// What any load adds that has nothing to do with an attack: code that is read in for the first time, and what the
/// allocator keeps for each thread.
pub const SLACK: u64 = 32 * MIB;

/// The resident memory of a process when the watch began; its peak was reset then.
pub struct Watch {
    process: u32,
    before: u64,
}

impl Watch {
    /// Begins, and resets the kernel's record of the peak.
    pub fn begin(process: u32) -> Self {
        fs::write(format!("/proc/{process}/clear_refs"), "5").expect("the peak can be reset");
        Self { process, before: status(process, "VmRSS:") }
    }

    /// By how many bytes the peak since then lies over what was resident at the beginning.
    pub fn grown(&self) -> u64 {
        status(self.process, "VmHWM:").saturating_sub(self.before)
    }
}

fn status(process: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("the gateway runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel says it");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}

#[test]
fn a_peak_is_seen_although_the_memory_was_given_back() {
    let watch = Watch::begin(std::process::id());
    let held = vec![1_u8; 64 * 1024 * 1024];
    drop(std::hint::black_box(held));
    assert!(watch.grown() >= 60 * MIB, "{}", watch.grown());
}
