//! Numbers made of digits alone: payment cards, US and Canadian numbers, national numbers, dates of birth.

use super::{
    birth, checks,
    kind::{Kind, Rank},
    national,
    number::{Joint, Number},
    scan::Scan,
    words::Tag,
};

/// What a number is, unless it is a telephone number or nothing.
pub(super) fn classify(scan: &Scan<'_>, number: &Number<'_>) -> Option<(Kind, Rank)> {
    if number.plus {
        return None;
    }
    card(scan, number)
        .or_else(|| ssn(scan, number))
        .or_else(|| sin(scan, number))
        .or_else(|| national::digits(scan, number))
        .or_else(|| birth::classify(scan, number))
}

/// Lengths that issuers use, by the first digits of the number (ISO/IEC 7812, the schemes' public ranges).
fn issued(digits: &[u8]) -> bool {
    let (two, three, four, six) = (prefix(digits, 2), prefix(digits, 3), prefix(digits, 4), prefix(digits, 6));
    match digits.len() {
        13 => digits.first() == Some(&4),
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37) || matches!(four, 2014 | 2149) || matches!(four, 1800 | 2131),
        16 => {
            digits.first() == Some(&4)
                || matches!(two, 51..=55 | 62 | 65)
                || matches!(four, 2221..=2720 | 3528..=3589 | 6011 | 2200..=2204 | 6759 | 6761..=6763 | 9792)
                || matches!(three, 300..=305 | 644..=649 | 508)
                || matches!(two, 36 | 38 | 39 | 60 | 81 | 82)
                || matches!(
                    six,
                    636_368 | 438_935 | 504_175 | 451_416 | 636_297 | 606_282 | 637_095 | 500_000..=509_999
                )
        }
        17 | 18 => matches!(two, 62) || matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763),
        19 => {
            matches!(two, 62)
                || digits.first() == Some(&4)
                || matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763 | 6011)
        }
        12 => matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763),
        _ => false,
    }
}

fn prefix(digits: &[u8], len: usize) -> u64 {
    super::number::value(digits.get(..len).unwrap_or(&[]))
}

fn card(scan: &Scan<'_>, number: &Number<'_>) -> Option<(Kind, Rank)> {
    if !(12..=19).contains(&number.digits.len()) || !checks::luhn(number.digits) {
        return None;
    }
    let said = scan.says(number.start, number.end, |tag| tag == Tag::Card);
    // Beside its name a card may be of an issuer that no list has.
    let card_like = said && matches!(number.digit(0), 3..=6);
    if !issued(number.digits) && !card_like {
        return None;
    }
    let printed = number.shape(&[4, 4, 4, 4])
        || number.shape(&[4, 6, 5])
        || number.shape(&[4, 6, 4])
        || number.shape(&[4, 4, 4, 4, 3])
        || number.shape(&[6, 13])
        || number.shape(&[4, 4, 4, 4, 2]);
    let even = !matches!(number.joint(), Joint::Loose | Joint::Slash);
    let denied = scan.denies(number.start, number.end);
    let common = matches!(number.digits.len(), 14..=16 | 19);
    let accepted = said || (printed && even) || (number.is_bare() && common && !denied);
    accepted.then_some((Kind::CreditCard, Rank::Proved))
}

/// Words that name a number of another kind.
fn another(tag: Tag) -> bool {
    matches!(tag, Tag::Phone | Tag::Card | Tag::National(_) | Tag::Passport)
}

/// A US social security number: areas, groups and serials that were issued, as written or beside its name.
fn ssn(scan: &Scan<'_>, number: &Number<'_>) -> Option<(Kind, Rank)> {
    if number.digits.len() != 9 {
        return None;
    }
    let (area, group, serial) = (number.value(0, 3), number.value(3, 5), number.value(5, 9));
    let same = number.digits.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
    if matches!(area, 0 | 666 | 900..) || group == 0 || serial == 0 || same {
        return None;
    }
    let written = number.shape(&[3, 2, 4]);
    if written && number.joint() == Joint::Dash && !scan.denies(number.start, number.end) {
        return Some((Kind::SsnUs, Rank::Shaped));
    }
    let said = scan.says(number.start, number.end, |tag| tag == Tag::Ssn);
    let spaced = written && number.joint() == Joint::Space && !scan.denies(number.start, number.end);
    let loose = written || number.is_bare() || number.shape(&[3, 3, 3]);
    if said && loose {
        return Some((Kind::SsnUs, Rank::Named));
    }
    (spaced && !scan.says(number.start, number.end, another)).then_some((Kind::SsnUs, Rank::Shaped))
}

/// A Canadian social insurance number: Luhn's check, a province, and its name beside it unless written with dashes.
fn sin(scan: &Scan<'_>, number: &Number<'_>) -> Option<(Kind, Rank)> {
    let first = number.digit(0);
    if number.digits.len() != 9 || !checks::luhn(number.digits) || matches!(first, 0 | 8) {
        return None;
    }
    if scan.says(number.start, number.end, |tag| tag == Tag::Sin) {
        return Some((Kind::SinCa, Rank::Proved));
    }
    (number.shape(&[3, 3, 3])
        && number.joint() == Joint::Dash
        && !scan.denies(number.start, number.end)
        && !scan.says(number.start, number.end, another))
    .then_some((Kind::SinCa, Rank::Shaped))
}
