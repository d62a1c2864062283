//! Finds chosen members of a JSON text that streams by, without a tree and in bounded memory.
//!
//! A dialect says as a small tree of [`Node`]s which members it wants, at which place. Everything else is passed
//! over at the pace of `memchr`, whatever its size or depth: nesting is counted, never followed by recursion. A
//! wanted value is handed on as the bytes it stands in, without a copy when it lies within one fragment; text that
//! is only to be counted is handed on in fragments. It trusts nothing and checks nothing: a text that is no JSON
//! finds nothing, or nonsense, but never fails.

use super::sse::Name;
use memchr::memchr2;

/// How deep wanted members can stand; arrays count.
const DEPTH_MAX: usize = 16;
/// The longest value that is handed on; a longer one is passed over.
pub const VALUE_BYTES_MAX: usize = 16 * 1024;

/// What a wanted member means to the meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// The answer's id.
    Id,
    /// The model that answered.
    Model,
    /// The model that does something else beside it, whose figures come apart.
    AsideModel,
    /// The service tier.
    Tier,
    /// Figures of what was used, as an object.
    Usage,
    /// The same of another model, which is named among them.
    AsideUsage,
    /// What went wrong: anything but null.
    Error,
    /// What kind of event this is.
    Kind,
    /// Why the answer ended: anything but null.
    Finish,
    /// What a tool of the provider's did; `search` is counted.
    ToolAction,
    /// What was searched for: each is counted.
    Search,
    /// An image, or what comes with each: they are counted.
    Image,
    /// How long what was heard is, in seconds.
    Seconds,
    /// `true`: a part of the answer is over.
    PartEnd,
    /// Text that a model wrote: its characters are counted.
    Text,
    /// Text that a model thought: its characters are counted.
    Thought,
    /// An object or array whose whole text is counted as it stands.
    Raw,
}

/// A member that is wanted, or on the way to one. Arrays are transparent: a node is about each element.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    pub key: &'static str,
    pub take: Option<Take>,
    pub inside: &'static [Node],
}

impl Node {
    /// A member that is wanted itself.
    pub const fn take(key: &'static str, take: Take) -> Self {
        Self { key, take: Some(take), inside: &[] }
    }

    /// A member in which others are wanted.
    pub const fn inside(key: &'static str, inside: &'static [Self]) -> Self {
        Self { key, take: None, inside }
    }
}

/// A value as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw<'a> {
    /// What stands between the quotes, escapes unresolved.
    String(&'a [u8]),
    /// A number, a word, an object or an array.
    Other(&'a [u8]),
}

/// Receives what a scanner finds.
pub trait Sink {
    /// A wanted value, whole.
    fn value(&mut self, take: Take, raw: Raw<'_>);
    /// Part of a text that is to be counted, of whatever length.
    fn text(&mut self, take: Take, part: &[u8]);
    /// The text of which parts came is over.
    fn text_end(&mut self, take: Take);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Between the tokens of a container that is followed.
    Token,
    /// In a member's name.
    Key,
    /// In a string, a scalar or a container that is passed over or wanted.
    String(Option<Take>),
    Scalar(Take),
    Container(Option<Take>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Key,
    Value,
    /// A comma, a colon or an end.
    Punctuation,
}

/// A container that is followed.
#[derive(Debug, Clone, Copy)]
struct Frame {
    node: &'static Node,
    is_object: bool,
}

/// The scanner: one JSON text, or several one after another, fed fragment by fragment.
#[derive(Debug)]
pub struct Scanner {
    root: &'static Node,
    frames: [Frame; DEPTH_MAX],
    depth: usize,
    at: At,
    expect: Expect,
    /// What is wanted of the next value.
    node: Option<&'static Node>,
    key: Name,
    /// Where the scanner stands in a container that it does not follow, or in any string.
    nested: u64,
    in_string: bool,
    escaped: bool,
    /// The beginning of a wanted value that came in earlier fragments.
    held: Vec<u8>,
    too_long: bool,
    documents: u64,
}

impl Scanner {
    /// A scanner for what `root` (whose key does not matter) wants.
    pub fn new(root: &'static Node) -> Self {
        Self {
            root,
            frames: [Frame { node: root, is_object: false }; DEPTH_MAX],
            depth: 0,
            at: At::Token,
            expect: Expect::Value,
            node: Some(root),
            key: Name::default(),
            nested: 0,
            in_string: false,
            escaped: false,
            held: Vec::new(),
            too_long: false,
            documents: 0,
        }
    }

    /// How many objects or arrays came to their end.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Whether nothing is open: no object, no array, no string.
    pub fn is_at_rest(&self) -> bool {
        self.at == At::Token && self.depth == 0
    }

    /// Forgets an unfinished text and starts afresh.
    pub fn restart(&mut self) {
        self.depth = 0;
        self.at = At::Token;
        self.expect = Expect::Value;
        self.node = Some(self.root);
        self.nested = 0;
        self.in_string = false;
        self.escaped = false;
        self.held.clear();
        self.too_long = false;
    }

    /// Reads the next fragment.
    pub fn read(&mut self, fragment: &[u8], sink: &mut impl Sink) {
        let mut rest = fragment;
        while !rest.is_empty() {
            rest = match self.at {
                At::Token => self.token(rest, sink),
                At::Key => self.key(rest),
                At::String(take) => self.string(rest, take, sink),
                At::Scalar(take) => self.scalar(rest, take, sink),
                At::Container(take) => self.container(rest, take, sink),
            };
        }
    }

    fn token<'f>(&mut self, mut rest: &'f [u8], sink: &mut impl Sink) -> &'f [u8] {
        while let Some((first, after)) = rest.split_first() {
            match first {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'"' => {
                    self.begin_string();
                    return after;
                }
                b'{' | b'[' => {
                    if !self.follow(*first == b'{', sink) {
                        return rest; // the opening bracket belongs to the value
                    }
                }
                b'}' | b']' => self.leave(),
                b':' => self.expect = Expect::Value,
                b',' => self.separate(),
                _ => {
                    let take = self.node.and_then(|node| node.take).filter(|_| self.expect == Expect::Value);
                    self.expect = Expect::Punctuation;
                    if let Some(take) = take {
                        self.at = At::Scalar(take);
                        return rest;
                    }
                }
            }
            rest = after;
        }
        rest
    }

    fn begin_string(&mut self) {
        if self.expect == Expect::Key {
            self.key.clear();
            self.at = At::Key;
        } else {
            let wanted = self.node.filter(|_| self.expect == Expect::Value);
            self.at = At::String(wanted.and_then(|node| node.take));
        }
        self.expect = Expect::Punctuation;
    }

    /// Steps into a container in which something is wanted; `false` when it is passed over or wanted as a whole.
    fn follow(&mut self, is_object: bool, sink: &mut impl Sink) -> bool {
        let node = self.node.filter(|_| self.expect == Expect::Value);
        self.expect = Expect::Punctuation;
        let take = node.and_then(|node| node.take);
        if let (Some(node), Some(frame)) = (node, self.frames.get_mut(self.depth))
            && (!node.inside.is_empty()
                || !is_object && take.is_some_and(|take| !matches!(take, Take::Error | Take::Raw)))
        {
            *frame = Frame { node, is_object };
            self.depth += 1;
            (self.expect, self.node) = if is_object { (Expect::Key, None) } else { (Expect::Value, Some(node)) };
            return true;
        }
        if take == Some(Take::Error) {
            sink.value(Take::Error, Raw::Other(b"{}"));
        }
        let is_followed = |take: &Take| matches!(take, Take::Usage | Take::AsideUsage | Take::Raw);
        self.at = At::Container(take.filter(is_followed));
        false
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.expect = Expect::Punctuation;
        if self.depth == 0 {
            self.close_root();
        }
    }

    fn close_root(&mut self) {
        self.documents += 1;
        self.expect = Expect::Value;
        self.node = Some(self.root);
    }

    fn separate(&mut self) {
        let Some(frame) = self.depth.checked_sub(1).and_then(|top| self.frames.get(top)) else { return };
        (self.expect, self.node) =
            if frame.is_object { (Expect::Key, None) } else { (Expect::Value, Some(frame.node)) };
    }

    fn key<'f>(&mut self, rest: &'f [u8]) -> &'f [u8] {
        let end = string_end(rest, &mut self.escaped);
        let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let is_whole = self.key.is_empty() && end.is_some();
        if !is_whole {
            self.key.push(part);
        }
        let Some(end) = end else { return &[] };
        let key = if is_whole { part } else { self.key.as_bytes() };
        let inside = self.depth.checked_sub(1).and_then(|top| self.frames.get(top)).map(|frame| frame.node.inside);
        self.node = inside.unwrap_or_default().iter().find(|node| node.key.as_bytes() == key);
        self.at = At::Token;
        rest.get(end + 1..).unwrap_or_default()
    }

    fn string<'f>(&mut self, rest: &'f [u8], take: Option<Take>, sink: &mut impl Sink) -> &'f [u8] {
        let end = string_end(rest, &mut self.escaped);
        let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        match take {
            None => {}
            Some(take @ (Take::Text | Take::Thought | Take::Image)) => {
                sink.text(take, part);
                if end.is_some() {
                    sink.text_end(take);
                }
            }
            Some(take) if end.is_some() => self.hand_on(part, |raw| sink.value(take, Raw::String(raw))),
            Some(_) => self.hold(part),
        }
        let Some(end) = end else { return &[] };
        self.at = At::Token;
        self.end_value();
        rest.get(end + 1..).unwrap_or_default()
    }

    fn scalar<'f>(&mut self, rest: &'f [u8], take: Take, sink: &mut impl Sink) -> &'f [u8] {
        let is_end =
            |byte: &u8| matches!(byte, b',' | b'}' | b']' | b':' | b'"' | b'{' | b'[') || byte.is_ascii_whitespace();
        let Some(end) = rest.iter().position(is_end) else {
            self.hold(rest);
            return &[];
        };
        let (part, rest) = rest.split_at_checked(end).unwrap_or_default();
        self.hand_on(part, |raw| sink.value(take, Raw::Other(raw)));
        self.at = At::Token;
        rest
    }

    fn container<'f>(&mut self, rest: &'f [u8], take: Option<Take>, sink: &mut impl Sink) -> &'f [u8] {
        let end = self.container_end(rest);
        let (part, rest) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or_default();
        match take {
            None => {}
            Some(Take::Raw) => {
                sink.text(Take::Raw, part);
                if end.is_some() {
                    sink.text_end(Take::Raw);
                }
            }
            Some(take) if end.is_some() => self.hand_on(part, |raw| sink.value(take, Raw::Other(raw))),
            Some(_) => self.hold(part),
        }
        if end.is_some() {
            self.at = At::Token;
            self.end_value();
        }
        rest
    }

    /// A value that stands alone in the text ends with it.
    fn end_value(&mut self) {
        if self.depth == 0 {
            self.close_root();
        }
    }

    /// Where the container ends that began where `nested` was 0: one past its last bracket.
    fn container_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let tail = bytes.get(at..).unwrap_or_default();
            if self.in_string {
                at += string_end(tail, &mut self.escaped)? + 1;
                self.in_string = false;
                continue;
            }
            let found = landmark(tail)?;
            at += found + 1;
            match tail.get(found)? {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.nested += 1,
                _ => {
                    self.nested = self.nested.saturating_sub(1);
                    if self.nested == 0 {
                        return Some(at);
                    }
                }
            }
        }
    }

    fn hold(&mut self, part: &[u8]) {
        self.too_long |= self.held.len() + part.len() > VALUE_BYTES_MAX;
        if !self.too_long {
            self.held.extend_from_slice(part);
        }
    }

    fn hand_on(&mut self, part: &[u8], mut receive: impl FnMut(&[u8])) {
        if self.held.is_empty() && !self.too_long {
            if part.len() <= VALUE_BYTES_MAX {
                receive(part);
            }
            return;
        }
        self.hold(part);
        let held = std::mem::take(&mut self.held);
        if !self.too_long {
            receive(&held);
        }
        self.too_long = false;
    }
}

/// Where the string ends in whose middle `bytes` begin: at its closing quote. `escaped` says whether the next byte is.
fn string_end(bytes: &[u8], escaped: &mut bool) -> Option<usize> {
    let mut from = usize::from(*escaped && !bytes.is_empty());
    *escaped &= bytes.is_empty();
    loop {
        let found = from + memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes.get(found) == Some(&b'"') {
            return Some(found);
        }
        from = found + 2;
        if from > bytes.len() {
            *escaped = true;
            return None;
        }
    }
}

/// The next quote or bracket. It is near as a rule; long stretches without any, such as numbers, are passed over a
/// block at a time, in a loop that compilers turn into vector instructions.
fn landmark(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 16;
    const BLOCK: usize = 64;
    let near = bytes.get(..NEAR).unwrap_or(bytes);
    if let Some(found) = near.iter().position(|byte| is_landmark(*byte)) {
        return Some(found);
    }
    let far = bytes.get(near.len()..)?;
    let has_none = |block: &&[u8]| !block.iter().fold(false, |seen, byte| seen | is_landmark(*byte));
    let from = far.chunks_exact(BLOCK).take_while(has_none).count() * BLOCK;
    let found = far.get(from..)?.iter().position(|byte| is_landmark(*byte))?;
    Some(near.len() + from + found)
}

fn is_landmark(byte: u8) -> bool {
    // this bit alone tells `[` from `{` and `]` from `}`
    byte == b'"' || matches!(byte | 0x20, b'{' | b'}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static ROOT: Node = Node::inside(
        "",
        &[
            Node::take("id", Take::Id),
            Node::take("usage", Take::Usage),
            Node::take("error", Take::Error),
            Node::inside("choices", &[Node::inside("delta", &[Node::take("content", Take::Text)])]),
            Node { key: "content", take: Some(Take::Text), inside: &[Node::take("text", Take::Text)] },
            Node::inside("response", &[Node::take("id", Take::Id), Node::take("usage", Take::Usage)]),
        ],
    );

    #[derive(Default)]
    struct Found {
        values: Vec<String>,
        text: String,
    }

    impl Sink for Found {
        fn value(&mut self, take: Take, raw: Raw<'_>) {
            let (quote, bytes) = match raw {
                Raw::String(bytes) => ("'", bytes),
                Raw::Other(bytes) => ("", bytes),
            };
            self.values.push(format!("{take:?}={quote}{}{quote}", String::from_utf8_lossy(bytes)));
        }
        fn text(&mut self, _: Take, part: &[u8]) {
            self.text.extend(part.iter().map(|byte| char::from(*byte)));
        }
        fn text_end(&mut self, _: Take) {
            self.text.push('|');
        }
    }

    fn scan<'a>(fragments: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, String, bool, u64) {
        let (mut scanner, mut found) = (Scanner::new(&ROOT), Found::default());
        fragments.into_iter().for_each(|fragment| scanner.read(fragment, &mut found));
        (found.values, found.text, scanner.is_at_rest(), scanner.documents())
    }

    const CASES: &[(&str, &[&str], &str, bool)] = &[
        (r#"{"id":"a","usage":{"n":1}}"#, &["Id='a'", r#"Usage={"n":1}"#], "", true),
        ("  \n { \"id\" :\t\"a\" , \"usage\" : null } \n", &["Id='a'", "Usage=null"], "", true),
        (r#"{"id":7,"usage":[{"n":1},{"n":2}],"x":1}"#, &["Id=7", r#"Usage={"n":1}"#, r#"Usage={"n":2}"#], "", true),
        (r#"{"x":{"id":"no"},"y":[{"id":"no"}],"id":"yes"}"#, &["Id='yes'"], "", true),
        (r#"{"x":"\"id\":\"no\"","id":"a\"b\\"}"#, &[r#"Id='a\"b\\'"#], "", true),
        (
            r#"{"usage":{"s":"}\"]","o":{"p":[1,{}]}},"id":"a"}"#,
            &[r#"Usage={"s":"}\"]","o":{"p":[1,{}]}}"#, "Id='a'"],
            "",
            true,
        ),
        (r#"{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b\"c"}}]}"#, &[], r#"a|b\"c|"#, true),
        (r#"{"choices":[],"content":["x",{"text":"y","no":"z"}]}"#, &[], "x|y|", true),
        (
            r#"{"response":{"id":"r","output":[{"id":"no"}],"usage":{"n":2}}}"#,
            &["Id='r'", r#"Usage={"n":2}"#],
            "",
            true,
        ),
        (r#"[{"id":"a"},{"id":"b"}]"#, &["Id='a'", "Id='b'"], "", true),
        ("{\"id\":\"a\"}\n{\"id\":\"b\"}\n", &["Id='a'", "Id='b'"], "", true),
        (r#"{"error":{"id":"no"},"id":"a"}"#, &["Error={}", "Id='a'"], "", true),
        (r#"{"error":"bad"}"#, &["Error='bad'"], "", true),
        (r#"{"error":null}"#, &["Error=null"], "", true),
        (r#"{"id":"a","usage":{"n":1"#, &["Id='a'"], "", false),
        (r#"{"id":"a"#, &[], "", false),
        (r"{}", &[], "", true),
        (r#"{{"id":"a"}]}"#, &[], "", true),
    ];

    #[test]
    fn wanted_members_are_found_however_the_text_is_cut() {
        for (text, values, counted, whole) in CASES {
            let (found, text_found, at_rest, documents) = scan([text.as_bytes()]);
            assert_eq!(found, *values, "{text}");
            assert_eq!(text_found, *counted, "{text}");
            assert_eq!(at_rest && documents > 0, *whole, "{text}");
            for at in 0..text.len() {
                let (left, right) = text.as_bytes().split_at(at);
                let cut = scan([left, right]);
                assert_eq!((cut.0, cut.1), (found.clone(), text_found.clone()), "cut at {at}: {text}");
            }
            let cut = scan(text.as_bytes().chunks(1));
            assert_eq!((cut.0, cut.1, cut.2, cut.3), (found, text_found, at_rest, documents), "byte by byte: {text}");
        }
    }

    #[test]
    fn a_million_brackets_neither_recurse_nor_hide_what_follows() {
        let deep = format!("{{\"x\":{}{},\"id\":\"a\"}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(scan([deep.as_bytes()]).0, ["Id='a'"]);
        assert!(!scan([vec![b'['; 1_000_000].as_slice()]).2);
        assert_eq!(scan([vec![b'}'; 1_000].as_slice()]).0.len(), 0);
    }

    #[test]
    fn a_value_beyond_the_bound_is_passed_over_in_bounded_memory() {
        let text = format!("{{\"usage\":{{\"s\":\"{}\"}},\"id\":\"a\"}}", "x".repeat(VALUE_BYTES_MAX));
        for width in [text.len(), 1000, 1] {
            let (mut scanner, mut found) = (Scanner::new(&ROOT), Found::default());
            for fragment in text.as_bytes().chunks(width) {
                scanner.read(fragment, &mut found);
                assert!(scanner.held.capacity() <= 2 * VALUE_BYTES_MAX);
            }
            assert_eq!(found.values, ["Id='a'"], "in fragments of {width}");
        }
    }

    #[test]
    fn landmarks_are_found_behind_any_number_of_blocks() {
        for at in 0..200 {
            let mut bytes = vec![b'1'; at];
            assert_eq!(landmark(&bytes), None);
            bytes.extend_from_slice(b"]1");
            assert_eq!(landmark(&bytes), Some(at));
        }
    }

    proptest! {
        #[test]
        fn cuts_never_change_what_any_bytes_mean(
            text in proptest::collection::vec(proptest::sample::select(&b"{}[]\",:\\ idn1"[..]), 0..120),
            width in 1usize..7,
        ) {
            prop_assert_eq!(scan(text.chunks(width)), scan([text.as_slice()]));
        }
    }
}
