//! Digits as people write them: groups with spaces, dashes, dots, slashes and brackets between them, in several scripts.

use super::text::{Text, is_word};

pub(super) const DIGITS_MAX: usize = 40;
pub(super) const GROUPS_MAX: usize = 10;

/// What stands before a group of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    First,
    Space,
    Dash,
    Dot,
    Slash,
    /// A bracket, or a dash or slash between spaces.
    Loose,
}

/// A run of digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The index of its first digit among the cluster's.
    from: usize,
    pub(super) len: usize,
    pub(super) joint: Joint,
    /// An opening bracket before it and a closing one after it.
    pub(super) bracketed: bool,
    opened: bool,
    closed: bool,
}

const NO_GROUP: Group =
    Group { start: 0, end: 0, from: 0, len: 0, joint: Joint::First, bracketed: false, opened: false, closed: false };

/// Groups of digits that could be one number, or several.
pub(super) struct Cluster {
    digits: [u8; DIGITS_MAX],
    groups: [Group; GROUPS_MAX],
    count: usize,
    /// A plus before the first digit: where it stands.
    plus: Option<usize>,
    /// Whether a bound cut the cluster, so that the reading goes on in its middle.
    pub(super) cut: bool,
    /// Where the last run of digits that was read ends.
    pub(super) run_end: usize,
}

/// Some groups of a cluster, looked at as one number.
#[derive(Clone, Copy)]
pub(super) struct Number<'c> {
    pub(super) digits: &'c [u8],
    pub(super) groups: &'c [Group],
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) plus: bool,
}

impl Cluster {
    /// Reads the cluster whose first digit stands at a place.
    pub(super) fn read(text: Text<'_>, place: usize) -> Self {
        let mut cluster = Self {
            digits: [0; DIGITS_MAX],
            groups: [NO_GROUP; GROUPS_MAX],
            count: 0,
            plus: None,
            cut: false,
            run_end: place,
        };
        cluster.plus = plus_before(text, place);
        let (mut at, mut filled, mut joint, mut open) = (place, 0, Joint::First, opened(text, place));
        loop {
            let start = at;
            let from = filled;
            while let Some((value, bytes)) = text.digit(at) {
                match cluster.digits.get_mut(filled) {
                    Some(digit) => *digit = value,
                    None => cluster.cut = true,
                }
                filled += 1;
                at += bytes;
            }
            cluster.run_end = at;
            let closed = text.at(at) == b')';
            let group = Group {
                start,
                end: at,
                from,
                len: filled - from,
                joint,
                bracketed: open && closed,
                opened: open,
                closed,
            };
            match cluster.groups.get_mut(cluster.count) {
                Some(place) if !cluster.cut => *place = group,
                _ => {
                    cluster.cut = true;
                    return cluster;
                }
            }
            cluster.count += 1;
            // 1) 415…: a mark of a list
            if closed && !group.opened && group.len <= 2 && !cluster.opens() {
                return cluster;
            }
            let Some((next, between, opens)) = joint_at(text, at) else { return cluster };
            (at, joint, open) = (next, between, opens);
        }
    }

    /// Whether a bracket opens before one of the groups.
    fn opens(&self) -> bool {
        self.groups.iter().take(self.count).any(|group| group.opened)
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Where the last group ends.
    pub(super) fn end(&self) -> usize {
        self.group(self.count.wrapping_sub(1)).end
    }

    /// Where the group of that index begins.
    pub(super) fn start_of(&self, index: usize) -> usize {
        self.group(index).start
    }

    fn group(&self, index: usize) -> Group {
        self.groups.get(index).copied().unwrap_or(NO_GROUP)
    }

    /// Whether a number may begin at that group.
    pub(super) fn may_begin(&self, index: usize) -> bool {
        let group = self.group(index);
        group.bracketed || matches!(group.joint, Joint::First | Joint::Space | Joint::Loose)
    }

    /// Whether a number may end with that group.
    pub(super) fn may_end(&self, index: usize) -> bool {
        index + 1 == self.count || matches!(self.group(index + 1).joint, Joint::Space | Joint::Loose)
    }

    /// Whether some groups are only a part of a longer row of groups of that length.
    pub(super) fn continues(&self, first: usize, last: usize) -> bool {
        let alike = |a: usize, b: usize| self.group(b).joint == Joint::Space && self.group(a).len == self.group(b).len;
        let inside = first == last || self.group(last).joint == Joint::Space;
        inside && ((first != 0 && alike(first - 1, first)) || (last + 1 < self.count && alike(last, last + 1)))
    }

    /// The groups from one to another as one number.
    pub(super) fn number(&self, first: usize, last: usize) -> Number<'_> {
        let (head, tail) = (self.group(first), self.group(last));
        let groups = self.groups.get(first..=last).unwrap_or(&[]);
        let digits = self.digits.get(head.from..tail.from + tail.len).unwrap_or(&[]);
        let plus = if first == 0 { self.plus } else { None };
        // A bracket belongs to the number only where it closes within it: an area, and no remark.
        let inner = groups.split_last().map_or(&[][..], |(_, inner)| inner);
        let whole = head.opened && inner.iter().any(|group| group.closed);
        let start = match plus {
            // +(44) 20 …
            Some(plus) if plus + 2 == head.start && head.bracketed => plus,
            plus => plus.unwrap_or(head.start) - usize::from(whole),
        };
        Number { digits, groups, start, end: tail.end, plus: plus.is_some() }
    }
}

impl Number<'_> {
    /// Whether the groups have these lengths.
    pub(super) fn shape(&self, lengths: &[usize]) -> bool {
        self.groups.len() == lengths.len() && self.groups.iter().zip(lengths).all(|(group, len)| group.len == *len)
    }

    /// Whether a comma behind it begins another cell, and not the decimals of an amount: 1 234 567,89
    pub(super) fn is_no_amount(&self) -> bool {
        let thousands = self.groups.iter().skip(1).all(|group| group.len == 3);
        self.plus || 9 <= self.digits.len() && self.groups.len() == 1 || !thousands
    }

    /// The one joint between all groups, or `Loose` where they differ.
    pub(super) fn joint(&self) -> Joint {
        let mut joints = self.groups.iter().skip(1).map(|group| group.joint);
        match joints.next() {
            None => Joint::First,
            Some(first) if joints.all(|joint| joint == first) => first,
            Some(_) => Joint::Loose,
        }
    }

    /// The joint before the group of that index.
    pub(super) fn joint_before(&self, index: usize) -> Joint {
        self.groups.get(index).map_or(Joint::First, |group| group.joint)
    }

    /// The length of the group of that index.
    pub(super) fn group_len(&self, index: usize) -> usize {
        self.groups.get(index).map_or(0, |group| group.len)
    }

    /// The digit of that index, zero past the end.
    pub(super) fn digit(&self, index: usize) -> u8 {
        self.digits.get(index).copied().unwrap_or(0)
    }

    /// The value of some digits.
    pub(super) fn value(&self, from: usize, to: usize) -> u64 {
        value(self.digits.get(from..to).unwrap_or(&[]))
    }

    /// Whether it is one run of digits, a plus before it or not.
    pub(super) fn is_run(&self) -> bool {
        self.groups.len() == 1
    }

    /// Whether the number is one run of digits.
    pub(super) fn is_bare(&self) -> bool {
        self.groups.len() == 1 && !self.plus
    }
}

/// The value of decimal digits, saturating.
pub(super) fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add(u64::from(*digit)))
}

fn opened(text: Text<'_>, place: usize) -> bool {
    text.before(place) == b'(' || (text.before(place) == b'+' && text.before(place - 1) == b'(')
}

/// The place of a plus that belongs to the digit at a place.
fn plus_before(text: Text<'_>, place: usize) -> Option<usize> {
    let mut at = place;
    if text.before(at) == b'(' && text.before(at - 1) == b'+' {
        at -= 1;
    }
    let wide = 3 <= at && text.is(at - 3, "\u{ff0b}".as_bytes());
    if text.before(at) != b'+' && !wide {
        return None;
    }
    let plus = at - if wide { 3 } else { 1 };
    (!is_word(text.before(plus)) && text.before(plus) != b')').then_some(plus)
}

/// What joins the digits before a place with those after it: where the next digit is, how, whether a bracket opens.
fn joint_at(text: Text<'_>, place: usize) -> Option<(usize, Joint, bool)> {
    let mut at = place;
    let closed = text.at(at) == b')';
    if closed {
        at += 1;
    }
    let spaces = text.space(at);
    at += spaces;
    let dash = text.dash(at);
    let mark = if dash != 0 {
        Some((Joint::Dash, dash))
    } else {
        match text.at(at) {
            b'.' => Some((Joint::Dot, 1)),
            b'/' => Some((Joint::Slash, 1)),
            _ => None,
        }
    };
    let mut joint = if spaces == 0 { Joint::First } else { Joint::Space };
    if let Some((marked, bytes)) = mark {
        at += bytes;
        let after = text.space(at);
        at += after;
        joint = if spaces == 0 && after == 0 { marked } else { Joint::Loose };
        if marked == Joint::Dot && joint == Joint::Loose {
            return None;
        }
    }
    let opens = text.at(at) == b'(';
    if opens {
        at += 1;
    }
    if closed || opens {
        joint = Joint::Loose;
    }
    (joint != Joint::First && text.digit(at).is_some()).then_some((at, joint, opens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_with_what_joins_them() {
        let cases: &[(&str, &[usize], Joint)] = &[
            ("4111 1111 1111 1111", &[4, 4, 4, 4], Joint::Space),
            ("4111\u{a0}1111\u{a0}1111\u{a0}1111", &[4, 4, 4, 4], Joint::Space),
            ("123\u{2011}45\u{2011}6789", &[3, 2, 4], Joint::Dash),
            ("\u{ff11}\u{ff12}\u{ff13}-45", &[3, 2], Joint::Dash),
            ("0221 / 123456", &[4, 6], Joint::Loose),
            ("415) 555-2671", &[3, 3, 4], Joint::Loose),
            ("1, 2", &[1], Joint::First),
            ("12. 5", &[2], Joint::First),
        ];
        for (text, lengths, joint) in cases {
            let cluster = Cluster::read(Text::new(text), 0);
            let number = cluster.number(0, cluster.len() - 1);
            assert!(number.shape(lengths), "{text}");
            assert_eq!(number.joint(), *joint, "{text}");
        }
    }

    #[test]
    fn a_plus_and_a_bracket_belong_to_the_number() {
        for (text, digit, start) in [("+44 1", 1, 0), ("a (+44) 1", 4, 2), ("x (415) 1", 3, 2), ("5+44 1", 2, 2)] {
            let cluster = Cluster::read(Text::new(text), digit);
            assert_eq!(cluster.number(0, 1).start, start, "{text}");
        }
    }
}
