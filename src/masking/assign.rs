//! Secrets beside their names: NAME=value, "name": "value", name: value, --name value, <name>value</name>, and prose.

use super::{
    context::Hit,
    kind::{Kind, Rank},
    scan::Scan,
    secret_name::{Class, class, owned_key},
    secret_value::{Setting, is_secret, is_told},
    text::{Text, is_spaceless, is_word},
};

pub(super) use super::secret_value::is_reference;

const NAME_MAX: usize = 96;
const VALUE_MAX: usize = 2048;
/// How far behind a name prose may say its value.
const PROSE_MAX: usize = 64;

/// Where names were read already: one name holds several telling words.
#[derive(Default)]
pub(super) struct Assigned {
    done: usize,
}

/// A value and how it stands there.
struct Value {
    start: usize,
    end: usize,
    setting: Setting,
}

/// The second one of `from … to …`.
fn replaced(scan: &mut Scan<'_>, kind: Kind, end: usize) {
    let text = scan.text;
    if !text.is(end, b" to ") {
        return;
    }
    let start = end + 4;
    let stop = text.run(start, 80, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'`'));
    let stop = trimmed(text, start, stop, Setting::Open);
    if is_secret(text.slice(start, stop), Class::Password, Setting::Open) {
        scan.add(kind, start, stop, Rank::Named);
    }
}

impl Assigned {
    /// The value that belongs to the name around a telling word.
    pub(super) fn find(&mut self, scan: &mut Scan<'_>, hit: Hit) {
        let text = scan.text;
        if hit.start < self.done {
            return;
        }
        let part = |byte: u8| is_word(byte) || matches!(byte, b'-' | b'.');
        let start = text.run_back(hit.start, NAME_MAX, part);
        let mut end = text.run(hit.end, NAME_MAX, part);
        while hit.end < end && matches!(text.before(end), b'-' | b'.') {
            end -= 1;
        }
        self.done = end;
        let name = text.slice(start, end).trim_start_matches(['-', '.']);
        let Some(class) = class(name)
            .or_else(|| bare_key(text, start, name))
            .or_else(|| class(text.slice(hit.start, hit.end))?.filter_tail(text, hit, end))
        else {
            return;
        };
        let value =
            assigned(text, start, end).map(|value| authorization(text, value)).or_else(|| sql(text, end, class));
        let value = value.or_else(|| before_name(text, start, class));
        let found = match value {
            // -pass pass:…, --password-file …
            Some(value) if text.is_caseless(value.start, b"pass:") || text.is_caseless(value.start, b"env:") => None,
            Some(value) if is_secret(text.slice(value.start, value.end), class, value.setting) => Some(value),
            Some(value) if value.setting != Setting::Open || !goes_on(text, &value) => None,
            _ => prose(text, end, class),
        };
        if let Some(Value { start, end, setting }) = found {
            let kind = match class {
                Class::Password | Class::Phrase => Kind::EnvSecret,
                Class::Token => Kind::SecretToken,
                Class::Key | Class::Weak => Kind::GenericApiKey,
            };
            if text.is(text.run_back(start, 1, |byte| byte == b' ').saturating_sub(5), b" from") {
                replaced(scan, kind, end);
            }
            scan.add(
                kind,
                start,
                end,
                if matches!(setting, Setting::Closed | Setting::Quoted) { Rank::Shaped } else { Rank::Named },
            );
            self.done = self.done.max(end);
        }
    }
}

/// IDENTIFIED BY 'value', PASSWORD 'value'
fn sql(text: Text<'_>, end: usize, class: Class) -> Option<Value> {
    let at = text.skip_spaces(end);
    let named = matches!(class, Class::Password | Class::Phrase);
    if named && at != end && matches!(text.at(at), b'\'' | b'"') { quote(text, at) } else { None }
}

/// `key` alone, by the word before it.
fn bare_key(text: Text<'_>, start: usize, name: &str) -> Option<Class> {
    if !name.eq_ignore_ascii_case("key") {
        return None;
    }
    let end = text.run_back(start, 2, |byte| byte == b' ');
    let begin = text.run_back(end, 16, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    Some(owned_key(text.slice(begin, end)))
}

/// Whether prose may go on behind a value that is none: behind a plain word, not behind code or a comma.
fn goes_on(text: Text<'_>, value: &Value) -> bool {
    text.slice(value.start, value.end).chars().all(|letter| letter.is_alphabetic() || matches!(letter, '\'' | '’'))
        && text.space(value.end) != 0
}

/// Where a value ends before letters and signs of a script without spaces, unless it begins with such.
fn cut(text: Text<'_>, start: usize, end: usize) -> usize {
    let value = text.slice(start, end);
    if value.starts_with(is_spaceless) {
        return end;
    }
    value.find(|letter| is_spaceless(letter) || matches!(letter, '”' | '»' | '“')).map_or(end, |at| start + at)
}

impl Class {
    /// Telling words in scripts without spaces, and phrases, stand alone.
    fn filter_tail(self, text: Text<'_>, hit: Hit, end: usize) -> Option<Self> {
        (end == hit.end || !text.slice(hit.start, hit.end).is_ascii()).then_some(self)
    }
}

/// `setdefault("DB_PASSWORD", "…")`, `define('DB_PASSWORD', '…')`
fn argument(text: Text<'_>, start: usize, end: usize) -> Option<Value> {
    let mark = text.before(start);
    if !matches!(mark, b'"' | b'\'') || text.before(start - 1) != b'(' || text.at(end) != mark {
        return None;
    }
    let comma = text.skip_spaces(end + 1);
    let next = text.skip_spaces(comma + 1);
    if text.at(comma) != b',' || !matches!(text.at(next), b'"' | b'\'') {
        return None;
    }
    quote(text, next).map(|value| Value { setting: Setting::Open, ..value })
}

/// The value that a sign assigns to a name.
fn assigned(text: Text<'_>, start: usize, end: usize) -> Option<Value> {
    let before = text.before(start);
    if before == b'<' && text.at(end) == b'>' {
        let from = text.skip_spaces(end + 1);
        let to = text.run(from, VALUE_MAX, |byte| !matches!(byte, b'<' | b'\n' | b'\r'));
        return (from < to).then_some(Value { start: from, end: to, setting: Setting::Closed });
    }
    let mut at = end;
    if let Some(value) = argument(text, start, end) {
        return Some(value);
    }
    let escaped = text.at(at) == b'\\';
    if escaped {
        at += 1;
    }
    let quoted = matches!(text.at(at), b'"' | b'\'' | b'`');
    if quoted {
        at += 1;
    } else if escaped {
        return None;
    }
    if matches!(text.at(at), b']' | b')') {
        at += 1;
    }
    // name="password" value="…", - name: PASSWORD\n  value: …
    let far = text.run(at, 40, |byte| byte.is_ascii_whitespace() || byte == b',');
    if at < far || quoted {
        for word in ["value=", "value:", "\"value\":", "\"Value\":", "content="] {
            if text.is_caseless(far, word.as_bytes()) {
                return value(text, text.skip_spaces(far + word.len()), Setting::Bare);
            }
        }
    }
    let spaced = text.skip_spaces(at);
    let flag = text.is(start, b"--") || (text.at(start) == b'-' && text.before(start) != b'-');
    let (mark, loose) = match text.at(spaced) {
        b'=' | b'?' | b':' if matches!(text.bytes(spaced, spaced + 2), b"=>" | b":=" | b"?=") => (2, true),
        b'=' if text.at(spaced + 1) != b'=' && text.at(spaced + 1) != b'~' => {
            (1, spaced != at || text.space(spaced + 1) != 0)
        }
        b':' if text.at(spaced + 1) != b':' => (1, false),
        0xEF if text.is(spaced, "：".as_bytes()) => (3, false),
        _ if flag && spaced != at => return value(text, spaced, Setting::Bare),
        _ => return None,
    };
    let colon = mark == 1 && text.at(spaced) == b':' || mark == 3;
    let from = text.skip_spaces(spaced + mark);
    let environment = !colon && !loose && begins_line(text, start);
    let setting = if environment {
        Setting::Closed
    } else if loose || (colon && !begins_line(text, start) && !quoted) {
        Setting::Open
    } else {
        Setting::Bare
    };
    // A label on one line, its value alone on the next.
    if colon && !quoted && matches!(text.at(from), b'\n' | b'\r') {
        let next = text.skip_spaces(text.run(from, 2, |byte| matches!(byte, b'\n' | b'\r')));
        let found = value(text, next, Setting::Open)?;
        return matches!(text.at(found.end), b'\n' | b'\r' | 0).then_some(found);
    }
    let found = value(text, from, setting)?;
    // password: str = "…"
    let next = text.skip_spaces(found.end);
    if !matches!(found.setting, Setting::Closed | Setting::Quoted)
        && text.at(next) == b'='
        && text.at(next + 1) != b'='
        && next != found.end
    {
        return value(text, text.skip_spaces(next + 1), Setting::Open);
    }
    Some(found)
}

/// `try … as the password`, `… is my password`, `Is … a strong password?`
fn before_name(text: Text<'_>, start: usize, class: Class) -> Option<Value> {
    if class != Class::Password || text.before(start) != b' ' {
        return None;
    }
    let mut end = start;
    for i in 0..4 {
        end = text.run_back(end, 2, |byte| byte == b' ');
        let begin = text.run_back(end, 40, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'`' | b'\''));
        let word = text.slice(begin, end);
        if i != 0 && is_secret(word, class, Setting::Open) {
            return Some(Value { start: begin, end, setting: Setting::Open });
        }
        let small = word.len() <= 9 && word.bytes().all(|byte| byte.is_ascii_lowercase());
        if !small || word.is_empty() || text.before(begin) != b' ' {
            return None;
        }
        end = begin;
    }
    None
}

/// Whether a name begins its line, behind nothing but a word that may stand there.
fn begins_line(text: Text<'_>, start: usize) -> bool {
    let line = text.run_back(start, 48, |byte| !matches!(byte, b'\n' | b'\r'));
    let head = text.slice(text.floor(line), start).trim();
    let head = head.strip_prefix("-").map_or(head, str::trim);
    head.is_empty()
        || matches!(
            head,
            "export"
                | "set"
                | "ENV"
                | "ARG"
                | "env"
                | "$env:"
                | "setx"
                | "-e"
                | "--env"
                | "+"
                | ">"
                | "environment:"
                | "\""
                | "'"
                | "#"
                | "//"
                | "let"
                | "declare -x"
        )
        || head.ends_with(" -e")
        || head.ends_with(" --env")
        || head.ends_with(" export")
        || head.ends_with("; export")
        || head.ends_with('&')
        || head.ends_with('?')
        || head.ends_with(';')
        || head.split(' ').all(|word| word.contains('=') && !word.ends_with('='))
}

/// The value at a place: between quotes, or up to what ends a bare one.
fn value(text: Text<'_>, start: usize, setting: Setting) -> Option<Value> {
    let mut at = start;
    // b"…", f'…', r"…", @"…", "\"…\""
    if matches!(text.at(at), b'b' | b'f' | b'r' | b'u' | b'@') && matches!(text.at(at + 1), b'"' | b'\'') {
        at += 1;
    }
    if matches!(text.at(at), b'"' | b'\'' | b'`') || (text.at(at) == b'\\' && matches!(text.at(at + 1), b'"' | b'\'')) {
        return quote(text, at);
    }
    let mut end =
        text.run(at, VALUE_MAX, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'`' | b'<'));
    if at == end {
        return None;
    }
    let bytes = text.bytes(at, end);
    // Another name begins behind a separator: a=1;b=2, a=1&b=2, a=1,b=2
    for (i, byte) in bytes.iter().enumerate() {
        let next = text.run(at + i + 1, 40, |byte| is_word(byte) || matches!(byte, b'-' | b' '));
        if matches!(byte, b';' | b'&' | b',')
            && (matches!(text.at(next), b'=' | b':') && next != at + i + 1
                || *byte != b'&' && next == end && next == at + i + 1)
        {
            end = at + i;
            break;
        }
    }
    end = trimmed(text, at, cut(text, at, end), setting);
    (at < end).then_some(Value { start: at, end, setting })
}

/// A bare value without the punctuation of the text around it.
fn trimmed(text: Text<'_>, start: usize, mut end: usize, setting: Setting) -> usize {
    loop {
        let last = text.before(end);
        let body = text.bytes(start, end);
        let count = |wanted: u8| body.iter().map(|byte| usize::from(*byte == wanted)).sum::<usize>();
        let unpaired = |open: u8, close: u8| last == close && count(open) < count(close);
        let stop =
            matches!(last, b',' | b';' | b'\\') || (matches!(last, b'.' | b'?' | b':') && setting != Setting::Closed);
        if start < end && (stop || unpaired(b'(', b')') || unpaired(b'[', b']') || unpaired(b'{', b'}')) {
            end -= 1;
        } else {
            break;
        }
    }
    let value = text.slice(start, end);
    end - (value.len() - value.trim_end_matches(['。', '、', '，', '”', '」', '»', '）']).len())
}

/// What stands between quotes, escaped or not.
fn quote(text: Text<'_>, at: usize) -> Option<Value> {
    let escaped = text.at(at) == b'\\';
    let open = at + usize::from(escaped);
    let mark = text.at(open);
    let triple = text.at(open + 1) == mark && text.at(open + 2) == mark;
    let start = open + if triple { 3 } else { 1 };
    let bytes = text.bytes(start, start + VALUE_MAX);
    let mut i = 0;
    while let Some(byte) = bytes.get(i) {
        match byte {
            b'\\' if escaped && bytes.get(i + 1) == Some(&mark) => break,
            b'\\' => i += 1,
            b'\n' if !triple => return None,
            byte if *byte == mark => break,
            _ => {}
        }
        i += 1;
    }
    let end = start + i.min(bytes.len());
    (i < bytes.len() && start < end).then_some(Value { start, end, setting: Setting::Quoted })
}

/// Authorization: Bearer value
fn authorization(text: Text<'_>, value: Value) -> Value {
    for scheme in ["bearer", "token", "basic", "apikey", "api-key", "key", "bot", "negotiate", "aws4-hmac-sha256"] {
        let end = value.start + scheme.len();
        if text.is_caseless(value.start, scheme.as_bytes()) && text.space(end) != 0 {
            let start = text.skip_spaces(end);
            let most = if matches!(value.setting, Setting::Closed | Setting::Quoted) {
                value.end.max(start)
            } else {
                text.len()
            };
            let end = text.run(start, VALUE_MAX.min(most - start), |byte| {
                !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'\\')
            });
            let end = trimmed(text, start, end, Setting::Bare);
            return Value { start, end, setting: Setting::Bare };
        }
    }
    // Cookie: sessionid=…
    let bytes = text.bytes(value.start, value.end);
    let mark = bytes.iter().position(|byte| !(is_word(*byte) || matches!(byte, b'-' | b'.')));
    if let Some(mark) = mark.filter(|mark| bytes.get(*mark) == Some(&b'=') && *mark + 16 < bytes.len()) {
        return Value { start: value.start + mark + 1, ..value };
    }
    value
}

/// Without the stars of emphasis, if there are some before it, too.
fn unstarred(text: Text<'_>, start: usize, end: usize) -> usize {
    if text.before(start) == b'*' { text.run_back(end, 2, |byte| byte == b'*').max(start) } else { end }
}

/// Words that say what a password is.
const COPULAS: &[&str] = &["is", "ist", "lautet", "est", "es", "è", "é", "er", "är", "on", "jest", "to:", "is:"];

/// Behind the signs that join a name with what is said about it.
fn joined(text: Text<'_>, mut at: usize) -> usize {
    const MARKS: [&str; 14] = ["：", "「", "“", "«", "は", "是", "为", "為", "»", "„", "\u{a0}", "—", "–", "→"];
    loop {
        let from = at;
        at = text.run(at, PROSE_MAX, |byte| {
            byte.is_ascii_whitespace() || matches!(byte, b':' | b'"' | b'\'' | b'`' | b'(' | b'*' | b'=' | b'>' | b'-')
        });
        for mark in MARKS {
            if text.is(at, mark.as_bytes()) {
                at = text.skip_spaces(at + mark.len());
            }
        }
        if from == at {
            return at;
        }
    }
}

/// A value in the words behind a name: `the password for the admin account is …`, `our key …`
fn prose(text: Text<'_>, end: usize, class: Class) -> Option<Value> {
    if matches!(text.at(end), b'=' | b'_' | b'@') {
        return None;
    }
    let limit = text.run(end, PROSE_MAX, |byte| !matches!(byte, b'\n' | b'\r'));
    let mut at = end;
    let mut told = class != Class::Password;
    for i in 0..9 {
        at = joined(text, at);
        if limit <= at {
            return None;
        }
        let stop =
            text.run(at, VALUE_MAX, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'`' | b'<'));
        let stop = cut(text, at, stop.max(at));
        let stop = unstarred(text, at, trimmed(text, at, stop, Setting::Open));
        let word = text.slice(at, stop);
        if i < 3 && told && (i == 0 || class == Class::Password) && is_told(word, class) {
            return Some(Value { start: at, end: stop, setting: Setting::Open });
        }
        told = COPULAS.contains(&word);
        let exclaimed = word.strip_suffix('!').filter(|rest| {
            is_secret(rest, class, Setting::Open)
                && !rest.bytes().any(|byte| byte.is_ascii_punctuation())
                && text.at(stop) != b' '
        });
        let word = exclaimed.unwrap_or(word);
        let another = word
            .split_once('=')
            .is_some_and(|(name, rest)| !rest.is_empty() && name.bytes().all(|byte| is_word(byte) || byte == b'-'));
        if is_secret(word, class, Setting::Open) && !another && (!word.contains('@') || class == Class::Password) {
            return Some(Value { start: at, end: at + word.len(), setting: Setting::Open });
        }
        // A sentence ends; what follows is about something else.
        if word.is_empty() || matches!(text.at(stop), b'.' | b'?' | b'!' | b';') {
            return None;
        }
        at = stop;
        if text.at(at) == b',' {
            at += 1;
        }
    }
    None
}
