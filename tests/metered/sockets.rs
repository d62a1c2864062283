//! Recorded messages of sockets, framed, compressed and cut in every way: reading and cost are always the same.
//!
//! A case is a folder `tests/fixtures/sockets/<case>/` with the provider's messages, one a line, and `expected.json`: why
//! the case exists, how its figures were worked out by hand, and what must come out.

use crate::wire::{BINARY, FORMS, Form, TEXT, Writer, close};
use proptest::prelude::*;
use serde::Deserialize;
use sociaro_gateway::{
    base::clock::Timestamp,
    config::settings::{File, check},
    metering::reading::{Reading, Tokens, Units, UsageSource},
    pricing::{book::PriceBook, charge::charge},
    providers::{dialect::socket_meter, provider::Dialect},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

const RANDOM_CUTS: usize = 100;
/// What speech looks like between the messages: no JSON, but not far from it.
const SPEECH: &[u8] = b"\xff\xfb{\"type\":\"response.done\",\"usage\":{\"input_tokens\":1}}";

static BOOK: LazyLock<Arc<PriceBook>> = LazyLock::new(|| {
    let name = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conf/prices.yaml");
    let prices = File { bytes: fs::read(&name), name };
    let empty = || File { name: PathBuf::from("empty"), bytes: Ok(Vec::new()) };
    check(&[empty(), empty(), prices], &|_| None).unwrap().prices
});

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Shown when the case fails.
    why: String,
    dialect: Dialect,
    provider: String,
    endpoint: String,
    #[serde(default)]
    model_requested: String,
    /// Messages come as binary ones.
    #[serde(default)]
    binary: bool,
    /// The provider closes in good order.
    closes: bool,
    #[serde(default)]
    tokens: Tokens,
    #[serde(default)]
    units: Units,
    source: UsageSource,
    model_served: Option<String>,
    service_tier: Option<String>,
    provider_response_id: Option<String>,
    #[serde(default)]
    stream_error: bool,
    cost_usd: String,
    /// Without the book's version.
    price_version: String,
}

struct Case {
    name: String,
    messages: Vec<String>,
    expected: Expected,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sockets");
    let mut folders: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let load = |folder: PathBuf| {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let messages = fs::read_to_string(folder.join("messages.jsonl")).unwrap();
        Case { name, messages: messages.lines().map(str::to_owned).collect(), expected }
    };
    folders.into_iter().map(load).collect()
}

impl Case {
    fn wire(&self, form: Form) -> Vec<u8> {
        let mut writer = Writer::new(form);
        let kind = if self.expected.binary { BINARY } else { TEXT };
        let mut bytes = Vec::new();
        for message in &self.messages {
            bytes.extend(writer.message(kind, message.as_bytes()));
            bytes.extend(writer.message(BINARY, SPEECH));
        }
        if self.expected.closes {
            bytes.extend(close());
        }
        bytes
    }

    fn read<'a>(&self, form: Form, chunks: impl IntoIterator<Item = &'a [u8]>) -> Reading {
        let mut meter = socket_meter(self.expected.dialect, &self.expected.endpoint, form.extensions);
        chunks.into_iter().for_each(|chunk| meter.read(chunk));
        let reading = meter.finish();
        assert_eq!(meter.finish(), reading, "asking again changes nothing");
        reading
    }

    /// What comes out of these chunks is what came out of the whole, parts included.
    fn check<'a>(
        &self,
        form: Form,
        whole: &Reading,
        chunks: impl IntoIterator<Item = &'a [u8]>,
        how: impl Fn() -> String,
    ) {
        assert_eq!(self.read(form, chunks), *whole, "{} {form:?} {}: {}", self.name, how(), self.expected.why);
    }

    fn check_whole(&self, form: Form, wire: &[u8]) -> Reading {
        let (expected, reading) = (&self.expected, self.read(form, [wire]));
        let expected = Reading {
            tokens: expected.tokens,
            units: expected.units,
            parts: reading.parts.clone(),
            source: expected.source,
            model_served: expected.model_served.clone(),
            service_tier: expected.service_tier.clone(),
            provider_response_id: expected.provider_response_id.clone(),
            stream_error: expected.stream_error,
            complete: expected.closes,
        };
        assert_eq!(reading, expected, "{} {form:?}: {}", self.name, self.expected.why);
        let time = Timestamp::from_millis(1_795_600_000_000);
        let charge = charge(&BOOK, &reading, &self.expected.provider, &self.expected.model_requested, time);
        let version = charge.price_version.replace(&format!("{}/", BOOK.version()), "");
        let found = (charge.cost.to_string(), version);
        let expected = (self.expected.cost_usd.clone(), self.expected.price_version.clone());
        assert_eq!(found, expected, "{} {form:?}: {}", self.name, self.expected.why);
        let sum: i64 = charge.breakdown.iter().map(|(_, money)| money.nanos()).sum();
        assert_eq!(sum, charge.cost.nanos(), "the breakdown sums to the cost");
        reading
    }
}

#[test]
fn messages_give_the_expected_reading_and_cost_in_any_form() {
    let cases = cases();
    assert!(cases.len() >= 10, "only {} cases were found", cases.len());
    for case in &cases {
        for form in FORMS {
            let wire = case.wire(form);
            let whole = case.check_whole(form, &wire);
            case.check(form, &whole, wire.chunks(1), || "byte by byte".to_owned());
        }
    }
}

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    for case in cases() {
        for form in FORMS {
            let wire = case.wire(form);
            let whole = case.read(form, [wire.as_slice()]);
            for at in 0..wire.len() {
                case.check(form, &whole, [&wire[..at], &wire[at..]], || format!("cut at {at}"));
            }
        }
    }
}

#[test]
fn many_cuts_change_nothing() {
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice % u64::try_from(sides).unwrap()).unwrap()
    };
    for case in cases() {
        for form in FORMS {
            let wire = case.wire(form);
            let whole = case.read(form, [wire.as_slice()]);
            for _ in 0..RANDOM_CUTS {
                let mut cuts: Vec<usize> = (0..=roll(8)).map(|_| roll(wire.len() + 1)).collect();
                cuts.sort_unstable();
                let ends = cuts.iter().copied().chain([wire.len()]);
                let starts = [0].into_iter().chain(cuts.iter().copied());
                let chunks = starts.zip(ends).map(|(start, end)| &wire[start..end]);
                case.check(form, &whole, chunks, || format!("{cuts:?}"));
            }
        }
    }
}

#[test]
fn a_socket_that_breaks_off_keeps_what_was_summed_and_never_reports_more() {
    for case in cases() {
        for form in FORMS {
            let wire = case.wire(form);
            let whole = case.expected.tokens;
            let mut before = 0;
            for at in 0..wire.len() {
                let reading = case.read(form, [&wire[..at]]);
                let sum = reading.tokens.input_all() + reading.tokens.output + reading.tokens.audio_output;
                assert!(sum >= before, "{} {form:?}: {sum} after {before} at {at}", case.name);
                before = sum;
            }
            assert_eq!(before, whole.input_all() + whole.output + whole.audio_output, "{} {form:?}", case.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_break_nothing_and_report_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        width in 1usize..500,
    ) {
        for dialect in [Dialect::OpenAi, Dialect::Gemini, Dialect::DashScope] {
            for form in FORMS {
                let mut meter = socket_meter(dialect, "inference.websocket", form.extensions);
                // a good first message, so that what follows is read at all
                meter.read(&Writer::new(form).message(TEXT, b"{\"type\":\"session.created\"}"));
                bytes.chunks(width).for_each(|chunk| meter.read(chunk));
                prop_assert!(meter.finish().source == UsageSource::None);
            }
        }
    }
}

#[test]
fn an_extension_that_is_not_known_leaves_the_socket_unread() {
    let case = cases().into_iter().find(|case| case.expected.source == UsageSource::Provider).unwrap();
    let wire = case.wire(FORMS[0]);
    let mut meter = socket_meter(case.expected.dialect, &case.expected.endpoint, "x-webkit-deflate-frame");
    meter.read(&wire);
    assert_eq!(meter.finish(), Reading::default());
}
