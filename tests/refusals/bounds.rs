//! 413 over the configured bounds, 404 for what does not exist, 405 for methods on the gateway's own paths.

use crate::{
    desk::{CHAT, Desk, PROMPT, Want},
    support::{
        gateway::{Gateway, Options},
        http::Ask,
    },
};
use serde_json::json;
use std::{io::Write, sync::Arc};

const BODY_BYTES_MAX: usize = 100_000;

fn small(organization: &str) -> Desk {
    let options = Options::default()
        .set("/requests/body_bytes_max", json!(BODY_BYTES_MAX))
        .set("/requests/decoded_bytes_max", json!(BODY_BYTES_MAX));
    Desk::at(Arc::new(Gateway::start(options)), organization)
}

/// A document of exactly that many bytes.
fn document(bytes: usize) -> String {
    let frame = r#"{"model":"gpt-5.4-mini","messages":[],"user":""}"#;
    frame.replace(r#""user":"""#, &format!(r#""user":"{}""#, "x".repeat(bytes - frame.len())))
}

#[tokio::test]
async fn a_body_over_the_bound_is_too_large_and_one_at_the_bound_is_not() {
    let desk = small("bounds-body");
    let json = || Ask::new("POST", CHAT).bearer(&desk.key.secret).header("content-type", "application/json");
    let (fits, over) = (document(BODY_BYTES_MAX), document(BODY_BYTES_MAX + 1));
    let want = Want::too_large("the request's body is too large");
    desk.passes("at the bound", &json().body(fits.clone())).await;
    desk.refuses("one byte more", &json().body(over.clone()), &want).await;
    desk.passes("at the bound, chunked", &json().chunks(&[fits.as_bytes()])).await;
    let pieces: Vec<&[u8]> = over.as_bytes().chunks(7000).collect();
    desk.refuses("one byte more, chunked", &json().chunks(&pieces), &want).await;
    let far = document(1_000_000);
    desk.refuses("ten times", &json().body(far.clone()), &want.clone().closing()).await;
    let pieces: Vec<&[u8]> = far.as_bytes().chunks(50_000).collect();
    desk.refuses("ten times, chunked", &json().chunks(&pieces), &want.clone().closing()).await;
    let modelless = Ask::new("POST", "/openai/v1/files").bearer(&desk.key.secret).body(over);
    desk.refuses("modelless", &modelless, &want).await;
    desk.settle().await;
}

#[tokio::test]
async fn a_length_that_is_only_declared_is_refused_without_waiting_for_it() {
    let desk = small("bounds-declared");
    let want = Want::too_large("the request's body is too large").closing();
    let endpoints = [(CHAT, "application/json"), ("/openai/v1/files", "multipart/form-data; boundary=b")];
    for (target, content_type) in endpoints {
        let ask = Ask::new("POST", target).bearer(&desk.key.secret).header("content-type", content_type);
        let declared = ask.header("content-length", "10000000000");
        desk.refuses(target, &declared, &want).await;
        desk.refuses(target, &declared.header("expect", "100-continue"), &want).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_body_that_grows_when_it_is_decoded_is_too_large() {
    let desk = small("bounds-bomb");
    let bomb = format!(r#"{{"model":"gpt-5.4-mini","x":"{}"}}"#, "0".repeat(50_000_000));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let gzip = gzip.write_all(bomb.as_bytes()).and_then(|()| gzip.finish()).expect("a body can be coded");
    let twice = zstd::encode_all(&gzip[..], 3).expect("a body can be coded");
    let zstd = zstd::encode_all(bomb.as_bytes(), 3).expect("a body can be coded");
    let head = || Ask::new("POST", CHAT).bearer(&desk.key.secret).header("content-type", "application/json");
    for (coding, body) in [("gzip", gzip), ("gzip, zstd", twice), ("zstd", zstd)] {
        assert!(body.len() < BODY_BYTES_MAX, "{coding}: {} bytes", body.len());
        let ask = head().header("content-encoding", coding).body(body);
        desk.refuses(coding, &ask, &Want::too_large("the request's body is too large")).await;
    }
    desk.settle().await;
}

/// What is not read before it is forwarded has begun to arrive when its bound is passed: never whole.
#[tokio::test]
async fn a_body_that_is_forwarded_as_it_comes_ends_at_the_bound() {
    let desk = small("bounds-forwarded");
    let part = "a".repeat(10_000);
    let pieces = vec![part.as_bytes(); 40];
    let ask = Ask::new("POST", "/openai/v1/files").bearer(&desk.key.secret).header("x-case", "forwarded");
    let mut connection = desk.gateway.client().connect().await;
    connection.write(&ask.header("content-type", "multipart/form-data; boundary=b").chunks(&pieces).bytes()).await;
    let answer = connection.answer("POST").await;
    desk.check("chunked", &answer, &Want::too_large("the request's body is too large"));
    desk.expect_row(413, "payload_too_large");
    for request in desk.gateway.simulator.matching(|request| request.header("x-case") == Some("forwarded")) {
        assert!(!request.complete && request.body.len() <= BODY_BYTES_MAX, "{} bytes", request.body.len());
    }
    desk.settle().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let options = Options::default().without_credential("mulerouter");
    let desk = Desk::at(Arc::new(Gateway::start(options)), "bounds-404");
    let want = Want::new(404, "not_found", "there is no provider of this name").unrecorded();
    let providers = [
        "/nobody/v1/chat/completions",
        "/OpenAI/v1/chat/completions",
        "/openai%2e/v1/chat/completions",
        "/v1/chat/completions",
        "/mulerouter/vendors/openai/v1/chat/completions",
        "/GW/me",
        "/gwx/me",
    ];
    for target in providers {
        desk.refuses(target, &Ask::chat(target, "m", PROMPT).bearer(&desk.key.secret), &want).await;
        desk.refuses(target, &Ask::get(target), &want).await;
    }
    let want = Want::new(404, "not_found", "there is no such resource").unrecorded();
    for target in ["/gw", "/gw/", "/gw/nothing", "/gw/me/", "/gw/me/more", "/gw/Me", "/gw//me"] {
        desk.refuses(target, &Ask::get(target).bearer(&desk.key.secret), &want).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn the_gateways_own_paths_say_which_methods_they_take() {
    let desk = Desk::shared("bounds-405");
    let want = Want::new(405, "method_not_allowed", "does not take this method").unrecorded();
    let want = want.with_header("allow", "GET,HEAD");
    for target in ["/gw/me", "/gw/stats", "/gw/stats?group_by=model"] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let ask = Ask::new(method, target).bearer(&desk.key.secret);
            let ask = if method == "POST" { ask.body("{}") } else { ask };
            desk.refuses(&format!("{method} {target}"), &ask, &want).await;
        }
    }
    desk.settle().await;
}

#[tokio::test]
async fn the_gateways_own_endpoints_have_a_bound_of_their_own() {
    let desk = Desk::shared("bounds-own");
    let body = |bytes: usize| Ask::new("POST", "/gw/me").bearer(&desk.key.secret).body("x".repeat(bytes));
    let want = Want::too_large("the request's body is too large").unrecorded();
    desk.refuses("1 MiB and a byte", &body(1024 * 1024 + 1), &want).await;
    desk.refuses("4 MiB", &body(4 * 1024 * 1024), &want.closing()).await;
    desk.settle().await;
}
