//! National numbers made of digits: who issues them, how they are written, which check they must pass.
//!
//! A rule accepts a number beside a word that names it; a rule that is `alone` also accepts what only has its form and
//! passes its check. Sources: the issuing authorities' published algorithms, as collected on the Wikipedia pages of each.

use super::{
    checks::{is_date, luhn, mod_11_10, verhoeff, weighted},
    kind::{Kind, Rank},
    number::{Joint, Number, value},
    scan::Scan,
    words::{Nation, Tag},
};

/// Where a number counts without a word beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    Never,
    /// Written in one of the rule's shapes.
    Written,
    /// Also as one run of digits.
    Always,
}

struct Rule {
    nation: Nation,
    len: usize,
    shapes: &'static [(&'static [usize], Joint)],
    check: fn(&[u8]) -> bool,
    alone: Alone,
}

use Alone::{Always, Never, Written};
use Joint::{Dash, Dot, Loose, Slash, Space};
use Nation as N;

const fn rule(
    nation: Nation,
    len: usize,
    shapes: &'static [(&'static [usize], Joint)],
    check: fn(&[u8]) -> bool,
    alone: Alone,
) -> Rule {
    Rule { nation, len, shapes, check, alone }
}

/// A shape with this joint fits any joints.
const ANY: Joint = Joint::First;

const RULES: &[Rule] = &[
    rule(N::Norway, 11, &[(&[6, 5], ANY), (&[6, 3, 2], ANY)], norway, Always),
    rule(N::Poland, 11, &[], poland, Never),
    rule(N::Poland, 10, &[(&[3, 3, 2, 2], Dash), (&[3, 2, 2, 3], Dash)], poland_nip, Written),
    rule(N::Sweden, 10, &[(&[6, 4], Dash)], sweden, Written),
    rule(N::Sweden, 12, &[(&[8, 4], Dash)], sweden_long, Always),
    rule(N::Denmark, 10, &[(&[6, 4], Dash)], day_first, Written),
    rule(N::Belgium, 11, &[(&[2, 2, 2, 3, 2], Loose)], belgium, Written),
    rule(N::Germany, 11, &[(&[2, 3, 3, 3], Space)], germany, Written),
    rule(N::Netherlands, 9, &[(&[4, 2, 3], Dot)], netherlands, Never),
    rule(N::Netherlands, 8, &[], |d| netherlands(&[&[0], d].concat()), Never),
    rule(N::Portugal, 9, &[(&[3, 3, 3], ANY)], portugal, Never),
    rule(N::France, 15, &[(&[1, 2, 2, 2, 3, 3, 2], ANY), (&[13, 2], ANY)], france, Always),
    rule(N::France, 13, &[(&[1, 2, 2, 2, 3, 3], ANY)], france_short, Never),
    rule(N::Brazil, 11, &[(&[3, 3, 3, 2], Loose)], cpf, Written),
    rule(N::Brazil, 14, &[(&[2, 3, 3, 4, 2], Loose)], cnpj, Written),
    rule(N::India, 12, &[(&[4, 4, 4], ANY)], aadhaar, Written),
    rule(N::Australia, 9, &[(&[3, 3, 3], ANY)], tfn, Never),
    rule(N::Australia, 8, &[(&[2, 3, 3], ANY)], |d| weighted(d, &[10, 7, 8, 4, 6, 3, 5, 1]) % 11 == 0, Never),
    rule(N::Australia, 10, &[(&[4, 5, 1], ANY)], medicare, Written),
    rule(N::Australia, 11, &[(&[4, 5, 1, 1], ANY)], medicare, Never),
    rule(N::Japan, 12, &[(&[4, 4, 4], ANY)], japan, Never),
    rule(N::Korea, 13, &[(&[6, 7], Dash)], korea, Written),
    rule(N::China, 18, &[], china, Always),
    rule(N::SouthAfrica, 13, &[(&[6, 4, 3], ANY), (&[6, 4, 2, 1], ANY)], south_africa, Written),
    rule(N::Argentina, 11, &[(&[2, 8, 1], Dash)], cuil, Written),
    rule(N::Argentina, 8, &[(&[2, 3, 3], Dot)], |_| true, Never),
    rule(N::Spain, 8, &[], |_| false, Never),
    rule(N::Turkey, 11, &[], turkey, Never),
    rule(N::Israel, 9, &[], luhn_left, Never),
    rule(N::Russia, 11, &[(&[3, 3, 3, 2], Loose)], snils, Written),
    rule(N::Russia, 12, &[], inn_person, Never),
    rule(N::Russia, 10, &[], inn_firm, Never),
    rule(N::Romania, 13, &[], romania, Never),
    rule(N::Bulgaria, 10, &[], bulgaria, Never),
    rule(N::Czechia, 10, &[(&[6, 4], Slash)], czechia, Written),
    rule(N::Czechia, 9, &[(&[6, 3], Slash)], year_first, Never),
    rule(N::Greece, 11, &[], |d| day_first(d) && luhn(d), Never),
    rule(N::Greece, 9, &[], greece_afm, Never),
    rule(N::Croatia, 11, &[], mod_11_10, Never),
    rule(N::Baltics, 11, &[(&[6, 5], Dash)], baltics, Never),
    rule(N::Switzerland, 13, &[(&[3, 4, 4, 2], ANY)], switzerland, Written),
    rule(N::Austria, 10, &[(&[4, 6], Space)], austria, Written),
    rule(N::Malaysia, 12, &[(&[6, 2, 4], Dash)], year_first, Written),
    rule(N::Thailand, 13, &[(&[1, 4, 5, 2, 1], ANY)], thailand, Written),
    rule(N::Indonesia, 16, &[], indonesia, Never),
    rule(N::UkNhs, 10, &[(&[3, 3, 4], ANY)], nhs, Never),
    rule(N::UsItin, 9, &[(&[3, 2, 4], ANY)], itin, Never),
    rule(N::Taiwan, 8, &[], |_| true, Never),
    rule(N::Hungary, 10, &[], |d| d.first() == Some(&8), Never),
    rule(N::Hungary, 9, &[(&[3, 3, 3], ANY)], |d| weighted(d, &[3, 7, 3, 7, 3, 7, 3, 7]) % 10 == at(d, 8), Never),
    rule(N::FormerYugoslavia, 13, &[], yugoslavia, Never),
    rule(N::Ukraine, 10, &[], |d| weighted(d, &[-1, 5, 7, 9, 4, 6, 10, 5, 7]).rem_euclid(11) % 10 == at(d, 9), Never),
    rule(N::Colombia, 10, &[(&[1, 3, 3, 3], Dot)], |_| true, Never),
    rule(N::Colombia, 8, &[(&[2, 3, 3], Dot)], |_| true, Never),
    rule(N::Philippines, 10, &[(&[2, 7, 1], Dash)], |_| true, Never),
    rule(N::Philippines, 12, &[(&[4, 4, 4], Dash), (&[2, 9, 1], Dash)], |_| true, Never),
    rule(N::Vietnam, 12, &[], |_| true, Never),
    rule(N::Peru, 8, &[], |_| true, Never),
    rule(N::Ecuador, 10, &[(&[9, 1], Dash)], luhn, Never),
    rule(N::Iceland, 10, &[(&[6, 4], Dash)], iceland, Never),
    rule(N::Pakistan, 13, &[(&[5, 7, 1], Dash)], |d| d.first() != Some(&0), Written),
    rule(
        N::Emirates,
        15,
        &[(&[3, 4, 7, 1], Dash)],
        |d| part(d, 0, 3) == 784 && matches!(part(d, 3, 5), 19 | 20),
        Always,
    ),
    rule(N::Saudi, 10, &[], |d| matches!(d.first(), Some(1 | 2)) && luhn(d), Never),
    rule(N::Nigeria, 11, &[], |_| true, Never),
    rule(N::Kazakhstan, 12, &[], year_first, Never),
    rule(N::Iran, 10, &[(&[3, 6, 1], Dash)], iran, Never),
    rule(N::Egypt, 14, &[], |d| matches!(d.first(), Some(2 | 3)) && is_date(part(d, 3, 5), part(d, 5, 7)), Never),
    rule(N::Any, 9, &[], |d| netherlands(d) || portugal(d) || tfn(d) || luhn_left(d), Never),
    rule(N::Any, 10, &[], |d| nhs(d) || sweden(d) || inn_firm(d) || poland_nip(d) || bulgaria(d), Never),
    rule(
        N::Any,
        11,
        &[],
        |d| {
            norway(d)
                || poland(d)
                || germany(d)
                || belgium(d)
                || cpf(d)
                || turkey(d)
                || snils(d)
                || mod_11_10(d)
                || baltics(d)
        },
        Never,
    ),
    rule(N::Any, 12, &[(&[4, 4, 4], ANY)], |d| aadhaar(d) || japan(d) || inn_person(d) || sweden_long(d), Never),
    rule(N::Any, 13, &[], |d| south_africa(d) || romania(d) || thailand(d) || korea(d), Never),
    rule(N::Any, 16, &[], indonesia, Never),
];

/// A national number of some country.
pub(super) fn digits(scan: &Scan<'_>, number: &Number<'_>) -> Option<(Kind, Rank)> {
    let mut denied = None;
    for rule in RULES {
        if rule.len != number.digits.len() {
            continue;
        }
        let written = rule
            .shapes
            .iter()
            .any(|(lengths, joint)| number.shape(lengths) && (*joint == ANY || number.joint() == *joint));
        if !written && !number.is_bare() {
            continue;
        }
        if !(rule.check)(number.digits) {
            // Right beside its name a number counts as it stands: people mistype, and forms hold invented numbers.
            let labelled = rule.nation != N::Any
                && !all_same(number.digits)
                && scan.labelled(number.start, Tag::National(rule.nation));
            if labelled {
                return Some((Kind::NationalId, Rank::Named));
            }
            continue;
        }
        let alone = match rule.alone {
            Never => false,
            Written => written,
            Always => true,
        };
        if alone && !*denied.get_or_insert_with(|| scan.denies(number.start, number.end)) {
            return Some((Kind::NationalId, Rank::Proved));
        }
        let named = |tag: Tag| match tag {
            Tag::National(nation) => nation == rule.nation || nation == N::Any && rule.nation != N::Taiwan,
            _ => false,
        };
        if scan.says(number.start, number.end, named) {
            return Some((Kind::NationalId, Rank::Proved));
        }
    }
    None
}

fn at(d: &[u8], i: usize) -> i64 {
    d.get(i).copied().map_or(0, i64::from)
}

fn part(d: &[u8], from: usize, to: usize) -> u64 {
    value(d.get(from..to).unwrap_or(&[]))
}

fn year_first(d: &[u8]) -> bool {
    is_date(part(d, 2, 4), part(d, 4, 6))
}

fn day_first(d: &[u8]) -> bool {
    is_date(part(d, 2, 4), part(d, 0, 2))
}

fn norway(d: &[u8]) -> bool {
    let day = part(d, 0, 2);
    let month = part(d, 2, 4);
    let shifted = |value: u64| if 40 < value { value - 40 } else { value };
    is_date(shifted(month), shifted(day))
        && weighted(d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]) % 11 == 0
        && weighted(d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]) % 11 == 0
}

fn poland(d: &[u8]) -> bool {
    is_date(part(d, 2, 4) % 20, part(d, 4, 6)) && weighted(d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]) % 10 == 0
}

fn poland_nip(d: &[u8]) -> bool {
    weighted(d, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == at(d, 9) && d.first() != Some(&0)
}

fn sweden(d: &[u8]) -> bool {
    let day = part(d, 4, 6);
    is_date(part(d, 2, 4), if 60 < day { day - 60 } else { day }) && luhn(d)
}

fn sweden_long(d: &[u8]) -> bool {
    matches!(part(d, 0, 2), 18..=20) && d.get(2..).is_some_and(sweden)
}

fn belgium(d: &[u8]) -> bool {
    let (base, check) = (part(d, 0, 9), part(d, 9, 11));
    let month = part(d, 2, 4);
    (month <= 12 || (20..=32).contains(&month) || (40..=52).contains(&month))
        && part(d, 4, 6) <= 31
        && (97 - base % 97 == check || 97 - (2_000_000_000 + base) % 97 == check)
}

/// In the first ten digits one digit stands two or three times, and so at least one does not occur.
fn germany(d: &[u8]) -> bool {
    let mut counts = [0_u8; 10];
    for digit in d.iter().take(10) {
        if let Some(count) = counts.get_mut(usize::from(*digit)) {
            *count += 1;
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    d.first() != Some(&0) && (2..=3).contains(&most) && mod_11_10(d)
}

fn netherlands(d: &[u8]) -> bool {
    weighted(d, &[9, 8, 7, 6, 5, 4, 3, 2, -1]) % 11 == 0 && d.iter().any(|digit| *digit != 0)
}

fn portugal(d: &[u8]) -> bool {
    let rest = 11 - weighted(d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    matches!(d.first(), Some(1..=3 | 5..=9)) && (if 9 < rest { 0 } else { rest }) == at(d, 8)
}

fn france(d: &[u8]) -> bool {
    let (base, check) = (part(d, 0, 13), part(d, 13, 15));
    france_short(d) && 97 - base % 97 == check
}

fn france_short(d: &[u8]) -> bool {
    matches!(d.first(), Some(1..=4 | 7 | 8)) && matches!(part(d, 3, 5), 1..=12 | 20..=42 | 50..)
}

fn all_same(d: &[u8]) -> bool {
    d.windows(2).all(|pair| matches!(pair, [a, b] if a == b))
}

fn mod_11_check(d: &[u8], weights: &[i64], place: usize) -> bool {
    let rest = weighted(d, weights) % 11;
    (if rest < 2 { 0 } else { 11 - rest }) == at(d, place)
}

fn cpf(d: &[u8]) -> bool {
    !all_same(d)
        && mod_11_check(d, &[10, 9, 8, 7, 6, 5, 4, 3, 2], 9)
        && mod_11_check(d, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2], 10)
}

fn cnpj(d: &[u8]) -> bool {
    !all_same(d)
        && mod_11_check(d, &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2], 12)
        && mod_11_check(d, &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2], 13)
}

fn aadhaar(d: &[u8]) -> bool {
    matches!(d.first(), Some(2..=9)) && verhoeff(d) && !all_same(d)
}

fn tfn(d: &[u8]) -> bool {
    weighted(d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]) % 11 == 0
}

fn medicare(d: &[u8]) -> bool {
    matches!(d.first(), Some(2..=6)) && weighted(d, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == at(d, 8)
}

fn japan(d: &[u8]) -> bool {
    let rest = weighted(d, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    (if rest < 2 { 0 } else { 11 - rest }) == at(d, 11)
}

/// Numbers issued since October 2020 have no check digit, so there is only the date and the century.
fn korea(d: &[u8]) -> bool {
    year_first(d) && matches!(at(d, 6), 1..=8)
}

fn china(d: &[u8]) -> bool {
    const CHECKS: [i64; 11] = [1, 0, 10, 9, 8, 7, 6, 5, 4, 3, 2];
    china_body(d) && usize::try_from(china_sum(d) % 11).ok().and_then(|rest| CHECKS.get(rest)) == Some(&at(d, 17))
}

pub(super) fn china_sum(d: &[u8]) -> i64 {
    weighted(d, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
}

pub(super) fn china_body(d: &[u8]) -> bool {
    matches!(d.first(), Some(1..=8)) && matches!(part(d, 6, 8), 18..=20) && is_date(part(d, 10, 12), part(d, 12, 14))
}

fn south_africa(d: &[u8]) -> bool {
    year_first(d) && matches!(at(d, 10), 0..=2) && luhn(d)
}

fn cuil(d: &[u8]) -> bool {
    let rest = 11 - weighted(d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    matches!(part(d, 0, 2), 20 | 23 | 24 | 25 | 26 | 27 | 30 | 33 | 34)
        && (match rest {
            11 => 0,
            10 => 9,
            rest => rest,
        }) == at(d, 10)
}

fn turkey(d: &[u8]) -> bool {
    let odd: i64 = (0..9).step_by(2).map(|i| at(d, i)).sum();
    let even: i64 = (1..8).step_by(2).map(|i| at(d, i)).sum();
    let all: i64 = (0..10).map(|i| at(d, i)).sum();
    d.first() != Some(&0) && (odd * 7 - even).rem_euclid(10) == at(d, 9) && all % 10 == at(d, 10)
}

/// Luhn's check with the doubling counted from the left, for nine digits the same as from the right.
fn luhn_left(d: &[u8]) -> bool {
    luhn(d)
}

fn snils(d: &[u8]) -> bool {
    let sum = weighted(d, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101;
    (if sum == 100 { 0 } else { sum }) == at(d, 9) * 10 + at(d, 10) && part(d, 0, 9) > 1_001_998
}

fn inn_person(d: &[u8]) -> bool {
    weighted(d, &[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10 == at(d, 10)
        && weighted(d, &[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10 == at(d, 11)
}

fn inn_firm(d: &[u8]) -> bool {
    weighted(d, &[2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10 == at(d, 9)
}

fn romania(d: &[u8]) -> bool {
    let rest = weighted(d, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    matches!(d.first(), Some(1..=9))
        && is_date(part(d, 3, 5), part(d, 5, 7))
        && (if rest == 10 { 1 } else { rest }) == at(d, 12)
}

fn bulgaria(d: &[u8]) -> bool {
    is_date(part(d, 2, 4) % 20, part(d, 4, 6)) && weighted(d, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == at(d, 9)
}

fn czechia(d: &[u8]) -> bool {
    let month = part(d, 2, 4);
    let month = [70, 50, 20].into_iter().find(|shift| *shift < month).map_or(month, |shift| month - shift);
    is_date(month, part(d, 4, 6)) && part(d, 0, 10).is_multiple_of(11)
}

fn greece_afm(d: &[u8]) -> bool {
    weighted(d, &[256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10 == at(d, 8) && !all_same(d)
}

fn baltics(d: &[u8]) -> bool {
    let first = weighted(d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(d, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
    let check = if first < 10 { first } else { second % 10 };
    (matches!(d.first(), Some(1..=8)) && is_date(part(d, 3, 5), part(d, 5, 7)) && check == at(d, 10)) || day_first(d)
}

fn switzerland(d: &[u8]) -> bool {
    part(d, 0, 3) == 756 && weighted(d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]) % 10 == 0
}

fn austria(d: &[u8]) -> bool {
    d.first() != Some(&0)
        && is_date(part(d, 6, 8).min(12), part(d, 4, 6))
        && weighted(d, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 == at(d, 3)
}

fn iceland(d: &[u8]) -> bool {
    day_first(d) && matches!(at(d, 9), 0 | 8 | 9)
}

fn iran(d: &[u8]) -> bool {
    let rest = weighted(d, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    (if rest < 2 { rest } else { 11 - rest }) == at(d, 9) && !all_same(d)
}

/// Day, month and three digits of the year, region, serial, check (JMBG, EMŠO).
fn yugoslavia(d: &[u8]) -> bool {
    let rest = weighted(d, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    day_first(d) && (if rest < 2 { 0 } else { 11 - rest }) == at(d, 12)
}

fn thailand(d: &[u8]) -> bool {
    let rest = weighted(d, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    matches!(d.first(), Some(1..=8)) && (11 - rest) % 10 == at(d, 12)
}

fn indonesia(d: &[u8]) -> bool {
    let day = part(d, 6, 8);
    matches!(part(d, 0, 2), 11..=94) && is_date(part(d, 8, 10), if 40 < day { day - 40 } else { day })
}

fn nhs(d: &[u8]) -> bool {
    let rest = 11 - weighted(d, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    (if rest == 11 { 0 } else { rest }) == at(d, 9) && !all_same(d)
}

fn itin(d: &[u8]) -> bool {
    d.first() == Some(&9) && matches!(part(d, 3, 5), 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_country_s_check_knows_its_own_numbers() {
        let cases: &[(&str, fn(&[u8]) -> bool, &str)] = &[
            ("norway", norway, "15028551298"),
            ("poland", poland, "44051401359"),
            ("sweden", sweden, "8112189876"),
            ("belgium", belgium, "85073003328"),
            ("germany", germany, "86095742719"),
            ("netherlands", netherlands, "111222333"),
            ("portugal", portugal, "123456789"),
            ("france", france, "255081416802538"),
            ("brazil", cpf, "52998224725"),
            ("brazil, firms", cnpj, "11222333000181"),
            ("australia", tfn, "123456782"),
            ("turkey", turkey, "10000000146"),
            ("russia", snils, "11223344595"),
            ("russia, persons", inn_person, "500100732259"),
            ("romania", romania, "1800101221144"),
            ("switzerland", switzerland, "7569217076985"),
            ("uk", nhs, "9434765919"),
            ("estonia", baltics, "37605030299"),
            ("south africa", south_africa, "8001015009087"),
            ("argentina", cuil, "20123456786"),
            ("thailand", thailand, "1234567890121"),
        ];
        for (name, check, text) in cases {
            let digits: Vec<u8> = text.bytes().map(|byte| byte - b'0').collect();
            assert!(check(&digits), "{name}: {text}");
            let mut wrong = digits.clone();
            let place = wrong.len() - 3;
            wrong[place] = (wrong[place] + 1) % 10;
            assert!(!check(&wrong) || matches!(*name, "estonia"), "{name}: {wrong:?}");
        }
    }
}
