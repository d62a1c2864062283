//! 400 for bodies in which the gateway could see another model than the provider, or none.

use crate::{
    desk::{CHAT, Desk, PROMPT, Want},
    support::{
        http::Ask,
        simulator::{Coding, Reply},
    },
};
use std::io::Write;

const CHAT_TYPE: &str = "application/json";

/// A POST of these bytes with this content type.
fn post(desk: &Desk, content_type: &str, body: impl Into<Vec<u8>>) -> Ask {
    Ask::new("POST", CHAT).bearer(&desk.key.secret).header("content-type", content_type).body(body)
}

/// A chat document with this text in front of its messages.
fn document(members: &str) -> String {
    format!(r#"{{{members}"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#)
}

#[tokio::test]
async fn a_json_body_in_which_parsers_could_find_two_models_is_refused() {
    let desk = Desk::shared("bodies-ambiguous");
    let twice = "names the model more than once";
    let lookalike = "some parsers take for the model's";
    let cases = [
        (r#""model":"gpt-5.4-mini","model":"gpt-5.4","#, twice),
        (r#""model":"gpt-5.4-mini","model":"gpt-5.4-mini","#, twice),
        (r#""model":"gpt-5.4-mini","mod\u0065l":"gpt-5.4","#, twice),
        (r#""\u006dodel":"gpt-5.4-mini","\u006d\u006f\u0064\u0065\u006c":"gpt-5.4","#, twice),
        (r#""model":"gpt-5.4-mini","model":null,"#, twice),
        (r#""model":"gpt-5.4-mini","Model":"gpt-5.4","#, lookalike),
        (r#""model":"gpt-5.4-mini","MODEL":"gpt-5.4","#, lookalike),
        (r#""model":"gpt-5.4-mini","model ":"gpt-5.4","#, lookalike),
        (r#""model":"gpt-5.4-mini","model[]":"gpt-5.4","#, lookalike),
        (r#""model":"gpt-5.4-mini","model\u0000":"gpt-5.4","#, lookalike),
    ];
    for (members, says) in cases {
        let ask = post(&desk, CHAT_TYPE, document(members));
        desk.refuses(members, &ask, &Want::bad_request(says)).await;
    }
    // The same where the first is near the front and the second far behind, chunked, and beyond what is replayed.
    let filler = "x".repeat(90_000);
    let far = document(&format!(r#""model":"gpt-5.4-mini","user":"{filler}","model":"gpt-5.4","#));
    let ask = Ask::new("POST", CHAT).bearer(&desk.key.secret).header("content-type", CHAT_TYPE);
    let chunked = ask.chunks(&far.as_bytes().chunks(10_000).collect::<Vec<_>>());
    desk.refuses("far apart, chunked", &chunked, &Want::bad_request(twice)).await;
    desk.settle().await;
}

#[tokio::test]
async fn a_body_that_is_not_the_json_it_claims_is_refused() {
    let desk = Desk::shared("bodies-no-json");
    let good = document(r#""model":"gpt-5.4-mini","#);
    let not_json = "not valid JSON in UTF-8 (line";
    let cases: [(&str, Vec<u8>, &str); 13] = [
        ("truncated", good.as_bytes()[..good.len() - 1].to_vec(), not_json),
        ("cut inside the prompt", good.as_bytes()[..good.len() - 6].to_vec(), not_json),
        ("a second document", format!("{good}{good}").into_bytes(), not_json),
        ("garbage behind", format!("{good}]").into_bytes(), not_json),
        ("a trailing comma", good.replace("]}", "],}").into_bytes(), not_json),
        ("single quotes", good.replace('"', "'").into_bytes(), not_json),
        ("a comment", format!("/* c */{good}").into_bytes(), "must be one JSON object"),
        ("a byte order mark", format!("\u{feff}{good}").into_bytes(), "must be one JSON object"),
        ("a list", format!("[{good}]").into_bytes(), "must be one JSON object"),
        ("a text", format!("\"{PROMPT}\"").into_bytes(), "must be one JSON object"),
        ("white space alone", b" \n ".to_vec(), "the body is empty"),
        ("no UTF-8", [good.as_bytes(), b"\xff"].concat(), not_json),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect(), not_json),
    ];
    for (what, body, says) in cases {
        desk.refuses(what, &post(&desk, CHAT_TYPE, body), &Want::bad_request(says)).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_model_that_is_no_plain_name_is_refused() {
    let desk = Desk::shared("bodies-model");
    let (text, name) = ("the model in the body must be text", "a model's name must have 1 to 256 bytes");
    let long = format!("\"{}\"", "m".repeat(257));
    let nested = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let cases = [
        ("null", text),
        ("7", text),
        ("true", text),
        (r#"["gpt-5.4-mini"]"#, text),
        (r#"{"id":"gpt-5.4-mini"}"#, text),
        (r#""""#, name),
        (r#"" gpt-5.4-mini""#, name),
        (r#""gpt-5.4-mini ""#, name),
        (r#""gpt-5.4\u0000-mini""#, name),
        (r#""gpt-5.4-mini\n""#, name),
        (&long, name),
        (&nested, "not valid JSON"),
    ];
    for (model, says) in cases {
        let ask = post(&desk, CHAT_TYPE, document(&format!(r#""model":{model},"#)));
        desk.refuses(model, &ask, &Want::bad_request(says)).await;
    }
    let many = vec![r#""gpt-5.4""#; 33].join(",");
    let ask = post(&desk, CHAT_TYPE, document(&format!(r#""model":"gpt-5.4","models":[{many}],"#)));
    desk.refuses("33 fallback models", &ask, &Want::bad_request("too many fallback models")).await;
    desk.settle().await;
}

#[tokio::test]
async fn nesting_without_end_harms_nobody() {
    let desk = Desk::shared("bodies-nesting");
    let deep = "[".repeat(200_000);
    let open = post(&desk, CHAT_TYPE, document(&format!(r#""model":"gpt-5.4-mini","x":{deep}"#)));
    desk.refuses("never closed", &open, &Want::bad_request("not valid JSON")).await;
    let shut = "]".repeat(200_000);
    let closed = post(&desk, CHAT_TYPE, format!(r#"{{"model":"gpt-5.4-mini","x":{deep}{shut}}}"#));
    desk.gateway.simulator.name("deep", Reply::json(200, "{}"));
    let (_, upstream) = desk.passes("closed again", &closed.clone().sim("reply=deep")).await;
    assert!(closed.bytes().ends_with(&upstream.body), "it went on as it came");
    desk.settle().await;
}

#[tokio::test]
async fn a_content_type_that_says_something_else_is_refused() {
    let desk = Desk::shared("bodies-type");
    let good = document(r#""model":"gpt-5.4-mini","#);
    let does_not_take = "does not take a body of this content type";
    let cases = [
        ("image/png", does_not_take),
        ("application/octet-stream", does_not_take),
        ("application/x-ndjson", does_not_take),
        ("multipart/form-data; boundary=b", does_not_take),
        ("json", does_not_take),
        ("", does_not_take),
        ("application/json, text/plain", does_not_take),
        ("application/json; charset=utf-16", "charset must be UTF-8"),
        ("text/plain; charset=iso-8859-1", "charset must be UTF-8"),
    ];
    for (content_type, says) in cases {
        desk.refuses(content_type, &post(&desk, content_type, good.clone()), &Want::bad_request(says)).await;
    }
    let twice = post(&desk, CHAT_TYPE, good.clone()).header("content-type", "text/plain");
    desk.refuses("two content types", &twice, &Want::bad_request("`content-type` must stand once")).await;
    let form = r#"{"model":"gpt-5.4-mini","user":"&model=gpt-5.4&"}"#;
    let form = post(&desk, "application/x-www-form-urlencoded", form);
    desk.refuses("JSON that is a form, too", &form, &Want::bad_request("some parsers take for the model's")).await;
    desk.settle().await;
}

fn coded(coding: Coding, body: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    match coding {
        Coding::Gzip => gzip.write_all(body).and_then(|()| gzip.finish()),
        Coding::Deflate => zlib.write_all(body).and_then(|()| zlib.finish()),
        Coding::Zstd => zstd::encode_all(body, 3),
        Coding::Brotli => {
            let mut coder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            coder.write_all(body).map(|()| coder.into_inner())
        }
        Coding::Identity => Ok(body.to_vec()),
    }
    .expect("a body can be coded")
}

#[tokio::test]
async fn a_compressed_body_that_cannot_be_decoded_alike_by_all_is_refused() {
    let desk = Desk::shared("bodies-coded");
    let good = document(r#""model":"gpt-5.4-mini","#).into_bytes();
    let twice = document(r#""model":"gpt-5.4-mini","model":"gpt-5.4","#).into_bytes();
    let send = |coding: &str, body: Vec<u8>| post(&desk, CHAT_TYPE, body).header("content-encoding", coding);
    let undecodable = "cannot be decoded as its content encoding says";
    for (name, coding) in
        [("gzip", Coding::Gzip), ("deflate", Coding::Deflate), ("zstd", Coding::Zstd), ("br", Coding::Brotli)]
    {
        let body = coded(coding, &good);
        let (_, upstream) = desk.passes(name, &send(name, body.clone())).await;
        assert_eq!(upstream.body, body, "{name}: it went on as it came");
        let cut = body[..body.len() - 4].to_vec();
        desk.refuses(&format!("{name}, cut"), &send(name, cut), &Want::bad_request(undecodable)).await;
        desk.refuses(&format!("{name}, plain"), &send(name, good.clone()), &Want::bad_request(undecodable)).await;
        let more = [&body[..], &body[..]].concat();
        let want = Want::bad_request("goes on behind its end");
        desk.refuses(&format!("{name}, twice"), &send(name, more), &want).await;
        let inside = send(name, coded(coding, &twice));
        desk.refuses(&format!("{name}, two models"), &inside, &Want::bad_request("more than once")).await;
    }
    let unknown = "content encoding must be one of gzip, deflate, br, zstd, identity";
    for coding in ["lz4", "compress", "gzip, lz4", "gzip;q=1", "gzip, gzip, gzip, gzip, gzip"] {
        let ask = send(coding, coded(Coding::Gzip, &good));
        let want =
            if coding == "gzip, lz4" { Want::bad_request(unknown) } else { Want::bad_request("content encoding") };
        desk.refuses(coding, &ask, &want).await;
    }
    let repeated = send("gzip", coded(Coding::Gzip, &good)).header("content-encoding", "identity");
    desk.refuses("two lines", &repeated, &Want::bad_request("`content-encoding` must stand once")).await;
    desk.settle().await;
}
