//! One recorded answer, what is expected of it, and how it is replayed.

use sociaro_gateway::{
    metering::{
        meter::{AnswerHead, AnswerMeter},
        prompt::Prompt,
        reading::{Reading, Tokens, Units, UsageSource},
    },
    providers::{dialect::answer_meter, provider::Dialect},
};
use std::{
    fs,
    io::Write,
    num::NonZero,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

pub const CODINGS: [&str; 5] = ["identity", "gzip", "br", "zstd", "deflate"];

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

pub struct Case {
    pub name: String,
    pub why: String,
    pub dialect: Dialect,
    pub endpoint: String,
    status: u16,
    content_type: String,
    pub prompt_bytes: Option<u64>,
    free: bool,
    /// Its answer comes bit by bit: events, or an array of chunks.
    pub is_stream: bool,
    pub answer: Vec<u8>,
    pub reading: Reading,
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
        let parts: Vec<_> = folder.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
        Self {
            name: format!("{}/{}", parts[1], parts[0]),
            why: expected.why,
            dialect,
            is_stream: content_type == "text/event-stream" || expected.endpoint.starts_with("stream_"),
            endpoint: expected.endpoint,
            status: expected.status,
            content_type: expected.content_type.unwrap_or_else(|| content_type.to_owned()),
            prompt_bytes: expected.prompt_bytes,
            free: expected.free,
            answer,
            reading: expected.reading.into(),
        }
    }

    pub fn meter(&self, coding: &str) -> AnswerMeter {
        let head =
            AnswerHead { status: self.status, content_type: Some(&self.content_type), content_encoding: Some(coding) };
        let meter = answer_meter(self.dialect, &self.endpoint, &head);
        let meter = if self.free { meter.free() } else { meter };
        match self.prompt_bytes {
            Some(bytes) => meter.with_prompt(Prompt::of_size(bytes)),
            None => meter,
        }
    }

    /// Replays it in these chunks.
    pub fn check<'a>(&self, coding: &str, chunks: impl IntoIterator<Item = &'a [u8]>, how: impl Fn() -> String) {
        let mut meter = self.meter(coding);
        chunks.into_iter().for_each(|chunk| meter.read(chunk));
        let reading = meter.finish();
        // their prices are another test's
        let expected = Reading { parts: reading.parts.clone(), ..self.reading.clone() };
        assert_eq!(reading, expected, "{} {coding} {}: {}", self.name, how(), self.why);
        assert_eq!(meter.finish(), reading, "{}: asking again changes nothing", self.name);
    }

    /// Where its events end, or the chunks of its array.
    pub fn ends(&self) -> Vec<usize> {
        let answer = &self.answer;
        let is_end = |at: usize| {
            let before = &answer[..at];
            [&b"\n\n"[..], b"\r\n\r\n", b"\r\r", b"},\n"].iter().any(|end| before.ends_with(end))
        };
        (0..=answer.len()).filter(|at| is_end(*at) || *at == answer.len()).collect()
    }
}

pub fn cases() -> Vec<Case> {
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

/// Runs a check of each case, on all processors; fails with the first that fails.
pub fn each(cases: &[Case], check: impl Fn(&Case) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(case);
                }
            });
        }
    });
}

pub fn encoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoded = Vec::new();
            brotli::CompressorWriter::new(&mut encoded, 4096, 4, 16).write_all(bytes).unwrap();
            encoded
        }
        "zstd" => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

/// A sequence of numbers that is the same in every run.
pub struct Dice(u64);

impl Dice {
    /// Another sequence for each name.
    pub fn of(name: &str) -> Self {
        Self(
            name.bytes()
                .fold(0x9e37_79b9_7f4a_7c15, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)),
        )
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides.max(1)).unwrap()).unwrap()
    }
}
