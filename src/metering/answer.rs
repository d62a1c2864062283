//! What a meter has gathered of one answer, event by event, and the reading that it makes in the end.

use super::{
    format::{Actions, AnswerFormat, Figures, Meaning, Text, Used},
    json::{Raw, Sink, Take},
    reading::{Reading, Tokens, UsageSource},
    sse::Name,
    text::{Characters, Counter, prompt_tokens_estimated},
};
use serde_json::{Map, Number, Value};

/// The longest id, model or tier that is kept; a longer one is taken for none.
const NAME_BYTES_MAX: usize = 256;
/// Figures of more weight than this, in units of about a hundred bytes, are not gathered over events: the newest alone count.
const WEIGHT_MAX: usize = 1024;
/// Figures with more members and items than this are none. A usage of two dozen passes over the context has fewer.
const VALUES_MAX: usize = 320;

/// What stands in the open event, or in the document.
#[derive(Debug, Default)]
struct Event {
    kind: Name,
    figures: Option<Map<String, Value>>,
    text: Counter,
    thought: Counter,
    searches: u64,
    is_error: bool,
}

/// Everything gathered so far.
#[derive(Debug, Default)]
pub struct Answer {
    event: Event,
    // names as they stand in the answer, escapes unresolved
    id: Vec<u8>,
    model: Vec<u8>,
    tier: Vec<u8>,
    figures: Option<Gathered>,
    /// What all figures weigh at most, those of the open event among them.
    weight: usize,
    text: Characters,
    thought: Characters,
    searches_new: u64,
    searches_all: u64,
    images: u64,
    is_ended: bool,
    is_finished: bool,
    is_failed: bool,
}

/// Figures of all events so far.
#[derive(Debug)]
struct Gathered {
    figures: Map<String, Value>,
    /// None of them says yet what was written.
    is_preliminary: bool,
}

/// What follows from an answer's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its status said failure: what it reports costs nothing.
    Failed,
    /// A success that costs nothing.
    Free,
    Billed,
}

/// What of an answer could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// All that came, and an end would have been seen.
    Clear,
    /// It is nothing that has an end to be seen.
    Opaque,
    /// Not all that came.
    Lost,
}

/// What the meter knows about an answer besides its content.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub standing: Standing,
    /// It is a stream of events: where no figures come, an estimate is made.
    pub is_stream: bool,
    /// It is whole, for a document.
    pub is_whole: bool,
    pub sight: Sight,
    pub prompt_bytes: Option<u64>,
}

impl Sink for Answer {
    fn value(&mut self, take: Take, raw: Raw<'_>) {
        match (take, raw) {
            (Take::Usage, Raw::Other(raw)) => self.take_figures(raw),
            (Take::Error, raw) => {
                self.event.is_error |= !matches!(raw, Raw::Other(b"null" | b"false") | Raw::String(b""));
            }
            (Take::Finish, raw) => {
                self.is_finished |= !matches!(raw, Raw::Other(b"null") | Raw::String(b"null" | b""));
            }
            (Take::Kind, Raw::String(kind)) => {
                self.event.kind.clear();
                self.event.kind.push(kind);
            }
            (Take::Search, Raw::String(_)) | (Take::ToolAction, Raw::String(b"search")) => self.event.searches += 1,
            (Take::Id, Raw::String(id)) if self.id.is_empty() => keep(&mut self.id, id),
            (Take::Model, Raw::String(model)) => keep(&mut self.model, model),
            (Take::Tier, Raw::String(tier)) => keep(&mut self.tier, tier),
            _ => {}
        }
    }

    fn text(&mut self, take: Take, part: &[u8]) {
        match take {
            Take::Text => self.event.text.read(part),
            Take::Thought => self.event.thought.read(part),
            _ => {}
        }
    }

    fn text_end(&mut self, take: Take) {
        match take {
            Take::Text => self.event.text.end_string(),
            Take::Thought => self.event.thought.end_string(),
            Take::Image => self.images += 1,
            _ => {}
        }
    }
}

impl Answer {
    fn take_figures(&mut self, raw: &[u8]) {
        // each member and item stands behind one of these, so that little is made of what is too much
        if raw.iter().filter(|byte| matches!(byte, b',' | b'{' | b'[')).count() > VALUES_MAX {
            return;
        }
        let Ok(Value::Object(newest)) = serde_json::from_slice(raw) else { return };
        let newest_weight = weight(&newest);
        if newest_weight > WEIGHT_MAX {
            return;
        }
        self.weight += newest_weight;
        if self.weight > WEIGHT_MAX {
            let gathered = self.figures.as_ref().map_or(0, |gathered| weight(&gathered.figures));
            self.weight = gathered + self.event.figures.as_ref().map_or(0, weight) + newest_weight;
            // with a quarter to spare, so that they are not weighed at every event
            if self.weight > WEIGHT_MAX / 4 * 3 {
                (self.figures, self.event.figures, self.weight) = (None, None, newest_weight);
            }
        }
        match &mut self.event.figures {
            Some(figures) => replace(figures, newest),
            None => self.event.figures = Some(newest),
        }
    }

    /// The open event is whole: what stood in it counts as the format says. `name` is the event's own, if it has one.
    pub fn end_event(&mut self, format: &dyn AnswerFormat, name: &[u8]) {
        let kind = self.event.kind.as_bytes();
        let meaning = format.meaning(if kind.is_empty() { name } else { kind });
        self.event.kind.clear();
        self.is_ended |= meaning.is_end;
        self.is_failed |= meaning.is_failure | std::mem::take(&mut self.event.is_error);
        let (text, thought) = (self.event.text.take(), self.event.thought.take());
        match meaning.text {
            Text::AsWanted => self.text.add(text),
            Text::Thought => self.thought.add(text),
            Text::Nothing => {}
        }
        self.thought.add(thought);
        let searches = std::mem::take(&mut self.event.searches);
        match meaning.actions {
            Actions::Repeated => {}
            Actions::New => self.searches_new += searches,
            Actions::All => self.searches_all = self.searches_all.max(searches),
        }
        self.gather(meaning);
    }

    /// The stream said that it is over (`[DONE]`).
    pub fn end_stream(&mut self) {
        self.is_ended = true;
    }

    fn gather(&mut self, meaning: Meaning) {
        let Some(newest) = self.event.figures.take() else { return };
        let is_preliminary = meaning.figures == Figures::Preliminary;
        let Some(gathered) = &mut self.figures else {
            self.figures = Some(Gathered { figures: newest, is_preliminary });
            return;
        };
        gathered.is_preliminary &= is_preliminary;
        match meaning.figures {
            Figures::Latest | Figures::Preliminary => replace(&mut gathered.figures, newest),
            Figures::Part => add(&mut gathered.figures, newest),
        }
    }

    /// What the answer used. Can be asked more than once.
    pub fn reading(&self, format: &dyn AnswerFormat, outcome: &Outcome) -> Reading {
        let is_complete = outcome.is_whole || self.is_ended || self.is_finished && format.ends_with_finish();
        let is_cut = outcome.sight == Sight::Clear && !is_complete && !self.is_finished;
        let mut reading = Reading {
            model_served: resolve(&self.model),
            service_tier: resolve(&self.tier),
            provider_response_id: resolve(&self.id),
            stream_error: is_cut || self.is_failed && outcome.standing != Standing::Failed,
            complete: is_complete,
            ..Reading::default()
        };
        if outcome.standing != Standing::Billed {
            return reading;
        }
        let is_lost = outcome.sight == Sight::Lost;
        let used = self.figures().and_then(|figures| format.used(figures));
        let is_reported = used.as_ref().is_some_and(|used| !self.is_preliminary(used, is_cut));
        if let Some(used) = used {
            reading.source = UsageSource::Provider;
            reading.tokens = used.tokens;
            reading.units = used.units;
            reading.service_tier = used.tier.or(reading.service_tier);
        } else if self.images > 0 {
            reading.source = UsageSource::Provider;
        } else if outcome.is_stream || is_lost {
            reading.tokens.input = outcome.prompt_bytes.map_or(0, prompt_tokens_estimated);
        }
        if (outcome.is_stream || is_lost) && !is_reported {
            self.estimate_output(&mut reading);
        }
        if is_lost && !is_complete && reading.source == UsageSource::Provider {
            // the provider may have told more than was read
            reading.source = UsageSource::Estimated;
        }
        reading.units.images = reading.units.images.max(self.images);
        reading.units.searches = reading.units.searches.max(self.searches_new).max(self.searches_all);
        reading
    }

    /// The figures say nothing yet of what was written: by their kind, or because the answer was cut before they did.
    fn is_preliminary(&self, used: &Used, is_cut: bool) -> bool {
        let tokens = &used.tokens;
        let tells_output = tokens.output > 0 || tokens.audio_output > 0 || tokens.image_output > 0;
        let is_early = self.figures.as_ref().is_some_and(|gathered| gathered.is_preliminary);
        is_early || is_cut && !tells_output && self.text.total() > 0
    }

    /// The figures that the provider reported, as last told; for a look at those that are new to us.
    pub fn figures(&self) -> Option<&Map<String, Value>> {
        self.figures.as_ref().map(|gathered| &gathered.figures)
    }

    fn estimate_output(&self, reading: &mut Reading) {
        let (text, thought) = (self.text.tokens_estimated(), self.thought.tokens_estimated());
        let has_failed_at_once = self.is_failed && text + thought == 0 && reading.source == UsageSource::None;
        if has_failed_at_once {
            reading.tokens = Tokens::default();
            return;
        }
        reading.tokens.output = reading.tokens.output.max(text + thought);
        reading.tokens.reasoning = reading.tokens.reasoning.max(thought);
        if reading.tokens != Tokens::default() {
            reading.source = UsageSource::Estimated;
        }
    }
}

fn keep(name: &mut Vec<u8>, newest: &[u8]) {
    if !newest.is_empty() && newest.len() <= NAME_BYTES_MAX && name != newest {
        name.clear();
        name.extend_from_slice(newest);
    }
}

/// A string between its quotes, as the text that it means; `None` when it is empty or no text.
fn resolve(raw: &[u8]) -> Option<String> {
    if raw.is_empty() {
        return None;
    }
    if !raw.contains(&b'\\') {
        return String::from_utf8(raw.to_vec()).ok();
    }
    serde_json::from_slice(&[b"\"", raw, b"\""].concat()).ok()
}

/// The last value that is not null counts, for each figure by itself.
fn replace(figures: &mut Map<String, Value>, newest: Map<String, Value>) {
    for (name, value) in newest {
        match (figures.get_mut(&name), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(inside)), Value::Object(newest)) => replace(inside, newest),
            (Some(figure), value) => *figure = value,
            (None, value) => {
                figures.insert(name, value);
            }
        }
    }
}

/// Adds figure to figure; what is no number is replaced.
fn add(figures: &mut Map<String, Value>, newest: Map<String, Value>) {
    for (name, value) in newest {
        match (figures.get_mut(&name), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(inside)), Value::Object(newest)) => add(inside, newest),
            (Some(Value::Number(sum)), Value::Number(more)) => *sum = plus(sum, &more),
            (Some(figure), value) => *figure = value,
            (None, value) => {
                figures.insert(name, value);
            }
        }
    }
}

fn plus(one: &Number, two: &Number) -> Number {
    match (one.as_u64(), two.as_u64()) {
        (Some(one), Some(two)) => one.saturating_add(two).into(),
        _ => Number::from_f64(one.as_f64().unwrap_or_default() + two.as_f64().unwrap_or_default())
            .unwrap_or_else(|| 0u64.into()),
    }
}

/// How much memory figures take, in units of about a hundred bytes. A map's entries are kept in nodes of five and more.
fn weight(figures: &Map<String, Value>) -> usize {
    let entries: usize = figures.iter().map(|(name, value)| 1 + name.len() / 64 + weight_of(value)).sum();
    figures.len().div_ceil(5) * 6 + entries
}

fn weight_of(value: &Value) -> usize {
    match value {
        Value::Object(inside) => weight(inside),
        Value::Array(inside) => inside.iter().map(|value| 1 + weight_of(value)).sum(),
        Value::String(text) => text.len() / 64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_last_value_that_is_not_null_counts_for_each_figure() {
        let mut figures = map(r#"{"a":1,"o":{"x":1,"y":2},"n":null}"#);
        replace(&mut figures, map(r#"{"a":null,"o":{"y":3,"z":4},"n":5,"new":6}"#));
        replace(&mut figures, map(r#"{"o":null}"#));
        assert_eq!(figures, map(r#"{"a":1,"o":{"x":1,"y":3,"z":4},"n":5,"new":6}"#));
    }

    #[test]
    fn parts_are_added_figure_by_figure() {
        let mut figures = map(r#"{"a":1,"o":{"x":1.5},"t":"one"}"#);
        add(&mut figures, map(r#"{"a":2,"o":{"x":1,"y":2},"t":"two","z":null}"#));
        assert_eq!(figures, map(r#"{"a":3,"o":{"x":2.5,"y":2},"t":"two"}"#));
    }

    #[test]
    fn figures_do_not_grow_without_bound() {
        let mut answer = Answer::default();
        let held =
            |answer: &Answer| answer.figures().map_or(0, weight) + answer.event.figures.as_ref().map_or(0, weight);
        for n in 0..10_000 {
            answer.take_figures(format!(r#"{{"k{n}":{{"a":{n},"b":"{}"}}}}"#, "x".repeat(100)).as_bytes());
            assert!(held(&answer) <= answer.weight && answer.weight <= WEIGHT_MAX);
            if n % 3 == 0 {
                answer.gather(Meaning::default());
            }
        }
        let many = format!("{{{}\"z\":0}}", "\"k\":0,".repeat(VALUES_MAX));
        let before = held(&answer);
        answer.take_figures(many.as_bytes());
        assert_eq!(held(&answer), before, "too many values are no figures");
    }

    #[test]
    fn the_same_figures_again_and_again_are_kept() {
        let mut answer = Answer::default();
        answer.take_figures(br#"{"first":1}"#);
        for n in 0..10_000 {
            answer.take_figures(format!(r#"{{"n":{n},"o":{{"m":{n}}}}}"#).as_bytes());
            answer.gather(Meaning::default());
        }
        assert_eq!(answer.figures(), Some(&map(r#"{"first":1,"n":9999,"o":{"m":9999}}"#)));
    }

    #[test]
    fn names_are_resolved_and_bounded() {
        let mut name = Vec::new();
        keep(&mut name, br"a\u0062\/c");
        keep(&mut name, b"");
        keep(&mut name, &[b'x'; NAME_BYTES_MAX + 1]);
        assert_eq!(resolve(&name).as_deref(), Some("ab/c"));
        assert_eq!(resolve(b""), None);
        assert_eq!(resolve(b"\xff"), None);
    }
}
