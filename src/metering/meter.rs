//! The meter of one answer: it reads a copy of the bytes as they are relayed and gives a reading in the end.
//!
//! It never fails, waits or touches the bytes. An answer is a stream of events, JSON (a document, or an array or
//! lines of them), the messages of a WebSocket, or something that holds no figures; its content type says which, and
//! where that is not to be trusted its first byte does. Nothing is buffered but the values that are wanted, so memory
//! does not depend on the size of the answer, of an event or of a message.

use super::{
    answer::{Answer, Outcome, Sight, Standing},
    decode::{DecodeError, Decoders, Progress},
    format::AnswerFormat,
    frames::{self, Frames},
    json::Scanner,
    prompt::Prompt,
    reading::{Reading, UsageSource},
    sse::{Piece, Splitter},
};
use crate::telemetry::metrics::METRICS;
use serde_json::{Map, Value};

/// The end of a stream of events, where it has a text for it.
const DONE: &[u8] = b"[DONE]";

/// What an answer's head says that matters to its meter.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnswerHead<'a> {
    pub status: u16,
    pub content_type: Option<&'a str>,
    /// All `Content-Encoding` header lines, joined with commas.
    pub content_encoding: Option<&'a str>,
}

/// The meter of one answer.
#[derive(Debug)]
pub struct AnswerMeter {
    wire: Wire,
    body: Body,
    standing: Standing,
    prompt: Prompt,
    characters: Option<u64>,
}

/// What lies between the bytes that are relayed and what can be read.
#[derive(Debug)]
enum Wire {
    Coded(Decoders),
    Frames(Box<Frames>),
    /// It was not what it claimed to be.
    Unreadable,
}

impl Wire {
    fn of<T>(opened: Result<T, DecodeError>, wire: fn(T) -> Self) -> Self {
        opened.inspect_err(|error| count_unreadable(*error)).map_or(Self::Unreadable, wire)
    }
}

impl AnswerMeter {
    /// A meter for an answer in this format.
    pub fn new(format: &'static dyn AnswerFormat, head: &AnswerHead<'_>) -> Self {
        let decoders = Decoders::new(head.content_encoding.unwrap_or_default());
        Self {
            wire: Wire::of(decoders, Wire::Coded),
            body: Body::new(format, Declared::of(head.content_type.unwrap_or_default())),
            standing: if head.status < 400 { Standing::Billed } else { Standing::Failed },
            prompt: Prompt::default(),
            characters: None,
        }
    }

    /// A meter for the provider's side of a WebSocket with these extensions (`Sec-WebSocket-Extensions` of the `101`).
    pub fn of_socket(format: &'static dyn AnswerFormat, extensions: &str) -> Self {
        let frames = Frames::new(extensions).map(Box::new);
        Self {
            wire: Wire::of(frames, Wire::Frames),
            body: Body { shape: Shape::Messages, ..Body::new(format, Declared::Unsure) },
            standing: Standing::Billed,
            prompt: Prompt::default(),
            characters: None,
        }
    }

    /// The request, for an estimate where the provider reports nothing.
    #[must_use]
    pub fn with_prompt(mut self, prompt: Prompt) -> Self {
        self.prompt = prompt;
        self
    }

    /// How many characters the request gave to be spoken, for where the provider charges them but does not tell them.
    #[must_use]
    pub fn with_characters(mut self, characters: Option<u64>) -> Self {
        self.characters = characters;
        self
    }

    /// Whatever the answer reports costs nothing (a free endpoint, a repeated look at an answer billed before).
    #[must_use]
    pub fn free(mut self) -> Self {
        if self.standing == Standing::Billed {
            self.standing = Standing::Free;
        }
        self
    }

    /// Reads the next chunk of the body.
    pub fn read(&mut self, chunk: &[u8]) {
        self.read_some(chunk, u64::MAX);
    }

    /// Reads of the next chunk what makes about `decoded_max` bytes, where it is encoded. When it is not done, the rest of
    /// the chunk is to be read next, even if that is empty.
    pub fn read_some(&mut self, chunk: &[u8], decoded_max: u64) -> Progress {
        let whole = Progress { used: chunk.len(), is_done: true };
        let body = &mut self.body;
        let read = match &mut self.wire {
            Wire::Unreadable => return whole,
            Wire::Coded(decoders) if decoders.count() == 0 => {
                body.read(chunk);
                return whole;
            }
            Wire::Coded(decoders) => decoders.read(chunk, decoded_max, &mut |decoded| body.read(decoded)),
            Wire::Frames(frames) => frames.read(chunk, &mut |piece| body.read_message(piece)).map(|()| whole),
        };
        read.unwrap_or_else(|error| {
            count_unreadable(error);
            self.wire = Wire::Unreadable;
            whole
        })
    }

    /// In how many codings the answer is; frames are one.
    pub fn codings(&self) -> usize {
        match &self.wire {
            Wire::Coded(decoders) => decoders.count(),
            Wire::Frames(_) => 1,
            Wire::Unreadable => 0,
        }
    }

    /// What comes from now on is lost, because it could not be read in time.
    pub fn give_up(&mut self) {
        if !matches!(self.wire, Wire::Unreadable) {
            self.wire = Wire::Unreadable;
            METRICS.answers_unreadable_total.with_label_values(&["slow"]).inc();
        }
    }

    /// What the answer used. To be asked once no more will come, for whatever reason; asking again changes nothing.
    pub fn finish(&mut self) -> Reading {
        let is_first = self.body.finish();
        let outcome = Outcome {
            standing: self.standing,
            is_stream: self.body.is_stream(),
            is_whole: self.body.is_whole(),
            sight: match &self.wire {
                Wire::Unreadable => Sight::Lost,
                _ if self.body.is_readable() => Sight::Clear,
                _ => Sight::Opaque,
            },
            prompt: &self.prompt,
            characters: self.characters,
        };
        let reading = self.body.answer.reading(self.body.format, &outcome);
        if is_first
            && reading.source == UsageSource::Provider
            && let Some(figures) = self.body.answer.figures()
            && has_unknown(figures, self.body.format.known())
        {
            METRICS.usage_figures_unknown_total.inc();
        }
        reading
    }
}

fn count_unreadable(error: DecodeError) {
    let why = match error {
        DecodeError::Unknown => "coding",
        DecodeError::Damaged => "damaged",
        DecodeError::TooMuch => "size",
        DecodeError::Memory => "memory",
    };
    METRICS.answers_unreadable_total.with_label_values(&[why]).inc();
}

fn has_unknown(figures: &Map<String, Value>, known: &[&str]) -> bool {
    figures.iter().any(|(name, value)| match value {
        Value::Number(number) => number.as_f64() != Some(0.0) && !known.contains(&name.as_str()),
        Value::Object(inside) => has_unknown(inside, known),
        _ => false,
    })
}

/// What a content type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declared {
    Events,
    /// JSON, or nothing that is sure: the first byte tells.
    Unsure,
    /// Nothing in which figures stand.
    Opaque,
}

impl Declared {
    fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.split_once('/') {
            Some(("text", "event-stream")) => Self::Events,
            Some(("text", "html") | ("image" | "audio" | "video" | "font", _)) => Self::Opaque,
            _ => Self::Unsure,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Nothing but white space so far.
    Unseen,
    Events,
    Json,
    /// Of a WebSocket: each is JSON, or holds no figures.
    Messages,
    Opaque,
}

/// The decoded body and how it is read.
#[derive(Debug)]
struct Body {
    format: &'static dyn AnswerFormat,
    declared: Declared,
    shape: Shape,
    splitter: Splitter,
    scanner: Scanner,
    answer: Answer,
    /// How much of `[DONE]` the open event's data is; `None` when it is something else.
    done: Option<usize>,
    /// Whether the open message is JSON; `None` before its first byte.
    is_message_json: Option<bool>,
    is_over: bool,
}

impl Body {
    fn new(format: &'static dyn AnswerFormat, declared: Declared) -> Self {
        Self {
            format,
            declared,
            shape: if declared == Declared::Opaque { Shape::Opaque } else { Shape::Unseen },
            splitter: Splitter::default(),
            scanner: Scanner::new(format.wanted()),
            answer: Answer::default(),
            done: Some(0),
            is_message_json: None,
            is_over: false,
        }
    }

    fn read(&mut self, mut bytes: &[u8]) {
        if self.shape == Shape::Unseen {
            // white space and a byte-order mark say nothing
            let is_silent = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf);
            let Some(first) = bytes.iter().position(|byte| !is_silent(byte)) else { return };
            bytes = bytes.get(first..).unwrap_or_default();
            self.shape = match (bytes.first(), self.declared) {
                (Some(b'{' | b'['), _) => Shape::Json,
                (_, Declared::Events) | (Some(b'd' | b'e' | b':'), _) => Shape::Events,
                _ => Shape::Opaque,
            };
        }
        match self.shape {
            Shape::Events => self.read_events(bytes),
            Shape::Json => self.scanner.read(bytes, &mut self.answer),
            Shape::Messages | Shape::Opaque | Shape::Unseen => {}
        }
    }

    fn read_message(&mut self, piece: frames::Piece<'_>) {
        match piece {
            frames::Piece::Data(part) => {
                // JSON's own white space: no other may stand before it
                let first = || part.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
                self.is_message_json = self.is_message_json.or_else(|| first().map(|byte| matches!(byte, b'{' | b'[')));
                if self.is_message_json == Some(true) {
                    self.scanner.read(part, &mut self.answer);
                }
            }
            frames::Piece::End => self.end_message(),
            frames::Piece::Close => self.answer.end_stream(),
        }
    }

    fn end_message(&mut self) {
        if self.is_message_json.take() == Some(true) {
            self.scanner.restart();
            self.answer.end_event(self.format, b"");
        }
    }

    fn read_events(&mut self, mut bytes: &[u8]) {
        while let Some(piece) = self.splitter.next(&mut bytes) {
            match piece {
                Piece::Data(data) => {
                    self.done = self.done.filter(|seen| DONE.get(*seen..).is_some_and(|rest| rest.starts_with(data)));
                    self.done = self.done.map(|seen| seen + data.len());
                    self.scanner.read(data, &mut self.answer);
                }
                Piece::End => self.end_event(),
            }
        }
    }

    fn end_event(&mut self) {
        if self.done == Some(DONE.len()) {
            self.answer.end_stream();
        }
        self.done = Some(0);
        self.scanner.restart();
        self.answer.end_event(self.format, self.splitter.name());
    }

    /// No more will come; whether it was told so for the first time.
    fn finish(&mut self) -> bool {
        if std::mem::replace(&mut self.is_over, true) {
            return false;
        }
        match self.shape {
            Shape::Events if self.splitter.finish() => self.end_event(),
            Shape::Json => self.answer.end_event(self.format, b""),
            Shape::Messages => self.end_message(),
            Shape::Events | Shape::Opaque | Shape::Unseen => {}
        }
        true
    }

    /// Events came, or were announced.
    fn is_stream(&self) -> bool {
        match self.shape {
            Shape::Events | Shape::Unseen => self.declared == Declared::Events || self.scanner.documents() > 0,
            Shape::Json | Shape::Messages | Shape::Opaque => false,
        }
    }

    fn is_whole(&self) -> bool {
        self.shape == Shape::Json && self.scanner.documents() > 0 && self.scanner.is_at_rest()
    }

    /// Whether an end that is missing means that the answer was cut.
    fn is_readable(&self) -> bool {
        self.shape == Shape::Json || self.is_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_say_what_a_body_can_be() {
        let cases = [
            ("text/event-stream", Declared::Events),
            ("Text/Event-Stream; charset=utf-8", Declared::Events),
            ("application/json", Declared::Unsure),
            ("application/problem+json", Declared::Unsure),
            ("text/plain", Declared::Unsure),
            ("", Declared::Unsure),
            ("text/html; charset=utf-8", Declared::Opaque),
            ("audio/mpeg", Declared::Opaque),
        ];
        for (content_type, expected) in cases {
            assert_eq!(Declared::of(content_type), expected, "{content_type}");
        }
    }

    #[test]
    fn figures_that_are_new_to_us_are_noticed_unless_they_are_zero() {
        let figures = |text| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        assert!(!has_unknown(&figures(r#"{"a":1,"o":{"b":2,"new":0},"tier":"x"}"#), &["a", "b"]));
        assert!(has_unknown(&figures(r#"{"a":1,"o":{"b":2,"new":3}}"#), &["a", "b"]));
    }
}
