//! Telephone numbers: international ones by the plan of their country, national ones by how countries write them.
//!
//! Lengths are those of the national numbers in ITU-T E.164 plans; they are bounds, not lists of ranges in use.

use super::{
    kind::{Kind, Rank},
    number::{Joint, Number, value},
    scan::Scan,
    text::{Text, is_word},
    words::Tag,
};

/// Country codes with the least and the most digits that follow them.
const PLANS: &[(u64, usize, usize)] = &[
    (1, 10, 10),
    (7, 10, 10),
    (20, 8, 10),
    (27, 9, 9),
    (30, 10, 10),
    (31, 9, 10),
    (32, 8, 9),
    (33, 9, 9),
    (34, 9, 9),
    (36, 8, 9),
    (39, 6, 12),
    (40, 9, 9),
    (41, 9, 9),
    (43, 7, 13),
    (44, 9, 10),
    (45, 8, 8),
    (46, 7, 10),
    (47, 8, 8),
    (48, 9, 9),
    (49, 6, 12),
    (51, 8, 9),
    (52, 10, 11),
    (53, 6, 8),
    (54, 10, 11),
    (55, 10, 11),
    (56, 8, 9),
    (57, 8, 10),
    (58, 10, 10),
    (60, 8, 10),
    (61, 9, 9),
    (62, 8, 12),
    (63, 8, 10),
    (64, 8, 10),
    (65, 8, 8),
    (66, 8, 9),
    (81, 9, 10),
    (82, 8, 11),
    (84, 9, 10),
    (86, 9, 11),
    (90, 10, 10),
    (91, 10, 10),
    (92, 9, 10),
    (93, 9, 9),
    (94, 9, 9),
    (95, 7, 10),
    (98, 10, 10),
    (246, 7, 7),
    (247, 5, 5),
    (290, 4, 5),
    (500, 5, 5),
    (508, 6, 6),
    (672, 6, 6),
    (680, 7, 7),
    (681, 6, 6),
    (682, 5, 5),
    (683, 4, 7),
    (688, 5, 6),
    (690, 4, 5),
    (691, 7, 7),
    (692, 7, 7),
    (800, 8, 8),
    (808, 8, 8),
    (870, 9, 9),
    (881, 9, 10),
    (882, 7, 12),
    (883, 7, 12),
    (211, 9, 9),
    (212, 9, 9),
    (213, 8, 9),
    (216, 8, 8),
    (218, 8, 9),
    (220, 7, 7),
    (221, 9, 9),
    (222, 8, 8),
    (223, 8, 8),
    (224, 8, 9),
    (225, 8, 10),
    (226, 8, 8),
    (227, 8, 8),
    (228, 8, 8),
    (229, 8, 10),
    (230, 7, 8),
    (231, 7, 9),
    (232, 8, 8),
    (233, 9, 9),
    (234, 8, 10),
    (235, 8, 8),
    (236, 8, 8),
    (237, 8, 9),
    (238, 7, 7),
    (239, 7, 7),
    (240, 9, 9),
    (241, 7, 8),
    (242, 9, 9),
    (243, 7, 9),
    (244, 9, 9),
    (245, 7, 9),
    (248, 7, 7),
    (249, 9, 9),
    (250, 9, 9),
    (251, 9, 9),
    (252, 7, 9),
    (253, 8, 8),
    (254, 9, 9),
    (255, 9, 9),
    (256, 9, 9),
    (257, 8, 8),
    (258, 8, 9),
    (260, 9, 9),
    (261, 9, 10),
    (262, 9, 9),
    (263, 8, 10),
    (264, 8, 9),
    (265, 7, 9),
    (266, 8, 8),
    (267, 7, 8),
    (268, 8, 8),
    (269, 7, 7),
    (291, 7, 7),
    (297, 7, 7),
    (298, 6, 6),
    (299, 6, 6),
    (350, 8, 8),
    (351, 9, 9),
    (352, 5, 11),
    (353, 7, 10),
    (354, 7, 9),
    (355, 8, 9),
    (356, 8, 8),
    (357, 8, 8),
    (358, 6, 12),
    (359, 7, 9),
    (370, 8, 8),
    (371, 8, 8),
    (372, 7, 8),
    (373, 8, 8),
    (374, 8, 8),
    (375, 9, 9),
    (376, 6, 9),
    (377, 8, 9),
    (378, 6, 10),
    (380, 9, 9),
    (381, 8, 10),
    (382, 8, 8),
    (383, 8, 9),
    (385, 8, 9),
    (386, 8, 8),
    (387, 8, 9),
    (389, 8, 8),
    (420, 9, 9),
    (421, 9, 9),
    (423, 7, 9),
    (501, 7, 7),
    (502, 8, 8),
    (503, 8, 8),
    (504, 8, 8),
    (505, 8, 8),
    (506, 8, 8),
    (507, 7, 8),
    (509, 8, 8),
    (590, 9, 9),
    (591, 8, 8),
    (592, 7, 7),
    (593, 8, 9),
    (594, 9, 9),
    (595, 8, 9),
    (596, 9, 9),
    (597, 6, 7),
    (598, 8, 8),
    (599, 7, 8),
    (670, 7, 8),
    (673, 7, 7),
    (674, 7, 7),
    (675, 7, 8),
    (676, 5, 7),
    (677, 5, 7),
    (678, 5, 7),
    (679, 7, 7),
    (685, 5, 7),
    (686, 5, 8),
    (687, 6, 6),
    (689, 6, 8),
    (850, 8, 10),
    (852, 8, 8),
    (853, 8, 8),
    (855, 8, 9),
    (856, 8, 10),
    (880, 8, 10),
    (886, 8, 9),
    (960, 7, 7),
    (961, 7, 8),
    (962, 8, 9),
    (963, 8, 9),
    (964, 8, 10),
    (965, 8, 8),
    (966, 9, 9),
    (967, 7, 9),
    (968, 8, 8),
    (970, 8, 9),
    (971, 8, 9),
    (972, 8, 9),
    (973, 8, 8),
    (974, 8, 8),
    (975, 7, 8),
    (976, 8, 8),
    (977, 8, 10),
    (992, 9, 9),
    (993, 8, 8),
    (994, 9, 9),
    (995, 9, 9),
    (996, 9, 9),
    (998, 9, 9),
];

/// How numbers are written within a country: the first digits, the groups, whether such a form is telling by itself.
struct Habit {
    first: &'static [u8],
    groups: &'static [usize],
    telling: bool,
}

const fn habit(first: &'static [u8], groups: &'static [usize], telling: bool) -> Habit {
    Habit { first, groups, telling }
}

/// Forms without a trunk zero; those with one are known by the zero.
const HABITS: &[Habit] = &[
    habit(&[6, 7, 8, 9], &[3, 2, 2, 2], true),              // Spain, Poland
    habit(&[5, 6, 7, 8, 9], &[3, 3, 3], false),             // Spain, Poland, Portugal, Czechia
    habit(&[1, 2, 3, 4, 5, 6, 7, 8], &[2, 3, 2, 2], false), // Poland
    habit(&[2, 3, 4, 5, 6, 7, 8, 9], &[2, 2, 2, 2], false), // Norway, Denmark
    habit(&[2, 3, 4, 5, 6, 7, 8, 9], &[3, 2, 3], false),    // Norway
    habit(&[2, 3, 5, 6, 8, 9], &[4, 4], false),             // Singapore, Hong Kong
    habit(&[6, 7, 8, 9], &[5, 5], false),                   // India
    habit(&[6, 7, 8, 9], &[4, 3, 3], false),
    habit(&[1], &[3, 4, 4], true),                          // China, mobile
    habit(&[1, 2, 3, 4, 5, 6, 7, 8, 9], &[2, 5, 4], false), // Brazil, mobile
    habit(&[1, 2, 3, 4, 5, 6, 7, 8, 9], &[2, 4, 4], false), // Brazil, Mexico
    habit(&[3], &[3, 7], false),                            // Italy, mobile
    habit(&[3], &[3, 3, 4], true),
    habit(&[3], &[3, 6], false),
    habit(&[8], &[1, 3, 3, 2, 2], true), // Russia
    habit(&[9], &[3, 3, 2, 2], false),
    habit(&[2, 6], &[3, 7], false),                   // Greece
    habit(&[2, 3, 4, 5, 6, 7, 8, 9], &[3, 4], false), // local
    habit(&[1, 2, 3, 4, 5, 6, 7, 8, 9], &[4, 6], false),
];

/// What makes a number a telephone number.
pub(super) fn classify(scan: &Scan<'_>, number: &Number<'_>) -> Option<(Kind, Rank)> {
    let len = number.digits.len();
    let counted = !number.plus
        && (dated(number)
            || holds_date(number)
            || is_zip(scan, number)
            || (decimal(number) && !scan.labelled(number.start, Tag::Phone)));
    if !(6..=17).contains(&len) || counted {
        return None;
    }
    if number.plus {
        if plan(number.digits, bracketed_zero(number)) {
            return Some((Kind::Phone, Rank::Proved));
        }
        let long = if number.is_run() { 10 } else { 9 };
        let told = || coded(number.digits) || scan.says(number.start, number.end, |tag| tag == Tag::Phone);
        let near = (long..=15).contains(&len) && !scan.denies(number.start, number.end) && told();
        return near.then_some((Kind::Phone, Rank::Shaped));
    }
    let place = |tag: Tag| (tag == Tag::PhonePlace).then_some(());
    let named = || {
        scan.says(number.start, number.end, |tag| tag == Tag::Phone)
            || (8 <= len && scan.words.after(number.end, 2, place).is_some())
    };
    let denied = || scan.denies(number.start, number.end);
    if number.digits.starts_with(&[0, 0]) && !number.digits.starts_with(&[0, 0, 0]) {
        let tail = number.digits.get(2..).unwrap_or(&[]);
        if 11 <= len && plan(tail, bracketed_zero(number)) && !denied() {
            return Some((Kind::Phone, Rank::Shaped));
        }
    }
    if nanp_written(number) && !denied() && !another(scan, number) {
        return Some((Kind::Phone, Rank::Shaped));
    }
    if trunk_written(number) && !denied() && !another(scan, number) {
        return Some((Kind::Phone, Rank::Shaped));
    }
    let home = number.is_bare() && matches!(len, 10 | 11) && number.digit(0) == 0 && number.digit(1) != 0;
    if home && !denied() && !labelled_otherwise(scan, number) && led(scan, number.start) {
        return Some((Kind::Phone, Rank::Named));
    }
    let habit = HABITS.iter().find(|habit| number.shape(habit.groups) && habit.first.contains(&number.digit(0)));
    if habit.is_some_and(|habit| habit.telling) && plain_joints(number) && !denied() && !another(scan, number) {
        return Some((Kind::Phone, Rank::Shaped));
    }
    if area_bracketed(number) && (8..=13).contains(&len) && !denied() && !another(scan, number) {
        return Some((Kind::Phone, Rank::Shaped));
    }
    let local = len == 6 && 2 <= number.groups.len() && scan.labelled(number.start, Tag::Phone);
    let length = local || (7..=15).contains(&len);
    (length && named() && (!number.is_bare() || led(scan, number.start))).then_some((Kind::Phone, Rank::Named))
}

/// Words that lead to a number.
const LEADS: &[&str] = &[
    "at", "on", "to", "is", "from", "or", "and", "via", "using", "number", "numbers", "no", "nr", "num", "new", "old",
    "his", "her", "my", "me", "us", "them", "him", "you", "are", "was", "be", "also", "back", "now", "the", "under",
    "unter", "an", "am", "auf", "au", "al", "à", "a", "o", "ou", "et", "y", "e", "es", "está", "est", "ist", "lautet",
    "é", "è", "jest", "på", "er", "är", "op", "naar", "pod", "na", "numer", "número", "numéro", "nummer", "numero",
    "oder", "und", "of", "en", "i", "lub", "eller", "och", "tai", "ja", "por", "per", "für", "pour", "para",
];

/// Whether the word before a bare number could lead to it: a telling one, a preposition, a name; no call of a function.
fn led(scan: &Scan<'_>, start: usize) -> bool {
    let text = scan.text;
    let letter = |byte: u8| byte.is_ascii_alphabetic() || 0x80 <= byte;
    let end = text.run_back(start, 8, |byte| !letter(byte));
    let begin = text.run_back(end, 40, |byte| letter(byte) || byte == b'\'');
    let word = text.slice(text.floor(begin), end).trim_start_matches(|letter: char| !letter.is_alphabetic());
    let between = text.slice(end, start);
    if between == "(" && !word.is_empty() {
        return false;
    }
    // call(1234567, 7654321)
    let label = scan.words.before(start, 48, |tag| (tag == Tag::Phone).then_some(()));
    if label.is_some_and(|((), distance)| {
        text.at(start - distance) == b'(' && text.at(start - distance + 1).is_ascii_digit()
    }) {
        return false;
    }
    let telling = scan.words.before(start, start - end + 1, |tag| (tag == Tag::Phone).then_some(())).is_some();
    let capital = word.chars().next().is_none_or(char::is_uppercase);
    let signs = between.contains([':', '=', '"', '|', ',', ';', '>', '\n']);
    telling || capital || signs || LEADS.contains(&word) || !word.is_ascii()
}

/// Behind an extension: x123, ext. 45, extension 6, ;ext=7
pub(super) fn extended(text: Text<'_>, end: usize) -> usize {
    let at = text.skip_spaces(end);
    let at = if matches!(text.at(at), b',' | b';') { text.skip_spaces(at + 1) } else { at };
    for word in ["extension", "ext.", "ext=", "ext", "x.", "x", "poste", "dw", "int."] {
        if text.is_caseless(at, word.as_bytes()) {
            let from = text.skip_spaces(at + word.len());
            let last = text.run(from, 7, |byte| byte.is_ascii_digit());
            return if from < last && last - from <= 6 && !is_word(text.at(last)) { last } else { end };
        }
    }
    end
}

/// A word beside the number says that it counts or names something else.
fn labelled_otherwise(scan: &Scan<'_>, number: &Number<'_>) -> bool {
    scan.says(number.start, number.end, |tag| matches!(tag, Tag::Count | Tag::Iban | Tag::Birth))
        || another(scan, number)
}

/// A word beside the number says that it is another kind of number.
fn another(scan: &Scan<'_>, number: &Number<'_>) -> bool {
    scan.says(number.start, number.end, |tag| {
        matches!(tag, Tag::Ssn | Tag::Sin | Tag::Card | Tag::National(_) | Tag::Passport)
    })
}

fn plain_joints(number: &Number<'_>) -> bool {
    !matches!(number.joint(), Joint::Slash | Joint::Loose)
}

/// `+44 (0)20 …`: the zero in brackets is dialled at home only.
fn bracketed_zero(number: &Number<'_>) -> Option<usize> {
    let mut at = 0;
    for group in number.groups {
        if group.bracketed && group.len == 1 && number.digit(at) == 0 && at != 0 {
            return Some(at);
        }
        at += group.len;
    }
    None
}

/// Whether digits are a country code and as many digits as its plan has.
fn plan(digits: &[u8], dropped: Option<usize>) -> bool {
    let digits: Vec<u8> =
        digits.iter().enumerate().filter(|(i, _)| Some(*i) != dropped).map(|(_, digit)| *digit).collect();
    PLANS.iter().any(|(code, least, most)| {
        let width = if *code < 10 {
            1
        } else if *code < 100 {
            2
        } else {
            3
        };
        let Some((head, tail)) = digits.split_at_checked(width) else { return false };
        // Many write the trunk zero behind the country code.
        let tail = if tail.first() == Some(&0) && !matches!(*code, 39 | 225 | 378) {
            tail.get(1..).unwrap_or(&[])
        } else {
            tail
        };
        value(head) == *code && (*least..=*most).contains(&tail.len()) && (*code != 1 || nanp(tail))
    })
}

/// Whether digits begin with a country code.
fn coded(digits: &[u8]) -> bool {
    (1..=3).any(|width| {
        digits
            .get(..width)
            .is_some_and(|head| PLANS.iter().any(|(code, ..)| value(head) == *code && !matches!(code, 1)))
    })
}

/// Area and exchange of ten digits as the North American plan assigns them.
fn nanp(digits: &[u8]) -> bool {
    let at = |i: usize| digits.get(i).copied().unwrap_or(0);
    let area = (2..=9).contains(&at(0)) && at(1) != 9 && !(at(1) == 1 && at(2) == 1);
    let exchange = (2..=9).contains(&at(3)) && !(at(4) == 1 && at(5) == 1);
    digits.len() == 10 && area && exchange
}

/// (415) 555-2671, 415-555-2671, 415.555.2671, 1-415-555-2671, 415 555 2671
fn nanp_written(number: &Number<'_>) -> bool {
    let long = number.shape(&[1, 3, 3, 4]) && number.digit(0) == 1;
    let digits = if long { number.digits.get(1..).unwrap_or(&[]) } else { number.digits };
    let joints = !number.groups.iter().any(|group| group.joint == Joint::Slash);
    (long || number.shape(&[3, 3, 4])) && joints && nanp(digits)
}

/// A trunk zero and groups: 0121 234 0413, 06 15 14 35 34, 030/1234567, 03-1234-5678.
fn trunk_written(number: &Number<'_>) -> bool {
    let (head, second) = (number.group_len(0), number.digit(1));
    let lens = (9..=13).contains(&number.digits.len()) && (2..=6).contains(&head);
    let parts = number.groups.iter().skip(1);
    let groups = (2..=6).contains(&number.groups.len()) && parts.clone().all(|group| (2..=8).contains(&group.len));
    number.digit(0) == 0 && second != 0 && lens && groups
}

/// (11) 91234-5678: an area in brackets at the beginning.
fn area_bracketed(number: &Number<'_>) -> bool {
    number.groups.first().is_some_and(|group| group.bracketed && (2..=5).contains(&group.len))
        && 2 <= number.groups.len()
        && number.groups.iter().skip(1).all(|group| 2 <= group.len && group.joint != Joint::Slash)
}

/// 0.2.45 (2026-11-14: a date among the groups
fn holds_date(number: &Number<'_>) -> bool {
    let mut at = 0;
    number.groups.windows(3).any(|groups| {
        let from = at;
        at += groups.first().map_or(0, |group| group.len);
        let lens = groups.iter().map(|group| group.len).eq([4, 2, 2]);
        let dashed = groups.iter().skip(1).all(|group| group.joint == Joint::Dash);
        let (month, day) = (number.value(from + 4, from + 6), number.value(from + 6, from + 8));
        lens && dashed && (1900..=2099).contains(&number.value(from, from + 4)) && month <= 12 && day <= 31
    })
}

/// MA 02110-1301: a place in the United States
fn is_zip(scan: &Scan<'_>, number: &Number<'_>) -> bool {
    let text = scan.text;
    let end = text.run_back(number.start, 6, |byte| byte.is_ascii_whitespace() || matches!(byte, b'#' | b'*' | b','));
    let state = text.run_back(end, 3, |byte| byte.is_ascii_uppercase());
    let named = end - state == 2 && !is_word(text.before(state)) && end != number.start;
    number.shape(&[5, 4]) && number.joint() == Joint::Dash && (named || text.is(number.end, b" USA"))
}

/// A date, or a date with a time behind it.
fn dated(number: &Number<'_>) -> bool {
    let lens: Vec<usize> = number.groups.iter().map(|group| group.len).collect();
    let year = |value: u64| (1900..=2099).contains(&value);
    match lens.as_slice() {
        [4, 2, 2, ..] | [8, 4 | 6] => year(number.value(0, 4)) && number.value(4, 6) <= 12 && number.value(6, 8) <= 31,
        [4, 4] => year(number.value(0, 4)) && year(number.value(4, 8)),
        [a @ (1 | 2), b @ (1 | 2), 4, ..] => {
            number.value(0, *a) <= 31 && number.value(*a, a + b) <= 31 && year(number.value(a + b, a + b + 4))
        }
        [8] => {
            year(number.value(0, 4)) && (1..=12).contains(&number.value(4, 6)) && (1..=31).contains(&number.value(6, 8))
        }
        _ => false,
    }
}

/// Thousands in groups of three, or a number with a decimal point.
fn decimal(number: &Number<'_>) -> bool {
    let thousands = number.group_len(0) < 3 && number.groups.iter().skip(1).all(|group| group.len == 3);
    let point = number.groups.len() == 2 && number.joint() == Joint::Dot;
    (2 <= number.groups.len()
        && thousands
        && matches!(number.joint(), Joint::Dot | Joint::Space)
        && number.digit(0) != 0)
        || point
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_bound_what_follows_a_country_code() {
        let digits = |text: &str| text.bytes().map(|byte| byte - b'0').collect::<Vec<_>>();
        for right in ["14155552671", "442079460958", "4930123456", "33612345678", "8613800138000", "390612345678"] {
            assert!(plan(&digits(right), None), "{right}");
        }
        for wrong in ["11155552671", "1415555267", "999123456789", "4512345"] {
            assert!(!plan(&digits(wrong), None), "{wrong}");
        }
        assert!(plan(&digits("4402079460958"), Some(2)));
    }
}
