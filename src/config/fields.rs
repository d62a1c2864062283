//! Typed reading of a YAML tree: fields by name, each with its type and bound.
//!
//! Nothing stops at a fault: the reader notes it, takes the default and goes on, so all faults come out at once.
//! A field that nobody asked for is a fault with a suggestion. A value may be `env:NAME`, which stands for that
//! variable's text, or for the default while the variable is unset; secrets have rules of their own (`secret.rs`).

use super::{
    env::Env,
    fault::{Fault, Position, quoted},
    yaml::{Entry, Node, Value},
};
use crate::base::clock::Duration;
use std::{
    borrow::Cow,
    cell::RefCell,
    collections::BTreeSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// One file being read: collects its faults.
pub(super) struct Source<'e> {
    file: String,
    env: Env<'e>,
    faults: RefCell<Vec<Fault>>,
    /// Every field that was asked for, with `[]` and `*` for places that repeat.
    asked: RefCell<BTreeSet<String>>,
}

impl<'e> Source<'e> {
    /// Begins to read the file of that name.
    pub(super) fn new(file: impl Into<String>, env: Env<'e>) -> Self {
        Self { file: file.into(), env, faults: RefCell::default(), asked: RefCell::default() }
    }

    /// Reads the top of the file with `read`.
    pub(super) fn read<T>(&self, root: &Node, read: impl FnOnce(&Fields<'_>) -> T) -> T {
        let item = Item { source: self, name: Name::default(), node: root, from_env: None };
        item.section(read)
    }

    /// Notes a fault at a place.
    pub(super) fn fault(&self, at: Position, field: &str, problem: impl Into<String>) {
        let fault = Fault { file: self.file.clone(), at, field: field.to_owned(), problem: problem.into() };
        self.faults.borrow_mut().push(fault);
    }

    /// The environment that `env:NAME` refers to.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    /// Every field that was asked for, `listeners[].address`, `providers.*.upstream`.
    pub(super) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// How much was wrong so far.
    pub(super) fn fault_count(&self) -> usize {
        self.faults.borrow().len()
    }

    /// What was wrong.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }
}

/// A field's name with all its parents, as shown and as documented (`[]` and `*` for places that repeat).
#[derive(Debug, Clone, Default)]
struct Name {
    shown: String,
    documented: String,
}

impl Name {
    fn member(&self, name: &str) -> Self {
        let dot = if self.shown.is_empty() { "" } else { "." };
        Self { shown: format!("{}{dot}{name}", self.shown), documented: format!("{}{dot}{name}", self.documented) }
    }

    fn any_member(&self, name: &str) -> Self {
        Self { documented: self.member("*").documented, ..self.member(name) }
    }

    fn element(&self, at: usize) -> Self {
        Self { shown: format!("{}[{at}]", self.shown), documented: format!("{}[]", self.documented) }
    }
}

/// One value and the name that it stands under.
pub(super) struct Item<'a> {
    source: &'a Source<'a>,
    name: Name,
    node: &'a Node,
    from_env: Option<String>,
}

impl<'a> Item<'a> {
    /// Where it begins.
    pub(super) fn at(&self) -> Position {
        self.node.at
    }

    /// Its name with all its parents.
    pub(super) fn name(&self) -> &str {
        &self.name.shown
    }

    /// The file that it stands in.
    pub(super) fn source(&self) -> &'a Source<'a> {
        self.source
    }

    /// Notes that something is wrong with it.
    pub(super) fn fault(&self, problem: impl Into<String>) {
        self.source.fault(self.node.at, &self.name.shown, problem);
    }

    /// Whether it is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// The text that stands in the file, when it is a single value.
    pub(super) fn written(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Its text, unless it is no single value.
    fn scalar(&self) -> Option<(Cow<'_, str>, bool)> {
        match (&self.from_env, &self.node.value) {
            (Some(text), _) => Some((Cow::Borrowed(text), false)),
            (None, Value::Scalar { text, quoted }) => Some((Cow::Borrowed(text), *quoted)),
            _ => None,
        }
    }

    fn expected(&self, expected: &str) {
        let found = match (&self.from_env, &self.node.value) {
            (Some(_), Value::Scalar { text, .. }) => format!("another text in {text}"),
            (_, Value::Null) => "nothing".to_owned(),
            (_, Value::Scalar { text, .. }) => quoted(text),
            (_, Value::List(_)) => "a list".to_owned(),
            (_, Value::Mapping(_)) => "a mapping".to_owned(),
            (_, Value::Refused) => return,
        };
        self.fault(format!("expected {expected}, found {found}"));
    }

    /// The value as `parse` understands it; a fault says what was expected instead.
    pub(super) fn parsed<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = self.scalar().and_then(|(text, _)| parse(&text));
        if value.is_none() {
            self.expected(expected);
        }
        value
    }

    /// The text of a single value that is not empty.
    pub(super) fn text(&self, expected: &str) -> Option<String> {
        self.parsed(expected, |text| (!text.is_empty()).then(|| text.to_owned()))
    }

    fn unquoted<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        match self.scalar() {
            Some((text, true)) => {
                self.fault(format!("expected {expected}, found the text {}: remove the quotes", quoted(&text)));
                None
            }
            _ => self.parsed(expected, parse),
        }
    }

    /// A whole number within bounds.
    pub(super) fn whole<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Option<T> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.unquoted(&expected, |text| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse::<u64>().ok().filter(|number| digits && range.contains(number))?;
            T::try_from(number).ok()
        })
    }

    /// `true` or `false`.
    pub(super) fn switch(&self) -> Option<bool> {
        self.unquoted("true or false", |text| text.parse().ok())
    }

    /// Reads it as a mapping with known fields.
    pub(super) fn section<T>(&self, read: impl FnOnce(&Fields<'a>) -> T) -> T {
        let entries: &[Entry] = match &self.node.value {
            Value::Mapping(entries) => entries,
            Value::Null | Value::Refused => &[],
            Value::Scalar { .. } | Value::List(_) => {
                self.expected("a mapping of fields");
                &[]
            }
        };
        let fields = Fields {
            source: self.source,
            name: self.name.clone(),
            at: self.node.at,
            entries,
            known: RefCell::default(),
            silent: !matches!(self.node.value, Value::Mapping(_) | Value::Null),
        };
        let value = read(&fields);
        fields.finish();
        value
    }

    /// Its elements, when it is a list of at most so many.
    pub(super) fn elements(&self, count_max: usize) -> Vec<Item<'a>> {
        let Value::List(nodes) = &self.node.value else {
            self.expected("a list");
            return Vec::new();
        };
        if nodes.len() > count_max {
            self.fault(format!("expected at most {count_max} elements, found {}", nodes.len()));
        }
        let element = |(at, node)| Item { source: self.source, name: self.name.element(at), node, from_env: None };
        nodes.iter().take(count_max).enumerate().map(element).collect()
    }

    /// Its members, when it is a mapping of at most so many with names of the file's own choice.
    pub(super) fn members(&self, count_max: usize) -> Vec<(Key<'a>, Item<'a>)> {
        let Value::Mapping(entries) = &self.node.value else {
            self.expected("a mapping of names");
            return Vec::new();
        };
        if entries.len() > count_max {
            self.fault(format!("expected at most {count_max} members, found {}", entries.len()));
        }
        let member = |entry: &'a Entry| {
            let name = self.name.any_member(&entry.key);
            let key = Key { text: &entry.key, at: entry.at, name: name.shown.clone(), source: self.source };
            (key, Item { source: self.source, name, node: &entry.value, from_env: None })
        };
        entries.iter().take(count_max).map(member).collect()
    }
}

/// A key of a mapping whose names are the file's own choice.
pub(super) struct Key<'a> {
    pub(super) text: &'a str,
    at: Position,
    name: String,
    source: &'a Source<'a>,
}

impl Key<'_> {
    /// Notes that something is wrong with the key itself.
    pub(super) fn fault(&self, problem: impl Into<String>) {
        self.source.fault(self.at, &self.name, problem);
    }
}

/// The fields of one mapping. What nobody asks for is a fault at the end.
pub(super) struct Fields<'a> {
    source: &'a Source<'a>,
    name: Name,
    at: Position,
    entries: &'a [Entry],
    known: RefCell<Vec<&'static str>>,
    /// The mapping itself is a fault already: missing fields are no news.
    silent: bool,
}

impl<'a> Fields<'a> {
    /// The file that it stands in.
    pub(super) fn source(&self) -> &'a Source<'a> {
        self.source
    }

    /// Notes that the fields do not fit together.
    pub(super) fn fault(&self, problem: impl Into<String>) {
        self.source.fault(self.at, &self.name.shown, problem);
    }

    /// Whether the file gives this field a value, without asking for it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == name && entry.value.value != Value::Null)
    }

    /// A field as it stands in the file, `env:NAME` included; `None` when it is absent or null.
    pub(super) fn raw(&self, name: &'static str) -> Option<Item<'a>> {
        self.known.borrow_mut().push(name);
        let full = self.name.member(name);
        self.source.asked.borrow_mut().insert(full.documented.clone());
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        let item = Item { source: self.source, name: full, node: &entry.value, from_env: None };
        (entry.value.value != Value::Null).then_some(item)
    }

    /// A field; `None` when it is absent, null, or refers to a variable that is not set.
    pub(super) fn get(&self, name: &'static str) -> Option<Item<'a>> {
        let item = self.raw(name)?;
        let variable = match &item.node.value {
            Value::Scalar { text, .. } => text.strip_prefix("env:"),
            _ => None,
        };
        match variable {
            None => Some(item),
            Some(variable) => {
                let text = self.source.variable(variable).filter(|text| !text.is_empty())?;
                Some(Item { from_env: Some(text), ..item })
            }
        }
    }

    /// A field that must be there.
    pub(super) fn required(&self, name: &'static str, expected: &str) -> Option<Item<'a>> {
        let item = self.get(name);
        if item.is_none() && !self.silent {
            let field = self.name.member(name).shown;
            let entry = self.entries.iter().find(|entry| entry.key == name);
            let at = entry.map_or(self.at, |entry| entry.value.at);
            let problem = match entry.map(|entry| &entry.value.value) {
                Some(Value::Scalar { text, .. }) => format!("expected {expected}, but {text} is not set"),
                _ => format!("is missing: expected {expected}"),
            };
            self.source.fault(at, &field, problem);
        }
        item
    }

    /// A whole number within bounds, or its default.
    pub(super) fn whole<T: TryFrom<u64>>(&self, name: &'static str, default: T, range: RangeInclusive<u64>) -> T {
        self.get(name).and_then(|item| item.whole(range)).unwrap_or(default)
    }

    /// A whole number within bounds, when it is given.
    pub(super) fn whole_if_any<T: TryFrom<u64>>(&self, name: &'static str, range: RangeInclusive<u64>) -> Option<T> {
        self.get(name).and_then(|item| item.whole(range))
    }

    /// A duration in whole seconds.
    pub(super) fn seconds(&self, name: &'static str, default: Duration, range: RangeInclusive<u64>) -> Duration {
        self.get(name).and_then(|item| item.whole(range)).map_or(default, Duration::from_secs)
    }

    /// A duration in whole milliseconds.
    pub(super) fn millis(&self, name: &'static str, default: Duration, range: RangeInclusive<u64>) -> Duration {
        self.get(name).and_then(|item| item.whole(range)).map_or(default, Duration::from_millis)
    }

    /// A switch, or its default.
    pub(super) fn switch(&self, name: &'static str, default: bool) -> bool {
        self.get(name).and_then(|item| item.switch()).unwrap_or(default)
    }

    /// Text, when it is given.
    pub(super) fn text_if_any(&self, name: &'static str, expected: &str) -> Option<String> {
        self.get(name).and_then(|item| item.text(expected))
    }

    /// A path, made absolute against the working directory so that a daemon keeps it; when it is given.
    pub(super) fn path_if_any(&self, name: &'static str) -> Option<PathBuf> {
        self.get(name).and_then(|item| item.parsed("a path", |text| absolute(Path::new(text))))
    }

    /// A path, or its default, made absolute likewise.
    pub(super) fn path(&self, name: &'static str, default: &Path) -> PathBuf {
        self.path_if_any(name).or_else(|| absolute(default)).unwrap_or_else(|| default.to_owned())
    }

    /// A mapping with known fields. An absent one is read as an empty one.
    pub(super) fn section<T>(&self, name: &'static str, read: impl FnOnce(&Fields<'a>) -> T) -> T {
        match self.raw(name) {
            Some(item) => item.section(read),
            None => read(&Fields {
                source: self.source,
                name: self.name.member(name),
                at: self.at,
                entries: &[],
                known: RefCell::default(),
                silent: false,
            }),
        }
    }

    /// The elements of a list, when it is given.
    pub(super) fn elements(&self, name: &'static str, count_max: usize) -> Option<Vec<Item<'a>>> {
        self.raw(name).map(|item| item.elements(count_max))
    }

    /// The members of a mapping with names of the file's own choice, when it is given.
    pub(super) fn members(&self, name: &'static str, count_max: usize) -> Option<Vec<(Key<'a>, Item<'a>)>> {
        self.raw(name).map(|item| item.members(count_max))
    }

    fn finish(self) {
        let known = self.known.borrow();
        for entry in self.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let nearest = known.iter().map(|name| (distance(name, &entry.key), name)).min();
            let hint = match nearest {
                Some((steps, name)) if steps <= 1 + entry.key.chars().count() / 4 => {
                    format!("unknown field, did you mean {name:?}?")
                }
                _ => format!("unknown field: known are {}", known.join(", ")),
            };
            self.source.fault(entry.at, &self.name.member(&entry.key).shown, hint);
        }
    }
}

fn absolute(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}

/// Edits (insert, remove, replace) between two names; long names count as far apart.
fn distance(known: &str, found: &str) -> usize {
    const CHARS_MAX: usize = 64;
    let found: Vec<char> = found.chars().take(CHARS_MAX + 1).collect();
    if found.len() > CHARS_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=found.len()).collect();
    for (at, known) in known.chars().enumerate() {
        let mut left = at + 1;
        let mut next = vec![left];
        for (found, above) in found.iter().zip(row.windows(2)) {
            let (diagonal, above) = match above {
                [diagonal, above] => (*diagonal, *above),
                _ => continue,
            };
            left = (diagonal + usize::from(known != *found)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn faults(text: &str, read: impl FnOnce(&Fields<'_>)) -> Vec<String> {
        let env = |name: &str| (name == "PORT").then(|| "80".to_owned());
        let mut syntax = Vec::new();
        let root = yaml::parse("f", text.as_bytes(), &mut syntax).unwrap();
        let source = Source::new("f", &env);
        source.read(&root, read);
        syntax.into_iter().chain(source.into_faults()).map(|fault| fault.to_string()).collect()
    }

    #[test]
    fn a_wrong_value_says_what_was_expected_and_found() {
        let read = |f: &Fields<'_>| {
            let port: u16 = f.whole("port", 1, 1..=65535);
            assert_eq!(port, 1, "the default stands in for a wrong value");
        };
        for (text, says) in [
            ("port: many", "f:1:7: port: expected a whole number from 1 to 65535, found \"many\""),
            ("port: 0", "found \"0\""),
            ("port: 65536", "found \"65536\""),
            ("port: -1", "found \"-1\""),
            ("port: +1", "found \"+1\""),
            ("port: 1.5", "found \"1.5\""),
            ("port: 1_000", "found \"1_000\""),
            ("port: 0x10", "found \"0x10\""),
            ("port: 99999999999999999999", "found"),
            ("port: '80'", "remove the quotes"),
            ("port: [80]", "found a list"),
            ("port: {a: 1}", "found a mapping"),
            ("- 1", "expected a mapping of fields, found a list"),
            ("text", "expected a mapping of fields, found \"text\""),
        ] {
            let faults = faults(text, read);
            assert!(faults.len() == 1 && faults[0].contains(says), "{text}: {faults:?}");
        }
    }

    #[test]
    fn absent_and_null_fields_take_the_default() {
        for text in ["", "port:", "port: null", "port: ~", "port: env:UNSET"] {
            let faults = faults(text, |f| assert_eq!(f.whole::<u16>("port", 7, 1..=9), 7));
            assert!(faults.is_empty(), "{text}: {faults:?}");
        }
    }

    #[test]
    fn a_value_may_come_from_the_environment_and_is_not_shown_when_wrong() {
        assert!(faults("port: env:PORT", |f| assert_eq!(f.whole::<u16>("port", 7, 1..=99), 80)).is_empty());
        let faults = faults("port: env:PORT", |f| assert_eq!(f.whole::<u16>("port", 7, 1..=9), 7));
        assert_eq!(faults, ["f:1:7: port: expected a whole number from 1 to 9, found another text in env:PORT"]);
    }

    #[test]
    fn an_unknown_field_is_a_fault_with_a_suggestion() {
        let read = |f: &Fields<'_>| {
            f.section("server", |f| {
                let _: u16 = f.whole("threads", 1, 1..=9);
            });
        };
        assert_eq!(
            faults("server:\n  thread: 3\n", read),
            ["f:2:3: server.thread: unknown field, did you mean \"threads\"?"]
        );
        assert_eq!(faults("zzz: 1", read), ["f:1:1: zzz: unknown field: known are server"]);
        assert_eq!(faults("server: {a: 1, b: 2}\nc: 1", read).len(), 3);
    }

    #[test]
    fn a_required_field_that_is_missing_is_a_fault_of_its_mapping() {
        let read = |f: &Fields<'_>| {
            f.section("a", |f| assert!(f.required("b", "a URL").is_none()));
        };
        assert_eq!(faults("a:\n  {}", read), ["f:2:3: a.b: is missing: expected a URL"]);
        assert_eq!(faults("a: {b: env:NONE}", read), ["f:1:8: a.b: expected a URL, but env:NONE is not set"]);
        assert_eq!(faults("a: 1", read), ["f:1:4: a: expected a mapping of fields, found \"1\""]);
    }

    #[test]
    fn lists_and_members_have_bounds_and_names() {
        let read = |f: &Fields<'_>| {
            for item in f.elements("l", 2).unwrap_or_default() {
                item.switch();
            }
            for (key, item) in f.members("m", 2).unwrap_or_default() {
                key.fault("bad name");
                item.switch();
            }
        };
        assert_eq!(faults("l: [true, 1]", read), ["f:1:11: l[1]: expected true or false, found \"1\""]);
        assert_eq!(faults("l: [true, true, true]", read), ["f:1:4: l: expected at most 2 elements, found 3"]);
        assert_eq!(
            faults("m: {x: no}", read),
            ["f:1:5: m.x: bad name", "f:1:8: m.x: expected true or false, found \"no\""]
        );
        assert_eq!(faults("l: {}\nm: []", read).len(), 2);
    }

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [("", "", 0), ("a", "", 1), ("", "ab", 2), ("threads", "thread", 1), ("abc", "acb", 2)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
        assert_eq!(distance("a", &"x".repeat(100)), usize::MAX);
    }
}
