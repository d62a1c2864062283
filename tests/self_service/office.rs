//! What the tests ask of the self-service endpoints.

use crate::support::{
    gateway::{Gateway, Grant, Key},
    http::{Answer, Ask},
};
use serde_json::{Value, json};

/// An organization with a key that may manage keys.
pub struct Office {
    pub gateway: Gateway,
    pub organization: String,
    pub manager: Key,
}

impl Office {
    pub fn open(gateway: Gateway, organization: &str) -> Self {
        let mut grant = Grant::all(organization);
        grant.scopes = vec!["keys:manage".to_owned()];
        grant.allow = Vec::new();
        let manager = gateway.issue(&grant);
        Self { gateway, organization: organization.to_owned(), manager }
    }

    pub async fn get(&self, target: &str, key: &Key) -> Answer {
        self.gateway.client().send(&Ask::get(target).bearer(&key.secret)).await
    }

    pub async fn delete(&self, id: &str, key: &Key) -> Answer {
        let ask = Ask::new("DELETE", &format!("/gw/keys/{id}")).bearer(&key.secret);
        self.gateway.client().send(&ask).await
    }

    pub async fn post(&self, order: &Value) -> Answer {
        self.gateway.client().send(&Ask::post("/gw/keys", order).bearer(&self.manager.secret)).await
    }

    /// Issues a key that must be one.
    pub async fn issue(&self, order: &Value) -> (Key, Value) {
        let answer = self.post(order).await.expect(201);
        let value = answer.json();
        (Key::of(&value).expect("a key"), value)
    }

    /// The keys as the organization sees them.
    pub async fn keys(&self) -> Vec<Value> {
        let answer = self.get("/gw/keys", &self.manager).await.expect(200);
        answer.json().as_array().expect("a list").clone()
    }

    /// `org set-ceiling` with these arguments.
    pub fn set_ceiling(&self, arguments: &[&str]) {
        let config = self.gateway.config().display().to_string();
        let head = ["org", "set-ceiling", "--config", &config, "--org", &self.organization];
        let arguments: Vec<String> = head.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
        let output = self.gateway.run(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// An allow rule.
pub fn allow(provider: &str, pattern: &str) -> Value {
    json!({"provider": provider, "model_pattern": pattern, "effect": "allow"})
}

/// A deny rule.
pub fn deny(provider: &str, pattern: &str) -> Value {
    json!({"provider": provider, "model_pattern": pattern, "effect": "deny"})
}

/// Checks a refusal.
pub fn refused(what: &str, answer: &Answer, status: u16, says: &str) {
    assert_eq!(answer.status(), status, "{what}: {}", answer.text());
    let value = answer.json();
    let message = value["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(says), "{what}: {message:?} lacks {says:?}");
    assert!(answer.header("x-gateway-request-id").is_some(), "{what}");
}
