//! 403: a scope that is missing, or a model that the key may not ask for, wherever the request names it.

use crate::{
    desk::{CHAT, Desk, PROMPT, Want},
    support::{
        gateway::{Grant, Key},
        http::Ask,
        simulator::Reply,
    },
};
use serde_json::json;

/// Changes the rules of a grant.
fn rules(allow: &[&str], deny: &[&str]) -> impl FnOnce(&mut Grant) {
    let texts = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect();
    let (allow, deny) = (texts(allow), texts(deny));
    move |grant| (grant.allow, grant.deny) = (allow, deny)
}

fn chat(key: &Key, model: &str) -> Ask {
    Ask::chat(CHAT, model, PROMPT).bearer(&key.secret)
}

fn may_not(model: &str, provider: &str) -> Want {
    Want::forbidden(&format!("this key may not use the model {model:?} of {provider}"))
}

#[tokio::test]
async fn a_key_without_the_scope_is_refused_by_name() {
    let desk = Desk::shared("entitlements-scope");
    let key = desk.issue(|grant| grant.scopes.retain(|scope| scope != "inference:use"));
    let bearer = [
        CHAT,
        "/alibaba/compatible-mode/v1/chat/completions",
        "/byteplus/api/v3/chat/completions",
        "/mulerouter/vendors/openai/v1/chat/completions",
        "/anthropic/v1/messages",
    ];
    let want = Want::forbidden("this key lacks the scope inference:use");
    for target in bearer {
        desk.refuses(target, &Ask::chat(target, "m", PROMPT).bearer(&key.secret), &want).await;
    }
    let gemini = Ask::post("/google/v1beta/models/gemini-2.5-pro:generateContent", &json!({}));
    desk.refuses("google", &gemini.header("x-goog-api-key", &key.secret), &want).await;
    desk.refuses("a listing", &Ask::get("/openai/v1/models").bearer(&key.secret), &want).await;
    let without = desk.issue(|grant| grant.scopes.retain(|scope| scope != "stats:read"));
    let want = Want::forbidden("this key lacks the scope stats:read").unrecorded();
    desk.refuses("statistics", &Ask::get("/gw/stats").bearer(&without.secret), &want).await;
    desk.settle().await;
}

#[tokio::test]
async fn a_model_is_allowed_only_if_an_allow_rule_matches_and_no_deny_rule_does() {
    let desk = Desk::shared("entitlements-rules");
    let none = desk.issue(rules(&[], &[]));
    let exact = desk.issue(rules(&["openai:gpt-5.4"], &[]));
    let globs =
        desk.issue(rules(&["openai:gpt-5.?-*", "openai:*-embedding-*"], &["openai:*-pro", "openai:gpt-5.4-nano"]));
    let denied = desk.issue(rules(&["*:*"], &["openai:gpt-5*", "*:o3"]));
    let other = desk.issue(rules(&["anthropic:*"], &[]));
    let cases: [(&Key, &str, bool); 26] = [
        (&none, "gpt-5.4", false),
        (&exact, "gpt-5.4", true),
        (&exact, "gpt-5.4-mini", false),
        (&exact, "gpt-5", false),
        (&exact, "GPT-5.4", false),
        (&exact, "openai:gpt-5.4", false),
        (&exact, "openai/gpt-5.4", false),
        (&exact, "*", false),
        (&exact, "gpt-5?4", false),
        (&globs, "gpt-5.4-mini", true),
        (&globs, "gpt-5.1-codex", true),
        (&globs, "gpt-5.10-mini", false),
        (&globs, "gpt-5.-mini", false),
        (&globs, "gpt-5.4", false),
        (&globs, "gpt-5.4-", true),
        (&globs, "gpt-5.4-pro", false),
        (&globs, "gpt-5.4-nano", false),
        (&globs, "gpt-5.4-nano-2", true),
        (&globs, "text-embedding-3", true),
        (&globs, "-embedding-pro", false),
        (&denied, "gpt-5.4", false),
        (&denied, "gpt-5", false),
        (&denied, "gpt-4.1", true),
        (&denied, "o3", false),
        (&denied, "o3-mini", true),
        (&other, "gpt-5.4", false),
    ];
    for (key, model, allowed) in cases {
        if allowed {
            let (_, upstream) = desk.passes(model, &chat(key, model)).await;
            assert_eq!(upstream.json().map(|body| body["model"].clone()), Some(json!(model)));
        } else {
            desk.refuses(model, &chat(key, model), &may_not(model, "openai")).await;
        }
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_body_is_read_for_its_model_whatever_way_it_comes() {
    let desk = Desk::shared("entitlements-body");
    let key = desk.issue(rules(&["openai:gpt-5.4-mini"], &[]));
    let want = may_not("gpt-5.4", "openai");
    let body = r#"{"messages":[],"mod\u0065l":"gpt-5\u002e4"}"#;
    let head = || Ask::new("POST", CHAT).bearer(&key.secret);
    desk.refuses("no content type", &head().body(body), &want).await;
    for content_type in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/vnd.openai+json",
        "text/plain;charset=UTF-8",
        "text/json",
        "application/x-www-form-urlencoded",
    ] {
        desk.refuses(content_type, &head().header("content-type", content_type).body(body), &want).await;
    }
    let json = || head().header("content-type", "application/json");
    let pieces: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    desk.refuses("chunked byte by byte", &json().chunks(&pieces), &want).await;
    let long = format!(r#"{{"user":"{}","model":"gpt-5.4"}}"#, "x".repeat(100_000));
    desk.refuses("behind 100 kB", &json().body(long.clone()), &want).await;
    let pieces: Vec<&[u8]> = long.as_bytes().chunks(8000).collect();
    desk.refuses("behind 100 kB, chunked", &json().chunks(&pieces), &want).await;
    let gzip = zstd::encode_all(body.as_bytes(), 3).expect("a body can be coded");
    desk.refuses("compressed", &json().header("content-encoding", "zstd").body(gzip), &want).await;
    let fallback = r#"{"model":"gpt-5.4-mini","models":["gpt-5.4-mini","gpt-5.4"]}"#;
    desk.refuses("a fallback model", &json().body(fallback), &want).await;
    let odd_path = Ask::new("POST", "/openai//v1/Chat/complet%69ons").bearer(&key.secret);
    desk.refuses("a path in disguise", &odd_path.header("content-type", "application/json").body(body), &want).await;
    desk.settle().await;
}

#[tokio::test]
async fn a_form_is_read_for_its_model_before_and_behind_the_file() {
    let desk = Desk::shared("entitlements-form");
    let key = desk.issue(rules(&["openai:whisper-1"], &[]));
    let want = may_not("gpt-4o-transcribe", "openai");
    let head = || {
        Ask::new("POST", "/openai/v1/audio/transcriptions")
            .bearer(&key.secret)
            .header("content-type", "multipart/form-data; boundary=b")
    };
    let model = |name: &str| format!("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{name}\r\n");
    let file = |size: usize| {
        let content = "a".repeat(size);
        format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n{content}\r\n")
    };
    for size in [10, 100_000, 300_000] {
        let before = format!("{}{}--b--\r\n", model("gpt-4o-transcribe"), file(size));
        let behind = format!("{}{}--b--\r\n", file(size), model("gpt-4o-transcribe"));
        for (what, body) in [("before", before), ("behind", behind)] {
            let pieces: Vec<&[u8]> = body.as_bytes().chunks(5000).collect();
            desk.refuses(&format!("{what} {size}"), &head().body(body.clone()), &want).await;
            desk.refuses(&format!("{what} {size}, chunked"), &head().chunks(&pieces), &want).await;
        }
    }
    let good = format!("{}{}--b--\r\n", file(100_000), model("whisper-1"));
    let (_, upstream) = desk.passes("allowed", &head().body(good.clone())).await;
    assert_eq!(upstream.body, good.as_bytes());
    let none = format!("{}--b--\r\n", file(10));
    let want = Want::forbidden("this call names no model");
    desk.refuses("no model", &head().body(none), &want).await;
    desk.settle().await;
}

#[tokio::test]
async fn paths_and_queries_are_read_for_their_model() {
    let desk = Desk::shared("entitlements-path");
    let key = desk.issue(rules(&["google:gemini-?.5-flash", "openai:gpt-realtime-mini", "mulerouter:wan*"], &[]));
    let google = |target: &str| {
        Ask::post(&format!("/google{target}"), &json!({"contents": []})).header("x-goog-api-key", &key.secret)
    };
    let cases = [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro"),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini-2.5-pro"),
        ("/v1/models/gemini-2.5-pro:countTokens", "gemini-2.5-pro"),
        ("/v1beta/models/gemini%2D2.5-pro:generateContent", "gemini-2.5-pro"),
        ("/V1beta/Models/gemini-2.5-pro:generatecontent", "gemini-2.5-pro"),
        ("/v1beta/models/gemini-2.5-pro%3AgenerateContent", "gemini-2.5-pro"),
        ("/v1beta/models/gemini-2.5-flash:x:generateContent", "gemini-2.5-flash:x"),
        ("/v1beta/tunedModels/mine:generateContent", "mine"),
    ];
    for (target, model) in cases {
        desk.refuses(target, &google(target), &may_not(model, "google")).await;
    }
    desk.passes("allowed", &google("/v1beta/models/gemini-2.5-flash:generateContent")).await;
    let by_query = format!("/google/v1beta/models/gemini-2.5-pro:generateContent?key={}", key.secret);
    desk.refuses("?key=", &Ask::post(&by_query, &json!({})), &may_not("gemini-2.5-pro", "google")).await;
    let media = Ask::post("/mulerouter/vendors/alibaba/v1/kling-v2/generation", &json!({})).bearer(&key.secret);
    desk.refuses("mulerouter", &media, &may_not("kling-v2", "mulerouter")).await;
    for query in ["model=gpt-realtime", "a=b&mod%65l=gpt%2Drealtime"] {
        let socket = Ask::get(&format!("/openai/v1/realtime?{query}"))
            .bearer(&key.secret)
            .line("connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        desk.refuses(query, &socket, &may_not("gpt-realtime", "openai")).await;
    }
    let none = Ask::get("/openai/v1/realtime").bearer(&key.secret);
    desk.refuses("no model", &none, &Want::forbidden("this call names no model")).await;
    desk.settle().await;
}

#[tokio::test]
async fn other_providers_models_are_checked_where_they_stand() {
    let desk = Desk::shared("entitlements-providers");
    let key = desk.issue(rules(&["anthropic:claude-sonnet-*", "alibaba:qwen-plus", "byteplus:seed-*"], &[]));
    let cases = [
        ("anthropic", "/v1/messages", "claude-opus-4-5", "claude-sonnet-4-5"),
        ("alibaba", "/compatible-mode/v1/chat/completions", "qwen-max", "qwen-plus"),
        ("alibaba", "/api/v1/services/aigc/text-generation/generation", "qwen-max", "qwen-plus"),
        ("byteplus", "/api/v3/chat/completions", "deepseek-v3", "seed-1-6"),
    ];
    for (provider, path, refused, allowed) in cases {
        let target = format!("/{provider}{path}");
        let ask = |model| Ask::chat(&target, model, PROMPT).bearer(&key.secret);
        desk.refuses(&target, &ask(refused), &may_not(refused, provider)).await;
        desk.passes(&target, &ask(allowed)).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn calls_that_name_no_model_need_a_rule_for_all_and_listings_need_any() {
    let desk = Desk::shared("entitlements-none");
    let one = desk.issue(rules(&["openai:gpt-5.4"], &[]));
    let all = desk.issue(rules(&["openai:*"], &[]));
    let but = desk.issue(rules(&["openai:*"], &["openai:gpt-5*"]));
    let barred = desk.issue(rules(&["openai:gpt-5.4"], &["openai:*"]));
    desk.gateway.simulator.name("any", Reply::json(200, "{}"));
    let no_model = Want::forbidden("this call names no model").says("all models of openai");
    let get = |target: &str, key: &Key| Ask::get(target).bearer(&key.secret).sim("reply=any");
    for key in [&one, &all, &but] {
        for target in
            ["/openai/v1/models", "/openai/v1/models/gpt-5.4", "/openai/v1/batches/b-1", "/openai/v1/files/f-1"]
        {
            desk.passes(target, &get(target, key)).await;
        }
    }
    let post = |target: &str, key: &Key| Ask::post(target, &json!({"a": PROMPT})).bearer(&key.secret).sim("reply=any");
    let calls =
        ["/openai/v1/files", "/openai/v1/batches", "/openai/v1/no/such/endpoint", "/openai/v1/chat/completions"];
    for target in calls {
        for key in [&one, &but, &barred] {
            desk.refuses(target, &post(target, key), &no_model).await;
        }
        desk.passes(target, &post(target, &all)).await;
    }
    for target in ["/openai/v1/files", "/openai/v1/batches", "/openai", "/openai/", "/openai/v1/fine_tuning/jobs"] {
        desk.refuses(target, &get(target, &one), &no_model).await;
        desk.passes(target, &get(target, &all)).await;
    }
    desk.refuses("a listing, all denied", &get("/openai/v1/models", &barred), &no_model).await;
    let other = Ask::get("/anthropic/v1/models").bearer(&all.secret);
    desk.refuses("another provider", &other, &Want::forbidden("all models of anthropic")).await;
    desk.settle().await;
}

#[tokio::test]
async fn a_refusal_shows_a_model_safely() {
    let desk = Desk::shared("entitlements-message");
    let key = desk.issue(rules(&["openai:gpt-5.4"], &[]));
    let long = "m".repeat(256);
    desk.refuses("long", &chat(&key, &long), &Want::forbidden(&format!("{:?}", "m".repeat(64)))).await;
    desk.refuses("quotes", &chat(&key, r#"a"b\c"#), &Want::forbidden(r#""a\"b\\c""#)).await;
    desk.refuses("another alphabet", &chat(&key, "модель"), &Want::forbidden("\"модель\"")).await;
    let answer = desk.refuses("a key", &chat(&key, &desk.key.secret), &Want::forbidden("may not use the model")).await;
    assert!(!answer.text().contains("gw_live_"), "{}", answer.text());
    let stats = desk.gateway.stats("group_by=model", &desk.key.secret, |stats| stats["totals"]["requests"] == 4).await;
    let models: Vec<&str> =
        stats["rows"].as_array().into_iter().flatten().filter_map(|row| row["model"].as_str()).collect();
    assert!(models.contains(&"[redacted]") && models.contains(&"модель"), "{models:?}");
    desk.settle().await;
}
