//! YAML text to a small tree in which every node knows its line and column.
//!
//! Built from the parser's events, not from its own tree: so duplicate keys, anchors, aliases and tags are
//! faults with a place, all of them at once, and size, depth and node count have bounds. Never panics, whatever
//! the bytes are. Scalars stay text; `fields.rs` gives them types.

use super::fault::{Fault, Position, quoted};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use std::{borrow::Cow, collections::HashSet};

/// The largest file that is read.
pub(super) const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Deeper nesting than any of our files has.
const DEPTH_MAX: usize = 16;
/// Far more nodes than a price book of every known model has.
const NODES_MAX: usize = 200_000;

/// One value and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text as it stands in the file; quoted text is never a number or a switch.
    Scalar {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    Mapping(Vec<Entry>),
    /// Something that already is a fault, so that it is reported once.
    Refused,
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) value: Node,
}

/// Reads one file's bytes. Faults are added to `faults`; without a tree at least one was.
pub(super) fn parse(file: &str, bytes: &[u8], faults: &mut Vec<Fault>) -> Option<Node> {
    let text = match text_of(file, bytes) {
        Ok(text) => text,
        Err(fault) => {
            faults.push(fault);
            return None;
        }
    };
    let mut tree = Tree { file, faults, open: Vec::new(), root: None, nodes: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => tree.take(event, position(span.start)),
            Err(error) => Err((position(*error.marker()), format!("is not YAML: {}", error.info()))),
        };
        if let Err((at, problem)) = step {
            tree.fault(at, problem);
            return None;
        }
    }
    Some(tree.root.unwrap_or(Node { at: Position { line: 1, column: 1 }, value: Value::Null }))
}

fn text_of<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Fault> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Fault::of_file(file, format!("is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line_start = valid.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = memchr::memchr_iter(b'\n', valid).count() + 1;
        let at = Position { line, column: valid.len() - line_start + 1 };
        Fault { at, ..Fault::of_file(file, "is not UTF-8 text") }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(at) = text.find('\0') {
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        return Err(Fault {
            at: Position { line, column: 1 },
            ..Fault::of_file(file, "holds a NUL byte: is it YAML?")
        });
    }
    Ok(text)
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

type Halt = (Position, String);

/// A list or mapping whose end has not come.
enum Open {
    List(Position, Vec<Node>),
    Mapping { at: Position, entries: Vec<Entry>, seen: HashSet<String>, key: Option<Key> },
}

/// A key whose value has not come; `None` for a key that already is a fault.
struct Key(Option<(String, Position)>);

struct Tree<'a> {
    file: &'a str,
    faults: &'a mut Vec<Fault>,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
}

impl Tree<'_> {
    fn fault(&mut self, at: Position, problem: impl Into<String>) {
        self.faults.push(Fault { at, ..Fault::of_file(self.file, problem) });
    }

    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Halt> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err((at, format!("holds more than {NODES_MAX} values")));
        }
        match event {
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(at, anchor, tag.as_ref());
                self.open_one(at, Open::List(at, Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(at, anchor, tag.as_ref());
                self.open_one(at, Open::Mapping { at, entries: Vec::new(), seen: HashSet::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.open.pop() {
                    Some(Open::List(at, items)) => Node { at, value: Value::List(items) },
                    Some(Open::Mapping { at, entries, .. }) => Node { at, value: Value::Mapping(entries) },
                    None => return Err((at, "is not YAML: an end without a start".to_owned())),
                };
                self.put(node)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let refused = self.refuse_extras(at, anchor, tag.as_ref());
                let value = if refused { Value::Refused } else { scalar(text, style) };
                self.put(Node { at, value })
            }
            Event::Alias(_) => {
                self.fault(at, "aliases (`*name`) are not supported: write the value out");
                self.put(Node { at, value: Value::Refused })
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                Err((at, "holds more than one document: remove the `---` between them".to_owned()))
            }
            Event::DocumentStart(_) | Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {
                Ok(())
            }
        }
    }

    fn refuse_extras(&mut self, at: Position, anchor: usize, tag: Option<&Cow<'_, Tag>>) -> bool {
        if anchor > 0 {
            self.fault(at, "anchors (`&name`) are not supported: write the value out where it is used");
        }
        if let Some(tag) = tag {
            self.fault(at, format!("tags are not supported: remove {}", quoted(&tag.to_string())));
        }
        anchor > 0 || tag.is_some()
    }

    fn open_one(&mut self, at: Position, one: Open) -> Result<(), Halt> {
        if self.open.len() >= DEPTH_MAX {
            return Err((at, format!("is nested deeper than {DEPTH_MAX} levels")));
        }
        self.open.push(one);
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node) -> Result<(), Halt> {
        let mut refused = None;
        match self.open.last_mut() {
            None if self.root.is_some() => {
                return Err((node.at, "holds more than one document".to_owned()));
            }
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Mapping { entries, seen, key, .. }) => match key.take() {
                Some(Key(Some((key, at)))) => entries.push(Entry { key, at, value: node }),
                Some(Key(None)) => {}
                None => match node.value {
                    Value::Scalar { text, .. } if seen.insert(text.clone()) => *key = Some(Key(Some((text, node.at)))),
                    Value::Scalar { text, .. } => {
                        refused = Some((node.at, format!("the key {} stands here twice", quoted(&text))));
                        *key = Some(Key(None));
                    }
                    Value::Refused => *key = Some(Key(None)),
                    Value::Null | Value::List(_) | Value::Mapping(_) => {
                        refused = Some((node.at, "expected a name as key".to_owned()));
                        *key = Some(Key(None));
                    }
                },
            },
        }
        if let Some((at, problem)) = refused {
            self.fault(at, problem);
        }
        Ok(())
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Value {
    let quoted = style != ScalarStyle::Plain;
    if !quoted && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    Value::Scalar { text: text.into_owned(), quoted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let mut faults = Vec::new();
        let node = parse("f", text.as_bytes(), &mut faults);
        (node, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_node_knows_its_line_and_column() {
        let (node, faults) = read("a: 1\nb:\n  - x\n  - {c: d}\n");
        assert_eq!(faults, Vec::<String>::new());
        let Value::Mapping(entries) = node.unwrap().value else { panic!("a mapping") };
        assert_eq!(entries[1].at, Position { line: 2, column: 1 });
        let Value::List(items) = &entries[1].value.value else { panic!("a list") };
        assert_eq!(items[0].at, Position { line: 3, column: 5 });
        let Value::Mapping(inner) = &items[1].value else { panic!("a mapping") };
        assert_eq!(inner[0].value.at, Position { line: 4, column: 9 });
    }

    #[test]
    fn what_our_files_may_not_hold_is_a_fault_at_its_line() {
        for (text, line, says) in [
            ("a: 1\na: 2\n", "f:2:1:", "twice"),
            ("x: {a: 1,\n a: 2}\n", "f:2:2:", "twice"),
            ("a: &x 1\nb: *x\n", "f:2:4:", "aliases"),
            ("a: &x [1]\n", "f:1:", "anchors"),
            ("a: !!int 1\n", "f:1:", "tags"),
            ("a: !secret b\n", "f:1:", "tags"),
            ("? [a, b]\n: 1\n", "f:1:3:", "a name as key"),
            ("a: 1\n---\nb: 2\n", "f:2:1:", "more than one document"),
            ("a: [1, 2\n", "f:", "not YAML"),
            ("a:\n\t- b\n", "f:2:", "not YAML"),
            ("a: 'b\n", "f:", "not YAML"),
            ("a: b: c\n", "f:1:", "not YAML"),
            ("a: \"\\xzz\"\n", "f:1:", "not YAML"),
            ("\0", "f:1:1:", "NUL"),
        ] {
            let (_, faults) = read(text);
            assert!(faults.iter().any(|f| f.starts_with(line) && f.contains(says)), "{text:?}: {faults:?}");
        }
    }

    #[test]
    fn several_faults_are_reported_at_once() {
        let (node, faults) = read("a: &x 1\na: 2\nb: *x\nc: !t 3\n");
        assert!(node.is_some());
        assert_eq!(faults.len(), 4, "{faults:?}");
    }

    #[test]
    fn depth_size_and_number_of_values_have_bounds() {
        let laughs = (1..40).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
            format!("{text}a{n}: &a{n} [*a{p}, *a{p}, *a{p}, *a{p}]\n", p = n - 1)
        });
        for (text, says) in [
            ("[".repeat(100_000), "recursion limit"),
            ("[\n".repeat(100_000), "recursion limit"),
            ("a: ".to_owned() + &"[".repeat(20) + &"]".repeat(20), "nested deeper"),
            ("- ".repeat(100_000), "nested deeper"),
            ("{a: ".repeat(50_000), "not YAML"),
            ("? ".repeat(50_000), "nested deeper"),
            ("a: ".to_owned() + &"[1,".repeat(3) + &"2,".repeat(NODES_MAX), "values"),
            ("#".repeat(FILE_BYTES_MAX + 1), "larger than"),
            (laughs, "aliases"),
        ] {
            let (_, faults) = read(&text);
            assert!(faults.iter().any(|f| f.contains(says)), "{says}: {:?}", faults.first());
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_other_encodings_are_refused() {
        assert_eq!(read("\u{feff}a: 1\n").1, Vec::<String>::new());
        let mut faults = Vec::new();
        assert!(parse("f", b"a: 1\nb: \xff\xfe\n", &mut faults).is_none());
        assert_eq!(faults.first().unwrap().to_string(), "f:2:4: is not UTF-8 text");
    }

    #[test]
    fn an_empty_file_is_nothing() {
        for text in ["", "\n", "# only a comment\n", "---\n", "~\n"] {
            assert_eq!(read(text).0.map(|node| node.value), Some(Value::Null), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut faults = Vec::new();
            let node = parse("f", &bytes, &mut faults);
            prop_assert!(node.is_some() || !faults.is_empty());
        }

        #[test]
        fn no_punctuation_makes_it_panic(text in r#"[-?:,\[\]{}#&*!|>'"%@`a0 \n\t~\\]{0,80}"#) {
            let mut faults = Vec::new();
            let node = parse("f", text.as_bytes(), &mut faults);
            prop_assert!(node.is_some() || !faults.is_empty());
        }
    }
}
