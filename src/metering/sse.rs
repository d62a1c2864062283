//! Splits a stream of server-sent events, cut anywhere, into the pieces that a meter reads.
//!
//! Nothing is copied and no event is ever held: a `data:` value is handed on in the fragments in which it
//! arrives, so an event of 10 MB costs no more memory than one of 10 bytes. Line ends are LF, CRLF or CR, each
//! possibly cut in two; comments, unknown fields and a byte-order mark are passed over. The stream is bytes
//! throughout, so that a cut inside a character does not matter.

use memchr::memchr2;

/// The longest event or field name that is told from others; a longer one is cut there.
const NAME_BYTES_MAX: usize = 64;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What the next bytes of a stream were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Part of the open event's data. The line feed between two `data:` lines is a piece of its own.
    Data(&'a [u8]),
    /// The open event is whole; its name is [`Splitter::name`] until the next piece is asked for.
    End,
}

/// A short text kept without allocating; what exceeds it is dropped.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    len: usize,
}

impl Default for Name {
    fn default() -> Self {
        Self { bytes: [0; NAME_BYTES_MAX], len: 0 }
    }
}

impl Name {
    /// What was kept.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends as much as there is room for.
    pub fn push(&mut self, more: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let fits = more.len().min(room.len());
        if let (Some(room), Some(more)) = (room.get_mut(..fits), more.get(..fits)) {
            room.copy_from_slice(more);
            self.len += fits;
        }
    }

    /// Whether nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Maybe inside a byte-order mark, of which so many bytes came.
    Mark(usize),
    LineStart,
    FieldName,
    /// After the colon, where one space does not count.
    Colon(Field),
    Value(Field),
}

/// The splitter: one stream, fed chunk by chunk.
#[derive(Debug)]
pub struct Splitter {
    at: At,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    field: Name,
    name: Name,
    /// The open event has a `data` line.
    has_data: bool,
    /// The event that `name` belongs to has been handed on.
    ended: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            at: At::Mark(0),
            after_cr: false,
            field: Name::default(),
            name: Name::default(),
            has_data: false,
            ended: false,
        }
    }
}

impl Splitter {
    /// The value of the event's `event` field; empty when it has none.
    pub fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    /// The next piece of `chunk`, which is moved past it; `None` when the chunk is used up.
    pub fn next<'c>(&mut self, chunk: &mut &'c [u8]) -> Option<Piece<'c>> {
        if self.ended {
            self.ended = false;
            self.name.clear();
        }
        loop {
            let first = *chunk.first()?;
            if self.after_cr {
                self.after_cr = false;
                if first == b'\n' {
                    skip(chunk, 1);
                    continue;
                }
            }
            let piece = match self.at {
                At::Mark(seen) => {
                    self.mark(chunk, first, seen);
                    None
                }
                At::LineStart => self.line_start(chunk, first),
                At::FieldName => self.field_name(chunk),
                At::Colon(field) => self.colon(chunk, first, field),
                At::Value(field) => self.value(chunk, field),
            };
            if piece.is_some() {
                return piece;
            }
        }
    }

    /// The stream is over: `true` when an event with data was open, which is then whole, as if its empty line had come.
    pub fn finish(&mut self) -> bool {
        if self.at == At::FieldName {
            self.bare_field();
        }
        self.at = At::LineStart;
        std::mem::take(&mut self.has_data)
    }

    fn mark(&mut self, chunk: &mut &[u8], first: u8, seen: usize) {
        if BYTE_ORDER_MARK.get(seen) == Some(&first) {
            skip(chunk, 1);
            self.at = At::Mark(seen + 1);
        } else {
            self.at = At::LineStart;
        }
    }

    fn line_start<'c>(&mut self, chunk: &mut &'c [u8], first: u8) -> Option<Piece<'c>> {
        if let Some(rest) = chunk.strip_prefix(b"data: ") {
            // the common case in one step
            *chunk = rest;
            self.at = At::Value(Field::Data);
            return self.second_line();
        }
        match first {
            b'\r' | b'\n' => {
                skip(chunk, 1);
                self.after_cr = first == b'\r';
                if std::mem::take(&mut self.has_data) {
                    self.ended = true;
                    return Some(Piece::End);
                }
                self.name.clear();
                None
            }
            b':' => {
                self.at = At::Value(Field::Other);
                None
            }
            _ => {
                self.field.clear();
                self.at = At::FieldName;
                None
            }
        }
    }

    fn field_name<'c>(&mut self, chunk: &mut &'c [u8]) -> Option<Piece<'c>> {
        let end = memchr::memchr3(b':', b'\n', b'\r', chunk);
        let (name, rest) = chunk.split_at_checked(end.unwrap_or(chunk.len()))?;
        self.field.push(name);
        *chunk = rest;
        match rest.first()? {
            b':' => {
                skip(chunk, 1);
                let field = self.known_field();
                self.at = At::Colon(field);
                if field == Field::Data { self.second_line() } else { None }
            }
            end => {
                self.after_cr = *end == b'\r';
                skip(chunk, 1);
                self.at = At::LineStart;
                self.bare_field()
            }
        }
    }

    /// A line without a colon is a field with an empty value.
    fn bare_field<'c>(&mut self) -> Option<Piece<'c>> {
        match self.known_field() {
            Field::Data => self.second_line(),
            Field::Event => {
                self.name.clear();
                None
            }
            Field::Other => None,
        }
    }

    fn known_field(&self) -> Field {
        match self.field.as_bytes() {
            b"data" => Field::Data,
            b"event" => Field::Event,
            _ => Field::Other,
        }
    }

    /// A `data` line begins: from the second on, a line feed joins it to the one before.
    fn second_line<'c>(&mut self) -> Option<Piece<'c>> {
        std::mem::replace(&mut self.has_data, true).then_some(Piece::Data(b"\n"))
    }

    fn colon<'c>(&mut self, chunk: &mut &'c [u8], first: u8, field: Field) -> Option<Piece<'c>> {
        if first == b' ' {
            skip(chunk, 1);
        }
        if field == Field::Event {
            self.name.clear();
        }
        self.at = At::Value(field);
        None
    }

    fn value<'c>(&mut self, chunk: &mut &'c [u8], field: Field) -> Option<Piece<'c>> {
        let end = memchr2(b'\n', b'\r', chunk);
        let (value, rest) = chunk.split_at_checked(end.unwrap_or(chunk.len()))?;
        *chunk = rest;
        if let Some(end) = rest.first() {
            self.after_cr = *end == b'\r';
            skip(chunk, 1);
            self.at = At::LineStart;
        }
        match field {
            Field::Data if !value.is_empty() => Some(Piece::Data(value)),
            Field::Event => {
                self.name.push(value);
                None
            }
            Field::Data | Field::Other => None,
        }
    }
}

fn skip(chunk: &mut &[u8], count: usize) {
    *chunk = chunk.get(count..).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The events of a stream as (name, data), fed in the given chunks.
    fn events<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
        let mut splitter = Splitter::default();
        let (mut found, mut data) = (Vec::new(), Vec::new());
        let mut end = |splitter: &Splitter, data: &mut Vec<u8>| {
            let name = String::from_utf8_lossy(splitter.name()).into_owned();
            found.push((name, String::from_utf8_lossy(&std::mem::take(data)).into_owned()));
        };
        for mut chunk in chunks {
            while let Some(piece) = splitter.next(&mut chunk) {
                match piece {
                    Piece::Data(more) => data.extend_from_slice(more),
                    Piece::End => end(&splitter, &mut data),
                }
            }
        }
        if splitter.finish() {
            end(&splitter, &mut data);
        }
        found
    }

    fn of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect()
    }

    const CASES: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("\n\n\r\n\r\r", &[]),
        ("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]),
        ("data:a\r\n\r\ndata:  b\r\n\r\n", &[("", "a"), ("", " b")]),
        ("data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]),
        ("event: one\ndata: a\n\ndata: b\n\n", &[("one", "a"), ("", "b")]),
        ("data: a\nevent:late\n\n", &[("late", "a")]),
        ("data: a\ndata: b\ndata\ndata:\n\n", &[("", "a\nb\n\n")]),
        ("data\n\n", &[("", "")]),
        (": keep-alive\n\n:\ndata: a\n: more\n\n", &[("", "a")]),
        ("id:1\nevent:result\n:HTTP_STATUS/200\ndata:{}\n\n", &[("result", "{}")]),
        ("retry: 10\nnothing at all\ndatax: n\ndata: a\n\n", &[("", "a")]),
        ("event: lonely\n\ndata: a\n\n", &[("", "a")]),
        ("event: old\nevent: new\ndata: a\n\n", &[("new", "a")]),
        ("event: gone\nevent\ndata: a\n\n", &[("", "a")]),
        ("\u{feff}data: a\n\n", &[("", "a")]),
        ("data: no final empty line\n", &[("", "no final empty line")]),
        ("data: no final line end", &[("", "no final line end")]),
        ("data: a\n\ndata", &[("", "a"), ("", "")]),
        ("data: é漢🙂\n\n", &[("", "é漢🙂")]),
        ("data: : \n\n", &[("", ": ")]),
    ];

    #[test]
    fn events_are_the_same_however_the_stream_is_cut() {
        for (stream, expected) in CASES {
            let (stream, expected) = (stream.as_bytes(), of(expected));
            assert_eq!(events([stream]), expected, "{}", stream.escape_ascii());
            assert_eq!(events(stream.chunks(1)), expected, "byte by byte: {}", stream.escape_ascii());
            for at in 0..stream.len() {
                let (left, right) = stream.split_at(at);
                assert_eq!(events([left, b"", right]), expected, "cut at {at}: {}", stream.escape_ascii());
            }
        }
    }

    #[test]
    fn an_event_within_one_chunk_is_handed_on_without_a_copy() {
        let stream: &[u8] = b"data: {\"a\":1}\n\n";
        let (mut splitter, mut rest) = (Splitter::default(), stream);
        let Some(Piece::Data(data)) = splitter.next(&mut rest) else { panic!("no data") };
        assert!(stream.as_ptr_range().contains(&data.as_ptr()));
        assert_eq!(splitter.next(&mut rest), Some(Piece::End));
        assert_eq!(splitter.next(&mut rest), None);
    }

    #[test]
    fn an_endless_name_is_cut_and_does_not_grow() {
        let stream = format!("event: {}\ndata: a\n\n", "n".repeat(1 << 20));
        assert_eq!(events([stream.as_bytes()]), of(&[("n".repeat(NAME_BYTES_MAX).as_str(), "a")]));
    }

    proptest! {
        #[test]
        fn cuts_never_change_what_any_bytes_mean(
            stream in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), any::<u8>()], 0..200),
            width in 1usize..9,
        ) {
            prop_assert_eq!(events(stream.chunks(width)), events([stream.as_slice()]));
        }
    }
}
