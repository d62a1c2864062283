//! Names of people, by strong cues only: an honorific, a field or phrase that names come after, a greeting, an address.
//!
//! Aims at being right when it speaks; names in running text without a cue stay as they are.

use super::{
    introduced,
    kind::{Kind, Rank},
    names::{PARTICLES, is_likely, is_name, is_thing},
    scan::Scan,
    text::{Text, is_word},
    words::Tag,
};

/// Looks behind and before the telling words.
pub(super) fn find(scan: &mut Scan<'_>) {
    let text = scan.text;
    let cues: Vec<_> =
        scan.words.iter().filter(|hit| matches!(hit.tag, Tag::Honorific | Tag::NameLabel | Tag::NameAfter)).collect();
    let mut done = 0;
    for cue in cues {
        if cue.start < done {
            continue;
        }
        let word = text.slice(cue.start, cue.end);
        let name = match cue.tag {
            Tag::Honorific => honoured(text, cue.end, word),
            Tag::NameLabel => labelled(text, cue.start, cue.end, word),
            _ => before(text, cue.start),
        };
        if let Some((start, end)) = name {
            scan.add(Kind::Person, start, end, Rank::Named);
            done = end;
        }
    }
    beside_emails(scan);
    introduced::find(scan);
}

/// Mr Smith, Dr. Jane Doe
fn honoured(text: Text<'_>, end: usize, word: &str) -> Option<(usize, usize)> {
    if !word.chars().next().is_some_and(char::is_uppercase) {
        return None;
    }
    let at = if text.at(end) == b'.' { end + 1 } else { end };
    let start = text.skip_spaces(at);
    let (last, count) = words(text, start)?;
    let short = matches!(
        word,
        "Don"
            | "Pan"
            | "Hon"
            | "Sig"
            | "Sr"
            | "Hr"
            | "Miss"
            | "Sir"
            | "Judge"
            | "Nurse"
            | "Rev"
            | "Doctor"
            | "Professor"
    );
    (start != at && !is_thing(text.slice(start, last)) && (1..=4).contains(&count) && (!short || 2 <= count))
        .then_some((start, last))
}

/// Labels behind which one word is enough: fields that hold nothing else.
const FIELDS: &[&str] = &[
    "first name",
    "last name",
    "surname",
    "given name",
    "family name",
    "middle name",
    "maiden name",
    "vorname",
    "nachname",
    "prénom",
    "apellido",
    "apellidos",
    "cognome",
    "achternaam",
    "voornaam",
    "nazwisko",
    "фамилия",
    "firstname",
    "lastname",
];

/// Words that a name follows right away.
const GREETINGS: &[&str] = &[
    "dear",
    "hi",
    "hello",
    "hey",
    "liebe",
    "lieber",
    "cher",
    "chère",
    "estimado",
    "estimada",
    "querido",
    "querida",
    "gentile",
    "caro",
    "cara",
    "prezado",
    "prezada",
    "beste",
    "geachte",
    "kära",
    "kjære",
    "kære",
    "уважаемый",
    "уважаемая",
];

/// Words behind which a name stands on a line of its own.
const CLOSINGS: &[&str] = &[
    "regards",
    "best regards",
    "kind regards",
    "sincerely",
    "yours sincerely",
    "cheers",
    "best",
    "thanks",
    "mit freundlichen grüßen",
    "viele grüße",
    "cordialement",
    "saludos",
    "atentamente",
    "cordiali saluti",
    "atenciosamente",
    "met vriendelijke groet",
    "pozdrawiam",
    "hälsningar",
    "hilsen",
    "с уважением",
];

/// Labels that other things than people follow, too.
const WEAK: &[&str] = &[
    "approved by",
    "assigned to",
    "assignee",
    "attention",
    "attn",
    "author",
    "best",
    "bill to",
    "billed to",
    "call with",
    "called",
    "cc",
    "client",
    "client name",
    "cliente",
    "contact",
    "contact name",
    "created by",
    "customer",
    "customer name",
    "deliver to",
    "display name",
    "employee",
    "from",
    "guest name",
    "interview with",
    "kunde",
    "meeting with",
    "naam",
    "name",
    "named",
    "names",
    "namn",
    "navn",
    "nimi",
    "nom",
    "nombre",
    "nome",
    "on behalf of",
    "patient",
    "recipient name",
    "reported by",
    "reviewed by",
    "sender name",
    "ship to",
    "sold to",
    "titulaire",
    "to",
    "vendor",
    "имя",
];

/// Labels that want a colon behind them.
const COLONED: &[&str] = &[
    "from", "author", "contact", "customer", "client", "name", "names", "patient", "best", "cc", "named", "employee",
    "kunde", "nom", "nome", "nombre",
];

fn labelled(text: Text<'_>, start: usize, end: usize, label: &str) -> Option<(usize, usize)> {
    let lower = label.to_lowercase().replace(['_', '-'], " ");
    let mut at = end;
    let quoted = matches!(text.at(at), b'"' | b'\'');
    at += usize::from(quoted);
    let spaced = text.skip_spaces(at);
    let colon = matches!(text.at(spaced), b':' | b'=') || text.is(spaced, "：".as_bytes());
    let greeting = GREETINGS.contains(&lower.as_str());
    let closing = CLOSINGS.contains(&lower.as_str());
    if closing {
        let after = if text.at(at) == b',' { at + 1 } else { at };
        let line = text.skip_spaces(after);
        let next = text.run(line, 4, |byte| matches!(byte, b'\n' | b'\r'));
        let (last, count) = words(text, next)?;
        let name = text.slice(next, last);
        return (next != line
            && (1..=3).contains(&count)
            && !is_thing(name)
            && matches!(text.at(last), b'\n' | b'\r' | 0))
        .then_some((next, last));
    }
    let weak = WEAK.contains(&lower.as_str());
    let mut from = if colon { text.skip_spaces(spaced + if text.at(spaced) == 0xEF { 3 } else { 1 }) } else { spaced };
    if colon && matches!(text.at(from), b'"' | b'\'') {
        from += 1;
    }
    if !colon {
        for word in ["is ", "ist ", "est ", "es ", "è ", "é ", "er ", "är "] {
            if text.is(from, word.as_bytes()) {
                from += word.len();
            }
        }
        if COLONED.contains(&lower.as_str()) && from == spaced {
            return None;
        }
    }
    let (last, count) = words(text, from)?;
    let least = if FIELDS.contains(&lower.as_str()) && colon { 1 } else { 2 };
    let begins = start == 0 || !matches!(text.before(start), b'.' | b'-') || colon;
    let greeted = greeting && matches!(text.at(last), b',' | b'!' | b'\n' | b':' | 0) || text.is(last, "，".as_bytes());
    let fits = if greeting {
        greeted && (1..=4).contains(&count)
    } else {
        (least..=4).contains(&count) && (!weak || colon || from != spaced)
    };
    let name = text.slice(from, last);
    let person = if weak { is_likely(name) } else { !is_thing(name) };
    (fits && person && begins && from != end && !text.is(last, b"@")).then_some((from, last))
}

/// Jane Doe wrote:
fn before(text: Text<'_>, start: usize) -> Option<(usize, usize)> {
    let end = text.run_back(start, 2, |byte| byte == b' ');
    let line = text.run_back(end, 60, |byte| {
        byte.is_ascii_alphabetic() || 0x80 <= byte || matches!(byte, b' ' | b'\'' | b'-' | b'.')
    });
    let head = text.slice(text.floor(line), end);
    let tail: Vec<&str> = head.split(' ').rev().take_while(|word| is_name(word)).take(3).collect();
    let len: usize = tail.iter().map(|word| word.len() + 1).sum::<usize>().checked_sub(1)?;
    (2 <= tail.len() && end != start).then_some((end - len, end))
}

/// Jane Doe <jane@…>, Jane Doe (jane@…)
fn beside_emails(scan: &mut Scan<'_>) {
    let text = scan.text;
    let emails: Vec<usize> =
        scan.found.iter().filter(|found| found.kind == Kind::Email).map(|found| found.start).collect();
    for email in emails {
        let open = matches!(text.before(email), b'<' | b'(');
        if open && text.before(email - 1) == b' ' {
            let end = email - 2 - usize::from(text.before(email - 2) == b'"');
            let line = text.run_back(end, 60, |byte| {
                byte.is_ascii_alphabetic() || 0x80 <= byte || matches!(byte, b' ' | b'\'' | b'-' | b'.')
            });
            let head = text.slice(text.floor(line), end);
            let tail: Vec<&str> = head.split(' ').rev().take_while(|word| is_name(word)).take(3).collect();
            let len: usize = tail.iter().map(|word| word.len() + 1).sum::<usize>().saturating_sub(1);
            if 2 <= tail.len() {
                scan.add(Kind::Person, end - len, end, Rank::Named);
            }
        }
    }
}

/// Where the capitalised words that begin at a place end, and how many they are.
pub(super) fn words(text: Text<'_>, start: usize) -> Option<(usize, usize)> {
    let (mut at, mut end, mut count) = (start, start, 0);
    for _ in 0..6 {
        let stop = text.run(at, 40, |byte| {
            byte.is_ascii_alphabetic() || matches!(byte, b'\'' | b'-') || 0xC3 <= byte || (0x80..0xC0).contains(&byte)
        });
        let word = text.slice(at, stop);
        let own = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s"));
        let word = own.unwrap_or(word).trim_end_matches(['\'', '-']);
        let stop = at + word.len();
        let initial = word.len() == 1 && text.at(stop) == b'.' && word.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_name(word) || (initial && count != 0) {
            count += usize::from(!initial);
            end = stop + usize::from(initial);
        } else if !(count != 0 && PARTICLES.contains(&word)) {
            break;
        }
        at = stop + usize::from(initial);
        let gap = text.space(at);
        if gap == 0 {
            break;
        }
        at += gap;
    }
    (count != 0 && !is_word(text.at(end)) && !text.is(end, b"/") && !text.is(end, b"(")).then_some((end, count))
}
