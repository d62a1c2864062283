//! Reads the frames of a WebSocket as they are relayed, cut anywhere, and hands on what stands in its messages.
//!
//! Nothing is copied and no message is ever held: what stands in one is handed on in the fragments in which it arrives,
//! unmasked and inflated (`permessage-deflate`, RFC 7692), so a message of 100 MB costs no more memory than one of 10
//! bytes. Control frames between a message's fragments are passed over; the closing one ends the reading. What is no
//! WebSocket ends it, too, which the relay never notices.

use super::decode::DecodeError;
use flate2::{Decompress, FlushDecompress, Status};
use std::fmt;

/// The longest head of a frame: two bytes, a length of eight, a mask of four.
const HEAD_BYTES_MAX: usize = 14;
const BUFFER_BYTES: usize = 8 * 1024;
/// How much is unmasked at a time.
const UNMASKED_BYTES: usize = 1024;
/// What ends every compressed message and is left out on the wire.
const SYNC_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// Inflated bytes that are free, that each message pays for and that each compressed byte pays for. A message may be all
/// silence, which deflate makes a thousand times smaller.
const INFLATED_BYTES_FREE: u64 = 4 << 20;
const INFLATED_BYTES_A_MESSAGE: u64 = 64 << 10;
const INFLATED_BYTES_EACH: u64 = 256;
/// No more than this is saved up.
const INFLATED_BYTES_SAVED_MAX: u64 = 64 << 20;

/// What the next bytes of a WebSocket were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Part of the open message, be it text or binary: some providers send JSON as the latter.
    Data(&'a [u8]),
    /// The open message is whole.
    End,
    /// The sender will send no more.
    Close,
}

/// The extensions that both sides agreed on, as far as they change what the provider's frames hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extensions {
    None,
    Deflate,
    /// Each message is compressed without regard to those before it.
    DeflateFresh,
}

impl Extensions {
    /// From the answer's `Sec-WebSocket-Extensions`. The window's size does not matter: the largest fits all.
    fn agreed(header: &str) -> Result<Self, DecodeError> {
        let mut agreed = Self::None;
        for extension in header.split(',').map(str::trim).filter(|extension| !extension.is_empty()) {
            let mut parts = extension.split(';').map(str::trim);
            let is_deflate = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("permessage-deflate"));
            if !is_deflate || agreed != Self::None {
                return Err(DecodeError::Unknown);
            }
            let is_fresh = parts.any(|parameter| parameter.eq_ignore_ascii_case("server_no_context_takeover"));
            agreed = if is_fresh { Self::DeflateFresh } else { Self::Deflate };
        }
        Ok(agreed)
    }
}

/// The frame that is open.
#[derive(Debug, Clone, Copy)]
struct Frame {
    kind: Kind,
    is_last: bool,
    mask: Option<[u8; 4]>,
    /// How much of its payload is still to come.
    left: u64,
    /// Where in the mask the next byte stands.
    mask_at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of a message.
    Data,
    Close,
    /// A ping or a pong.
    Other,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// In a frame's head.
    Head,
    Payload(Frame),
    /// Nothing more is read.
    Over,
}

/// The reader: one direction of one WebSocket, fed chunk by chunk.
pub struct Frames {
    at: At,
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    /// The open message, and whether it is compressed.
    message: Option<bool>,
    inflater: Option<Inflater>,
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("at", &self.at)
            .field("deflate", &self.inflater.is_some())
            .finish_non_exhaustive()
    }
}

impl Frames {
    /// For a WebSocket with these extensions: all `Sec-WebSocket-Extensions` lines of the `101`, joined with commas.
    ///
    /// # Errors
    /// An extension that is not known: what the frames hold cannot be told.
    pub fn new(extensions: &str) -> Result<Self, DecodeError> {
        let inflater = match Extensions::agreed(extensions)? {
            Extensions::None => None,
            agreed => Some(Inflater::new(agreed == Extensions::DeflateFresh)),
        };
        Ok(Self { at: At::Head, head: [0; HEAD_BYTES_MAX], head_len: 0, message: None, inflater })
    }

    /// Hands on all that `chunk` makes available. After an error nothing more may be asked of it.
    ///
    /// # Errors
    /// What cannot be a WebSocket, or inflates to far more than its size.
    pub fn read(&mut self, mut chunk: &[u8], receive: &mut dyn FnMut(Piece<'_>)) -> Result<(), DecodeError> {
        while !chunk.is_empty() {
            match self.at {
                At::Head => self.head(&mut chunk, receive)?,
                At::Payload(frame) => self.payload(frame, &mut chunk, receive)?,
                At::Over => return Ok(()),
            }
        }
        Ok(())
    }

    fn head(&mut self, chunk: &mut &[u8], receive: &mut dyn FnMut(Piece<'_>)) -> Result<(), DecodeError> {
        let wanted = head_bytes(self.head.get(..self.head_len).unwrap_or_default());
        let room = self.head.get_mut(self.head_len..wanted).unwrap_or_default();
        let (taken, rest) = chunk.split_at_checked(room.len().min(chunk.len())).unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(taken) {
            *place = *byte;
        }
        *chunk = rest;
        self.head_len += taken.len();
        let head = self.head.get(..self.head_len).unwrap_or_default();
        if head.len() < 2 || head.len() < head_bytes(head) {
            return Ok(());
        }
        let frame = self.begin(&head_of(head).ok_or(DecodeError::Damaged)?)?;
        self.head_len = 0;
        self.at = At::Payload(frame);
        if frame.left == 0 { self.end(frame, receive) } else { Ok(()) }
    }

    /// Checks a frame against the message that is open.
    fn begin(&mut self, head: &Head) -> Result<Frame, DecodeError> {
        let &Head { is_last, is_compressed, opcode, mask, length } = head;
        let kind = match opcode {
            0 if self.message.is_some() && !is_compressed => Kind::Data,
            1 | 2 if self.message.is_none() && (!is_compressed || self.inflater.is_some()) => {
                self.message = Some(is_compressed);
                if let Some(inflater) = &mut self.inflater {
                    inflater.save(INFLATED_BYTES_A_MESSAGE);
                }
                Kind::Data
            }
            8..=10 if !is_last || is_compressed || length > 125 => return Err(DecodeError::Damaged),
            8 => Kind::Close,
            9 | 10 => Kind::Other,
            _ => return Err(DecodeError::Damaged),
        };
        Ok(Frame { kind, is_last, mask, left: length, mask_at: 0 })
    }

    fn payload(
        &mut self,
        mut frame: Frame,
        chunk: &mut &[u8],
        receive: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), DecodeError> {
        let fits = usize::try_from(frame.left).unwrap_or(usize::MAX).min(chunk.len());
        let (part, rest) = chunk.split_at_checked(fits).unwrap_or_default();
        *chunk = rest;
        frame.left = frame.left.saturating_sub(u64::try_from(part.len()).unwrap_or(u64::MAX));
        match frame.mask.filter(|_| frame.kind == Kind::Data) {
            Some(mask) => {
                let mut unmasked = [0; UNMASKED_BYTES];
                for block in part.chunks(UNMASKED_BYTES) {
                    let keys = mask.iter().cycle().skip(frame.mask_at);
                    for ((to, from), key) in unmasked.iter_mut().zip(block).zip(keys) {
                        *to = from ^ key;
                    }
                    frame.mask_at = (frame.mask_at + block.len()) % mask.len();
                    self.data(unmasked.get(..block.len()).unwrap_or_default(), receive)?;
                }
            }
            None if frame.kind == Kind::Data => self.data(part, receive)?,
            None => {}
        }
        self.at = At::Payload(frame);
        if frame.left == 0 { self.end(frame, receive) } else { Ok(()) }
    }

    fn data(&mut self, part: &[u8], receive: &mut dyn FnMut(Piece<'_>)) -> Result<(), DecodeError> {
        match &mut self.inflater {
            Some(inflater) if self.message == Some(true) => inflater.read(part, receive),
            _ => {
                receive(Piece::Data(part));
                Ok(())
            }
        }
    }

    /// The frame is whole.
    fn end(&mut self, frame: Frame, receive: &mut dyn FnMut(Piece<'_>)) -> Result<(), DecodeError> {
        self.at = At::Head;
        match frame.kind {
            Kind::Data if frame.is_last => {
                if let Some(inflater) = self.inflater.as_mut().filter(|_| self.message == Some(true)) {
                    inflater.end(receive)?;
                }
                self.message = None;
                receive(Piece::End);
            }
            Kind::Close => {
                self.at = At::Over;
                receive(Piece::Close);
            }
            Kind::Data | Kind::Other => {}
        }
        Ok(())
    }
}

/// A frame's head.
struct Head {
    is_last: bool,
    is_compressed: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    length: u64,
}

/// How long a head is that begins so, as far as can be told.
fn head_bytes(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else { return 2 };
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + if second & 0x80 == 0 { 0 } else { 4 }
}

/// A whole head; `None` when it is none.
fn head_of(head: &[u8]) -> Option<Head> {
    let (&[first, second], rest) = head.split_first_chunk::<2>()?;
    let (length, mask) = match second & 0x7f {
        126 => rest.split_first_chunk::<2>().map(|(length, mask)| (u64::from(u16::from_be_bytes(*length)), mask))?,
        127 => rest.split_first_chunk::<8>().map(|(length, mask)| (u64::from_be_bytes(*length), mask))?,
        short => (u64::from(short), rest),
    };
    let has_unknown_bits = first & 0x30 != 0;
    let is_too_long = length > u64::MAX / 2;
    (!has_unknown_bits && !is_too_long).then(|| Head {
        is_last: first & 0x80 != 0,
        is_compressed: first & 0x40 != 0,
        opcode: first & 0x0f,
        mask: mask.first_chunk::<4>().copied(),
        length,
    })
}

/// Inflates messages, each of them, or all as one stream.
struct Inflater {
    inner: Decompress,
    /// Each message stands by itself.
    is_fresh: bool,
    buffer: Box<[u8]>,
    /// How much more may come out.
    saved: u64,
}

impl Inflater {
    fn new(is_fresh: bool) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { inner: Decompress::new(false), is_fresh, buffer, saved: INFLATED_BYTES_FREE }
    }

    fn save(&mut self, bytes: u64) {
        self.saved = self.saved.saturating_add(bytes).min(INFLATED_BYTES_SAVED_MAX);
    }

    fn read(&mut self, mut input: &[u8], receive: &mut dyn FnMut(Piece<'_>)) -> Result<(), DecodeError> {
        self.save(u64::try_from(input.len()).unwrap_or(u64::MAX).saturating_mul(INFLATED_BYTES_EACH));
        loop {
            let (before_in, before_out) = (self.inner.total_in(), self.inner.total_out());
            let status = self.inner.decompress(input, &mut self.buffer, FlushDecompress::None);
            let status = status.map_err(|_| DecodeError::Damaged)?;
            let used = usize::try_from(self.inner.total_in() - before_in).map_err(|_| DecodeError::Damaged)?;
            let made = usize::try_from(self.inner.total_out() - before_out).map_err(|_| DecodeError::Damaged)?;
            input = input.get(used..).unwrap_or_default();
            if made > 0 {
                let made_bytes = u64::try_from(made).unwrap_or(u64::MAX);
                self.saved = self.saved.checked_sub(made_bytes).ok_or(DecodeError::TooMuch)?;
                receive(Piece::Data(self.buffer.get(..made).unwrap_or_default()));
            }
            if status == Status::StreamEnd {
                // A compressor that ends its stream forgets what came before, and begins another.
                self.inner.reset(false);
            } else if made == 0 && (used == 0 || input.is_empty()) {
                return Ok(());
            }
            if input.is_empty() && made < self.buffer.len() {
                return Ok(());
            }
        }
    }

    /// The message is whole.
    fn end(&mut self, receive: &mut dyn FnMut(Piece<'_>)) -> Result<(), DecodeError> {
        self.read(&SYNC_TAIL, receive)?;
        if self.is_fresh {
            self.inner.reset(false);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;

    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    const CLOSE: u8 = 8;
    const PING: u8 = 9;
    const MASK: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

    /// A frame as it is on the wire; `first` is its first byte.
    fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut bytes = vec![first];
        let masked = if mask.is_some() { 0x80 } else { 0 };
        match payload.len() {
            short @ 0..126 => bytes.push(masked | u8::try_from(short).unwrap()),
            middle @ 126..65_536 => {
                bytes.push(masked | 0x7e);
                bytes.extend_from_slice(&u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(masked | 127);
                bytes.extend_from_slice(&u64::try_from(long).unwrap().to_be_bytes());
            }
        }
        bytes.extend(mask.iter().flatten());
        let keys = mask.unwrap_or_default();
        bytes.extend(payload.iter().zip(keys.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// Compresses messages as a peer does, with or without regard to those before.
    struct Deflater(Compress, bool);

    impl Deflater {
        fn new(is_fresh: bool, window_bits: u8) -> Self {
            Self(Compress::new_with_window_bits(Compression::best(), false, window_bits), is_fresh)
        }

        fn message(&mut self, text: &[u8]) -> Vec<u8> {
            if text.is_empty() {
                return vec![0]; // RFC 7692, 7.2.3.6
            }
            if self.1 {
                self.0.reset();
            }
            let mut out = Vec::with_capacity(text.len() + 1024);
            let before = self.0.total_in();
            loop {
                let done = usize::try_from(self.0.total_in() - before).unwrap();
                self.0.compress_vec(&text[done..], &mut out, FlushCompress::Sync).unwrap();
                if out.len() < out.capacity() {
                    break;
                }
                out.reserve(1024);
            }
            assert!(out.ends_with(&SYNC_TAIL));
            out.truncate(out.len() - SYNC_TAIL.len());
            out
        }
    }

    /// The messages that are found, and whether the sender closed.
    fn read_all<'a>(
        extensions: &str,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Vec<String>, bool), DecodeError> {
        let mut frames = Frames::new(extensions)?;
        let (mut messages, mut open, mut is_closed) = (Vec::new(), Vec::new(), false);
        for chunk in chunks {
            frames.read(chunk, &mut |piece| match piece {
                Piece::Data(part) => open.extend_from_slice(part),
                Piece::End => messages.push(String::from_utf8_lossy(&std::mem::take(&mut open)).into_owned()),
                Piece::Close => is_closed = true,
            })?;
        }
        Ok((messages, is_closed))
    }

    /// The same messages in every form, with what must be found in them.
    fn wires() -> Vec<(&'static str, &'static str, Vec<u8>)> {
        let mut wires = Vec::new();
        for (name, mask) in [("plain", None), ("masked", MASK)] {
            let pieces = [
                frame(TEXT, "{\"a\":\"é".as_bytes(), mask),
                frame(0x80 | PING, b"\x81\x00", mask),
                frame(0, b"", mask),
                frame(0x80, b"\"}", mask),
                frame(0x8a, b"", mask),
                frame(0x80 | BINARY, b"binary", mask),
                frame(0x80 | TEXT, b"", mask),
                frame(0x80 | TEXT, "x".repeat(70_000).as_bytes(), mask),
                frame(0x80 | CLOSE, b"\x03\xe8", mask),
                b"what follows is not read".to_vec(),
            ];
            wires.push((name, "", pieces.concat()));
        }
        let takeover = "permessage-deflate; server_max_window_bits=9; client_no_context_takeover";
        let fresh = "Permessage-Deflate;server_no_context_takeover ; client_max_window_bits=15";
        for (extensions, is_fresh, bits) in [(takeover, false, 9), (fresh, true, 15), ("permessage-deflate", false, 15)]
        {
            let mut deflater = Deflater::new(is_fresh, bits);
            let first = deflater.message("{\"a\":\"é\"}".as_bytes());
            let (one, two) = first.split_at(3);
            let second = deflater.message(b"binary");
            let empty = deflater.message(b"");
            let long = deflater.message("x".repeat(70_000).as_bytes());
            let (three, four) = long.split_at(long.len() / 2);
            let pieces = [
                frame(0x40 | TEXT, one, None),
                frame(0x80 | PING, b"ping", None),
                frame(0x80, two, None),
                frame(0xc0 | BINARY, &second, None),
                frame(0xc0 | TEXT, &empty, MASK),
                frame(0x40 | TEXT, three, MASK),
                frame(0x80, four, None),
                frame(0x80 | CLOSE, b"", None),
            ];
            wires.push(("compressed", extensions, pieces.concat()));
        }
        wires
    }

    #[test]
    fn messages_are_found_however_they_are_framed_compressed_and_cut() {
        let expected = ["{\"a\":\"é\"}".to_owned(), "binary".to_owned(), String::new(), "x".repeat(70_000)];
        for (name, extensions, wire) in wires() {
            for width in [wire.len(), 1, 2, 3, 7, 1000] {
                let (messages, is_closed) = read_all(extensions, wire.chunks(width)).unwrap();
                assert!(messages == expected && is_closed, "{name} {extensions} in {width}: {}", messages.len());
            }
            for at in 0..wire.len().min(200) {
                let (messages, _) = read_all(extensions, [&wire[..at], &wire[at..]]).unwrap();
                assert!(messages == expected, "{name} {extensions} cut at {at}");
            }
        }
    }

    #[test]
    fn a_message_may_stand_uncompressed_between_compressed_ones() {
        let mut deflater = Deflater::new(false, 15);
        let (one, three) = (deflater.message(b"same text, same text"), deflater.message(b"same text, same text"));
        assert!(three.len() < one.len(), "the second refers to the first");
        let wire = [frame(0xc1, &one, None), frame(0x81, b"plain", None), frame(0xc1, &three, None)].concat();
        let (messages, is_closed) = read_all("permessage-deflate", [wire.as_slice()]).unwrap();
        assert_eq!(messages, ["same text, same text", "plain", "same text, same text"]);
        assert!(!is_closed);
    }

    #[test]
    fn a_compressor_that_ends_its_stream_with_a_message_begins_another() {
        // RFC 7692, 7.2.3.4 and 7.2.3.5: a stored block, and a last block with the padding after it
        let stored = frame(0xc1, b"\x00\x05\x00\xfa\xffHello\x00", None);
        let last = frame(0xc1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", None);
        let plain = frame(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00", None);
        let wire = [stored, last.clone(), last, plain].concat();
        for width in [1, 4, wire.len()] {
            let (messages, _) = read_all("permessage-deflate", wire.chunks(width)).unwrap();
            assert_eq!(messages, ["Hello", "Hello", "Hello", "Hello"], "in {width}");
        }
    }

    #[test]
    fn what_is_no_websocket_ends_the_reading() {
        let cases: &[(&str, &str, &[u8], DecodeError)] = &[
            ("an unknown extension", "x-other", b"", DecodeError::Unknown),
            ("two extensions", "permessage-deflate, permessage-deflate", b"", DecodeError::Unknown),
            ("a reserved bit", "", b"\x91\x00", DecodeError::Damaged),
            ("compression that was not agreed on", "", b"\xc1\x00", DecodeError::Damaged),
            ("a compressed continuation", "permessage-deflate", b"\x01\x00\xc0\x00", DecodeError::Damaged),
            ("a compressed ping", "permessage-deflate", b"\xc9\x00", DecodeError::Damaged),
            ("an unknown kind", "", b"\x83\x00", DecodeError::Damaged),
            ("an unknown control frame", "", b"\x8b\x00", DecodeError::Damaged),
            ("a continuation of nothing", "", b"\x80\x00", DecodeError::Damaged),
            ("a message within a message", "", b"\x01\x00\x81\x00", DecodeError::Damaged),
            ("a ping in fragments", "", b"\x09\x00", DecodeError::Damaged),
            ("a long ping", "", b"\x89\x7e\x00\x7e", DecodeError::Damaged),
            ("a length beyond all", "", b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", DecodeError::Damaged),
            ("what is not deflated", "permessage-deflate", b"\xc1\x02\xff\xff", DecodeError::Damaged),
        ];
        for (what, extensions, wire, expected) in cases {
            for width in [1, wire.len().max(1)] {
                assert_eq!(read_all(extensions, wire.chunks(width)).unwrap_err(), *expected, "{what} in {width}");
            }
        }
    }

    #[test]
    fn what_inflates_without_end_ends_the_reading_and_silence_does_not() {
        let bomb = Deflater::new(false, 15).message(&vec![0; 64 << 20]);
        let read = |wire: &[u8]| {
            let mut frames = Frames::new("permessage-deflate").unwrap();
            wire.chunks(16 << 10).try_for_each(|chunk| frames.read(chunk, &mut |_| {}))
        };
        assert_eq!(read(&frame(0xc1, &bomb, None)), Err(DecodeError::TooMuch), "{} bytes", bomb.len());
        // ten minutes of silence in messages of a second
        let mut deflater = Deflater::new(false, 15);
        let second = "A".repeat(64_000);
        let mut frames = Frames::new("permessage-deflate").unwrap();
        for _ in 0..600 {
            let wire = frame(0xc1, &deflater.message(second.as_bytes()), None);
            frames.read(&wire, &mut |_| {}).unwrap();
        }
    }

    #[test]
    fn memory_does_not_depend_on_the_size_of_a_message() {
        let mut frames = Frames::new("").unwrap();
        frames.read(b"\x81\x7f\x00\x00\x00\x10\x00\x00\x00\x00", &mut |_| {}).unwrap();
        let (block, mut seen) = (vec![b'x'; 1 << 20], 0);
        for _ in 0..100 {
            frames
                .read(&block, &mut |piece| {
                    if let Piece::Data(part) = piece {
                        seen += part.len();
                    }
                })
                .unwrap();
        }
        // each chunk is handed on as it comes, and none is kept: there is nothing in which it could be
        assert_eq!(seen, 100 << 20);
        assert!(std::mem::size_of::<Frames>() <= 256, "{}", std::mem::size_of::<Frames>());
    }

    proptest! {
        #[test]
        fn cuts_never_change_what_any_bytes_mean(
            wire in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(&b"\x01\x81\x00\xc1\x89\x02\x7e"[..])], 0..200),
            width in 1usize..20,
            is_deflate: bool,
        ) {
            let extensions = if is_deflate { "permessage-deflate" } else { "" };
            let (whole, cut) = (read_all(extensions, [wire.as_slice()]), read_all(extensions, wire.chunks(width)));
            prop_assert_eq!(whole, cut);
        }

        #[test]
        fn any_messages_come_out_as_they_went_in(
            texts in proptest::collection::vec("[a-c]{0,300}|\\PC{0,50}", 0..8),
            fragments in 1usize..5,
            width in 1usize..300,
            is_compressed: bool,
            is_fresh: bool,
            is_masked: bool,
        ) {
            let mut deflater = Deflater::new(is_fresh, 15);
            let mut wire = Vec::new();
            for text in &texts {
                let payload = if is_compressed { deflater.message(text.as_bytes()) } else { text.clone().into_bytes() };
                let parts: Vec<&[u8]> = payload.chunks(payload.len().div_ceil(fragments).max(1)).collect();
                let parts = if parts.is_empty() { vec![&b""[..]] } else { parts };
                for (place, part) in parts.iter().enumerate() {
                    let kind = if place > 0 { 0 } else if is_compressed { 0x40 | TEXT } else { TEXT };
                    let last = if place + 1 == parts.len() { 0x80 } else { 0 };
                    wire.extend(frame(last | kind, part, MASK.filter(|_| is_masked)));
                    wire.extend(frame(0x80 | PING, b"?", None));
                }
            }
            let fresh = if is_fresh { "permessage-deflate; server_no_context_takeover" } else { "permessage-deflate" };
            let (messages, _) = read_all(if is_compressed { fresh } else { "" }, wire.chunks(width)).unwrap();
            prop_assert_eq!(messages, texts);
        }
    }
}
