//! Listed names beside cues that are too weak for names that no list holds: any label with a colon, a word for a role,
//! a verb of people, a finding beside it, the name of a speaker, the next name of a row.

use super::{
    kind::{Finding, Kind, Rank},
    names::{is_given, is_listed},
    person::words,
    scan::Scan,
    text::{Text, is_word},
};

/// Labels behind which names are no people's.
const NOT_LABELS: &str = "|brand|company|firm|city|town|county|state|country|region|place|location|venue|street|address|\
    product|model|item|title|movie|film|series|show|book|novel|song|album|artist|band|game|character|hero|theme|store|\
    shop|hotel|restaurant|team|project|example|examples|note|see|class|type|vendor|publisher|school|university|station|msg|message|text|body|content|why|self|subject|summary|\
    description|info|warning|error|log|todo|topic|question|context|task|keyword|tag|category|label|this|driven|plan|";
/// Words that a person follows.
const LEADS: &str = "|ask|tell|contact|email|mail|message|remind|invite|notify|thank|hire|interview|phone|ping|text|meet|\
    call|fire|promote|congratulate|introduce|cc|bcc|patient|payee|payer|tenant|employee|customer|client|colleague|boss|\
    wife|husband|partner|son|daughter|brother|sister|mother|father|neighbour|neighbor|friend|landlord|lawyer|attorney|\
    witness|suspect|driver|doctor|nurse|teacher|engineer|developer|manager|director|analyst|accountant|assistant|ceo|\
    cto|cfo|president|chairman|candidate|applicant|student|passenger|guest|member|user|holder|titular|kollege|kollegin|\
    kunde|kundin|herr|frau|chef|monsieur|madame|collègue|jefe|empleado|paciente|collega|signed|named|called|am|i'm|";
/// Phrases that a person follows.
const PHRASES: &[&str] = &[
    "this is",
    "i am",
    "name is",
    "schreiben sie an",
    "letter to",
    "write to",
    "writing to",
    "email to",
    "message to",
    "cv of",
    "cv for",
    "resume of",
    "invoice for",
    "table for",
    "appointment with",
    "appointment for",
    "meeting with",
    "call with",
    "spoke with",
    "spoke to",
    "talk to",
    "talked to",
    "speak with",
    "chat with",
    "belongs to",
    "assigned to",
    "reports to",
    "care of",
    "signed by",
    "approved by",
    "written by",
    "reported by",
    "sent by",
    "owned by",
    "paid by",
    "drafted by",
    "reviewed by",
    "prepared by",
    "introduce me to",
    "incident with",
    "guten tag",
    "parcel to",
    "package to",
    "delivered to",
    "shipped to",
    "addressed to",
    "message for",
    "gift for",
    "bonjour",
    "courrier à",
    "carta a",
    "lettera a",
    "book for",
    "access for",
    "account for",
    "account of",
    "birthday of",
    "salary of",
    "record of",
    "records of",
    "file of",
    "profile of",
    "passport of",
    "daughter of",
    "son of",
];
/// Words of a deed or a state of people, right behind their name.
const DEEDS: &str = "|lives|lived|works|worked|said|says|wrote|writes|asked|asks|called|calls|signed|approved|reported|\
    confirmed|joined|resigned|died|retired|earns|owes|paid|told|sent|needs|wants|agreed|requested|applied|complained|saw|\
    moved|married|was|were|has|had|will|hat|wohnt|arbeitet|schrieb|möchte|habite|travaille|écrit|vive|trabaja|escribió|no|\
    ha|abita|lavora|woont|werkt|mieszka|pracuje|bor|asuu|still|";
/// Given names that are words, too.
const WORDS: &str = "|dawn|drew|faith|gene|ginger|grace|miles|ruby|summer|florence|dale|joy|hope|ivy|rose|lily|amber|crystal|\
    melody|destiny|trinity|olive|penny|marina|jade|pearl|hunter|chase|dash|";
/// Offices behind a name and a comma.
const OFFICES: &str = "|ceo|cto|cfo|coo|cio|president|director|manager|engineer|founder|head|vp|md|phd|esq|attorney|partner|\
    chairman|secretary|treasurer|born|aged|age|geboren|née|né|";
/// How far a finding may stand from the name beside it.
const NEAR: usize = 20;

/// Looks at every listed given name and at what follows it.
pub(super) fn find(scan: &mut Scan<'_>) {
    let text = scan.text;
    let mut beside: Vec<Finding> = scan.found.clone();
    beside.sort_unstable_by_key(|found| found.start);
    let (mut at, mut last, mut next) = (0, usize::MAX, 0);
    while at < text.len() {
        let byte = text.at(at);
        let letter = byte.is_ascii_uppercase() || 0xC3 <= byte;
        if !letter || is_word(text.before(at)) || 0x80 <= text.before(at) {
            at += 1;
            continue;
        }
        let stop = text.run(at, 40, |byte| byte.is_ascii_alphabetic() || byte == b'-' || 0x80 <= byte);
        let begin = at;
        at = stop.max(at + 1);
        if !is_given(text.slice(begin, stop)) {
            continue;
        }
        while beside.get(next).is_some_and(|found| found.end <= begin) {
            next += 1;
        }
        let Some((end, count)) = words(text, begin) else { continue };
        let name = text.slice(begin, end);
        let mut known = beside.iter().skip(next.saturating_sub(1)).take(3);
        let taken = known.any(|found| found.start < end && begin < found.end);
        if !(2..=4).contains(&count) || !is_listed(name) {
            continue;
        }
        let near = [next.checked_sub(1), Some(next)]
            .into_iter()
            .flatten()
            .filter_map(|index| beside.get(index))
            .any(|found| is_beside(text, found, begin, end));
        let row = last <= begin
            && matches!(text.slice(last, begin), ", " | " and " | " und " | " et " | " y " | " e " | " or " | ", and ");
        if taken || near || row || led(text, begin) || followed(text, begin, end, true) {
            if !taken {
                scan.add(Kind::Person, begin, end, Rank::Named);
            }
            last = end;
        }
        at = end;
    }
}

/// Whether a finding stands beside a name with nothing but signs and a label between them.
fn is_beside(text: Text<'_>, found: &Finding, start: usize, end: usize) -> bool {
    let own = matches!(
        found.kind,
        Kind::Iban
            | Kind::SsnUs
            | Kind::SinCa
            | Kind::CreditCard
            | Kind::NationalId
            | Kind::DateOfBirth
            | Kind::Phone
            | Kind::Email
    );
    let (from, to) = if end <= found.start { (end, found.start) } else { (found.end, start) };
    if !own || to < from || NEAR < to - from {
        return false;
    }
    let between = text.slice(from, to);
    let signs = between.contains([',', '(', ';', '|', '\t', ':', '/', '<', '"', '\'', '-', '—']);
    signs && !between.contains(['\n', '.', '!', '?']) && 2 <= between.len() || matches!(between, ";" | "," | "\t" | "|")
}

/// Whether what stands before a name introduces a person.
fn led(text: Text<'_>, start: usize) -> bool {
    let line = text.run_back(start, 60, |byte| byte != b'\n');
    let head = text.slice(text.floor(line), start);
    let quoted = matches!(text.before(start), b'\'' | b'"') && head.len() < 60;
    if quoted && head.to_ascii_lowercase().contains("values (") {
        return true;
    }
    let head = head.trim_end_matches([' ', '\t', '"', '\'', '(', '<', '\u{a0}']);
    if let Some(label) = head.strip_suffix([':', '=', '：']) {
        let label = label.trim_end_matches([' ', '"', '\'']);
        let word = label.rsplit(|letter: char| !letter.is_alphanumeric()).next().unwrap_or("");
        return !word.is_empty() && label.ends_with(word) && !listed(NOT_LABELS, word);
    }
    if matches!(head, "—" | "–" | "--") {
        return true;
    }
    let lower = head.trim_end_matches(',').to_lowercase();
    let word = lower.rsplit(|letter: char| !(letter.is_alphanumeric() || letter == '\'')).next().unwrap_or("");
    let whole =
        |phrase: &&&str| lower.strip_suffix(**phrase).is_some_and(|rest| !rest.ends_with(char::is_alphanumeric));
    listed(LEADS, word) || PHRASES.iter().any(|phrase| whole(&phrase))
}

/// Whether what stands behind a name says that it was a person's.
fn followed(text: Text<'_>, start: usize, end: usize, row: bool) -> bool {
    let word_at = |at: usize| {
        let stop = text.run(at, 16, |byte| byte.is_ascii_alphabetic() || 0x80 <= byte);
        text.slice(at, text.floor(stop))
    };
    let begins = matches!(text.before(start), 0 | b'\n');
    let word = listed(WORDS, word_at(start));
    match text.at(end) {
        b' ' => {
            let deed = word_at(end + 1);
            let second = word_at(end + 2 + deed.len());
            match deed {
                "and" if row => words(text, end + 5).is_some_and(|(last, _)| {
                    is_listed(text.slice(end + 5, last)) && followed(text, end + 5, last, false)
                }),
                "a" => second.ends_with('é') || second.ends_with("ée"),
                "no" => matches!(second, "ha" | "quiere" | "puede" | "vive"),
                deed => !word && listed(DEEDS, deed),
            }
        }
        b',' if text.at(end + 1) == b' ' => listed(OFFICES, &word_at(end + 2).to_lowercase()),
        b':' => begins && !word && text.at(end + 1) == b' ' && !text.at(end + 2).is_ascii_digit(),
        b'\'' | 0xE2 => {
            (text.is(end, b"'s ") || text.is(end, "’s ".as_bytes()))
                && is_own(word_at(text.run(end, 5, |b| b != b' ') + 1))
        }
        _ => false,
    }
}

/// What people have, and brands have not.
fn is_own(word: &str) -> bool {
    listed(
        "|laptop|phone|number|email|address|password|account|salary|birthday|passport|ssn|iban|card|file|record|desk|calendar|inbox|manager|contract|mother|wife|husband|subscription|order|\
         orders|invoice|application|request|flight|booking|appointment|profile|bank|home|medical|credit|personal|",
        word,
    )
}

fn listed(list: &str, word: &str) -> bool {
    if word.is_empty() {
        return false;
    }
    let lower = word.to_lowercase();
    list.match_indices(lower.as_str()).any(|(at, _)| {
        let bytes = list.as_bytes();
        at.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'|') && bytes.get(at + lower.len()) == Some(&b'|')
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Detector, Kind};

    fn names(text: &str) -> Vec<String> {
        let found = Detector::new().unwrap().find(text);
        found
            .iter()
            .filter(|it| it.kind == Kind::Person)
            .map(|it| text.get(it.start..it.end).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn listed_names_are_found_beside_weak_cues() {
        for text in [
            "Owner: Emma Fletcher",
            "Please ask Emma Fletcher about it.",
            "This is Emma Fletcher from sales.",
            "Emma Fletcher has resigned.",
            "Emma Fletcher, CEO",
            "Emma Fletcher (SSN 536-22-8471)",
            "Titular DE89370400440532013000, Emma Fletcher",
            "Emma Fletcher's phone is dead.",
            "INSERT INTO staff VALUES (7, 'Emma Fletcher', 'HR');",
        ] {
            assert_eq!(names(text), ["Emma Fletcher"], "{text}");
        }
        assert_eq!(
            names("Ask Emma Fletcher, Tom Becker and Linda Ross."),
            ["Emma Fletcher", "Tom Becker", "Linda Ross"]
        );
    }

    #[test]
    fn without_a_cue_and_behind_labels_of_things_nothing_is_a_name() {
        for text in [
            "A walk through Emma Fletcher street art",
            "Brand: Calvin Klein",
            "Customer: Acme Corporation",
            "Miles Driven: 1200",
            "name: Premium Plan",
            "From: Accounting Department",
            "Movie: Emma Fletcher",
        ] {
            assert!(names(text).is_empty(), "{text}");
        }
    }
}
