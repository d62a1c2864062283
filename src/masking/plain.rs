//! A text as a reader sees it: escapes of strings, colours of terminals and marks of emphasis become blanks.
//!
//! Every byte keeps its place, so that what is found in the plain text stands at the same place in the text itself.

use super::text::is_word;
use std::borrow::Cow;

/// How far behind the opening mark of emphasis the closing one may stand.
const EMPHASIS_MAX: usize = 160;
/// The longest colour of a terminal.
const COLOUR_MAX: usize = 20;
/// How far back a path may begin that holds a backslash.
const PATH_MAX: usize = 64;

/// The text without what hides the edges of its words.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let taken = match byte {
            b'\\' => escape(bytes, at),
            0x1B => colour(bytes, at, at + 1).map(|end| (end, b' ')),
            b'*' | b'_' | b'~' | b'=' | b'%' => {
                let run = run(bytes, at, *byte);
                if let Some(close) = emphasis(bytes, at, run) {
                    let out = out.get_or_insert_with(|| bytes.to_vec());
                    fill(out, at, at + run, b' ');
                    fill(out, close, close + run, b' ');
                }
                at += run;
                continue;
            }
            _ => {
                at += 1;
                continue;
            }
        };
        at = match taken {
            Some((end, sign)) => {
                let out = out.get_or_insert_with(|| bytes.to_vec());
                if matches!(sign, b'<' | b'>') {
                    fill(out, at, end, b' ');
                    fill(out, if sign == b'<' { end - 1 } else { at }, if sign == b'<' { end } else { at + 1 }, sign);
                } else {
                    fill(out, at, end, sign);
                }
                end
            }
            None => at + 1,
        };
    }
    // Only ASCII took the place of ASCII.
    out.and_then(|out| String::from_utf8(out).ok()).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn fill(out: &mut [u8], from: usize, to: usize, with: u8) {
    if let Some(part) = out.get_mut(from..to) {
        part.fill(with);
    }
}

/// How many of one sign stand at a place.
fn run(bytes: &[u8], at: usize, sign: u8) -> usize {
    bytes.get(at..).unwrap_or(&[]).iter().take_while(|byte| **byte == sign).count()
}

fn before(bytes: &[u8], at: usize) -> u8 {
    at.checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or(0)
}

/// The end of an escape that stands for a space, a line end, a bracket, a quote or a colour, and what takes its place.
fn escape(bytes: &[u8], at: usize) -> Option<(usize, u8)> {
    let sign = match bytes.get(at + 1)? {
        b'n' | b'r' => b'\n',
        b't' => b'\t',
        b'u' => {
            let code = bytes.get(at + 2..at + 6)?.to_ascii_lowercase();
            let sign = match code.as_slice() {
                b"003c" => b'<',
                b"003e" => b'>',
                b"0022" | b"0026" | b"0027" | b"00a0" | b"2028" | b"200b" => b' ',
                b"001b" => return colour(bytes, at, at + 6).map(|end| (end, b' ')),
                _ => return None,
            };
            return Some((at + 6, sign));
        }
        b'x' if bytes.get(at + 2..at + 4).is_some_and(|code| code.eq_ignore_ascii_case(b"1b")) => {
            return colour(bytes, at, at + 4).map(|end| (end, b' '));
        }
        b'0' if bytes.get(at + 2..at + 4) == Some(b"33") => return colour(bytes, at, at + 4).map(|end| (end, b' ')),
        b'e' => return colour(bytes, at, at + 2).map(|end| (end, b' ')),
        _ => return None,
    };
    (!in_path(bytes, at)).then_some((at + 2, sign))
}

/// Whether a backslash divides the folders of a path: `C:\new`, `\\server\tools`.
fn in_path(bytes: &[u8], at: usize) -> bool {
    let from = at.saturating_sub(PATH_MAX);
    let head = bytes.get(from..at).unwrap_or(&[]);
    let begin = head.iter().rposition(|byte| !is_word(*byte) && !matches!(byte, b'\\' | b':' | b'.' | b'-'));
    let head = head.get(begin.map_or(0, |begin| begin + 1)..).unwrap_or(&[]);
    let drive = head.first().is_some_and(u8::is_ascii_alphabetic)
        && head.get(1) == Some(&b':')
        && matches!(head.get(2), None | Some(b'\\'));
    drive || head.starts_with(b"\\\\")
}

/// The end of the colour whose bracket stands at a place: `[31m`
fn colour(bytes: &[u8], start: usize, at: usize) -> Option<usize> {
    let code = bytes.get(at..(at + COLOUR_MAX).min(bytes.len()))?;
    let len = code.iter().skip(1).position(|byte| !(byte.is_ascii_digit() || *byte == b';'))? + 1;
    (code.first() == Some(&b'[') && matches!(code.get(len), Some(b'm' | b'K')) && start < at).then_some(at + len + 1)
}

/// Where the marks stand that close an emphasis, if the `run` marks at a place open one.
fn emphasis(bytes: &[u8], at: usize, run_len: usize) -> Option<usize> {
    let sign = *bytes.get(at)?;
    let lengths = match sign {
        b'*' | b'_' => 1..=3,
        b'%' => 1..=1,
        _ => 2..=2,
    };
    let first = *bytes.get(at + run_len)?;
    let opens = match sign {
        b'%' => first.is_ascii_digit() || matches!(first, b'+' | b'('),
        _ => is_word(first) || 0x80 <= first || matches!(first, b'+' | b'(' | b'"' | b'\'' | b'$'),
    };
    let behind = before(bytes, at);
    let begins = behind <= b' ' || b"([{\"'<>|,;:*_~=".contains(&behind);
    if !lengths.contains(&run_len) || !opens || !begins {
        return None;
    }
    let from = at + run_len;
    let rest = bytes.get(from..(from + EMPHASIS_MAX).min(bytes.len()))?;
    let mut i = 0;
    while let Some(byte) = rest.get(i) {
        if *byte == b'\n' || (*byte == b'=' && sign == b'_') {
            return None;
        }
        if *byte == sign {
            let len = run(rest, i, sign);
            let next = bytes.get(from + i + len).copied().unwrap_or(b' ');
            let closes = len == run_len && before(rest, i) != b' ' && !is_word(next) && !matches!(next, b'/' | b'(');
            if closes {
                return Some(from + i);
            }
            i += len;
        } else {
            i += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_the_edge_of_a_word_becomes_blank_and_keeps_its_length() {
        let cases = [
            (r#"{"a":"x\n203.0.113.7\t9"}"#, "{\"a\":\"x\n\n203.0.113.7\t\t9\"}"),
            (r"\u003cjo@example.org\u003e", "     <jo@example.org>     "),
            (r"\u0022a\u0022", "      a      "),
            ("\u{1b}[1;31mred\u{1b}[0m", "       red    "),
            (r"\u001b[31mred\x1b[0m", "          red       "),
            ("**4539** and *jo* or __x__ ~~y~~ ==z== %+44%", "  4539   and  jo  or   x     y     z    +44 "),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected, "{text}");
            assert_eq!(plain(text).len(), text.len(), "{text}");
        }
    }

    #[test]
    fn paths_products_variables_and_pointers_stay() {
        for text in [
            r"C:\new\table\readme",
            r"\\server\tools",
            "2*3*4",
            "**kwargs, **options",
            "%DB_PASS%",
            "char *a, *b",
            "a == b == c",
            "_authToken=npm_x_",
            r"\d+\w",
            "caf\u{e9}",
        ] {
            assert_eq!(plain(text), text, "{text}");
        }
    }
}
