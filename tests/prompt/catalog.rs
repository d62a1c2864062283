//! `GET /models`: the catalog as a key may use it.

use crate::{
    desk::{Desk, MODEL},
    support::{gateway::Key, http::Ask},
};
use serde_json::{Value, json};

async fn listing(desk: &Desk, target: &str, key: &Key) -> Value {
    desk.send(&Ask::get(target).bearer(&key.secret)).await.expect(200).json()
}

fn ids(listing: &Value) -> Vec<&str> {
    listing["data"].as_array().into_iter().flatten().filter_map(|model| model["id"].as_str()).collect()
}

#[tokio::test]
async fn the_catalog_lists_what_can_be_asked_in_its_order() {
    let desk = Desk::shared("catalog-all");
    let expected = [
        MODEL,
        "anthropic/claude-haiku-5-5",
        "google/gemini-3.8-flash",
        "alibaba/qwen3-max",
        "byteplus/seed-2-0-pro",
        "mulerouter/qwen3-max",
        "down/gpt-5.4",
        "pair/openai",
        "pair/anthropic",
        "pair/down",
        "pair/both-down",
    ];
    for target in ["/models", "/v1/models", "/models?x=1"] {
        let found = listing(&desk, target, &desk.key).await;
        assert_eq!(ids(&found), expected, "{target}");
        assert_eq!(found["object"], "list");
        let first =
            json!({"id": MODEL, "object": "model", "owned_by": "openai", "max_output_tokens": 4096, "fallback": null});
        assert_eq!(found["data"][0], first);
        assert_eq!(found["data"][7]["fallback"], "pair/anthropic");
    }
    let head = desk.send(&Ask::new("HEAD", "/models").bearer(&desk.key.secret)).await;
    assert_eq!((head.status(), head.body.len()), (200, 0));
    let row = desk.row(&head).await;
    assert_eq!(
        (row["endpoint"].as_str(), row["method"].as_str(), row["error_type"].as_str()),
        (Some("models"), Some("HEAD"), Some(""))
    );
}

#[tokio::test]
async fn what_a_key_may_not_use_is_not_listed_and_not_answered() {
    let desk = Desk::shared("catalog-entitled");
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let cases: [(&[&str], &[&str], &[&str]); 5] = [
        (&["openai:*"], &[], &[MODEL, "pair/openai"]),
        (
            &["*:*"],
            &["down:*", "openai:gpt-5.4", "alibaba:*", "byteplus:*", "mulerouter:*"],
            &[MODEL, "anthropic/claude-haiku-5-5", "google/gemini-3.8-flash", "pair/anthropic"],
        ),
        (&["*:claude-*"], &[], &["anthropic/claude-haiku-5-5", "pair/anthropic"]),
        (&["openai:gpt-4o"], &[], &[]),
        (&[], &[], &[]),
    ];
    for (allow, deny, expected) in cases {
        let key = desk.issue(|grant| (grant.allow, grant.deny) = (texts(allow), texts(deny)));
        let found = listing(&desk, "/models", &key).await;
        assert_eq!(ids(&found), expected, "{allow:?} {deny:?}");
        // A fallback that may not be used is none.
        let fallbacks: Vec<&Value> =
            found["data"].as_array().into_iter().flatten().map(|model| &model["fallback"]).collect();
        assert!(
            fallbacks
                .iter()
                .all(|fallback| fallback.is_null() || expected.contains(&fallback.as_str().unwrap_or_default())),
            "{found}"
        );
        for model in [MODEL, "anthropic/claude-haiku-5-5", "pair/anthropic", "google/gemini-3.8-flash"] {
            let ask = Ask::post("/", &json!({"prompt": "catalog", "model": model})).bearer(&key.secret);
            let status = desk.send(&ask).await.status();
            assert_eq!(status, if expected.contains(&model) { 200 } else { 403 }, "{allow:?} {deny:?} {model}");
        }
    }
}

#[tokio::test]
async fn the_listing_takes_a_key_with_the_scope() {
    let desk = Desk::shared("catalog-keys");
    for target in ["/models", "/v1/models"] {
        desk.refuses("no key", &Ask::get(target), 401, "unauthorized").await;
        let key = desk.issue(|grant| grant.scopes = vec!["inference:use".to_owned(), "stats:read".to_owned()]);
        desk.refuses("no scope", &Ask::get(target).bearer(&key.secret), 403, "forbidden").await;
        let answer = desk.send(&Ask::get(target).header("x-api-key", &desk.key.secret)).await.expect(200);
        let row = desk.row(&answer).await;
        let told = ["endpoint", "provider", "error_type"].map(|name| row[name].as_str().unwrap_or_default());
        assert_eq!(told, ["models", "", ""]);
    }
}
