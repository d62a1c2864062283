//! What a meter has gathered of one answer, event by event, and the reading that it makes in the end.

use super::{
    format::{self, Actions, AnswerFormat, Figures, Meaning, Text},
    json::{Raw, Sink, Take},
    parts::{self, Parts},
    prompt::Prompt,
    reading::{Part, Reading, Tokens, UsageSource},
    sse::Name,
    text::{Counter, Kept, WRITTEN_BYTES_MAX},
    tokenizer::Tokenizer,
};
use serde_json::{Map, Number, Value};
use std::iter;

/// The longest id, model or tier that is kept; a longer one is taken for none.
const NAME_BYTES_MAX: usize = 256;
/// Figures of more weight than this, in units of about a hundred bytes, are not gathered over events: the newest alone
/// count.
const WEIGHT_MAX: usize = 1024;
/// What another model did beside has few figures.
const ASIDE_WEIGHT_MAX: usize = 64;
/// Figures with more members and items than this are none. A usage of two dozen passes over the context has fewer.
const VALUES_MAX: usize = 320;

/// What stands in the open event, or in the document.
#[derive(Debug, Default)]
struct Event {
    kind: Name,
    figures: Option<Map<String, Value>>,
    aside_figures: Option<Map<String, Value>>,
    text: Counter,
    thought: Counter,
    searches: u64,
    is_error: bool,
    /// A part of the answer ends with it.
    ends_part: bool,
}

/// Everything gathered so far.
#[derive(Debug)]
pub struct Answer {
    event: Event,
    // names as they stand in the answer, escapes unresolved
    id: Vec<u8>,
    model: Vec<u8>,
    aside_model: Vec<u8>,
    tier: Vec<u8>,
    figures: Option<Gathered>,
    /// What all figures weigh at most, those of the open event among them.
    weight: usize,
    parts: Parts,
    text: Kept,
    thought: Kept,
    searches_new: u64,
    searches_all: u64,
    images: u64,
    millis: u64,
    is_ended: bool,
    is_finished: bool,
    is_failed: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            event: Event::default(),
            id: Vec::new(),
            model: Vec::new(),
            aside_model: Vec::new(),
            tier: Vec::new(),
            figures: None,
            weight: 0,
            parts: Parts::default(),
            text: Kept::up_to(WRITTEN_BYTES_MAX),
            thought: Kept::up_to(WRITTEN_BYTES_MAX),
            searches_new: 0,
            searches_all: 0,
            images: 0,
            millis: 0,
            is_ended: false,
            is_finished: false,
            is_failed: false,
        }
    }
}

/// Figures of all events so far, since the last part ended.
#[derive(Debug)]
struct Gathered {
    figures: Map<String, Value>,
    /// None of them says yet what was written.
    is_preliminary: bool,
    /// They stand among the parts already.
    is_over: bool,
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
pub struct Outcome<'a> {
    pub standing: Standing,
    /// It is a stream of events: where no figures come, an estimate is made.
    pub is_stream: bool,
    /// It is whole, for a document.
    pub is_whole: bool,
    pub sight: Sight,
    pub prompt: &'a Prompt,
    /// The characters that were to be spoken.
    pub characters: Option<u64>,
}

impl Sink for Answer {
    fn value(&mut self, take: Take, raw: Raw<'_>) {
        match (take, raw) {
            (Take::Usage, Raw::Other(raw)) => self.take_figures(raw),
            (Take::AsideUsage, Raw::Other(raw)) => self.event.aside_figures = figures_of(raw, ASIDE_WEIGHT_MAX),
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
            (Take::AsideModel, Raw::String(model)) => keep(&mut self.aside_model, model),
            (Take::Tier, Raw::String(tier)) => keep(&mut self.tier, tier),
            (Take::Seconds, Raw::String(raw) | Raw::Other(raw)) => {
                self.millis = serde_json::from_slice(raw).map_or(0, |seconds: Number| format::thousandths(&seconds));
            }
            (Take::PartEnd, Raw::Other(b"true")) => self.event.ends_part = true,
            _ => {}
        }
    }

    fn text(&mut self, take: Take, part: &[u8]) {
        match take {
            Take::Text => self.event.text.read(part, &mut self.text),
            Take::Thought => self.event.thought.read(part, &mut self.thought),
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
        let Some(newest) = figures_of(raw, WEIGHT_MAX) else { return };
        let newest_weight = weight(&newest);
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
            Text::AsWanted => self.text.settle(text),
            Text::Thought => {
                self.text.give_up(Some(&mut self.thought));
                self.thought.settle(text);
            }
            Text::Nothing => self.text.give_up(None),
        }
        self.thought.settle(thought);
        let searches = std::mem::take(&mut self.event.searches);
        match meaning.actions {
            Actions::Repeated => {}
            Actions::New => self.searches_new += searches,
            Actions::All => self.searches_all = self.searches_all.max(searches),
        }
        if let Some(aside) = self.event.aside_figures.take() {
            self.count_aside(format, &aside, format::text(&aside, &["model"]).map(str::to_owned));
        }
        self.parts.is_late |= std::mem::take(&mut self.event.ends_part);
        match self.event.figures.take() {
            Some(newest) if meaning.figures == Figures::Aside => {
                self.count_aside(format, &newest, resolve(&self.aside_model));
            }
            Some(newest) if meaning.figures != Figures::Nothing => self.gather(meaning, newest),
            _ => {}
        }
        let ends_part = self.parts.is_late || meaning.figures == Figures::Part;
        if ends_part && self.figures.as_ref().is_some_and(|gathered| !gathered.is_over) {
            self.parts.is_late = false;
            self.end_part(format);
        }
    }

    /// The stream said that it is over (`[DONE]`).
    pub fn end_stream(&mut self) {
        self.is_ended = true;
    }

    fn gather(&mut self, meaning: Meaning, newest: Map<String, Value>) {
        let is_preliminary = meaning.figures == Figures::Preliminary;
        match &mut self.figures {
            Some(gathered) if !gathered.is_over => {
                gathered.is_preliminary &= is_preliminary;
                replace(&mut gathered.figures, newest);
            }
            figures => *figures = Some(Gathered { figures: newest, is_preliminary, is_over: false }),
        }
    }

    /// What has been gathered is one part, and what comes is another.
    fn end_part(&mut self, format: &dyn AnswerFormat) {
        for part in self.open_parts(format) {
            parts::add(&mut self.parts.over, part);
        }
        if let Some(gathered) = &mut self.figures {
            gathered.is_over = true;
        }
    }

    /// What has been gathered since the last part: the answer's own, then what other models did; nothing without figures.
    fn open_parts(&self, format: &dyn AnswerFormat) -> Vec<Part> {
        let gathered = self.figures.as_ref().filter(|gathered| !gathered.is_over);
        let Some(used) = gathered.and_then(|gathered| format.used(&gathered.figures)) else { return Vec::new() };
        let service_tier = used.tier.or_else(|| resolve(&self.tier));
        let own = part_of(used.tokens, resolve(&self.model));
        let own = Part { units: used.units, service_tier: service_tier.clone(), ..own };
        let aside = |(model, tokens)| Part {
            is_aside: true,
            service_tier: service_tier.clone(),
            ..part_of(tokens, Some(model))
        };
        iter::once(own).chain(used.asides.into_iter().map(aside)).collect()
    }

    fn count_aside(&mut self, format: &dyn AnswerFormat, figures: &Map<String, Value>, model: Option<String>) {
        let Some(used) = format.used(figures) else { return };
        let part = Part { is_aside: true, units: used.units, ..part_of(used.tokens, model) };
        parts::add(&mut self.parts.over, part);
    }

    /// What the answer used. Can be asked more than once.
    pub fn reading(&self, format: &dyn AnswerFormat, outcome: &Outcome<'_>) -> Reading {
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
        let is_told = self.report(format, &mut reading);
        let is_reported = is_told && !self.is_preliminary(&reading.tokens, is_cut);
        if is_told || self.images > 0 || self.millis > 0 {
            reading.source = UsageSource::Provider;
        } else if let Some(characters) = outcome.characters {
            reading.units.characters = characters;
            reading.source = UsageSource::Estimated;
        } else if outcome.is_stream || is_lost {
            reading.tokens.input = outcome.prompt.tokens(self.tokenizer(outcome.prompt));
        }
        if (outcome.is_stream || is_lost) && !is_reported {
            self.estimate_output(&mut reading, self.tokenizer(outcome.prompt));
        }
        if is_lost && !is_complete && reading.source == UsageSource::Provider {
            // the provider may have told more than was read
            reading.source = UsageSource::Estimated;
        }
        self.count_units(&mut reading, is_told);
        reading
    }

    /// Puts the provider's own figures into a reading; `false` when there are none.
    fn report(&self, format: &dyn AnswerFormat, reading: &mut Reading) -> bool {
        let mut told = self.parts.over.clone();
        for part in self.open_parts(format) {
            parts::add(&mut told, part);
        }
        told.sort_by_key(|part| part.is_aside);
        let is_told = !told.is_empty();
        (reading.tokens, reading.units) = parts::total(&told);
        let last = told.iter().rev().find(|part| !part.is_aside);
        if let Some(tier) = last.and_then(|part| part.service_tier.as_ref()) {
            reading.service_tier = Some(tier.clone());
        }
        // one part is the whole; what is priced by another model's row is none
        if told.len() > 1 || told.iter().any(|part| part.is_aside) {
            reading.parts = told;
        }
        is_told
    }

    /// What is counted rather than told.
    fn count_units(&self, reading: &mut Reading, is_told: bool) {
        let before = reading.units;
        reading.units.images = reading.units.images.max(self.images);
        reading.units.searches = reading.units.searches.max(self.searches_new).max(self.searches_all);
        if !is_told {
            reading.units.millis = self.millis;
        }
        if let Some(part) = reading.parts.iter_mut().find(|part| !part.is_aside) {
            part.units.images += reading.units.images - before.images;
            part.units.searches += reading.units.searches - before.searches;
        }
    }

    /// The figures say nothing yet of what was written: by their kind, or because the answer was cut before they did.
    fn is_preliminary(&self, tokens: &Tokens, is_cut: bool) -> bool {
        let tells_output = tokens.output > 0 || tokens.audio_output > 0 || tokens.image_output > 0;
        let is_early = self.figures.as_ref().is_some_and(|gathered| gathered.is_preliminary);
        is_early || is_cut && !tells_output && self.text.total() > 0
    }

    /// The figures that the provider reported, as last told; for a look at those that are new to us.
    pub fn figures(&self) -> Option<&Map<String, Value>> {
        self.figures.as_ref().map(|gathered| &gathered.figures)
    }

    /// That of the model that answered, or else of the one that was asked for.
    fn tokenizer(&self, prompt: &Prompt) -> Tokenizer {
        match resolve(&self.model).as_deref().map(Tokenizer::of) {
            Some(Tokenizer::Other) | None => Tokenizer::of(prompt.model()),
            Some(served) => served,
        }
    }

    fn estimate_output(&self, reading: &mut Reading, tokenizer: Tokenizer) {
        let (text, thought) = (self.text.tokens(tokenizer), self.thought.tokens(tokenizer));
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

/// Figures as they stand in the answer; none when they are no object, or more than a provider means.
fn figures_of(raw: &[u8], weight_max: usize) -> Option<Map<String, Value>> {
    // each member and item stands behind one of these, so that little is made of what is too much
    if raw.iter().filter(|byte| matches!(byte, b',' | b'{' | b'[')).count() > VALUES_MAX {
        return None;
    }
    serde_json::from_slice(raw).ok().filter(|figures| weight(figures) <= weight_max)
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

fn part_of(tokens: Tokens, model: Option<String>) -> Part {
    Part { model, tokens, input_largest: tokens.input_all(), ..Part::default() }
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

    fn gather(answer: &mut Answer) {
        let newest = answer.event.figures.take().unwrap();
        answer.gather(Meaning::default(), newest);
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
                gather(&mut answer);
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
            gather(&mut answer);
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
