//! What a JSON body asks for, and where its document ends.
//!
//! The whole body is checked to be exactly one JSON object; what no one asks for is skipped, not built, so that 50 MB cost
//! a scan and no memory, and nesting costs no stack. Names are compared after unescaping.

use super::body::{Ask, BadBody, check_model, resembles};
use crate::metering::text::{Counter, Kept};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// How many fallback models are read.
const FALLBACK_MODELS_MAX: usize = 32;
/// The longest service tier that is read, in bytes.
const TIER_BYTES_MAX: usize = 64;

/// Reads what a whole, decoded JSON body asks for; the model is the member of that name at its top.
pub fn read(body: &[u8], member: &str) -> Result<Ask, BadBody> {
    match body.trim_ascii_start().first() {
        None => return Err(BadBody::Empty),
        Some(b'{') => {}
        Some(_) => return Err(BadBody::NotObject),
    }
    // skipped texts are not checked for UTF-8 by the parser
    let text = std::str::from_utf8(body).map_err(|error| {
        let before = body.get(..error.valid_up_to()).unwrap_or_default();
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        BadBody::NotJson { line: 1 + memchr::memchr_iter(b'\n', before).count(), column: before.len() - line_start + 1 }
    })?;
    let mut found = Found { member, ask: Ask::default(), bound: Bound::default(), fault: None };
    let mut parser = serde_json::Deserializer::from_str(text);
    let outcome = parser.deserialize_map(&mut found).and_then(|()| parser.end());
    match (found.fault, outcome) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(BadBody::NotJson { line: error.line(), column: error.column() }),
        (None, Ok(())) => Ok(Ask { max_output_tokens: found.bound.largest(), ..found.ask }),
    }
}

/// The bound on output: the largest of those that stand; unknown as soon as one cannot be read.
#[derive(Default)]
struct Bound {
    largest: Option<u64>,
    unreadable: bool,
}

impl Bound {
    fn see(&mut self, value: &Value) {
        match value {
            Value::Count(count) => self.largest = self.largest.max(Some(*count)),
            Value::Null => {}
            _ => self.unreadable = true,
        }
    }

    fn largest(&self) -> Option<u64> {
        self.largest.filter(|_| !self.unreadable)
    }
}

/// What is read of the top level. A fault is kept beside the parser's error, which can hold only text.
struct Found<'m> {
    member: &'m str,
    ask: Ask,
    bound: Bound,
    fault: Option<BadBody>,
}

impl Found<'_> {
    fn take(&mut self, name: Name, value: Value) -> Result<(), BadBody> {
        let ask = &mut self.ask;
        match (name, value) {
            (Name::Lookalike, _) => return Err(BadBody::Lookalike),
            (Name::Model, _) if ask.model.is_some() => return Err(BadBody::Duplicate),
            (Name::Model, Value::Text(text)) => {
                check_model(&text)?;
                ask.model = Some(text);
            }
            (Name::Model, Value::LongText) => return Err(BadBody::BadModel),
            (Name::Model, _) => return Err(BadBody::NotText),
            (Name::Models, Value::Texts(texts)) => {
                ask.fallback_models.extend(texts);
                ask.fallback_models.iter().try_for_each(|name| check_model(name))?;
            }
            (Name::Stream, Value::Flag(flag)) => ask.stream |= flag,
            (Name::OutputBound, value) => self.bound.see(&value),
            (Name::Choices, Value::Count(count)) => ask.choices = ask.choices.max(Some(count)),
            (Name::ServiceTier, Value::Text(text)) if text.len() <= TIER_BYTES_MAX => ask.service_tier = Some(text),
            (Name::Input, Value::Count(characters)) => ask.characters = Some(characters),
            (Name::Input, _) => ask.characters = None,
            _ => {}
        }
        if ask.fallback_models.len() > FALLBACK_MODELS_MAX { Err(BadBody::TooManyModels) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for &mut Found<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(NameOf(self.member))? {
            if matches!(name, Name::Other) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = match name {
                Name::Input => map.next_value_seed(Characters)?,
                _ => map.next_value_seed(AnyValue)?,
            };
            if let Err(fault) = self.take(name, value) {
                self.fault = Some(fault);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// A member of the top level, by its name.
enum Name {
    Model,
    Lookalike,
    Models,
    Stream,
    OutputBound,
    Choices,
    ServiceTier,
    Input,
    Other,
}

struct NameOf<'m>(&'m str);

impl<'de> DeserializeSeed<'de> for NameOf<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameOf<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(match name {
            name if name == self.0 => Name::Model,
            "models" => Name::Models,
            "stream" => Name::Stream,
            "max_tokens" | "max_completion_tokens" | "max_output_tokens" => Name::OutputBound,
            "n" => Name::Choices,
            "service_tier" => Name::ServiceTier,
            "input" => Name::Input,
            name if resembles(name, self.0) => Name::Lookalike,
            _ => Name::Other,
        })
    }
}

/// A value, as far as any member needs it.
enum Value {
    Text(String),
    /// A text that is longer than any that is wanted.
    LongText,
    /// The texts of a list.
    Texts(Vec<String>),
    Flag(bool),
    Count(u64),
    Null,
    Other,
}

struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(if text.len() > super::body::MODEL_BYTES_MAX { Value::LongText } else { Value::Text(text.to_owned()) })
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_u64<E>(self, count: u64) -> Result<Value, E> {
        Ok(Value::Count(count))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut texts = Vec::new();
        // the parser bounds how deep lists of lists may go here
        while let Some(item) = items.next_element_seed(AnyValue)? {
            match item {
                // one more than are allowed shows that there are too many
                Value::Text(text) if texts.len() <= FALLBACK_MODELS_MAX => texts.push(text),
                Value::LongText => texts.push(String::new()),
                _ => {}
            }
        }
        Ok(Value::Texts(texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

/// Counts the characters of a text; of anything else nothing is read.
struct Characters;

impl<'de> DeserializeSeed<'de> for Characters {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Ok(text.map_or(Value::Other, |text| {
            let mut counter = Counter::default();
            counter.read(text.as_bytes(), &mut Kept::default()); // counted, and none of it kept
            Value::Count(counter.take().total())
        }))
    }
}

/// Finds the end of a JSON object that comes in chunks, so that a body of unknown length can be read to there and no
/// further. It looks at brackets and texts alone; whether all is JSON, `read` says.
#[derive(Debug, Default)]
pub struct JsonEnd {
    place: Lexing,
    depth: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Lexing {
    #[default]
    Before,
    Between,
    InText,
    Escaped,
    After,
    Broken,
}

/// How far a document has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    More,
    /// It is complete; of this chunk, that many bytes belong to it, and only white space follows.
    Ended(usize),
    /// It does not begin with `{`, or something follows its end.
    Broken,
}

impl JsonEnd {
    /// Takes the next chunk. After the end it goes on checking that only white space follows.
    pub fn feed(&mut self, chunk: &[u8]) -> Progress {
        let mut rest = chunk;
        let mut belongs = 0;
        loop {
            let step = match self.place {
                Lexing::Before => {
                    rest = rest.trim_ascii_start();
                    self.begin(rest.first().copied())
                }
                Lexing::Between => self.between(rest),
                Lexing::InText => memchr::memchr2(b'"', b'\\', rest).inspect(|&at| {
                    self.place = if rest.get(at) == Some(&b'"') { Lexing::Between } else { Lexing::Escaped };
                }),
                Lexing::Escaped => {
                    if !rest.is_empty() {
                        self.place = Lexing::InText;
                    }
                    rest.first().map(|_| 0)
                }
                Lexing::After if is_blank(rest) => return Progress::Ended(belongs),
                Lexing::After | Lexing::Broken => {
                    self.place = Lexing::Broken;
                    return Progress::Broken;
                }
            };
            let Some(at) = step else { return Progress::More };
            rest = rest.get(at + 1..).unwrap_or_default();
            belongs = chunk.len() - rest.len();
        }
    }

    /// Whether the whole document was seen, and nothing but white space behind it.
    pub fn is_complete(&self) -> bool {
        self.place == Lexing::After
    }

    fn begin(&mut self, first: Option<u8>) -> Option<usize> {
        (self.place, self.depth) = match first? {
            b'{' => (Lexing::Between, 1),
            _ => (Lexing::Broken, 0),
        };
        Some(0)
    }

    /// Goes to the next bracket or text, and says where it stood.
    fn between(&mut self, rest: &[u8]) -> Option<usize> {
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'"' => {
                    self.place = Lexing::InText;
                    return Some(at);
                }
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.place = Lexing::After;
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Only what JSON counts as white space.
fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn model(body: &[u8]) -> Result<Option<String>, BadBody> {
        read(body, "model").map(|ask| ask.model)
    }

    #[test]
    fn the_member_at_the_top_is_the_model() {
        let cases = [
            (r#"{"model":"gpt-4o"}"#, Some("gpt-4o")),
            (" \r\n\t{\"messages\":[{\"model\":\"inner\"}], \"model\" : \"a\\u002db\"}\n", Some("a-b")),
            (r#"{"mod\u0065l":"x"}"#, Some("x")),
            (r#"{"metadata":{"model":"inner","model":"again"}}"#, None),
            (r#"{"models":["a"],"model_id":"b","mod":"c"}"#, None),
            ("{}", None),
            (r#"{"x":"{\"model\":\"y\"}","x":1,"x":-1.5e300}"#, None),
        ];
        for (body, expected) in cases {
            assert_eq!(model(body.as_bytes()), Ok(expected.map(str::to_owned)), "{body}");
        }
        assert_eq!(read(br#"{"agent":"a","model":1}"#, "agent").unwrap().model.as_deref(), Some("a"));
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        let cases: [(&[u8], BadBody); 20] = [
            (br#"{"model":"a","model":"b"}"#, BadBody::Duplicate),
            (br#"{"model":"a","mod\u0065l":"a"}"#, BadBody::Duplicate),
            (br#"{"model":"a","Model":"b"}"#, BadBody::Lookalike),
            (br#"{"MODEL":"b"}"#, BadBody::Lookalike),
            (br#"{"model\u0000x":"b"}"#, BadBody::Lookalike),
            (br#"{" model":"b"}"#, BadBody::Lookalike),
            (br#"{"model[]":"b"}"#, BadBody::Lookalike),
            (br#"{"model":null}"#, BadBody::NotText),
            (br#"{"model":1}"#, BadBody::NotText),
            (br#"{"model":["a"]}"#, BadBody::NotText),
            (br#"{"model":{"id":"a"}}"#, BadBody::NotText),
            (br#"{"model":""}"#, BadBody::BadModel),
            (br#"{"model":"a\u0000"}"#, BadBody::BadModel),
            (br#"{"model":"a "}"#, BadBody::BadModel),
            (b"", BadBody::Empty),
            (b" \n", BadBody::Empty),
            (b"[]", BadBody::NotObject),
            (b"\"model\"", BadBody::NotObject),
            (b"\xef\xbb\xbf{}", BadBody::NotObject),
            (b"model=a", BadBody::NotObject),
        ];
        for (body, expected) in cases {
            assert_eq!(model(body), Err(expected), "{}", String::from_utf8_lossy(body));
        }
        let long = format!("{{\"model\":\"{}\"}}", "x".repeat(257));
        assert_eq!(model(long.as_bytes()), Err(BadBody::BadModel));
    }

    #[test]
    fn what_is_not_json_is_refused_wherever_it_is() {
        let cases: [&[u8]; 19] = [
            br#"{"model":"a"}{"model":"b"}"#,
            br#"{"model":"a"} x"#,
            b"{\"model\":\"a\"}\0",
            br#"{"model":"a""#,
            br#"{"model":"a",}"#,
            br#"{"model":"a" "b":1}"#,
            br#"{"a":[1,]}"#,
            br#"{"a":[1}]"#,
            br#"{"a":"\x"}"#,
            br#"{"a":"\u00g0"}"#,
            b"{\"a\":\"\n\"}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\xed\xa0\x80\"}",
            b"{\"\xff\":1}",
            br#"{"a":NaN}"#,
            br#"{"a":01}"#,
            br"{'model':'a'}",
            br#"{"model":"a" /* c */}"#,
            br#"{"model":"\ud800"}"#,
        ];
        for body in cases {
            let outcome = model(body);
            assert!(matches!(outcome, Err(BadBody::NotJson { .. })), "{} {outcome:?}", String::from_utf8_lossy(body));
        }
        assert_eq!(model(b"{\n\"a\":\"\xff\"}"), Err(BadBody::NotJson { line: 2, column: 6 }));
    }

    #[test]
    fn nesting_costs_no_stack() {
        let many = 1_000_000;
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inner = if open == "[" { "" } else { "1" };
            let deep = format!("{}{inner}{}", open.repeat(many), close.repeat(many));
            assert_eq!(model(format!("{{\"a\":{deep},\"model\":\"m\"}}").as_bytes()), Ok(Some("m".into())));
            let cut = format!("{{\"a\":{}", open.repeat(many));
            assert!(model(cut.as_bytes()).is_err());
            assert_eq!(model(format!("{{\"input\":{deep},\"model\":\"m\"}}").as_bytes()), Ok(Some("m".into())));
            for member in ["model", "models", "stream"] {
                assert!(model(format!("{{\"{member}\":{deep}}}").as_bytes()).is_err() || open != "[");
            }
        }
    }

    #[test]
    fn the_other_members_are_read_in_the_same_pass() {
        let body = br#"{"stream":true,"max_tokens":10,"max_completion_tokens":30,"max_output_tokens":null,"n":3,
            "service_tier":"flex","models":["b","c",1],"input":"\u00e9\ud83d\ude42","model":"a"}"#;
        let expected = Ask {
            model: Some("a".into()),
            fallback_models: vec!["b".into(), "c".into()],
            stream: true,
            max_output_tokens: Some(30),
            choices: Some(3),
            service_tier: Some("flex".into()),
            characters: Some(2),
        };
        assert_eq!(read(body, "model"), Ok(expected));
        for body in [
            r#"{"max_tokens":10,"max_tokens":-1}"#,
            r#"{"max_tokens":"10"}"#,
            r#"{"max_tokens":1e3}"#,
            r#"{"max_tokens":[10]}"#,
            r#"{"stream":"true","n":null,"service_tier":1,"models":{"a":"b"}}"#,
            r#"{"input":"the last counts","input":["a"]}"#,
            r#"{"input":[{"role":"user","content":"x"}]}"#,
        ] {
            assert_eq!(read(body.as_bytes(), "model"), Ok(Ask::default()), "{body}");
        }
        let many = format!("{{\"models\":[{}\"x\"]}}", "\"x\",".repeat(FALLBACK_MODELS_MAX));
        assert_eq!(read(many.as_bytes(), "model"), Err(BadBody::TooManyModels));
        assert_eq!(read(br#"{"models":["x "]}"#, "model"), Err(BadBody::BadModel));
    }

    #[test]
    fn the_end_is_found_and_what_follows_it_is_checked() {
        let cases: [(&[u8], Progress); 12] = [
            (b"", Progress::More),
            (b" \n", Progress::More),
            (b"{", Progress::More),
            (br#"{"a":"}"#, Progress::More),
            (br#"{"a":"\"}"#, Progress::More),
            (br#"{"a":"\\"}"#, Progress::Ended(10)),
            (b" {} \r\n", Progress::Ended(3)),
            (br#"{"a":[{"b":"]}"}]} "#, Progress::Ended(18)),
            (b"{}{}", Progress::Broken),
            (b"{}\0", Progress::Broken),
            (b"[]", Progress::Broken),
            (b"}", Progress::Broken),
        ];
        for (body, expected) in cases {
            assert_eq!(JsonEnd::default().feed(body), expected, "{}", String::from_utf8_lossy(body));
        }
        let mut end = JsonEnd::default();
        assert_eq!((end.feed(b"{}"), end.is_complete()), (Progress::Ended(2), true));
        assert_eq!(
            (end.feed(b""), end.feed(b" \n"), end.is_complete()),
            (Progress::Ended(0), Progress::Ended(0), true)
        );
        assert_eq!((end.feed(b"x"), end.feed(b" "), end.is_complete()), (Progress::Broken, Progress::Broken, false));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<String>().prop_map(serde_json::Value::from),
            "[\"\\\\{}\\[\\]]{0,6}".prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map("model|[a-z\"\\\\]{0,5}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::from(serde_json::Map::from_iter(map))),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_end_is_where_a_parser_sees_it_for_every_split(value in any_json(), pretty: bool, tail in "[ \n]{0,3}") {
            let value = serde_json::json!({"x": value});
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let body = format!("{text}{tail}");
            for split in 0..=body.len() {
                let (head, rest) = body.as_bytes().split_at(split);
                let mut end = JsonEnd::default();
                let first = end.feed(head);
                let whole = if split < text.len() {
                    prop_assert_eq!(first, Progress::More);
                    end.feed(rest)
                } else {
                    prop_assert_eq!(end.feed(rest), Progress::Ended(0));
                    first
                };
                let before = if split < text.len() { split } else { 0 };
                prop_assert_eq!(whole, Progress::Ended(text.len() - before));
            }
            prop_assert!(read(body.as_bytes(), "model").is_ok());
        }

        #[test]
        fn bytes_one_by_one_end_as_the_whole_does(body in prop::collection::vec(prop::sample::select(&b"{}[]\"\\ a,:"[..]), 0..40)) {
            let whole = JsonEnd::default().feed(&body);
            let mut end = JsonEnd::default();
            let mut at = Progress::More;
            let mut ended = None;
            for (index, byte) in body.iter().enumerate() {
                at = end.feed(std::slice::from_ref(byte));
                ended = ended.or((at == Progress::Ended(1)).then_some(index + 1));
            }
            match whole {
                Progress::Ended(length) => prop_assert_eq!((ended, at != Progress::Broken), (Some(length), true)),
                other => prop_assert_eq!(at, other),
            }
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(body: Vec<u8>) {
            read(&body, "model").ok();
            read(&[b"{", body.as_slice(), b"}"].concat(), "model").ok();
            JsonEnd::default().feed(&body);
        }
    }
}
