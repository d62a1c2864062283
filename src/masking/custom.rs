//! What an organization adds: dictionaries of terms, and patterns. Both are compiled and bounded when they are saved.
//!
//! Patterns run on an automaton, so no pattern can take more than time in proportion to the text; bounds keep the size
//! of the automaton, and the number of matches that are looked for, small.

use super::{kind::Kind, text::is_word};
use aho_corasick::{AhoCorasick, MatchKind};
use regex::{Regex, RegexBuilder};
use std::fmt;

/// Terms of all dictionaries of one organization together.
const TERMS_MAX: usize = 50_000;
/// Bytes of all terms together.
const TERMS_BYTES_MAX: usize = 2 * 1024 * 1024;
const TERM_BYTES_MAX: usize = 256;
/// A shorter term would match everywhere.
const TERM_CHARS_MIN: usize = 2;
const PATTERNS_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 4096;
/// Alternatives belong in a dictionary.
const ALTERNATIVES_MAX: usize = 200;
const COMPILED_BYTES_MAX: usize = 1024 * 1024;
const NESTING_MAX: u32 = 32;
/// A longest match; what would match more is found in pieces or not at all.
const MATCH_BYTES_MAX: usize = 1024;

/// One thing to look for, and the kind that it is masked as.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// A word or phrase, in any case of letters, not within a longer word.
    Term { kind: Kind, text: String },
    /// A regular expression (syntax of the `regex` crate).
    Pattern { kind: Kind, text: String },
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, kind) = match self {
            Self::Term { kind, .. } => ("Term", kind),
            Self::Pattern { kind, .. } => ("Pattern", kind),
        };
        write!(f, "{what}({kind:?})")
    }
}

/// Why an entry cannot be saved; the number counts entries from zero.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomError {
    #[error("entry {0}: a term must have at least {TERM_CHARS_MIN} characters")]
    TermShort(usize),
    #[error("entry {0}: a term must have at most {TERM_BYTES_MAX} bytes")]
    TermLong(usize),
    #[error("at most {TERMS_MAX} terms, {TERMS_BYTES_MAX} bytes in all")]
    TermsMany,
    #[error("at most {PATTERNS_MAX} patterns; many fixed words belong in a dictionary")]
    PatternsMany,
    #[error("entry {0}: a pattern must have at most {PATTERN_BYTES_MAX} bytes")]
    PatternLong(usize),
    #[error("entry {0}: look-around and back-references are not supported; write what is to be masked itself")]
    LookAround(usize),
    #[error("entry {0}: more than {ALTERNATIVES_MAX} alternatives; put fixed words into a dictionary")]
    Alternatives(usize),
    #[error("entry {0}: the pattern matches the empty text, and so everywhere")]
    MatchesEmpty(usize),
    #[error("entry {0}: the pattern matches any text; name at least two characters that must stand there")]
    MatchesAnything(usize),
    #[error("entry {0}: the pattern is too large when compiled; make repetitions smaller or nest less")]
    TooLarge(usize),
    #[error("entry {0}: not a regular expression: {1}")]
    Syntax(usize, String),
}

/// An organization's dictionaries and patterns, compiled.
#[derive(Default)]
pub struct Custom {
    terms: Option<AhoCorasick>,
    kinds: Vec<Kind>,
    patterns: Vec<(Kind, Regex)>,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Custom({} terms, {} patterns)", self.kinds.len(), self.patterns.len())
    }
}

impl Custom {
    /// Compiles entries, or says what is wrong with the first bad one.
    pub fn compile(entries: &[Entry]) -> Result<Self, CustomError> {
        let mut custom = Self::default();
        let (mut terms, mut bytes) = (Vec::new(), 0_usize);
        for (i, entry) in entries.iter().enumerate() {
            match entry {
                Entry::Term { kind, text } => {
                    let term = text.trim();
                    if term.chars().count() < TERM_CHARS_MIN {
                        return Err(CustomError::TermShort(i));
                    }
                    if TERM_BYTES_MAX < term.len() {
                        return Err(CustomError::TermLong(i));
                    }
                    for form in cases(term) {
                        bytes = bytes.saturating_add(form.len());
                        terms.push(form);
                        custom.kinds.push(*kind);
                    }
                    if TERMS_MAX < terms.len() || TERMS_BYTES_MAX < bytes {
                        return Err(CustomError::TermsMany);
                    }
                }
                Entry::Pattern { kind, text } => {
                    if custom.patterns.len() == PATTERNS_MAX {
                        return Err(CustomError::PatternsMany);
                    }
                    custom.patterns.push((*kind, pattern(i, text)?));
                }
            }
        }
        if !terms.is_empty() {
            let automaton = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::LeftmostLongest)
                .build(&terms)
                .map_err(|_| CustomError::TermsMany)?;
            custom.terms = Some(automaton);
        }
        Ok(custom)
    }

    /// What of it stands in a text: kind, start, end.
    pub(super) fn find<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (Kind, usize, usize)> + 't {
        let bytes = text.as_bytes();
        let at = move |i: usize| bytes.get(i).copied().unwrap_or(0);
        let terms = self.terms.iter().flat_map(move |terms| terms.find_iter(text)).filter_map(move |found| {
            let (start, end) = (found.start(), found.end());
            let left = start == 0 || !is_word(at(start - 1)) || !is_word(at(start));
            let right = !is_word(at(end)) || !is_word(at(end - 1));
            let kind = self.kinds.get(found.pattern().as_usize())?;
            (left && right).then_some((*kind, start, end))
        });
        let patterns = self.patterns.iter().flat_map(move |(kind, pattern)| {
            pattern
                .find_iter(text)
                .filter(|found| found.len() <= MATCH_BYTES_MAX)
                .map(move |found| (*kind, found.start(), found.end()))
        });
        terms.chain(patterns)
    }
}

/// A term as it is, and in small and capital letters where ASCII rules do not reach.
fn cases(term: &str) -> Vec<String> {
    let mut forms = vec![term.to_owned()];
    if !term.is_ascii() {
        forms.extend([term.to_lowercase(), term.to_uppercase()]);
        forms.sort();
        forms.dedup();
    }
    forms
}

/// Compiles a pattern within its bounds.
fn pattern(i: usize, text: &str) -> Result<Regex, CustomError> {
    if PATTERN_BYTES_MAX < text.len() && text.matches('|').count() <= ALTERNATIVES_MAX {
        return Err(CustomError::PatternLong(i));
    }
    if ALTERNATIVES_MAX < text.matches('|').count() {
        return Err(CustomError::Alternatives(i));
    }
    if looks_around(text) {
        return Err(CustomError::LookAround(i));
    }
    let built = RegexBuilder::new(text)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build();
    let regex = match built {
        Ok(regex) => regex,
        Err(regex::Error::CompiledTooBig(_)) => return Err(CustomError::TooLarge(i)),
        Err(error) => {
            let message = error.to_string();
            let line = message.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or("syntax");
            return Err(CustomError::Syntax(i, line.to_owned()));
        }
    };
    if regex.is_match("") {
        return Err(CustomError::MatchesEmpty(i));
    }
    // A pattern that takes a whole paragraph of any script names nothing.
    let any = ["The quick brown fox; jumps.", "12 34-56 (78)", "\u{3042}\u{3044} \u{3046}", "~!@#"];
    if any.iter().all(|probe| regex.find(probe).is_some_and(|found| found.len() == probe.len() || found.len() <= 4)) {
        return Err(CustomError::MatchesAnything(i));
    }
    Ok(regex)
}

/// Look-ahead, look-behind, back-references: the engine refuses them, this says so in words.
fn looks_around(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut i = 0;
    let mut class = false;
    while let Some(byte) = bytes.get(i) {
        match byte {
            b'\\' => {
                if !class && bytes.get(i + 1).is_some_and(|next| matches!(next, b'1'..=b'9' | b'k')) {
                    return true;
                }
                i += 1;
            }
            b'[' => class = true,
            b']' => class = false,
            b'(' if !class => {
                let rest = bytes.get(i + 1..).unwrap_or(&[]);
                if [&b"?="[..], b"?!", b"?<=", b"?<!", b"?>"].iter().any(|mark| rest.starts_with(mark)) {
                    return true;
                }
            }
            _ => {}
        }
        i += 1;
    }
    false
}
