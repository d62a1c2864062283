//! 401: a key that is missing, unknown, malformed, revoked, expired, or not where this provider takes it.

use crate::{
    desk::{CHAT, Desk, Want},
    support::{
        gateway::{Gateway, Key, Options},
        http::Ask,
        wait::wait_until,
    },
};
use serde_json::json;
use sociaro_gateway::base::clock;
use std::sync::Arc;

/// A gateway that asks its store again after a second, and holds no flood of unknown keys off.
fn desk(organization: &str) -> Desk {
    let options =
        Options::default().set("/auth/cache_age_max_seconds", json!(1)).set("/auth/unknown_per_second_max", json!(0));
    Desk::at(Arc::new(Gateway::start(options)), organization)
}

fn unknown() -> String {
    format!("gw_live_{}", "0123456789abcdef".repeat(3))
}

/// What each provider's callers ask, without a key.
fn asks() -> [(&'static str, Ask, &'static str); 6] {
    let chat = |target| Ask::chat(target, "m", crate::desk::PROMPT);
    let gemini = Ask::post("/google/v1beta/models/gemini-2.5-pro:generateContent", &json!({"contents": []}));
    let bearer = "`Authorization: Bearer <key>`";
    [
        ("openai", chat(CHAT), bearer),
        ("anthropic", chat("/anthropic/v1/messages"), "`x-api-key: <key>` or `Authorization: Bearer <key>`"),
        ("google", gemini, "`x-goog-api-key: <key>` or `?key=<key>` or `Authorization: Bearer <key>`"),
        ("alibaba", chat("/alibaba/compatible-mode/v1/chat/completions"), bearer),
        ("byteplus", chat("/byteplus/api/v3/chat/completions"), bearer),
        ("mulerouter", chat("/mulerouter/vendors/openai/v1/chat/completions"), bearer),
    ]
}

#[tokio::test]
async fn each_provider_says_where_it_takes_a_key_that_is_missing_or_misplaced() {
    let desk = desk("keys-places");
    let key = &desk.key.secret;
    for (provider, ask, places) in asks() {
        let want = Want::unauthorized("there is no gateway key").says(places);
        desk.refuses(&format!("{provider}, none"), &ask, &want).await;
        let want = Want::unauthorized("the gateway key is in the wrong place").says(places);
        for name in ["x-auth-token", "api-key", "cookie", "proxy-authorization", "x-anything"] {
            desk.refuses(&format!("{provider}, {name}"), &ask.clone().header(name, key), &want).await;
        }
        let basic = ask.clone().header("authorization", &format!("Basic {key}"));
        desk.refuses(&format!("{provider}, basic"), &basic, &want).await;
        for name in ["x-api-key", "x-goog-api-key"] {
            if !places.contains(name) {
                desk.refuses(&format!("{provider}, {name}"), &ask.clone().header(name, key), &want).await;
            }
        }
    }
    let query = Ask::chat(&format!("{CHAT}?key={key}"), "gpt-5.4-mini", "a");
    desk.refuses("in the query", &query, &Want::unauthorized("in the wrong place")).await;
    desk.settle().await;
}

#[tokio::test]
async fn what_is_not_exactly_one_key_is_refused() {
    let desk = desk("keys-malformed");
    let key = desk.key.secret.clone();
    let (none, no_key) = ("there is no gateway key", "this is no gateway key");
    let several = "there is not exactly one gateway key";
    let digits = key.trim_start_matches("gw_live_");
    let cases = [
        ("Bearer", none),
        ("Bearer ", none),
        ("", none),
        ("Bearer sk-proj-abcdef", no_key),
        (&format!("Bearer {digits}"), no_key),
        (&format!("Bearer {key}0"), no_key),
        (&format!("Bearer {}", key.to_ascii_uppercase()), no_key),
        (&format!("Bearer gw_live_{}", digits.to_ascii_uppercase()), no_key),
        (&format!("Bearer gw_prod_{digits}"), no_key),
        (&format!("Bearer gw_live_{}", digits.strip_prefix(|_: char| true).unwrap_or_default()), no_key),
        (&format!("Bearer {key} {key}"), several),
        (&format!("Bearer {key},{key}"), several),
        (&format!("Bearer \"{key}\""), no_key),
        (&format!("Bearer Bearer {key}"), several),
        (&format!("Basic {}", "Z3c6"), none),
        (&format!("Bearer {}", unknown()), "this gateway key is not known"),
        (&format!("Bearer gw_test_{digits}"), "this gateway key is not known"),
        (&format!("Bearer sk-gw_live_{digits}"), "this gateway key is not known"),
    ];
    let ask = Ask::chat(CHAT, "gpt-5.4-mini", crate::desk::PROMPT);
    for (value, says) in cases {
        desk.refuses(value, &ask.clone().header("authorization", value), &Want::unauthorized(says)).await;
    }
    let twice = ask.clone().bearer(&key).bearer(&key);
    desk.refuses("two lines", &twice, &Want::unauthorized(several)).await;
    for value in [format!("bearer {key}"), format!("BEARER   {key}  ")] {
        desk.passes(&value, &ask.clone().header("authorization", &value)).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn of_two_slots_the_first_that_holds_something_counts() {
    let desk = desk("keys-two-slots");
    let ask = Ask::chat("/anthropic/v1/messages", "claude-sonnet-4-5", "a");
    let no_key = Want::unauthorized("this is no gateway key");
    let strangers = ask.clone().header("x-api-key", "sk-ant-own").bearer(&desk.key.secret);
    desk.refuses("a credential in the first", &strangers, &no_key).await;
    let unknown = ask.clone().header("x-api-key", &unknown()).bearer(&desk.key.secret);
    desk.refuses("an unknown key in the first", &unknown, &Want::unauthorized("not known")).await;
    let (_, upstream) = desk.passes("empty first", &ask.clone().header("x-api-key", "").bearer(&desk.key.secret)).await;
    let credential = desk.gateway.credential("anthropic");
    assert_eq!(upstream.head.values("x-api-key").collect::<Vec<_>>(), [credential]);
    let both = ask.header("x-api-key", &desk.key.secret).bearer(&desk.issue(|_| ()).secret);
    let (_, upstream) = desk.passes("two keys", &both).await;
    assert_eq!(upstream.header("authorization"), None);
    desk.settle().await;
}

/// Waits until a key that worked does not any more.
async fn until_refused(desk: &Desk, key: &Key, says: &str) {
    let look = async || {
        let answer = desk.gateway.client().send(&Ask::get("/gw/me").bearer(&key.secret)).await;
        if answer.status() == 401 && answer.text().contains(says) { Ok(()) } else { Err(answer.text()) }
    };
    wait_until(says, look).await;
}

/// The organization's usage shows who still uses such a key.
async fn refused_everywhere(desk: &Desk, key: &Key, says: &str) {
    let want = Want::new(401, "unauthorized", says);
    for (provider, ask, _) in asks() {
        let ask = match provider {
            "anthropic" => ask.header("x-api-key", &key.secret),
            "google" => ask.header("x-goog-api-key", &key.secret),
            _ => ask.bearer(&key.secret),
        };
        desk.refuses(provider, &ask, &want).await;
    }
    let query = format!("/google/v1beta/models/gemini-2.5-pro:generateContent?key={}", key.secret);
    desk.refuses("?key=", &Ask::post(&query, &json!({})), &want).await;
    for target in ["/gw/me", "/gw/stats"] {
        desk.refuses(target, &Ask::get(target).bearer(&key.secret), &want.clone().unrecorded()).await;
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_the_age_of_the_cache() {
    let desk = desk("keys-revoked");
    let key = desk.issue(|_| ());
    desk.passes("before", &Ask::chat(CHAT, "gpt-5.4-mini", "a").bearer(&key.secret)).await;
    let config = desk.gateway.config().display().to_string();
    let revoked = desk.gateway.run(&["key", "revoke", &key.id, "--json", "--config", &config].map(str::to_owned));
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    until_refused(&desk, &key, "this gateway key is revoked").await;
    refused_everywhere(&desk, &key, "this gateway key is revoked").await;
    // Never seen before it was revoked.
    let fresh = desk.issue(|_| ());
    let revoked = desk.gateway.run(&["key", "revoke", &fresh.id, "--config", &config].map(str::to_owned));
    assert!(revoked.status.success());
    refused_everywhere(&desk, &fresh, "this gateway key is revoked").await;
    desk.settle().await;
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let desk = desk("keys-expired");
    let end = clock::now().plus_millis(3_000).to_rfc3339();
    let key = desk.issue(|grant| grant.arguments = vec!["--expires".to_owned(), end]);
    until_refused(&desk, &key, "this gateway key is expired").await;
    refused_everywhere(&desk, &key, "this gateway key is expired").await;
    desk.settle().await;
}

#[tokio::test]
async fn the_gateways_own_endpoints_take_a_bearer_key_alone() {
    let desk = desk("keys-own");
    let key = desk.key.secret.clone();
    let want = Want::unauthorized("send a gateway key as Authorization: Bearer");
    for target in ["/gw/me", "/gw/stats"] {
        let get = Ask::get(target);
        let asks = [
            ("none", get.clone()),
            ("x-api-key", get.clone().header("x-api-key", &key)),
            ("basic", get.clone().header("authorization", &format!("Basic {key}"))),
            ("bare", get.clone().header("authorization", &key)),
            ("empty", get.clone().header("authorization", "Bearer ")),
            ("two lines", get.clone().bearer(&key).bearer(&key)),
            ("malformed", get.clone().bearer("gw_live_1234")),
            ("in the query", Ask::get(&format!("{target}?key={key}"))),
        ];
        for (what, ask) in asks {
            desk.refuses(&format!("{target}, {what}"), &ask, &want).await;
        }
        let ask = get.bearer(&unknown());
        desk.refuses(target, &ask, &Want::unauthorized("this gateway key is not known")).await;
    }
    desk.settle().await;
}
