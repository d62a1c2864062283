//! Compressed bodies, both ways: HTTP's `Content-Encoding`, and ClickHouse's own blocks (`decompress=1`,
//! `compress=1`). What a body may grow to is bounded before it is read.

use super::{
    budget::Share,
    fault::{Code, Fault},
};
use bytes::Bytes;
use std::io::Read;

/// A block's checksum and header: 16 bytes of `CityHash`, method, compressed size, raw size.
const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
const METHOD_NONE: u8 = 0x02;
const METHOD_LZ4: u8 = 0x82;
const METHOD_ZSTD: u8 = 0x90;
/// Raw bytes in one block that we write, as a ClickHouse server does.
const BLOCK_BYTES: usize = 1 << 20;
/// How much is read from a decoder between two looks at the bounds.
const PIECE_BYTES: usize = 64 << 10;

/// Undoes HTTP's encodings, given as in the header: `gzip`, or several from first to last applied.
pub(super) fn decode(encodings: &str, body: Bytes, bytes_max: usize, share: &mut Share) -> Result<Bytes, Fault> {
    let mut body = body;
    for name in encodings.split(',').map(str::trim).rev().filter(|name| !name.is_empty()) {
        body = match name.to_ascii_lowercase().as_str() {
            "identity" => continue,
            "gzip" | "x-gzip" => read(flate2::read::MultiGzDecoder::new(&*body), bytes_max, share)?,
            "deflate" => read(flate2::read::ZlibDecoder::new(&*body), bytes_max, share)?,
            "zstd" => read(zstd::stream::read::Decoder::with_buffer(&*body).map_err(broken)?, bytes_max, share)?,
            "lz4" => read(lz4_flex::frame::FrameDecoder::new(&*body), bytes_max, share)?,
            "br" => read(brotli::Decompressor::new(&*body, PIECE_BYTES), bytes_max, share)?,
            other => {
                let text = format!("Unknown Content-Encoding {other:?}");
                return Err(Fault::new(Code::UnknownCompressionMethod, text));
            }
        };
    }
    Ok(body)
}

fn broken(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::CannotDecompress, format!("The body cannot be decompressed: {error}"))
}

pub(super) fn too_large(bytes_max: usize) -> Fault {
    Fault::new(Code::QueryIsTooLarge, format!("The request's body is over {bytes_max} bytes"))
}

fn read(mut decoder: impl Read, bytes_max: usize, share: &mut Share) -> Result<Bytes, Fault> {
    let (mut out, mut piece) = (Vec::new(), vec![0; PIECE_BYTES]);
    loop {
        let length = decoder.read(&mut piece).map_err(broken)?;
        if length == 0 {
            return Ok(out.into());
        }
        extend(&mut out, piece.get(..length).unwrap_or_default(), bytes_max, share)?;
    }
}

fn extend(out: &mut Vec<u8>, piece: &[u8], bytes_max: usize, share: &mut Share) -> Result<(), Fault> {
    if out.len().saturating_add(piece.len()) > bytes_max {
        return Err(too_large(bytes_max));
    }
    share.grow(piece.len())?;
    out.extend_from_slice(piece);
    Ok(())
}

/// Reads a run of ClickHouse's compressed blocks.
pub(super) fn decompress_blocks(body: &[u8], bytes_max: usize, share: &mut Share) -> Result<Bytes, Fault> {
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (block, after) = split_block(rest).ok_or_else(|| broken("a block is cut short"))?;
        rest = after;
        if checksum(block.hashed) != block.checksum {
            return Err(Fault::new(Code::ChecksumDoesntMatch, "Checksum doesn't match: corrupted data"));
        }
        // The raw size is the sender's word: it is checked before memory is given for it.
        if out.len().saturating_add(block.raw_bytes) > bytes_max {
            return Err(too_large(bytes_max));
        }
        share.grow(block.raw_bytes)?;
        match block.method {
            METHOD_NONE => out.extend_from_slice(block.data),
            METHOD_LZ4 => {
                out.extend_from_slice(&lz4_flex::block::decompress(block.data, block.raw_bytes).map_err(broken)?);
            }
            METHOD_ZSTD => {
                out.extend_from_slice(&zstd::bulk::decompress(block.data, block.raw_bytes).map_err(broken)?);
            }
            other => {
                let text = format!("Unknown compression method {other:#x} of a block");
                return Err(Fault::new(Code::UnknownCompressionMethod, text));
            }
        }
        if out.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
    }
    Ok(out.into())
}

struct Block<'a> {
    checksum: u128,
    hashed: &'a [u8],
    method: u8,
    raw_bytes: usize,
    data: &'a [u8],
}

fn split_block(bytes: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let (checksum, rest) = bytes.split_first_chunk::<CHECKSUM_BYTES>()?;
    let (method, sizes) = rest.split_first()?;
    let (size, sizes) = sizes.split_first_chunk()?;
    let (raw_bytes, _) = sizes.split_first_chunk()?;
    let length = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
    let (size, raw_bytes) = (length(size)?, length(raw_bytes)?);
    let (hashed, after) = rest.split_at_checked(size)?;
    let data = hashed.get(HEADER_BYTES..)?;
    Some((Block { checksum: u128::from_le_bytes(*checksum), hashed, method: *method, raw_bytes, data }, after))
}

/// Writes a result as compressed blocks.
pub(super) fn compress_blocks(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 2);
    for raw in bytes.chunks(BLOCK_BYTES) {
        let data = lz4_flex::block::compress(raw);
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut hashed = Vec::with_capacity(data.len().saturating_add(HEADER_BYTES));
        hashed.push(METHOD_LZ4);
        hashed.extend_from_slice(&size(data.len().saturating_add(HEADER_BYTES)));
        hashed.extend_from_slice(&size(raw.len()));
        hashed.extend_from_slice(&data);
        out.extend_from_slice(&checksum(&hashed).to_le_bytes());
        out.extend_from_slice(&hashed);
    }
    out
}

/// `CityHash` 1.0.2, its two halves in ClickHouse's order.
fn checksum(bytes: &[u8]) -> u128 {
    cityhash_rs::cityhash_102_128(bytes).rotate_right(64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::engine::budget::Budget;
    use proptest::prelude::*;
    use std::io::Write;

    fn share() -> Share {
        Budget::new(1 << 30).share()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_encoding_is_undone_the_last_applied_first() {
        let text = b"INSERT INTO t FORMAT TSV\n1\n".repeat(1000);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&text).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&text).unwrap();
        let cases = [
            ("gzip", gzip(&text)),
            ("deflate", zlib.finish().unwrap()),
            ("lz4", lz4.finish().unwrap()),
            ("zstd", zstd::bulk::compress(&text, 1).unwrap()),
            ("zstd, gzip", gzip(&zstd::bulk::compress(&text, 1).unwrap())),
            ("", text.clone()),
            ("identity", text.clone()),
        ];
        for (name, body) in cases {
            assert_eq!(decode(name, body.into(), 1 << 20, &mut share()).unwrap(), text, "{name}");
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_bound_and_a_broken_body_as_such() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert_eq!(decode("gzip", bomb.into(), 1 << 20, &mut share()).unwrap_err().code, 229);
        assert_eq!(decode("gzip", Bytes::from_static(b"no gzip"), 99, &mut share()).unwrap_err().code, 271);
        assert_eq!(decode("rot13", Bytes::new(), 99, &mut share()).unwrap_err().code, 89);
    }

    #[test]
    fn a_block_that_lies_about_its_size_is_refused_before_memory_is_given() {
        let mut block = compress_blocks(b"hello");
        block[21..25].copy_from_slice(&u32::MAX.to_le_bytes());
        let sum = checksum(&block[16..]).to_le_bytes();
        block[..16].copy_from_slice(&sum);
        assert_eq!(decompress_blocks(&block, 1 << 20, &mut share()).unwrap_err().code, 229);
    }

    #[test]
    fn a_changed_byte_or_a_cut_block_is_seen() {
        let block = compress_blocks(b"some data of a block");
        for at in 0..block.len() {
            let mut changed = block.clone();
            changed[at] ^= 1;
            assert!(decompress_blocks(&changed, 1 << 20, &mut share()).is_err(), "byte {at}");
            if at > 0 {
                assert!(decompress_blocks(&block[..at], 1 << 20, &mut share()).is_err(), "cut at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn blocks_go_there_and_back(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let back = decompress_blocks(&compress_blocks(&bytes), 1 << 20, &mut share()).unwrap();
            prop_assert_eq!(&*back, &*bytes);
        }
    }
}
