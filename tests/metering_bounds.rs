//! No answer, however hostile, makes a meter panic, stand still, or hold more than its bound: every allocation of a meter's
//! life is counted while it reads.
//!
//! zstd allocates in C, past this count; its window is bounded by a parameter, and what it holds is asked of it in
//! `metering/decode.rs`.
#![cfg(test)]

use proptest::prelude::*;
use sociaro_gateway::{
    metering::{
        meter::{AnswerHead, AnswerMeter},
        prompt::Prompt,
        reading::{Reading, UsageSource},
    },
    providers::{dialect::answer_meter, provider::Dialect},
};
use std::{fmt::Write as _, io::Write as _};

mod counting {
    //! Counts what the current thread holds.
    #![expect(unsafe_code, reason = "an allocator is unsafe to write; this one only counts and hands on")]

    use std::{
        alloc::{GlobalAlloc, Layout, System},
        cell::Cell,
    };

    struct Counting;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    thread_local! {
        static HELD: Cell<isize> = const { Cell::new(0) };
        static PEAK: Cell<isize> = const { Cell::new(0) };
    }

    fn count(bytes: isize) {
        // a thread that ends has no counters any more
        let held = HELD.try_with(|held| {
            held.set(held.get() + bytes);
            held.get()
        });
        if let Ok(held) = held {
            PEAK.try_with(|peak| peak.set(peak.get().max(held))).unwrap_or_default();
        }
    }

    // SAFETY: everything is handed on to the system's allocator.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            count(isize::try_from(layout.size()).unwrap_or(isize::MAX));
            // SAFETY: as for the caller.
            unsafe { System.alloc(layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            count(isize::try_from(layout.size()).unwrap_or(isize::MAX));
            // SAFETY: as for the caller.
            unsafe { System.alloc_zeroed(layout) }
        }

        unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
            count(-isize::try_from(layout.size()).unwrap_or(isize::MAX));
            // SAFETY: as for the caller.
            unsafe { System.dealloc(at, layout) }
        }
    }

    /// The most that this thread held during `work`, beyond what it held before. It is done once before it is counted, so
    /// that what the process keeps for all (a tokenizer's tables, the caches of its expressions) is there already.
    pub(super) fn peak(mut work: impl FnMut()) -> usize {
        work();
        let before = HELD.get();
        PEAK.set(before);
        work();
        usize::try_from(PEAK.get() - before).unwrap()
    }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// What one meter may hold.
const BOUND: usize = 256 * KIB;
/// The largest window of br, half of it again while it grows, and the tables of a hostile encoder.
const BR_BOUND: usize = BOUND + 24 * MIB + 4 * MIB;
const CHUNK: usize = 64 * KIB;
const DIALECTS: [Dialect; 6] =
    [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::DashScope, Dialect::Ark, Dialect::MuleRouter];
const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

fn meter(dialect: Dialect, content_type: &str, coding: &str) -> AnswerMeter {
    let head = AnswerHead { status: 200, content_type: Some(content_type), content_encoding: Some(coding) };
    answer_meter(dialect, "any", &head).with_prompt(Prompt::of_size(1000))
}

/// What a meter held at most while it read `head` and then `piece` so many times, and what it read.
fn held(mut meter: impl FnMut() -> AnswerMeter, head: &[u8], piece: &[u8], times: usize) -> (usize, Reading) {
    let mut reading = Reading::default();
    let peak = counting::peak(|| {
        let mut meter = meter();
        meter.read(head);
        (0..times).for_each(|_| meter.read(piece));
        reading = meter.finish();
    });
    (peak, reading)
}

#[test]
fn an_allocation_is_counted_while_it_lives() {
    let peak = counting::peak(|| drop(std::hint::black_box(vec![0u8; 3 * MIB])));
    assert!((3 * MIB..4 * MIB).contains(&peak), "{peak}");
    assert!(counting::peak(|| ()) < KIB);
}

/// Answers that never come to an end: their name, how they begin, and what is repeated.
fn endless() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let many = |text: &str| text.as_bytes().repeat(CHUNK.div_ceil(text.len()));
    vec![
        ("data without a line end", "data: ", many("x")),
        ("data lines without an end of the event", "", many("data: x\n")),
        ("empty data lines", "", many("data\n")),
        ("an event's name", "event: ", many("n")),
        ("a field's name", "", many("f")),
        ("comments", "", many(":\n")),
        ("line ends", "data: ", many("\r")),
        ("events", "", many("data: {}\n\n")),
        ("a text", "data: {\"choices\":[{\"delta\":{\"content\":\"", many("x")),
        ("a text of escapes", "data: {\"delta\":\"", many("\\u0041\\\\")),
        ("a text that is no UTF-8", "data: {\"delta\":\"", vec![0xff; CHUNK]),
        ("an id", "data: {\"id\":\"", many("x")),
        ("a member's name", "data: {\"", many("x")),
        ("a number", "data: {\"usage\":", many("1")),
        ("a number of usage", "data: {\"usage\":{\"total_tokens\":", many("1")),
        ("usage that is a text", "data: {\"usage\":\"", many("x")),
        ("usage that is not closed", "data: {\"usage\":{", many("\"k\":{\"a\":1},")),
        ("usages in one event", "data: [", many("{\"usage\":{\"prompt_tokens\":1}},")),
        ("arrays in arrays", "data: ", many("[")),
        ("objects in objects", "data: ", many("{\"choices\":")),
        ("wanted objects in arrays", "data: {\"choices\":", many("[[{\"delta\":")),
        ("closing brackets", "data: ", many("}]")),
        ("images", "data: {\"data\":[", many("{\"url\":\"u\"},")),
        ("searches", "data: {\"candidates\":[{\"groundingMetadata\":{\"webSearchQueries\":[", many("\"q\",")),
        ("zeros", "data: ", vec![0; CHUNK]),
    ]
}

#[test]
fn answers_without_end_are_read_in_bounded_memory() {
    for (name, head, piece) in endless() {
        for dialect in DIALECTS {
            for (content_type, head) in [(EVENTS, head), (JSON, head.trim_start_matches("data: "))] {
                let (peak, reading) = held(|| meter(dialect, content_type, ""), head.as_bytes(), &piece, 8);
                assert!(peak < BOUND, "{name}, {dialect:?}, {content_type}: {peak} bytes");
                assert!(!reading.complete || content_type == JSON, "{name}, {dialect:?}, {content_type}: {reading:?}");
            }
        }
    }
}

#[test]
fn a_hundred_megabytes_without_a_line_end_cost_no_memory() {
    let texts = ["data: ", "data: {\"choices\":[{\"delta\":{\"content\":\"", "event: ", ""];
    for head in texts {
        let piece = vec![b'x'; MIB];
        let (peak, _) = held(|| meter(Dialect::OpenAi, EVENTS, ""), head.as_bytes(), &piece, 100);
        assert!(peak < 64 * KIB, "{head}: {peak} bytes");
    }
}

#[test]
fn a_million_brackets_cost_no_memory_and_no_stack() {
    for piece in ["[", "{\"usage\":", "{\"choices\":[", "}"] {
        let text = piece.repeat(1_000_000);
        for dialect in DIALECTS {
            let (peak, _) = held(|| meter(dialect, JSON, ""), text.as_bytes(), b"", 1);
            assert!(peak < BOUND, "{piece}, {dialect:?}: {peak} bytes");
        }
    }
}

/// Events whose figures are as many, as deep and as new as they can be.
fn figures() -> Vec<(&'static str, Box<dyn Fn(usize) -> String>)> {
    let listed = |count: usize, item: fn(usize, usize) -> String| {
        move |event: usize| (0..count).map(|n| item(event, n)).collect::<Vec<_>>().join(",")
    };
    let members = |count, item| {
        let listed = listed(count, item);
        Box::new(move |event| format!("{{{}}}", listed(event))) as Box<dyn Fn(usize) -> String>
    };
    let items = |count, item| {
        let listed = listed(count, item);
        Box::new(move |event| format!("{{\"k{event}\":[{}]}}", listed(event))) as Box<dyn Fn(usize) -> String>
    };
    vec![
        ("numbers", members(300, |event, n| format!("\"k{event}_{n}\":{n}"))),
        ("objects", members(150, |event, n| format!("\"k{event}_{n}\":{{\"a\":1}}"))),
        ("texts", members(300, |event, n| format!("\"k{event}_{n}\":\"{}\"", "x".repeat(30)))),
        ("long names", members(100, |event, n| format!("\"k{event}_{n}{}\":1", "x".repeat(130)))),
        ("one long text", members(1, |event, _| format!("\"k{event}\":\"{}\"", "x".repeat(16_000)))),
        ("items", items(8_000, |_, _| "0".to_owned())),
        ("few items", items(300, |_, _| "0".to_owned())),
        ("objects in a list", items(2_000, |_, _| "{\"a\":0}".to_owned())),
        ("few objects in a list", items(150, |_, _| "{\"a\":0}".to_owned())),
        ("empty lists", items(300, |_, _| "[]".to_owned())),
        ("lists in lists", Box::new(|event| format!("{{\"k{event}\":{}{}}}", "[".repeat(126), "]".repeat(126)))),
        (
            "objects in objects",
            Box::new(|event| format!("{{\"k{event}\":{}1{}}}", "{\"a\":".repeat(126), "}".repeat(126))),
        ),
        ("the same", Box::new(|_| "{\"prompt_tokens\":1}".to_owned())),
    ]
}

#[test]
fn figures_that_grow_from_event_to_event_are_held_in_bounded_memory() {
    let mut most = (0, String::new());
    for (name, figures) in figures() {
        let mut events = Vec::new();
        for event in 0..200 {
            write!(&mut events, "data: {{\"usage\":{}}}\n\n", figures(event)).unwrap();
        }
        // in fragments, so that figures are held before they are read
        for width in [events.len(), 10_007] {
            for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
                let peak = counting::peak(|| {
                    let mut meter = meter(dialect, EVENTS, "");
                    events.chunks(width).for_each(|chunk| meter.read(chunk));
                    drop(meter.finish());
                });
                most = most.max((peak, format!("{name}, {dialect:?}, in {width}")));
            }
        }
    }
    assert!(most.0 < BOUND, "{most:?}");
    assert!(most.0 > 32 * KIB, "the worst case is not among them: {most:?}");
}

/// Texts, thoughts, names, parts of prices of their own and figures, each as large as they are kept.
#[test]
fn everything_that_is_kept_at_once_is_held_in_bounded_memory() {
    let listed =
        |from: usize, count: usize| (from..from + count).map(|n| format!("\"f{n}\":{n}")).collect::<Vec<_>>().join(",");
    let long = "x".repeat(5_000);
    let mut events = String::new();
    for round in 0..100_usize {
        let (model, tier) = (format!("{round:0256}"), format!("{round:0250}"));
        for event in [
            format!(r#"{{"id":"{model}","model":"{model}","choices":[{{"delta":{{"content":"{long}"}}}}]}}"#),
            format!(r#"{{"choices":[{{"delta":{{"reasoning_content":"{long}","refusal":"é漢🙂"}}}}]}}"#),
            format!(r#"{{"type":"response.reasoning_text.delta","delta":"{long}"}}"#),
            format!(r#"{{"usage":{{{}}}}}"#, listed(0, 300)),
            format!(r#"{{"usage":{{"prompt_tokens":1,{}}}}}"#, listed(300 * round, 300)),
            format!(r#"{{"usage":{{{}}}"#, listed(1200, 300)),
            "[".repeat(10_000),
            // a part that is kept apart
            format!(
                r#"{{"type":"image_generation.completed","model":"{model}","service_tier":"{tier}","usage":{{"input_tokens":{round}}}}}"#
            ),
        ] {
            write!(&mut events, "event: {long}\ndata: {event}\n\n").unwrap();
        }
    }
    for dialect in DIALECTS {
        for width in [events.len(), 1_009] {
            let peak = counting::peak(|| {
                let mut meter = meter(dialect, EVENTS, "");
                events.as_bytes().chunks(width).for_each(|chunk| meter.read(chunk));
                drop(meter.finish());
            });
            assert!(peak < BOUND, "{dialect:?} in {width}: {peak} bytes");
            assert!(dialect != Dialect::OpenAi || peak > 64 * KIB, "little was kept: {peak} bytes");
        }
    }
}

fn encoded(coding: &str, pieces: usize, piece: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            (0..pieces).for_each(|_| coder.write_all(piece).unwrap());
            coder.finish().unwrap()
        }
        "deflate" => {
            let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            (0..pieces).for_each(|_| coder.write_all(piece).unwrap());
            coder.finish().unwrap()
        }
        "br" => {
            let mut coder = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 24);
            (0..pieces).for_each(|_| coder.write_all(piece).unwrap());
            coder.into_inner()
        }
        "zstd" => {
            let mut coder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            (0..pieces).for_each(|_| coder.write_all(piece).unwrap());
            coder.finish().unwrap()
        }
        _ => unreachable!(),
    }
}

fn bound_of(coding: &str) -> usize {
    if coding.contains("br") { BR_BOUND } else { BOUND }
}

#[test]
fn compression_bombs_end_their_decoding_in_bounded_memory() {
    let piece = vec![b' '; MIB];
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "zstd, gzip", "gzip, br, zstd"] {
        let bomb = coding.split(", ").fold(None, |inner: Option<Vec<u8>>, one| {
            Some(inner.map_or_else(|| encoded(one, 64, &piece), |inner| encoded(one, 1, &inner)))
        });
        let bomb = bomb.unwrap();
        for width in [bomb.len(), 1000] {
            let mut reading = Reading::default();
            let peak = counting::peak(|| {
                let mut meter = meter(Dialect::OpenAi, EVENTS, coding);
                bomb.chunks(width).for_each(|chunk| meter.read(chunk));
                reading = meter.finish();
            });
            assert!(peak < bound_of(coding), "{coding} in {width}: {peak} bytes");
            assert_eq!(reading.source, UsageSource::Estimated, "{coding} in {width}: given up");
        }
    }
}

#[test]
fn an_answer_of_any_length_costs_the_same_in_every_coding() {
    let mut text = String::new();
    for n in 0..20_000u64 {
        let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        write!(text, "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{noise:x}\"}}}}]}}\n\n").unwrap();
    }
    text.push_str("data: {\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9}}\n\ndata: [DONE]\n\n");
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let answer = encoded(coding, 1, text.as_bytes());
        let mut reading = Reading::default();
        let peak = counting::peak(|| {
            let mut meter = meter(Dialect::OpenAi, EVENTS, coding);
            answer.chunks(1500).for_each(|chunk| meter.read(chunk));
            reading = meter.finish();
        });
        assert!(peak < bound_of(coding), "{coding}: {peak} bytes");
        assert_eq!((reading.tokens.input, reading.tokens.output, reading.complete), (7, 9, true), "{coding}");
    }
}

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"data: ",
        b"data:",
        b"event: error\n",
        b"\n\n",
        b"\r\n",
        b"\r",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"\\",
        b",",
        b":",
        b"\"usage\":{",
        b"\"usage\":null",
        b"\"prompt_tokens\":",
        b"\"usageMetadata\":{",
        b"\"promptTokenCount\":7",
        b"\"choices\":[{\"delta\":{\"content\":\"",
        b"\"type\":\"message_delta\"",
        b"\"type\":\"response.completed\"",
        b"\"error\":",
        b"[DONE]",
        b"18446744073709551616",
        b"-1",
        b"1e999",
        b"\\u",
        b"\\ud800",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\0",
        b"\"iterations\":[{",
        b"\"model\":\"",
    ];
    prop::collection::vec(prop::sample::select(words), 0..200).prop_map(|words| words.concat())
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![fragments(), prop::collection::vec(any::<u8>(), 0..3000)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_in_no_coding_make_it_panic_or_hold_more_than_its_bound(bytes in any_bytes(), width in 1usize..700) {
        for dialect in DIALECTS {
            for content_type in [EVENTS, JSON, ""] {
                for coding in ["", "gzip", "deflate", "br", "zstd", "gzip, br"] {
                    let peak = counting::peak(|| {
                        let mut meter = meter(dialect, content_type, coding);
                        bytes.chunks(width).for_each(|chunk| meter.read(chunk));
                        let first = meter.finish();
                        assert_eq!(meter.finish(), first);
                    });
                    prop_assert!(peak < bound_of(coding), "{coding}: {peak} bytes");
                }
            }
        }
    }

    #[test]
    fn how_any_bytes_are_cut_changes_nothing(bytes in any_bytes(), width in 1usize..50) {
        for dialect in DIALECTS {
            for content_type in [EVENTS, JSON, ""] {
                let read = |width: usize| {
                    let mut meter = meter(dialect, content_type, "");
                    bytes.chunks(width).for_each(|chunk| meter.read(chunk));
                    meter.finish()
                };
                prop_assert_eq!(read(width), read(bytes.len().max(1)));
            }
        }
    }

    #[test]
    fn damaged_codings_hold_no_more_than_their_bound(at in 0usize..400, byte: u8, width in 1usize..90) {
        let text = "data: {\"choices\":[{\"delta\":{\"content\":\"some text\"}}]}\n\n".repeat(20);
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let mut answer = encoded(coding, 1, text.as_bytes());
            let at = at % answer.len();
            answer[at] = byte;
            let peak = counting::peak(|| {
                let mut meter = meter(Dialect::OpenAi, EVENTS, coding);
                answer.chunks(width).for_each(|chunk| meter.read(chunk));
                drop(meter.finish());
            });
            prop_assert!(peak < bound_of(coding), "{coding}: {peak} bytes");
        }
    }
}
