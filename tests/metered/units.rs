//! Units that are no tokens, models behind names of one's own, and jobs that are looked at again: through the shipped
//! program, with the cost worked out by hand.

use crate::{
    desk::{Desk, figures, number},
    support::{
        gateway::{Gateway, Options},
        http::Ask,
        simulator::{Coding, Reply},
    },
};
use serde_json::json;
use std::{fs, sync::Arc};

fn speech(model: &str, input: &str) -> Ask {
    Ask::post("/openai/v1/audio/speech", &json!({"model": model, "voice": "alloy", "input": input}))
}

#[tokio::test]
async fn speech_is_charged_by_the_characters_that_are_to_be_spoken() {
    let desk = Desk::new("units-speech");
    let audio = || Reply::new(200, "audio/mpeg", vec![0xff; 3000]);
    let cases = [
        // 10 characters, whatever their bytes, at 15 for a million
        (
            "tts-1",
            "Gr\u{fc}\u{df}e, \u{4e16}\u{754c}!",
            audio(),
            "characters 10, 150000 nano-dollars by openai/tts-1, estimated",
        ),
        // an escape is the one character that it means, an emoji one, too: "a\n😀\"", 4 characters at 30 for a million
        ("tts-1-hd", "a\n\u{1f600}\"", audio(), "characters 4, 120000 nano-dollars by openai/tts-1-hd, estimated"),
        ("tts-1", "", audio(), "0 nano-dollars by openai/tts-1, estimated"),
        // the provider did nothing
        (
            "tts-1",
            "Hello",
            Reply::json(500, r#"{"error":{"message":"x"}}"#),
            "0 nano-dollars without a price, none, provider_error",
        ),
    ];
    for (model, input, reply, expected) in cases {
        let record = desk.record(speech(model, input), reply).await;
        assert_eq!(figures(&record), expected, "{model} {input:?} {record}");
    }
    let long = desk.record(speech("tts-1", &"x".repeat(4096)), audio()).await;
    assert_eq!(figures(&long), "characters 4096, 61440000 nano-dollars by openai/tts-1, estimated");
}

#[tokio::test]
async fn speech_that_reports_tokens_is_charged_by_them() {
    let desk = Desk::new("units-speech-events");
    let events = [
        "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\n",
        "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":14,\"output_tokens\":101,\"total_tokens\":115}}\n\n",
    ];
    let reply = Reply::events(events.map(|event| event.as_bytes().to_vec()).to_vec());
    let record = desk.record(speech("gpt-4o-mini-tts", "Hello there"), reply).await;
    // 14 at 0.6 and 101 at 12 for a million
    let expected = "input 14, output 101, 1220400 nano-dollars by openai/gpt-4o-mini-tts, provider";
    assert_eq!(figures(&record), expected, "{record}");
}

#[tokio::test]
async fn the_input_of_other_endpoints_is_not_charged_by_the_character() {
    let desk = Desk::new("units-input");
    let ask = Ask::post("/openai/v1/embeddings", &json!({"model": "tts-1", "input": "Hello"}));
    let record = desk.record(ask, Reply::json(200, r#"{"object":"list","data":[]}"#)).await;
    assert_eq!(number(&record, "/unit_characters"), 0, "{record}");
}

fn form(model: &str) -> (String, String) {
    let part =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let body =
        [part("model", model), part("response_format", "verbose_json"), part("file", "RIFF"), "--b--\r\n".into()];
    ("multipart/form-data; boundary=b".to_owned(), body.concat())
}

#[tokio::test]
async fn transcriptions_are_charged_by_the_second_wherever_the_seconds_stand() {
    let desk = Desk::new("units-heard");
    let verbose = r#"{"task":"transcribe","language":"english","duration":8.470000267028809,"text":"Hello.","segments":[{"id":0,"start":0.0,"end":3.0,"text":"Hello."}]}"#;
    let cases = [
        // 8.470 seconds at 0.0001
        ("whisper-1", verbose, "millis 8470, 847000 nano-dollars by openai/whisper-1, provider"),
        (
            "whisper-1",
            r#"{"text":"Hello.","duration":"9.5"}"#,
            "millis 9500, 950000 nano-dollars by openai/whisper-1, provider",
        ),
        // what is billed is told apart from how long it is
        (
            "whisper-1",
            r#"{"duration":8.47,"text":"Hello.","usage":{"type":"duration","seconds":9}}"#,
            "millis 9000, 900000 nano-dollars by openai/whisper-1, provider",
        ),
        ("whisper-1", "{\"text\":\"Hello.\"}", "0 nano-dollars without a price, none"),
    ];
    for (model, answer, expected) in cases {
        let (content_type, body) = form(model);
        let ask = Ask::new("POST", "/openai/v1/audio/transcriptions").header("content-type", &content_type).body(body);
        let reply = Reply::json(200, answer).delivered(|delivery| delivery.coding = Coding::Gzip);
        let record = desk.record(ask, reply).await;
        assert_eq!(figures(&record), expected, "{answer} {record}");
    }
}

#[tokio::test]
async fn images_are_charged_one_by_one_as_they_come_and_moderations_not_at_all() {
    let desk = Desk::new("units-seen");
    let image = r#"{"mimeType":"image/png","bytesBase64Encoded":"iVBORw0KGgo="}"#;
    let answer = format!(r#"{{"predictions":[{image},{image}]}}"#);
    let body = json!({"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 4}});
    let ask = Ask::post("/google/v1beta/models/imagen-3.0-generate-002:predict", &body);
    let record = desk.record(ask, Reply::json(200, answer)).await;
    // four were asked for and two came, at 0.04
    assert_eq!(figures(&record), "images 2, 80000000 nano-dollars by google/imagen-3.0-generate, provider", "{record}");
    let ask = Ask::post("/openai/v1/moderations", &json!({"model": "omni-moderation-latest", "input": "Hello"}));
    let reply = Reply::json(200, r#"{"id":"modr-1","model":"omni-moderation-latest","results":[{"flagged":false}]}"#);
    let record = desk.record(ask, reply).await;
    assert_eq!(figures(&record), "0 nano-dollars without a price, none", "{record}");
}

#[tokio::test]
async fn what_another_model_did_within_an_answer_has_that_models_price() {
    let desk = Desk::new("units-asides");
    let answer = |case: &str| {
        let file = format!("{}/tests/fixtures/{case}/answer.json", env!("CARGO_MANIFEST_DIR"));
        Reply::json(200, fs::read_to_string(file).unwrap())
    };
    let image = Ask::post("/openai/v1/images/generations", &json!({"model": "gpt-image-2", "prompt": "a cat"}));
    let record = desk.record(image, answer("openai/images_json_svg")).await;
    // 50 x 5 + 300 x 8 + 1,056 x 30, and 1,000 x 2.5 + 500 x 15 of the model that drew, for a million each
    let expected = "image_input 300, image_output 1056, images 1, input 1050, output 500, \
        44330000 nano-dollars by openai/gpt-image-2+openai/gpt-5.4, provider";
    assert_eq!(figures(&record), expected, "{record}");
    assert_eq!(number(&record, "/cost_breakdown_nanousd/input"), 250_000 + 2_500_000, "{record}");
    let message = json!({"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": []});
    let record =
        desk.record(Ask::post("/anthropic/v1/messages", &message), answer("anthropic/json_iterations_models")).await;
    // (23 + 40) x 2 + (9 + 5) x 10, and 100 x 4 + 50 x 0.2 + 20 x 20 of the adviser
    let expected = "cached_input 50, input 163, output 34, \
        1076000 nano-dollars by anthropic/claude-sonnet-5-5+anthropic/claude-opus-5-5, provider";
    assert_eq!(figures(&record), expected, "{record}");
}

#[tokio::test]
async fn creating_a_batch_and_looking_at_it_costs_nothing_however_often() {
    let desk = Desk::new("units-batches");
    let body = json!({"input_file_id": "file-in", "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let none = r#"{"input_tokens":0,"output_tokens":0,"total_tokens":0}"#;
    let created =
        format!(r#"{{"id":"batch_1","object":"batch","model":"gpt-5.4-mini","status":"validating","usage":{none}}}"#);
    let record = desk.record(Ask::post("/openai/v1/batches", &body), Reply::json(200, created)).await;
    assert_eq!(figures(&record), "0 nano-dollars by openai/gpt-5.4-mini, provider", "{record}");
    let usage = r#""usage":{"input_tokens":200,"input_tokens_details":{"cached_tokens":0},"output_tokens":80,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":280}"#;
    let batch = format!(r#"{{"id":"batch_1","object":"batch","model":"gpt-5.4-mini","status":"completed",{usage}}}"#);
    let line = r#"{"custom_id":"a","result":{"type":"succeeded","message":{"id":"msg_1","model":"claude-opus-5-5","usage":{"input_tokens":10,"output_tokens":5}}}}"#;
    let gemini = r#"{"name":"batches/b1","done":true,"response":{"inlinedResponses":{"inlinedResponses":[{"response":{"modelVersion":"gemini-2.5-flash","usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":9}}}]}}}"#;
    let targets = [
        ("/openai/v1/batches/batch_1", batch.as_str()),
        ("/openai/v1/files/file-out/content", line),
        (
            "/openai/v1/responses/resp_1",
            r#"{"id":"resp_1","model":"gpt-5.4","usage":{"input_tokens":1,"output_tokens":1}}"#,
        ),
        ("/anthropic/v1/messages/batches/msgbatch_1/results", line),
        ("/google/v1beta/batches/b1", gemini),
    ];
    for (target, answer) in targets {
        for _ in 0..2 {
            let record = desk.record(Ask::get(target), Reply::json(200, answer)).await;
            assert_eq!(figures(&record), "0 nano-dollars without a price, none", "{target} {record}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_of_ones_own_is_priced_as_the_model_that_the_book_says_it_is() {
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/prices.yaml")).unwrap();
    let row = "    model: seed-1-6\n";
    assert!(shipped.contains(row), "the book has the model");
    let prices = shipped.replace(row, "    model: seed-1-6\n    aliases: [ep-20260617101112-abcde]\n");
    let gateway = Arc::new(Gateway::start(Options::default().prices_yaml(&prices)));
    let desk = Desk::of(gateway, "units-endpoint");
    let ask = |model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        Ask::post("/byteplus/api/v3/chat/completions", &body)
    };
    let answer = |served: &str| {
        Reply::json(
            200,
            format!(
                r#"{{"id":"1","model":"{served}","choices":[],"usage":{{"prompt_tokens":800,"completion_tokens":150,"total_tokens":950,"prompt_tokens_details":{{"cached_tokens":512}}}}}}"#
            ),
        )
    };
    // 288 at 0.25, 512 cached at 0.05, 150 at 2 for a million, whichever of its names the provider gives
    let priced = "cached_input 512, input 288, output 150, 397600 nano-dollars by byteplus/seed-1-6, provider";
    let unpriced = "cached_input 512, input 288, output 150, 0 nano-dollars without a price, provider";
    let own = "ep-20260617101112-abcde";
    for (asked, served, expected) in [
        (own, own, priced),
        (own, "seed-1-6-250615", priced),
        (own, "a-model-that-is-not-in-the-book", priced),
        ("ep-20260617101112-other", "seed-1-6-250615", priced),
        ("ep-20260617101112-other", "ep-20260617101112-other", unpriced),
    ] {
        let record = desk.record(ask(asked), answer(served)).await;
        assert_eq!(figures(&record), expected, "{asked} {served} {record}");
        assert_eq!((&record["model_requested"], &record["model_served"]), (&json!(asked), &json!(served)));
    }
}
