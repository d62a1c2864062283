//! What masking costs: `cargo bench --bench masking`.
//!
//! Prints medians, asserts nothing: a debug build, or a busy machine, shows other figures. Documents of 1 KB and 20 KB are
//! made of the tests' corpora, which hold far more findings than prompts do, and of this repository's prose, which holds
//! few. Then hostile text, at two lengths: a ratio far beyond that of the lengths would be a cost that grows faster than the text.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "../../tests/masking/pieces.rs"]
mod pieces;

use pieces::PIECES;
use sociaro_gateway::{
    base::clock::{self, Duration},
    masking::Detector,
};
use std::{fs, hint::black_box};

const RUNS: usize = 15;
const SHORT: usize = 50_000;
const LONG: usize = 400_000;

fn main() {
    let (started, detector) = timed(Detector::new);
    let Ok(detector) = detector else { return };
    println!("rules: {} ms to build, {} KB resident in all", started.as_millis(), resident_kb());
    for (name, text) in [("corpora", corpora()), ("prose", prose())] {
        for size in [1 << 10, 20 << 10] {
            let documents: Vec<&str> = cut(&text, size);
            let find = median(&documents, |text| _ = black_box(detector.find(text)));
            let mask = median(&documents, |text| _ = black_box(detector.mask(text)));
            let masked: Vec<_> = documents.iter().map(|text| detector.mask(text)).collect();
            let mut restores: Vec<Duration> =
                masked.iter().map(|masked| timed(|| black_box(masked.map.restore(&masked.text))).0).collect();
            restores.sort_unstable();
            let restore = restores.get(restores.len() / 2).copied().unwrap_or_default();
            let speed = (size as u128) * 1000 / find.as_nanos().max(1);
            println!(
                "{name}, {size} bytes: find {} ns ({speed} MB/s), mask {} ns, restore {} ns",
                find.as_nanos(),
                mask.as_nanos(),
                restore.as_nanos()
            );
        }
    }
    println!("hostile text, {SHORT} and {LONG} bytes ({} times as much):", LONG / SHORT);
    for piece in PIECES {
        let took = [SHORT, LONG].map(|size| {
            let text = piece.repeat(size / piece.len());
            (0..3).map(|_| timed(|| black_box(detector.mask(&text))).0).min().unwrap_or_default()
        });
        let [short, long] = took.map(|took| took.as_nanos().max(1));
        let ratio = long * 10 / short;
        println!("  {:<32} {:>9} us, {:>3}.{} times", format!("{piece:?}"), long / 1000, ratio / 10, ratio % 10);
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = clock::instant();
    let made = work();
    (clock::instant() - started, made)
}

/// The median over all documents, each several times.
fn median(documents: &[&str], mut work: impl FnMut(&str)) -> Duration {
    let mut all: Vec<Duration> = (0..RUNS).flat_map(|_| documents).map(|text| timed(|| work(text)).0).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The texts of the tests' corpora, without their marks.
fn corpora() -> String {
    ["found", "clean"]
        .iter()
        .filter_map(|name| fs::read_to_string(format!("tests/masking/corpus/{name}.jsonl")).ok())
        .flat_map(|rows| rows.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|row| serde_json::from_str::<serde_json::Value>(&row).ok()?.get("marked")?.as_str().map(unmarked))
        .collect::<Vec<_>>()
        .join("\n")
}

fn unmarked(marked: &str) -> String {
    let mut parts = marked.split('⟦');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (finding, after) = part.split_once('⟧').unwrap_or((part, ""));
        text.push_str(finding.split_once(':').map_or("", |(_, value)| value));
        text.push_str(after);
    }
    text
}

fn prose() -> String {
    ["README.md", "ARCHITECTURE.md", "docs/metering.md", "docs/operations.md", "docs/tuning.md"]
        .iter()
        .filter_map(|name| fs::read_to_string(name).ok())
        .collect()
}

/// Pieces of that many bytes, more or less a character.
fn cut(text: &str, size: usize) -> Vec<&str> {
    let boundary = |at: usize| (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    (0..text.len() / size).filter_map(|i| text.get(boundary(i * size)..boundary((i + 1) * size))).collect()
}

/// The memory of this process, as the kernel counts it.
fn resident_kb() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or("?").trim().trim_end_matches(" kB").to_owned()
}
