//! Asks the provider for usage on the caller's behalf: the request's side of `usage_mode = inject`.
//!
//! One textual insertion into the JSON of a streamed chat (or legacy completion); every other byte stays as it came. What
//! is not plainly such a request (no stream, members that stand twice, options of another form) is left alone, and so
//! is one whose caller asked already.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::ops::Range;

/// The members of a request that matter, as they stand in its text. One that stands twice is an error.
#[derive(Deserialize)]
struct Request<'t> {
    #[serde(borrow, default, deserialize_with = "present")]
    stream: Option<&'t RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    stream_options: Option<&'t RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions<'t> {
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'t RawValue>,
}

/// A member that is there, also when it is null.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Where a value stands in the text that it was read from.
pub(super) fn place(text: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    start..start + value.get().len()
}

/// The body with a wish for usage in it; `None` when it is to stay as it is.
pub fn with_usage_asked(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let request: Request<'_> = serde_json::from_str(text).ok()?;
    if request.stream?.get() != "true" {
        return None;
    }
    let Some(options) = request.stream_options else {
        let inside = text.find('{')? + 1;
        return replaced(text, inside..inside, r#""stream_options":{"include_usage":true},"#);
    };
    let at = place(text, options);
    if options.get() == "null" {
        return replaced(text, at, r#"{"include_usage":true}"#);
    }
    let inside = options.get().strip_prefix('{')?;
    let asked: StreamOptions<'_> = serde_json::from_str(options.get()).ok()?;
    match asked.include_usage.map(|value| (value, value.get())) {
        None if inside.trim_start().starts_with('}') => {
            replaced(text, at.start + 1..at.start + 1, r#""include_usage":true"#)
        }
        None => replaced(text, at.start + 1..at.start + 1, r#""include_usage":true,"#),
        Some((value, "false" | "null")) => replaced(text, place(text, value), "true"),
        Some(_) => None,
    }
}

fn replaced(text: &str, at: Range<usize>, with: &str) -> Option<Vec<u8>> {
    let (before, after) = (text.get(..at.start)?, text.get(at.end..)?);
    Some([before, with, after].concat().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_asked_for_by_one_insertion_and_nothing_else_changes() {
        let cases = [
            (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
            (
                " {\r\n \"model\": \"m\", \"a\": 1.0e0, \"stream\" : true }\n",
                " {\"stream_options\":{\"include_usage\":true},\r\n \"model\": \"m\", \"a\": 1.0e0, \"stream\" : true }\n",
            ),
            (r#"{"stream":true,"stream_options":null}"#, r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            (
                r#"{"stream_options" : { } ,"stream":true}"#,
                r#"{"stream_options" : {"include_usage":true } ,"stream":true}"#,
            ),
            (
                r#"{"stream_options":{"include_obfuscation":false},"stream":true}"#,
                r#"{"stream_options":{"include_usage":true,"include_obfuscation":false},"stream":true}"#,
            ),
            (
                r#"{"stream_options":{"include_usage": false, "x":1},"stream":true}"#,
                r#"{"stream_options":{"include_usage": true, "x":1},"stream":true}"#,
            ),
            (
                r#"{"stream_options":{"include_usage":null},"stream":true}"#,
                r#"{"stream_options":{"include_usage":true},"stream":true}"#,
            ),
            (
                r#"{"a":{"stream_options":{"include_usage":true}},"é":"\"stream_options\":","stream":true}"#,
                r#"{"stream_options":{"include_usage":true},"a":{"stream_options":{"include_usage":true}},"é":"\"stream_options\":","stream":true}"#,
            ),
        ];
        for (body, expected) in cases {
            let made = with_usage_asked(body.as_bytes()).map(|made| String::from_utf8(made).unwrap());
            assert_eq!(made.as_deref(), Some(expected), "{body}");
            assert_eq!(with_usage_asked(expected.as_bytes()), None, "it is asked for once: {expected}");
        }
    }

    #[test]
    fn whatever_is_not_plainly_a_stream_without_usage_is_left_alone() {
        let cases: &[&str] = &[
            "",
            "[]",
            "{}",
            r#"{"stream":false}"#,
            r#"{"stream":null}"#,
            r#"{"stream":"true"}"#,
            r#"{"stream":1}"#,
            r#"{"a":{"stream":true}}"#,
            r#"{"stream":true,"stream":true}"#,
            r#"{"stream":true,"stream_options":{},"stream_options":{}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":false,"include_usage":false}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":"no"}}"#,
            r#"{"stream":true,"stream_options":"all"}"#,
            r#"{"stream":true,"stream_options":[]}"#,
            r#"{"stream":true"#,
            "{\"stream\":true,\"a\":\"\u{0}\"}",
        ];
        for body in cases {
            assert_eq!(with_usage_asked(body.as_bytes()), None, "{body}");
        }
        assert_eq!(with_usage_asked(b"{\"stream\":true,\"a\":\"\xff\"}"), None);
        let deep = format!(r#"{{"a":{}{},"stream":true}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert!(with_usage_asked(deep.as_bytes()).is_some(), "nesting costs no stack");
    }
}
