//! What a key may get: everything within the ceiling, nothing beyond it, and no half of it.

use crate::{
    office::{Office, allow, deny, refused},
    support::{
        gateway::{Gateway, Options},
        http::Ask,
    },
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn a_key_within_the_ceiling_is_issued_works_and_is_listed_without_its_text() {
    let office = Office::open(Gateway::start(Options::default()), "within");
    let everything = json!({
        "max_scopes": ["inference:use", "prompt:use", "stats:read", "keys:manage"],
        "entitlements": [allow("*", "*")],
    });
    assert_eq!(office.get("/gw/ceiling", &office.manager).await.expect(200).json(), everything, "without one: all");
    office.set_ceiling(&["--scope", "stats:read,inference:use", "--allow", "openai:gpt-*", "--deny", "*:gpt-5.4"]);
    let set = json!({
        "max_scopes": ["inference:use", "stats:read"],
        "entitlements": [allow("openai", "gpt-*"), deny("*", "gpt-5.4")],
    });
    assert_eq!(office.get("/gw/ceiling", &office.manager).await.expect(200).json(), set);

    let order = json!({
        "scopes": ["inference:use"],
        "entitlements": [allow("openai", "gpt-5*"), deny("openai", "gpt-5-pro")],
        "name": "child",
        "limits": {"requests_per_second": 5, "tokens_per_minute": 1000},
        "expires_at": "2099-01-01T00:00:00Z",
        "environment": "test",
    });
    let (key, issued) = office.issue(&order).await;
    assert!(key.secret.starts_with("gw_test_"), "{issued}");
    let rules = json!([allow("openai", "gpt-5*"), deny("openai", "gpt-5-pro"), deny("*", "gpt-5.4")]);
    assert_eq!((&issued["entitlements"], &issued["scopes"]), (&rules, &json!(["inference:use"])));
    let me = office.get("/gw/me", &key).await.expect(200).json();
    assert_eq!((&me["entitlements"], &me["limits"], &me["environment"]), (&rules, &order["limits"], &json!("test")));
    let chat = |model: &str| Ask::chat("/openai/v1/chat/completions", model, "a").bearer(&key.secret);
    office.gateway.client().send(&chat("gpt-5.4-mini")).await.expect(200);
    for model in ["gpt-5.4", "gpt-5-pro", "gpt-4o"] {
        office.gateway.client().send(&chat(model)).await.expect(403);
    }

    let keys = office.keys().await;
    let listed = keys.iter().find(|listed| listed["id"] == *key.id).expect("it is listed");
    for (name, expected) in [
        ("name", json!("child")),
        ("status", json!("active")),
        ("expires_at", json!("2099-01-01T00:00:00.000Z")),
        ("last_used_at", Value::Null),
        ("limits", order["limits"].clone()),
    ] {
        assert_eq!(listed[name], expected, "{name}");
    }
    let text = json!(keys).to_string();
    assert!(!text.contains(&key.secret) && !text.contains("hash"), "{text}");
}

#[tokio::test]
async fn what_is_beyond_the_ceiling_or_no_order_is_refused_and_no_key_is_made() {
    let office = Office::open(Gateway::start(Options::default()), "beyond");
    office.set_ceiling(&["--scope", "inference:use,keys:manage", "--allow", "openai:gpt-*", "--allow", "*:*-embed"]);
    let before = office.keys().await.len();
    let scopes = json!(["inference:use"]);
    let rules = |rules: Value| json!({"scopes": scopes, "entitlements": rules});
    let with = |name: &str, value: Value| {
        let mut order = rules(json!([]));
        order[name] = value;
        order
    };
    let beyond = [
        (json!({"scopes": ["stats:read"], "entitlements": []}), "the scope stats:read is beyond"),
        (rules(json!([allow("openai", "*")])), "allowing \"*\" of \"openai\" is beyond"),
        (rules(json!([allow("openai", "gpt-4o"), allow("openai", "o3")])), "\"o3\""),
        (rules(json!([allow("*", "gpt-*")])), "\"gpt-*\" of \"*\""),
        (rules(json!([allow("anthropic", "gpt-4o")])), "\"anthropic\""),
        (rules(json!([allow("openai", "gp?-*")])), "\"gp?-*\""),
    ];
    for (order, says) in beyond {
        refused(&order.to_string(), &office.post(&order).await, 403, says);
    }
    let bad = [
        (json!([]), "no order for a key"),
        (json!({"entitlements": []}), "scopes"),
        (json!({"scopes": scopes}), "entitlements"),
        (json!({"scopes": [], "entitlements": []}), "scopes"),
        (json!({"scopes": ["admin"], "entitlements": []}), "admin"),
        (with("colour", json!("red")), "colour"),
        (with("name", json!("")), "name"),
        (with("name", json!(7)), "no order for a key"),
        (with("limits", json!({"requests_per_second": 0})), "requests_per_second"),
        (with("limits", json!({"requests_per_hour": 1})), "requests_per_hour"),
        (with("expires_at", json!("tomorrow")), "expires_at"),
        (with("expires_at", json!("2001-01-01T00:00:00Z")), "expires_at"),
        (with("environment", json!("prod")), "prod"),
        (rules(json!([{"provider": "open*", "model_pattern": "x", "effect": "allow"}])), "entitlements"),
        (rules(json!([{"provider": "openai", "model_pattern": "x", "effect": "permit"}])), "permit"),
        (rules(json!([{"provider": "openai", "model_pattern": "x"}])), "effect"),
    ];
    for (order, says) in bad {
        refused(&order.to_string(), &office.post(&order).await, 400, says);
    }
    let raw = Ask::new("POST", "/gw/keys").bearer(&office.manager.secret).body("{\"scopes\":");
    refused("half a document", &office.gateway.client().send(&raw).await, 400, "no order for a key");
    assert_eq!(office.keys().await.len(), before, "no key was made");
}

#[tokio::test]
async fn a_changed_ceiling_concerns_new_keys_alone() {
    let office = Office::open(Gateway::start(Options::default()), "changed");
    let order = json!({"scopes": ["inference:use"], "entitlements": [allow("*", "*")]});
    let (key, _) = office.issue(&order).await;
    office.set_ceiling(&["--scope", "stats:read"]);
    refused("a new one", &office.post(&order).await, 403, "inference:use");
    let chat = Ask::chat("/openai/v1/chat/completions", "gpt-5.4", "a").bearer(&key.secret);
    office.gateway.client().send(&chat).await.expect(200);
}

#[tokio::test]
async fn many_keys_issued_at_once_are_all_there_page_by_page() {
    let office = Office::open(Gateway::start(Options::default()), "many");
    let order = json!({"scopes": ["stats:read"], "entitlements": []});
    let issued = join_all((0..40).map(|_| office.issue(&order))).await;
    let expected: BTreeSet<String> =
        issued.into_iter().map(|(key, _)| key.id).chain([office.manager.id.clone()]).collect();
    assert_eq!(expected.len(), 41);
    let (mut found, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = office.get(&format!("/gw/keys?limit=7&after={after}"), &office.manager).await.expect(200).json();
        let ids: Vec<String> =
            page.as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect();
        assert!(ids.len() <= 7);
        let Some(last) = ids.last() else { break };
        after.clone_from(last);
        found.extend(ids);
    }
    assert_eq!(found, expected);
    for (query, says) in [
        ("limit=0", "parameter `limit`"),
        ("limit=1001", "parameter `limit`"),
        ("limit=ten", "parameter `limit`"),
        ("limit=1&limit=2", "parameter `limit`"),
        ("of=other", "parameter `of`"),
    ] {
        let answer = office.get(&format!("/gw/keys?{query}"), &office.manager).await;
        refused(query, &answer, 400, says);
    }
}
