//! What a caller asks: the body's schema, held to the letter. A fault says which member is wrong and never what it holds.

use super::{PROMPT_CHARS_MAX, refusal::No};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use zeroize::Zeroizing;

/// The longest id of a model.
const MODEL_BYTES_MAX: usize = 256;

/// A question. `Debug` shows nothing of the prompt.
pub(super) struct Question {
    pub(super) prompt: Zeroizing<String>,
    pub(super) model: String,
    pub(super) stream: bool,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("model", &self.model).field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Question {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 naming what is wrong.
    pub(super) fn parse(body: &[u8]) -> Result<Self, No> {
        let body = std::str::from_utf8(body).map_err(|_| No::validation("the body is not text in UTF-8"))?;
        let mut reader = serde_json::Deserializer::from_str(body);
        let members = reader
            .deserialize_map(Members::default())
            .and_then(|members| reader.end().map(|()| members))
            .map_err(|_| No::validation("the body is not one JSON object"))?;
        if let Some(fault) = members.fault {
            return Err(No::validation(fault));
        }
        let prompt = members.prompt.ok_or_else(|| No::validation("`prompt` is missing"))?;
        let prompt: String =
            serde_json::from_str(prompt.get()).map_err(|_| No::validation("`prompt` must be a text"))?;
        let prompt = Zeroizing::new(prompt);
        let model = members.model.ok_or_else(|| No::validation("`model` is missing"))?;
        let model: String = serde_json::from_str(model.get()).map_err(|_| No::validation("`model` must be a text"))?;
        let stream = match members.stream.map(RawValue::get) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(No::validation("`stream` must be true or false")),
        };
        if prompt.trim().is_empty() {
            return Err(No::validation("`prompt` must not be empty"));
        }
        if prompt.len() > PROMPT_CHARS_MAX && prompt.chars().count() > PROMPT_CHARS_MAX {
            return Err(No::validation("`prompt` is longer than 32768 characters"));
        }
        if model.is_empty() || model.len() > MODEL_BYTES_MAX {
            return Err(No::validation("`model` must be an id of the catalog; GET /models lists them"));
        }
        Ok(Self { prompt, model, stream })
    }
}

/// The members of the body as they stand there.
#[derive(Default)]
struct Members<'b> {
    prompt: Option<&'b RawValue>,
    model: Option<&'b RawValue>,
    stream: Option<&'b RawValue>,
    fault: Option<&'static str>,
}

impl<'b> Visitor<'b> for Members<'b> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let value: &'b RawValue = map.next_value()?;
            let place = match name.as_str() {
                "prompt" => &mut self.prompt,
                "model" => &mut self.model,
                "stream" => &mut self.stream,
                _ => {
                    self.fault = Some("there is an unknown member; known are `prompt`, `model` and `stream`");
                    continue;
                }
            };
            if place.replace(value).is_some() {
                self.fault = Some("a member stands there twice");
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(body: &[u8]) -> String {
        let no = Question::parse(body).unwrap_err();
        assert_eq!(no.code, super::super::refusal::Code::Validation);
        no.refusal.outside.into_owned()
    }

    #[test]
    fn a_question_is_read_to_the_letter() {
        let question = Question::parse(br#" {"stream":true,"model":"a/b","prompt":"h\u00e9 \ud83d\ude00"} "#).unwrap();
        assert_eq!(
            (question.prompt.as_str(), question.model.as_str(), question.stream),
            ("h\u{e9} \u{1f600}", "a/b", true)
        );
        assert_eq!(format!("{question:?}"), "Question { model: \"a/b\", stream: true, .. }");
        let at_bound = json!({"prompt": "\u{e9}".repeat(PROMPT_CHARS_MAX), "model": "m"}).to_string();
        assert!(!Question::parse(at_bound.as_bytes()).unwrap().stream);
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        let long = json!({"prompt": "hush".repeat(PROMPT_CHARS_MAX / 4) + "!", "model": "m"}).to_string();
        let long_model = json!({"prompt": "hush", "model": "m".repeat(257)}).to_string();
        let cases: [(&[u8], &str); 24] = [
            (b"", "one JSON object"),
            (b"hush", "one JSON object"),
            (b"\"hush\"", "one JSON object"),
            (b"[{\"prompt\":\"hush\"}]", "one JSON object"),
            (b"null", "one JSON object"),
            (br#"{"prompt":"hush","model":"m""#, "one JSON object"),
            (br#"{"prompt":"hush","model":"m"} {}"#, "one JSON object"),
            (br#"{"prompt":"hush","model":"m",}"#, "one JSON object"),
            (b"{\"prompt\":\"hush\xff\",\"model\":\"m\"}", "UTF-8"),
            (br#"{"model":"m"}"#, "`prompt` is missing"),
            (br#"{"prompt":"hush"}"#, "`model` is missing"),
            (br#"{"prompt":7,"model":"m"}"#, "`prompt` must be a text"),
            (br#"{"prompt":["hush"],"model":"m"}"#, "`prompt` must be a text"),
            (br#"{"prompt":null,"model":"m"}"#, "`prompt` must be a text"),
            (br#"{"prompt":"hush\ud800","model":"m"}"#, "`prompt` must be a text"),
            (br#"{"prompt":"hush","model":{}}"#, "`model` must be a text"),
            (br#"{"prompt":"hush","model":""}"#, "`model` must be an id"),
            (br#"{"prompt":"hush","model":"m","stream":"true"}"#, "`stream` must be"),
            (br#"{"prompt":"hush","model":"m","stream":null}"#, "`stream` must be"),
            (br#"{"prompt":"hush","model":"m","hush":1}"#, "unknown member"),
            (br#"{"prompt":"hush","model":"m","prompt":"x"}"#, "twice"),
            (br#"{"prompt":" \n\u00a0","model":"m"}"#, "must not be empty"),
            (long.as_bytes(), "longer than 32768"),
            (long_model.as_bytes(), "`model` must be an id"),
        ];
        for (body, says) in cases {
            let said = fault(body);
            assert!(said.contains(says) && !said.contains("hush"), "{}: {said}", String::from_utf8_lossy(body));
        }
    }
}
