//! Any stream whose usage was asked for in the caller's place: what the caller gets is the same however it is cut, nothing is
//! added, and a stream that names no usage passes untouched.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sociaro_gateway::exchange::{usage_filter::UsageFilter, usage_request::with_usage_asked};

fn edit(stream: &[u8], width: usize) -> Vec<u8> {
    let (mut filter, mut out) = (UsageFilter::default(), Vec::new());
    for chunk in stream.chunks(width) {
        out.extend(filter.edit(chunk, false));
    }
    out.extend(filter.edit(b"", true));
    out
}

/// All bytes of `part` stand in `whole` in this order.
fn is_left_of(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|byte| rest.any(|other| other == byte))
}

fuzz_target!(|input: &[u8]| {
    let [width, stream @ ..] = input else { return };
    let whole = edit(stream, stream.len().max(1));
    assert_eq!(edit(stream, usize::from(*width).max(1)), whole, "cut every {width} bytes");
    assert!(is_left_of(&whole, stream), "something was added");
    if !stream.windows(5).any(|bytes| bytes == b"usage") {
        assert_eq!(whole, stream);
    }
    if let Some(asked) = with_usage_asked(stream) {
        serde_json::from_slice::<&serde_json::value::RawValue>(&asked).expect("still JSON");
        assert_eq!(with_usage_asked(&asked), None, "asked once");
    }
});
