//! Which requests count against which budget, and what is set aside for them.

use crate::{
    support::{
        gateway::{Gateway, Grant},
        http::Ask,
    },
    treasury::{CHAT, MODEL, budget, key, known, options, quiet, refused, set_budget, stream, usd},
};
use serde_json::{Value, json};
use std::io::Write as _;

#[tokio::test]
async fn each_subject_has_its_own_budget_and_the_one_without_room_is_named() {
    let gateway = Gateway::start(options());
    let one = key(&gateway, "subjects", &["--budget", "0.03/total", "--name", "one"]);
    let other = key(&gateway, "subjects", &[]);
    set_budget(&gateway, "subjects", &["--limit", "0.05"]);
    set_budget(&gateway, "subjects", &["--tag", "project=atlas", "--limit", "0.01", "--window", "day"]);
    let all = |value: &Value| value["budgets"].as_array().map_or(0, Vec::len) == 3;
    gateway.wait_for_json("/gw/budget", &one.secret, all).await;
    let client = gateway.client();
    let (ask, elsewhere) = (stream(&one, 10).sim("words=10"), stream(&other, 10).sim("words=10"));
    client.send(&ask.clone().header("x-project", "atlas")).await.expect(200);
    quiet(&gateway).await;
    let tagged = ask.clone().header("x-project", "atlas");
    refused(&client.send(&tagged).await, "today's budget of the tag project=atlas has no room");
    refused(&client.send(&tagged).await, "it begins anew at");
    client.send(&ask.clone().header("x-project", "other")).await.expect(200);
    client.send(&ask).await.expect(200);
    quiet(&gateway).await;
    refused(&client.send(&ask).await, "the budget of this key has no room");
    client.send(&elsewhere).await.expect(200);
    client.send(&elsewhere).await.expect(200);
    quiet(&gateway).await;
    refused(&client.send(&elsewhere).await, "this month's budget of the organization has no room");
    let shown = gateway.wait_for_json("/gw/budget", &other.secret, all).await;
    let mut spent: Vec<(String, String)> = shown["budgets"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|budget| (budget["subject"]["type"].to_string(), budget["spent"].to_string()))
        .collect();
    spent.sort();
    let expected = [("key", "0.03"), ("organization", "0.05"), ("tag", "0.01")];
    let quoted = expected.map(|(subject, spent)| (format!("\"{subject}\""), format!("\"{spent}\"")));
    assert_eq!(spent, quoted);
}

#[tokio::test]
async fn test_keys_and_calls_that_cost_nothing_pass_a_spent_budget() {
    let gateway = Gateway::start(options());
    let live = key(&gateway, "free", &[]);
    let test = key(&gateway, "free", &["--environment", "test"]);
    set_budget(&gateway, "free", &["--limit", "0"]);
    known(&gateway, &live, "0").await;
    let client = gateway.client();
    refused(&client.send(&stream(&live, 1)).await, "has no room for this request, which may cost up to 0.001 USD");
    let unpriced = Ask::chat(CHAT, "gpt-unheard-of", "a").bearer(&live.secret);
    refused(&client.send(&unpriced).await, "this month's budget of the organization is spent");
    client.send(&Ask::get("/openai/v1/models").bearer(&live.secret)).await.expect(200);
    client.send(&stream(&test, 10).sim("words=10")).await.expect(200);
    quiet(&gateway).await;
    assert_eq!(budget(&gateway, &live, |_| true).await["spent"], "0");
}

const GEMINI: &str = "/google/v1beta/models/gemini-3-flash:generateContent";

/// A request, and the dollars that must be set aside for it.
fn held() -> Vec<(&'static str, Ask, String)> {
    let messages = json!([{"role": "user", "content": "a"}]);
    let chat = |more: Value| {
        let mut body = json!({"model": MODEL, "messages": messages});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Ask::post(CHAT, &body)
    };
    let gemini = |body: &Value| Ask::post(GEMINI, body);
    let contents = json!([{"parts": [{"text": "a"}]}]);
    let prompt = json!({"model": "gpt-5.4", "messages": messages, "max_tokens": 5}).to_string();
    let long = json!({"model": "gpt-5.4", "messages": [{"role": "user", "content": "a".repeat(5_000)}]}).to_string();
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(long.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let [short_usd, long_usd] = [&prompt, &long].map(|text| usd(u64::try_from(text.len()).unwrap()));
    let raw = |body: Vec<u8>| Ask::new("POST", CHAT).header("content-type", "application/json").body(body);
    let nothing = Ask::new("POST", GEMINI).body("{");
    let cases = vec![
        ("max_tokens", chat(json!({"max_tokens": 7})), "0.007"),
        ("max_completion_tokens", chat(json!({"max_completion_tokens": 8})), "0.008"),
        ("the larger of both", chat(json!({"max_completion_tokens": 8, "max_tokens": 9})), "0.009"),
        ("several answers", chat(json!({"max_tokens": 7, "n": 3})), "0.021"),
        ("no bound: the default", chat(json!({})), "0.5"),
        ("a bound that cannot be read", chat(json!({"max_tokens": "7"})), "0.5"),
        ("responses", Ask::post("/openai/v1/responses", &json!({"model": MODEL, "max_output_tokens": 6})), "0.006"),
        ("a prompt by its bytes", raw(prompt.into_bytes()), &short_usd),
        ("a compressed prompt by its decoded bytes", raw(gzip).header("content-encoding", "gzip"), &long_usd),
        ("gemini", gemini(&json!({"contents": contents, "generationConfig": {"maxOutputTokens": 4}})), "0.004"),
        (
            "gemini, two candidates",
            gemini(&json!({"contents": contents, "generationConfig": {"maxOutputTokens": 4, "candidateCount": 2}})),
            "0.008",
        ),
        ("gemini without a bound", gemini(&json!({"contents": contents})), "0.5"),
        ("gemini, no JSON", nothing, "0.5"),
    ];
    cases.into_iter().map(|(what, ask, amount)| (what, ask, amount.to_owned())).collect()
}

#[tokio::test]
async fn what_is_set_aside_follows_from_the_requests_own_bounds() {
    let gateway = Gateway::start(options().set("/budgets/output_tokens_default", json!(500)));
    let grant = Grant::all("bounds");
    let key = gateway.issue(&grant);
    set_budget(&gateway, "bounds", &["--limit", "100"]);
    known(&gateway, &key, "100").await;
    for (what, ask, amount) in held() {
        let mut connection = gateway.client().connect().await;
        let slot =
            if ask.bytes().windows(7).any(|window| window == b"/google") { "x-goog-api-key" } else { "authorization" };
        let secret = if slot == "authorization" { format!("Bearer {}", key.secret) } else { key.secret.clone() };
        connection.write(&ask.header(slot, &secret).sim("never").bytes()).await;
        let now = budget(&gateway, &key, |budget| budget["reserved"] != "0").await;
        assert_eq!(now["reserved"], amount, "{what}");
        drop(connection);
        quiet(&gateway).await;
    }
}
