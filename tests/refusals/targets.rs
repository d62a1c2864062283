//! 400 for targets that servers read differently, and for models in paths and queries that cannot be told.

use crate::{
    desk::{Desk, Want},
    support::http::Ask,
};

fn google(desk: &Desk, target: &str) -> Ask {
    let body = serde_json::json!({"contents": [{"parts": [{"text": crate::desk::PROMPT}]}]});
    Ask::post(&format!("/google{target}"), &body).header("x-goog-api-key", &desk.key.secret)
}

/// Malformed targets lead nowhere: they are refused before a provider or a key is looked for, so nothing is recorded.
#[tokio::test]
async fn a_disguised_target_is_refused() {
    let desk = Desk::shared("targets-disguised");
    let cases = [
        ("/v1beta/models/gemini-2.5-pro%2Fx:generateContent", "an encoded slash or backslash"),
        ("/v1beta/models/gemini-2.5-pro%5cx:generateContent", "an encoded slash or backslash"),
        ("/v1beta/models/../models/gemini-2.5-pro:generateContent", "a segment `.` or `..`"),
        ("/v1beta/models/%2e%2e/gemini-2.5-pro:generateContent", "a segment `.` or `..`"),
        ("/v1beta/models/gemini%252d2.5-pro:generateContent", "encoded twice"),
        ("/v1beta/models/gemini-2.5-pro;v=1:generateContent", "the path holds `;`"),
        ("/v1beta/models/gemini-2.5-pro%zz:generateContent", "two hexadecimal digits"),
        ("/v1beta/models/gemini%0a2.5-pro:generateContent", "a control character"),
        ("/v1beta/models/gemini%C2%85:generateContent", "a control character"),
        ("/v1beta/models/gemini-2.5-pro\\x:generateContent", "a backslash"),
        ("/v1beta/models/gemini-2.5-pro:generateContent?$httpMethod=DELETE", "must not change the request's method"),
        (
            "/v1beta/models/gemini-2.5-pro:generateContent?%24ct=application/json",
            "must not change the request's method",
        ),
    ];
    for (target, says) in cases {
        desk.refuses(target, &google(&desk, target), &Want::bad_request(says).unrecorded()).await;
    }
    let long = format!("/v1beta/models?x={}", "y".repeat(16 * 1024));
    desk.refuses("too long", &google(&desk, &long), &Want::bad_request("longer than 16384 bytes").unrecorded()).await;
    let key = format!("/v1beta/models/{}:generateContent", desk.key.secret);
    desk.refuses("a key", &google(&desk, &key), &Want::bad_request("the path holds a gateway key").unrecorded()).await;
    let want = Want::bad_request("must begin with a provider's name").unrecorded();
    for target in ["//v1/models", "//?x=y"] {
        desk.refuses(target, &Ask::get(target).bearer(&desk.key.secret), &want).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_model_in_the_path_that_is_no_plain_name_is_refused() {
    let desk = Desk::shared("targets-path-model");
    let long = "m".repeat(257);
    for model in ["%20", "gemini-2.5-pro%20", "%20gemini-2.5-pro", "gemini%C2%A0", &long] {
        let target = format!("/v1beta/models/{model}:generateContent");
        let want = Want::bad_request("a model's name must have 1 to 256 bytes");
        desk.refuses(model, &google(&desk, &target), &want).await;
        // Who has no key learns that first.
        let body = serde_json::json!({});
        let stranger = Ask::post(&format!("/google{target}"), &body);
        desk.refuses(model, &stranger, &Want::unauthorized("there is no gateway key")).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_header_that_changes_the_method_is_refused() {
    let desk = Desk::shared("targets-method");
    for name in ["X-HTTP-Method-Override", "x-http-method", "X_Method_Override"] {
        let ask = Ask::get("/openai/v1/models").bearer(&desk.key.secret).header(name, "DELETE");
        let says = format!("the header {} is not supported", name.to_ascii_lowercase().replace('_', "-"));
        desk.refuses(name, &ask, &Want::bad_request(&says)).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_realtime_model_in_the_query_must_stand_once_and_be_plain() {
    let desk = Desk::shared("targets-realtime");
    let ambiguous = "names the model more than once, or in a way that can be misread";
    let name = "a model's name must have";
    let cases = [
        ("model=gpt-realtime&model=gpt-realtime-mini", ambiguous),
        ("model=gpt-realtime&mod%65l=gpt-realtime-mini", ambiguous),
        ("model=gpt-realtime&Model=gpt-realtime-mini", ambiguous),
        ("model=gpt-realtime&model[]=gpt-realtime-mini", ambiguous),
        ("x=1;model=gpt-realtime-mini&model=gpt-realtime", ambiguous),
        ("model=", name),
        ("model=+gpt-realtime", name),
        ("model=gpt%0arealtime", name),
    ];
    for (query, says) in cases {
        let ask = Ask::get(&format!("/openai/v1/realtime?{query}"))
            .bearer(&desk.key.secret)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        desk.refuses(query, &ask, &Want::bad_request(says)).await;
    }
    desk.settle().await;
}
