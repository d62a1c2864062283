//! Answers of MuleRouter's media API: jobs, which report no usage and may fail under a status of success.
//!
//! What they cost follows from the request; chat is `OpenAI`'s format.

use crate::metering::{
    format::{AnswerFormat, Meaning, Used},
    json::{Node, Take},
};
use serde_json::{Map, Value};

/// The format.
#[derive(Debug)]
pub struct MuleRouter;

static WANTED: Node = Node::inside(
    "",
    &[
        Node::inside("task_info", &[Node::take("id", Take::Id), Node::take("error", Take::Error)]),
        Node::take("error", Take::Error),
    ],
);

impl AnswerFormat for MuleRouter {
    fn wanted(&self) -> &'static Node {
        &WANTED
    }

    fn meaning(&self, _: &[u8]) -> Meaning {
        Meaning::default()
    }

    fn used(&self, _: &Map<String, Value>) -> Option<Used> {
        None
    }

    fn known(&self) -> &'static [&'static str] {
        &[]
    }
}
