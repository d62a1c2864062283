//! What a JSON body asks for.
//!
//! The whole body is checked to be exactly one JSON object; what no one asks for is skipped, not built, so that 50 MB cost
//! a scan and no memory, and nesting costs no stack. Names are compared after unescaping.

use super::body::{Ask, BadBody, check_model, resembles};
use crate::metering::text::{Counter, Kept};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

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
                Name::Bounds => {
                    let raw = map.next_value::<&RawValue>()?;
                    Bounds { bound: &mut self.bound, choices: &mut self.ask.choices }.read(raw);
                    continue;
                }
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
    /// An object that holds bounds, as Gemini and DashScope have it.
    Bounds,
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
            "n" | "best_of" => Name::Choices,
            "service_tier" => Name::ServiceTier,
            "input" => Name::Input,
            "generationConfig" | "generation_config" | "parameters" => Name::Bounds,
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

/// Reads the bounds that stand in an object of their own.
struct Bounds<'a> {
    bound: &'a mut Bound,
    choices: &'a mut Option<u64>,
}

impl Bounds<'_> {
    fn read(self, raw: &RawValue) {
        if raw.get().starts_with('{') {
            // it was parsed before, so there is nothing to go wrong
            drop(serde_json::Deserializer::from_str(raw.get()).deserialize_map(self));
        }
    }
}

impl<'de> Visitor<'de> for Bounds<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            match &*name {
                "maxOutputTokens" | "max_output_tokens" | "max_tokens" | "max_completion_tokens" => {
                    self.bound.see(&map.next_value_seed(AnyValue)?);
                }
                "candidateCount" | "candidate_count" | "n" => {
                    if let Value::Count(count) = map.next_value_seed(AnyValue)? {
                        *self.choices = (*self.choices).max(Some(count));
                    }
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
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
            bytes: None,
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
    fn bounds_that_stand_in_an_object_of_their_own_are_read() {
        for (body, max_output_tokens, choices) in [
            (
                r#"{"generationConfig":{"maxOutputTokens":7,"candidateCount":2,"stopSequences":["a"]}}"#,
                Some(7),
                Some(2),
            ),
            (r#"{"generation_config":{"max_output_tokens":7}}"#, Some(7), None),
            (r#"{"generationConfig":{"maxOutputTokens":7,"maxOutput\u0054okens":9}}"#, Some(9), None),
            (r#"{"parameters":{"max_tokens":5,"n":4},"max_tokens":6}"#, Some(6), Some(4)),
            (r#"{"generationConfig":{"maxOutputTokens":"7"}}"#, None, None),
            (r#"{"generationConfig":{"thinkingConfig":{"maxOutputTokens":7}}}"#, None, None),
            (r#"{"generationConfig":[{"maxOutputTokens":7}],"parameters":"x"}"#, None, None),
        ] {
            let ask = read(body.as_bytes(), "model").unwrap();
            assert_eq!((ask.max_output_tokens, ask.choices), (max_output_tokens, choices), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(body: Vec<u8>) {
            read(&body, "model").ok();
            read(&[b"{", body.as_slice(), b"}"].concat(), "model").ok();
        }
    }
}
