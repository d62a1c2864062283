//! Replays recorded answers through their meters, cut and compressed in every way: the reading is always the same.
//!
//! A case is a folder `tests/fixtures/<dialect>/<case>/` with the answer's bytes (`answer.sse`, `answer.json`, …) and
//! `expected.json`: why the case exists, the head where it is not the ordinary one, and the reading, worked out by
//! hand from the provider's documentation. Figures that are left out are 0.
#![cfg(test)]

use proptest::prelude::*;
use sociaro_gateway::{
    metering::{
        meter::{AnswerHead, AnswerMeter},
        prompt::Prompt,
        reading::{Reading, Tokens, Units, UsageSource},
    },
    providers::{dialect::answer_meter, provider::Dialect},
};
use std::{fs, io::Write, path::Path};

const RANDOM_CUTS: usize = 200;
const ALL: [Dialect; 4] = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::DashScope];

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Shown when the case fails.
    why: String,
    endpoint: String,
    #[serde(default = "success")]
    status: u16,
    content_type: Option<String>,
    prompt_bytes: Option<u64>,
    #[serde(default)]
    free: bool,
    reading: ExpectedReading,
}

fn success() -> u16 {
    200
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedReading {
    #[serde(default)]
    tokens: Tokens,
    #[serde(default)]
    units: Units,
    source: UsageSource,
    model_served: Option<String>,
    service_tier: Option<String>,
    provider_response_id: Option<String>,
    stream_error: bool,
    complete: bool,
}

impl From<ExpectedReading> for Reading {
    fn from(expected: ExpectedReading) -> Self {
        Self {
            tokens: expected.tokens,
            units: expected.units,
            parts: Vec::new(),
            source: expected.source,
            model_served: expected.model_served,
            service_tier: expected.service_tier,
            provider_response_id: expected.provider_response_id,
            stream_error: expected.stream_error,
            complete: expected.complete,
        }
    }
}

struct Case {
    name: String,
    why: String,
    dialect: Dialect,
    endpoint: String,
    status: u16,
    content_type: String,
    prompt_bytes: Option<u64>,
    free: bool,
    answer: Vec<u8>,
    reading: Reading,
}

impl Case {
    fn load(dialect: Dialect, folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: Expected = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let types = [("sse", "text/event-stream"), ("json", "application/json"), ("html", "text/html")];
        let (answer, content_type) = types
            .iter()
            .find_map(|(ending, content_type)| {
                Some((fs::read(folder.join(format!("answer.{ending}"))).ok()?, *content_type))
            })
            .unwrap_or_else(|| panic!("{folder:?} has no answer"));
        Self {
            name: folder.display().to_string(),
            why: expected.why,
            dialect,
            endpoint: expected.endpoint,
            status: expected.status,
            content_type: expected.content_type.unwrap_or_else(|| content_type.to_owned()),
            prompt_bytes: expected.prompt_bytes,
            free: expected.free,
            answer,
            reading: expected.reading.into(),
        }
    }

    fn meter(&self, coding: &str) -> AnswerMeter {
        let head =
            AnswerHead { status: self.status, content_type: Some(&self.content_type), content_encoding: Some(coding) };
        let meter = answer_meter(self.dialect, &self.endpoint, &head);
        let meter = if self.free { meter.free() } else { meter };
        match self.prompt_bytes {
            Some(bytes) => meter.with_prompt(Prompt::of_size(bytes)),
            None => meter,
        }
    }

    fn check<'a>(&self, coding: &str, chunks: impl IntoIterator<Item = &'a [u8]>, how: impl Fn() -> String) {
        let mut meter = self.meter(coding);
        chunks.into_iter().for_each(|chunk| meter.read(chunk));
        let reading = meter.finish();
        // their prices are another test's
        let expected = Reading { parts: reading.parts.clone(), ..self.reading.clone() };
        assert_eq!(reading, expected, "{} {coding} {}: {}", self.name, how(), self.why);
        assert_eq!(meter.finish(), reading, "asking again changes nothing");
    }
}

fn cases() -> Vec<Case> {
    let dialects = [
        ("openai", Dialect::OpenAi),
        ("anthropic", Dialect::Anthropic),
        ("gemini", Dialect::Gemini),
        ("dashscope", Dialect::DashScope),
        ("ark", Dialect::Ark),
        ("mulerouter", Dialect::MuleRouter),
    ];
    let mut cases = Vec::new();
    for (name, dialect) in dialects {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let mut folders: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        cases.extend(folders.iter().map(|folder| Case::load(dialect, folder)));
    }
    cases
}

fn encoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoded = Vec::new();
            brotli::CompressorWriter::new(&mut encoded, 4096, 4, 20).write_all(bytes).unwrap();
            encoded
        }
        "zstd" => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

/// A sequence of numbers that is the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides.max(1)).unwrap()).unwrap()
    }
}

#[test]
fn whole_answers_give_the_expected_reading() {
    let cases = cases();
    assert!(cases.len() >= 40, "only {} cases were found", cases.len());
    for case in &cases {
        case.check("identity", [case.answer.as_slice()], || "whole".to_owned());
        case.check("identity", case.answer.chunks(1), || "byte by byte".to_owned());
    }
}

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    for case in cases() {
        for at in 0..case.answer.len() {
            let (left, right) = case.answer.split_at(at);
            case.check("identity", [left, right], || format!("cut at {at}"));
        }
    }
}

#[test]
fn many_cuts_and_any_coding_change_nothing() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for case in cases() {
        for coding in ["identity", "gzip", "br", "zstd"] {
            let bytes = encoded(coding, &case.answer);
            for _ in 0..RANDOM_CUTS {
                let mut cuts: Vec<usize> = (0..=dice.roll(8)).map(|_| dice.roll(bytes.len() + 1)).collect();
                cuts.sort_unstable();
                let ends = cuts.iter().copied().chain([bytes.len()]);
                let starts = [0].into_iter().chain(cuts.iter().copied());
                let chunks = starts.zip(ends).map(|(start, end)| &bytes[start..end]);
                case.check(coding, chunks, || format!("cut at {cuts:?}"));
            }
        }
    }
}

#[test]
fn an_answer_that_is_not_in_its_coding_is_unread_and_harmless() {
    let head = AnswerHead { status: 200, content_type: Some("application/json"), content_encoding: Some("gzip") };
    let mut meter = answer_meter(Dialect::OpenAi, "chat.completions", &head);
    meter.read(br#"{"id":"a","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#);
    meter.read(b"more");
    assert_eq!(meter.finish(), Reading::default());
}

#[test]
fn an_event_of_ten_megabytes_is_read_to_its_end() {
    let text = "x".repeat(10 << 20);
    let last = format!(
        "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"resp_1\",\"output\":\
         [{{\"text\":\"{text}\"}}],\"usage\":{{\"input_tokens\":7,\"output_tokens\":9,\"total_tokens\":16}}}}}}\n\n"
    );
    let head = AnswerHead { status: 200, content_type: Some("text/event-stream"), content_encoding: None };
    let mut meter = answer_meter(Dialect::OpenAi, "responses", &head);
    last.as_bytes().chunks(16 << 10).for_each(|chunk| meter.read(chunk));
    let reading = meter.finish();
    assert_eq!((reading.tokens.input, reading.tokens.output), (7, 9));
    assert!(reading.complete && !reading.stream_error);
}

fn read_all(dialect: Dialect, content_type: &str, coding: &str, chunks: &[&[u8]]) -> Reading {
    let head = AnswerHead { status: 200, content_type: Some(content_type), content_encoding: Some(coding) };
    let mut meter = answer_meter(dialect, "any", &head);
    for chunk in chunks {
        meter.read(chunk);
    }
    meter.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_break_nothing_and_report_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..2000), width in 1usize..500) {
        for dialect in ALL {
            for content_type in ["application/json", "text/event-stream", ""] {
                for coding in ["", "gzip", "deflate", "br", "zstd", "gzip, br"] {
                    let chunks: Vec<&[u8]> = bytes.chunks(width).collect();
                    prop_assert!(read_all(dialect, content_type, coding, &chunks).source != UsageSource::Provider);
                }
            }
        }
    }

    #[test]
    fn a_cut_answer_never_reports_more_than_the_whole(number in 0usize..1000, cut in 0usize..10_000) {
        let cases = cases();
        let case = &cases[number % cases.len()];
        let mut meter = case.meter("identity");
        meter.read(&case.answer[..cut % (case.answer.len() + 1)]);
        let reading = meter.finish();
        let sum = |tokens: &Tokens| tokens.input + tokens.cached_input + tokens.cache_write_5m + tokens.cache_write_1h;
        if case.reading.source == UsageSource::Provider && case.prompt_bytes.is_none() {
            prop_assert!(sum(&reading.tokens) <= sum(&case.reading.tokens));
        }
    }

    #[test]
    fn brackets_of_any_depth_and_order_break_nothing(bytes in proptest::collection::vec(proptest::sample::select(&b"{}[]\":,x\\"[..]), 0..3000)) {
        for dialect in ALL {
            read_all(dialect, "application/json", "", &[&bytes]);
            read_all(dialect, "text/event-stream", "", &[b"data: ", &bytes, b"\n\n"]);
        }
    }
}
