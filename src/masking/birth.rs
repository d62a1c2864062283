//! Dates of birth: dates beside a word that says that someone was born.

use super::{
    checks::is_date,
    kind::{Kind, Rank},
    number::{Joint, Number},
    scan::Scan,
    text::is_word,
    words::Tag,
};

/// How far before a date the word may stand.
const REACH: usize = 40;

/// Names of months, as they begin.
const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", // English
    "mär", "mae", "mai", "okt", "dez", // German
    "fév", "fev", "avr", "jui", "aoû", "aou", "déc", // French
    "ene", "abr", "ago", "dic", // Spanish
    "gen", "mag", "giu", "lug", "set", "ott", // Italian
    "out", // Portuguese
    "mrt", "maa", "mei", // Dutch
    "sty", "lut", "kwi", "maj", "cze", "lip", "sie", "wrz", "paź", "lis", "gru", // Polish
    "des", "tam", "hel", "huh", "tou", "kes", "hei", "elo", "syy", "lok", "jou", // Nordic
    "янв", "фев", "мар", "апр", "мая", "май", "июн", "июл", "авг", "сен", "окт", "ноя", "дек",
];

/// Whether a date is too short for any other kind of number: 5/6/84
pub(super) fn is_short(number: &Number<'_>) -> bool {
    matches!(number.digits.len(), 4 | 5)
        && number.groups.len() == 3
        && number.group_len(2) == 2
        && matches!(number.joint(), Joint::Slash | Joint::Dot | Joint::Dash)
}

/// Whether a column of that name holds dates of birth.
pub(super) fn is_header(name: &str) -> bool {
    matches!(
        name,
        "dob"
            | "d o b"
            | "date of birth"
            | "birth date"
            | "birthdate"
            | "birthday"
            | "born"
            | "geburtsdatum"
            | "geburtstag"
            | "geb"
            | "date de naissance"
            | "naissance"
            | "fecha de nacimiento"
            | "nacimiento"
            | "data di nascita"
            | "data de nascimento"
            | "geboortedatum"
            | "data urodzenia"
            | "födelsedatum"
            | "fødselsdato"
            | "syntymäaika"
            | "дата рождения"
            | "生年月日"
            | "出生日期"
    )
}

/// Whether a text is a date and nothing else: 1983-01-14, 04/21/1948, 25.06.1979.
pub(super) fn is_date_text(text: &str) -> bool {
    let mark = ['-', '/', '.'].into_iter().find(|mark| text.matches(*mark).count() == 2);
    let Some(mark) = mark else { return false };
    let parts: Vec<u64> = text.split(mark).map_while(|part| part.parse().ok()).collect();
    match *parts.as_slice() {
        [year @ 1880..=2099, month, day] => year != 0 && is_date(month, day),
        [a, b, year] => (year < 100 || (1880..=2099).contains(&year)) && (is_date(a, b) || is_date(b, a)),
        _ => false,
    }
}

/// `*12.05.1961`, `(* 12.05.1961`, `b. 12.05.1961`: the signs of genealogists.
fn starred(scan: &Scan<'_>, start: usize) -> bool {
    let head = scan.text.slice(scan.text.floor(start.saturating_sub(4)), start);
    let lone = |mark: &str| {
        head.strip_suffix(mark)
            .is_some_and(|rest| rest.bytes().last().is_none_or(|byte| !is_word(byte) && byte != b'*' && byte != b'.'))
    };
    lone("*") || head.ends_with("(* ") || lone("b. ")
}

fn said(scan: &Scan<'_>, start: usize, end: usize) -> bool {
    let birth = |tag: Tag| (tag == Tag::Birth).then_some(());
    let other = |tag: Tag| matches!(tag, Tag::Event | Tag::Version).then_some(());
    let clear = |distance: usize| {
        let between = scan.text.slice(start - distance, start);
        (!between.contains(['.', ';', '\n']) || distance < 8)
            && scan.words.before(start, distance, other).is_none_or(|((), nearer)| distance <= nearer)
    };
    let after = |distance: usize| !scan.text.slice(end, end + distance).contains(['.', ',', ';', '\n', '"', ':']);
    scan.words.before(start, REACH, birth).is_some_and(|((), distance)| clear(distance))
        || scan.words.after(end, 12, birth).is_some_and(|((), distance)| after(distance))
}

/// A date in digits: 1990-05-03, 03.05.1990, 5/3/90, 19900503.
pub(super) fn classify(scan: &Scan<'_>, number: &Number<'_>) -> Option<(Kind, Rank)> {
    let lens: Vec<usize> = number.groups.iter().map(|group| group.len).collect();
    let year = |value: u64| (1880..=2099).contains(&value);
    let either = |a: u64, b: u64| is_date(a, b) || is_date(b, a);
    let fits = match lens.as_slice() {
        [4, a @ (1 | 2), b @ (1 | 2)] => {
            year(number.value(0, 4)) && is_date(number.value(4, 4 + a), number.value(4 + a, 4 + a + b))
        }
        [a @ (1 | 2), b @ (1 | 2), c @ (2 | 4)] => {
            either(number.value(0, *a), number.value(*a, a + b)) && (*c == 2 || year(number.value(a + b, a + b + 4)))
        }
        [8] => {
            (year(number.value(0, 4)) && is_date(number.value(4, 6), number.value(6, 8)))
                || (year(number.value(4, 8)) && either(number.value(0, 2), number.value(2, 4)))
        }
        _ => false,
    };
    let joined =
        number.groups.len() == 1 || matches!(number.joint(), Joint::Dash | Joint::Dot | Joint::Slash | Joint::Space);
    let starred = || number.group_len(2) == 4 && starred(scan, number.start);
    (fits && joined && (said(scan, number.start, number.end) || starred())).then_some((Kind::DateOfBirth, Rank::Named))
}

/// Dates with words: 22 March 1963, March 9, 1994, 3 de mayo de 1990, 3. Mai 1990, 1990年5月3日, 12-Jan-1980.
pub(super) fn find_written(scan: &mut Scan<'_>) {
    let text = scan.text;
    let places: Vec<(usize, usize)> =
        scan.words.iter().filter(|hit| hit.tag == Tag::Birth).map(|hit| (hit.start, hit.end)).collect();
    let mut done = 0;
    for (i, &(start, end)) in places.iter().enumerate() {
        let from = end.max(done);
        // The nearer word speaks about a date.
        let next = places.get(i + 1).map_or(text.len(), |(next, _)| (*next).max(end));
        let limit = text.floor(end + REACH).min(next);
        let mut at = from;
        while at < limit {
            let begins = !is_word(text.before(at)) && (text.at(at).is_ascii_alphanumeric() || 0xC3 < text.at(at));
            if begins && let Some(last) = date_at(scan, at).filter(|last| said(scan, at, *last)) {
                scan.add(Kind::DateOfBirth, at, last, Rank::Named);
                done = last;
                break;
            }
            if matches!(text.at(at), b'\n' | b';') && 2 < at - end {
                break;
            }
            at = text.floor_next(at);
        }
        // 1990年5月3日生
        if done < from
            && 0x80 <= text.before(start)
            && let Some(first) = (6..24)
                .map(|back| start.saturating_sub(back))
                .rev()
                .find(|at| date_at(scan, text.floor(*at)) == Some(start))
        {
            scan.add(Kind::DateOfBirth, text.floor(first), start, Rank::Named);
            done = end;
        }
    }
}

/// Where a written date that begins at a place ends.
fn date_at(scan: &Scan<'_>, start: usize) -> Option<usize> {
    let text = scan.text;
    let number = |at: usize, most: usize| {
        let end = text.run(at, most + 1, |byte| byte.is_ascii_digit());
        (at < end && end - at <= most).then_some((text.slice(at, end).parse::<u64>().unwrap_or(0), end))
    };
    if let Some((value, end)) = number(start, 4) {
        if (1880..=2099).contains(&value) {
            return east_asian(scan, end);
        }
        if !(1..=31).contains(&value) {
            return None;
        }
        let at = skip(scan, end, &["st", "nd", "rd", "th", "er", "º", "ª", "."]);
        let at = skip(scan, at, &["of ", "de ", "d'", "-", "/", "di ", "av "]);
        let at = month(scan, at)?;
        let at = skip(scan, at, &[".", ",", "-", "/"]);
        let at = skip(scan, at, &["de ", "del ", "do "]);
        let (year, end) = number(at, 4)?;
        return ((1880..=2099).contains(&year) || (end - at == 2)).then_some(end);
    }
    let at = month(scan, start)?;
    let (day, end) = number(skip(scan, at, &["."]), 2)?;
    let at = skip(scan, end, &["st", "nd", "rd", "th"]);
    let (year, end) = number(skip(scan, at, &[","]), 4)?;
    ((1..=31).contains(&day) && (1880..=2099).contains(&year)).then_some(end)
}

/// 年5月3日, 년 5월 3일, behind the year.
fn east_asian(scan: &Scan<'_>, mut at: usize) -> Option<usize> {
    let text = scan.text;
    for (i, marks) in [["年", "년"], ["月", "월"], ["日", "일"]].into_iter().enumerate() {
        if i != 0 {
            at = text.skip_spaces(at);
            let end = text.run(at, 2, |byte| byte.is_ascii_digit());
            if end == at {
                return None;
            }
            at = end;
        }
        let mark = marks.into_iter().find(|mark| text.is(at, mark.as_bytes()))?;
        at += mark.len();
    }
    Some(at)
}

/// Behind spaces and at most one of these.
fn skip(scan: &Scan<'_>, at: usize, what: &[&str]) -> usize {
    let text = scan.text;
    let at = text.skip_spaces(at);
    let at = what.iter().find(|word| text.is_caseless(at, word.as_bytes())).map_or(at, |word| at + word.len());
    text.skip_spaces(at)
}

/// Behind the name of a month.
fn month(scan: &Scan<'_>, at: usize) -> Option<usize> {
    let text = scan.text;
    let first = text.at(at);
    if !first.is_ascii_alphabetic() && first < 0xC3 {
        return None;
    }
    let end = text.floor(text.run(at, 24, |byte| byte.is_ascii_alphabetic() || 0x80 <= byte));
    let name = text.slice(at, end);
    let mut head = ['\0'; 3];
    for (place, letter) in head.iter_mut().zip(name.chars()) {
        *place = letter.to_lowercase().next().unwrap_or(letter);
    }
    MONTHS.iter().any(|month| month.chars().eq(head)).then_some(end)
}
