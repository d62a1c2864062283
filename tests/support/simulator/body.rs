//! Takes the body of a request or an answer out of the bytes that arrived, and keeps what its framing was.

use super::head::Head;
use bytes::{Buf, BytesMut};

/// A chunk-size line or a trailer line may be this long.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// Reads one body.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyReader {
    /// That many bytes are still to come.
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailer,
    /// All until the connection ends.
    ToEnd,
    Done,
}

/// Bytes that came out of the buffer: as they were on the wire, and without framing.
#[derive(Debug, Default)]
pub struct Taken {
    pub raw: Vec<u8>,
    pub data: Vec<u8>,
}

impl BodyReader {
    /// The reader that a request's head asks for.
    pub fn of_request(head: &Head) -> Result<Self, String> {
        Self::of(head, Self::Done)
    }

    /// The reader that the head of an answer to a request of that method asks for.
    pub fn of_answer(head: &Head, method: &str) -> Result<Self, String> {
        let bodiless = method == "HEAD" || matches!(head.word(1), "204" | "304");
        if bodiless { Ok(Self::Done) } else { Self::of(head, Self::ToEnd) }
    }

    fn of(head: &Head, without_framing: Self) -> Result<Self, String> {
        if head.values("transfer-encoding").any(|value| value.eq_ignore_ascii_case("chunked")) {
            return Ok(Self::ChunkSize);
        }
        match head.value("content-length").map(str::parse) {
            None => Ok(without_framing),
            Some(Ok(0)) => Ok(Self::Done),
            Some(Ok(length)) => Ok(Self::Length(length)),
            Some(Err(_)) => Err("unreadable content-length".to_owned()),
        }
    }

    /// Takes what belongs to the body out of the buffer. The body is whole when the reader is `Done` afterwards.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Taken, String> {
        let mut taken = Taken::default();
        while *self != Self::Done && self.step(buffer, &mut taken)? {}
        Ok(taken)
    }

    /// One step; false when it needs more bytes.
    fn step(&mut self, buffer: &mut BytesMut, taken: &mut Taken) -> Result<bool, String> {
        match self {
            Self::Done => return Ok(false),
            Self::ToEnd => {
                let bytes = buffer.split();
                taken.raw.extend_from_slice(&bytes);
                taken.data.extend_from_slice(&bytes);
                return Ok(false);
            }
            Self::Length(left) | Self::ChunkData(left) => {
                let size = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                if size == 0 {
                    return Ok(false);
                }
                let bytes = buffer.split_to(size);
                taken.raw.extend_from_slice(&bytes);
                taken.data.extend_from_slice(&bytes);
                *left = left.saturating_sub(size as u64);
                if *left == 0 {
                    *self = if matches!(self, Self::Length(_)) { Self::Done } else { Self::ChunkEnd };
                }
            }
            Self::ChunkSize | Self::ChunkEnd | Self::Trailer => {
                let Some(line) = line(buffer)? else { return Ok(false) };
                taken.raw.extend_from_slice(&line);
                let text = line.trim_ascii();
                *self = match self {
                    Self::ChunkSize => match chunk_size(text)? {
                        0 => Self::Trailer,
                        size => Self::ChunkData(size),
                    },
                    Self::ChunkEnd if !text.is_empty() => return Err("no line end after a chunk".to_owned()),
                    Self::ChunkEnd => Self::ChunkSize,
                    _ if text.is_empty() => Self::Done,
                    _ => Self::Trailer,
                };
            }
        }
        Ok(true)
    }
}

/// Takes one line with its end.
fn line(buffer: &mut BytesMut) -> Result<Option<Vec<u8>>, String> {
    let Some(end) = memchr::memchr(b'\n', buffer) else {
        return if buffer.len() > LINE_BYTES_MAX { Err("a framing line is too long".to_owned()) } else { Ok(None) };
    };
    let line = buffer.copy_to_bytes(end + 1);
    Ok(Some(line.to_vec()))
}

fn chunk_size(line: &[u8]) -> Result<u64, String> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    std::str::from_utf8(digits.trim_ascii())
        .ok()
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| "unreadable chunk size".to_owned())
}
