//! What others wrote, at both ends: the official SDKs see the provider's own answers, a mock of three providers gets what
//! those providers would get, and calls show with exact cost.
#![cfg(test)]

pub mod support;

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};
use support::{
    gateway::{Gateway, Grant, Options, files::Files},
    http::{Answer, Ask},
};

#[tokio::test]
async fn official_sdks_work_as_they_are_and_their_calls_are_priced_exactly() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("official-sdks"));
    let (base, secret) = (format!("http://{}", gateway.address()), key.secret.clone());
    let calls = tokio::task::spawn_blocking(move || {
        Command::new(".venv/bin/python")
            .args(["tests/clients/python/sdk_calls.py", &base, &secret])
            .output()
            .expect("the test clients are missing: run `make setup`")
    });
    let output = calls.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let echo = answers.iter().filter(|answer| answer["text"] == "Echo: count these five words please").count();
    assert_eq!((answers.len(), echo), (8, 7), "{said}");

    let query = "group_by=provider,endpoint";
    let stats = gateway.stats(query, &key.secret, |stats| stats["totals"]["requests"] == 8).await;
    let cost = |provider: &str, endpoint: &str| {
        let rows = stats["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["provider"] == provider && row["endpoint"] == endpoint);
        row.map_or(Value::Null, |row| row["cost_usd"].clone())
    };
    // 2 × (5 × $2 + 6 × $10) and 2 × (5 × $0.75 + 6 × $4.5) for a million tokens; 5 × $0.02.
    assert_eq!(cost("anthropic", "messages"), json!("0.00014"));
    assert_eq!(cost("openai", "responses"), json!("0.0000615"));
    assert_eq!(cost("openai", "embeddings"), json!("0.0000001"));
}

#[tokio::test]
async fn an_official_sdk_sees_the_same_chunks_whether_or_not_usage_is_asked_for_in_its_place() {
    let gateway = Gateway::start(Options::default());
    let calls = ["transparent", "inject"].map(|mode| {
        let arguments = ["--usage-mode", mode].map(str::to_owned).to_vec();
        let key = gateway.issue(&Grant { arguments, ..Grant::all("sdk-modes") });
        let (base, secret) = (format!("http://{}", gateway.address()), key.secret);
        tokio::task::spawn_blocking(move || {
            Command::new(".venv/bin/python")
                .args(["tests/clients/python/sdk_calls.py", &base, &secret, "--only", "openai.chat.stream"])
                .output()
                .expect("the test clients are missing: run `make setup`")
        })
    });
    let mut said = Vec::new();
    for call in calls {
        let output = call.await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        said.push(serde_json::from_slice::<Value>(&output.stdout).unwrap());
    }
    // the role, six pieces of text, the end
    let seen = (&said[0]["chunks"], &said[0]["usage"], &said[0]["text"]);
    assert_eq!(seen, (&json!(8), &Value::Null, &json!("Echo: count these five words please")), "{said:?}");
    assert_eq!(said[1], said[0]);
    let rows = gateway.rows().await;
    let (asked, not_asked) = (rows.with("/usage_source", "provider"), rows.with("/usage_source", "estimated"));
    assert_eq!((asked.count(), not_asked.count()), (1, 1), "{rows:?}");
    let row = asked.iter().next().unwrap();
    assert_eq!((&row["input_tokens"], &row["output_tokens"]), (&json!(5), &json!(6)), "{row}");
}

/// aimock, as `tests/clients/node/aimock.mjs` runs it. It ends with its standard input.
struct Aimock {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    upstream: String,
}

impl Aimock {
    /// Starts one that accepts this credential and no other.
    fn start(credential: &str) -> Self {
        let mut child = Command::new("node")
            .arg("tests/clients/node/aimock.mjs")
            .env("AIMOCK_API_KEYS", credential)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is missing: run `make setup`");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut aimock = Self { child, input, output, upstream: String::new() };
        let said = aimock.line();
        said["listening"].as_str().expect("an address").clone_into(&mut aimock.upstream);
        aimock
    }

    /// The requests that it has answered, without those whose credential it refused.
    fn journal(&mut self) -> Vec<Value> {
        self.input.write_all(b"journal\n").expect("it reads");
        self.line()["journal"].as_array().expect("a list").clone()
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it writes");
        serde_json::from_str(&line).expect("aimock says nothing: run `make setup`")
    }
}

impl Drop for Aimock {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The calls as each provider documents them: what they are, and how their answer must look.
fn documented_calls(key: &str) -> Vec<(Ask, &'static str)> {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]});
    let (chat, claude) = ("/openai/v1/chat/completions", "/anthropic/v1/messages");
    let of_gemini = |verb: &str| format!("/google/v1beta/models/gemini-2.5-flash:{verb}");
    let stream_options = json!({"include_usage": true});
    let claude_body =
        |stream: bool| json!({"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": messages, "stream": stream});
    vec![
        (Ask::post(chat, &json!({"model": "gpt-5.4-mini", "messages": messages})).bearer(key), "chat.completion"),
        (
            Ask::post(chat, &json!({"model": "gpt-5.4-mini", "messages": messages, "stream": true, "stream_options": stream_options}))
                .bearer(key),
            "data: [DONE]",
        ),
        (Ask::post("/openai/v1/responses", &json!({"model": "gpt-5.4-mini", "input": "hello"})).bearer(key), "output_text"),
        (
            Ask::post("/openai/v1/embeddings", &json!({"model": "text-embedding-3-small", "input": "hello"})).bearer(key),
            "[0.5,-0.5]",
        ),
        (Ask::post(claude, &claude_body(false)).header("x-api-key", key), "end_turn"),
        (Ask::post(claude, &claude_body(true)).header("x-api-key", key), "event: message_stop"),
        (Ask::post(&of_gemini("generateContent"), &gemini).header("x-goog-api-key", key), "\"finishReason\":\"STOP\""),
        (Ask::post(&of_gemini("streamGenerateContent?alt=sse"), &gemini).header("x-goog-api-key", key), "data: {"),
    ]
}

#[tokio::test]
async fn a_mock_that_others_wrote_gets_what_three_providers_would_get_and_its_usage_is_priced_exactly() {
    let options = Options::default().extra_provider("stranger");
    let credentials = Files::new(options.clone()).credentials().to_vec();
    let secret = |provider: &str| &credentials.iter().find(|one| one.provider == provider).unwrap().secret;
    let providers = ["openai", "anthropic", "google"];
    let mut mocks = providers.map(|provider| Aimock::start(secret(provider)));
    let options = providers
        .iter()
        .zip(&mocks)
        .fold(options, |options, (provider, mock)| options.upstreams(&[(provider, &mock.upstream)]));
    let gateway = Gateway::start(options.upstreams(&[("stranger", &mocks[0].upstream)]));
    let key = gateway.issue(&Grant::all("aimock")).secret;

    for (ask, expected) in documented_calls(&key) {
        let answer: Answer = gateway.client().send(&ask).await.expect(200);
        assert!(answer.complete, "{ask:?}");
        let text = answer.text();
        assert!(
            text.contains(expected) && (text.contains("Hello from aimock.") || text.contains("embedding")),
            "{text}"
        );
    }
    // A credential that the provider does not know is the provider's matter: its own words reach the caller.
    let refused = Ask::chat("/stranger/v1/chat/completions", "gpt-5.4-mini", "hello").bearer(&key);
    let refused = gateway.client().send(&refused).await.expect(401);
    assert_eq!(refused.json()["error"]["code"], "invalid_api_key", "{}", refused.text());

    check_journal(&mocks.iter_mut().flat_map(Aimock::journal).collect::<Vec<_>>());
    let stats = gateway.stats("group_by=provider,endpoint", &key, |stats| stats["totals"]["requests"] == 9).await;
    let mut rows: Vec<_> = stats["rows"].as_array().unwrap().iter().map(read_row).collect();
    rows.sort_unstable();
    // A million tokens of gpt-5.4-mini cost $0.75 and $4.5, of claude-sonnet-5-5 $2 and $10, of gemini-2.5-flash $0.3 and $2.5.
    let expected = [
        ("anthropic messages", 2, 22, 14, "0.000184"),
        ("google generate_content", 1, 11, 7, "0.0000208"),
        ("google stream_generate_content", 1, 11, 7, "0.0000208"),
        ("openai chat.completions", 2, 22, 14, "0.0000795"),
        ("openai embeddings", 1, 0, 0, "0"),
        ("openai responses", 1, 11, 7, "0.00003975"),
        ("stranger chat.completions", 1, 0, 0, "0"),
    ];
    let expected = expected
        .map(|(name, requests, input, output, cost)| (name.to_owned(), requests, input, output, cost.to_owned()));
    assert_eq!(rows, expected, "{stats}");
    assert_eq!(stats["totals"]["errors"], 1, "{stats}");
}

/// What of a row of statistics the mock determines.
fn read_row(row: &Value) -> (String, u64, u64, u64, String) {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let count = |name: &str| row[name].as_u64().unwrap_or_default();
    let name = format!("{} {}", text("provider"), text("endpoint"));
    (name, count("requests"), count("input_tokens"), count("output_tokens"), text("cost_usd").to_owned())
}

/// aimock accepts its credential in any slot and blanks it in its journal: what stands there is which slots were filled.
fn check_journal(journal: &[Value]) {
    let slots = ["authorization", "x-api-key", "x-goog-api-key"];
    let seen: Vec<_> = journal
        .iter()
        .map(|entry| {
            let filled = slots.into_iter().filter(|slot| entry["headers"].get(slot).is_some()).collect::<Vec<_>>();
            (entry["path"].as_str().unwrap_or_default(), filled.join(" "), entry["status"].as_u64())
        })
        .collect();
    let expected = [
        ("/v1/chat/completions", "authorization"),
        ("/v1/chat/completions", "authorization"),
        ("/v1/responses", "authorization"),
        ("/v1/embeddings", "authorization"),
        ("/v1/messages", "x-api-key"),
        ("/v1/messages", "x-api-key"),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "x-goog-api-key"),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "x-goog-api-key"),
    ];
    assert_eq!(seen, expected.map(|(path, slot)| (path, slot.to_owned(), Some(200))));
    let all = format!("{journal:?}");
    assert!(!all.contains("gw_live_"), "a gateway key reached the provider: {all}");
}
