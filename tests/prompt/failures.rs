//! Providers that are down, slow, garbled or cut: the code, the fallback, and one time over all.

use crate::{
    desk::{Desk, MODEL, options},
    support::{
        gateway::Gateway,
        http::Ask,
        simulator::{Break, Fault, Reply, Request},
        wait::wait_until,
    },
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers prompts with this mark so, for a model of that name in the body (or in the path).
fn answers(desk: &Desk, mark: &str, model: &str, reply: Reply) {
    let (mark, model) = (mark.to_owned(), model.to_owned());
    desk.gateway.simulator.script(move |request| {
        let is_it = request.contains(mark.as_bytes()) && request.contains(model.as_bytes());
        is_it.then(|| reply.clone())
    });
}

fn chat(text: &str) -> String {
    json!({"choices": [{"message": {"content": text}}], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
        .to_string()
}

/// What providers may answer instead of an answer: name, reply, our status and code, and why a fallback would be taken.
fn failures() -> Vec<(&'static str, Reply, u16, &'static str, Option<&'static str>)> {
    let error = |status| Reply::json(status, json!({"error": {"message": "You said hush."}}).to_string());
    let whole = || Reply::json(200, chat("hush"));
    let unavailable = "provider_unavailable";
    vec![
        ("s400", error(400), 502, unavailable, None),
        ("s401", error(401), 502, unavailable, None),
        ("s404", error(404), 502, unavailable, None),
        ("s302", Reply::empty(302).with_header("location", "https://elsewhere.example/hush"), 502, unavailable, None),
        ("s429", error(429).with_header("retry-after", "7"), 503, unavailable, Some("rate_limited")),
        ("s500", error(500), 502, unavailable, Some("provider_error")),
        ("s503", error(503), 503, unavailable, Some("provider_error")),
        ("s529", error(529), 503, unavailable, Some("provider_error")),
        ("s504", error(504), 504, "provider_timeout", Some("timeout")),
        ("html", Reply::new(200, "text/html", "<html>hush</html>"), 502, unavailable, Some("broken_answer")),
        ("empty", Reply::json(200, ""), 502, unavailable, Some("broken_answer")),
        (
            "half",
            Reply::json(200, r#"{"choices":[{"message":{"content":"hush"#),
            502,
            unavailable,
            Some("broken_answer"),
        ),
        ("other", Reply::json(200, r#"{"object":"hush"}"#), 502, unavailable, Some("broken_answer")),
        ("inner", Reply::json(200, r#"{"error":{"message":"hush"}}"#), 502, unavailable, Some("broken_answer")),
        ("cut", whole().with_fault(Fault::AfterBody(20, Break::Fin)), 502, unavailable, Some("broken_answer")),
        ("reset", whole().with_fault(Fault::AfterBody(20, Break::Reset)), 502, unavailable, Some("broken_answer")),
        ("closed", whole().with_fault(Fault::BeforeHead(Break::Fin)), 502, unavailable, Some("broken_answer")),
        ("no-http", Reply::raw(*b"\x15\x03\x01 hush\r\n\r\n"), 502, unavailable, Some("broken_answer")),
        ("coding", whole().with_header("content-encoding", "gzip"), 502, unavailable, Some("broken_answer")),
        ("large", Reply::json(200, chat(&"hush".repeat(3000))), 502, unavailable, Some("broken_answer")),
    ]
}

fn bounded() -> crate::support::gateway::Options {
    options().set("/prompt/answer_bytes_max", json!(8192))
}

#[tokio::test]
async fn each_failure_of_a_provider_has_its_code_and_shows_nothing() {
    let desk = Desk::at(Arc::new(Gateway::start(bounded())), "failures-codes");
    for (name, reply, status, code, _) in failures() {
        let mark = format!("failures-codes-{name}.");
        answers(&desk, &mark, "gpt-5.4-mini", reply);
        let answer = desk.refuses(name, &desk.ask(&mark, MODEL), status, code).await;
        let row = desk.row(&answer).await;
        let told = (row["status"].as_u64(), row["error_type"].as_str(), row["provider"].as_str());
        assert_eq!(told, (Some(u64::from(status)), Some(code), Some("openai")), "{name}");
        assert_eq!(desk.upstream(&mark).len(), 1, "{name}: asked once");
        if name == "s429" {
            assert_eq!(answer.header("retry-after"), Some("7"));
        }
    }
    let answer = desk.refuses("down", &desk.ask("failures-down", "down/gpt-5.4"), 502, "provider_unavailable").await;
    let row = desk.row(&answer).await;
    assert_eq!((row["attempts"].as_u64(), row["provider"].as_str()), (Some(3), Some("down")), "{row}");
    let log = desk.gateway.lines().join("\n");
    assert!(!log.contains("hush") && !log.contains("failures-"), "the log shows a prompt or an answer");
}

#[tokio::test]
async fn a_retryable_failure_is_made_good_by_the_fallback_and_others_are_not() {
    let desk = Desk::at(Arc::new(Gateway::start(bounded())), "failures-fallback");
    for (name, reply, status, code, reason) in failures() {
        let mark = format!("failures-fallback-{name}.");
        answers(&desk, &mark, "gpt-5.4", reply);
        let prompt = format!("{mark} to eve@corp.example");
        let answer = desk.send(&desk.ask(&prompt, "pair/openai")).await;
        let paths: Vec<String> = desk.upstream(&mark).iter().map(|request| request.path().to_owned()).collect();
        let Some(reason) = reason else {
            crate::desk::check_refusal(name, &answer, status, code);
            assert_eq!(paths, ["/v1/chat/completions"], "{name}");
            continue;
        };
        let document: Value = answer.clone().expect(200).json();
        assert_eq!(paths, ["/v1/chat/completions", "/v1/messages"], "{name}");
        assert_eq!(document["response"], format!("Echo: {prompt}"), "{name}");
        assert_eq!(document["model"], "pair/anthropic", "{name}");
        let meta = &document["meta"];
        let told = (meta["providerId"].as_str(), meta["executionPath"].as_str(), meta["fallbackUsed"].as_bool());
        assert_eq!(told, (Some("anthropic"), Some("fallback"), Some(true)), "{name}");
        assert_eq!(meta["fallback"], json!({"used": true, "reason": reason}), "{name}");
        assert_eq!(meta["timedOut"], reason == "timeout", "{name}");
        for request in desk.upstream(&mark) {
            assert!(!request.contains(b"eve@corp.example"), "{name}");
        }
        let row = desk.row(&answer).await;
        let told = ["provider", "model_requested", "error_type"].map(|name| row[name].as_str().unwrap_or_default());
        assert_eq!(told, ["anthropic", "claude-sonnet-5-5", ""], "{name}");
        assert_eq!(row["attempts"].as_u64(), Some(2), "{name}");
    }
}

#[tokio::test]
async fn an_unreachable_provider_is_made_good_too_and_two_are_told() {
    let desk = Desk::shared("failures-connect");
    let answer = desk.answer("failures-connect", "pair/down").await;
    assert_eq!(answer["meta"]["fallback"], json!({"used": true, "reason": "connect"}));
    assert_eq!(answer["meta"]["providerId"], "google");
    let ask = desk.ask("failures-both", "pair/both-down");
    desk.refuses("both down", &ask, 502, "provider_unavailable").await;
    // A key that may not use the fallback has none.
    let key = desk.issue(|grant| grant.deny = vec!["google:*".to_owned()]);
    let ask = Ask::post("/", &json!({"prompt": "failures-denied", "model": "pair/down"})).bearer(&key.secret);
    desk.refuses("fallback denied", &ask, 502, "provider_unavailable").await;
    assert_eq!(desk.upstream("failures-denied").len(), 0);
}

#[tokio::test]
async fn a_slow_provider_ends_with_the_gateways_time_and_a_slow_first_one_with_its_own() {
    let slow = options().set("/prompt/timeout_seconds", json!(3)).set("/prompt/attempt_timeout_seconds", json!(1));
    let desk = Desk::at(Arc::new(Gateway::start(slow)), "failures-slow");
    let stalls = Reply::json(200, chat("hush")).with_fault(Fault::AfterBody(10, Break::Stall));
    for (name, reply) in [("never", Reply::never()), ("stalls", stalls)] {
        let mark = format!("failures-slow-{name}.");
        answers(&desk, &mark, "gpt-5.4", reply);
        let answer = desk.refuses(name, &desk.ask(&mark, MODEL), 504, "gateway_timeout").await;
        assert_eq!(desk.row(&answer).await["error_type"], "gateway_timeout", "{name}");
        let fallback = desk.answer(&mark, "pair/openai").await;
        assert_eq!(fallback["meta"]["timedOut"], true, "{name}");
        assert_eq!(fallback["meta"]["fallback"], json!({"used": true, "reason": "timeout"}), "{name}");
    }
    // Both are slow: the time over all ends it.
    let mark = "failures-slow-both.";
    for model in ["gpt-5.4", "claude-sonnet-5-5"] {
        answers(&desk, mark, model, Reply::never());
    }
    desk.refuses("both slow", &desk.ask(mark, "pair/openai"), 504, "gateway_timeout").await;
    assert_eq!(desk.upstream(mark).len(), 2);
    // What was given up is not held open.
    let look = async || {
        let open: Vec<Request> =
            desk.upstream("failures-slow-").into_iter().filter(|request| request.answered_at.is_none()).collect();
        let held = open.iter().filter(|request| request.peer_closed_at.is_none()).count();
        if open.len() >= 5 && held == 0 { Ok(()) } else { Err((open.len(), held)) }
    };
    wait_until("all were cancelled", look).await;
}

#[tokio::test]
async fn a_silent_provider_has_its_own_timeout() {
    let providers = std::fs::read_to_string("conf/providers.yaml").expect("the shipped file");
    let credential = "    credential: env:OPENAI_API_KEY\n";
    assert!(providers.contains(credential));
    let providers = providers.replace(credential, &format!("{credential}    timeouts: {{read_seconds: 1}}\n"));
    let desk = Desk::at(Arc::new(Gateway::start(options().providers_yaml(&providers))), "failures-silent");
    answers(&desk, "failures-silent", "gpt-5.4", Reply::never());
    desk.refuses("silent", &desk.ask("failures-silent", MODEL), 504, "provider_timeout").await;
    let answer = desk.answer("failures-silent", "pair/openai").await;
    assert_eq!(answer["meta"]["fallback"], json!({"used": true, "reason": "timeout"}));
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_the_request_at_the_provider() {
    let desk = Desk::shared("failures-gone");
    answers(&desk, "failures-gone", "gpt-5.4-mini", Reply::never());
    let mut connection = desk.gateway.client().connect().await;
    connection.write(&desk.ask("failures-gone", MODEL).bytes()).await;
    let arrived = |request: &Request| request.contains(b"failures-gone") && request.complete;
    desk.gateway.simulator.wait_for("the request", arrived).await.expect("it arrives");
    drop(connection);
    let cancelled = |request: &Request| arrived(request) && request.peer_closed_at.is_some();
    desk.gateway.simulator.wait_for("its cancellation", cancelled).await.expect("it is cancelled");
    let key = desk.key.id.clone();
    let look = async || {
        let rows = desk.gateway.rows_now().await?.with("/key_id", &key);
        rows.iter().next().cloned().ok_or_else(|| "no row".to_owned())
    };
    let row = wait_until("its row", look).await;
    assert_eq!((row["status"].as_u64(), row["error_type"].as_str()), (Some(0), Some("caller_gone")), "{row}");
    assert_eq!((row["provider"].as_str(), row["endpoint"].as_str()), (Some("openai"), Some("prompt")), "{row}");
}
