//! Frames: how a record stands in a segment. Each is checked by itself, so damage costs the frames that it hits and no other.
//!
//! ```text
//! 0   4  mark, F7 'S' 'G' and the version of the format
//! 4   4  length of the payload, little-endian
//! 8   4  CRC-32 of the frame's place in the segment, the length, the kind and the payload
//! 12  1  kind
//! 13  …  payload
//! ```
//!
//! The checksum begins with a salt of the segment, so that no text that a caller sends can pass for a frame.

use crc32fast::Hasher;

const MARK: [u8; 4] = *b"\xF7SG\x01";
/// What stands before the payload.
pub const HEADER_BYTES: usize = 13;
const CHECKED_FROM: usize = 12;
/// No payload is longer.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The row of an exchange that had no intent.
    Event = 1,
    /// The row that an exchange has if nothing more is heard of it.
    Intent = 2,
    /// The row of an exchange that had an intent.
    Closing = 3,
    /// The id of an exchange whose row is elsewhere, or lost: its intent is void.
    Void = 4,
    /// The end of a batch: where it began, and how many events it holds.
    Seal = 5,
    /// An intent of the segment before, whose exchange goes on.
    Carried = 6,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        let kinds = [Self::Event, Self::Intent, Self::Closing, Self::Void, Self::Seal, Self::Carried];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether the payload is a row that is to be stored.
    pub const fn is_event(self) -> bool {
        matches!(self, Self::Event | Self::Closing)
    }
}

/// Begins a frame at the end of `into`; the payload follows, then `end`. Gives where it began.
pub fn begin(into: &mut Vec<u8>, kind: Kind) -> usize {
    let from = into.len();
    into.extend_from_slice(&MARK);
    into.extend_from_slice(&[0; 8]);
    into.push(kind as u8);
    from
}

/// Ends the frame that began at `from`. Its checksum is set when its place is known.
pub fn end(into: &mut [u8], from: usize) {
    let Some(frame) = into.get_mut(from..) else { return };
    let length = u32::try_from(frame.len().saturating_sub(HEADER_BYTES)).unwrap_or(u32::MAX);
    if let Some(place) = frame.get_mut(4..8) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

/// Whether a finished frame is one that can be read back.
pub fn fits(frame: &[u8]) -> bool {
    frame.len() <= HEADER_BYTES + PAYLOAD_BYTES_MAX
}

/// A whole frame of a short payload.
pub fn whole(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    let from = begin(&mut frame, kind);
    frame.extend_from_slice(payload);
    end(&mut frame, from);
    frame
}

/// Sets the checksums of frames that stand one behind the other, the first at this place of its segment.
pub fn seat(frames: &mut [u8], salt: u32, at: u64) {
    let (mut rest, mut at) = (frames, at);
    while let Some(length) = length_of(rest) {
        let Some((frame, behind)) = rest.split_at_mut_checked(HEADER_BYTES + length) else { return };
        let sum = checksum(frame, salt, at).to_le_bytes();
        if let Some(place) = frame.get_mut(8..CHECKED_FROM) {
            place.copy_from_slice(&sum);
        }
        at += frame.len() as u64;
        rest = behind;
    }
}

/// Frames that we have just made, whose checksums need not be set: their kinds and payloads; `at` counts from the first.
pub fn made(frames: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let bytes = frames.get(at..)?;
        let frame = bytes.get(..HEADER_BYTES + length_of(bytes)?)?;
        let kind = Kind::of(*frame.get(CHECKED_FROM)?)?;
        let made = Frame { at: at as u64, kind, payload: frame.get(HEADER_BYTES..).unwrap_or_default() };
        at += frame.len();
        Some(made)
    })
}

fn length_of(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(4..8)?.try_into().map(u32::from_le_bytes).ok()?;
    usize::try_from(length).ok()
}

fn checksum(frame: &[u8], salt: u32, at: u64) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt);
    hasher.update(&at.to_le_bytes());
    hasher.update(frame.get(4..8).unwrap_or_default());
    hasher.update(frame.get(CHECKED_FROM..).unwrap_or_default());
    hasher.finalize()
}

/// A frame that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its place in the segment.
    pub at: u64,
    pub kind: Kind,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// The place behind it.
    pub fn end(&self) -> u64 {
        self.at + (HEADER_BYTES + self.payload.len()) as u64
    }
}

/// What comes next in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    Frame(Frame<'a>),
    /// Bytes that are no frame: from, to.
    Damage(u64, u64),
}

/// Reads the frames of a segment's bytes, unfinished and damaged ones left out. Never fails.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    salt: u32,
    /// The place of the first byte.
    base: u64,
    next: usize,
}

impl<'a> Frames<'a> {
    /// The frames of bytes that stand at this place of their segment.
    pub fn new(bytes: &'a [u8], salt: u32, base: u64) -> Self {
        Self { bytes, salt, base, next: 0 }
    }

    fn place(&self, at: usize) -> u64 {
        self.base + at as u64
    }

    fn frame(&self, at: usize) -> Option<Frame<'a>> {
        let bytes = self.bytes.get(at..)?;
        let length = length_of(bytes).filter(|length| *length <= PAYLOAD_BYTES_MAX)?;
        let frame = bytes.get(..HEADER_BYTES + length)?;
        let (kind, sum) = (Kind::of(*frame.get(CHECKED_FROM)?)?, frame.get(8..CHECKED_FROM)?);
        let place = self.place(at);
        let is_whole = frame.starts_with(&MARK) && checksum(frame, self.salt, place).to_le_bytes() == *sum;
        is_whole.then(|| Frame { at: place, kind, payload: frame.get(HEADER_BYTES..).unwrap_or_default() })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let from = self.next;
        if from >= self.bytes.len() {
            return None;
        }
        if let Some(frame) = self.frame(from) {
            self.next = from + HEADER_BYTES + frame.payload.len();
            return Some(Found::Frame(frame));
        }
        let behind = from + 1;
        let marks = memchr::memmem::find_iter(self.bytes.get(behind..).unwrap_or_default(), &MARK);
        let whole = marks.map(|at| behind + at).find(|at| self.frame(*at).is_some());
        self.next = whole.unwrap_or(self.bytes.len());
        Some(Found::Damage(self.place(from), self.place(self.next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SALT: u32 = 77;

    fn segment(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes: Vec<u8> = payloads.iter().flat_map(|payload| whole(Kind::Event, payload)).collect();
        seat(&mut bytes, SALT, 100);
        bytes
    }

    fn payloads(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let frames = Frames::new(bytes, SALT, 100).filter_map(|found| match found {
            Found::Frame(frame) => Some((frame.at, frame.payload.to_vec())),
            Found::Damage(..) => None,
        });
        frames.collect()
    }

    #[test]
    fn frames_come_back_whole_and_in_order() {
        let all = vec![b"one".to_vec(), Vec::new(), vec![7; 5000]];
        let bytes = segment(&all);
        assert_eq!(made(&bytes).map(|frame| frame.payload.to_vec()).collect::<Vec<_>>(), all);
        let found = payloads(&bytes);
        assert_eq!(found.iter().map(|(_, payload)| payload.clone()).collect::<Vec<_>>(), all);
        assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [100, 116, 129]);
        assert!(Frames::new(&bytes, SALT, 100).all(|found| matches!(found, Found::Frame(_))));
    }

    #[test]
    fn a_frame_at_another_place_or_of_another_segment_is_none() {
        let bytes = segment(&[b"one".to_vec()]);
        for (salt, base) in [(SALT, 101), (SALT + 1, 100)] {
            let found: Vec<_> = Frames::new(&bytes, salt, base).collect();
            assert_eq!(found, [Found::Damage(base, base + bytes.len() as u64)]);
        }
    }

    #[test]
    fn a_frame_inside_a_payload_is_not_taken_for_one_when_its_frame_is_damaged() {
        let inner = whole(Kind::Event, b"forged");
        let mut bytes = segment(&[inner, b"next".to_vec()]);
        bytes[5] ^= 1;
        assert_eq!(payloads(&bytes).into_iter().map(|(_, payload)| payload).collect::<Vec<_>>(), [b"next"]);
    }

    proptest! {
        /// Whatever happens to the bytes: no panic, no frame that was not written, and all frames that were not hit.
        #[test]
        fn damage_costs_what_it_hits_and_alters_nothing(
            all in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..20),
            hits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 1_usize..40), 0..6),
            cut in proptest::option::of(any::<proptest::sample::Index>()),
        ) {
            let whole = segment(&all);
            let written = payloads(&whole);
            let mut bytes = whole.clone();
            for (place, value, length) in hits {
                let from = place.index(bytes.len());
                bytes.iter_mut().skip(from).take(length).for_each(|byte| *byte = value);
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let found = payloads(&bytes);
            prop_assert!(found.iter().all(|frame| written.contains(frame)), "a frame that nobody wrote");
            for (at, payload) in &written {
                let from = usize::try_from(*at).unwrap() - 100;
                let range = from..from + HEADER_BYTES + payload.len();
                if bytes.get(range.clone()) == whole.get(range) {
                    prop_assert!(found.contains(&(*at, payload.clone())), "a frame that was not hit is gone");
                }
            }
        }

        #[test]
        fn bytes_without_a_frame_hold_none(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            prop_assert!(payloads(&bytes).is_empty());
        }
    }
}
