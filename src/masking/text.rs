//! A text as bytes that can be read anywhere without a panic: digits of several scripts, spaces, dashes, boundaries.

/// A text and its bytes; reading past an end gives zero.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    text: &'a str,
    bytes: &'a [u8],
}

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes() }
    }

    pub(super) fn len(self) -> usize {
        self.bytes.len()
    }

    pub(super) fn at(self, i: usize) -> u8 {
        self.bytes.get(i).copied().unwrap_or(0)
    }

    pub(super) fn before(self, i: usize) -> u8 {
        i.checked_sub(1).map_or(0, |i| self.at(i))
    }

    pub(super) fn str(self) -> &'a str {
        self.text
    }

    /// The text between two places, empty where they are no boundaries.
    pub(super) fn slice(self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or("")
    }

    /// The bytes between two places, shortened to what exists.
    pub(super) fn bytes(self, start: usize, end: usize) -> &'a [u8] {
        let end = end.min(self.bytes.len());
        self.bytes.get(start.min(end)..end).unwrap_or(&[])
    }

    /// Whether the bytes at a place are these.
    pub(super) fn is(self, i: usize, what: &[u8]) -> bool {
        self.bytes.get(i..i.saturating_add(what.len())) == Some(what)
    }

    /// Whether the bytes at a place are these, in any case of ASCII letters.
    pub(super) fn is_caseless(self, i: usize, what: &[u8]) -> bool {
        self.bytes.get(i..i.saturating_add(what.len())).is_some_and(|bytes| bytes.eq_ignore_ascii_case(what))
    }

    /// The decimal digit at a place and its length in bytes: ASCII, full-width, Arabic, Persian, Devanagari.
    pub(super) fn digit(self, i: usize) -> Option<(u8, usize)> {
        match self.at(i) {
            c @ b'0'..=b'9' => Some((c - b'0', 1)),
            0xEF if self.at(i + 1) == 0xBC => match self.at(i + 2) {
                c @ 0x90..=0x99 => Some((c - 0x90, 3)),
                _ => None,
            },
            0xD9 => match self.at(i + 1) {
                c @ 0xA0..=0xA9 => Some((c - 0xA0, 2)),
                _ => None,
            },
            0xDB => match self.at(i + 1) {
                c @ 0xB0..=0xB9 => Some((c - 0xB0, 2)),
                _ => None,
            },
            0xE0 if self.at(i + 1) == 0xA5 => match self.at(i + 2) {
                c @ 0xA6..=0xAF => Some((c - 0xA6, 3)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The length of the space at a place: ordinary, no-break, thin, figure, ideographic; zero if there is none.
    pub(super) fn space(self, i: usize) -> usize {
        match self.at(i) {
            b' ' => 1,
            0xC2 if self.at(i + 1) == 0xA0 => 2,
            0xE2 if self.at(i + 1) == 0x80 && matches!(self.at(i + 2), 0x80..=0x8B | 0xAF) => 3,
            0xE3 if self.at(i + 1) == 0x80 && self.at(i + 2) == 0x80 => 3,
            _ => 0,
        }
    }

    /// The length of the dash at a place: hyphen-minus, hyphens, en dash, minus, full-width; zero if there is none.
    pub(super) fn dash(self, i: usize) -> usize {
        match self.at(i) {
            b'-' => 1,
            0xE2 if self.at(i + 1) == 0x80 && matches!(self.at(i + 2), 0x90..=0x95) => 3,
            0xE2 if self.at(i + 1) == 0x88 && self.at(i + 2) == 0x92 => 3,
            0xEF if self.at(i + 1) == 0xBC && self.at(i + 2) == 0x8D => 3,
            _ => 0,
        }
    }

    /// Where the spaces that begin at a place end.
    pub(super) fn skip_spaces(self, mut i: usize) -> usize {
        loop {
            match self.space(i) {
                0 if self.at(i) == b'\t' => i += 1,
                0 => return i,
                n => i += n,
            }
        }
    }

    /// Whether a Latin letter, a digit or an underscore stands before a place.
    pub(super) fn word_before(self, i: usize) -> bool {
        is_word(self.before(i))
    }

    /// Where the run of bytes ends that satisfies the test, at most `max` bytes on.
    pub(super) fn run(self, start: usize, max: usize, test: impl Fn(u8) -> bool) -> usize {
        let bytes = self.bytes(start, start.saturating_add(max));
        start + bytes.iter().position(|byte| !test(*byte)).unwrap_or(bytes.len())
    }

    /// Where the run of bytes begins that ends at a place and satisfies the test, at most `max` bytes back.
    pub(super) fn run_back(self, end: usize, max: usize, test: impl Fn(u8) -> bool) -> usize {
        let bytes = self.bytes(end.saturating_sub(max), end);
        end - bytes.iter().rev().position(|byte| !test(*byte)).unwrap_or(bytes.len())
    }

    /// The next boundary of a character after a place.
    pub(super) fn floor_next(self, mut i: usize) -> usize {
        i += 1;
        while i < self.len() && !self.text.is_char_boundary(i) {
            i += 1;
        }
        i
    }

    /// The nearest boundary of a character at or before a place.
    pub(super) fn floor(self, mut i: usize) -> usize {
        i = i.min(self.len());
        while !self.text.is_char_boundary(i) {
            i -= 1;
        }
        i
    }
}

/// Letters of scripts that are written without spaces, and their signs.
pub(super) fn is_spaceless(letter: char) -> bool {
    matches!(letter, '\u{0e00}'..='\u{0eff}' | '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{ff00}'..='\u{ffef}')
}

/// A letter or digit of ASCII, or an underscore.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A byte of the alphabets base64 and base64url, without padding.
pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}
