//! A gateway to attack: what an attacker sends with a key that is good, what was answered, and what must hold afterwards.

use crate::{
    memory::Watch,
    support::{
        gateway::{Gateway, Grant, Key, Options},
        http::{Answer, AnswerReader, Ask, Connection},
    },
};
use futures_util::future::{join, join_all};
use serde_json::json;
use std::cell::Cell;

/// An endpoint whose body is read before it is forwarded.
pub const CHAT: &str = "/openai/v1/chat/completions";
/// An endpoint whose body is passed on as it comes.
pub const FILES: &str = "/openai/v1/files";
/// A whole body for the first.
pub const BODY: &str = r#"{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"a"}]}"#;
/// Stands in every request of those who are no attackers.
const BYSTANDER: &str = "bystander";

/// A gateway under attack.
pub struct Ground {
    pub gateway: Gateway,
    /// The attacker's: a good one, so that what gets past the parsers is forwarded.
    pub key: Key,
    bystander: Ask,
}

/// How an attack was answered.
#[derive(Debug)]
pub struct Struck {
    /// All answers, up to the connection's end.
    pub answers: Vec<Answer>,
}

impl Struck {
    /// The status of the first answer, 0 when there was none, and its `error.type`, empty when it has no envelope.
    pub fn first(&self) -> (u16, String) {
        let Some(answer) = self.answers.first() else { return (0, String::new()) };
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status(), body["error"]["type"].as_str().unwrap_or_default().to_owned())
    }
}

impl Ground {
    /// Starts one. Idle connections end soon, so that an attack can be watched to its connection's end.
    pub fn start(options: Options) -> Self {
        Self::keeping(options, 1)
    }

    /// Starts one that keeps idle connections for so many seconds.
    pub fn keeping(options: Options, seconds: u32) -> Self {
        let gateway = Gateway::start(options.set("/requests/keepalive_seconds", json!(seconds)));
        let key = gateway.issue(&Grant::all("attacker"));
        let others = gateway.issue(&Grant::all(BYSTANDER));
        let target = format!("/anthropic/v1/models?{BYSTANDER}");
        let bystander = Ask::get(&target).bearer(&others.secret).sim("delay=20ms");
        Self { gateway, key, bystander }
    }

    /// The lines of a head that must not be missing, each with its end.
    pub fn head(&self) -> String {
        format!("host: gateway.test\r\nauthorization: Bearer {}\r\n", self.key.secret)
    }

    /// A chat call with further header lines (each with its end) and whatever stands for the body.
    pub fn chat(&self, lines: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = format!("POST {CHAT} HTTP/1.1\r\n{}content-type: application/json\r\n{lines}\r\n", self.head())
            .into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// A whole request that must never be seen upstream: hidden in another's body, or behind it.
    pub fn smuggled(&self) -> String {
        format!("GET /openai/v1/models?smuggled HTTP/1.1\r\n{}\r\n", self.head())
    }

    /// Sends bytes on a connection of their own and reads all answers until it ends.
    pub async fn strike(&self, bytes: &[u8]) -> Struck {
        let mut connection = self.gateway.client().connect().await;
        connection.write(bytes).await;
        read_all(&mut connection).await
    }

    /// What reached the provider, but for what the others sent.
    pub fn upstream(&self) -> Vec<String> {
        let requests = self.gateway.simulator.matching(|request| !request.target().contains(BYSTANDER));
        requests.iter().map(|request| format!("{} {}", request.method(), request.target())).collect()
    }

    /// Runs an attack while others are served, on connections of their own, during it and after it.
    pub async fn while_others_are_served<T>(&self, attack: impl Future<Output = T>) -> T {
        let ended = Cell::new(false);
        let attack = async {
            let outcome = attack.await;
            ended.set(true);
            outcome
        };
        let others = async {
            while !ended.get() {
                self.gateway.client().send(&self.bystander).await.expect(200);
            }
            self.gateway.client().send(&self.bystander).await.expect(200);
        };
        let (outcome, ()) = join(attack, others).await;
        self.assert_unharmed();
        outcome
    }

    /// Looks at the process' memory from now on.
    pub fn watch(&self) -> Watch {
        Watch::begin(self.gateway.process_id())
    }

    fn assert_unharmed(&self) {
        let lines = self.gateway.lines();
        let panics: Vec<&String> = lines.iter().filter(|line| line.contains("panicked")).collect();
        assert_eq!(panics, Vec::<&String>::new());
    }
}

/// Reads all answers on a connection until it ends.
pub async fn read_all(connection: &mut Connection) -> Struck {
    let mut answers = Vec::new();
    loop {
        let mut reader = AnswerReader::new("POST");
        connection.answer_until(&mut reader, |_| false).await;
        let answer = reader.end();
        if answer.status() == 0 {
            return Struck { answers };
        }
        let is_last = !answer.complete;
        answers.push(answer);
        if is_last {
            return Struck { answers };
        }
    }
}

/// One row of a table of attacks: its name, what is sent, and how it must be answered.
pub type Row<'a> = (&'a str, Vec<u8>, (u16, &'a str));

/// Strikes with each row while others are served: each must be answered once, as its row says, and then its connection
/// must end. Nothing may reach the provider.
pub async fn all_refused(ground: &Ground, rows: Vec<Row<'_>>) {
    let mut faults = Vec::new();
    let strikes = async {
        let struck = join_all(rows.iter().map(|(_, bytes, _)| ground.strike(bytes))).await;
        for (struck, (name, _, (status, kind))) in struck.iter().zip(&rows) {
            if struck.first() != (*status, (*kind).to_owned()) || struck.answers.len() != 1 {
                faults.push(format!("{name}: expected {status} {kind:?}, got {struck:?}"));
            }
        }
    };
    ground.while_others_are_served(strikes).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(ground.upstream(), Vec::<String>::new());
}
