//! What a dialect tells the meter about its answers: where figures stand, what events mean, how figures divide.
//!
//! The dialects themselves are in `providers/dialect/`; the meter knows none by name.

use super::{
    json::Node,
    reading::{Tokens, Units},
};
use serde_json::{Map, Number, Value};
use std::fmt;

/// How the figures of an event relate to those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Figures {
    /// They are of the whole answer so far: each replaces the one before.
    #[default]
    Latest,
    /// They are of one part of the answer, which ends here: parts are summed, and each is priced by itself.
    Part,
    /// As `Part`, of what another model did, which `Take::AsideModel` named.
    Aside,
    /// As `Latest`, but what was written is not yet among them.
    Preliminary,
    /// They are no figures of use, or are told again elsewhere.
    Nothing,
}

/// How the tool actions in an event relate to those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Actions {
    /// They are told again elsewhere.
    #[default]
    Repeated,
    /// They are new.
    New,
    /// They are all of the answer's.
    All,
}

/// What an event of one kind, or a whole document, means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meaning {
    pub figures: Figures,
    pub actions: Actions,
    /// The answer ends with it.
    pub is_end: bool,
    /// It says that the answer failed.
    pub is_failure: bool,
    pub text: Text,
}

/// What the counted text in an event is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Text {
    /// As its nodes say.
    #[default]
    AsWanted,
    /// Text that a model thought.
    Thought,
    /// No text that a model wrote: base64, a repetition.
    Nothing,
}

/// What the figures of an answer, or of a part of it, say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    pub tokens: Tokens,
    pub units: Units,
    /// The service tier, where it is told among the figures.
    pub tier: Option<String>,
    /// What other models did, by their names; not in `tokens`.
    pub asides: Vec<(String, Tokens)>,
}

/// A wire format's answers.
pub trait AnswerFormat: fmt::Debug + Send + Sync {
    /// Which members are wanted of a document or of an event's data.
    fn wanted(&self) -> &'static Node;

    /// What an event means; `kind` is its `Take::Kind` member, or else its name.
    fn meaning(&self, kind: &[u8]) -> Meaning;

    /// Whether streams have no end of their own but that the model has finished.
    fn ends_with_finish(&self) -> bool {
        false
    }

    /// Divides figures into disjoint classes; `None` when none of them is known.
    fn used(&self, figures: &Map<String, Value>) -> Option<Used>;

    /// The names of all figures that `used` looks at or leaves out on purpose, wherever they stand.
    fn known(&self) -> &'static [&'static str];
}

/// The member at a path of names, as a count; `None` when it is missing, null or no number. Negative is 0.
pub fn count(figures: &Map<String, Value>, path: &[&str]) -> Option<u64> {
    number(figures, path).map(|number| match number.as_u64() {
        Some(count) => count,
        None => thousandths(number) / 1000,
    })
}

/// The member at a path of names, in thousandths of its unit.
pub fn thousandths_of(figures: &Map<String, Value>, path: &[&str]) -> Option<u64> {
    number(figures, path).map(thousandths)
}

/// The member at a path of names, as a text.
pub fn text<'f>(figures: &'f Map<String, Value>, path: &[&str]) -> Option<&'f str> {
    member(figures, path)?.as_str()
}

/// The member at a path of names.
pub fn member<'f>(figures: &'f Map<String, Value>, path: &[&str]) -> Option<&'f Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(figures.get(*first)?, |value, name| value.get(*name))
}

fn number<'f>(figures: &'f Map<String, Value>, path: &[&str]) -> Option<&'f Number> {
    match member(figures, path)? {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

pub(super) fn thousandths(number: &Number) -> u64 {
    if let Some(whole) = number.as_u64() {
        return whole.saturating_mul(1000);
    }
    let decimal = format!("{:.3}", number.as_f64().unwrap_or_default());
    decimal.replace('.', "").parse().unwrap_or_default() // a minus sign makes it 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_leniently() {
        let text = r#"{"n":7,"o":{"n":8,"z":null},"f":9.75,"neg":-3,"s":"12","big":1e30,"a":[1]}"#;
        let figures: Map<String, Value> = serde_json::from_str(text).unwrap();
        let cases: &[(&[&str], Option<u64>)] = &[
            (&["n"], Some(7)),
            (&["o", "n"], Some(8)),
            (&["o", "z"], None),
            (&["o", "missing"], None),
            (&["n", "n"], None),
            (&["f"], Some(9)),
            (&["neg"], Some(0)),
            (&["s"], None),
            (&["big"], Some(0)),
            (&["a"], None),
            (&[], None),
        ];
        for (path, expected) in cases {
            assert_eq!(count(&figures, path), *expected, "{path:?}");
        }
        assert_eq!(thousandths_of(&figures, &["f"]), Some(9750));
        assert_eq!(thousandths_of(&figures, &["n"]), Some(7000));
    }
}
