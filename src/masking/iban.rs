//! International bank account numbers: the registry's country lengths and ISO 7064 MOD 97-10.

use super::{
    checks::mod_97,
    kind::{Kind, Rank},
    scan::Scan,
    text::is_word,
};

/// Countries of the SWIFT registry and the length of their numbers.
const COUNTRIES: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// A number that begins with the run of letters and digits at a place.
pub(super) fn find(scan: &mut Scan<'_>, start: usize, end: usize) {
    let text = scan.text;
    let country = [text.at(start).to_ascii_uppercase(), text.at(start + 1).to_ascii_uppercase()];
    let split = end - start == 2 && text.space(end) != 0;
    let digits = text.at(start + 2).is_ascii_digit() && text.at(start + 3).is_ascii_digit();
    if !digits && !split {
        return;
    }
    let Some((_, len)) = COUNTRIES.iter().find(|(code, _)| **code == country) else { return };
    if let Some((code, last)) = read(scan, start, *len)
        && code.get(2..4).is_some_and(|check| check.iter().all(u8::is_ascii_digit))
        && mod_97(code.iter().skip(4).chain(code.iter().take(4)).copied()) == Some(1)
    {
        scan.add(Kind::Iban, start, last, Rank::Proved);
    }
}

/// As many letters and digits as the country's numbers have, with one space or dash between them here and there.
fn read(scan: &Scan<'_>, start: usize, len: usize) -> Option<(Vec<u8>, usize)> {
    let text = scan.text;
    let mut code = Vec::with_capacity(len);
    let (mut at, mut gaps) = (start, 0);
    loop {
        let byte = text.at(at);
        if byte.is_ascii_alphanumeric() {
            code.push(byte);
            at += 1;
        } else if let Some((digit, bytes)) = text.digit(at) {
            code.push(digit + b'0');
            at += bytes;
        } else {
            let gap = text.space(at).max(text.dash(at)).max(usize::from(byte == b'.'));
            gaps += 1;
            if gap == 0 || 12 < gaps || code.is_empty() {
                return None;
            }
            at += gap;
            continue;
        }
        if code.len() == len {
            return (!is_word(text.at(at))).then_some((code, at));
        }
    }
}
