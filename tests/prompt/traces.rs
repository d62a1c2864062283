//! No trace: what was asked and what was masked stands nowhere once it is answered, however it was answered.

use crate::{
    desk::{Desk, MODEL, options},
    support::{
        gateway::Gateway,
        http::{AnswerReader, Ask},
        simulator::{Break, Fault, Reply, Request},
    },
};
use serde_json::json;
use sociaro_gateway::usage::{connector, engine};
use std::{fs, path::Path, sync::Arc};

/// A fragment of every prompt, one of every answer, and the values; each may stand in prompts and answers alone.
const FRAGMENT: &str = "quagmire-9f31-fragment";
const ANSWER: &str = "wherewithal-4c77-answer";
const VALUES: [&str; 8] = [
    "ottilie.quagmire@zanzibar.example",
    "4242424242424242",
    "GB82WEST12345698765432",
    "203.0.113.77",
    "AKIAQ7ZT4WX9K2M5N8PR",
    "ghp_9aZ8bY7cX6dW5eV4fU3gT2hS1iR0jQkP1lMn",
    "+49 30 901820771",
    "078-05-1121",
];

fn prompt(mark: &str) -> String {
    let [email, card, iban, address, key, token, phone, ssn] = VALUES;
    format!(
        "{mark} {FRAGMENT}: email {email}, card {card}, IBAN {iban}, IP {address}, AWS_ACCESS_KEY_ID={key}, token {token}, \
         phone {phone}, SSN {ssn}."
    )
}

/// Provokes every ending with that prompt in it.
async fn provoke(desk: &Desk) {
    let reply = |mark: &'static str, reply: Reply| {
        desk.gateway
            .simulator
            .script(move |request: &Request| request.contains(mark.as_bytes()).then(|| reply.clone()));
    };
    let said = json!({"choices": [{"message": {"content": format!("{ANSWER} <EMAIL_1>")}}]}).to_string();
    reply("case-said.", Reply::json(200, said.clone()));
    reply("case-error.", Reply::json(500, json!({"error": {"message": format!("{ANSWER} {FRAGMENT}")}}).to_string()));
    reply("case-bad.", Reply::json(400, json!({"error": {"message": format!("{ANSWER} {FRAGMENT}")}}).to_string()));
    reply("case-odd.", Reply::json(200, format!("{{\"{ANSWER}\": \"{FRAGMENT}\"")));
    reply("case-cut.", Reply::json(200, said.clone()).with_fault(Fault::AfterBody(60, Break::Reset)));
    reply("case-head.", Reply::raw(format!("HTTP/1.1 200 OK\r\n{FRAGMENT} {ANSWER}\r\n\r\n")));
    reply("case-gone.", Reply::never());
    for case in ["case-said.", "case-error.", "case-bad.", "case-odd.", "case-cut.", "case-head."] {
        let answer = desk.send(&desk.ask(&prompt(case), MODEL)).await;
        assert_eq!(answer.status() == 200, case == "case-said.", "{case}: {}", answer.text());
        if answer.status() != 200 {
            clean(&format!("the answer to {case}"), answer.text().as_bytes());
        }
        clean(&format!("the head of {case}"), &answer.head.0);
    }
    let stream = Ask::post("/", &json!({"prompt": prompt("case-stream."), "model": MODEL, "stream": true}));
    desk.send(&stream.bearer(&desk.key.secret)).await.expect(200);
    desk.answer(&prompt("case-fallback."), "pair/down").await;
    let text = prompt("case-input.");
    let refused = [
        json!({"prompt": text, "model": MODEL, FRAGMENT: 1}).to_string(),
        json!({"prompt": [text], "model": MODEL}).to_string(),
        json!({"prompt": text, "model": text}).to_string(),
        json!({"prompt": text, "model": format!("openai/{FRAGMENT}")}).to_string(),
        json!({"prompt": text, "model": MODEL, "stream": text}).to_string(),
        json!({"prompt": text.repeat(200), "model": MODEL}).to_string(),
        json!({"prompt": text.repeat(2000), "model": MODEL}).to_string(),
        format!("{{\"prompt\": \"{text}\""),
        text.clone(),
    ];
    for body in refused {
        let answer = desk.send(&Ask::new("POST", "/").bearer(&desk.key.secret).body(body)).await;
        assert!((400..500).contains(&answer.status()), "{}", answer.text());
        clean("a refusal", answer.text().as_bytes());
        clean("a refusal's head", &answer.head.0);
    }
    let unknown = Ask::post("/", &json!({"prompt": text, "model": MODEL})).bearer(&format!("sk-gw_live_{:048x}", 7));
    clean("an unknown key's refusal", desk.send(&unknown).await.text().as_bytes());
    let mut connection = desk.gateway.client().connect().await;
    connection.write(&desk.ask(&prompt("case-gone."), MODEL).bytes()).await;
    let arrived = |request: &Request| request.contains(b"case-gone.") && request.complete;
    desk.gateway.simulator.wait_for("case-gone.", arrived).await.expect("it arrives");
    drop(connection);
    let mut connection = desk.gateway.client().connect().await;
    let body = json!({"prompt": prompt("case-half."), "model": MODEL, "stream": true});
    connection.write(&Ask::post("/", &body).bearer(&desk.key.secret).bytes()).await;
    connection.answer_until(&mut AnswerReader::new("POST"), |answer| !answer.body.is_empty()).await;
}

/// Fails when any of it stands there.
fn clean(place: &str, bytes: &[u8]) {
    for word in [FRAGMENT, ANSWER].into_iter().chain(VALUES) {
        let found = memchr::memmem::find(bytes, word.as_bytes());
        assert_eq!(
            found,
            None,
            "{place} holds {word}: {}",
            String::from_utf8_lossy(bytes).chars().take(400).collect::<String>()
        );
    }
}

fn clean_files(folder: &Path) -> usize {
    let mut searched = 0;
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            searched += clean_files(&path);
        } else if path.is_file() {
            // A file may go while it is looked for.
            let Ok(bytes) = fs::read(&path) else { continue };
            clean(&path.display().to_string(), &bytes);
            searched += 1;
        }
    }
    searched
}

#[tokio::test]
async fn nothing_of_a_prompt_or_an_answer_stays_anywhere() {
    let options = options().set("/log/level", json!("trace"));
    let desk = Desk::at(Arc::new(Gateway::start(options)), "traces");
    provoke(&desk).await;
    let open = |metrics: &crate::support::gateway::Metrics| metrics.total("gateway_exchanges_open") == 0.0;
    let metrics = desk.gateway.wait_for_metrics("all have ended", open).await;
    desk.gateway
        .wait_for_metrics("all is stored", |metrics| metrics.total("gateway_usage_events_waiting") == 0.0)
        .await;
    clean("the metrics", metrics.text().as_bytes());
    let client = connector::embedded(&engine::socket(&desk.gateway.usage_folder()));
    for table in ["usage_events", "usage_hourly", "usage_daily"] {
        let mut rows =
            client.query(&format!("SELECT * FROM sociaro.{table}")).fetch_bytes("JSONEachRow").expect("a query");
        let rows = rows.collect().await.expect("the usage store answers");
        assert!(!rows.is_empty(), "{table} is empty");
        clean(table, &rows);
    }
    let rows = desk.gateway.rows_now().await.expect("the usage store answers");
    let kinds: Vec<&serde_json::Value> =
        rows.iter().map(|row| &row["entities"]).filter(|kinds| kinds["EMAIL"] == 1).collect();
    assert!(kinds.len() >= 9, "they are counted: {kinds:?}");
    for target in ["/gw/usage?limit=1000", "/gw/stats?group_by=model,endpoint,error_type,status", "/gw/me", "/models"] {
        let answer = desk.gateway.client().send(&Ask::get(target).bearer(&desk.key.secret)).await.expect(200);
        clean(target, &answer.body);
    }
    clean("the log", desk.gateway.lines().join("\n").as_bytes());
    assert!(clean_files(desk.gateway.folder()) > 5);
    for request in desk.gateway.simulator.requests() {
        for value in VALUES {
            assert!(!request.contains(value.as_bytes()), "{value} left");
        }
    }
}
