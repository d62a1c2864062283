//! Any answer, to the meter of any dialect, as events, as JSON or as neither: it is read alike however it is cut, and asking
//! twice changes nothing. Reads SSE, JSON and what dialects make of both.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sociaro_gateway::{
    metering::{
        meter::{AnswerHead, AnswerMeter},
        prompt::Prompt,
        reading::UsageSource,
    },
    providers::{dialect::answer_meter, provider::Dialect},
};

const DIALECTS: [Dialect; 6] =
    [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::DashScope, Dialect::Ark, Dialect::MuleRouter];
const TYPES: [&str; 4] = ["text/event-stream", "application/json", "", "text/html"];

fn meter(dialect: u8, content_type: u8) -> AnswerMeter {
    let pick = |list: usize, by: u8| usize::from(by) % list;
    let head = AnswerHead {
        status: if content_type & 0x80 == 0 { 200 } else { 500 },
        content_type: Some(TYPES[pick(TYPES.len(), content_type)]),
        content_encoding: None,
    };
    answer_meter(DIALECTS[pick(DIALECTS.len(), dialect)], "any", &head).with_prompt(Prompt::of_size(100))
}

fuzz_target!(|input: &[u8]| {
    let [dialect, content_type, width, answer @ ..] = input else { return };
    let mut whole = meter(*dialect, *content_type);
    whole.read(answer);
    let reading = whole.finish();
    assert_eq!(whole.finish(), reading);
    let mut cut = meter(*dialect, *content_type);
    answer.chunks(usize::from(*width).max(1)).for_each(|chunk| cut.read(chunk));
    assert_eq!(cut.finish(), reading, "cut every {width} bytes");
    let tokens = reading.tokens;
    assert!(tokens.reasoning <= tokens.output, "{reading:?}");
    assert!(reading.source != UsageSource::None || tokens == Default::default(), "{reading:?}");
});
