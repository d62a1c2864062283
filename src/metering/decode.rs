//! Decodes a copy of a compressed answer as it streams by: gzip, deflate, br, zstd, and lists of them.
//!
//! What an encoder has flushed is available at once, so a compressed event stream is read live. Memory is one small
//! buffer a coding plus its window; how much may come out of how little is bounded, and what exceeds it, is damaged
//! or in an unknown coding ends the decoding, which the relay never notices. How much is decoded at a time is the
//! caller's choice.

use super::window::WindowShare;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, enc::StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use std::fmt;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

const BUFFER_BYTES: usize = 8 * 1024;
/// More codings than this on top of each other are no answer that a provider means.
const CODINGS_MAX: usize = 3;
/// Decoded bytes that are free, and how many more each encoded byte pays for.
const DECODED_BYTES_FREE: u64 = 4 << 20;
const DECODED_BYTES_EACH: u64 = 256;
/// RFC 9659: a window above 8 MiB is not for HTTP.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// What a decoder may hold without a share of the memory for windows.
const HELD_BYTES_FREE: u64 = 192 * 1024;

/// Why decoding ended before the answer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the answer's content coding is unknown")]
    Unknown,
    #[error("the answer is not in the coding that it claims")]
    Damaged,
    #[error("the answer decodes to far more than its size")]
    TooMuch,
    #[error("the windows of other answers leave no memory for this one's")]
    Memory,
}

/// Decoders for an answer's whole `Content-Encoding`, in the order in which they are undone.
#[derive(Default)]
pub struct Decoders {
    stages: Vec<Stage>,
    encoded_bytes: u64,
    decoded_bytes: u64,
    window: WindowShare,
}

impl fmt::Debug for Decoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoders").field("codings", &self.stages.len()).finish_non_exhaustive()
    }
}

impl Decoders {
    /// For a `Content-Encoding` header's value; empty or `identity` decodes nothing.
    pub fn new(content_encoding: &str) -> Result<Self, DecodeError> {
        let codings = content_encoding.split(',').map(str::trim);
        let codings: Vec<&str> =
            codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity")).collect();
        if codings.len() > CODINGS_MAX {
            return Err(DecodeError::Unknown);
        }
        let stages = codings.iter().rev().map(|coding| Stage::new(coding)).collect::<Result<_, _>>()?;
        Ok(Self { stages, ..Self::default() })
    }

    /// How many codings are to be undone.
    pub fn count(&self) -> usize {
        self.stages.len()
    }

    /// Hands on what `chunk` makes available, until that is about `decoded_max` bytes; how much of the chunk was used. When
    /// it stopped there, the rest is to be read next, even if that is empty. After an error nothing more may be asked.
    pub fn read(
        &mut self,
        chunk: &[u8],
        decoded_max: u64,
        receive: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, DecodeError> {
        let encoded = self.encoded_bytes.saturating_add(len(chunk));
        let bound = DECODED_BYTES_FREE.saturating_add(encoded.saturating_mul(DECODED_BYTES_EACH));
        let stop = self.decoded_bytes.saturating_add(decoded_max);
        let mut budget = Budget { used: &mut self.decoded_bytes, bound };
        let progress = run(&mut self.stages, chunk, &mut budget, Some(stop), receive)?;
        self.encoded_bytes = self.encoded_bytes.saturating_add(len(chunk.get(..progress.used).unwrap_or_default()));
        let held: u64 = self.stages.iter().map(Stage::held).sum();
        // a window is filled by what was decoded, and costs no memory before
        let share = held.saturating_sub(HELD_BYTES_FREE).min(self.decoded_bytes);
        if self.window.grow_to(share) { Ok(progress) } else { Err(DecodeError::Memory) }
    }
}

/// How far a chunk was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub used: usize,
    /// All that it makes available was handed on.
    pub is_done: bool,
}

/// How much all stages together may still put out.
struct Budget<'a> {
    used: &'a mut u64,
    bound: u64,
}

/// `stop` bounds what the first stage puts out; what the later ones make of that is handed on in any case.
fn run(
    stages: &mut [Stage],
    input: &[u8],
    budget: &mut Budget<'_>,
    stop: Option<u64>,
    receive: &mut dyn FnMut(&[u8]),
) -> Result<Progress, DecodeError> {
    let Some((stage, later)) = stages.split_first_mut() else {
        receive(input);
        return Ok(Progress { used: input.len(), is_done: true });
    };
    let mut used = 0;
    loop {
        let rest = input.get(used..).unwrap_or_default();
        let (consumed, produced) = stage.coding.step(rest, &mut stage.buffer)?;
        used += consumed;
        if produced > 0 {
            let output = stage.buffer.get(..produced).unwrap_or_default();
            *budget.used += len(output);
            if *budget.used > budget.bound {
                return Err(DecodeError::TooMuch);
            }
            run(later, output, budget, None, receive)?;
            if stop.is_some_and(|stop| *budget.used >= stop) {
                return Ok(Progress { used, is_done: false });
            }
        } else if used >= input.len() || consumed == 0 {
            return Ok(Progress { used: input.len(), is_done: true });
        }
    }
}

fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

struct Stage {
    coding: Coding,
    buffer: Box<[u8]>,
}

impl Stage {
    fn new(coding: &str) -> Result<Self, DecodeError> {
        let coding = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Coding::Gzip(Box::default()),
            "deflate" => Coding::Deflate(Deflate::Undecided(None)),
            "br" => Coding::Brotli(Box::new(BrotliState::new_strict(
                StandardAlloc::default(),
                StandardAlloc::default(),
                StandardAlloc::default(),
            ))),
            "zstd" => {
                let mut decoder = DCtx::try_create().ok_or(DecodeError::Memory)?;
                let bound = DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX);
                decoder.set_parameter(bound).map_err(|_| DecodeError::Damaged)?;
                Coding::Zstd(decoder)
            }
            _ => return Err(DecodeError::Unknown),
        };
        Ok(Self { coding, buffer: vec![0; BUFFER_BYTES].into_boxed_slice() })
    }

    /// The memory that it holds, where that can be much.
    fn held(&self) -> u64 {
        match &self.coding {
            Coding::Brotli(state) => u64::try_from(state.ringbuffer_size).unwrap_or_default(),
            Coding::Zstd(decoder) => u64::try_from(decoder.sizeof()).unwrap_or(u64::MAX),
            Coding::Gzip(_) | Coding::Deflate(_) | Coding::Over => 0,
        }
    }
}

enum Coding {
    Gzip(Box<Gzip>),
    Deflate(Deflate),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(DCtx<'static>),
    /// The encoded stream is over; what follows it means nothing.
    Over,
}

impl Coding {
    /// Decodes once: how much of `input` was used, and how much of `output` was filled.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), DecodeError> {
        match self {
            Self::Gzip(gzip) => gzip.step(input, output),
            Self::Deflate(deflate) => {
                let (consumed, produced, over) = deflate.step(input, output)?;
                if over {
                    *self = Self::Over;
                }
                Ok((consumed, produced))
            }
            Self::Brotli(state) => {
                let (mut left_in, mut consumed) = (input.len(), 0);
                let (mut left_out, mut produced, mut total) = (output.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut left_in,
                    &mut consumed,
                    input,
                    &mut left_out,
                    &mut produced,
                    output,
                    &mut total,
                    state,
                );
                match result {
                    BrotliResult::ResultFailure => return Err(DecodeError::Damaged),
                    BrotliResult::ResultSuccess => *self = Self::Over,
                    BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                }
                Ok((consumed, produced))
            }
            Self::Zstd(decoder) => {
                let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(output));
                decoder.decompress_stream(&mut to, &mut from).map_err(|_| DecodeError::Damaged)?;
                Ok((from.pos(), to.pos()))
            }
            Self::Over => Ok((input.len(), 0)),
        }
    }
}

/// Inflates; whether the stream ended with this is the third value.
fn inflate(inner: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<(usize, usize, bool), DecodeError> {
    let (before_in, before_out) = (inner.total_in(), inner.total_out());
    let status = inner.decompress(input, output, FlushDecompress::None).map_err(|_| DecodeError::Damaged)?;
    let consumed = usize::try_from(inner.total_in() - before_in).map_err(|_| DecodeError::Damaged)?;
    let produced = usize::try_from(inner.total_out() - before_out).map_err(|_| DecodeError::Damaged)?;
    Ok((consumed, produced, status == Status::StreamEnd))
}

/// `deflate` names a zlib stream, but some servers send a bare one: the first two bytes tell.
enum Deflate {
    Undecided(Option<u8>),
    /// Decided; the byte that came alone, if any, is still to be read.
    Decided(Decompress, Option<u8>),
}

impl Deflate {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize, bool), DecodeError> {
        match self {
            Self::Undecided(first) => {
                let mut bytes = first.iter().chain(input);
                let (one, two) = (bytes.next().copied(), bytes.next().copied());
                if let (Some(one), Some(two)) = (one, two) {
                    let is_zlib = one & 0x0f == 8 && one >> 4 <= 7 && u16::from_be_bytes([one, two]) % 31 == 0;
                    *self = Self::Decided(Decompress::new(is_zlib), *first);
                    return self.step(input, output);
                }
                *first = one;
                Ok((input.len(), 0, false))
            }
            Self::Decided(inner, pending) => {
                if let Some(byte) = pending.take() {
                    // one byte makes no output: it is half a header, or too little for a block
                    inflate(inner, &[byte], &mut [0])?;
                }
                inflate(inner, input, output)
            }
        }
    }
}

/// Where a gzip stream stands (RFC 1952); members may follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GzipAt {
    /// The fixed header, of which so many bytes came.
    Header(u8),
    ExtraLen(u8),
    Extra(u16),
    /// The file's name, then a comment: each ends with a zero.
    Text(u8),
    HeaderCheck(u8),
    Body,
    /// Checksum and size, of which so many bytes came.
    Trailer(u8),
    /// Something that is no member follows the last one.
    Over,
}

struct Gzip {
    inner: Decompress,
    at: GzipAt,
    flags: u8,
    extra_len: u16,
    members: u32,
}

impl Default for Gzip {
    fn default() -> Self {
        Self { inner: Decompress::new(false), at: GzipAt::Header(0), flags: 0, extra_len: 0, members: 0 }
    }
}

impl Gzip {
    const HAS_CHECK: u8 = 0x02;
    const HAS_EXTRA: u8 = 0x04;
    const TEXTS: [u8; 2] = [0x08, 0x10];

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), DecodeError> {
        let mut consumed = 0;
        while let Some(byte) = input.get(consumed) {
            match self.at {
                GzipAt::Body => {
                    let rest = input.get(consumed..).unwrap_or_default();
                    let (used, produced, over) = inflate(&mut self.inner, rest, output)?;
                    if over {
                        self.at = GzipAt::Trailer(0);
                        self.members += 1;
                    }
                    return Ok((consumed + used, produced));
                }
                GzipAt::Over => return Ok((input.len(), 0)),
                _ => self.around(*byte)?,
            }
            consumed += 1;
        }
        if self.at == GzipAt::Body {
            // output may wait inside although all input is used
            let (_, produced, over) = inflate(&mut self.inner, &[], output)?;
            if over {
                self.at = GzipAt::Trailer(0);
                self.members += 1;
            }
            return Ok((consumed, produced));
        }
        Ok((consumed, 0))
    }

    /// One byte of what stands around a member's body.
    fn around(&mut self, byte: u8) -> Result<(), DecodeError> {
        self.at = match self.at {
            GzipAt::Header(at) => return self.header(at, byte),
            GzipAt::ExtraLen(0) => {
                self.extra_len = u16::from(byte);
                GzipAt::ExtraLen(1)
            }
            GzipAt::ExtraLen(_) => match self.extra_len | u16::from(byte) << 8 {
                0 => self.next_text(0),
                extra => GzipAt::Extra(extra),
            },
            GzipAt::Extra(1) => self.next_text(0),
            GzipAt::Extra(left) => GzipAt::Extra(left - 1),
            GzipAt::Text(which) if byte == 0 => self.next_text(which + 1),
            GzipAt::HeaderCheck(0) => GzipAt::HeaderCheck(1),
            GzipAt::HeaderCheck(_) => GzipAt::Body,
            GzipAt::Trailer(7) => {
                self.inner.reset(false);
                GzipAt::Header(0)
            }
            GzipAt::Trailer(at) => GzipAt::Trailer(at + 1),
            at => at,
        };
        Ok(())
    }

    fn header(&mut self, at: u8, byte: u8) -> Result<(), DecodeError> {
        let fits = match at {
            0 => byte == 0x1f,
            1 => byte == 0x8b,
            2 => byte == 8,
            _ => true,
        };
        if !fits {
            self.at = GzipAt::Over;
            return if self.members > 0 { Ok(()) } else { Err(DecodeError::Damaged) };
        }
        if at == 3 {
            self.flags = byte;
        }
        self.at = match at {
            9 if self.flags & Self::HAS_EXTRA != 0 => GzipAt::ExtraLen(0),
            9 => self.next_text(0),
            _ => GzipAt::Header(at + 1),
        };
        Ok(())
    }

    /// What comes once the texts before number `from` are over.
    fn next_text(&self, from: u8) -> GzipAt {
        let later = Self::TEXTS.iter().zip(0u8..).skip(usize::from(from));
        match later.filter(|(flag, _)| self.flags & **flag != 0).map(|(_, which)| which).next() {
            Some(which) => GzipAt::Text(which),
            None if self.flags & Self::HAS_CHECK != 0 => GzipAt::HeaderCheck(0),
            None => GzipAt::Body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn bare(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn br(bytes: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        brotli::CompressorWriter::new(&mut encoded, 4096, 5, 22).write_all(bytes).unwrap();
        encoded
    }

    fn zst(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    fn decode(encoding: &str, encoded: &[u8], width: usize) -> Result<Vec<u8>, DecodeError> {
        let (mut decoders, mut decoded) = (Decoders::new(encoding)?, Vec::new());
        for chunk in encoded.chunks(width) {
            decoders.read(chunk, u64::MAX, &mut |bytes| decoded.extend_from_slice(bytes))?;
        }
        Ok(decoded)
    }

    fn encodings(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("", bytes.to_vec()),
            ("identity", bytes.to_vec()),
            ("gzip", gzip(bytes)),
            ("X-GZip", gzip(bytes)),
            ("deflate", zlib(bytes)),
            ("deflate", bare(bytes)),
            ("br", br(bytes)),
            ("zstd", zst(bytes)),
            ("gzip, br", br(&gzip(bytes))),
            ("deflate,identity , zstd", zst(&zlib(bytes))),
            ("br, gzip, zstd", zst(&gzip(&br(bytes)))),
        ]
    }

    #[test]
    fn every_coding_and_list_of_codings_is_undone_at_any_cut() {
        let text: Vec<u8> = (0..40_000u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) % 97).to_le_bytes()).collect();
        for bytes in [&b""[..], b"x", b"data: {\"a\":1}\n\n", &text] {
            for (encoding, encoded) in encodings(bytes) {
                for width in [1, 2, 7, 1000, encoded.len().max(1)] {
                    let decoded = decode(encoding, &encoded, width);
                    assert_eq!(decoded.as_deref(), Ok(bytes), "{encoding} of {} bytes in {width}", bytes.len());
                }
            }
        }
    }

    #[test]
    fn what_was_flushed_is_available_with_its_chunk() {
        let events: Vec<String> = (0..5).map(|n| format!("data: {{\"n\":{n}}}\n\n")).collect();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let mut zl = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        let mut zs = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        let mut bro = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
        let mut decoders = ["gzip", "deflate", "zstd", "br"].map(|coding| Decoders::new(coding).unwrap());
        for event in &events {
            let encoders: [&mut dyn Write; 4] = [&mut gz, &mut zl, &mut zs, &mut bro];
            for encoder in encoders {
                encoder.write_all(event.as_bytes()).unwrap();
                encoder.flush().unwrap();
            }
            let flushed = [
                std::mem::take(gz.get_mut()),
                std::mem::take(zl.get_mut()),
                std::mem::take(zs.get_mut()),
                std::mem::take(bro.get_mut()),
            ];
            for (decoder, flushed) in decoders.iter_mut().zip(&flushed) {
                let mut decoded = Vec::new();
                decoder.read(flushed, u64::MAX, &mut |bytes| decoded.extend_from_slice(bytes)).unwrap();
                assert_eq!(String::from_utf8(decoded).unwrap(), *event, "{decoder:?}");
            }
        }
    }

    #[test]
    fn gzip_headers_may_hold_everything_and_members_may_follow_one_another() {
        let full = flate2::GzBuilder::new().filename("name").comment("comment").extra(vec![1, 2, 3]);
        let mut encoder = full.write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"one").unwrap();
        let mut encoded = encoder.finish().unwrap();
        encoded.extend_from_slice(&gzip(b"two"));
        encoded.extend_from_slice(b"\0\0 padding");
        for width in [1, 3, encoded.len()] {
            assert_eq!(decode("gzip", &encoded, width).as_deref(), Ok(&b"onetwo"[..]));
        }
    }

    #[test]
    fn a_chunk_can_be_read_a_little_at_a_time() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) % 7).to_le_bytes()).collect();
        for (encoding, encoded) in encodings(&text).into_iter().filter(|(_, encoded)| encoded.len() < text.len()) {
            let (mut decoders, mut decoded, mut rest) = (Decoders::new(encoding).unwrap(), Vec::new(), &*encoded);
            loop {
                let before = decoded.len();
                let progress = decoders.read(rest, 10_000, &mut |bytes| decoded.extend_from_slice(bytes)).unwrap();
                let most = if encoding.contains(',') { text.len() } else { 10_000 + BUFFER_BYTES };
                assert!(decoded.len() - before <= most, "{encoding}: {} bytes at once", decoded.len() - before);
                rest = &rest[progress.used..];
                if progress.is_done {
                    break;
                }
            }
            assert!(rest.is_empty() && decoded == text, "{encoding}");
        }
    }

    #[test]
    fn unknown_damaged_and_exploding_answers_end_the_decoding() {
        assert_eq!(Decoders::new("compress").unwrap_err(), DecodeError::Unknown);
        assert_eq!(Decoders::new("gzip, gzip, gzip, gzip").unwrap_err(), DecodeError::Unknown);
        for coding in ["gzip", "br", "zstd"] {
            assert_eq!(decode(coding, b"<html>not encoded</html>", 4), Err(DecodeError::Damaged), "{coding}");
        }
        let zeros = vec![0; 64 << 20];
        for (coding, bomb) in [("gzip", gzip(&zeros)), ("br", br(&zeros)), ("zstd", zst(&zeros))] {
            assert_eq!(decode(coding, &bomb, 16 << 10), Err(DecodeError::TooMuch), "{coding}: {} bytes", bomb.len());
        }
        assert_eq!(decode("gzip, gzip", &gzip(&gzip(&zeros)), 16 << 10), Err(DecodeError::TooMuch));
    }

    #[test]
    fn the_largest_windows_are_held_once_and_shared_only_as_far_as_they_are_filled() {
        let noise: Vec<u8> = (0..5u32 << 20).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(ZSTD_WINDOW_LOG_MAX).unwrap();
        encoder.write_all(&noise).unwrap();
        let encoded = encoder.finish().unwrap();
        let mut decoders = Decoders::new("zstd").unwrap();
        let largest = (1 << ZSTD_WINDOW_LOG_MAX) + (1 << 20);
        for chunk in encoded.chunks(64 << 10) {
            decoders.read(chunk, u64::MAX, &mut |_| {}).unwrap();
            assert!(decoders.stages[0].held() < largest && decoders.window.bytes() <= decoders.decoded_bytes);
        }
        assert!(decoders.stages[0].held() > 1 << ZSTD_WINDOW_LOG_MAX, "the window is counted");
        assert_eq!(decoders.window.bytes(), decoders.stages[0].held() - HELD_BYTES_FREE);
    }

    #[test]
    fn a_zstd_window_too_large_for_http_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"text").unwrap();
        let encoded = encoder.finish().unwrap();
        assert_eq!(decode("zstd", &encoded, 64), Err(DecodeError::Damaged));
    }

    proptest! {
        #[test]
        fn random_bytes_never_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..300), width in 1usize..40) {
            for coding in ["gzip", "deflate", "br", "zstd", "gzip, br"] {
                drop(decode(coding, &bytes, width));
            }
        }

        #[test]
        fn a_cut_stream_yields_a_beginning_of_the_text(cut in 0usize..200, width in 1usize..40) {
            let text = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hello there, this is a text.\"}}]}\n\ndata: [DONE]\n\n";
            for (encoding, encoded) in encodings(text) {
                let decoded = decode(encoding, encoded.get(..cut).unwrap_or(&encoded), width).unwrap();
                prop_assert!(text.starts_with(&decoded), "{}", encoding);
            }
        }
    }
}
