//! Requests that must be refused, each with its code, its headers and nothing of what it held, and before any provider is asked.

use crate::{
    desk::{Desk, MODEL, check_head, check_refusal, options},
    support::{gateway::Gateway, http::Ask},
};
use serde_json::{Value, json};
use std::sync::Arc;

fn post(desk: &Desk, body: impl Into<Vec<u8>>) -> Ask {
    Ask::new("POST", "/").header("content-type", "application/json").bearer(&desk.key.secret).body(body)
}

#[tokio::test]
async fn a_body_that_is_not_the_schemas_is_refused_before_anything_is_asked() {
    let desk = Desk::shared("bad-schema");
    let long = json!({"prompt": "hush".repeat(8192) + "!", "model": MODEL}).to_string();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("unknown member", json!({"prompt": "hush", "model": MODEL, "hush": 1}).to_string().into()),
        ("messages", json!({"messages": [{"role": "user", "content": "hush"}], "model": MODEL}).to_string().into()),
        ("prompt is a number", json!({"prompt": 1, "model": MODEL}).to_string().into()),
        ("prompt is a list", json!({"prompt": ["hush"], "model": MODEL}).to_string().into()),
        ("no prompt", json!({"model": MODEL}).to_string().into()),
        ("no model", json!({"prompt": "hush"}).to_string().into()),
        ("model is null", json!({"prompt": "hush", "model": null}).to_string().into()),
        ("stream is a text", json!({"prompt": "hush", "model": MODEL, "stream": "yes"}).to_string().into()),
        ("empty prompt", json!({"prompt": "", "model": MODEL}).to_string().into()),
        ("blank prompt", json!({"prompt": " \n\t", "model": MODEL}).to_string().into()),
        ("prompt over the bound", long.into()),
        ("twice", format!(r#"{{"prompt":"a","prompt":"hush","model":"{MODEL}"}}"#).into()),
        ("no JSON", b"hush".to_vec()),
        ("nothing", Vec::new()),
        ("a list", b"[]".to_vec()),
        ("cut JSON", br#"{"prompt":"hush","#.to_vec()),
        ("two documents", format!(r#"{{"prompt":"hush","model":"{MODEL}"}}{{}}"#).into()),
        ("invalid UTF-8", [br#"{"prompt":"hush"#, &b"\xc3\x28"[..], br#"","model":"m"}"#].concat()),
        ("lone surrogate", format!(r#"{{"prompt":"hush\ud83d","model":"{MODEL}"}}"#).into()),
        ("unknown model", json!({"prompt": "hush", "model": "openai/gpt-hush"}).to_string().into()),
        ("model without namespace", json!({"prompt": "hush", "model": "gpt-5.4-mini"}).to_string().into()),
        ("disabled model", json!({"prompt": "hush", "model": "openai/off"}).to_string().into()),
        ("model without a credential", json!({"prompt": "hush", "model": "nowhere/gpt-5.4"}).to_string().into()),
    ];
    for (what, body) in cases {
        let answer = desk.refuses(what, &post(&desk, body), 400, "validation").await;
        let row = desk.row(&answer).await;
        assert_eq!(
            (row["endpoint"].as_str(), row["error_type"].as_str()),
            (Some("prompt"), Some("validation")),
            "{what}"
        );
        assert_eq!(row["key_id"].as_str(), Some(desk.key.id.as_str()), "{what}");
    }
    let coded = post(&desk, "hush").header("content-encoding", "gzip");
    desk.refuses("a coded body", &coded, 400, "validation").await;
    assert_eq!(desk.upstream("hush").len(), 0);
}

#[tokio::test]
async fn a_prompt_at_the_bound_passes() {
    let desk = Desk::shared("bad-bound");
    // 32,768 characters of two bytes each: words, since the simulator echoes so many.
    let prompt = "éé é".repeat(8192);
    let answer = desk.answer(&prompt, MODEL).await;
    assert!(answer["response"].as_str().is_some_and(|text| text.starts_with("Echo: éé é")));
}

#[tokio::test]
async fn a_body_over_its_bound_is_refused_whatever_its_framing_and_whoever_sends_it() {
    let desk = Desk::shared("bad-size");
    let large = json!({"prompt": "hush".repeat(70_000), "model": MODEL}).to_string();
    let declared = post(&desk, large.clone());
    let pieces: Vec<&[u8]> = large.as_bytes().chunks(10_000).collect();
    let chunked = Ask::new("POST", "/v1/gateway").bearer(&desk.key.secret).chunks(&pieces);
    for (what, ask) in [("declared", declared), ("chunked", chunked)] {
        let answer = desk.refuses(what, &ask, 413, "payload_too_large").await;
        let row = desk.row(&answer).await;
        assert_eq!((row["status"].as_u64(), row["error_type"].as_str()), (Some(413), Some("payload_too_large")));
    }
    // The bound comes before the key.
    let nobody = Ask::new("POST", "/").body(large);
    desk.refuses("without a key", &nobody, 413, "payload_too_large").await;
    // Of a body of 10 MB the head is enough.
    let mut connection = desk.gateway.client().connect().await;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-length: 10000000\r\n\r\n",
        desk.key.secret
    );
    connection.write(head.as_bytes()).await;
    let answer = connection.answer("POST").await;
    check_head(&answer);
    check_refusal("10 MB", &answer, 413, "payload_too_large");
}

#[tokio::test]
async fn a_body_at_its_bound_is_read_and_an_expectation_is_met() {
    let desk = Desk::shared("bad-expect");
    let body = json!({"prompt": "bad-expect", "model": MODEL}).to_string();
    let padded = body.clone() + &" ".repeat(256 * 1024 - body.len());
    let answer = desk.send(&post(&desk, padded.clone())).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    desk.refuses("a byte more", &post(&desk, padded + " "), 413, "payload_too_large").await;
    let answer = desk.send(&post(&desk, body).header("expect", "100-continue")).await;
    assert_eq!((answer.status(), answer.interim.len()), (200, 1), "{}", answer.text());
}

#[tokio::test]
async fn a_key_must_be_there_good_and_entitled() {
    let desk = Desk::shared("bad-keys");
    let body = json!({"prompt": "hush", "model": MODEL});
    let ask = || Ask::post("/", &body);
    let unknown = format!("sk-gw_live_{:048x}", 0xdead_beef_u64);
    desk.refuses("no key", &ask(), 401, "unauthorized").await;
    desk.refuses("no gateway key", &ask().bearer("sk-proj-1"), 401, "unauthorized").await;
    desk.refuses("unknown key", &ask().bearer(&unknown), 401, "unauthorized").await;
    desk.refuses("key in the query", &Ask::post(&format!("/?key={}", desk.key.secret), &body), 401, "unauthorized")
        .await;
    desk.refuses("key in another header", &ask().header("x-goog-api-key", &desk.key.secret), 401, "unauthorized").await;
    let twice = ask().bearer(&desk.key.secret).bearer(&desk.key.secret);
    desk.refuses("two keys", &twice, 401, "unauthorized").await;
    let proxy_only = desk.issue(|grant| grant.scopes = vec!["inference:use".to_owned()]);
    let answer = desk.refuses("without the scope", &ask().bearer(&proxy_only.secret), 403, "forbidden").await;
    assert!(answer.text().contains("prompt:use"), "{}", answer.text());
    let elsewhere = desk.issue(|grant| grant.allow = vec!["anthropic:*".to_owned(), "openai:gpt-5.4".to_owned()]);
    desk.refuses("another model", &ask().bearer(&elsewhere.secret), 403, "forbidden").await;
    let denied = desk.issue(|grant| grant.deny = vec!["openai:*-mini".to_owned()]);
    let answer = desk.refuses("a denied model", &ask().bearer(&denied.secret), 403, "forbidden").await;
    let row = desk.row(&answer).await;
    let told =
        ["provider", "endpoint", "model_requested", "error_type"].map(|name| row[name].as_str().unwrap_or_default());
    assert_eq!(told, ["openai", "prompt", "gpt-5.4-mini", "forbidden"]);
    let gone = desk.issue(|_| ());
    let config = desk.gateway.config().display().to_string();
    let revoked = desk.gateway.run(&["key", "revoke", &gone.id, "--config", &config].map(str::to_owned));
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    let answer = desk.refuses("a revoked key", &ask().bearer(&gone.secret), 401, "unauthorized").await;
    assert_eq!(desk.row(&answer).await["key_id"].as_str(), Some(gone.id.as_str()), "whose it was");
    // The schema comes after the key and before the entitlement.
    desk.refuses("no key, no JSON", &Ask::new("POST", "/").body("hush"), 401, "unauthorized").await;
    desk.refuses("no model that may be used", &Ask::post("/", &json!({})).bearer(&elsewhere.secret), 400, "validation")
        .await;
    assert_eq!(desk.upstream("hush").len(), 0);
}

#[tokio::test]
async fn the_keys_limits_hold_here_too() {
    let desk = Desk::shared("bad-limits");
    let key = desk.issue(|grant| grant.arguments = ["--rps", "1", "--burst", "1"].map(str::to_owned).to_vec());
    let ask = Ask::post("/", &json!({"prompt": "bad-limits", "model": MODEL})).bearer(&key.secret);
    let mut connection = desk.gateway.client().connect().await;
    let mut refused = None;
    for _ in 0..50 {
        let answer = connection.send(&ask).await;
        if answer.status() != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a request over the rate");
    check_refusal("over the rate", &refused, 429, "rate_limited");
    assert_eq!(refused.header("x-gateway-limit"), Some("rps"));
    let row = desk.row(&refused).await;
    assert_eq!((row["status"].as_u64(), row["error_type"].as_str()), (Some(429), Some("rate_limited")));
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_held_off() {
    let desk = Desk::at(Arc::new(Gateway::start(options().set("/auth/unknown_per_second_max", json!(1)))), "bad-flood");
    let body = json!({"prompt": "hush", "model": MODEL});
    desk.answer("known before", MODEL).await;
    let mut flooded = 0;
    for at in 0..40 {
        let ask = Ask::post("/", &body).bearer(&format!("sk-gw_live_{at:048x}"));
        let answer = desk.send(&ask).await;
        if answer.status() == 429 {
            check_refusal("flood", &answer, 429, "rate_limited");
            flooded += 1;
        }
    }
    assert!(flooded > 0);
    desk.answer("known", MODEL).await;
}

#[tokio::test]
async fn other_methods_and_paths_are_told_where_to_go() {
    let desk = Desk::shared("bad-paths");
    for (method, target, allow) in [
        ("GET", "/", "POST"),
        ("PUT", "/", "POST"),
        ("DELETE", "/v1/gateway", "POST"),
        ("GET", "/v1/gateway?x=1", "POST"),
        ("POST", "/models", "GET,HEAD"),
        ("PATCH", "/v1/models", "GET,HEAD"),
    ] {
        let ask = Ask::new(method, target).bearer(&desk.key.secret);
        let answer = desk.refuses(&format!("{method} {target}"), &ask, 405, "method_not_allowed").await;
        assert_eq!(answer.header("allow"), Some(allow), "{method} {target}");
        assert!(answer.text().contains(if allow == "POST" { "POST" } else { "GET" }), "{}", answer.text());
    }
    // Their envelope is the proxy's.
    for target in ["/v1/chat/completions", "/v1", "/v1/gateway/x", "/models/x"] {
        let answer = desk.gateway.client().send(&Ask::post(target, &json!({})).bearer(&desk.key.secret)).await;
        let document: Value = answer.expect(404).json();
        assert_eq!(document["error"]["type"], "not_found", "{target}");
        assert!(document["error"]["message"].as_str().is_some_and(|text| text.contains("/openai/v1/")), "{document}");
    }
    let proxied = desk.gateway.client().send(&Ask::get("/openai/v1/models").header("x-api-key", "none")).await;
    assert_eq!(proxied.expect(401).json()["error"]["type"], "unauthorized");
}

#[tokio::test]
async fn a_malformed_head_is_refused_in_this_surfaces_words() {
    let desk = Desk::shared("bad-heads");
    let answer = desk.gateway.client().send(&post(&desk, "hush").header("x-long", &"h".repeat(70_000))).await;
    check_head(&answer);
    check_refusal("a head that is too large", &answer, 413, "payload_too_large");
    let mut connection = desk.gateway.client().connect().await;
    connection.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhush\r\n0\r\n\r\n").await;
    let answer = connection.answer("POST").await;
    check_head(&answer);
    check_refusal("two framings", &answer, 400, "validation");
}
