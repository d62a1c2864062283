//! Placeholders: one per distinct value and kind, none that the prompt itself already holds; and the map back.

use super::{
    grammar::{self, Reading},
    kind::{Counts, Finding, Kind},
    restore::{JsonState, Restorer},
    text::Text,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::{
    collections::{HashMap, HashSet},
    fmt,
};
use zeroize::Zeroizing;

/// The digits of a placeholder that is not ours; beyond that it is none.
const INDEX_DIGITS_MAX: usize = 9;
/// The letters of a stable placeholder, five bits each.
const STABLE_LETTERS: usize = 10;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A text without its findings, and the way back.
pub struct Masked {
    pub text: String,
    pub map: Map,
    pub counts: Counts,
    /// The findings, by their place in the text that came in.
    pub findings: Vec<Finding>,
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masked").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// What an organization's stable placeholders are derived from; wiped on drop.
pub struct StableKey(Zeroizing<[u8; 32]>);

impl StableKey {
    /// A key of 32 random bytes, one for each organization.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for StableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StableKey(***)")
    }
}

/// A value that was taken out of a text.
pub(super) struct Held {
    pub(super) value: Zeroizing<String>,
    /// It stood between `<` and `>`, so that doubled brackets around its placeholder are one pair too many, not two.
    pub(super) bracketed: bool,
    /// It stood within a string of JSON, and so is escaped already.
    pub(super) in_json: bool,
}

/// How freely a map reads placeholders. The loosest manner that gives the masked text back exactly is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Every form of the grammar, escaping within JSON.
    Free,
    /// Every form of the grammar, nothing escaped.
    Plain,
    /// `<EMAIL_1>` alone.
    Exact,
}

/// The way from placeholders back to values. Lives as long as one request; its values are wiped on drop.
pub struct Map {
    held: HashMap<String, Held>,
    manner: Manner,
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({} values)", self.held.len())
    }
}

impl Map {
    /// A map of placeholders, such as `<EMAIL_1>`, and values that were issued elsewhere.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let held = pairs
            .into_iter()
            .map(|(name, value)| {
                let name = name.trim_start_matches('<').trim_end_matches('>').to_owned();
                (name, Held { value: Zeroizing::new(value.to_owned()), bracketed: false, in_json: false })
            })
            .collect();
        Self { held, manner: Manner::Free }
    }

    /// The answer with every placeholder of this map replaced by its value, in one pass.
    pub fn restore(&self, answer: &str) -> String {
        let mut restorer = Restorer::new(self);
        let mut restored = restorer.push(answer);
        restored.push_str(&restorer.finish());
        restored
    }

    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Held> {
        self.held.get(name)
    }

    pub(super) fn manner(&self) -> Manner {
        self.manner
    }
}

/// Replaces findings, which are ordered and do not overlap.
pub(super) fn mask(text: &str, findings: &[Finding], key: Option<&StableKey>) -> Masked {
    let mut counts = Counts::default();
    let mut map = Map { held: HashMap::new(), manner: Manner::Free };
    let mut masked = String::with_capacity(text.len());
    if findings.is_empty() {
        masked.push_str(text);
    } else {
        let mut names = Names::new(text, key);
        let view = Text::new(text);
        let mut json = JsonState::default();
        let mut at = 0;
        for finding in findings {
            let (between, value) = (view.slice(at, finding.start), view.slice(finding.start, finding.end));
            json.feed(between);
            masked.push_str(between);
            at = finding.end;
            let name = names.of(finding.kind, value);
            masked.push('<');
            masked.push_str(&name);
            masked.push('>');
            counts.add(finding.kind);
            let bracketed = view.before(finding.start) == b'<' && view.at(finding.end) == b'>';
            let in_json = json.in_string();
            let held = map.held.entry(name).or_insert_with(|| Held {
                value: Zeroizing::new(value.to_owned()),
                bracketed: false,
                in_json,
            });
            held.bracketed |= bracketed;
        }
        masked.push_str(view.slice(at, text.len()));
        for manner in [Manner::Free, Manner::Plain, Manner::Exact] {
            map.manner = manner;
            if Zeroizing::new(map.restore(&masked)).as_str() == text {
                break;
            }
        }
    }
    Masked { text: masked, map, counts, findings: findings.to_vec() }
}

/// Gives out the names of placeholders.
struct Names<'a> {
    given: HashMap<(Kind, &'a str), String>,
    taken: HashSet<String>,
    next: HashMap<Kind, u32>,
    key: Option<&'a StableKey>,
}

impl<'a> Names<'a> {
    fn new(text: &'a str, key: Option<&'a StableKey>) -> Self {
        Self { given: HashMap::new(), taken: written(text), next: HashMap::new(), key }
    }

    fn of(&mut self, kind: Kind, value: &'a str) -> String {
        if let Some(name) = self.given.get(&(kind, value)) {
            return name.clone();
        }
        let name = match self.key {
            Some(key) => self.stable(kind, value, key),
            None => self.counted(kind),
        };
        self.taken.insert(name.clone());
        self.given.insert((kind, value), name.clone());
        name
    }

    fn counted(&mut self, kind: Kind) -> String {
        let next = self.next.entry(kind).or_insert(0);
        loop {
            *next += 1;
            let name = format!("{}_{next}", kind.name());
            if !self.taken.contains(&name) {
                return name;
            }
        }
    }

    /// A name from a keyed hash of kind and value; longer, should two values of one text share it.
    fn stable(&self, kind: Kind, value: &str, key: &StableKey) -> String {
        let mut round = 0_u8;
        loop {
            let mut name = format!("{}_", kind.name());
            if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.0.as_slice()) {
                for part in [kind.name().as_bytes(), &[0, round], value.as_bytes()] {
                    mac.update(part);
                }
                let tag = mac.finalize().into_bytes();
                name.extend(
                    tag.iter()
                        .take(STABLE_LETTERS)
                        .filter_map(|byte| BASE32.get(usize::from(byte & 31)).map(|letter| char::from(*letter))),
                );
            }
            if !self.taken.contains(&name) || round == u8::MAX {
                return name;
            }
            round += 1;
        }
    }
}

/// The names of all that the text itself writes like one of our placeholders.
fn written(text: &str) -> HashSet<String> {
    let view = Text::new(text);
    let mut taken = HashSet::new();
    let mut at = 0;
    while at < view.len() {
        if grammar::may_begin(view.at(at))
            && let Reading::Found(mention) = grammar::read(view, at, true, &is_ours)
        {
            taken.insert(mention.name);
        }
        at += 1;
    }
    taken
}

/// Whether a name could be one that we give out.
fn is_ours(name: &str) -> bool {
    name.rsplit_once('_').is_some_and(|(kind, index)| {
        let counted = index.len() <= INDEX_DIGITS_MAX && index.bytes().all(|byte| byte.is_ascii_digit());
        let stable = index.len() == STABLE_LETTERS && index.bytes().all(|byte| BASE32.contains(&byte));
        (counted || stable) && !index.is_empty() && Kind::of_name(kind).is_some()
    })
}
