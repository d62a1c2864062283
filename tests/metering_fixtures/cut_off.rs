//! Answers that break off: after each event, at each byte, and lost by a damaged coding. What is read then is what the
//! provider told until there, or an estimate that says so; never more than the whole, never certain of less than was told.

use crate::case::{CODINGS, Case, cases, each, encoded};
use sociaro_gateway::metering::reading::{Reading, Tokens, UsageSource};
use std::{
    io::Write,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Each class with its name; reasoning is inside the output.
fn classes(tokens: &Tokens) -> [(&'static str, u64); 10] {
    [
        ("input", tokens.input),
        ("cached_input", tokens.cached_input),
        ("cache_write_5m", tokens.cache_write_5m),
        ("cache_write_1h", tokens.cache_write_1h),
        ("output", tokens.output),
        ("reasoning", tokens.reasoning),
        ("audio_input", tokens.audio_input),
        ("audio_output", tokens.audio_output),
        ("image_input", tokens.image_input),
        ("image_output", tokens.image_output),
    ]
}

/// How many tokens went in, however they are divided.
fn inputs(tokens: &Tokens) -> u64 {
    let Tokens { input, cached_input, cache_write_5m, cache_write_1h, audio_input, image_input, .. } = tokens;
    input + cached_input + cache_write_5m + cache_write_1h + audio_input + image_input
}

fn read(case: &Case, coding: &str, bytes: &[u8]) -> Reading {
    let mut meter = case.meter(coding);
    meter.read(bytes);
    meter.finish()
}

/// The figures that the provider told until there, as a document or a stream of its own would be read.
fn told(case: &Case, upto: usize) -> u64 {
    let reading = read(case, "identity", &case.answer[..upto]);
    inputs(&reading.tokens) + reading.tokens.output
}

/// Cases whose whole answer is the provider's own figures; what is estimated of a part cannot be compared with others.
fn is_reported(case: &Case) -> bool {
    case.reading.source == UsageSource::Provider
}

#[test]
fn a_stream_cut_off_after_any_event_never_reports_more_than_the_whole() {
    each(&cases(), |case| {
        for end in case.ends() {
            let reading = read(case, "identity", &case.answer[..end]);
            let place = format!("{} cut off at {end}: {reading:?}", case.name);
            if end == case.answer.len() {
                assert_eq!(Reading { parts: Vec::new(), ..reading }, case.reading, "{place}");
                continue;
            }
            if is_reported(case) {
                assert!(
                    inputs(&reading.tokens) <= inputs(&case.reading.tokens) || case.prompt_bytes.is_some(),
                    "{place}"
                );
                if reading.source == UsageSource::Provider {
                    for ((class, part), (_, whole)) in
                        classes(&reading.tokens).iter().zip(classes(&case.reading.tokens))
                    {
                        // what was not yet divided may stand in another class of its side
                        let is_input = !matches!(*class, "output" | "reasoning" | "audio_output" | "image_output");
                        assert!(*part <= whole || is_input, "{class}: {place}");
                    }
                }
            }
            assert!(reading.units.images <= case.reading.units.images, "{place}");
            assert!(reading.units.searches <= case.reading.units.searches, "{place}");
        }
    });
}

#[test]
fn what_was_told_is_never_forgotten_while_more_arrives() {
    each(&cases(), |case| {
        if !case.is_stream || !is_reported(case) || case.prompt_bytes.is_some() {
            return;
        }
        let mut before = 0;
        for end in case.ends() {
            let reading = read(case, "identity", &case.answer[..end]);
            if reading.source != UsageSource::Provider {
                continue;
            }
            let now = told(case, end);
            assert!(now >= before, "{} cut off at {end}: {now} after {before}: {reading:?}", case.name);
            before = now;
        }
    });
}

#[test]
fn a_stream_without_its_end_is_not_taken_for_whole() {
    let cut = AtomicUsize::new(0);
    each(&cases(), |case| {
        let first = case.ends()[0];
        if case.is_stream && case.reading.complete && !case.reading.stream_error && first < case.answer.len() / 2 {
            let reading = read(case, "identity", &case.answer[..first]);
            assert!(!reading.complete, "{} cut off at {first}: {reading:?}", case.name);
            // some say in their first event already that the model has finished
            cut.fetch_add(usize::from(reading.stream_error), Ordering::Relaxed);
        }
    });
    assert!(cut.into_inner() >= 30, "most are seen to be cut");
}

#[test]
fn no_byte_at_which_it_breaks_off_makes_it_panic_or_report_from_nothing() {
    each(&cases(), |case| {
        for coding in CODINGS {
            let bytes = encoded(coding, &case.answer);
            let step = if case.is_stream { 1 } else { 7 };
            for end in (0..bytes.len()).step_by(step) {
                let reading = read(case, coding, &bytes[..end]);
                if reading.source == UsageSource::None {
                    assert_eq!(reading.tokens, Tokens::default(), "{} {coding} cut off at {end}", case.name);
                }
            }
        }
    });
}

#[test]
fn what_a_damaged_coding_hides_is_not_reported_as_if_it_were_known() {
    each(&cases(), |case| {
        for end in case.ends() {
            let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            coder.write_all(&case.answer[..end]).unwrap();
            coder.flush().unwrap();
            // no block begins like this
            let damaged = [coder.get_ref().as_slice(), &[0xff; 8]].concat();
            let reading = read(case, "gzip", &damaged);
            assert!(
                reading.source != UsageSource::Provider || reading.complete,
                "{} damaged after {end}: {reading:?}",
                case.name
            );
        }
    });
}
