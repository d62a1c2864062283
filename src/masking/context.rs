//! Which telling words stand around a place. Words are found once per text; asking is a look at a sorted list.

use super::{
    text::Text,
    token::PREFIXES,
    words::{Tag, WORDS},
};
use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};
use std::collections::HashMap;

/// The longest word that is looked for, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// A telling word in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) tag: Tag,
}

/// A word as the automaton knows it: may letters stand before it or after it, and what it says.
struct Word {
    open_before: bool,
    open_after: bool,
    tags: Vec<Tag>,
}

/// All words in one automaton.
pub(super) struct Lexicon {
    automaton: AhoCorasick,
    words: Vec<Word>,
}

impl Lexicon {
    pub(super) fn new() -> Result<Self, BuildError> {
        let mut known: HashMap<(String, bool, bool), usize> = HashMap::new();
        let (mut patterns, mut words) = (Vec::new(), Vec::<Word>::new());
        let mut add = |text: String, open_before: bool, open_after: bool, tag: Tag| {
            let at = *known.entry((text.clone(), open_before, open_after)).or_insert_with(|| {
                patterns.push(text);
                words.push(Word { open_before, open_after, tags: Vec::new() });
                words.len() - 1
            });
            if let Some(word) = words.get_mut(at)
                && !word.tags.contains(&tag)
            {
                word.tags.push(tag);
            }
        };
        for (tag, list) in WORDS {
            for word in list.split('|').map(str::trim).filter(|word| !word.is_empty()) {
                let (open_before, open_after) = (word.starts_with('*'), word.ends_with('*'));
                for form in forms(word.trim_matches('*')) {
                    add(form, open_before, open_after, *tag);
                }
            }
        }
        for (index, prefix) in (0_u8..).zip(PREFIXES) {
            add(prefix.text.to_ascii_lowercase(), true, true, Tag::Prefix(index));
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&patterns)?;
        Ok(Self { automaton, words })
    }

    /// The words of a text, by where they begin.
    pub(super) fn hits(&self, text: Text<'_>) -> Hits {
        let mut list = Vec::with_capacity(text.len() / 12);
        for found in self.automaton.find_overlapping_iter(text.str()) {
            let Some(word) = self.words.get(found.pattern().as_usize()) else { continue };
            let (start, end) = (found.start(), found.end());
            let before = word.open_before || !joined(text.before(start), text.at(start));
            let after = word.open_after || !joined(text.before(end), text.at(end));
            if before && after {
                list.extend(word.tags.iter().map(|&tag| Hit { start, end, tag }));
            }
        }
        list.sort_unstable_by_key(|hit| hit.start);
        Hits(list)
    }
}

/// The ways to write a word: as it is, as the name of a field, and capitalised where ASCII rules do not reach.
fn forms(word: &str) -> Vec<String> {
    let mut forms = vec![word.to_owned()];
    if word.contains(' ') {
        forms.extend(["_", "-", "", "\u{a0}"].map(|joint| word.replace(' ', joint)));
    }
    if !word.is_ascii() {
        let mut capital = word.chars();
        if let Some(first) = capital.next() {
            forms.push(first.to_uppercase().chain(capital).collect());
        }
        forms.push(word.to_uppercase());
    }
    forms.sort();
    forms.dedup();
    forms
}

/// Whether two neighbours belong to one word; a capital after a small letter begins another.
fn joined(left: u8, right: u8) -> bool {
    (left.is_ascii_alphanumeric()
        && right.is_ascii_alphanumeric()
        && !(left.is_ascii_lowercase() && right.is_ascii_uppercase())
        && left.is_ascii_digit() == right.is_ascii_digit())
        || ((0xC3..0xCA).contains(&left) && right.is_ascii_alphabetic())
        || (left.is_ascii_alphabetic() && (0xC3..0xC6).contains(&right))
}

/// The telling words of one text.
pub(super) struct Hits(Vec<Hit>);

impl Hits {
    pub(super) fn iter(&self) -> impl Iterator<Item = Hit> {
        self.0.iter().copied()
    }

    /// The nearest word within `reach` bytes before a place that the question accepts; its distance.
    pub(super) fn before<T>(&self, place: usize, reach: usize, ask: impl Fn(Tag) -> Option<T>) -> Option<(T, usize)> {
        let from = place.saturating_sub(reach + WORD_BYTES_MAX);
        let end = self.0.partition_point(|hit| hit.start < place);
        let mut best: Option<(T, usize)> = None;
        for hit in self.0.get(..end).unwrap_or(&[]).iter().rev() {
            if hit.start < from {
                break;
            }
            if place < hit.end {
                continue;
            }
            let distance = place - hit.end;
            if reach < distance || best.as_ref().is_some_and(|(_, least)| *least <= distance) {
                continue;
            }
            if let Some(said) = ask(hit.tag) {
                best = Some((said, distance));
            }
        }
        best
    }

    /// The nearest word within `reach` bytes after a place that the question accepts; its distance.
    pub(super) fn after<T>(&self, place: usize, reach: usize, ask: impl Fn(Tag) -> Option<T>) -> Option<(T, usize)> {
        let begin = self.0.partition_point(|hit| hit.start < place);
        self.0
            .get(begin..)
            .unwrap_or(&[])
            .iter()
            .take_while(|hit| hit.start - place <= reach)
            .find_map(|hit| ask(hit.tag).map(|said| (said, hit.start - place)))
    }

    /// Whether a word with that tag stands around a span.
    pub(super) fn around(&self, start: usize, end: usize, tag: Tag, reach: usize) -> bool {
        let ask = |found: Tag| (found == tag).then_some(());
        self.before(start, reach, ask).is_some() || self.after(end, reach, ask).is_some()
    }
}
