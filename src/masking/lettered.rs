//! National numbers with letters, and passport numbers beside their name.

use super::{
    checks::{is_date, weighted},
    context::Hit,
    kind::{Kind, Rank},
    national::{china_body, china_sum},
    number::value,
    scan::Scan,
    text::is_word,
    words::{Nation, Tag},
};

/// Looks at a run of letters and digits, and at what may go on behind it.
pub(super) fn find(scan: &mut Scan<'_>, start: usize, end: usize) {
    if 18 < end - start {
        return;
    }
    let text = scan.text;
    let Some((code, code_end)) = code(scan, start, end) else { return };
    let code = code.get(..).unwrap_or(&[]);
    let upper: Vec<u8> = code.to_ascii_uppercase();
    let temporary = || nino_form(&upper) && scan.labelled(start, Tag::National(Nation::UkNino));
    let Some((nation, alone)) = known(&upper).or_else(|| temporary().then_some((Nation::UkNino, false))) else {
        return;
    };
    let joined = |byte: u8, other: u8| matches!(byte, b'-' | b'.' | b'/' | b'@') && is_word(other);
    if joined(text.before(start), text.before(start.saturating_sub(1)))
        || joined(text.at(code_end), text.at(code_end + 1))
    {
        return;
    }
    let named = scan.says(start, code_end, |tag| {
        matches!(tag, Tag::National(said) if said == nation || said == Nation::Any) || tag == Tag::Passport
    });
    let cased = !code.iter().any(u8::is_ascii_lowercase);
    // Without its dots a Chilean number is a number with a dash like many.
    let alone = alone && !(nation == Nation::Chile && code_end - start == code.len());
    if named || (alone && cased && !scan.denies(start, code_end)) {
        scan.add(Kind::NationalId, start, code_end, Rank::Proved);
    }
}

/// The letters and digits of a code that may be written in groups, and where it ends.
fn code(scan: &Scan<'_>, start: usize, end: usize) -> Option<(Vec<u8>, usize)> {
    let text = scan.text;
    let first = text.bytes(start, end);
    let letters = first.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let numbers = first.iter().filter(|byte| byte.is_ascii_digit()).count();
    let short = first.len();
    if letters + numbers != short {
        return None;
    }
    // Codes that stand in one piece.
    if 8 < short || (7 < short && letters != 0 && numbers != 0) {
        if letters != 0 && numbers != 0 {
            let check_follows = short == 9 && text.at(end) == b'(';
            return (!check_follows).then(|| (first.to_vec(), end));
        }
        // 12345678-Z, 131052-308T: a dash before the letters of the check.
        return (numbers == short).then(|| joined(scan, start, end)).flatten();
    }
    match (letters, numbers) {
        // NINO in groups: AB 12 34 56 C
        (2, 0) if text.space(end) != 0 => groups(scan, start, &[2, 2, 2, 2, 1], 9)
            .or_else(|| groups(scan, start, &[2, 6, 1], 9))
            .or_else(|| groups(scan, start, &[2, 7], 9)),
        (2, 2) => groups(scan, start, &[4, 2, 2, 1], 9),
        // A123456(7): Hong Kong
        (1 | 2, 6) if text.at(end) == b'(' && text.at(end + 2) == b')' && text.at(end + 1).is_ascii_alphanumeric() => {
            let mut code = first.to_vec();
            code.push(b'(');
            code.push(text.at(end + 1));
            Some((code, end + 3))
        }
        // X-1234567-L
        (1, 0) if text.at(end) == b'-' => groups(scan, start, &[1, 7, 1], 9),
        (0, 6..=8) => joined(scan, start, end),
        // 12.345.678-5
        (0, 1 | 2) if text.at(end) == b'.' => rut(scan, start),
        // RSS MRA 85T10 A562S
        (3, 0) if text.space(end) != 0 => groups(scan, start, &[3, 3, 5, 5], 16),
        (1, 7) | (7, 1) => Some((first.to_vec(), end)),
        _ => None,
    }
}

/// Digits, a dash (or the sign of a century), and what follows in one run.
fn joined(scan: &Scan<'_>, start: usize, end: usize) -> Option<(Vec<u8>, usize)> {
    let text = scan.text;
    let (b'-' | b'+' | b' ') = text.at(end) else { return None };
    let mark = text.at(end);
    let last = text.run(end + 1, 5, |byte| byte.is_ascii_alphanumeric());
    let tail = text.bytes(end + 1, last);
    let fits = match end - start {
        6 => tail.len() == 4 && tail.last().is_some_and(u8::is_ascii_alphabetic) && mark != b' ',
        7 => tail.len() == 1 && tail.first().is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b'k' | b'K')),
        8 => tail.len() == 1,
        _ => false,
    };
    (fits && !is_word(text.at(last))).then(|| {
        let mut code = text.bytes(start, end).to_vec();
        let spanish = MOD_23.get(usize_of(&code, 0, 8) % 23) == tail.first();
        if end - start != 8 || !spanish {
            code.push(mark);
        }
        code.extend_from_slice(tail);
        (code, last)
    })
}

/// A Chilean number with its dots: 12.345.678-K
fn rut(scan: &Scan<'_>, start: usize) -> Option<(Vec<u8>, usize)> {
    let text = scan.text;
    let mut code = Vec::with_capacity(10);
    let mut at = start;
    for (i, max) in [2, 3, 3].into_iter().enumerate() {
        let end = text.run(at, max, |byte| byte.is_ascii_digit());
        code.extend_from_slice(text.bytes(at, end));
        let mark = if i == 2 { b'-' } else { b'.' };
        if end == at || text.at(end) != mark || (i != 0 && end - at != 3) {
            return None;
        }
        at = end + 1;
    }
    let check = text.at(at);
    (check.is_ascii_digit() || matches!(check, b'k' | b'K')).then_some(())?;
    if is_word(text.at(at + 1)) {
        return None;
    }
    code.push(b'-');
    code.push(check);
    Some((code, at + 1))
}

/// Groups of these lengths with one space, dash or dot between them, `whole` letters and digits in all.
fn groups(scan: &Scan<'_>, start: usize, lengths: &[usize], whole: usize) -> Option<(Vec<u8>, usize)> {
    let text = scan.text;
    let (mut code, mut at) = (Vec::with_capacity(whole), start);
    for (i, len) in lengths.iter().enumerate() {
        if i != 0 {
            let gap = match text.space(at) {
                0 if matches!(text.at(at), b'-' | b'.') => 1,
                0 if text.dash(at) != 0 => text.dash(at),
                0 => return None,
                bytes => bytes,
            };
            at += gap;
        }
        let end = text.run(at, *len, |byte| byte.is_ascii_alphanumeric());
        if end - at != *len {
            return None;
        }
        code.extend_from_slice(text.bytes(at, end));
        at = end;
    }
    (!is_word(text.at(at))).then_some((code, at))
}

/// Whose number a code is, and whether its form and check are enough without a word beside it.
fn known(code: &[u8]) -> Option<(Nation, bool)> {
    let last = code.last().copied().unwrap_or(0);
    let digit = |i: usize| code.get(i).is_some_and(u8::is_ascii_digit);
    let letter = |i: usize| code.get(i).is_some_and(u8::is_ascii_uppercase);
    let shape = |form: &str| {
        code.len() == form.len()
            && form.bytes().enumerate().all(|(i, kind)| if kind == b'9' { digit(i) } else { letter(i) })
    };
    match code.len() {
        9 if shape("AA999999A") && nino(code) => Some((Nation::UkNino, true)),
        9 if shape("99999999A") && MOD_23.get(usize_of(code, 0, 8) % 23) == Some(&last) => Some((Nation::Spain, true)),
        9 if shape("A9999999A") && nie(code) => Some((Nation::Spain, true)),
        9 if shape("A9999999A") && nric(code) => Some((Nation::Singapore, true)),
        8 | 9 if pps(code) => Some((Nation::Ireland, false)),
        10 if shape("AAAAA9999A") && pan(code) => Some((Nation::India, true)),
        10 if shape("A999999999") && taiwan(code) => Some((Nation::Taiwan, false)),
        10 | 11 if code.get(code.len() - 3) == Some(&b'(') => None,
        11 if code.get(6).is_some_and(|mark| b"-+ABCDEFYXWVU".contains(mark)) && finland(code) => {
            Some((Nation::Finland, true))
        }
        11 if medicare_us(code) => Some((Nation::UsMedicare, false)),
        12 if german_pension(code) => Some((Nation::Germany, false)),
        13 if shape("AAAA999999A9A") || shape("AAAA999999AAA") || shape("AAAA999999999") => {
            Some((Nation::Mexico, false))
        }
        16 if italy(code) => Some((Nation::Italy, true)),
        18 if curp(code) => Some((Nation::Mexico, true)),
        18 if last == b'X' && (0..17).all(digit) && china_x(code) => Some((Nation::China, true)),
        _ => hong_kong(code).or_else(|| chile(code)),
    }
}

const MOD_23: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

fn number(code: &[u8], from: usize, to: usize) -> u64 {
    let digits: Vec<u8> = code.get(from..to).unwrap_or(&[]).iter().map(|byte| byte.wrapping_sub(b'0')).collect();
    value(&digits)
}

fn usize_of(code: &[u8], from: usize, to: usize) -> usize {
    usize::try_from(number(code, from, to)).unwrap_or(0)
}

fn digits_of(code: &[u8]) -> Vec<u8> {
    code.iter().map(|byte| byte.wrapping_sub(b'0')).collect()
}

/// Two letters, six digits, a letter: also numbers that were made up for the time being.
fn nino_form(code: &[u8]) -> bool {
    code.len() == 9
        && code
            .iter()
            .enumerate()
            .all(|(i, byte)| if (2..8).contains(&i) { byte.is_ascii_digit() } else { byte.is_ascii_uppercase() })
}

fn nino(code: &[u8]) -> bool {
    let pair = code.get(..2).unwrap_or(&[]);
    let bad_first = pair.first().is_none_or(|byte| b"DFIQUV".contains(byte));
    let bad_second = pair.get(1).is_none_or(|byte| b"DFIQUVO".contains(byte));
    let reserved: &[&[u8]] = &[b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
    !bad_first && !bad_second && !reserved.contains(&pair) && code.last().is_some_and(|byte| b"ABCD".contains(byte))
}

fn nie(code: &[u8]) -> bool {
    let first = match code.first() {
        Some(b'X') => 0,
        Some(b'Y') => 10_000_000,
        Some(b'Z') => 20_000_000,
        _ => return false,
    };
    MOD_23.get((first + usize_of(code, 1, 8)) % 23) == code.last()
}

fn nric(code: &[u8]) -> bool {
    let digits = digits_of(code.get(1..8).unwrap_or(&[]));
    let sum = weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]);
    let (table, extra): (&[u8], i64) = match code.first() {
        Some(b'S') => (b"JZIHGFEDCBA", 0),
        Some(b'T') => (b"JZIHGFEDCBA", 4),
        Some(b'F') => (b"XWUTRQPNMLK", 0),
        Some(b'G') => (b"XWUTRQPNMLK", 4),
        Some(b'M') => (b"XWUTRQPNJLK", 3),
        _ => return false,
    };
    let rest = usize::try_from((sum + extra) % 11).unwrap_or(0);
    let place = if code.first() == Some(&b'M') { 10 - rest } else { rest };
    table.get(place) == code.last()
}

fn pps(code: &[u8]) -> bool {
    let body = code.get(..7).unwrap_or(&[]);
    if !body.iter().all(u8::is_ascii_digit) || !code.iter().skip(7).all(u8::is_ascii_uppercase) {
        return false;
    }
    let extra = match code.get(8) {
        Some(b'W') | None => 0,
        Some(letter) => i64::from(letter - b'A') + 1,
    };
    let rest = (weighted(&digits_of(body), &[8, 7, 6, 5, 4, 3, 2]) + extra * 9) % 23;
    let check = if rest == 0 { i64::from(b'W') } else { i64::from(b'A') + rest - 1 };
    code.get(7).is_some_and(|letter| i64::from(*letter) == check)
}

fn pan(code: &[u8]) -> bool {
    code.get(3).is_some_and(|holder| b"ABCFGHJLPTEK".contains(holder)) && code.get(5..9) != Some(b"0000")
}

fn taiwan(code: &[u8]) -> bool {
    const LETTERS: &[u8; 26] = b"ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let Some(place) = LETTERS.iter().position(|letter| code.first() == Some(letter)) else { return false };
    let place = i64::try_from(place).unwrap_or(0) + 10;
    let digits = digits_of(code.get(1..).unwrap_or(&[]));
    matches!(digits.first(), Some(1 | 2 | 8 | 9))
        && (place / 10 + place % 10 * 9 + weighted(&digits, &[8, 7, 6, 5, 4, 3, 2, 1, 1])) % 10 == 0
}

fn finland(code: &[u8]) -> bool {
    const CHECKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let (date, serial) = (code.get(..6).unwrap_or(&[]), code.get(7..10).unwrap_or(&[]));
    date.iter().chain(serial).all(u8::is_ascii_digit)
        && is_date(number(code, 2, 4), number(code, 0, 2))
        && CHECKS.get((usize_of(code, 0, 6) * 1000 + usize_of(code, 7, 10)) % 31) == code.last()
}

/// A Medicare beneficiary identifier: 1EG4-TE5-MK73 without its dashes.
fn medicare_us(code: &[u8]) -> bool {
    let letter = |byte: u8| byte.is_ascii_uppercase() && !b"SLOIBZ".contains(&byte);
    code.iter().enumerate().all(|(i, byte)| match i {
        0 => (b'1'..=b'9').contains(byte),
        3 | 6 | 9 | 10 => byte.is_ascii_digit(),
        1 | 4 | 7 | 8 => letter(*byte),
        _ => byte.is_ascii_digit() || letter(*byte),
    })
}

fn german_pension(code: &[u8]) -> bool {
    code.get(8).is_some_and(u8::is_ascii_uppercase)
        && code.iter().enumerate().all(|(i, byte)| i == 8 || byte.is_ascii_digit())
        && is_date(number(code, 4, 6), number(code, 2, 4))
}

fn italy(code: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let form = b"AAAAAA99A99A999A";
    let fits = code.iter().zip(form).all(|(byte, kind)| match kind {
        b'9' => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(byte),
        _ => byte.is_ascii_uppercase(),
    });
    let month = code.get(8).is_some_and(|byte| b"ABCDEHLMPRST".contains(byte));
    let place = |byte: u8| usize::from(if byte.is_ascii_digit() { byte - b'0' } else { byte.wrapping_sub(b'A') });
    let sum: u32 = code
        .iter()
        .take(15)
        .enumerate()
        .map(|(i, byte)| {
            let place = place(*byte);
            if i % 2 == 0 { ODD.get(place).copied().unwrap_or(0) } else { u32::try_from(place).unwrap_or(0) }
        })
        .sum();
    fits && month && code.last().is_some_and(|check| u32::from(*check - b'A') == sum % 26)
}

fn curp(code: &[u8]) -> bool {
    const ORDER: &str = "0123456789ABCDEFGHIJKLMN\u{d1}OPQRSTUVWXYZ";
    let letters =
        |from: usize, to: usize| code.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_uppercase));
    let digits = |from: usize, to: usize| code.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    if !letters(0, 4) || !digits(4, 10) || !letters(10, 16) || !is_date(number(code, 6, 8), number(code, 8, 10)) {
        return false;
    }
    let sum: usize = code
        .iter()
        .take(17)
        .enumerate()
        .map(|(i, byte)| ORDER.chars().position(|letter| letter == char::from(*byte)).unwrap_or(0) * (18 - i))
        .sum();
    code.get(10).is_some_and(|sex| matches!(sex, b'H' | b'M' | b'X'))
        && code.last().is_some_and(|check| usize::from(check.wrapping_sub(b'0')) == (10 - sum % 10) % 10)
}

fn china_x(code: &[u8]) -> bool {
    let digits = digits_of(code.get(..17).unwrap_or(&[]));
    china_body(&digits) && china_sum(&digits) % 11 == 2
}

fn hong_kong(code: &[u8]) -> Option<(Nation, bool)> {
    let open = code.iter().position(|byte| *byte == b'(')?;
    let (head, check) = (code.get(..open)?, code.get(open + 1)?);
    let (letters, digits) = head.split_at_checked(head.len().checked_sub(6)?)?;
    if !letters.iter().all(u8::is_ascii_uppercase) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let letter = |byte: u8| i64::from(byte - b'A') + 10;
    let sum = match letters {
        [one] => 36 * 9 + letter(*one) * 8,
        [one, two] => letter(*one) * 9 + letter(*two) * 8,
        _ => return None,
    } + weighted(&digits_of(digits), &[7, 6, 5, 4, 3, 2]);
    let value = if *check == b'A' { 10 } else { i64::from(check.wrapping_sub(b'0')) };
    ((sum + value) % 11 == 0).then_some((Nation::HongKong, true))
}

fn chile(code: &[u8]) -> Option<(Nation, bool)> {
    let dash = code.iter().position(|byte| *byte == b'-')?;
    let (body, check) = (code.get(..dash)?, code.get(dash + 1)?);
    if !(7..=8).contains(&body.len()) || !body.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let sum: i64 = digits_of(body).iter().rev().zip([2, 3, 4, 5, 6, 7, 2, 3]).map(|(d, w)| i64::from(*d) * w).sum();
    let right = match 11 - sum % 11 {
        11 => b'0',
        10 => b'K',
        rest => u8::try_from(rest).ok()? + b'0',
    };
    (right == *check).then_some((Nation::Chile, true))
}

/// The number behind `passport no`: six to twelve letters and digits, some digits among them.
pub(super) fn find_passport(scan: &mut Scan<'_>, hit: Hit) {
    let text = scan.text;
    let mut at = hit.end;
    for word in ["no.", "no", "number", "nr.", "nr", "num", "#", "is", "id", ":", "=", "№", "n°", "n.", "\"", "'"] {
        at = text.skip_spaces(at);
        if text.is_caseless(at, word.as_bytes()) {
            at += word.len();
        }
    }
    at = text.skip_spaces(at);
    let end = text.run(at, 16, |byte| byte.is_ascii_alphanumeric());
    let code = text.bytes(at, end);
    let digits = code.iter().filter(|byte| byte.is_ascii_digit()).count();
    let plain = code.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    if (6..=14).contains(&code.len()) && 4 <= digits && plain && at - hit.end < 24 && !is_word(text.at(end)) {
        scan.add(Kind::NationalId, at, end, Rank::Named);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_known_by_form_and_check() {
        let cases: &[(&str, Nation)] = &[
            ("AB123456C", Nation::UkNino),
            ("12345678Z", Nation::Spain),
            ("X1234567L", Nation::Spain),
            ("S1234567D", Nation::Singapore),
            ("1234567FA", Nation::Ireland),
            ("ABCPE1234F", Nation::India),
            ("A123456789", Nation::Taiwan),
            ("131052-308T", Nation::Finland),
            ("RSSMRA85T10A562S", Nation::Italy),
            ("A123456(3)", Nation::HongKong),
            ("12345678-5", Nation::Chile),
            ("11010519491231002X", Nation::China),
        ];
        for (code, nation) in cases {
            let known = known(code.trim_end_matches(')').as_bytes()).map(|(nation, _)| nation);
            assert_eq!(known, Some(*nation), "{code}");
        }
        for code in ["BG123456C", "12345678A", "X1234567K", "S1234567A", "131052-308U", "RSSMRA85T10A562T"] {
            assert_eq!(known(code.as_bytes()), None, "{code}");
        }
    }
}
