//! A key of an organization of its own, questions by it, and what every answer of this surface must be like.

use crate::support::{
    gateway::{Gateway, Grant, Key, Options, rows::text},
    http::{Answer, Ask},
    simulator::Request,
    wait::wait_until,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sociaro_gateway::base::ids::RequestId;
use std::sync::{Arc, Weak};

/// The model that most questions go to.
pub const MODEL: &str = "openai/gpt-5.4-mini";

/// The catalog of these tests: `NAMESPACE/NAME` is one provider's, `pair/…` has a fallback.
pub fn catalog() -> Value {
    let pair = |id: &str, provider: &str, model: &str, fallback: &str| json!({"id": id, "provider": provider, "model": model, "fallback": fallback});
    json!([
        {"id": "openai/gpt-5.4-mini"},
        {"id": "anthropic/claude-haiku-5-5", "max_output_tokens": 1000},
        {"id": "google/gemini-3.8-flash"},
        {"id": "alibaba/qwen3-max"},
        {"id": "byteplus/seed-2-0-pro", "output_bound": "max_completion_tokens"},
        {"id": "mulerouter/qwen3-max"},
        {"id": "openai/off", "enabled": false},
        {"id": "nowhere/gpt-5.4", "provider": "unset"},
        {"id": "down/gpt-5.4"},
        pair("pair/openai", "openai", "gpt-5.4", "pair/anthropic"),
        {"id": "pair/anthropic", "provider": "anthropic", "model": "claude-sonnet-5-5"},
        pair("pair/down", "down", "gpt-5.4", "google/gemini-3.8-flash"),
        pair("pair/both-down", "down", "gpt-5.4", "down/gpt-5.4"),
    ])
}

/// The options of these tests: the catalog, a provider that nobody can reach, and one without a credential.
pub fn options() -> Options {
    Options::default()
        .extra_provider("down")
        .upstreams(&[("down", "http://127.0.0.1:1")])
        .extra_provider("unset")
        .without_credential("unset")
        .set("/prompt/models", catalog())
}

/// The gateway that the tests share while any of them runs.
fn shared() -> Arc<Gateway> {
    static SHARED: Mutex<Weak<Gateway>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock();
    shared.upgrade().unwrap_or_else(|| {
        let gateway = Arc::new(Gateway::start(options()));
        *shared = Arc::downgrade(&gateway);
        gateway
    })
}

/// An organization with a key.
pub struct Desk {
    pub gateway: Arc<Gateway>,
    pub key: Key,
    organization: String,
}

impl Desk {
    /// On the shared gateway.
    pub fn shared(organization: &str) -> Self {
        Self::at(shared(), organization)
    }

    /// On this gateway; the key is of the security gateway's own kind.
    pub fn at(gateway: Arc<Gateway>, organization: &str) -> Self {
        let mut grant = Grant::all(organization);
        grant.arguments = ["--kind", "security"].map(str::to_owned).to_vec();
        let key = gateway.issue(&grant);
        Self { gateway, key, organization: organization.to_owned() }
    }

    /// One more key of the organization.
    pub fn issue(&self, change: impl FnOnce(&mut Grant)) -> Key {
        let mut grant = Grant::all(&self.organization);
        change(&mut grant);
        self.gateway.issue(&grant)
    }

    /// A question.
    pub fn ask(&self, prompt: &str, model: &str) -> Ask {
        Ask::post("/", &json!({"prompt": prompt, "model": model})).bearer(&self.key.secret)
    }

    /// Asks, and gives the answer's document.
    pub async fn answer(&self, prompt: &str, model: &str) -> Value {
        let answer = self.send(&self.ask(prompt, model)).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    }

    /// Sends a request, and checks what all answers have in common.
    pub async fn send(&self, ask: &Ask) -> Answer {
        let answer = self.gateway.client().send(ask).await;
        check_head(&answer);
        answer
    }

    /// Sends a request that must be refused.
    pub async fn refuses(&self, what: &str, ask: &Ask, status: u16, code: &str) -> Answer {
        let answer = self.send(ask).await;
        check_refusal(what, &answer, status, code);
        answer
    }

    /// What a provider got whose body holds this text.
    pub fn upstream(&self, mark: &str) -> Vec<Request> {
        self.gateway.simulator.matching(|request| request.contains(mark.as_bytes()))
    }

    /// The one request that a provider got.
    pub fn the_upstream(&self, mark: &str) -> Request {
        let mut requests = self.upstream(mark);
        assert_eq!(requests.len(), 1, "requests with {mark}");
        requests.remove(0)
    }

    /// The stored row of an answer, once it is there.
    pub async fn row(&self, answer: &Answer) -> Value {
        let id = answer.header("x-request-id").expect("an id").to_owned();
        let look = async || {
            let rows = self.gateway.rows_now().await?;
            let found: Vec<Value> = rows.iter().filter(|row| text(row, "/request_id") == id).cloned().collect();
            match <[Value; 1]>::try_from(found) {
                Ok([row]) => Ok(row),
                Err(rows) => Err(format!("{} rows of {id}", rows.len())),
            }
        };
        wait_until("the usage row", look).await
    }
}

/// Every answer has its id twice, once under each name, and is not to be cached.
pub fn check_head(answer: &Answer) {
    assert!(answer.complete, "{:?}", answer.head);
    let ids: Vec<&str> = answer.head.values("x-request-id").chain(answer.head.values("x-gateway-request-id")).collect();
    let [first, second] = ids[..] else { panic!("not two ids: {:?}", answer.head) };
    assert_eq!(first, second);
    assert!(RequestId::parse(first).is_some(), "{first}");
}

/// A refusal is the envelope and no more.
pub fn check_refusal(what: &str, answer: &Answer, status: u16, code: &str) {
    let told = format!("{what}: {:?}\n{}", answer.head, answer.text());
    assert_eq!(answer.status(), status, "{told}");
    assert_eq!(answer.head.values("content-type").collect::<Vec<_>>(), ["application/json"], "{told}");
    let document = answer.json();
    let message = document["error"]["message"].as_str().unwrap_or_else(|| panic!("no message: {told}"));
    assert!(!message.is_empty(), "{told}");
    assert_eq!(document, json!({"error": {"code": code, "message": message}}), "{told}");
    let seconds = answer.header("retry-after").map(|value| value.parse::<u32>().expect("whole seconds"));
    assert_eq!(seconds.is_some_and(|seconds| seconds >= 1), matches!(status, 429 | 503), "{told}");
    for secret in ["sk-canary", "127.0.0.1", "hush"] {
        assert!(!format!("{:?}{}", answer.head, answer.text()).contains(secret), "it shows {secret}: {told}");
    }
}
