//! `GET /gw/usage` and `GET /gw/usage/{request_id}`: the contract's shape, pages, other organizations, bad questions.

use crate::support::{
    gateway::{Gateway, Grant},
    http::{Answer, Ask},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CHAT: &str = "/openai/v1/chat/completions";

async fn get(gateway: &Gateway, target: &str, key: &str) -> Answer {
    gateway.client().send(&Ask::get(target).bearer(key)).await
}

/// Sends a chat and gives its request id.
async fn chat(gateway: &Gateway, ask: Ask) -> String {
    let answer = gateway.client().send(&ask).await;
    answer.header("x-gateway-request-id").unwrap().to_owned()
}

fn ids(records: &[Value]) -> Vec<String> {
    records.iter().map(|record| record["request_id"].as_str().unwrap().to_owned()).collect()
}

/// The names of all members, with those of objects inside that the contract names.
fn members(record: &Value) -> BTreeSet<String> {
    let names = |value: &Value, before: &str| -> Vec<String> {
        value.as_object().unwrap().keys().map(|name| format!("{before}{name}")).collect()
    };
    let inside = ["tokens", "units"].iter().flat_map(|name| names(&record[name], &format!("{name}.")));
    names(record, "").into_iter().chain(inside).collect()
}

#[tokio::test]
async fn a_record_has_exactly_the_contracts_members() {
    let gateway = Gateway::shared();
    let key = gateway.issue(&Grant::all("record-shape"));
    let ask = Ask::chat(CHAT, "gpt-5.4", "one two three").bearer(&key.secret).header("x-attr-team", "blue");
    let id = chat(&gateway, ask.sim("cached=2; reasoning=1; served=gpt-5.4-2026-03-05")).await;
    let record = gateway.usage(1, &key.secret).await.remove(0);
    assert_eq!(get(&gateway, &format!("/gw/usage/{id}"), &key.secret).await.expect(200).json(), record);
    assert_eq!(
        get(&gateway, &format!("/gw/usage/{}", id.to_lowercase()), &key.secret).await.expect(200).json(),
        record
    );
    let expected = "request_id time key_id key_prefix environment provider endpoint method model_requested model_served \
        status error_type streamed latency_ms ttft_ms bytes_in bytes_out tokens tokens.input tokens.cached_input \
        tokens.cache_write_5m tokens.cache_write_1h tokens.output tokens.reasoning tokens.audio_input \
        tokens.audio_output tokens.image_input tokens.image_output units units.images units.seconds units.characters \
        units.searches units.requests cost_usd cost_breakdown price_version usage_source provider_request_id tags \
        adjustments";
    assert_eq!(members(&record), expected.split_whitespace().map(str::to_owned).collect());
    for (name, value) in [
        ("request_id", json!(id)),
        ("key_id", json!(key.id)),
        ("key_prefix", json!(key.secret.split_at(16).0)),
        ("environment", json!("live")),
        ("provider", json!("openai")),
        ("endpoint", json!("chat.completions")),
        ("method", json!("POST")),
        ("model_requested", json!("gpt-5.4")),
        ("model_served", json!("gpt-5.4-2026-03-05")),
        ("status", json!(200)),
        ("error_type", json!("")),
        ("streamed", json!(false)),
        ("usage_source", json!("provider")),
        ("tags", json!({"team": "blue"})),
        ("adjustments", json!([])),
    ] {
        assert_eq!(record[name], value, "{name}");
    }
    assert_eq!((&record["tokens"]["input"], &record["tokens"]["cached_input"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn pages_go_back_in_time_and_filters_choose() {
    let gateway = Gateway::shared();
    let key = gateway.issue(&Grant::all("record-pages")).secret;
    let mut sent = Vec::new();
    for number in 0..5 {
        let team = if number % 2 == 0 { "even" } else { "odd" };
        sent.push(chat(&gateway, Ask::chat(CHAT, "gpt-5.4", "hi").bearer(&key).header("x-attr-team", team)).await);
    }
    sent.reverse();
    assert_eq!(ids(&gateway.usage(5, &key).await), sent);
    let (mut seen, mut target) = (Vec::new(), "/gw/usage?limit=2&since=1h".to_owned());
    loop {
        let page = get(&gateway, &target, &key).await.expect(200).json();
        seen.push(ids(page["records"].as_array().unwrap()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        target = format!("/gw/usage?since=1h&limit=2&cursor={cursor}");
    }
    assert_eq!(seen, sent.chunks(2).map(<[String]>::to_vec).collect::<Vec<_>>());
    for (query, count) in
        [("team=even", 3), ("team=o*", 2), ("model=gpt-5.4&status=200", 5), ("provider=google", 0), ("until=1h", 0)]
    {
        let page = get(&gateway, &format!("/gw/usage?{query}"), &key).await.expect(200).json();
        assert_eq!((page["records"].as_array().unwrap().len(), &page["next_cursor"]), (count, &Value::Null), "{query}");
    }
}

#[tokio::test]
async fn what_is_not_ours_does_not_exist_and_bad_questions_name_their_fault() {
    let gateway = Gateway::shared();
    let ours = gateway.issue(&Grant::all("record-ours")).secret;
    let theirs = gateway.issue(&Grant::all("record-theirs")).secret;
    for _ in 0..2 {
        chat(&gateway, Ask::chat(CHAT, "gpt-5.4", "hi").bearer(&theirs)).await;
    }
    let records = gateway.usage(2, &theirs).await;
    let page = get(&gateway, "/gw/usage?limit=1", &theirs).await.expect(200).json();
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let forged = cursor.replace('0', "1");
    let their_id = ids(&records).remove(0);
    let empty = get(&gateway, "/gw/usage", &ours).await.expect(200).json();
    assert_eq!(empty, json!({"records": [], "next_cursor": null}));
    for (target, status, says) in [
        (format!("/gw/usage/{their_id}"), 404, "no usage record"),
        ("/gw/usage/01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(), 404, "no usage record"),
        ("/gw/usage/nothing".to_owned(), 404, "no usage record"),
        ("/gw/usage/%ff".to_owned(), 400, "UTF-8"),
        (format!("/gw/usage?limit=1&cursor={cursor}"), 400, "`cursor`"),
        (format!("/gw/usage?limit=1&cursor={forged}"), 400, "`cursor`"),
        ("/gw/usage?cursor=zz".to_owned(), 400, "`cursor`"),
        ("/gw/usage?limit=1001".to_owned(), 400, "`limit`"),
        ("/gw/usage?limit=0".to_owned(), 400, "`limit`"),
        ("/gw/usage?since=tomorrow".to_owned(), 400, "`since`"),
        ("/gw/usage?Team=x".to_owned(), 400, "`Team`"),
    ] {
        let answer = get(&gateway, &target, &ours).await;
        assert_eq!(answer.status(), status, "{target}: {}", answer.text());
        let error = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(error.contains(says), "{target}: {error}");
        assert!(!answer.text().contains(&their_id) || target.contains(&their_id), "{target}");
    }
    // its own organization goes on with it
    let next = get(&gateway, &format!("/gw/usage?limit=1&cursor={cursor}"), &theirs).await.expect(200).json();
    assert_eq!(ids(next["records"].as_array().unwrap()), ids(&records)[1..]);
    let blind = Grant { scopes: vec!["inference:use".to_owned()], ..Grant::all("record-ours") };
    let blind = gateway.issue(&blind).secret;
    for target in ["/gw/usage", "/gw/usage/01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
        get(&gateway, target, &blind).await.expect(403);
        gateway.client().send(&Ask::get(target)).await.expect(401);
        gateway.client().send(&Ask::new("POST", target).bearer(&ours).body("")).await.expect(405);
    }
}
