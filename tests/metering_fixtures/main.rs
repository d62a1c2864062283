//! Replays recorded answers through their meters, cut and compressed in every way: the reading is always the same. And
//! broken off after every event: never a larger one, and never more certain than it can be.
//!
//! A case is a folder `tests/fixtures/<dialect>/<case>/` with the answer's bytes (`answer.sse`, `answer.json`, …) and
//! `expected.json`: why the case exists, the head where it is not the ordinary one, and the reading, worked out by
//! hand from the provider's documentation. Figures that are left out are 0.
//!
//! What an answer costs is computed from its reading and its head alone, so the same reading is the same cost.
#![cfg(test)]

pub mod case;
mod cut_off;

use case::{CODINGS, Dice, cases, each, encoded};
use sociaro_gateway::{
    metering::{meter::AnswerHead, reading::Reading},
    providers::{
        dialect::{answer_meter, socket_meter},
        provider::Dialect,
    },
};

/// Random cuts of each case in each coding. Documents come in a few large chunks, so fewer will do for them.
const CUTS_OF_STREAMS: usize = 1000;
const CUTS_OF_DOCUMENTS: usize = 50;

#[test]
fn whole_answers_give_the_expected_reading() {
    let cases = cases();
    assert!(cases.len() >= 130, "only {} cases were found", cases.len());
    for case in &cases {
        case.check("identity", [case.answer.as_slice()], || "whole".to_owned());
        case.check("identity", case.answer.chunks(1), || "byte by byte".to_owned());
    }
}

#[test]
fn a_cut_at_any_byte_in_any_coding_changes_nothing() {
    each(&cases(), |case| {
        for coding in CODINGS.iter().take(if case.is_stream { CODINGS.len() } else { 1 }) {
            let bytes = encoded(coding, &case.answer);
            for at in 0..=bytes.len() {
                let (left, right) = bytes.split_at(at);
                case.check(coding, [left, right], || format!("cut at {at}"));
            }
        }
    });
}

#[test]
fn a_thousand_random_cuts_in_any_coding_change_nothing() {
    each(&cases(), |case| {
        let mut dice = Dice::of(&case.name);
        for coding in CODINGS {
            let bytes = encoded(coding, &case.answer);
            for _ in 0..if case.is_stream { CUTS_OF_STREAMS } else { CUTS_OF_DOCUMENTS } {
                let mut cuts: Vec<usize> = (0..=dice.roll(8)).map(|_| dice.roll(bytes.len() + 1)).collect();
                cuts.sort_unstable();
                let ends = cuts.iter().copied().chain([bytes.len()]);
                let starts = [0].into_iter().chain(cuts.iter().copied());
                let chunks = starts.zip(ends).map(|(start, end)| &bytes[start..end]);
                case.check(coding, chunks, || format!("cut at {cuts:?}"));
            }
        }
    });
}

#[test]
fn an_answer_that_is_not_in_its_coding_is_unread_and_harmless() {
    let head = AnswerHead { status: 200, content_type: Some("application/json"), content_encoding: Some("gzip") };
    let mut meter = answer_meter(Dialect::OpenAi, "chat.completions", &head);
    meter.read(br#"{"id":"a","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#);
    meter.read(b"more");
    assert_eq!(meter.finish(), Reading::default());
}

/// Messages that providers would not send, in frames of their own.
#[test]
fn a_message_over_a_socket_is_read_alike_however_it_is_cut() {
    let error = r#"[{"error":{"code":1}}]"#;
    for message in [error.to_owned(), format!(" \t\r\n{error}"), format!("\x0c{error}"), format!("\u{feff}{error}")] {
        let mut framed = vec![0x81, u8::try_from(message.len()).unwrap()];
        framed.extend_from_slice(message.as_bytes());
        let read = |width: usize| {
            let mut meter = socket_meter(Dialect::OpenAi, "realtime", "");
            framed.chunks(width).for_each(|chunk| meter.read(chunk));
            meter.finish()
        };
        for width in 1..framed.len() {
            assert_eq!(read(width), read(framed.len()), "{message:?} cut every {width} bytes");
        }
    }
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
