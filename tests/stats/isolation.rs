//! Whatever a caller writes into whatever parameter: it sees rows of its own organization alone, and no word of the store's.

use crate::{
    ground::Ground,
    support::{
        gateway::{Key, Options},
        http::Answer,
    },
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

const QUESTIONS: usize = 250;
const ID_THEIRS: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
/// What stands in the other organization's rows and nowhere else.
const MARKS: [&str; 7] = ["zqprovider", "zqmodel", "zqendpoint", "zqkey", "zqerror", "zqtag", "zqprice"];
/// What only the store, or our own statements, would say.
const STORES_WORDS: [&str; 9] = [
    "Exception",
    "Code:",
    "SELECT",
    "usage_events",
    "usage_hourly",
    "organization_id",
    "ClickHouse",
    "Syntax",
    "version 2",
];
const HOSTILE: [&str; 28] = [
    "' OR 1=1 --",
    "\\' OR 1=1 --",
    "') OR organization_id != ('",
    "\" OR \"\"=\"",
    "`; DROP TABLE usage_events; --",
    "*",
    "?",
    "%",
    "_",
    "**?**",
    "{organization:String}",
    "{filter_0:Identifier}",
    "}{",
    "\\",
    "\\\\",
    "\\N",
    "x\\",
    "\t\n\r",
    "üñï𝄞\u{202e}",
    "\u{0}",
    "/* */",
    "UNION ALL SELECT * FROM system.tables",
    "1e999",
    "-1",
    "zq*",
    "zqtag",
    "zqprovider",
    ID_THEIRS,
];
const NAMES: [&str; 25] = [
    "group_by",
    "since",
    "until",
    "interval",
    "order_by",
    "limit",
    "format",
    "cursor",
    "provider",
    "model",
    "endpoint",
    "key",
    "status",
    "environment",
    "error_type",
    "feature",
    "team",
    "organization",
    "organization_id",
    "param_organization",
    "query",
    "database",
    "max_rows_to_read",
    "secret",
    "x-y.z",
];
const PLAIN: [&str; 16] = [
    "model",
    "team,feature",
    "provider,key,status",
    "error_type,endpoint",
    "environment",
    "hour",
    "minute",
    "month",
    "1h",
    "30d",
    "2026-10-01T00:00:00Z",
    "csv",
    "cost_usd:asc",
    "bucket",
    "1000",
    "openai",
];

/// A parameter: a name that means something or not, with a value that fits it or not.
fn parameter() -> impl Strategy<Value = (String, String)> {
    let text = |list: &'static [&'static str]| prop::sample::select(list).prop_map(str::to_owned);
    let name = prop_oneof![8 => text(&NAMES), 1 => text(&HOSTILE), 1 => "\\PC{0,12}"];
    let value = prop_oneof![4 => text(&HOSTILE), 4 => text(&PLAIN), 2 => "\\PC{0,24}", 1 => "[ -~]{0,24}"];
    let pair = prop_oneof![
        3 => ("[a-z]{1,4}", text(&HOSTILE)),
        2 => text(&PLAIN).prop_map(|value| ("group_by".to_owned(), value)),
        2 => prop_oneof![Just("hour"), Just("day"), Just("month")].prop_map(|value| ("interval".to_owned(), value.to_owned())),
        2 => Just(("since".to_owned(), "30d".to_owned())),
    ];
    prop_oneof![3 => (name, value), 1 => pair]
}

fn encoded(pairs: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Two organizations with rows of the last hours; the other one's bear marks.
async fn two_organizations(ground: &Ground) -> (Key, Key, String) {
    let ((ours, our_id), (theirs, their_id)) = (ground.issue("ours"), ground.issue("theirs"));
    let now = sociaro_gateway::base::clock::now();
    let row = |minutes: i64, organization: &str, more: Value| {
        let time = now.plus_millis(-60_000 * minutes - 1000).to_rfc3339().replace(['T', 'Z'], " ");
        let mut row = json!({"time": time.trim(), "organization_id": organization, "key_id": "key_ours",
            "tags": {"feature": "chat", "team": "red"}});
        for (name, value) in more.as_object().unwrap() {
            row[name] = value.clone();
        }
        row
    };
    let marked = |minutes, id: &str| {
        let more = json!({"request_id": id, "provider": "zqprovider", "model_served": "zqmodel", "endpoint": "zqendpoint",
            "key_id": "zqkey", "error_type": "zqerror", "price_version": "zqprice", "cost_nanousd": 777,
            "tags": {"feature": "zqtag", "team": "zqtag", "secret": "zqtag"}});
        row(minutes, &their_id, more)
    };
    let mut rows: Vec<Value> = (0..5).map(|at| row(at * 30, &our_id, json!({"cost_nanousd": 1}))).collect();
    rows.extend([marked(0, ID_THEIRS), marked(40, "01ARZ3NDEKTSV4RRFFQ69G5FAW")]);
    // of a key that nobody knows
    let mut nobodys = marked(10, "01ARZ3NDEKTSV4RRFFQ69G5FAX");
    nobodys["organization_id"] = json!("");
    rows.push(nobodys);
    ground.insert(&rows).await;
    (ours, theirs, their_id)
}

/// What holds for every answer.
fn check(answer: &Answer, asked: &[(String, String)], what: &str) {
    let text = answer.text();
    for word in STORES_WORDS {
        let ours = asked.iter().any(|(name, _)| name.contains(word)) || text_of(asked, word);
        assert!(ours || !text.contains(word), "{what}: {word}: {text}");
    }
    match answer.status() {
        400 => {
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            let named = |(name, _): &(String, String)| {
                let name: String = name.chars().take(64).collect();
                message.starts_with(&format!("parameter `{name}`: "))
            };
            // a span that ends before it began is the span's fault, whichever end was given
            let span = message.starts_with("parameter `since`: ");
            assert!(span || asked.iter().any(named), "{what}: {message}");
        }
        status => assert_eq!(status, 200, "{what}: {text}"),
    }
}

/// Whether a name of the question, which an answer repeats as the name of a column, holds the word.
fn text_of(asked: &[(String, String)], word: &str) -> bool {
    asked.iter().any(|(name, value)| name == "group_by" && value.contains(word))
}

fn check_statistics(answer: &Answer, asked: &[(String, String)], what: &str) {
    check(answer, asked, what);
    if answer.status() != 200 || answer.header("content-type") != Some("application/json") {
        // a refusal repeats the name of a parameter, and a table those of its columns
        let text = answer.text();
        let named = asked.iter().any(|(name, _)| name.contains("zq")) || text_of(asked, "zq");
        assert!(named || !text.contains("zq"), "{what}: {text}");
        return;
    }
    let stats = answer.json();
    let grouped = asked.iter().any(|(name, value)| name == "group_by" && value.contains("zq"));
    assert!(grouped || !stats["rows"].to_string().contains("zq"), "{what}: {stats}");
    let count = |figures: &Value| figures["requests"].as_u64().unwrap();
    assert!(count(&stats["totals"]) <= 5, "{what}: {stats}");
    let shown: u64 = stats["rows"].as_array().unwrap().iter().map(count).sum();
    let cut = asked.iter().any(|(name, _)| name == "limit" || name == "interval");
    assert!(shown == count(&stats["totals"]) || (cut && shown < count(&stats["totals"])), "{what}: {stats}");
}

#[tokio::test]
async fn no_parameter_of_statistics_or_records_reaches_another_organization_or_shows_the_store() {
    let ground = Ground::start(Options::default());
    let (ours, theirs, their_id) = two_organizations(&ground).await;
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let questions = prop::collection::vec(parameter(), 1..5);
    let mut answered = 0;
    for number in 0..QUESTIONS {
        let mut asked = questions.new_tree(&mut runner).unwrap().current();
        if number % 8 == 0 {
            asked.push(("key".into(), their_id.clone()));
        }
        let query = encoded(&asked);
        let what = format!("{asked:?}");
        let stats = ground.get(&format!("/gw/stats?{query}"), &ours).await;
        check_statistics(&stats, &asked, &what);
        let records = ground.get(&format!("/gw/usage?{query}"), &ours).await;
        check(&records, &asked, &what);
        assert!(!records.text().contains("zq") || records.status() == 400, "{what}: {}", records.text());
        if records.status() == 200 {
            assert!(records.json()["records"].as_array().unwrap().len() <= 5, "{what}");
        }
        answered += u32::from(stats.status() == 200);
    }
    assert!(answered > 50, "too few of the questions can be followed: {answered}");
    // the marks are there, for those whose they are
    let own = ground.get("/gw/stats?group_by=provider,model,endpoint,key&since=1d", &theirs).await.expect(200);
    assert_eq!((own.json()["totals"]["requests"].clone(), own.text().contains("zqmodel")), (json!(2), true));
    let all = ground.get("/gw/usage", &theirs).await.expect(200).text();
    assert!(MARKS.iter().all(|mark| all.contains(mark)), "{all}");
}

#[tokio::test]
async fn no_request_id_finds_a_record_of_another_organization() {
    let ground = Ground::start(Options::default());
    let (ours, theirs, _) = two_organizations(&ground).await;
    let id = sociaro_gateway::base::ids::RequestId::generate();
    let now = sociaro_gateway::base::clock::now().to_rfc3339().replace(['T', 'Z'], " ");
    let their_id = ground.issue("theirs").1;
    ground.insert(&[json!({"request_id": id.as_str(), "time": now.trim(), "organization_id": their_id, "provider": "zqprovider"})]).await;
    let found = ground.get(&format!("/gw/usage/{id}"), &theirs).await.expect(200).json();
    assert_eq!(found["provider"], "zqprovider");
    let nobody = ground.get("/gw/usage/01ARZ3NDEKTSV4RRFFQ69G5FAZ", &ours).await.expect(404);
    let hostile = HOSTILE
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| text.bytes().fold(String::new(), |path, byte| format!("{path}%{byte:02X}")));
    for path in hostile.chain([id.to_string(), id.as_str().to_lowercase(), format!("{id}%27"), "%FF".to_owned()]) {
        let answer = ground.get(&format!("/gw/usage/{path}"), &ours).await;
        assert!([400, 404].contains(&answer.status()), "{path}: {} {}", answer.status(), answer.text());
        if answer.status() == 404 && answer.json()["error"]["message"] != "there is no such resource" {
            assert_eq!(answer.json()["error"]["message"], nobody.json()["error"]["message"], "{path}");
        }
        assert!(!answer.text().contains("zq") && !answer.text().contains("Exception"), "{path}: {}", answer.text());
    }
}
