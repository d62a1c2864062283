//! Any bytes in any list of codings: decoding neither panics nor hangs nor makes more than it may, and is the same however
//! the bytes are cut and however little is asked for at once. And what was encoded comes out again, or is damaged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sociaro_gateway::metering::decode::{DecodeError, Decoders};
use std::io::Write;

const CODINGS: [&str; 8] =
    ["gzip", "deflate", "br", "zstd", "gzip, br", "zstd, gzip", "deflate, deflate", "br, zstd, gzip"];
/// What the decoders put out at most, of so many bytes.
fn most(encoded: usize) -> usize {
    (4 << 20) + 256 * encoded + (8 << 10)
}

fn decode(coding: &str, encoded: &[u8], width: usize, at_once: u64) -> (Vec<u8>, Result<(), DecodeError>) {
    let mut decoded = Vec::new();
    let mut decoders = Decoders::new(coding).unwrap();
    for mut chunk in encoded.chunks(width) {
        loop {
            match decoders.read(chunk, at_once, &mut |bytes| decoded.extend_from_slice(bytes)) {
                Err(error) => return (decoded, Err(error)),
                Ok(progress) if progress.is_done => break,
                Ok(progress) => chunk = &chunk[progress.used..],
            }
        }
    }
    (decoded, Ok(()))
}

fn encode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            coder.write_all(bytes).unwrap();
            coder.finish().unwrap()
        }
        "deflate" => {
            let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            coder.write_all(bytes).unwrap();
            coder.finish().unwrap()
        }
        "br" => {
            let mut coder = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 18);
            coder.write_all(bytes).unwrap();
            coder.into_inner()
        }
        _ => zstd::encode_all(bytes, 1).unwrap(),
    }
}

fuzz_target!(|input: &[u8]| {
    let [coding, width, at, flip, bytes @ ..] = input else { return };
    let (coding, width) = (CODINGS[usize::from(*coding) % CODINGS.len()], usize::from(*width).max(1));
    check(coding, bytes, width);
    let mut encoded = coding.split(", ").fold(bytes.to_vec(), |bytes, one| encode(one, &bytes));
    let (decoded, outcome) = decode(coding, &encoded, width, 1000);
    assert!(outcome.is_err() || decoded == bytes, "{coding} does not undo itself");
    let at = usize::from(*at) * encoded.len() / 256;
    encoded[at] ^= flip;
    check(coding, &encoded, width);
});

/// However they are cut, the bytes are decoded alike.
fn check(coding: &str, bytes: &[u8], width: usize) {
    let (whole, outcome) = decode(coding, bytes, bytes.len().max(1), u64::MAX);
    assert!(whole.len() <= most(bytes.len()), "{coding}: {} of {}", whole.len(), bytes.len());
    let (cut, of_cut) = decode(coding, bytes, width, 1000);
    // the bound on what comes out counts what went in so far, so that it is met earlier in small pieces
    if outcome.is_ok() && of_cut.is_ok() {
        assert!(whole == cut, "{coding} in {width}");
    }
    // zstd looks at a frame that it has whole in another way, and finds damage there that it would wait past in pieces
    if outcome == Err(DecodeError::Damaged) && !coding.contains("zstd") {
        assert!(of_cut.is_err(), "{coding} in {width}: damaged only when whole");
    }
}
