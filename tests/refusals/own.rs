//! The gateway's own endpoints: what a key learns of itself, that no organization sees another's usage, and parameters that
//! cannot be followed.

use crate::{
    desk::{CHAT, Desk, Want},
    support::{
        gateway::{Gateway, Grant, Key},
        http::Ask,
    },
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_key_learns_all_of_what_it_is_and_may_do() {
    let gateway = Gateway::shared();
    let grant = |scopes: &[&str], allow: &[&str], deny: &[&str], arguments: &[&str]| {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (scopes, allow, deny, arguments) = (texts(scopes), texts(allow), texts(deny), texts(arguments));
        Grant { organization: "own-me".to_owned(), scopes, allow, deny, arguments }
    };
    let rule = |provider: &str, pattern: &str, effect: &str| json!({"provider": provider, "model_pattern": pattern, "effect": effect});
    let limits = [
        "--rps",
        "7",
        "--burst",
        "9",
        "--concurrency",
        "3",
        "--name",
        "ci",
        "--expires",
        "30d",
        "--usage-mode",
        "inject",
    ];
    let cases = [
        (
            grant(&["inference:use"], &[], &[], &[]),
            json!({"environment": "live", "scopes": ["inference:use"], "entitlements": [], "limits": {}, "usage_mode": "transparent"}),
        ),
        (
            grant(&["stats:read", "keys:manage"], &["openai:gpt-5.?", "*:o3"], &["google:*"], &limits),
            json!({
                "environment": "live",
                "scopes": ["stats:read", "keys:manage"],
                "entitlements": [rule("openai", "gpt-5.?", "allow"), rule("*", "o3", "allow"), rule("google", "*", "deny")],
                "limits": {"requests_per_second": 7, "burst": 9, "concurrent_requests": 3},
                "usage_mode": "inject",
            }),
        ),
        (
            grant(&["prompt:use"], &["*:*"], &[], &["--environment", "test", "--kind", "security"]),
            json!({
                "environment": "test",
                "scopes": ["prompt:use"],
                "entitlements": [rule("*", "*", "allow")],
                "limits": {},
                "usage_mode": "transparent",
            }),
        ),
    ];
    for (grant, mut expected) in cases {
        let key = gateway.issue(&grant);
        let answer = gateway.client().send(&Ask::get("/gw/me").bearer(&key.secret)).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let shown = key.secret.len() - 40;
        expected["organization"] = json!("own-me");
        expected["key_prefix"] = json!(key.secret.chars().take(shown).collect::<String>());
        assert_eq!(answer.json(), expected, "{grant:?}");
    }
}

async fn requests(gateway: &Gateway, query: &str, key: &Key) -> (u64, Value) {
    let ask = Ask::get(&format!("/gw/stats?{query}")).bearer(&key.secret);
    let answer = gateway.client().send(&ask).await.expect(200).json();
    (answer["totals"]["requests"].as_u64().unwrap_or_default(), answer)
}

#[tokio::test]
async fn an_organization_sees_its_own_usage_whatever_it_asks_for() {
    let gateway = Gateway::shared();
    let (mine, theirs) = (gateway.issue(&Grant::all("own-mine")), gateway.issue(&Grant::all("own-theirs")));
    let chat = |model: &str, key: &Key| {
        let ask = Ask::chat(CHAT, model, "a").bearer(&key.secret);
        ask.header("x-project", "both").header("x-attr-feature", model).header("x-attr-organization", "own-theirs")
    };
    gateway.client().send(&chat("gpt-5.4-mini", &mine)).await.expect(200);
    for _ in 0..3 {
        gateway.client().send(&chat("gpt-5.4", &theirs)).await.expect(200);
    }
    gateway.stats("", &theirs.secret, |stats| stats["totals"]["requests"] == 3).await;
    gateway.stats("", &mine.secret, |stats| stats["totals"]["requests"] == 1).await;
    let injection = "x%27%20OR%20%271%27%3D%271";
    let cases = [
        ("since=4w".to_owned(), 1),
        ("group_by=provider,model,key,feature".to_owned(), 1),
        ("group_by=organization".to_owned(), 1),
        ("organization=own-theirs".to_owned(), 1),
        ("project=both&interval=hour".to_owned(), 1),
        ("model=*".to_owned(), 1),
        ("status=200&environment=live&error_type=".to_owned(), 1),
        ("limit=1000&order_by=requests".to_owned(), 1),
        ("model=gpt-5.4".to_owned(), 0),
        ("feature=gpt-5.4".to_owned(), 0),
        (format!("key={}", theirs.id), 0),
        (format!("organization_id={}", theirs.id), 0),
        (format!("model={injection}"), 0),
        (format!("feature={injection}"), 0),
        (format!("project={injection}"), 0),
        ("model=%25".to_owned(), 0),
        ("model=gpt-5.4%5C%27%20--".to_owned(), 0),
    ];
    for (query, expected) in cases {
        let (found, answer) = requests(&gateway, &query, &mine).await;
        assert_eq!(found, expected, "{query}");
        let shown = answer["rows"].to_string();
        assert!(!shown.contains(&theirs.id) && !shown.contains("\"gpt-5.4\""), "{query}: {shown}");
        let sum: u64 = answer["rows"].as_array().into_iter().flatten().filter_map(|row| row["requests"].as_u64()).sum();
        assert_eq!(sum, expected, "{query}");
    }
    let csv = Ask::get("/gw/stats?format=csv&group_by=key,model").bearer(&mine.secret);
    let csv = gateway.client().send(&csv).await.expect(200);
    assert!(csv.header("content-type").is_some_and(|value| value.starts_with("text/csv")), "{:?}", csv.head);
    assert!(csv.text().contains(&mine.id) && !csv.text().contains(&theirs.id), "{}", csv.text());
}

#[tokio::test]
async fn a_parameter_that_cannot_be_followed_is_named() {
    let desk = Desk::shared("own-parameters");
    let long = format!("feature={}", "x".repeat(513));
    let cases = [
        ("since=yesterday", "since"),
        ("since=", "since"),
        ("since=-1h", "since"),
        ("since=1y", "since"),
        ("since=1h&until=2h", "since"),
        ("since=2026-13-01T00:00:00Z", "since"),
        ("until=tomorrow", "until"),
        ("group_by=", "group_by"),
        ("group_by=Model", "group_by"),
        ("group_by=model,model", "group_by"),
        ("group_by=a,b,c,d,e", "group_by"),
        ("group_by=requests", "group_by"),
        ("group_by=model%3Bdrop", "group_by"),
        ("interval=year", "interval"),
        ("interval=", "interval"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("format=xml", "format"),
        ("order_by=model", "order_by"),
        ("order_by=bucket", "order_by"),
        ("order_by=cost_usd:down", "order_by"),
        ("Provider=openai", "Provider"),
        ("a%20b=x", "a b"),
        ("provider=openai&provider=google", "provider"),
        ("feature=a%00b", "feature"),
        (&long, "feature"),
    ];
    for (query, name) in cases {
        let ask = Ask::get(&format!("/gw/stats?{query}")).bearer(&desk.key.secret);
        let want = Want::bad_request(&format!("parameter `{name}`: ")).unrecorded();
        desk.refuses(query, &ask, &want).await;
    }
    let long_name = format!("/gw/stats?{}=x", "n".repeat(5000));
    let want = Want::bad_request(&format!("parameter `{}`: ", "n".repeat(64))).unrecorded();
    let answer = desk.refuses("a long name", &Ask::get(&long_name).bearer(&desk.key.secret), &want).await;
    assert!(answer.body.len() < 500, "{}", answer.text());
    desk.settle().await;
}
