//! Request bodies of every size, framing and form reach the provider byte for byte, whether the gateway had to read them or
//! not.

use crate::{
    lane::{Lane, Passed, assert_same, coded, fill, mark, noise},
    support::{
        http::Ask,
        simulator::{Reply, Request},
    },
};

const KIB: usize = 1024;
const LARGE: usize = 50_000_000;

/// What a body is, and so how much of it the gateway reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Names its model: read whole.
    Json,
    /// Names its model behind the file: read whole.
    Multipart,
    /// Names none: never read.
    Binary,
}

const FORMS: [Form; 3] = [Form::Json, Form::Multipart, Form::Binary];

impl Form {
    /// A body of exactly that size; `None` when it cannot be so small.
    fn body(self, size: usize) -> Option<Vec<u8>> {
        let (before, behind): (&[u8], &[u8]) = match self {
            Self::Json => (b"{\"model\":\"gpt-5.4-mini\",\"input\":\"", b"\"}"),
            Self::Multipart => (
                b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n",
                b"\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt-4o-transcribe\r\n--b--\r\n",
            ),
            Self::Binary => (b"", b""),
        };
        let middle = size.checked_sub(before.len() + behind.len())?;
        let middle = match self {
            // A prime number of bytes, too.
            Self::Json => {
                fill("0123456789 abcdefghijklmnopqrstuvwxyz \\u20ac \\\\ \\n ABCDEFGHIJKLM ".as_bytes(), middle)
            }
            Self::Multipart | Self::Binary => noise(middle),
        };
        let middle = if self == Self::Json { whole_escapes(middle) } else { middle };
        Some([before, &middle, behind].concat())
    }

    fn ask(self, lane: &Lane) -> Ask {
        let (target, content_type) = match self {
            Self::Json => ("/openai/v1/embeddings", "application/json"),
            Self::Multipart => ("/openai/v1/audio/transcriptions", "multipart/form-data; boundary=b"),
            Self::Binary => ("/openai/v1/uploads", "application/octet-stream"),
        };
        let knob = lane.reply(Reply::json(200, r#"{"usage":{"prompt_tokens":1,"total_tokens":1}}"#));
        Ask::new("POST", target).header("authorization", &lane.bearer()).header("content-type", content_type).sim(&knob)
    }
}

/// Text of JSON that was cut: what may be half an escape at its end becomes plain.
fn whole_escapes(mut text: Vec<u8>) -> Vec<u8> {
    let end = text.len();
    text[end.saturating_sub(6)..].fill(b'z');
    // The cut may have left the beginning of an escape before what was filled.
    if let Some(at) = text[..end.saturating_sub(6)].iter().rposition(|byte| *byte != b'\\') {
        text[at + 1..].fill(b'z');
        let tail = text[..=at].windows(2).rposition(|pair| pair == b"\\u").filter(|start| at - start < 6);
        if let Some(start) = tail {
            text[start..].fill(b'z');
        }
    }
    text
}

/// Cuts a body into chunks of uneven sizes.
fn chunks(body: &[u8]) -> Vec<&[u8]> {
    let mut rest = body;
    let mut found = Vec::new();
    for size in [1, 2, 3, 1000, 16 * KIB, 7, 65_536, 1_000_003].into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, left) = rest.split_at(size.min(rest.len()));
        found.push(chunk);
        rest = left;
    }
    found
}

fn assert_arrived(what: &str, received: &Request, body: &[u8], chunked: bool) {
    assert_same(what, &received.body, body);
    let length = body.len().to_string();
    let expected = if chunked { (None, Some("chunked")) } else { (Some(&*length), None) };
    let found = (received.header("content-length"), received.header("transfer-encoding"));
    assert_eq!(found, expected, "{what}: framing");
    assert!(chunked || received.body_raw == received.body, "{what}: no framing within");
}

#[tokio::test]
async fn bodies_of_every_size_framing_and_form_arrive_byte_for_byte() {
    let lane = Lane::new("bodies");
    for size in [1, KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, KIB * KIB] {
        for form in FORMS {
            let Some(body) = form.body(size) else { continue };
            assert_eq!(body.len(), size);
            for chunked in [false, true] {
                let what = format!("{form:?} of {size}, chunked: {chunked}");
                let ask = form.ask(&lane);
                let ask = if chunked { ask.chunks(&chunks(&body)) } else { ask.body(body.clone()) };
                let Passed { received, answer } = lane.pass(&ask).await;
                assert_eq!(answer.status(), 200, "{what}: {}", answer.text());
                assert_arrived(&what, &received, &body, chunked);
            }
        }
    }
}

#[tokio::test]
async fn bodies_of_fifty_megabytes_arrive_byte_for_byte() {
    let lane = Lane::alone("bodies-large");
    for form in FORMS {
        let body = form.body(LARGE).unwrap();
        for chunked in [false, true] {
            let what = format!("{form:?}, chunked: {chunked}");
            let mark = mark();
            let ask = form.ask(&lane).header("x-mark", &mark);
            let ask = if chunked { ask.chunks(&chunks(&body)) } else { ask.body(body.clone()) };
            let mut connection = lane.gateway.client().connect().await;
            for piece in ask.bytes().chunks(KIB * KIB) {
                connection.write(piece).await;
            }
            let answer = connection.answer("POST").await;
            assert_eq!(answer.status(), 200, "{what}: {}", answer.text());
            assert_arrived(&what, &lane.received(&mark, &answer).await, &body, chunked);
            lane.gateway.simulator.forget();
        }
    }
}

#[tokio::test]
async fn an_empty_body_stays_an_empty_body() {
    let lane = Lane::new("bodies-empty");
    for (ask, framing) in [
        (Form::Binary.ask(&lane), (None, None)),
        (Form::Binary.ask(&lane).body(""), (Some("0"), None)),
        (Form::Binary.ask(&lane).chunks(&[]), (None, Some("chunked"))),
    ] {
        let Passed { received, answer } = lane.pass(&ask).await;
        answer.expect(200);
        assert_eq!((received.header("content-length"), received.header("transfer-encoding")), framing);
        assert_eq!(received.body, b"");
    }
}

#[tokio::test]
async fn compressed_bodies_are_forwarded_in_their_own_bytes_and_their_model_is_known() {
    let lane = Lane::new("bodies-coded");
    let text = Form::Json.body(200 * KIB).unwrap();
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let body = coded(coding, &text);
        for (form, chunked) in [(Form::Json, false), (Form::Json, true), (Form::Binary, false), (Form::Binary, true)] {
            let what = format!("{coding} {form:?}, chunked: {chunked}");
            let ask = form.ask(&lane).header("Content-Encoding", coding);
            let ask = if chunked { ask.chunks(&chunks(&body)) } else { ask.body(body.clone()) };
            let Passed { received, answer } = lane.pass(&ask).await;
            assert_eq!(answer.status(), 200, "{what}: {}", answer.text());
            assert_arrived(&what, &received, &body, chunked);
            assert_eq!(received.header("content-encoding"), Some(coding), "{what}");
            let model = if form == Form::Json { "gpt-5.4-mini" } else { "" };
            assert_eq!(lane.usage_of(&answer).await["model_requested"], model, "{what}");
        }
    }
}

#[tokio::test]
async fn json_is_never_written_again() {
    let lane = Lane::new("bodies-json");
    let bodies: &[&[u8]] = &[
        b"{\"model\":\"gpt-5.4-mini\"}",
        b" \t\r\n{ \"model\" :\r\n\t\"gpt-5.4-mini\" , \"a\" : [ 1 ,2 ] } ",
        b"{\"model\":\"gpt-5.4-mini\"}\r\n\r\n \t ",
        b"{\"z\":1,\"model\":\"gpt-5.4-mini\",\"a\":2,\"z\":3}",
        b"{\"model\":\"gpt\\u002D5.4\\u002dmini\",\"a\":\"\\u00e9\\u00E9\\/\\b\\f\\ud83d\\ude00\\ud83D\\uDE00\"}",
        b"{\"m\\u006fdel\":\"gpt-5.4-mini\"}",
        b"{\"model\":\"gpt-5.4-mini\",\"x\":[1e400,-0,-0.0,1.0,1.10,1E+2,123456789012345678901234567890,0.1e-999]}",
        "{\"model\":\"gpt-5.4-mini\",\"é\":\"日本 \u{1f600} \u{7f}\u{2028}\u{feff}\"}".as_bytes(),
        b"{\"model\":\"gpt-5.4-mini\",\"\":{\"\":[[[[{}]]],null,true,false,\"\"]}}",
        b"{\"user\":\"\\\"model\\\":\\\"other\\\"\",\"x\":{\"model\":\"inner\"},\"model\":\"gpt-5.4-mini\"}",
    ];
    for body in bodies {
        let what = body.escape_ascii().to_string();
        for chunked in [false, true] {
            let ask = Form::Json.ask(&lane);
            let pieces: Vec<&[u8]> = body.chunks(1).collect();
            let ask = if chunked { ask.chunks(&pieces) } else { ask.body(*body) };
            let Passed { received, answer } = lane.pass(&ask).await;
            assert_eq!(answer.status(), 200, "{what}: {}", answer.text());
            assert_arrived(&what, &received, body, chunked);
            assert_eq!(lane.usage_of(&answer).await["model_requested"], "gpt-5.4-mini", "{what}");
        }
    }
}

#[tokio::test]
async fn forms_pass_with_their_model_before_and_behind_the_file() {
    let lane = Lane::new("bodies-forms");
    let model = b"Content-Disposition: form-data; name=\"model\"\r\n\r\ngpt-4o-transcribe\r\n";
    let head =
        b"content-disposition:form-data ;filename=\"\xe2\x82\xac.mp3\"; name=\"file\"\r\nX-Own:  header \r\n\r\n";
    let file = [&head[..], &noise(100 * KIB), b"\r\n"].concat();
    let other = b"Content-Disposition: form-data; name=\"prompt\"\r\n\r\n--almost\r\n-- b\r\n\r\n";
    for parts in [[&model[..], &file, other], [&file, other, model], [other, model, &file]] {
        let mut body = Vec::new();
        for part in parts {
            body.extend_from_slice(b"--b\r\n");
            body.extend_from_slice(part);
        }
        body.extend_from_slice(b"--b--\r\n");
        for chunked in [false, true] {
            let ask = Form::Multipart.ask(&lane);
            let ask = if chunked { ask.chunks(&chunks(&body)) } else { ask.body(body.clone()) };
            let Passed { received, answer } = lane.pass(&ask).await;
            assert_eq!(answer.status(), 200, "{}", answer.text());
            assert_arrived("form", &received, &body, chunked);
            assert_eq!(received.header("content-type"), Some("multipart/form-data; boundary=b"));
            assert_eq!(lane.usage_of(&answer).await["model_requested"], "gpt-4o-transcribe");
        }
    }
}

#[tokio::test]
async fn chunk_extensions_and_trailers_of_a_request_end_at_the_gateway() {
    let lane = Lane::new("bodies-trailers");
    for (target, body) in
        [("/openai/v1/embeddings", "{\"model\":\"gpt-5.4-mini\"}"), ("/openai/v1/uploads", "01234567")]
    {
        let mark = mark();
        let (first, second) = body.split_at(5);
        let wire = format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nAuthorization: {}\r\nContent-Type: application/json\r\nX-Mark: {mark}\r\n\
             Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\n{first}\r\n{:x}\r\n{second}\r\n0;c\r\nX-Sum: 1\r\n\r\n",
            lane.bearer(),
            second.len()
        );
        let mut connection = lane.gateway.client().connect().await;
        connection.write(wire.as_bytes()).await;
        let answer = connection.answer("POST").await;
        let received = lane.received(&mark, &answer).await;
        assert_same(target, &received.body, body.as_bytes());
        let framing = String::from_utf8_lossy(&received.body_raw).into_owned();
        assert!(!framing.contains("X-Sum") && !framing.contains(';') && framing.ends_with("0\r\n\r\n"), "{framing}");
        assert_eq!(received.header("trailer"), None);
    }
}
