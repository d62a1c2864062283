//! 400 for multipart forms that name the model twice, in a way that parsers read differently, or behind their end.

use crate::{
    desk::{Desk, PROMPT, Want},
    support::http::Ask,
};

const TRANSCRIPTIONS: &str = "/openai/v1/audio/transcriptions";
const BOUNDARY: &str = "frontier";

/// One part: its headers behind `form-data`, and its content.
fn part(headers: &str, content: &str) -> String {
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {headers}\r\n\r\n{content}\r\n")
}

fn field(name: &str, content: &str) -> String {
    part(&format!("name=\"{name}\""), content)
}

fn file(content: &str) -> String {
    part("name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav", content)
}

/// The parts and the closing boundary.
fn form(parts: &[String]) -> String {
    format!("{}--{BOUNDARY}--\r\n", parts.concat())
}

fn head(desk: &Desk) -> Ask {
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    Ask::new("POST", TRANSCRIPTIONS).bearer(&desk.key.secret).header("content-type", &content_type)
}

#[tokio::test]
async fn a_form_that_names_the_model_in_two_ways_is_refused() {
    let desk = Desk::shared("forms-ambiguous");
    let (model, prompt) = (|| field("model", "whisper-1"), || field("prompt", PROMPT));
    let twice = "names the model more than once";
    let lookalike = "some parsers take for the model's";
    let plain = "the model must be a plain text field";
    let cases = [
        ("twice", form(&[model(), field("model", "gpt-4o-transcribe"), file("a")]), twice),
        ("twice, the same", form(&[model(), prompt(), model()]), twice),
        ("before and after the file", form(&[model(), file("a"), field("model", "gpt-4o-transcribe")]), twice),
        ("another case", form(&[model(), field("Model", "gpt-4o-transcribe")]), lookalike),
        ("an array's form", form(&[model(), field("model[]", "gpt-4o-transcribe")]), lookalike),
        ("percent-encoded", form(&[model(), field("mod%65l", "gpt-4o-transcribe")]), lookalike),
        ("a file of that name", form(&[part("name=\"model\"; filename=\"m\"", "gpt-4o"), prompt()]), plain),
        ("JSON as the model", form(&[part("name=\"model\"\r\nContent-Type: application/json", "\"m\"")]), plain),
        ("base64", form(&[part("name=\"model\"\r\nContent-Transfer-Encoding: base64", "bQ==")]), plain),
        ("two names", form(&[part("name=\"model\"; name=\"other\"", "whisper-1")]), "is malformed"),
        (
            "two dispositions",
            form(&[part("name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"", "m")]),
            "malformed",
        ),
        ("no name", form(&[model(), part("x=1", "a")]), "multipart body is malformed"),
        ("the charset field", form(&[field("_charset_", "utf-7"), model()]), "charset must be UTF-8"),
        ("white space at an end", form(&[field("model", "whisper-1 ")]), "a model's name must have"),
        ("empty", form(&[field("model", "")]), "a model's name must have"),
        ("too long", form(&[field("model", &"m".repeat(257))]), "a model's name must have"),
    ];
    for (what, body, says) in cases {
        desk.refuses(what, &head(&desk).body(body), &Want::bad_request(says)).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_form_that_is_malformed_is_refused() {
    let desk = Desk::shared("forms-malformed");
    let good = form(&[field("model", "whisper-1"), file("RIFF"), field("prompt", PROMPT)]);
    let malformed = "the multipart body is malformed";
    let cases = [
        ("cut", good.trim_end_matches("tier--\r\n").to_owned(), malformed),
        ("no closing boundary", good.replace("--frontier--\r\n", ""), malformed),
        ("bare line feeds", good.replace("\r\n", "\n"), malformed),
        ("a boundary inside a line", form(&[field("model", "whisper-1"), file("RIFF--frontierRIFF")]), malformed),
        ("text behind a boundary", good.replacen("--frontier\r\n", "--frontier x\r\n", 1), malformed),
        ("a second form", format!("{good}{good}"), "goes on behind its end"),
        ("text behind the end", format!("{good}epilogue"), "goes on behind its end"),
        ("another boundary", good.replace(BOUNDARY, "other"), malformed),
        ("nothing of a form", PROMPT.to_owned(), malformed),
    ];
    for (what, body, says) in cases {
        desk.refuses(what, &head(&desk).body(body), &Want::bad_request(says)).await;
    }
    let ask = |content_type: &str| {
        Ask::new("POST", TRANSCRIPTIONS)
            .bearer(&desk.key.secret)
            .header("content-type", content_type)
            .body(good.clone())
    };
    for (content_type, says) in [
        ("multipart/form-data", "has no boundary"),
        ("multipart/form-data; boundary=", "does not take a body of this content type"),
        ("multipart/form-data; boundary=\"fron@tier\"", "the boundary must have 1 to 70 characters"),
        ("multipart/form-data; boundary=frontier; boundary=other", "does not take a body of this content type"),
        ("multipart/mixed; boundary=frontier", "does not take a body of this content type"),
        ("application/json", "does not take a body of this content type"),
        ("application/x-www-form-urlencoded", "does not take a body of this content type"),
    ] {
        desk.refuses(content_type, &ask(content_type), &Want::bad_request(says)).await;
    }
    let coded = head(&desk).header("content-encoding", "gzip").body(good.clone());
    desk.refuses("compressed", &coded, &Want::bad_request("it must not be compressed")).await;
    desk.settle().await;
}

/// What is forwarded before its end has arrived must not bring a second form in what comes later.
#[tokio::test]
async fn nothing_may_follow_a_large_form_in_a_chunked_body() {
    let desk = Desk::shared("forms-behind");
    let large = form(&[field("model", "whisper-1"), file(&"a".repeat(100_000))]);
    let second = form(&[field("model", "gpt-4o-transcribe"), file("b")]);
    let (answer, upstream) = desk.passes("the form alone", &head(&desk).chunks(&[large.as_bytes()])).await;
    assert!(answer.text().contains("text") && upstream.body == large.as_bytes());
    for (what, behind) in [("a form", second.as_str()), ("text", "x"), ("a boundary", "--frontier\r\n")] {
        let bytes = head(&desk).chunks(&[large.as_bytes(), behind.as_bytes()]).bytes();
        let case = format!("x-case: forms-behind-{}\r\n", what.replace(' ', "-"));
        let line_end = memchr::memmem::find(&bytes, b"\r\n").map_or(0, |at| at + 2);
        let bytes = [&bytes[..line_end], case.as_bytes(), &bytes[line_end..]].concat();
        let mut connection = desk.gateway.client().connect().await;
        connection.write(&bytes).await;
        let answer = connection.answer("POST").await;
        desk.check(what, &answer, &Want::bad_request("follows the end").or_says("goes on behind its end"));
        desk.expect_row(400, "bad_request");
        // It may have begun to arrive, but never whole, and nothing of what stands behind.
        let (name, value) = case.trim_end().split_once(": ").unwrap_or_default();
        for request in desk.gateway.simulator.matching(|request| request.header(name) == Some(value)) {
            assert!(!request.complete && request.body.len() <= large.len(), "{what}: {} bytes", request.body.len());
        }
    }
    desk.settle().await;
}
