//! Who may do what: the scope, and nothing across organizations.

use crate::{
    office::{Office, allow, refused},
    support::{
        gateway::{Gateway, Grant, Options},
        http::Ask,
    },
};
use serde_json::json;

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_stays_in_the_list() {
    let office = Office::open(Gateway::start(Options::default()), "revoked");
    let (key, _) = office.issue(&json!({"scopes": ["inference:use"], "entitlements": [allow("openai", "*")]})).await;
    let chat = Ask::chat("/openai/v1/chat/completions", "gpt-5.4", "a").bearer(&key.secret);
    office.gateway.client().send(&chat).await.expect(200);
    for _ in 0..2 {
        let answer = office.delete(&key.id, &office.manager).await.expect(204);
        assert!(answer.body.is_empty(), "{}", answer.text());
        refused("revoked", &office.gateway.client().send(&chat).await, 401, "revoked");
    }
    let keys = office.keys().await;
    let listed = keys.iter().find(|listed| listed["id"] == *key.id).expect("it is listed");
    assert_eq!(listed["status"], "revoked");
}

#[tokio::test]
async fn nothing_reaches_another_organization_and_nothing_goes_without_the_scope() {
    let office = Office::open(Gateway::start(Options::default()), "mine");
    let theirs = office.gateway.issue(&Grant::all("theirs"));
    let mut without = Grant::all("mine");
    without.scopes.retain(|scope| scope != "keys:manage");
    let without = office.gateway.issue(&without);
    for id in [theirs.id.as_str(), "key_none", "%20", "key_01/x", &"x".repeat(500)] {
        let answer = office.delete(id, &office.manager).await;
        assert_eq!(answer.status(), 404, "{id}: {}", answer.text());
    }
    let me = Ask::get("/gw/me").bearer(&theirs.secret);
    office.gateway.client().send(&me).await.expect(200);
    let shown = json!(office.keys().await).to_string();
    assert!(!shown.contains(&theirs.id) && !shown.contains("theirs"), "{shown}");
    let after = office.get(&format!("/gw/keys?after={}", "key_"), &office.manager).await.expect(200).text();
    assert!(!after.contains(&theirs.id), "{after}");

    let order = json!({"scopes": ["stats:read"], "entitlements": []});
    let asks = [
        Ask::get("/gw/ceiling"),
        Ask::get("/gw/keys"),
        Ask::post("/gw/keys", &order),
        Ask::new("DELETE", &format!("/gw/keys/{}", office.manager.id)),
    ];
    for ask in asks {
        let answer = office.gateway.client().send(&ask.clone().bearer(&without.secret)).await;
        refused(ask.method(), &answer, 403, "lacks the scope keys:manage");
        let answer = office.gateway.client().send(&ask).await;
        refused(ask.method(), &answer, 401, "send a gateway key");
    }
    for (method, target) in [("PUT", "/gw/keys"), ("GET", "/gw/keys/x"), ("POST", "/gw/ceiling")] {
        let answer = office.gateway.client().send(&Ask::new(method, target).bearer(&office.manager.secret)).await;
        assert_eq!(answer.status(), 405, "{method} {target}");
    }
    assert_eq!(office.keys().await.len(), 2, "nothing was made and nothing went away");
}
