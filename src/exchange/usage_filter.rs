//! Takes out of a stream what its caller would not have seen without usage: the answer's side of `usage_mode = inject`.
//!
//! That is the chunk with usage and no choices, whole, and `"usage":null` in every other one; all other bytes stay. An
//! event is held back until it is complete, and no longer; one that is larger than the bound, that is no JSON, or whose
//! data stands on several lines passes as it is. What comes out does not depend on where the stream is cut.

use super::usage_request::{place, present};
use memchr::{memchr2, memmem};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::ops::Range;

/// The longest event that is looked at, and so the most that is ever held back.
const EVENT_BYTES_MAX: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const MEMBER: &[u8] = b"\"usage\"";

/// One stream, fed chunk by chunk.
#[derive(Debug, Default)]
pub struct UsageFilter {
    /// The beginning of the open event.
    held: Vec<u8>,
    /// The open event is too large: it passes as it comes.
    is_passing: bool,
    /// A byte stands in the open line.
    in_line: bool,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    /// The last event ended with such a CR; whether it was passed on, and its LF with it.
    was_kept: Option<bool>,
}

impl UsageFilter {
    /// Takes the next chunk and gives what the caller gets of it. `is_last`: no more will come.
    pub fn edit(&mut self, chunk: &[u8], is_last: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.held.len() + chunk.len());
        let mut rest = self.line_feed(chunk, &mut out);
        while let Some(end) = self.event_end(rest) {
            let (event, after) = rest.split_at_checked(end).unwrap_or_default();
            self.end_event(event, &mut out);
            if !after.is_empty() {
                self.was_kept = None;
            }
            rest = after;
        }
        self.hold(rest, &mut out);
        if is_last {
            pass_on(&std::mem::take(&mut self.held), &mut out);
        }
        out
    }

    /// The LF of an event whose CR came with the chunk before.
    fn line_feed<'c>(&mut self, chunk: &'c [u8], out: &mut Vec<u8>) -> &'c [u8] {
        if chunk.is_empty() {
            return chunk;
        }
        match (self.was_kept.take(), chunk.strip_prefix(b"\n")) {
            (Some(is_kept), Some(rest)) => {
                self.after_cr = false;
                if is_kept {
                    out.push(b'\n');
                }
                rest
            }
            _ => chunk,
        }
    }

    /// How many of the bytes belong to the open event, if its empty line is among them.
    fn event_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..)?;
            let first = rest.first()?;
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                at += 1;
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', rest) else {
                self.in_line = true;
                return None;
            };
            let is_empty = end == 0 && !std::mem::take(&mut self.in_line);
            self.in_line = false;
            self.after_cr = rest.get(end) == Some(&b'\r');
            at += end + 1;
            if is_empty {
                if self.after_cr && bytes.get(at) == Some(&b'\n') {
                    self.after_cr = false;
                    at += 1;
                }
                return Some(at);
            }
        }
    }

    fn end_event(&mut self, last: &[u8], out: &mut Vec<u8>) {
        // a LF behind the CR of the empty line does not count: it may not have come yet
        let size = self.held.len() + last.len() - usize::from(last.ends_with(b"\r\n"));
        let is_kept = if std::mem::take(&mut self.is_passing) || size > EVENT_BYTES_MAX {
            out.append(&mut self.held);
            out.extend_from_slice(last);
            true
        } else if self.held.is_empty() {
            pass_on(last, out)
        } else {
            self.held.extend_from_slice(last);
            let is_kept = pass_on(&self.held, out);
            self.held.clear();
            is_kept
        };
        self.was_kept = self.after_cr.then_some(is_kept);
    }

    fn hold(&mut self, rest: &[u8], out: &mut Vec<u8>) {
        if self.is_passing {
            out.extend_from_slice(rest);
            return;
        }
        self.held.extend_from_slice(rest);
        if self.held.len() > EVENT_BYTES_MAX {
            self.is_passing = true;
            out.append(&mut self.held);
            self.held.shrink_to(0);
        }
    }
}

/// What is to be done with an event.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Keep,
    Drop,
    /// Everything but these bytes is kept.
    Cut(Range<usize>),
}

/// Whether anything of the event was passed on.
fn pass_on(event: &[u8], out: &mut Vec<u8>) -> bool {
    match change(event).unwrap_or(Change::Keep) {
        Change::Keep => out.extend_from_slice(event),
        Change::Drop => return false,
        Change::Cut(at) => {
            out.extend_from_slice(event.get(..at.start).unwrap_or_default());
            out.extend_from_slice(event.get(at.end..).unwrap_or_default());
        }
    }
    true
}

/// The members of a chunk that matter, as they stand in its text. One that stands twice is an error.
#[derive(Deserialize)]
struct Chunk<'t> {
    #[serde(borrow, default, deserialize_with = "present")]
    choices: Option<&'t RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    usage: Option<&'t RawValue>,
}

/// `None` as `Keep`: the event is none that usage was put into.
fn change(event: &[u8]) -> Option<Change> {
    memmem::find(event, MEMBER)?;
    let data = data_place(event)?;
    let text = std::str::from_utf8(event.get(data.clone())?).ok()?;
    let chunk: Chunk<'_> = serde_json::from_str(text).ok()?;
    let usage = chunk.usage?;
    if usage.get() == "null" {
        let member = member_place(text.as_bytes(), place(text, usage))?;
        return Some(Change::Cut(data.start + member.start..data.start + member.end));
    }
    let choices = chunk.choices?.get().strip_prefix('[')?;
    let is_extra = usage.get().starts_with('{') && choices.trim_start() == "]";
    is_extra.then_some(Change::Drop)
}

/// Where the value of an event's data stands, if it is on one line.
fn data_place(event: &[u8]) -> Option<Range<usize>> {
    let mut at = if event.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let mut found = None;
    while let Some(rest) = event.get(at..).filter(|rest| !rest.is_empty()) {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = rest.get(..end)?;
        if line == b"data" || line.starts_with(b"data:") {
            if found.is_some() {
                return None;
            }
            found = Some((at + 5).min(at + end)..at + end);
        }
        at += end + 1;
    }
    found
}

/// The member of a value, with the comma that would be one too many without it.
fn member_place(text: &[u8], value: Range<usize>) -> Option<Range<usize>> {
    let before = text.get(..value.start)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let before = before.strip_suffix(MEMBER)?;
    if let Some(head) = before.trim_ascii_end().strip_suffix(b",") {
        return Some(head.len()..value.end);
    }
    let after = text.get(value.end..)?.trim_ascii_start();
    let after = after.strip_prefix(b",").map_or(after, <[u8]>::trim_ascii_start);
    Some(before.len()..text.len() - after.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edited<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> String {
        let mut filter = UsageFilter::default();
        let mut out: Vec<u8> = Vec::new();
        for chunk in chunks {
            out.extend(filter.edit(chunk, false));
        }
        out.extend(filter.edit(b"", true));
        String::from_utf8_lossy(&out).into_owned()
    }

    /// What a provider sends when it is asked for usage, and what it sends when it is not.
    const CASES: &[(&str, &str)] = &[
        ("", ""),
        (
            "data: {\"id\":\"a\",\"choices\":[{\"delta\":{}}],\"usage\":null}\n\ndata: {\"id\":\"a\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n",
            "data: {\"id\":\"a\",\"choices\":[{\"delta\":{}}]}\n\ndata: [DONE]\n\n",
        ),
        (
            "data: {\"choices\": [{}], \"usage\": null, \"x\": 1}\r\n\r\ndata: {\"choices\": [ ], \"usage\": {}}\r\n\r\ndata: [DONE]\r\n\r\n",
            "data: {\"choices\": [{}], \"x\": 1}\r\n\r\ndata: [DONE]\r\n\r\n",
        ),
        (
            "data:{\"usage\" : null , \"choices\":[{}]}\r\rdata:{\"usage\":{},\"choices\":[]}\r\rdata: [DONE]\r\r",
            "data:{\"choices\":[{}]}\r\rdata: [DONE]\r\r",
        ),
        // an error, a comment, names of events and Azure's first chunk, which has no choices either
        (
            "\u{feff}data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n: keep-alive\n\nid: 7\nevent: x\ndata: {\"usage\":null}\n\ndata: {\"error\":{\"message\":\"\\\"usage\\\":null\"}}\n\n",
            "\u{feff}data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n: keep-alive\n\nid: 7\nevent: x\ndata: {}\n\ndata: {\"error\":{\"message\":\"\\\"usage\\\":null\"}}\n\n",
        ),
        // what stands deeper, twice, on two lines, beside choices or in another form is none of ours
        (
            "data: {\"a\":{\"usage\":null}}\n\ndata: {\"usage\":null,\"usage\":null}\n\ndata: {\ndata: \"usage\":null}\n\ndata: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"choices\":[],\"usage\":[]}\n\ndata: {\"usage\":{}}\n\ndata: \"usage\"\n\n",
            "data: {\"a\":{\"usage\":null}}\n\ndata: {\"usage\":null,\"usage\":null}\n\ndata: {\ndata: \"usage\":null}\n\ndata: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"choices\":[],\"usage\":[]}\n\ndata: {\"usage\":{}}\n\ndata: \"usage\"\n\n",
        ),
        // the last event may lack its end
        ("data: {\"choices\":[{}],\"usage\":null}", "data: {\"choices\":[{}]}"),
        ("data: a\n\ndata: {\"choices\":[],\"usage\":{}}\n", "data: a\n\n"),
        ("\n\r\n\rdata\n\ndata:\n\n", "\n\r\n\rdata\n\ndata:\n\n"),
        ("data: é漢🙂 \"usage\"\n\n", "data: é漢🙂 \"usage\"\n\n"),
    ];

    #[test]
    fn the_caller_gets_what_a_stream_without_usage_would_have_been_however_it_is_cut() {
        for (stream, expected) in CASES {
            let bytes = stream.as_bytes();
            assert_eq!(edited([bytes]), *expected, "{stream}");
            assert_eq!(edited(bytes.chunks(1)), *expected, "byte by byte: {stream}");
            for at in 0..bytes.len() {
                let (left, right) = bytes.split_at(at);
                assert_eq!(edited([left, b"", right]), *expected, "cut at {at}: {stream}");
            }
        }
    }

    #[test]
    fn an_event_leaves_with_the_chunk_that_completes_it() {
        let mut filter = UsageFilter::default();
        assert_eq!(filter.edit(b"data: {\"choices\":[{}],\"us", false), b"");
        assert_eq!(filter.edit(b"age\":null}\n", false), b"");
        assert_eq!(filter.edit(b"\ndata: [DO", false), b"data: {\"choices\":[{}]}\n\n");
        assert_eq!(filter.edit(b"NE]\r\r", false), b"data: [DONE]\r\r");
        assert_eq!(filter.edit(b"\n: x\n\n", false), b"\n: x\n\n");
    }

    #[test]
    fn events_up_to_the_bound_are_edited_and_larger_ones_pass_as_they_are() {
        for end in ["\n\n", "\r\n\r\n", "\r\r"] {
            let event = |size: usize| {
                let (head, tail) = ("data: {\"choices\":[],\"usage\":{},\"x\":\"", format!("\"}}{end}"));
                // a LF behind the last CR does not count
                let size = size + usize::from(end == "\r\n\r\n");
                format!("{head}{}{tail}", "x".repeat(size - head.len() - tail.len()))
            };
            for (size, is_dropped) in [(EVENT_BYTES_MAX, true), (EVENT_BYTES_MAX + 1, false), (1 << 20, false)] {
                let stream = format!("{}data: {{\"usage\":null}}{end}", event(size));
                let rest = format!("data: {{}}{end}");
                let expected = if is_dropped { rest } else { format!("{}{rest}", event(size)) };
                for width in [1, 7, 4096, EVENT_BYTES_MAX - 1, EVENT_BYTES_MAX, EVENT_BYTES_MAX + 1, 1 << 21] {
                    assert!(edited(stream.as_bytes().chunks(width)) == expected, "{size} bytes in {width}, {end:?}");
                }
            }
        }
    }

    #[test]
    fn no_more_than_the_bound_is_held_whatever_comes() {
        let mut filter = UsageFilter::default();
        let mut passed = 0;
        for _ in 0..1000 {
            passed += filter.edit(&[b'x'; 10_000], false).len();
            assert!(filter.held.capacity() <= 4 * EVENT_BYTES_MAX);
        }
        assert!(passed >= 10_000_000 - EVENT_BYTES_MAX);
    }

    const PARTS: &[&[u8]] =
        &[b"\n", b"\r", b"data: ", b"{\"usage\":null}", b"{\"choices\":[],\"usage\":{}}", b"x", b"\xff"];

    proptest! {
        #[test]
        fn cuts_change_nothing(number in 0..CASES.len(), repeat in 1usize..4, cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let (stream, _) = CASES[number];
            let stream = stream.repeat(repeat);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let starts = std::iter::once(0).chain(cuts.iter().copied());
            let ends = cuts.iter().copied().chain([stream.len()]);
            let chunks = starts.zip(ends).map(|(start, end)| &stream.as_bytes()[start..end]);
            prop_assert_eq!(edited(chunks), edited([stream.as_bytes()]));
        }

        #[test]
        fn cuts_change_nothing_of_any_bytes(
            stream in proptest::collection::vec(proptest::sample::select(PARTS), 0..40),
            width in 1usize..9,
        ) {
            let stream = stream.concat();
            prop_assert_eq!(edited(stream.chunks(width)), edited([stream.as_slice()]));
        }
    }
}
