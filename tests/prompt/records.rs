//! Usage: one event for each request, with the provider's own figures, the cost, and what was masked as numbers.

use crate::{
    desk::{Desk, MODEL, check_refusal, options},
    support::{
        gateway::{Gateway, Grant},
        http::Ask,
        simulator::Reply,
        wait::wait_until,
    },
};
use serde_json::json;

#[tokio::test]
async fn a_prompt_is_metered_by_the_providers_own_figures() {
    let desk = Desk::shared("records-metered");
    let cases = [
        (
            MODEL,
            "openai",
            "gpt-5.4-mini",
            json!({
                "choices": [{"message": {"content": "a"}}], "model": "gpt-5.4-mini-2026-03-05",
                "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
            }),
        ),
        (
            "anthropic/claude-haiku-5-5",
            "anthropic",
            "claude-haiku-5-5",
            json!({
                "type": "message", "content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 1000, "output_tokens": 500},
            }),
        ),
        (
            "google/gemini-3.8-flash",
            "google",
            "gemini-3.8-flash",
            json!({
                "candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 500, "totalTokenCount": 1500},
            }),
        ),
    ];
    for (model, provider, requested, reply) in cases {
        let mark = format!("records-{provider}.");
        let found = mark.clone();
        desk.gateway.simulator.script(move |request| {
            request
                .contains(found.as_bytes())
                .then(|| Reply::json(200, reply.to_string()).with_header("x-request-id", "req_sim"))
        });
        let prompt = format!("{mark} mail a@corp.example and b@corp.example, host 10.1.2.3, again a@corp.example");
        let ask = desk.ask(&prompt, model).header("x-attr-feature", "records").header("x-project", "p1");
        let answer = desk.send(&ask).await.expect(200);
        let row = desk.row(&answer).await;
        let told = ["provider", "endpoint", "method", "model_requested", "error_type", "usage_source"]
            .map(|name| row[name].as_str().unwrap_or_default());
        assert_eq!(told, [provider, "prompt", "POST", requested, "", "provider"], "{row}");
        let counts = ["input_tokens", "output_tokens", "status", "attempts"].map(|name| row[name].as_u64());
        assert_eq!(counts, [Some(1000), Some(500), Some(200), Some(1)], "{row}");
        assert_eq!(row["entities"], json!({"EMAIL": 3, "IP_ADDRESS": 1}), "{row}");
        assert_eq!(row["tags"], json!({"feature": "records", "project": "p1"}), "{row}");
        assert_eq!(row["bytes_in"].as_u64(), Some(ask_bytes(&prompt, model)), "{row}");
        assert_eq!(row["bytes_out"].as_u64(), Some(answer.body.len() as u64), "{row}");
        assert!(row["cost_nanousd"].as_i64().is_some_and(|cost| cost > 0), "{row}");
        assert_eq!(row["streamed"], false);
        let id = answer.header("x-request-id").expect("an id");
        let record = desk.gateway.client().send(&Ask::get(&format!("/gw/usage/{id}")).bearer(&stats_key(&desk))).await;
        let record = record.expect(200).json();
        assert_eq!((record["endpoint"].as_str(), record["tokens"]["output"].as_u64()), (Some("prompt"), Some(500)));
    }
}

fn stats_key(desk: &Desk) -> String {
    desk.key.secret.clone()
}

fn ask_bytes(prompt: &str, model: &str) -> u64 {
    json!({"prompt": prompt, "model": model}).to_string().len() as u64
}

#[tokio::test]
async fn both_attempts_are_paid_where_both_report() {
    let desk = Desk::shared("records-both");
    let first =
        json!({"object": "none", "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}});
    let second = json!({"type": "message", "content": [{"type": "text", "text": "a"}], "usage": {"input_tokens": 2000, "output_tokens": 300}});
    let alone = |mark: &str, model: &str| (mark.to_owned(), model.to_owned());
    for (mark, model) in [alone("records-both.", "gpt-5.4"), alone("records-first.", "gpt-5.4")] {
        let reply = if mark == "records-first." {
            let whole = json!({"choices": [{"message": {"content": "a"}}], "usage": first["usage"]});
            Reply::json(200, whole.to_string())
        } else {
            Reply::json(200, first.to_string())
        };
        desk.gateway.simulator.script(move |request| {
            let is_it = request.contains(mark.as_bytes()) && request.contains(model.as_bytes());
            is_it.then(|| reply.clone())
        });
    }
    let second = second.to_string();
    desk.gateway.simulator.script(move |request| {
        let is_it = request.contains(b"records-both.") || request.contains(b"records-second.");
        (is_it && request.contains(b"claude")).then(|| Reply::json(200, second.clone()))
    });
    let mut costs = Vec::new();
    for (mark, model) in
        [("records-first.", "pair/openai"), ("records-second.", "pair/anthropic"), ("records-both.", "pair/openai")]
    {
        let answer = desk.send(&desk.ask(mark, model)).await.expect(200);
        let row = desk.row(&answer).await;
        let counts =
            [row["input_tokens"].as_u64().unwrap_or_default(), row["output_tokens"].as_u64().unwrap_or_default()];
        costs.push((row["cost_nanousd"].as_i64().unwrap_or_default(), counts, row["attempts"].as_u64()));
    }
    let [(first, ..), (second, ..), (both, counts, attempts)] = costs[..] else { panic!("{costs:?}") };
    assert!(first > 0 && second > 0, "{costs:?}");
    assert_eq!((both, counts, attempts), (first + second, [3000, 400], Some(2)), "{costs:?}");
}

#[tokio::test]
async fn a_stream_is_recorded_with_what_its_caller_got() {
    let desk = Desk::shared("records-stream");
    let body = json!({"prompt": "records-stream: to c@corp.example", "model": MODEL, "stream": true});
    let answer = desk.send(&Ask::post("/v1/gateway", &body).bearer(&desk.key.secret)).await.expect(200);
    let row = desk.row(&answer).await;
    assert_eq!(
        (row["streamed"].as_bool(), row["bytes_out"].as_u64()),
        (Some(true), Some(answer.body.len() as u64)),
        "{row}"
    );
    assert_eq!(row["entities"], json!({"EMAIL": 1}), "{row}");
    assert!(row["ttft_ms"].as_u64().is_some_and(|millis| millis > 0), "{row}");
}

#[tokio::test]
async fn statistics_count_prompts_beside_other_calls_and_leave_test_keys_out() {
    let desk = Desk::shared("records-stats");
    let test_key = desk.issue(|grant| {
        grant.arguments = ["--kind", "security", "--environment", "test"].map(str::to_owned).to_vec();
    });
    let ask = |key: &str| Ask::post("/", &json!({"prompt": "records-stats", "model": MODEL})).bearer(key);
    for key in [&desk.key, &desk.key, &test_key] {
        desk.send(&ask(&key.secret)).await.expect(200);
    }
    let chat = Ask::chat("/openai/v1/chat/completions", "gpt-5.4-mini", "a").bearer(&desk.key.secret);
    desk.gateway.client().send(&chat).await.expect(200);
    let stats =
        desk.gateway.stats("group_by=endpoint", &desk.key.secret, |stats| stats["totals"]["requests"] == 3).await;
    let mut rows: Vec<(String, u64)> = stats["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            (row["endpoint"].as_str().unwrap_or_default().to_owned(), row["requests"].as_u64().unwrap_or_default())
        })
        .collect();
    rows.sort();
    assert_eq!(rows, [("chat.completions".to_owned(), 1), ("prompt".to_owned(), 2)]);
    desk.gateway.stats("environment=test", &desk.key.secret, |stats| stats["totals"]["requests"] == 1).await;
}

#[tokio::test]
async fn where_records_are_durable_every_answer_is_on_record_before_its_end() {
    let options = options().set("/usage/spool/durable", json!(true)).set("/prompt/segment_bytes", json!(4));
    let mut gateway = Gateway::start(options);
    let key = gateway.issue(&Grant::all("records-durable"));
    let ask = |prompt: &str, stream: bool, model: &str| {
        Ask::post("/", &json!({"prompt": prompt, "model": model, "stream": stream})).bearer(&key.secret)
    };
    let mut ids = Vec::new();
    for at in 0..10 {
        let answer = gateway.client().send(&ask("to d@corp.example", at % 2 == 0, MODEL)).await.expect(200);
        ids.push(answer.header("x-request-id").expect("an id").to_owned());
    }
    gateway.client().send(&ask("d", false, "openai/none")).await.expect(400);
    gateway.crash();
    let look = async || {
        let rows = gateway.rows_now().await?;
        let found: Vec<String> = ids
            .iter()
            .filter(|id| {
                rows.iter()
                    .any(|row| row["request_id"] == **id && row["error_type"] == "" && row["entities"]["EMAIL"] == 1)
            })
            .cloned()
            .collect();
        if found == ids { Ok(()) } else { Err(format!("{} of {}", found.len(), ids.len())) }
    };
    wait_until("all answers are on record", look).await;
}

#[tokio::test]
async fn a_spent_budget_refuses_prompts_and_a_test_key_spends_none() {
    let desk = Desk::shared("records-budget");
    let config = desk.gateway.config().display().to_string();
    // Less than what the bound on output of one answer may cost.
    let arguments = ["org", "set-budget", "--org", "records-budget", "--limit", "0.000001", "--config", &config];
    let set = desk.gateway.run(&arguments.map(str::to_owned));
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let refused = async || {
        let answer = desk.send(&desk.ask("records-budget", MODEL)).await;
        if answer.status() == 402 { Ok(answer) } else { Err(answer.status()) }
    };
    let answer = wait_until("the budget holds", refused).await;
    check_refusal("over the budget", &answer, 402, "budget_exceeded");
    let row = desk.row(&answer).await;
    assert_eq!(
        (row["error_type"].as_str(), row["provider"].as_str()),
        (Some("budget_exceeded"), Some("openai")),
        "{row}"
    );
    let test_key = desk.issue(|grant| {
        grant.arguments = ["--kind", "security", "--environment", "test"].map(str::to_owned).to_vec();
    });
    let ask = Ask::post("/", &json!({"prompt": "records-budget", "model": MODEL})).bearer(&test_key.secret);
    desk.send(&ask).await.expect(200);
}
