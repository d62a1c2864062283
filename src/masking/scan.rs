//! One pass over a text: where something could begin, the family that knows it is asked.

use super::{
    address, argument, assign, birth, column,
    context::Hits,
    digits, email, iban,
    kind::{Finding, Kind, Rank},
    lettered,
    number::{Cluster, Number},
    person, sealed, telephone,
    text::{Text, is_word},
    token, url, wallet,
    words::Tag,
};

/// How far before a number the word may stand that names it.
const REACH_BEFORE: usize = 48;
/// The most groups that a number is written in.
const NUMBER_GROUPS_MAX: usize = 7;
/// How far after it.
const REACH_AFTER: usize = 18;

/// A text that is being searched, the telling words in it, and what was found so far.
pub(super) struct Scan<'a> {
    pub(super) text: Text<'a>,
    pub(super) words: Hits,
    pub(super) found: Vec<Finding>,
}

impl Scan<'_> {
    pub(super) fn add(&mut self, kind: Kind, start: usize, end: usize, rank: Rank) {
        self.found.push(Finding { kind, start, end, rank });
    }

    /// Whether the nearest telling word beside a span is one of the wanted ones.
    ///
    /// A word that names another kind of number, and stands nearer, takes the span away.
    pub(super) fn says(&self, start: usize, end: usize, wanted: impl Fn(Tag) -> bool) -> bool {
        let ask = |tag: Tag| (wanted(tag) || names_a_number(tag)).then(|| wanted(tag));
        let yes = |tag: Tag| wanted(tag).then_some(());
        let near = self.words.before(start, REACH_BEFORE, yes).map(|((), distance)| distance);
        let near = near.filter(|distance| still_speaks(self.text.slice(start - distance, start)));
        let nearest = self.words.before(start, REACH_BEFORE, ask).map(|(_, distance)| distance);
        match (near, nearest) {
            (Some(near), Some(nearest)) => near <= nearest,
            (Some(_), None) => true,
            (None, Some(other)) if other <= 12 => false,
            (None, _) => self.words.after(end, REACH_AFTER, yes).is_some(),
        }
    }

    /// Whether a word with that tag stands right before a place, with nothing but signs between.
    pub(super) fn labelled(&self, start: usize, tag: Tag) -> bool {
        let near = self.words.before(start, 24, |found| (found == tag).then_some(()));
        near.is_some_and(|((), distance)| {
            let between = self.text.slice(start - distance, start);
            between.split(|letter: char| !letter.is_alphabetic()).all(|word| word.is_empty() || COPULAS.contains(&word))
                && !between.contains(|letter: char| letter.is_ascii_digit())
        })
    }

    /// Whether a word right beside a span says that it counts or orders something, and is no one's number.
    pub(super) fn denies(&self, start: usize, end: usize) -> bool {
        let count = |tag: Tag| (tag == Tag::Count).then_some(());
        let same_line = |distance: usize| !self.text.slice(start - distance, start).contains('\n');
        let named = |tag: Tag| (names_a_number(tag) && tag != Tag::Count).then_some(());
        let money = matches!(self.text.before(start), b'$' | b'#' | b'%' | b'*')
            || self.text.is(start.saturating_sub(3), "€".as_bytes())
            || self.text.is(start.saturating_sub(2), "£".as_bytes());
        let before = self.words.before(start, 14, count).is_some_and(|((), distance)| {
            same_line(distance) && self.words.before(start, 14, named).is_none_or(|((), nearer)| distance < nearer)
        });
        let unit = self.words.after(end, 2, count).is_some_and(|_| self.text.at(end) != b',');
        money || before || unit
    }
}

/// Whether a word still speaks about a number when this stands between them: no other number, or a list of such.
fn still_speaks(between: &str) -> bool {
    let digits = between.bytes().filter(u8::is_ascii_digit).count();
    if digits < 6 {
        return true;
    }
    let tail = between.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let joint = between.split_at_checked(tail.len()).map_or("", |(_, joint)| joint);
    let words = [
        "or", "and", "oder", "und", "ou", "et", "o", "y", "e", "of", "en", "lub", "i", "og", "eller", "och", "или",
        "и", "tai", "ja",
    ];
    !joint.contains([':', '=', '"'])
        && joint.split(|letter: char| !letter.is_alphabetic()).all(|word| word.is_empty() || words.contains(&word))
}

/// Words that join a label with its number.
const COPULAS: &[&str] = &[
    "is", "was", "no", "No", "nr", "Nr", "num", "number", "id", "ist", "lautet", "est", "es", "é", "è", "to", "er",
    "är", "on", "the", "card", "code", "my", "of", "numero", "número", "número", "numer", "nummer", "jest", "は", "是",
];

/// Words that claim the number beside them.
fn names_a_number(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::Phone
            | Tag::Card
            | Tag::Ssn
            | Tag::Sin
            | Tag::Birth
            | Tag::Count
            | Tag::National(_)
            | Tag::Passport
            | Tag::Iban
    )
}

/// Searches a text.
pub(super) fn run(text: Text<'_>, words: Hits) -> Vec<Finding> {
    let mut scan = Scan { text, words, found: Vec::new() };
    by_words(&mut scan);
    by_bytes(&mut scan);
    birth::find_written(&mut scan);
    column::find(&mut scan);
    person::find(&mut scan);
    scan.found
}

/// What telling words lead to: tokens, keys, passwords.
fn by_words(scan: &mut Scan<'_>) {
    let leads: Vec<_> = scan
        .words
        .iter()
        .filter(|hit| {
            matches!(
                hit.tag,
                Tag::Prefix(_)
                    | Tag::Pem
                    | Tag::Jwt
                    | Tag::Scheme
                    | Tag::Basic
                    | Tag::Secret
                    | Tag::Argument
                    | Tag::Passport
            )
        })
        .collect();
    let mut sealed = sealed::Sealed::default();
    let mut assigned = assign::Assigned::default();
    for hit in leads {
        match hit.tag {
            Tag::Prefix(index) => token::find(scan, hit, index),
            Tag::Pem => sealed.find_pem(scan, hit),
            Tag::Jwt => sealed::find_jwt(scan, hit),
            Tag::Scheme => url::find(scan, hit),
            Tag::Basic => sealed.find_basic(scan, hit),
            Tag::Argument => argument::find(scan, hit),
            Tag::Secret => assigned.find(scan, hit),
            _ => lettered::find_passport(scan, hit),
        }
    }
    token::find_unprefixed(scan);
}

/// What bytes lead to: addresses, numbers, codes.
fn by_bytes(scan: &mut Scan<'_>) {
    let text = scan.text;
    let (mut at, mut numbers_done, mut colons_done) = (0, 0, 0);
    while at < text.len() {
        let byte = text.at(at);
        match byte {
            b'@' => email::find(scan, at),
            b'%' if text.is(at, b"%40") => email::find_encoded(scan, at),
            b':' if colons_done <= at && text.at(at + 1) == b':' && !is_word(text.before(at)) => {
                colons_done = address::find_colons(scan, at);
            }
            _ if byte.is_ascii_alphanumeric() => {
                let end = text.run(at, usize::MAX - at, is_word);
                if byte.is_ascii_digit() && numbers_done <= at {
                    numbers_done = numbers(scan, at);
                }
                if colons_done <= at && byte.is_ascii_hexdigit() && end - at <= 4 {
                    colons_done = address::find(scan, at, end).max(colons_done);
                }
                word(scan, at, end);
                at = end;
                continue;
            }
            0xEF | 0xD9 | 0xDB | 0xE0 if numbers_done <= at && text.digit(at).is_some() => {
                numbers_done = numbers(scan, at);
            }
            _ => {}
        }
        at += 1;
    }
}

/// A run of letters and digits that could be, or begin, a code.
fn word(scan: &mut Scan<'_>, start: usize, end: usize) {
    if is_word(scan.text.before(start)) {
        return;
    }
    iban::find(scan, start, end);
    if end - start == 12 {
        address::find_bare_mac(scan, start, end);
    }
    lettered::find(scan, start, end);
    if 25 <= end - start {
        wallet::find(scan, start, end);
    }
}

/// The digits that begin at a place, as one number or several; where the reading may go on.
fn numbers(scan: &mut Scan<'_>, place: usize) -> usize {
    let text = scan.text;
    let cluster = Cluster::read(text, place);
    let count = cluster.len();
    if count == 0 {
        // A run of digits beyond every bound is no number of anyone.
        return cluster.run_end.max(place + 1);
    }
    let mut taken = address::find_dotted(scan, &cluster);
    for first in 0..count {
        if first < taken || !cluster.may_begin(first) {
            continue;
        }
        for last in (first..count.min(first + NUMBER_GROUPS_MAX)).rev() {
            if !cluster.may_end(last) {
                continue;
            }
            let number = cluster.number(first, last);
            if number.digits.len() < 6 && !birth::is_short(&number) {
                break;
            }
            if bounded(text, &number)
                && !(cluster.continues(first, last) && number.groups.len() < count)
                && let Some((kind, rank)) =
                    digits::classify(scan, &number).or_else(|| telephone::classify(scan, &number))
            {
                let end = if kind == Kind::Phone { telephone::extended(text, number.end) } else { number.end };
                scan.add(kind, number.start, end, rank);
                taken = last + 1;
                break;
            }
        }
    }
    if cluster.cut {
        cluster.start_of(count / 2 + 1).max(cluster.start_of(taken)).max(place + 1)
    } else {
        cluster.end()
    }
}

/// Whether a number stands alone: no letters, no longer code around it.
fn bounded(text: Text<'_>, number: &Number<'_>) -> bool {
    let (start, end, plus) = (number.start, number.end, number.plus);
    let (before, earlier) = (text.before(start), text.before(start.saturating_sub(1)));
    let left = match before {
        b'-' | b'.' | b'/' | b'\\' => !is_word(earlier) && earlier != before,
        b':' => !earlier.is_ascii_digit(),
        b'+' | b'@' | b'~' | b'^' => false,
        _ => !is_word(before),
    };
    let (after, later) = (text.at(end), text.at(end + 1));
    let right = match after {
        b'-' if plus => !later.is_ascii_digit(),
        b'-' | b'/' | b'_' => !is_word(later),
        b',' if number.is_no_amount() => true,
        b'.' => !later.is_ascii_alphanumeric(),
        b',' | b':' => !later.is_ascii_digit(),
        b'x' | b'e' => start + 7 <= end && super::telephone::extended(text, end) != end,
        b'@' | b'%' | b'+' | b'*' | b'=' | b'^' => false,
        // 1961-05-12T00:00:00Z
        b'T' => later.is_ascii_digit() && number.shape(&[4, 2, 2]),
        _ => !is_word(after),
    };
    left && right
}
