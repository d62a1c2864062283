//! How a model may write a placeholder: `<EMAIL_1>`, and what becomes of it in case, brackets, spaces and escapes.
//!
//! The index is never bent: what is read is looked up as it is, and unknown names stay text.

use super::text::{Text, is_word};

/// The longest name that is read, in bytes.
const NAME_MAX: usize = 48;
/// The longest text that one placeholder may take, ignored signs included.
pub(super) const MENTION_MAX: usize = 128;

/// Opening brackets and what closes them.
const BRACKETS: &[(&str, &str)] = &[
    ("<", ">"),
    ("&lt;", "&gt;"),
    ("&#60;", "&#62;"),
    ("\\u003c", "\\u003e"),
    ("%3c", "%3e"),
    ("\u{ff1c}", "\u{ff1e}"),
    ("[", "]"),
    ("{", "}"),
    ("«", "»"),
    ("‹", "›"),
    ("⟨", "⟩"),
    ("【", "】"),
];
/// Signs without width, which models and editors strew.
const UNSEEN: &[&str] = &["\u{200b}", "\u{200c}", "\u{200d}", "\u{2060}", "\u{feff}", "\u{ad}"];

/// A placeholder in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) name: String,
    /// Where the text goes on.
    pub(super) end: usize,
    /// Two opening brackets.
    pub(super) double: bool,
    /// Percent-encoded brackets.
    pub(super) encoded: bool,
    /// What of its text stays before and behind the value.
    pub(super) before: &'static str,
    pub(super) after: &'static str,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    Nothing,
    /// The text ends before one can say.
    More,
    Found(Mention),
}

/// Whether a placeholder could begin with that byte.
pub(super) fn may_begin(byte: u8) -> bool {
    matches!(byte, b'<' | b'[' | b'{' | b'&' | b'\\' | b'%' | 0xC2 | 0xE2 | 0xE3 | 0xEF) || byte.is_ascii_uppercase()
}

/// Reads what stands at a place; `last` says that the text will not go on.
pub(super) fn read(text: Text<'_>, place: usize, last: bool, known: &dyn Fn(&str) -> bool) -> Reading {
    if text.at(place).is_ascii_uppercase() {
        return bare(text, place, last, known);
    }
    for (open, close) in BRACKETS {
        if !text.is_caseless(place, open.as_bytes()) {
            if !last && text.len() < place + open.len() && open.as_bytes().starts_with(text.bytes(place, text.len())) {
                return Reading::More;
            }
            continue;
        }
        if *open == "{" && text.before(place) == b'$' {
            return Reading::Nothing;
        }
        let inner = place + open.len();
        if text.is_caseless(inner, open.as_bytes()) {
            match bracketed(text, inner + open.len(), [close, close], last, known) {
                Reading::Found(mention) => return Reading::Found(Mention { double: true, ..mention }),
                Reading::More => return Reading::More,
                Reading::Nothing => {}
            }
            return Reading::Nothing;
        }
        return bracketed(text, inner, [close, ""], last, known);
    }
    Reading::Nothing
}

/// A name without brackets: capitals, and no letter, digit or underscore around it.
fn bare(text: Text<'_>, place: usize, last: bool, known: &dyn Fn(&str) -> bool) -> Reading {
    let variable = text.before(place) == b'{' && text.before(place.saturating_sub(1)) == b'$';
    if text.word_before(place) || text.before(place) == b'$' || variable {
        return Reading::Nothing;
    }
    let mut name = String::new();
    let mut at = place;
    while name.len() <= NAME_MAX {
        match text.at(at) {
            byte if byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_' => name.push(char::from(byte)),
            b'\\' if text.at(at + 1) == b'_' => {
                name.push('_');
                at += 1;
            }
            _ => break,
        }
        at += 1;
    }
    let ends = text.len() <= at || (text.at(at) == b'\\' && text.len() <= at + 1);
    if ends && !last && name.len() <= NAME_MAX {
        return Reading::More;
    }
    if is_word(text.at(at)) || !known(&name) {
        return Reading::Nothing;
    }
    Reading::Found(Mention { name, end: at, double: false, encoded: false, before: "", after: "" })
}

/// The letters, digits and separators at a place as one name, and where they end.
fn spelled(text: Text<'_>, start: usize, close: &str) -> (String, usize) {
    let mut at = start;
    let mut name = String::new();
    while name.len() <= NAME_MAX && at - start < MENTION_MAX {
        let byte = text.at(at);
        if let Some(unseen) = UNSEEN.iter().find(|unseen| text.is(at, unseen.as_bytes())) {
            at += unseen.len();
            continue;
        }
        let gap = match byte {
            b'_' | b'-' | b'\n' | b'\r' => 1,
            b'\\' if text.at(at + 1) == b'_' => 2,
            _ => text.space(at),
        };
        if gap != 0 {
            if !name.is_empty() && !name.ends_with('_') {
                name.push('_');
            }
            at += gap;
        } else if byte.is_ascii_alphanumeric() && !text.is_caseless(at, close.as_bytes()) {
            name.push(char::from(byte.to_ascii_uppercase()));
            at += 1;
        } else {
            break;
        }
    }
    (name.trim_end_matches('_').to_owned(), at)
}

/// A name behind an opening bracket, up to the closing one.
fn bracketed(text: Text<'_>, start: usize, closing: [&str; 2], last: bool, known: &dyn Fn(&str) -> bool) -> Reading {
    let [close, second] = closing;
    let (name, at) = spelled(text, start, close);
    if text.len() <= at || (!last && text.at(at) == b'\\' && text.len() == at + 1) {
        // An answer that breaks off behind the index.
        return if !last {
            Reading::More
        } else if known(&name) && second.is_empty() && matches!(close, ">") {
            Reading::Found(Mention { name, end: at, double: false, encoded: false, before: "", after: "" })
        } else {
            Reading::Nothing
        };
    }
    if !known(&name) {
        return Reading::Nothing;
    }
    let rest = text.bytes(at, text.len());
    if !last
        && rest.len() < 4
        && ["'s", "’s"].iter().any(|ending| ending.len() != rest.len() && ending.as_bytes().starts_with(rest))
    {
        return Reading::More;
    }
    let (mut at, after) = possessive(text, at);
    at = text.skip_spaces(at);
    if text.at(at) == b'/' {
        at = text.skip_spaces(at + 1);
    }
    let closed = [close, second].concat();
    if !text.is_caseless(at, closed.as_bytes()) {
        return if !last && text.len() < at + closed.len() { Reading::More } else { Reading::Nothing };
    }
    at += closed.len();
    if close == "]" {
        if text.len() <= at && !last {
            return Reading::More;
        }
        // [EMAIL_1](mailto:EMAIL_1): the brackets of a link are not ours
        if text.at(at) == b'(' {
            return Reading::Found(Mention { name, end: at, double: false, encoded: false, before: "[", after: "]" });
        }
    }
    if close == ">" && second.is_empty() {
        match pair(text, at, &name, last) {
            None => return Reading::More,
            Some(end) => at = end,
        }
    }
    Reading::Found(Mention { name, end: at, double: false, encoded: close == "%3e", before: "", after })
}

/// `<PERSON_1's>`
fn possessive(text: Text<'_>, at: usize) -> (usize, &'static str) {
    if text.is(at, b"'s") {
        (at + 2, "'s")
    } else if text.is(at, "’s".as_bytes()) {
        (at + 4, "’s")
    } else {
        (at, "")
    }
}

/// Behind `</EMAIL_1>`, if that follows; nothing where the text ends within it.
fn pair(text: Text<'_>, at: usize, name: &str, last: bool) -> Option<usize> {
    let closing = format!("</{name}>");
    if text.is_caseless(at, closing.as_bytes()) {
        return Some(at + closing.len());
    }
    let rest = text.bytes(at, text.len());
    let cut = !last
        && rest.len() < closing.len()
        && closing.as_bytes().get(..rest.len()).is_some_and(|head| head.eq_ignore_ascii_case(rest));
    (!cut).then_some(at)
}
