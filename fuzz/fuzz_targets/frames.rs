//! Any bytes as what a provider sends over a WebSocket: the same messages and the same reading however they are cut, no
//! more inflated than may be, and what was framed comes out again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sociaro_gateway::{
    metering::{
        decode::DecodeError,
        frames::{Frames, Piece},
    },
    providers::{dialect::socket_meter, provider::Dialect},
};

const EXTENSIONS: [&str; 3] = ["", "permessage-deflate", "permessage-deflate; server_no_context_takeover"];
const DIALECTS: [Dialect; 3] = [Dialect::OpenAi, Dialect::Gemini, Dialect::DashScope];
/// What is made of so many bytes at most.
fn most(framed: usize) -> usize {
    (4 << 20) + 256 * framed + (64 << 10)
}

/// What came out: texts with a mark behind each message, and whether it ended well.
fn read(extensions: &str, framed: &[u8], width: usize) -> (Vec<u8>, Result<(), DecodeError>) {
    let (mut frames, mut out) = (Frames::new(extensions).unwrap(), Vec::new());
    let ended = framed.chunks(width).try_for_each(|chunk| {
        frames.read(chunk, &mut |piece| match piece {
            Piece::Data(data) => out.extend_from_slice(data),
            Piece::End => out.extend_from_slice(b"|end|"),
            Piece::Close => out.extend_from_slice(b"|close|"),
        })
    });
    (out, ended)
}

/// One message in frames of this many bytes.
fn framed(message: &[u8], width: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let count = message.chunks(width).count().max(1);
    for number in 0..count {
        let part = message.chunks(width).nth(number).unwrap_or_default();
        let opcode = if number == 0 { 1 } else { 0 };
        out.push(opcode | if number + 1 == count { 0x80 } else { 0 });
        match part.len() {
            short @ 0..=125 => out.push(short as u8),
            long => {
                out.push(126);
                out.extend_from_slice(&(long as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(part);
    }
    out
}

fuzz_target!(|input: &[u8]| {
    let [extensions, dialect, width, rest @ ..] = input else { return };
    let width = usize::from(*width).max(1);
    let extensions = EXTENSIONS[usize::from(*extensions) % EXTENSIONS.len()];
    let (whole, ended) = read(extensions, rest, rest.len().max(1));
    let (cut, cut_ended) = read(extensions, rest, width);
    assert_eq!(ended, cut_ended, "cut every {width} bytes");
    if ended.is_ok() {
        assert_eq!(whole, cut, "cut every {width} bytes");
    }
    assert!(whole.len() <= most(rest.len()), "{} bytes of {}", whole.len(), rest.len());

    let meter = || socket_meter(DIALECTS[usize::from(*dialect) % DIALECTS.len()], "realtime", extensions);
    let (mut one, mut other) = (meter(), meter());
    one.read(rest);
    rest.chunks(width).for_each(|chunk| other.read(chunk));
    if ended.is_ok() {
        assert_eq!(one.finish(), other.finish(), "cut every {width} bytes");
    }

    let (again, ended) = read("", &framed(rest, width), 7);
    assert_eq!(ended, Ok(()));
    assert_eq!(again, [rest, b"|end|"].concat());
});
