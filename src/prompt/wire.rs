//! Providers' protocols, as far as a prompt needs them: the request for one answer, and the text in an answer.
//!
//! An answer without text (a refusal without words, a prompt that the provider blocked) is an empty text, no fault.

use super::{catalog::Entry, settings::BoundMember};
use http::{HeaderName, HeaderValue, header};
use serde_json::{Map, Value, json};

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// `OpenAI`'s chat completions, which most providers speak.
    Chat,
    /// Anthropic's messages.
    Messages,
    /// Gemini's `generateContent`.
    GenerateContent,
}

/// The version of Anthropic's protocol that is spoken here.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What a model is told of placeholders, where there are some.
const HINT: &str = "Names in angle brackets with a number, such as <EMAIL_1> or <PERSON_2>, stand for values that are \
    withheld. Where your answer needs such a value, write its name exactly as it stands, brackets included, and do not \
    guess, translate or alter it.";

/// An answer that holds no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the answer is no JSON")]
    NoJson,
    #[error("the answer lacks what its protocol promises")]
    NoAnswer,
    #[error("the answer is an error")]
    Error,
}

impl Wire {
    /// What configurations call the endpoint.
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::Chat => "chat.completions",
            Self::Messages => "messages",
            Self::GenerateContent => "generate_content",
        }
    }

    /// Headers of the protocol's own.
    pub(super) fn headers(self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::ACCEPT, HeaderValue::from_static("application/json")),
            (header::ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            (header::USER_AGENT, HeaderValue::from_static(concat!("sociaro-gateway/", env!("CARGO_PKG_VERSION")))),
        ];
        if self == Self::Messages {
            let version = HeaderValue::from_static(ANTHROPIC_VERSION);
            headers.push((HeaderName::from_static("anthropic-version"), version));
        }
        headers
    }

    /// The body of a request. `hint`: the prompt holds placeholders, and the model is told so.
    pub(super) fn request(self, entry: &Entry, prompt: &str, hint: bool) -> Vec<u8> {
        let (model, bound) = (&entry.model.model, entry.model.output_tokens_max);
        let mut body = match self {
            Self::Chat => {
                let mut messages = vec![json!({"role": "user", "content": prompt})];
                if hint {
                    messages.insert(0, json!({"role": "system", "content": HINT}));
                }
                let member = match entry.model.bound_member {
                    Some(BoundMember::MaxTokens) => "max_tokens",
                    Some(BoundMember::MaxCompletionTokens) | None => "max_completion_tokens",
                };
                let mut body = json!({"model": model, "messages": messages});
                put(&mut body, member, bound.into());
                body
            }
            Self::Messages => {
                json!({"model": model, "max_tokens": bound, "messages": [{"role": "user", "content": prompt}]})
            }
            Self::GenerateContent => json!({
                "contents": [{"role": "user", "parts": [{"text": prompt}]}],
                "generationConfig": {"maxOutputTokens": bound},
            }),
        };
        match self {
            Self::Messages if hint => put(&mut body, "system", HINT.into()),
            Self::GenerateContent if hint => put(&mut body, "systemInstruction", json!({"parts": [{"text": HINT}]})),
            _ => {}
        }
        body.to_string().into_bytes()
    }

    /// The text of an answer.
    ///
    /// # Errors
    /// The answer is none of this protocol.
    pub(super) fn answer(self, body: &[u8]) -> Result<String, Unreadable> {
        let body: Value = serde_json::from_slice(body).map_err(|_| Unreadable::NoJson)?;
        if body.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Unreadable::Error);
        }
        match self {
            Self::Chat => chat(&body),
            Self::Messages => body.get("content").and_then(Value::as_array).map(|parts| text_parts(parts)),
            Self::GenerateContent => generated(&body),
        }
        .ok_or(Unreadable::NoAnswer)
    }
}

fn put(body: &mut Value, name: &str, value: Value) {
    if let Some(members) = body.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn chat(body: &Value) -> Option<String> {
    let message = body.get("choices")?.as_array()?.first()?.get("message")?.as_object()?;
    let said = |name: &str| match message.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(parts)) => Some(text_parts(parts)),
        _ => None,
    };
    Some(said("content").filter(|text| !text.is_empty()).or_else(|| said("refusal")).unwrap_or_default())
}

fn generated(body: &Value) -> Option<String> {
    let Some(first) = body.get("candidates").and_then(Value::as_array).and_then(|candidates| candidates.first()) else {
        // a prompt that was blocked has no candidates
        return body.get("promptFeedback").map(|_| String::new());
    };
    first.as_object()?;
    let parts = first.get("content").and_then(|content| content.get("parts")).and_then(Value::as_array);
    Some(parts.map(|parts| text_parts(parts)).unwrap_or_default())
}

/// The texts of an answer's parts, without what the model thought and the tools it called.
fn text_parts(parts: &[Value]) -> String {
    let is_text = |part: &&Map<String, Value>| {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
        let is_thought = part.get("thought").and_then(Value::as_bool).unwrap_or_default();
        matches!(kind, "text" | "output_text" | "refusal") && !is_thought
    };
    let text = |part: &Map<String, Value>| {
        part.get("text").or_else(|| part.get("refusal")).and_then(Value::as_str).map(str::to_owned)
    };
    parts.iter().filter_map(Value::as_object).filter(is_text).filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whatever_parts_they_have() {
        use Unreadable::{Error, NoAnswer, NoJson};
        use Wire::{Chat, GenerateContent, Messages};
        let cases: [(Wire, &str, Result<&str, Unreadable>); 26] = [
            (
                Chat,
                r#"{"choices":[{"message":{"role":"assistant","content":"a\nb"},"finish_reason":"stop"}]}"#,
                Ok("a\nb"),
            ),
            (
                Chat,
                r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}"#,
                Ok("ab"),
            ),
            (Chat, r#"{"choices":[{"message":{"content":null,"refusal":"I cannot."}}]}"#, Ok("I cannot.")),
            (Chat, r#"{"choices":[{"message":{"content":"","refusal":null},"finish_reason":"length"}]}"#, Ok("")),
            (Chat, r#"{"choices":[{"message":{"content":null,"tool_calls":[]}}],"error":null}"#, Ok("")),
            (Chat, r#"{"choices":[{"message":{"content":"one"}},{"message":{"content":"two"}}]}"#, Ok("one")),
            (Chat, r#"{"choices":[]}"#, Err(NoAnswer)),
            (Chat, r#"{"choices":[{"message":"a"}]}"#, Err(NoAnswer)),
            (Chat, r#"{"object":"chat.completion"}"#, Err(NoAnswer)),
            (Chat, "[]", Err(NoAnswer)),
            (Chat, r#"{"error":{"message":"no"}}"#, Err(Error)),
            (Chat, r#"{"choices":[{"message":{"content":"a"#, Err(NoJson)),
            (Chat, "<html>", Err(NoJson)),
            (Chat, "", Err(NoJson)),
            (
                Messages,
                r#"{"type":"message","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
                Ok("ab"),
            ),
            (
                Messages,
                r#"{"content":[{"type":"thinking","thinking":"x"},{"type":"text","text":"a"},{"type":"tool_use","text":"y"}]}"#,
                Ok("a"),
            ),
            (Messages, r#"{"content":[],"stop_reason":"refusal"}"#, Ok("")),
            (Messages, r#"{"type":"error","error":{"type":"overloaded_error"}}"#, Err(Error)),
            (Messages, r#"{"content":"a"}"#, Err(NoAnswer)),
            (
                GenerateContent,
                r#"{"candidates":[{"content":{"parts":[{"text":"a"},{"text":"x","thought":true},{"text":"b"}]},"finishReason":"MAX_TOKENS"}]}"#,
                Ok("ab"),
            ),
            (GenerateContent, r#"{"candidates":[{"finishReason":"SAFETY","index":0}]}"#, Ok("")),
            (GenerateContent, r#"{"candidates":[{"content":{"role":"model"},"finishReason":"STOP"}]}"#, Ok("")),
            (GenerateContent, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#, Ok("")),
            (GenerateContent, r#"{"usageMetadata":{}}"#, Err(NoAnswer)),
            (GenerateContent, r#"{"candidates":[7]}"#, Err(NoAnswer)),
            (GenerateContent, r#"{"error":{"code":503}}"#, Err(Error)),
        ];
        for (wire, body, expected) in cases {
            assert_eq!(wire.answer(body.as_bytes()), expected.map(str::to_owned), "{wire:?} {body}");
        }
    }
}
