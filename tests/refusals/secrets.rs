//! Secrets stay where they belong: a gateway key never reaches a provider, a caller cannot bring a credential of its own, and
//! neither shows in answers, logs, metrics or usage.

use crate::{
    desk::CHAT,
    support::{
        gateway::{Gateway, Grant, Key, Options},
        http::Ask,
        simulator::Request,
    },
};
use serde_json::json;

/// Headers in which some provider, or a front end of it, takes a credential.
const AUTH_HEADERS: [&str; 16] = [
    "Authorization",
    "AUTHORIZATION",
    "Proxy-Authorization",
    "x-api-key",
    "X-API-KEY",
    "x_api_key",
    "x-goog-api-key",
    "X-Goog-Api-Key",
    "api-key",
    "Api-Key",
    "apikey",
    "x-auth-token",
    "x-access-token",
    "x-goog-iam-authorization-token",
    "ocp-apim-subscription-key",
    "x-amz-security-token",
];
const AUTH_PARAMETERS: [&str; 8] =
    ["key", "api_key", "apikey", "access_token", "oauth_token", "subscription-key", "KEY", "%6Bey"];
/// What a caller may try to bring along.
const OWN_CREDENTIAL: &str = "sk-callers-own-5d1f";

/// Where each provider takes the key and how the credential goes in.
struct Provider {
    name: &'static str,
    target: &'static str,
    slot: &'static str,
    credential_in: &'static str,
}

const PROVIDERS: [Provider; 4] = [
    Provider { name: "openai", target: CHAT, slot: "authorization", credential_in: "authorization" },
    Provider { name: "anthropic", target: "/anthropic/v1/messages", slot: "x-api-key", credential_in: "x-api-key" },
    Provider {
        name: "google",
        target: "/google/v1beta/models/gemini-2.5-pro:generateContent",
        slot: "x-goog-api-key",
        credential_in: "x-goog-api-key",
    },
    Provider {
        name: "byteplus",
        target: "/byteplus/api/v3/chat/completions",
        slot: "authorization",
        credential_in: "authorization",
    },
];

impl Provider {
    /// A request whose key stands where this provider takes it.
    fn ask(&self, query: &str, key: &Key) -> Ask {
        let text = if self.slot == "authorization" { format!("Bearer {}", key.secret) } else { key.secret.clone() };
        Ask::chat(&format!("{}{query}", self.target), "m", "a").header(self.slot, &text)
    }

    /// Sends it, and gives what the provider received.
    async fn received(&self, gateway: &Gateway, ask: Ask) -> Request {
        let before = gateway.simulator.arrived();
        let answer = gateway.client().send(&ask).await;
        assert_eq!(answer.status(), 200, "{}: {ask:?}\n{}", self.name, answer.text());
        let mut new = gateway.simulator.matching(|request| request.sequence >= before);
        assert_eq!(new.len(), 1, "{}: {ask:?}", self.name);
        new.remove(0)
    }

    /// The credential stands in its slot alone; neither key nor a foreign credential stands anywhere in the head.
    fn check(&self, gateway: &Gateway, key: &Key, what: &str, request: &Request) {
        let credential = gateway.credential(self.name);
        let expected =
            if self.credential_in == "authorization" { format!("Bearer {credential}") } else { credential.to_owned() };
        let found: Vec<&str> = request.head.values(self.credential_in).collect();
        assert_eq!(found, [expected], "{}, {what}", self.name);
        let head = String::from_utf8_lossy(&request.head.0).into_owned();
        let decoded = percent_decoded(&head).to_ascii_lowercase();
        assert_eq!(decoded.matches(credential).count(), 1, "{}, {what}: {head}", self.name);
        let digits: String = key.secret.chars().skip(8).collect();
        for secret in [digits.as_str(), "gw_live_", OWN_CREDENTIAL] {
            assert!(!decoded.contains(secret), "{}, {what}: {secret} reached the provider: {head}", self.name);
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('&', "%26").replace('+', "%2B"));
    form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

fn encoded(key: &str) -> String {
    key.bytes().flat_map(|byte| ["%".to_owned(), hex::encode([byte])]).collect()
}

#[tokio::test]
async fn a_gateway_key_never_reaches_a_provider_wherever_it_stands() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("secrets-key"));
    let (plain, bearer, escaped) = (key.secret.clone(), format!("Bearer {}", key.secret), encoded(&key.secret));
    let underscores = plain.replace('_', "%5F");
    for provider in &PROVIDERS {
        let others = AUTH_HEADERS.iter().filter(|name| !name.eq_ignore_ascii_case(provider.slot));
        let places =
            ["Referer", "X-Anything", "X-Attr-Feature", "X-Project", "traceparent", "User-Agent", "x-stainless-lang"];
        for name in others.copied().chain(places) {
            for value in [&plain, &bearer, &escaped, &underscores, &format!("https://a.test/?key={plain}&b=c")] {
                let request = provider.received(&gateway, provider.ask("", &key).header(name, value)).await;
                provider.check(&gateway, &key, name, &request);
            }
        }
        let cookie = provider.ask("", &key).header("cookie", &format!("a=b; k={plain}; c=d"));
        let request = provider.received(&gateway, cookie).await;
        provider.check(&gateway, &key, "cookie", &request);
        assert_eq!(request.header("cookie"), Some("a=b; c=d"), "{}", provider.name);
        for name in AUTH_PARAMETERS.into_iter().chain(["anything", "model"]) {
            for value in [&plain, &escaped, &underscores] {
                let ask = provider.ask(&format!("?a=b&{name}={value}&c=d"), &key);
                let request = provider.received(&gateway, ask).await;
                provider.check(&gateway, &key, name, &request);
                assert_eq!(request.query(), Some("a=b&c=d"), "{}, {name}", provider.name);
            }
        }
        let named = provider.ask(&format!("?{plain}"), &key).header(&plain, "x");
        provider.check(&gateway, &key, "a name", &provider.received(&gateway, named).await);
    }
    shows_nowhere(&gateway, &key).await;
}

#[tokio::test]
async fn a_callers_own_credential_does_not_pass_the_swap() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("secrets-own"));
    let bearer = format!("Bearer {OWN_CREDENTIAL}");
    for provider in &PROVIDERS {
        for name in AUTH_HEADERS.iter().filter(|name| !name.eq_ignore_ascii_case(provider.slot)) {
            for value in [OWN_CREDENTIAL, &bearer] {
                let request = provider.received(&gateway, provider.ask("", &key).header(name, value)).await;
                provider.check(&gateway, &key, name, &request);
            }
        }
        for name in AUTH_PARAMETERS {
            let ask = provider.ask(&format!("?{name}={OWN_CREDENTIAL}&a=b"), &key);
            // Google takes the key in the query, too: what stands there does not matter once a header holds one.
            let request = provider.received(&gateway, ask).await;
            provider.check(&gateway, &key, name, &request);
            assert_eq!(request.query(), Some("a=b"), "{}, {name}", provider.name);
        }
        // A second line of the slot itself is no matter of guessing.
        let twice = provider.ask("", &key).header(provider.slot, &bearer);
        assert_eq!(gateway.client().send(&twice).await.status(), 401, "{}", provider.name);
    }
    shows_nowhere(&gateway, &key).await;
}

#[tokio::test]
async fn keys_in_a_query_and_in_a_subprotocol_are_swapped_too() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("secrets-slots"));
    let google = &PROVIDERS[2];
    let ask = Ask::chat(&format!("{}?alt=json&key={}", google.target, key.secret), "m", "a");
    let request = google.received(&gateway, ask).await;
    google.check(&gateway, &key, "query", &request);
    assert_eq!(request.query(), Some("alt=json"));
    let protocols = format!("realtime, openai-insecure-api-key.{}, openai-beta.realtime-v1", key.secret);
    let target = "/openai/v1/realtime?model=gpt-realtime";
    let socket = gateway.client().web_socket(target, &[("sec-websocket-protocol", &protocols)]).await;
    drop(socket.expect("a WebSocket"));
    let request = gateway.simulator.wait_for("realtime", |request| request.path() == "/v1/realtime").await;
    let request = request.expect("the provider gets it");
    PROVIDERS[0].check(&gateway, &key, "subprotocol", &request);
    assert_eq!(request.header("sec-websocket-protocol"), Some("realtime, openai-beta.realtime-v1"));
    shows_nowhere(&gateway, &key).await;
}

/// Nothing that the gateway writes or answers shows the key or a credential; usage is there and names neither.
async fn shows_nowhere(gateway: &Gateway, key: &Key) {
    let query = "group_by=model,feature,project,key";
    let stats = gateway.stats(query, &key.secret, |stats| stats["totals"]["requests"].as_u64() > Some(0)).await;
    let metrics = gateway.wait_for_metrics("none open", |metrics| metrics.total("gateway_exchanges_open") == 0.0).await;
    let digits: String = key.secret.chars().skip(16).collect();
    let me = gateway.client().send(&Ask::get("/gw/me").bearer(&key.secret)).await.expect(200).text();
    let log = gateway.lines().join("\n");
    assert!(log.contains("\"message\":\"exchange\""), "there is an access log");
    let rows = gateway.rows_now().await.expect("the usage store answers");
    let rows: String = rows.iter().map(ToString::to_string).collect();
    assert!(rows.contains(&key.id), "usage is recorded under the key's id: {rows}");
    let shown = [
        ("rows", rows),
        ("statistics", stats.to_string()),
        ("metrics", metrics.text().to_owned()),
        ("me", me),
        ("log", log),
    ];
    for (place, text) in shown {
        for secret in [digits.as_str(), &encoded(&digits), "sk-canary", OWN_CREDENTIAL] {
            assert!(!text.contains(secret), "{place} shows {secret}");
        }
    }
}

/// The search for secrets at the end of every gateway's life finds what was planted: a body is forwarded as it is.
#[tokio::test]
#[should_panic(expected = "the gateway did not end well")]
async fn a_key_that_a_provider_got_would_be_noticed() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("secrets-planted"));
    let body = json!({"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": key.secret}]});
    gateway.client().send(&Ask::post(CHAT, &body).bearer(&key.secret)).await.expect(200);
}
