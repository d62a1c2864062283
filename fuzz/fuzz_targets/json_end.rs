//! Where a JSON document ends, in chunks: the same place as for the whole, and a document that parses has an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sociaro_gateway::exchange::{
    json_end::{JsonEnd, Progress},
    model_json,
};

fuzz_target!(|input: &[u8]| {
    let [width, body @ ..] = input else { return };
    let mut whole = JsonEnd::default();
    let progress = whole.feed(body);
    let mut cut = JsonEnd::default();
    let (mut last, mut at, mut end) = (Progress::More, 0, None);
    for chunk in body.chunks(usize::from(*width).max(1)) {
        last = cut.feed(chunk);
        if let (Progress::Ended(length), None) = (last, end) {
            end = Some(at + length);
        }
        at += chunk.len();
    }
    match progress {
        Progress::Ended(length) => {
            assert_eq!(end, Some(length));
            assert_ne!(last, Progress::Broken);
        }
        other => assert_eq!(last, other),
    }
    assert_eq!(whole.is_complete(), cut.is_complete());
    if model_json::read(body, "model").is_ok() {
        assert!(whole.is_complete(), "a parser sees an end");
    }
});
