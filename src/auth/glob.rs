//! Patterns with `*` (any run of bytes) and `?` (exactly one byte): whether a text matches, and whether everything that one pattern
//! matches is matched by another.

use memchr::memmem;
use std::collections::HashSet;

/// A pattern, cut at its stars. Between two stars a run may stand anywhere, and its first place is as good as any
/// later one, so one pass from left to right decides: linear for runs without `?`, and for a run with `?` at most
/// the run's length times the text's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    /// What stands before the first star; the whole pattern when there is none.
    head: Box<[u8]>,
    /// What stands between stars, without empty runs.
    middle: Box<[Box<[u8]>]>,
    /// What stands behind the last star; `None` when the pattern has no star.
    tail: Option<Box<[u8]>>,
}

impl Glob {
    /// Takes a pattern apart.
    pub(super) fn new(pattern: &str) -> Self {
        let mut runs = pattern.as_bytes().split(|byte| *byte == b'*');
        let head = runs.next().unwrap_or_default().into();
        let tail = runs.next_back().map(Box::from);
        let middle = runs.filter(|run| !run.is_empty()).map(Box::from).collect();
        Self { head, middle, tail }
    }

    /// Only stars, at least one.
    pub(super) fn matches_everything(&self) -> bool {
        self.head.is_empty() && self.middle.is_empty() && self.tail.as_ref().is_some_and(|tail| tail.is_empty())
    }

    /// Whether a text matches.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let Some((start, mut rest)) = text.split_at_checked(self.head.len()) else { return false };
        if !run_matches(&self.head, start) {
            return false;
        }
        let Some(tail) = &self.tail else { return rest.is_empty() };
        for run in &self.middle {
            let Some(behind) = run_end(run, rest).and_then(|end| rest.get(end..)) else { return false };
            rest = behind;
        }
        rest.len().checked_sub(tail.len()).and_then(|from| rest.get(from..)).is_some_and(|end| run_matches(tail, end))
    }
}

/// Whether a run without stars matches a text of the same length.
fn run_matches(run: &[u8], text: &[u8]) -> bool {
    run.len() == text.len() && run.iter().zip(text).all(|(want, have)| want == have || *want == b'?')
}

/// Where the first place of a non-empty run in a text ends.
fn run_end(run: &[u8], text: &[u8]) -> Option<usize> {
    let start = if memchr::memchr(b'?', run).is_none() {
        memmem::find(text, run)
    } else {
        text.windows(run.len()).position(|window| run_matches(run, window))
    };
    start.map(|start| start + run.len())
}

/// How much is looked at before a question counts as too contrived to be answered.
const STEPS_MAX: usize = 50_000;
/// Patterns that are longer are not compared.
const PATTERN_BYTES_MAX: usize = 256;

/// Whether `parent` matches everything that `child` matches. Exact, except that pairs of patterns so contrived that deciding takes
/// too long (dozens of `?` behind stars on both sides) are said not to be covered.
///
/// A byte that `parent` does not spell can be matched by its wildcards alone, so it stands for all others: if every word passes that
/// `child` makes with such bytes in place of its `?` and, in any number, of its `*`, then every word passes. These words are followed through
/// `parent` together, as sets of the places that it may have come to. There are finitely many.
pub fn covers(parent: &str, child: &str) -> bool {
    if parent.len().max(child.len()) > PATTERN_BYTES_MAX {
        return false;
    }
    let (walker, child) = (Walker { pattern: collapsed(parent) }, collapsed(child));
    let start = (0, walker.closed(Places::at(0)));
    let (mut seen, mut open) = (HashSet::from([start]), vec![start]);
    while let Some((at, places)) = open.pop() {
        if places.is_empty() || seen.len() > STEPS_MAX {
            return false;
        }
        let next = match child.get(at) {
            None if places.has(walker.pattern.len()) => continue,
            None => return false,
            Some(b'*') => [Some((at + 1, places)), Some((at, walker.step(places, None)))],
            Some(b'?') => [Some((at + 1, walker.step(places, None))), None],
            Some(byte) => [Some((at + 1, walker.step(places, Some(*byte)))), None],
        };
        open.extend(next.into_iter().flatten().filter(|step| seen.insert(*step)));
    }
    true
}

/// Stars that follow each other are one.
fn collapsed(pattern: &str) -> Vec<u8> {
    let mut bytes = pattern.as_bytes().to_vec();
    bytes.dedup_by(|later, earlier| *later == b'*' && *earlier == b'*');
    bytes
}

/// Places in a pattern, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Places([u64; PATTERN_BYTES_MAX / 64 + 1]);

impl Places {
    fn at(place: usize) -> Self {
        let mut places = Self::default();
        places.add(place);
        places
    }

    fn add(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    fn has(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word & (1 << (place % 64)) != 0)
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Follows words through a pattern.
struct Walker {
    pattern: Vec<u8>,
}

impl Walker {
    /// The places after one more byte; `None` is a byte that the pattern does not spell.
    fn step(&self, places: Places, byte: Option<u8>) -> Places {
        let mut next = Places::default();
        for (place, wanted) in self.pattern.iter().enumerate().filter(|(place, _)| places.has(*place)) {
            match wanted {
                b'*' => next.add(place),
                b'?' => next.add(place + 1),
                wanted if Some(*wanted) == byte => next.add(place + 1),
                _ => {}
            }
        }
        self.closed(next)
    }

    /// With the places behind stars, which may match nothing; without those before the last star that was reached: whatever can pass from
    /// there can pass from that star.
    fn closed(&self, places: Places) -> Places {
        let mut closed = places;
        for (place, _) in self.pattern.iter().enumerate().filter(|(_, byte)| **byte == b'*') {
            if closed.has(place) {
                closed.add(place + 1);
            }
        }
        let last_star = self.pattern.iter().enumerate().rposition(|(place, byte)| *byte == b'*' && closed.has(place));
        let mut kept = Places::default();
        (last_star.unwrap_or(0)..=self.pattern.len())
            .filter(|place| closed.has(*place))
            .for_each(|place| kept.add(place));
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_globs_do() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything/at:all", true),
            ("**", "x", true),
            ("?", "", false),
            ("?", "x", true),
            ("?", "xy", false),
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o", "GPT-4o", false),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini-2", false),
            ("gpt-?-*", "gpt-5-turbo", true),
            ("gpt-?-*", "gpt-35-turbo", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acbc", true),
            ("a*b*c", "acb", false),
            ("*ab*ab*", "aab", false),
            ("*?b*", "bb", true),
            ("*?b*", "b", false),
            ("[a-z]", "[a-z]", true),
            ("[a-z]", "b", false),
            ("llama3:8b", "llama3:8b", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Glob::new(pattern).matches(text.as_bytes()), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends_on_a_long_text() {
        let pattern = format!("{}b", "*a?".repeat(40));
        let text = "a".repeat(100_000);
        assert!(!Glob::new(&pattern).matches(text.as_bytes()));
        assert!(Glob::new(&format!("{pattern}*")).matches(format!("{text}b").as_bytes()));
    }

    #[test]
    fn a_pattern_covers_what_it_matches_all_of() {
        let cases = [
            ("*", "*", true),
            ("*", "", true),
            ("*", "gpt-?-*", true),
            ("gpt-*", "gpt-4o", true),
            ("gpt-*", "gpt-*", true),
            ("gpt-*", "gpt-4*", true),
            ("gpt-*", "gpt-**", true),
            ("gpt-*", "gpt-?", true),
            ("gpt-*", "gp*", false),
            ("gpt-*", "*", false),
            ("gpt-4", "gpt-?", false),
            ("gpt-?", "gpt-4", true),
            ("gpt-?", "gpt-*", false),
            ("gpt-?", "gpt-??", false),
            ("*-mini", "gpt-*-mini", true),
            ("*-mini", "gpt-*mini", false),
            ("?*", "*?", true),
            ("*?", "?*", true),
            ("a?*", "a*a", true),
            ("a?*", "a*", false),
            ("a?*b", "a*b", false),
            ("*a*b*", "*ab*", true),
            ("*ab*", "*a*b*", false),
            ("*a*", "*?a?*", true),
            ("??*", "*a*b*", true),
            ("???*", "*a*b*", false),
            ("", "", true),
            ("", "*", false),
            ("a", "", false),
            ("*aba*", "*ab?ba*", false),
            ("a*a", "a", false),
        ];
        for (parent, child, expected) in cases {
            assert_eq!(covers(parent, child), expected, "{parent:?} over {child:?}");
        }
    }

    #[test]
    fn contrived_patterns_end_and_are_not_covered() {
        let (parent, child) = (format!("*a{}", "?".repeat(100)), format!("{}*", "*a".repeat(100)));
        assert!(!covers(&parent, &child));
        assert!(covers("*", &child) && covers(&child, &child));
        assert!(!covers("*", &"a".repeat(257)), "longer than patterns are");
    }

    /// The textbook definition, exponential and obviously right.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => naive(rest, text) || text.split_first().is_some_and(|(_, t)| naive(pattern, t)),
            (Some((b'?', rest)), Some((_, text))) => naive(rest, text),
            (Some((want, rest)), Some((have, text))) => want == have && naive(rest, text),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn matching_agrees_with_the_textbook(pattern in "[ab*?]{0,10}", text in "[ab]{0,14}") {
            prop_assert_eq!(Glob::new(&pattern).matches(text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_text_matches_itself_and_a_star(text in "[^*?]{0,40}") {
            prop_assert!(Glob::new(&text).matches(text.as_bytes()));
            prop_assert!(Glob::new("*").matches(text.as_bytes()));
        }
    }

    /// All words of `a` and another letter up to a length.
    fn words() -> impl Iterator<Item = Vec<u8>> {
        (0..=10_u32).flat_map(|length| {
            (0..1_u32 << length)
                .map(move |bits| (0..length).map(|at| if bits >> at & 1 == 1 { b'a' } else { b'z' }).collect())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn covering_agrees_with_trying_all_words(parent in "[a*?]{0,5}", child in "[a*?]{0,5}") {
            let matches = |pattern: &str, word: &[u8]| naive(pattern.as_bytes(), word);
            let uncovered = words().find(|word| matches(&child, word) && !matches(&parent, word));
            prop_assert_eq!(covers(&parent, &child), uncovered.is_none(), "{:?}", uncovered);
        }

        #[test]
        fn what_covers_what_covers_it_covers_it(a in "[ab*?]{0,6}", b in "[ab*?]{0,6}", c in "[ab*?]{0,6}") {
            prop_assert!(covers(&a, &a) && covers("*", &a));
            if covers(&a, &b) && covers(&b, &c) {
                prop_assert!(covers(&a, &c));
            }
        }

        #[test]
        fn a_covered_pattern_matches_nothing_that_the_other_does_not(
            parent in "[ab*?]{0,7}",
            child in "[ab*?]{0,7}",
            word in "[abz]{0,12}",
        ) {
            if covers(&parent, &child) && naive(child.as_bytes(), word.as_bytes()) {
                prop_assert!(naive(parent.as_bytes(), word.as_bytes()));
            }
        }
    }
}
