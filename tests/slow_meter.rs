//! A meter that stands still delays nobody: the stream goes on, the caller can go, its permit returns; what could be kept
//! is metered exactly once the meter goes on, and what could not is counted and estimated.
#![cfg(test)]

pub mod support;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::{
    fs::{File, OpenOptions, rename, write},
    path::PathBuf,
};
use support::{
    gateway::{Gateway, Grant, Key, Options, names},
    http::{Answer, AnswerReader, Ask},
    simulator::{Coding, Delivery, Gate, Reply},
    wait::wait_until,
};
use tempfile::TempDir;

const SLOW: &str = "gateway_answers_unreadable_total";
const USAGE: &str =
    r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1203,"completion_tokens":4507,"total_tokens":5710}}"#;
/// Larger than what may wait to be read of one answer.
const LARGE_BYTES: usize = 6 << 20;

/// A pipe that meters wait for: while it is held, they stand still.
struct Brake {
    held: Option<File>,
    pipe: PathBuf,
    folder: TempDir,
}

impl Brake {
    fn pull() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("brake");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // whoever opens it reads nothing and no end as long as this is open
        let held = Some(OpenOptions::new().read(true).write(true).open(&pipe).unwrap());
        Self { held, pipe, folder }
    }

    fn start(&self) -> (Gateway, Key) {
        let pipe = self.pipe.display().to_string();
        let gateway = Gateway::start(Options::default().env("SOCIARO_GATEWAY_FAULT_SLOW_METERS", &pipe));
        let mut grant = Grant::all("slow");
        grant.arguments = vec!["--concurrency".to_owned(), "1".to_owned()];
        let key = gateway.issue(&grant);
        (gateway, key)
    }

    fn release(&mut self) {
        let file = self.folder.path().join("file");
        write(&file, "").unwrap();
        rename(&file, &self.pipe).unwrap();
        self.held = None;
    }
}

fn event(data: &str) -> Vec<u8> {
    format!("data: {data}\n\n").into_bytes()
}

fn text(text: &str) -> Vec<u8> {
    event(&json!({"id": "c", "choices": [{"delta": {"content": text}}]}).to_string())
}

fn ask(key: &Key, name: &str) -> Ask {
    let body = json!({"model": "gpt-5.4-mini", "stream": true, "messages": [{"role": "user", "content": "a"}]});
    Ask::post("/openai/v1/chat/completions", &body).bearer(&key.secret).sim(&format!("reply={name}"))
}

fn stream(gateway: &Gateway, pieces: Vec<Vec<u8>>, change: impl FnOnce(&mut Delivery)) {
    gateway.simulator.name("stream", Reply::events(pieces).delivered(change));
}

/// A metric's value, to be compared. The sum of nothing is minus zero.
fn metric(gateway: &Gateway, name: &str) -> String {
    gateway.metrics().total(name).abs().to_string()
}

fn slow_count(gateway: &Gateway) -> String {
    gateway.metrics().sum(SLOW, |labels| labels.contains("slow")).abs().to_string()
}

/// The one stored row.
async fn row(gateway: &Gateway) -> Value {
    let rows = gateway.rows().await;
    assert_eq!(rows.count(), 1, "{rows:?}");
    rows.iter().next().unwrap().clone()
}

/// Reads an answer piece by piece; the provider writes one when, and only when, the caller has the one before.
async fn step_by_step(gateway: &Gateway, key: &Key, gate: &Gate, pieces: usize) -> Answer {
    let mut connection = gateway.client().connect().await;
    let ask = ask(key, "stream");
    connection.write(&ask.bytes()).await;
    let mut reader = AnswerReader::new(ask.method());
    for _ in 0..pieces {
        let size = reader.so_far().body.len();
        connection.answer_until(&mut reader, |answer| answer.body.len() > size).await;
        gate.let_one_pass();
    }
    connection.answer_until(&mut reader, |_| false).await;
    reader.end().expect(200)
}

#[tokio::test]
async fn chunks_pass_while_their_meter_stands_still_and_are_metered_exactly_afterwards() {
    for coding in [Coding::Identity, Coding::Gzip, Coding::Brotli, Coding::Zstd, Coding::Deflate] {
        let mut brake = Brake::pull();
        let (gateway, key) = brake.start();
        let mut pieces = vec![text("Hello"); 20];
        pieces.extend([event(USAGE), event("[DONE]")]);
        let gate = Gate::default();
        stream(&gateway, pieces.clone(), |delivery| {
            delivery.coding = coding;
            delivery.gate = Some(gate.clone());
        });
        let answer = step_by_step(&gateway, &key, &gate, pieces.len()).await;
        assert!(answer.complete, "{coding:?}");
        assert_eq!(metric(&gateway, names::USAGE_EVENTS), "0", "{coding:?}: its meter stands still");
        assert_eq!(metric(&gateway, names::EXCHANGES_OPEN), "1", "{coding:?}: so it has not settled");
        brake.release();
        let row = row(&gateway).await;
        let found = (&row["input_tokens"], &row["output_tokens"], &row["usage_source"], &row["error_type"]);
        assert_eq!(found, (&json!(1203), &json!(4507), &json!("provider"), &json!("")), "{coding:?}: {row}");
        assert_eq!(slow_count(&gateway), "0", "{coding:?}");
    }
}

#[tokio::test]
async fn what_comes_faster_than_it_can_be_metered_reaches_the_caller_and_is_counted_and_estimated() {
    let mut brake = Brake::pull();
    let (gateway, key) = brake.start();
    let piece = text(&"x".repeat(64 << 10));
    let mut pieces = vec![piece.clone(); LARGE_BYTES / piece.len()];
    pieces.extend([event(USAGE), event("[DONE]")]);
    stream(&gateway, pieces.clone(), |_| {});
    let answer = gateway.client().send(&ask(&key, "stream")).await.expect(200);
    assert!(answer.complete && answer.body == pieces.concat(), "{} bytes arrived", answer.body.len());
    brake.release();
    let row = row(&gateway).await;
    assert_eq!((&row["usage_source"], &row["error_type"]), (&json!("estimated"), &json!("")), "{row}");
    let output = row["output_tokens"].as_u64().unwrap();
    assert!(output > 500_000 && output < LARGE_BYTES as u64 / 4, "a part of the text was read: {row}");
    assert_eq!(slow_count(&gateway), "1");
}

#[tokio::test]
async fn a_caller_that_goes_is_settled_later_but_its_permit_returns_at_once() {
    let mut brake = Brake::pull();
    let (gateway, key) = brake.start();
    let gate = Gate::default();
    stream(&gateway, vec![text("four"), text("more")], |delivery| delivery.gate = Some(gate.clone()));
    let mut connection = gateway.client().connect().await;
    connection.write(&ask(&key, "stream").bytes()).await;
    let mut reader = AnswerReader::new("POST");
    connection.answer_until(&mut reader, |answer| !answer.body.is_empty()).await;
    drop(connection);
    // the key allows one at a time
    wait_until("the next call of the same key", async || {
        let answer = gateway.client().send(&Ask::get("/openai/v1/models").bearer(&key.secret)).await;
        if answer.status() == 200 { Ok(()) } else { Err(answer.status()) }
    })
    .await;
    wait_until("all but the first to end", async || {
        let open = metric(&gateway, names::EXCHANGES_OPEN);
        if open == "1" { Ok(()) } else { Err(open) }
    })
    .await;
    brake.release();
    let rows = gateway.rows().await.with("/error_type", "caller_gone");
    let found: Vec<_> = rows.iter().map(|row| (&row["usage_source"], &row["output_tokens"])).collect();
    assert_eq!(found, [(&json!("estimated"), &json!(1))]);
}
