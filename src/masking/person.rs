//! Names of people, by strong cues only: an honorific, a field or phrase that names come after, a greeting, an address.
//!
//! Aims at being right when it speaks; names in running text without a cue stay as they are.

use super::{
    kind::{Kind, Rank},
    scan::Scan,
    text::{Text, is_word},
    words::Tag,
};

/// Capitalised words that begin sentences, name things or places, but no person.
const NOT_NAMES: &[&str] = &[
    "the",
    "this",
    "that",
    "these",
    "those",
    "please",
    "all",
    "team",
    "everyone",
    "everybody",
    "sir",
    "madam",
    "customer",
    "customers",
    "support",
    "service",
    "hiring",
    "manager",
    "human",
    "resources",
    "sales",
    "friend",
    "friends",
    "colleague",
    "colleagues",
    "user",
    "users",
    "admin",
    "there",
    "folks",
    "valued",
    "mr",
    "mrs",
    "ms",
    "dr",
    "miss",
    "prof",
    "project",
    "report",
    "meeting",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "inc",
    "ltd",
    "llc",
    "gmbh",
    "corp",
    "company",
    "bank",
    "university",
    "street",
    "road",
    "avenue",
    "city",
    "united",
    "new",
    "north",
    "south",
    "east",
    "west",
    "san",
    "los",
    "microsoft",
    "google",
    "amazon",
    "apple",
    "openai",
    "chrome",
    "windows",
    "linux",
    "java",
    "python",
    "rust",
    "docker",
    "kubernetes",
    "azure",
    "github",
    "slack",
    "stripe",
    "what",
    "who",
    "when",
    "where",
    "why",
    "how",
    "can",
    "could",
    "would",
    "will",
    "is",
    "are",
    "do",
    "does",
    "did",
    "have",
    "has",
    "if",
    "in",
    "on",
    "at",
    "for",
    "from",
    "to",
    "my",
    "your",
    "our",
    "his",
    "her",
    "i",
    "we",
    "you",
    "he",
    "she",
    "it",
    "they",
    "not",
    "no",
    "yes",
    "thanks",
    "thank",
    "regards",
    "best",
    "hello",
    "hi",
    "dear",
    "re",
    "fwd",
    "subject",
    "damen",
    "herren",
    "frau",
    "herr",
    "señor",
    "señora",
    "monsieur",
    "madame",
    "client",
    "kunde",
    "true",
    "false",
    "null",
    "none",
    "unknown",
    "test",
    "name",
    "full",
    "first",
    "last",
    "ticket",
    "order",
    "invoice",
    "account",
    "phone",
    "email",
    "ship",
    "bill",
    "reply",
    "sent",
    "date",
    "id",
    "number",
    "type",
    "value",
    "data",
    "error",
    "info",
    "warning",
    "api",
    "json",
    "xml",
    "sql",
    "http",
    "internal",
    "external",
    "global",
    "local",
    "smart",
    "pro",
    "max",
    "ultra",
    "mini",
    "street",
    "pepper",
    "who",
];

/// Small words within names.
const PARTICLES: &[&str] = &[
    "de", "da", "do", "dos", "das", "del", "della", "di", "du", "la", "le", "van", "von", "der", "den", "ter", "ten",
    "bin", "al", "el", "zu", "af", "y", "e",
];

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
    (start != at && (1..=4).contains(&count) && (!short || 2 <= count)).then_some((start, last))
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

/// Words that open a letter.
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

/// Words that close a letter; the name stands on the next line.
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

/// Labels that say something else as often; they need a colon, or a verb behind them.
const WEAK: &[&str] = &[
    "name",
    "names",
    "nom",
    "nombre",
    "nome",
    "naam",
    "namn",
    "navn",
    "nimi",
    "имя",
    "from",
    "customer",
    "client",
    "cliente",
    "contact",
    "author",
    "patient",
    "best",
    "call with",
    "cc",
    "called",
    "named",
    "kunde",
    "titulaire",
    "attention",
    "employee",
];

/// A name behind a label.
fn labelled(text: Text<'_>, start: usize, end: usize, label: &str) -> Option<(usize, usize)> {
    let lower = label.to_lowercase().replace(['_', '-'], " ");
    let label = lower.as_str();
    if CLOSINGS.contains(&label) {
        return signed(text, end);
    }
    let quoted = matches!(text.at(end), b'"' | b'\'');
    let spaced = text.skip_spaces(end + usize::from(quoted));
    let wide = text.is(spaced, "：".as_bytes());
    let colon = wide || matches!(text.at(spaced), b':' | b'=');
    let from = if colon { behind_colon(text, spaced + if wide { 3 } else { 1 }) } else { behind_verb(text, spaced) };
    if WEAK.contains(&label) && !colon && from == spaced {
        return None;
    }
    // name: build-and-test, in YAML
    if label == "name" && colon && !quoted && text.at(start) == b'n' && matches!(text.before(start), b'\n' | b' ' | 0) {
        return None;
    }
    let (last, count) = words(text, from)?;
    let least = if FIELDS.contains(&label) && colon { 1 } else { 2 };
    let begins = start == 0 || !matches!(text.before(start), b'.' | b'-') || colon;
    let fits = if GREETINGS.contains(&label) {
        let closed = matches!(text.at(last), b',' | b'!' | b'\n' | b':' | 0) || text.is(last, "，".as_bytes());
        closed && (1..=4).contains(&count)
    } else {
        (least..=4).contains(&count)
    };
    (fits && begins && from != end && !text.is(last, b"@")).then_some((from, last))
}

/// A name alone on the line behind a closing.
fn signed(text: Text<'_>, end: usize) -> Option<(usize, usize)> {
    let line = text.skip_spaces(if text.at(end) == b',' { end + 1 } else { end });
    let next = text.run(line, 3, |byte| matches!(byte, b'\n' | b'\r'));
    let (last, count) = words(text, next)?;
    let alone = matches!(text.at(last), b'\n' | b'\r' | 0);
    (next != line && (1..=3).contains(&count) && alone).then_some((next, last))
}

fn behind_colon(text: Text<'_>, at: usize) -> usize {
    let from = text.skip_spaces(at);
    from + usize::from(matches!(text.at(from), b'"' | b'\''))
}

/// My name is …, mein Name ist …
fn behind_verb(text: Text<'_>, at: usize) -> usize {
    let verbs = ["is ", "ist ", "est ", "es ", "è ", "é ", "er ", "är "];
    verbs.iter().find(|verb| text.is(at, verb.as_bytes())).map_or(at, |verb| at + verb.len())
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
fn words(text: Text<'_>, start: usize) -> Option<(usize, usize)> {
    let (mut at, mut end, mut count) = (start, start, 0);
    for _ in 0..6 {
        let stop = text.run(at, 40, |byte| {
            byte.is_ascii_alphabetic() || matches!(byte, b'\'' | b'-') || 0xC3 <= byte || (0x80..0xC0).contains(&byte)
        });
        let word = text.slice(at, stop).trim_end_matches(['\'', '-']);
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

/// A capital and small letters, hyphens and apostrophes between; no word that is known to be none.
fn is_name(word: &str) -> bool {
    let mut letters = word.chars();
    let first = letters.next().is_some_and(char::is_uppercase);
    let rest = letters.clone().all(|letter| letter.is_alphabetic() || matches!(letter, '\'' | '-' | '’'));
    let small = letters.clone().filter(|letter| letter.is_lowercase()).count();
    let capitals = letters.filter(|letter| letter.is_uppercase()).count();
    first
        && rest
        && 1 <= small
        && capitals <= 1 + word.matches(['\'', '-']).count()
        && !NOT_NAMES.contains(&word.to_lowercase().as_str())
}
