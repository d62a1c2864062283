//! How many tokens a request's prompt probably is, read from the JSON body that is held for forwarding anyway.
//!
//! Counted are the texts of messages, system prompts, tool calls and tools, whatever dialect they are in, and what
//! `OpenAI` documents for each message around its text. Not counted are images, audio and files.

use super::{
    json::{Node, Raw, Scanner, Sink, Take},
    text::{Counter, Kept, prompt_tokens_estimated, scaled},
    tokenizer::{BETWEEN, Tokenizer},
};
use bytes::Bytes;

/// How much of a body is read; the rest is taken to be like it.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// No model reads more than this at once.
const TOKENS_MAX: u64 = 1_000_000;
/// Around each message, its role included; behind the last, the beginning of the answer; for each name.
const TOKENS_PER_MESSAGE: u64 = 4;
const TOKENS_PER_ANSWER: u64 = 3;
const TOKENS_PER_NAME: u64 = 1;

/// A text, or parts that have some.
const fn text_or_parts(key: &'static str) -> Node {
    Node { key, take: Some(Take::Text), inside: PART }
}

const PART: &[Node] = &[
    Node::take("text", Take::Text),
    Node::take("thinking", Take::Text),
    // calls of tools and what came of them, as parts
    Node::take("name", Take::Text),
    Node::take("input", Take::Raw),
    Node { key: "content", take: Some(Take::Text), inside: &[Node::take("text", Take::Text)] },
];

const CALL: &[Node] =
    &[Node::inside("function", &[Node::take("name", Take::Text), Node::take("arguments", Take::Text)])];

const MESSAGE: &[Node] = &[
    Node::take("role", Take::Kind),
    Node::take("name", Take::Id),
    text_or_parts("content"),
    Node::take("reasoning_content", Take::Text),
    Node::inside("tool_calls", CALL),
    // what Responses has beside messages
    Node::take("arguments", Take::Text),
    text_or_parts("output"),
];

const GEMINI: &[Node] = &[
    Node::take("role", Take::Kind),
    Node::inside(
        "parts",
        &[
            Node::take("text", Take::Text),
            Node::take("functionCall", Take::Raw),
            Node::take("functionResponse", Take::Raw),
        ],
    ),
];

static WANTED: Node = Node::inside(
    "",
    &[
        Node::inside("messages", MESSAGE),
        text_or_parts("system"),
        Node::take("prompt", Take::Text),
        Node::take("instructions", Take::Text),
        // a text, items of Responses, or DashScope's object around messages
        Node {
            key: "input",
            take: Some(Take::Text),
            inside: &[
                Node::take("role", Take::Kind),
                text_or_parts("content"),
                Node::take("name", Take::Id),
                Node::take("arguments", Take::Text),
                text_or_parts("output"),
                Node::inside("messages", MESSAGE),
                Node::take("prompt", Take::Text),
            ],
        },
        Node::inside("contents", GEMINI),
        Node::inside("systemInstruction", GEMINI),
        Node::inside("system_instruction", GEMINI),
        Node::take("tools", Take::Raw),
        Node::take("functions", Take::Raw),
    ],
);

/// What is known of a request.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    model: String,
    body: Bytes,
    bytes: u64,
}

impl Prompt {
    /// Of a request with a body of that size, of which nothing else is known.
    pub fn of_size(bytes: u64) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Of a request for a model with this JSON body; nothing of it is copied.
    pub fn of_body(model: &str, body: Bytes) -> Self {
        Self { model: model.to_owned(), bytes: body.len() as u64, body }
    }

    /// The model that was asked for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// How many tokens it probably is.
    pub fn tokens(&self, tokenizer: Tokenizer) -> u64 {
        let read = self.body.get(..BODY_BYTES_MAX).unwrap_or(&self.body);
        let mut found = Found { text: Counter::default(), kept: Kept::up_to(BODY_BYTES_MAX), messages: 0, names: 0 };
        Scanner::new(&WANTED).read(read, &mut found);
        found.end_text();
        let around = if found.messages > 0 { found.messages * TOKENS_PER_MESSAGE + TOKENS_PER_ANSWER } else { 0 };
        let tokens = found.kept.tokens(tokenizer) + around + found.names * TOKENS_PER_NAME;
        if tokens == 0 {
            return prompt_tokens_estimated(self.bytes);
        }
        scaled(tokens, self.bytes, read.len() as u64).min(TOKENS_MAX)
    }
}

struct Found {
    text: Counter,
    kept: Kept,
    messages: u64,
    names: u64,
}

impl Found {
    fn end_text(&mut self) {
        self.text.end_string();
        self.kept.settle(self.text.take());
        self.kept.push(&[BETWEEN]);
    }
}

impl Sink for Found {
    fn value(&mut self, take: Take, raw: Raw<'_>) {
        match (take, raw) {
            (Take::Kind, _) => self.messages += 1,
            (Take::Id, Raw::String(name)) => {
                self.names += 1;
                self.text.read(name, &mut self.kept);
                self.end_text();
            }
            _ => {}
        }
    }

    fn text(&mut self, _: Take, part: &[u8]) {
        self.text.read(part, &mut self.kept);
    }

    fn text_end(&mut self, _: Take) {
        self.end_text();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn tokens(model: &str, body: &Value) -> u64 {
        Prompt::of_body(model, Bytes::from(body.to_string())).tokens(Tokenizer::of(model))
    }

    fn text(text: &str) -> u64 {
        Tokenizer::O200k.count(text.as_bytes()).unwrap()
    }

    /// The example of `OpenAI`'s own guide to counting, and what its API counted.
    #[test]
    fn a_chat_is_counted_as_openai_counts_it() {
        let messages = json!([
            {"role": "system", "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
            {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
            {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
            {"role": "system", "name": "example_user", "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
            {"role": "system", "name": "example_assistant", "content": "Let's talk later when we're less busy about how to do better."},
            {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."},
        ]);
        for (model, expected) in [("gpt-4o", 124), ("gpt-4o-mini", 124), ("gpt-4", 129), ("gpt-3.5-turbo", 129)] {
            assert_eq!(tokens(model, &json!({"model": model, "messages": messages})), expected, "{model}");
        }
    }

    #[test]
    fn every_dialects_texts_are_found_and_nothing_else() {
        let (one, two) = ("a first text", "and a second one");
        let image = "iVBORw0KGgo=".repeat(100);
        let around = |messages: u64| messages * TOKENS_PER_MESSAGE + TOKENS_PER_ANSWER;
        let cases = [
            (json!({"prompt": one}), text(one)),
            (json!({"prompt": [one, two]}), text(one) + text(two)),
            (json!({"input": one, "instructions": two}), text(one) + text(two)),
            (
                json!({"messages": [{"role": "user", "content": [{"type": "text", "text": one},
                    {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{image}")}}]}]}),
                text(one) + around(1),
            ),
            (
                json!({"system": [{"type": "text", "text": one}], "messages": [{"role": "user", "content": [
                    {"type": "image", "source": {"type": "base64", "data": image}},
                    {"type": "tool_result", "tool_use_id": "x", "content": [{"type": "text", "text": two}]}]}]}),
                text(one) + text(two) + around(1),
            ),
            (
                json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": one}]},
                    {"type": "function_call_output", "call_id": "x", "output": two}]}),
                text(one) + text(two) + around(1),
            ),
            (
                json!({"contents": [{"role": "user", "parts": [{"text": one}, {"inlineData": {"data": image}}]}],
                    "systemInstruction": {"parts": [{"text": two}]}}),
                text(one) + text(two) + around(1),
            ),
            (json!({"input": {"messages": [{"role": "user", "content": one}]}}), text(one) + around(1)),
            (
                json!({"messages": [{"role": "assistant", "content": null, "tool_calls": [{"id": "x", "type": "function",
                    "function": {"name": "f", "arguments": "{\"a\":1}"}}]}]}),
                text("f") + text("{\"a\":1}") + around(1),
            ),
            (json!({"prompt": one, "tools": [{"name": "f"}]}), text(one) + text(r#"[{"name":"f"}]"#)),
        ];
        for (body, expected) in cases {
            assert_eq!(tokens("gpt-5.4", &body), expected, "{body}");
        }
    }

    #[test]
    fn without_a_body_that_can_be_read_its_size_alone_tells() {
        assert_eq!(Prompt::of_size(401).tokens(Tokenizer::O200k), 101);
        assert_eq!(Prompt::default().tokens(Tokenizer::O200k), 0);
        let form = Prompt::of_body("gpt-4o", Bytes::from_static(b"--boundary\r\n\r\nabc"));
        assert_eq!(form.tokens(Tokenizer::O200k), 5);
    }

    #[test]
    fn what_is_too_large_to_be_read_is_taken_to_be_like_its_beginning() {
        let sentence = "The quick brown fox jumps over the lazy dog. ";
        let body = json!({"messages": [{"role": "user", "content": sentence.repeat(20_000)}]});
        let (estimated, exact) = (tokens("gpt-4o", &body), text(&sentence.repeat(100)) * 200);
        assert!(estimated.abs_diff(exact) * 50 < exact, "{estimated} for {exact}");
        let huge = Prompt { bytes: u64::MAX, ..Prompt::of_body("gpt-4o", Bytes::from(body.to_string())) };
        assert_eq!(huge.tokens(Tokenizer::O200k), TOKENS_MAX);
    }
}
