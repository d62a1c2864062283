//! Restoring an answer: one pass from left to right, each placeholder at most once, nothing inserted is read again.

use super::{
    grammar::{self, Mention, Reading},
    placeholder::{Held, Manner, Map},
    text::Text,
};
use std::fmt::Write as _;
use zeroize::Zeroize as _;

/// Restores an answer that comes in pieces, cut anywhere between characters.
pub struct Restorer<'m> {
    map: &'m Map,
    /// What could be the beginning of a placeholder, and the two bytes before it.
    rest: String,
    /// Bytes of `rest` that are already out, kept to see what stands before a word.
    out: usize,
    json: JsonState,
}

impl<'m> Restorer<'m> {
    pub fn new(map: &'m Map) -> Self {
        Self { map, rest: String::new(), out: 0, json: JsonState::default() }
    }

    /// Takes a piece of the answer; gives what is certain by now.
    pub fn push(&mut self, piece: &str) -> String {
        self.rest.push_str(piece);
        self.go(false)
    }

    /// The answer has ended; gives what was held back.
    pub fn finish(mut self) -> String {
        self.go(true)
    }

    fn go(&mut self, last: bool) -> String {
        let rest = std::mem::take(&mut self.rest);
        let text = Text::new(&rest);
        let mut restored = String::with_capacity(rest.len() - self.out + 32);
        let known = |name: &str| self.map.get(name).is_some();
        let (mut at, mut from) = (self.out, self.out);
        while at < text.len() {
            let found = if grammar::may_begin(text.at(at)) && !self.map.is_empty() {
                match self.map.manner() {
                    Manner::Exact => exact(text, at, last, &known),
                    _ => grammar::read(text, at, last, &known),
                }
            } else {
                Reading::Nothing
            };
            match found {
                Reading::Nothing => at += 1,
                Reading::More => break,
                Reading::Found(mention) => {
                    let between = text.slice(from, at);
                    self.json.feed(between);
                    restored.push_str(between);
                    if let Some(held) = self.map.get(&mention.name) {
                        self.insert(&mut restored, &mention, held);
                    }
                    at = mention.end;
                    from = at;
                }
            }
        }
        let between = text.slice(from, at);
        self.json.feed(between);
        restored.push_str(between);
        let kept = text.floor(at.saturating_sub(2));
        self.out = at - kept;
        text.slice(kept, text.len()).clone_into(&mut self.rest);
        restored
    }

    fn insert(&self, restored: &mut String, mention: &Mention, held: &Held) {
        let doubled = mention.double && held.bracketed;
        restored.push_str(if doubled { "<" } else { mention.before });
        let value = held.value.as_str();
        if mention.encoded {
            percent_encode(value, restored);
        } else if self.map.manner() == Manner::Free && self.json.in_string() && !held.in_json {
            json_escape(value, restored);
        } else {
            restored.push_str(value);
        }
        restored.push_str(mention.after);
        if doubled {
            restored.push('>');
        }
    }
}

impl Drop for Restorer<'_> {
    fn drop(&mut self) {
        self.rest.zeroize();
    }
}

/// `<NAME>` as it was written, nothing else.
fn exact(text: Text<'_>, at: usize, last: bool, known: &dyn Fn(&str) -> bool) -> Reading {
    if text.at(at) != b'<' {
        return Reading::Nothing;
    }
    let end = text.run(at + 1, 64, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if text.len() <= end && !last {
        return Reading::More;
    }
    let name = text.slice(at + 1, end);
    if text.at(end) != b'>' || !known(name) {
        return Reading::Nothing;
    }
    Reading::Found(Mention {
        name: name.to_owned(),
        end: end + 1,
        double: false,
        encoded: false,
        before: "",
        after: "",
    })
}

fn json_escape(value: &str, out: &mut String) {
    for letter in value.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if u32::from(letter) < 0x20 => {
                // Writing to a string cannot fail.
                let _written = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
}

fn percent_encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _written = write!(out, "%{byte:02X}");
        }
    }
}

/// Whether a place in a text is within a string of JSON; the whole text, or a fenced block of it, must look like JSON.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct JsonState {
    stage: Stage,
    in_string: bool,
    escaped: bool,
    /// Backticks in a row, and the letters of `json` behind three.
    ticks: u8,
    word: u8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing but spaces so far.
    #[default]
    Begin,
    /// Behind the first bracket.
    Opened(u8),
    Json,
    Text,
}

impl JsonState {
    pub(super) fn in_string(self) -> bool {
        self.stage == Stage::Json && self.in_string
    }

    pub(super) fn feed(&mut self, text: &str) {
        for byte in text.bytes() {
            self.step(byte);
        }
    }

    fn step(&mut self, byte: u8) {
        match self.stage {
            Stage::Begin | Stage::Opened(_) if byte.is_ascii_whitespace() => {}
            Stage::Begin if matches!(byte, b'{' | b'[') => self.stage = Stage::Opened(byte),
            Stage::Begin => {
                self.stage = Stage::Text;
                self.fence(byte);
            }
            Stage::Opened(open) => {
                let json = matches!((open, byte), (b'{', b'"' | b'}') | (b'[', b'"' | b'{' | b'[' | b']'));
                self.stage = if json { Stage::Json } else { Stage::Text };
                self.in_string = json && byte == b'"';
            }
            Stage::Json => self.within(byte),
            Stage::Text => self.fence(byte),
        }
    }

    fn within(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            // No string of JSON holds a line end.
            b'\n' if self.in_string => {
                self.stage = Stage::Text;
                self.in_string = false;
            }
            b'`' if !self.in_string => {
                self.stage = Stage::Text;
                self.fence(byte);
            }
            _ => {}
        }
    }

    /// Looks for a fence that announces JSON.
    fn fence(&mut self, byte: u8) {
        const WORD: &[u8] = b"json";
        match byte {
            b'`' => {
                self.ticks = self.ticks.saturating_add(1);
                self.word = 0;
            }
            _ if self.ticks == 3 && WORD.get(usize::from(self.word)) == Some(&byte.to_ascii_lowercase()) => {
                self.word += 1;
            }
            b'\n' | b'\r' if self.ticks == 3 && usize::from(self.word) == WORD.len() => {
                *self = Self::default();
            }
            _ => {
                self.ticks = 0;
                self.word = 0;
            }
        }
    }
}

/// An answer in segments of about so many bytes, cut between characters, and between words where there are some.
pub fn segments(text: &str, bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let view = Text::new(rest);
        let mut at = view.floor(bytes.max(1));
        if at == 0 {
            at = view.floor_next(0);
        }
        if at < rest.len()
            && let Some(space) = view.slice(0, at).rfind([' ', '\n']).filter(|space| at / 2 < *space)
        {
            at = space + 1;
        }
        let (head, tail) = rest.split_at(at);
        rest = tail;
        Some(head)
    })
}
