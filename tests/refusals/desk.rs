//! What every refusal must be like, in one place: status, envelope, headers, the connection afterwards, nothing upstream,
//! and one usage row under the caller's organization.

use crate::support::{
    gateway::{Gateway, Grant, Key, rows::text},
    http::{Answer, Ask},
    simulator::Request,
    wait::wait_until,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sociaro_gateway::base::ids::RequestId;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The chat endpoint, which most cases go to.
pub const CHAT: &str = "/openai/v1/chat/completions";
/// Stands in prompts: no answer and no log may show it.
pub const PROMPT: &str = "prompt-canary-7f3a";

/// What happens to the connection behind a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It carries the next request.
    Open,
    /// It ends, with nothing behind the answer.
    Closed,
}

/// What a refusal must be.
#[derive(Debug, Clone)]
pub struct Want {
    status: u16,
    kind: &'static str,
    /// All of these.
    says: Vec<String>,
    /// Or this instead of the first.
    or_says: Option<String>,
    after: After,
    recorded: bool,
    /// How many requests the provider gets of it.
    upstream: usize,
    headers: Vec<(&'static str, &'static str)>,
}

impl Want {
    /// A status, its type, and a text that the message must hold.
    pub fn new(status: u16, kind: &'static str, says: &str) -> Self {
        Self {
            status,
            kind,
            says: vec![says.to_owned()],
            or_says: None,
            after: After::Open,
            recorded: true,
            upstream: 0,
            headers: Vec::new(),
        }
    }

    /// 400
    pub fn bad_request(says: &str) -> Self {
        Self::new(400, "bad_request", says)
    }

    /// 401, which belongs to nobody's usage.
    pub fn unauthorized(says: &str) -> Self {
        Self::new(401, "unauthorized", says).unrecorded()
    }

    /// 403
    pub fn forbidden(says: &str) -> Self {
        Self::new(403, "forbidden", says)
    }

    /// 413
    pub fn too_large(says: &str) -> Self {
        Self::new(413, "payload_too_large", says)
    }

    /// The message must hold this, too.
    #[must_use]
    pub fn says(mut self, text: &str) -> Self {
        self.says.push(text.to_owned());
        self
    }

    /// Or the message holds this: where it depends on how the bytes arrive.
    #[must_use]
    pub fn or_says(mut self, text: &str) -> Self {
        self.or_says = Some(text.to_owned());
        self
    }

    /// The connection ends behind it.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.after = After::Closed;
        self
    }

    /// No row of the organization tells of it.
    #[must_use]
    pub fn unrecorded(mut self) -> Self {
        self.recorded = false;
        self
    }

    /// The provider gets so many requests of it.
    #[must_use]
    pub fn upstream(mut self, requests: usize) -> Self {
        self.upstream = requests;
        self
    }

    /// The answer has this header, with this value.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// An organization of its own on a gateway, and what its usage must come to.
pub struct Desk {
    pub gateway: Arc<Gateway>,
    /// All scopes, all models.
    pub key: Key,
    /// Of another organization: shows that a connection still works.
    witness: Key,
    organization: String,
    cases: AtomicUsize,
    rows: Mutex<BTreeMap<(String, String), u64>>,
    refused: Mutex<BTreeMap<String, Refused>>,
}

/// What the log, and the organization's usage, must say of a request.
#[derive(Debug, Clone, PartialEq)]
struct Refused {
    status: u16,
    kind: &'static str,
    recorded: bool,
}

impl Desk {
    /// On the gateway that the tests share.
    pub fn shared(organization: &str) -> Self {
        Self::at(Gateway::shared(), organization)
    }

    /// On this gateway.
    pub fn at(gateway: Arc<Gateway>, organization: &str) -> Self {
        let key = gateway.issue(&Grant::all(organization));
        let witness = gateway.issue(&Grant::all(&format!("{organization}-witness")));
        let organization = organization.to_owned();
        Self {
            gateway,
            key,
            witness,
            organization,
            cases: AtomicUsize::new(0),
            rows: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// One more key of the organization.
    pub fn issue(&self, change: impl FnOnce(&mut Grant)) -> Key {
        let mut grant = Grant::all(&self.organization);
        change(&mut grant);
        self.gateway.issue(&grant)
    }

    /// Sends a request that must be refused, and checks everything.
    pub async fn refuses(&self, what: &str, ask: &Ask, want: &Want) -> Answer {
        self.refuses_bytes(what, (ask.method(), &ask.bytes()), want).await
    }

    /// The same for a request given by its method and bytes.
    pub async fn refuses_bytes(&self, what: &str, (method, bytes): (&str, &[u8]), want: &Want) -> Answer {
        let (case, bytes) = self.marked(bytes);
        let mut connection = self.gateway.client().connect().await;
        connection.write(&bytes).await;
        let answer = connection.answer(method).await;
        self.check(what, &answer, want);
        match want.after {
            After::Open => {
                let next = Ask::get("/openai/v1/models").bearer(&self.witness.secret);
                let next = connection.send(&next).await;
                assert_eq!(next.status(), 200, "{what}: the connection is of no use any more");
            }
            After::Closed => {
                let (rest, _how) = connection.to_end().await;
                assert!(rest.is_empty(), "{what}: behind the answer came {:?}", String::from_utf8_lossy(&rest));
            }
        }
        assert_eq!(self.upstream(&case).len(), want.upstream, "{what}: what the provider got");
        if want.recorded {
            self.expect_row(want.status, want.kind);
        }
        answer
    }

    /// Sends a request that must reach the provider, and returns the answer and what the provider got.
    pub async fn passes(&self, what: &str, ask: &Ask) -> (Answer, Request) {
        let (case, bytes) = self.marked(&ask.bytes());
        let mut connection = self.gateway.client().connect().await;
        connection.write(&bytes).await;
        let answer = connection.answer(ask.method()).await;
        assert_eq!((answer.status(), answer.complete), (200, true), "{what}: {}", answer.text());
        let mut upstream = self.upstream(&case);
        assert_eq!(upstream.len(), 1, "{what}: what the provider got");
        self.expect_row(200, "");
        (answer, upstream.remove(0))
    }

    /// One row more must be there in the end.
    pub fn expect_row(&self, status: u16, error_type: &str) {
        *self.rows.lock().entry((status.to_string(), error_type.to_owned())).or_default() += 1;
    }

    /// Waits until the organization's usage is what its requests came to, no more and no less.
    pub async fn settle(self) {
        let expected = self.rows.lock().clone();
        let total: u64 = expected.values().sum();
        let query = "group_by=status,error_type";
        let stats = self.gateway.stats(query, &self.key.secret, |stats| stats["totals"]["requests"] == total).await;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let rows = stats["rows"].as_array().into_iter().flatten();
        let found: BTreeMap<(String, String), u64> = rows
            .map(|row| ((text(&row["status"]), text(&row["error_type"])), row["requests"].as_u64().unwrap_or_default()))
            .collect();
        assert_eq!(found, expected, "usage of {}", self.organization);
        self.is_told_by_id().await;
        let told: Vec<String> = self.gateway.lines().into_iter().filter(|line| line.contains(PROMPT)).collect();
        assert_eq!(told, Vec::<String>::new(), "the log shows a prompt");
    }

    /// Each refusal stands in the log and, where it is recorded, in the usage store under the id that the caller got.
    async fn is_told_by_id(&self) {
        let refused = self.refused.lock().clone();
        let rows = self.gateway.rows_now().await.expect("the usage store answers");
        let stored: BTreeMap<String, &Value> = rows
            .iter()
            .filter(|row| !text(row, "/organization_id").is_empty())
            .map(|row| (text(row, "/request_id"), row))
            .collect();
        for (id, refused) in &refused {
            let row = stored.get(id).map(|row| (row["status"].as_u64(), row["error_type"].as_str()));
            let expected = refused.recorded.then_some((Some(u64::from(refused.status)), Some(refused.kind)));
            assert_eq!(row, expected, "the row of {id}, {refused:?}");
        }
        let logged = async || {
            let log = self.gateway.log();
            let lines = log.iter().filter(|line| line["message"] == "exchange");
            let told: BTreeMap<String, (Option<u64>, String)> = lines
                .map(|line| (text(line, "/request_id"), (line["status"].as_u64(), text(line, "/error_type"))))
                .collect();
            let differs = |(id, refused): &(&String, &Refused)| {
                told.get(*id) != Some(&(Some(u64::from(refused.status)), refused.kind.to_owned()))
            };
            let missing: Vec<_> = refused.iter().filter(differs).map(|(id, one)| (id, one, told.get(id))).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
        };
        wait_until("the access log tells of each refusal", logged).await;
    }

    /// What the provider got of a case.
    fn upstream(&self, case: &str) -> Vec<Request> {
        self.gateway.simulator.matching(|request| request.header("x-case") == Some(case))
    }

    /// A request with a header by which the provider's records find it.
    fn marked(&self, bytes: &[u8]) -> (String, Vec<u8>) {
        let case = format!("{}-{}", self.organization, self.cases.fetch_add(1, Ordering::Relaxed));
        let line_end = memchr::memmem::find(bytes, b"\r\n").expect("a request line") + 2;
        let (first, rest) = bytes.split_at(line_end);
        let marked = [first, format!("x-case: {case}\r\n").as_bytes(), rest].concat();
        (case, marked)
    }

    /// The answer alone.
    pub fn check(&self, what: &str, answer: &Answer, want: &Want) {
        let text = answer.text();
        let told = format!("{what}: {:?}\n{text}", answer.head);
        assert_eq!((answer.status(), answer.complete), (want.status, true), "{told}");
        assert_eq!(answer.head.values("content-type").collect::<Vec<_>>(), ["application/json"], "{told}");
        let ids: Vec<&str> = answer.head.values("x-gateway-request-id").collect();
        assert!(ids.len() == 1 && RequestId::parse(ids[0]).is_some_and(|id| id.as_str() == ids[0]), "{told}");
        let value = answer.json();
        let message = value["error"]["message"].as_str().unwrap_or_else(|| panic!("no message: {told}"));
        let envelope = json!({"error": {"type": want.kind, "message": message, "request_id": ids[0]}});
        assert_eq!(value, envelope, "{told}");
        let refused = Refused { status: want.status, kind: want.kind, recorded: want.recorded };
        assert_eq!(self.refused.lock().insert(ids[0].to_owned(), refused), None, "an id that was there before: {told}");
        for part in &want.says {
            let or = want.or_says.as_deref().is_some_and(|text| message.contains(text));
            assert!(message.contains(part.as_str()) || or, "the message lacks {part:?}: {told}");
        }
        let waits = matches!(want.status, 429 | 503);
        let seconds = answer.header("retry-after").map(|value| value.parse::<u32>().expect("whole seconds"));
        assert_eq!(seconds.is_some_and(|seconds| seconds >= 1), waits, "Retry-After: {told}");
        for (name, value) in &want.headers {
            assert_eq!(answer.header(name), Some(*value), "{name}: {told}");
        }
        let port = self.gateway.simulator.address().port().to_string();
        let folder = self.gateway.folder().display().to_string();
        let whole = format!("{:?}{text}", answer.head);
        // What may not be shown of a key: what follows its displayable prefix.
        let digits: String = self.key.secret.chars().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect();
        for secret in ["sk-canary", "127.0.0.1", "/src/", PROMPT, &port, &folder, &digits] {
            assert!(!whole.contains(secret), "it shows {secret:?}: {told}");
        }
    }
}
