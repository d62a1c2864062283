//! Cells under a header that names them: lines of comma, semicolon, tab or bar, tables of Markdown, rows of SQL.

use super::{
    birth,
    kind::{Kind, Rank},
    names::{is_name, is_thing},
    scan::Scan,
    secret_name::{self, Class},
    secret_value::{Setting, is_secret},
    text::Text,
    words::Tag,
};

/// The longest line that is read as a row, and the most cells of one.
const LINE_MAX: usize = 4096;
const CELLS_MAX: usize = 40;
/// The longest name of a column.
const HEADER_MAX: usize = 40;

/// What the cells of a column hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing,
    /// A whole name, or a part of one.
    Name,
    Birth,
    Secret(Class),
}

/// Headers above names of people.
const NAMES: &str = "|name|names|full name|fullname|first name|firstname|last name|lastname|surname|given name|family name|\
    customer|customer name|client name|employee|employee name|patient|patient name|contact|contact name|holder|card holder|\
    cardholder|cardholder name|account holder|owner|assignee|manager|member|student|teacher|doctor|passenger|guest|\
    beneficiary|payee|recipient|sender|author|vorname|nachname|kunde|kundenname|inhaber|kontoinhaber|mitarbeiter|nom|prénom|\
    prenom|nom complet|client|titulaire|nombre|apellido|apellidos|nombre completo|titular|cliente|nome|cognome|nome completo|\
    intestatario|naam|voornaam|achternaam|imię|nazwisko|imię i nazwisko|namn|förnamn|efternamn|navn|fornavn|etternavn|efternavn|\
    nimi|etunimi|sukunimi|имя|фамилия|фио|姓名|氏名|名前|이름|";

/// Looks for lines that name columns, at the words that such lines hold.
pub(super) fn find(scan: &mut Scan<'_>) {
    let places: Vec<usize> = scan
        .words
        .iter()
        .filter(|hit| matches!(hit.tag, Tag::NameLabel | Tag::Birth | Tag::Secret))
        .map(|hit| hit.start)
        .collect();
    let mut done = 0;
    for place in places {
        if done <= place {
            done = header(scan, place).max(place + 1);
        }
    }
}

/// The line around a place, as the names of columns, and the rows below it; where the reading may go on.
fn header(scan: &mut Scan<'_>, place: usize) -> usize {
    let text = scan.text;
    let start = text.run_back(place, LINE_MAX, |byte| byte != b'\n');
    let end = line_end(text, place);
    if let Some(last) = statement(scan, text.floor(start), end) {
        return last;
    }
    let line = text.slice(text.floor(start), end);
    for mark in ['|', '\t', ';', ','] {
        if !line.contains(mark) {
            continue;
        }
        let heads = cells(line, mark);
        let named = heads.iter().filter(|(from, to)| from < to).count();
        let fits = 2 <= named && heads.iter().all(|(from, to)| is_head(line.get(*from..*to).unwrap_or("")));
        if !fits {
            continue;
        }
        let held: Vec<Holds> = heads.iter().map(|(from, to)| holds(line.get(*from..*to).unwrap_or(""))).collect();
        if held.iter().all(|held| *held == Holds::Nothing) {
            continue;
        }
        return rows(scan, end, mark, &held);
    }
    end
}

/// The rows behind a line of headers, as long as they have as many cells; where they end.
fn rows(scan: &mut Scan<'_>, header_end: usize, mark: char, held: &[Holds]) -> usize {
    let text = scan.text;
    let mut at = header_end;
    while text.at(at) == b'\n' {
        let start = text.run(at, 2, |byte| byte == b'\n');
        let end = line_end(text, start);
        let line = text.slice(start, end);
        let row = cells(line, mark);
        if row.len() != held.len() {
            break;
        }
        for ((from, to), held) in row.into_iter().zip(held) {
            cell(scan, start + from, start + to, *held);
        }
        at = end;
    }
    at
}

/// `INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y')` and `COPY t (a, b) FROM stdin`, if the line is one.
fn statement(scan: &mut Scan<'_>, start: usize, end: usize) -> Option<usize> {
    let text = scan.text;
    let line = text.slice(start, end);
    let lower = line.to_ascii_lowercase();
    let verb = lower.find("insert into").or_else(|| lower.find("copy "))?;
    let open = verb + lower.get(verb..)?.find('(')?;
    let close = open + lower.get(open..)?.find(')')?;
    let names = cells(line.get(open + 1..close)?, ',');
    let held: Vec<Holds> =
        names.iter().map(|(from, to)| holds(line.get(open + 1 + from..open + 1 + to).unwrap_or(""))).collect();
    let rest = lower.get(close + 1..)?.trim_start();
    if rest.starts_with("from stdin") {
        return Some(rows(scan, end, '\t', &held));
    }
    let mut at = start + close + 1 + lower.get(close + 1..)?.find("values")? + 6;
    // Rows may stand on lines of their own.
    loop {
        at = text.run(at, 64, |byte| byte.is_ascii_whitespace() || byte == b',');
        if text.at(at) != b'(' {
            return Some(at.max(end));
        }
        let stop = tuple_end(text, at + 1);
        let tuple = text.slice(at + 1, stop);
        let row = cells(tuple, ',');
        if row.len() != held.len() {
            return Some(stop.max(end));
        }
        for ((from, to), held) in row.into_iter().zip(&held) {
            cell(scan, at + 1 + from, at + 1 + to, *held);
        }
        at = stop + 1;
    }
}

/// Where the bracket closes that opened before a place, quotes aside.
fn tuple_end(text: Text<'_>, start: usize) -> usize {
    let (bytes, mut quoted) = (text.bytes(start, start + LINE_MAX), false);
    let end = bytes.iter().position(|byte| {
        quoted ^= *byte == b'\'';
        !quoted && *byte == b')'
    });
    text.floor(start + end.unwrap_or(bytes.len()))
}

fn line_end(text: Text<'_>, start: usize) -> usize {
    let end = text.run(start, LINE_MAX, |byte| byte != b'\n');
    text.floor(end)
}

/// Where the cells of a line begin and end, without quotes and spaces around them.
fn cells(line: &str, mark: char) -> Vec<(usize, usize)> {
    let mut cells = Vec::new();
    let (mut from, mut quote) = (0, None);
    let frame = mark == '|' && line.trim_start().starts_with('|');
    let mut push = |from: usize, to: usize| {
        let whole = line.get(from..to).unwrap_or("");
        let inner = whole.trim_matches([' ', '"', '\'', '`', '\r']);
        let begin = from + (whole.len() - whole.trim_start_matches([' ', '"', '\'', '`', '\r']).len());
        cells.push((begin, begin + inner.len()));
    };
    for (at, letter) in line.char_indices() {
        match (letter, quote) {
            ('"' | '\'', None) if line.get(from..at).is_some_and(|head| head.trim().is_empty()) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (letter, None) if letter == mark => {
                push(from, at);
                from = at + letter.len_utf8();
            }
            _ => {}
        }
    }
    if frame {
        // | a | b |: nothing stands before the first bar and behind the last one.
        if line.get(from..).is_some_and(|rest| !rest.trim().is_empty()) {
            push(from, line.len());
        }
        cells.remove(0);
    } else {
        push(from, line.len());
    }
    if CELLS_MAX < cells.len() { Vec::new() } else { cells }
}

/// Whether a cell could name a column: few words, no digits first, no sentence.
fn is_head(cell: &str) -> bool {
    cell.len() <= HEADER_MAX
        && cell.chars().next().is_none_or(|letter| letter.is_alphabetic() || letter == '_' || letter == '#')
        && cell
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | ' ' | '.' | '/' | '#' | '(' | ')'))
        && cell.split(' ').count() <= 4
}

fn holds(head: &str) -> Holds {
    let lower = head.trim().to_lowercase().replace(['_', '-', '.'], " ");
    let bars = format!("|{lower}|");
    if lower.is_empty() {
        Holds::Nothing
    } else if NAMES.contains(&bars) {
        Holds::Name
    } else if birth::is_header(&lower) {
        Holds::Birth
    } else {
        match secret_name::class(head.trim()) {
            Some(Class::Weak) | None => Holds::Nothing,
            Some(class) => Holds::Secret(class),
        }
    }
}

/// A cell under a header that says what it holds.
fn cell(scan: &mut Scan<'_>, start: usize, end: usize, held: Holds) {
    let value = scan.text.slice(start, end);
    let found = match held {
        Holds::Nothing => None,
        Holds::Name => {
            let words = value.split(' ').count();
            let last = value.rsplit(' ').next().unwrap_or("");
            let fits = (1..=4).contains(&words)
                && value.split(' ').next().is_some_and(is_name)
                && (is_name(last) || words == 1)
                && !is_thing(value);
            fits.then_some((Kind::Person, Rank::Named))
        }
        Holds::Birth => birth::is_date_text(value).then_some((Kind::DateOfBirth, Rank::Named)),
        Holds::Secret(class) => is_secret(value, class, Setting::Bare).then_some((
            if matches!(class, Class::Password | Class::Phrase) { Kind::EnvSecret } else { Kind::GenericApiKey },
            Rank::Named,
        )),
    };
    if let Some((kind, rank)) = found {
        scan.add(kind, start, end, rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_cut_at_their_mark_and_lose_their_quotes() {
        let cut = |line: &str, mark| {
            cells(line, mark).into_iter().map(|(from, to)| line.get(from..to).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cut("a,\"b, c\",'d'", ','), ["a", "b, c", "d"]);
        assert_eq!(cut("| a | b |", '|'), ["a", "b"]);
        assert_eq!(cut("a\tb", '\t'), ["a", "b"]);
        assert_eq!(cut("O'Neil;b", ';'), ["O'Neil", "b"]);
    }

    #[test]
    fn headers_say_what_stands_below_them() {
        assert!(holds("First_Name") == Holds::Name);
        assert!(holds("Date of Birth") == Holds::Birth);
        assert!(holds("db_password") == Holds::Secret(Class::Password));
        assert!(holds("amount") == Holds::Nothing);
    }
}
