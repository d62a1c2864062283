//! Answers: what leaves for which provider, what comes back, and what is said about it.

use crate::{
    desk::{Desk, MODEL},
    support::{
        http::Ask,
        simulator::{Coding, Cuts, Framing, Reply, Request},
    },
};
use serde_json::{Value, json};

/// Values that must not leave, and a prompt with them.
const VALUES: [&str; 4] =
    ["anna.kowalska@corp.example", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "10.20.30.40"];

fn prompt(mark: &str) -> String {
    let [email, card, iban, address] = VALUES;
    format!("{mark}: write to {email}, charge card {card}, refund IBAN {iban}, host {address}. Again {email}.")
}

fn user_text(request: &Request) -> String {
    let body = request.json().expect("JSON");
    let places = ["/messages/1/content", "/messages/0/content", "/contents/0/parts/0/text"];
    let found = places.iter().find_map(|place| body.pointer(place)?.as_str().filter(|text| text.contains("write to")));
    found.unwrap_or_else(|| panic!("no prompt in {body}")).to_owned()
}

#[tokio::test]
async fn every_provider_gets_the_masked_prompt_and_its_answer_comes_back_whole() {
    let desk = Desk::shared("answers-providers");
    let cases = [
        (MODEL, "openai", "/v1/chat/completions", "authorization", "/max_completion_tokens", 4096),
        ("anthropic/claude-haiku-5-5", "anthropic", "/v1/messages", "x-api-key", "/max_tokens", 1000),
        (
            "google/gemini-3.8-flash",
            "google",
            "/v1beta/models/gemini-3.8-flash:generateContent",
            "x-goog-api-key",
            "/generationConfig/maxOutputTokens",
            4096,
        ),
        ("alibaba/qwen3-max", "alibaba", "/compatible-mode/v1/chat/completions", "authorization", "/max_tokens", 4096),
        (
            "byteplus/seed-2-0-pro",
            "byteplus",
            "/api/v3/chat/completions",
            "authorization",
            "/max_completion_tokens",
            4096,
        ),
        (
            "mulerouter/qwen3-max",
            "mulerouter",
            "/vendors/openai/v1/chat/completions",
            "authorization",
            "/max_tokens",
            4096,
        ),
    ];
    for (model, provider, path, slot, bound, tokens) in cases {
        let mark = format!("answers-{provider}");
        let prompt = prompt(&mark);
        let answer = desk.answer(&prompt, model).await;
        assert_eq!(answer["response"], format!("Echo: {prompt}"), "{model}");
        assert_eq!(answer["model"], model);
        let request = desk.the_upstream(&mark);
        assert_eq!((request.method(), request.target()), ("POST", path), "{model}");
        for value in VALUES {
            assert!(!request.contains(value.as_bytes()), "{model}: {value} left");
        }
        let sent = user_text(&request);
        for placeholder in ["<EMAIL_1>", "<CREDIT_CARD_1>", "<IBAN_1>", "<IP_ADDRESS_1>"] {
            assert!(sent.contains(placeholder), "{model}: {sent}");
        }
        assert_eq!(sent.matches("<EMAIL_1>").count(), 2, "one placeholder for one value: {sent}");
        let credential = desk.gateway.credential(provider);
        let expected = if slot == "authorization" { format!("Bearer {credential}") } else { credential.to_owned() };
        assert_eq!(request.head.values(slot).collect::<Vec<_>>(), [expected], "{model}");
        let body = request.json().expect("JSON");
        assert_eq!(body.pointer(bound), Some(&json!(tokens)), "{model}: {body}");
        let is_anthropic = provider == "anthropic";
        assert_eq!(request.header("anthropic-version").is_some(), is_anthropic, "{model}");
    }
}

#[tokio::test]
async fn the_answer_says_how_it_came_about() {
    let desk = Desk::shared("answers-meta");
    let mut answer = desk.answer(&prompt("answers-meta"), MODEL).await;
    let latency = answer["meta"]["latency"].take();
    assert!(answer["response"].take().is_string());
    let expected = json!({
        "response": null,
        "model": MODEL,
        "meta": {
            "providerId": "openai",
            "executionPath": "primary",
            "fallbackUsed": false,
            "timedOut": false,
            "entitiesDetected": 5,
            "latency": null,
            "fallback": {"used": false, "reason": "not_attempted"},
        },
    });
    assert_eq!(answer, expected);
    let parts: Vec<f64> = ["totalMs", "maskingMs", "providerMs", "rehydrationMs"]
        .iter()
        .map(|name| latency[*name].as_f64().unwrap_or_else(|| panic!("{name}: {latency}")))
        .collect();
    assert_eq!(latency.as_object().map(serde_json::Map::len), Some(4), "{latency}");
    assert!(parts.iter().all(|part| *part > 0.0), "{latency}");
    assert!(parts[1] + parts[2] + parts[3] <= parts[0], "{latency}");
    assert!(parts.iter().any(|part| part.fract() > 0.0), "whole milliseconds alone: {latency}");
}

#[tokio::test]
async fn a_prompt_without_findings_leaves_as_it_is_and_without_a_hint() {
    let desk = Desk::shared("answers-plain");
    // What looks like a placeholder is the prompt's own.
    let prompt =
        "answers-plain: what does <EMAIL_1> or [PERSON_2] mean in a template? \u{1f600} \"quoted\"\n\ttab \\ end";
    let answer = desk.answer(prompt, MODEL).await;
    assert_eq!(answer["response"], format!("Echo: {prompt}"));
    assert_eq!(answer["meta"]["entitiesDetected"], 0);
    let request = desk.the_upstream("answers-plain");
    let messages = request.json().expect("JSON")["messages"].take();
    assert_eq!(messages, json!([{"role": "user", "content": prompt}]));
}

#[tokio::test]
async fn placeholder_like_text_of_the_prompt_survives_beside_real_ones() {
    let desk = Desk::shared("answers-collide");
    let prompt = "answers-collide: our template says <EMAIL_1>; mail bob@corp.example and <email_2> [IBAN_1]";
    let answer = desk.answer(prompt, MODEL).await;
    assert_eq!(answer["response"], format!("Echo: {prompt}"));
    assert!(!desk.the_upstream("answers-collide").contains(b"bob@corp.example"));
}

#[tokio::test]
async fn altered_placeholders_come_back_and_unknown_ones_pass() {
    let desk = Desk::shared("answers-altered");
    let cases = [
        ("<email_1>", "kim@corp.example"),
        ("[EMAIL_1]", "kim@corp.example"),
        ("**<EMAIL_1>**", "**kim@corp.example**"),
        ("`<EMAIL_1>`", "`kim@corp.example`"),
        ("< EMAIL_1 >", "kim@corp.example"),
        ("\u{ff1c}EMAIL_1\u{ff1e}", "kim@corp.example"),
        ("<EMAIL_1>'s", "kim@corp.example's"),
        ("<EMAIL_7>", "<EMAIL_7>"),
        ("<EMAIL_10>", "<EMAIL_10>"),
    ];
    for (at, (said, restored)) in cases.into_iter().enumerate() {
        let mark = format!("answers-altered-{at}-");
        let found = mark.clone();
        desk.gateway.simulator.script(move |request| {
            let text = format!("I wrote to {said} today.");
            let body =
                json!({"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]});
            request.contains(found.as_bytes()).then(|| Reply::json(200, body.to_string()))
        });
        let answer = desk.answer(&format!("{mark}: write to kim@corp.example"), MODEL).await;
        assert_eq!(answer["response"], format!("I wrote to {restored} today."), "{said}");
    }
}

#[tokio::test]
async fn an_answer_is_read_however_it_is_delivered() {
    let desk = Desk::shared("answers-delivery");
    let body = json!({"choices": [{"message": {"content": "A <EMAIL_1> \u{e9}\u{1f600} B"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 4}});
    let body = body.to_string();
    let reply = |change: fn(&mut crate::support::simulator::Delivery)| Reply::json(200, body.clone()).delivered(change);
    let cases: [(&str, Reply); 8] = [
        ("length", reply(|_| ())),
        ("chunked", reply(|delivery| (delivery.framing, delivery.cuts) = (Framing::Chunked, Cuts::Every(7)))),
        ("close", reply(|delivery| delivery.framing = Framing::Close)),
        ("gzip", reply(|delivery| delivery.coding = Coding::Gzip)),
        ("brotli", reply(|delivery| delivery.coding = Coding::Brotli)),
        ("zstd", reply(|delivery| delivery.coding = Coding::Zstd)),
        ("interim", reply(|delivery| delivery.interim.push(b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n".to_vec()))),
        ("close header", reply(|delivery| delivery.close = true)),
    ];
    for (name, reply) in cases {
        let mark = format!("answers-delivery-{}", name.replace(' ', "-"));
        let found = format!("{mark}:");
        desk.gateway.simulator.script(move |request| request.contains(found.as_bytes()).then(|| reply.clone()));
        let answer = desk.answer(&format!("{mark}: write to lee@corp.example"), MODEL).await;
        assert_eq!(answer["response"], "A lee@corp.example \u{e9}\u{1f600} B", "{name}");
    }
}

#[tokio::test]
async fn keys_of_either_kind_in_either_header_on_either_path_may_ask() {
    let desk = Desk::shared("answers-keys");
    let proxy_kind = desk.issue(|_| ());
    let test_kind = desk.issue(|grant| {
        grant.arguments = ["--kind", "security", "--environment", "test"].map(str::to_owned).to_vec();
    });
    assert!(desk.key.secret.starts_with("sk-gw_live_") && test_kind.secret.starts_with("sk-gw_test_"));
    let body = json!({"prompt": "answers-keys", "model": MODEL, "stream": false});
    for target in ["/", "/v1/gateway", "/?x=1"] {
        for key in [&desk.key, &proxy_kind, &test_kind] {
            let by_bearer = Ask::post(target, &body).bearer(&key.secret);
            let by_header = Ask::post(target, &body).header("X-API-Key", &key.secret);
            for ask in [by_bearer, by_header] {
                let answer: Value = desk.send(&ask).await.expect(200).json();
                assert_eq!(answer["response"], "Echo: answers-keys");
            }
        }
    }
}

#[tokio::test]
async fn connections_to_a_provider_are_used_again() {
    let desk = Desk::shared("answers-pool");
    for _ in 0..5 {
        desk.answer("answers-pool", MODEL).await;
    }
    let connections: Vec<usize> = desk.upstream("answers-pool").iter().map(|request| request.connection).collect();
    let mut distinct = connections.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(connections.len() == 5 && distinct.len() < 5, "{connections:?}");
}
