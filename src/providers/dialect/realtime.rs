//! Messages on the sockets of `OpenAI` and of those that speak like it (realtime of DashScope): Realtime, Live, Responses.
//!
//! Each response reports its own usage, which is summed. What a transcription model heard comes in events of its own and
//! has that model's price; the session says which model it is. An error does not end a session.

use super::openai::{ACTIONS, OpenAi};
use crate::metering::{
    format::{Actions, AnswerFormat, Figures, Meaning, Used, count, thousandths_of},
    json::{Node, Take},
    reading::Units,
};
use serde_json::{Map, Value};

/// The format.
#[derive(Debug)]
pub struct Realtime;

const TRANSCRIPTION: &[Node] = &[Node::take("model", Take::AsideModel)];

static WANTED: Node = Node::inside(
    "",
    &[
        Node::take("type", Take::Kind),
        Node::inside(
            "session",
            &[
                Node::take("id", Take::Id),
                Node::take("model", Take::Model),
                Node::inside("input_audio_transcription", TRANSCRIPTION),
                Node::inside("audio", &[Node::inside("input", &[Node::inside("transcription", TRANSCRIPTION)])]),
            ],
        ),
        Node::inside(
            "response",
            &[
                Node::take("id", Take::Id),
                Node::take("model", Take::Model),
                Node::take("service_tier", Take::Tier),
                Node::take("usage", Take::Usage),
                Node::take("error", Take::Error),
                Node::inside("status_details", &[Node::take("error", Take::Error)]),
                Node::inside("output", ACTIONS),
            ],
        ),
        Node::take("usage", Take::Usage),
        Node::take("error", Take::Error),
    ],
);

impl AnswerFormat for Realtime {
    fn wanted(&self) -> &'static Node {
        &WANTED
    }

    fn meaning(&self, kind: &[u8]) -> Meaning {
        let base = Meaning { figures: Figures::Nothing, ..Meaning::default() };
        match kind {
            b"response.done" | b"response.completed" | b"response.incomplete" => {
                Meaning { figures: Figures::Part, actions: Actions::New, ..base }
            }
            b"response.failed" => Meaning { figures: Figures::Part, actions: Actions::New, is_failure: true, ..base },
            b"conversation.item.input_audio_transcription.completed" => Meaning { figures: Figures::Aside, ..base },
            // seconds of the whole session so far
            b"session.usage.updated" | b"session.closed" => Meaning { figures: Figures::Latest, ..base },
            b"error" => Meaning { is_failure: true, ..base },
            _ => base,
        }
    }

    fn used(&self, figures: &Map<String, Value>) -> Option<Used> {
        OpenAi.used(figures).or_else(|| {
            let characters = count(figures, &["characters"]);
            let millis = thousandths_of(figures, &["seconds"]).or_else(|| thousandths_of(figures, &["duration"]));
            characters.or(millis)?;
            let (characters, millis) = (characters.unwrap_or_default(), millis.unwrap_or_default());
            Some(Used { units: Units { millis, characters, ..Units::default() }, ..Used::default() })
        })
    }

    fn known(&self) -> &'static [&'static str] {
        OpenAi.known()
    }
}

/// Messages on the inference socket of DashScope: speech that is synthesized or recognized, task by task. A task's figures
/// are cumulative, and tasks are summed. No message of the provider's names the model.
#[derive(Debug)]
pub struct Inference;

static INFERENCE: Node = Node::inside(
    "",
    &[
        Node::inside("header", &[Node::take("event", Take::Kind), Node::take("task_id", Take::Id)]),
        Node::inside("payload", &[Node::take("usage", Take::Usage)]),
    ],
);

impl AnswerFormat for Inference {
    fn wanted(&self) -> &'static Node {
        &INFERENCE
    }

    fn meaning(&self, kind: &[u8]) -> Meaning {
        let base = Meaning::default();
        match kind {
            b"task-finished" => Meaning { figures: Figures::Part, ..base },
            b"task-failed" => Meaning { figures: Figures::Part, is_failure: true, ..base },
            _ => base,
        }
    }

    fn used(&self, figures: &Map<String, Value>) -> Option<Used> {
        Realtime.used(figures)
    }

    fn known(&self) -> &'static [&'static str] {
        &["input_tokens", "output_tokens", "total_tokens", "characters", "duration", "seconds"]
    }
}
