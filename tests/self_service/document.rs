//! The `OpenAPI` document says what really comes.

use crate::{
    office::{Office, allow},
    support::{
        gateway::{Gateway, Grant, Options},
        http::Ask,
    },
};
use serde_json::{Value, json};

/// Checks a value against the parts of JSON Schema that the document uses.
fn fits(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(pointer) = schema["$ref"].as_str() {
        let pointer = pointer.trim_start_matches('#');
        return fits(document, document.pointer(pointer).expect("a schema"), value, place);
    }
    if let Some(options) = schema["oneOf"].as_array() {
        let kind = |option: &Value| option["properties"]["type"]["const"] == value["type"];
        let option = options.iter().find(|option| kind(option)).unwrap_or_else(|| panic!("{place}: {value}"));
        return fits(document, option, value, place);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::String(_) => "string",
        Value::Number(_) => "integer",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Bool(_) => "boolean",
    };
    assert!(kinds.is_empty() || kinds.contains(&kind), "{place} is {value}, not {kinds:?}");
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(value), "{place} is {value}, not one of {values:?}");
    }
    for item in value.as_array().into_iter().flatten() {
        fits(document, &schema["items"], item, &format!("{place}[]"));
    }
    let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(members.contains_key(name), "{place} lacks {name}: {value}");
    }
    for (name, member) in members {
        let schema = properties.get(name).unwrap_or_else(|| panic!("{place}.{name} is not described"));
        fits(document, schema, member, &format!("{place}.{name}"));
    }
}

#[tokio::test]
async fn each_answer_is_as_the_document_describes_it() {
    let office = Office::open(Gateway::start(Options::default()), "described");
    let mut grant = Grant::all("described");
    grant.arguments = ["--budget", "5/month", "--budget", "50/total", "--rps", "5"].map(str::to_owned).to_vec();
    let key = office.gateway.issue(&grant);
    let shared = |limit: &str, more: &[&str]| {
        let config = office.gateway.config().display().to_string();
        let head = ["org", "set-budget", "--config", &config, "--org", "described", "--limit", limit];
        let arguments: Vec<String> = head.iter().chain(more).map(|argument| (*argument).to_owned()).collect();
        assert!(office.gateway.run(&arguments).status.success());
    };
    shared("7", &[]);
    shared("8", &["--tag", "project=atlas"]);
    let four = |value: &Value| value["budgets"].as_array().map_or(0, Vec::len) == 4;
    office.gateway.wait_for_json("/gw/budget", &key.secret, four).await;
    // No key is needed for it.
    let document = office.gateway.client().send(&Ask::get("/gw/openapi.json")).await.expect(200).json();
    let golden: Value = serde_json::from_str(include_str!("../../schema/openapi.json")).unwrap();
    assert_eq!(document, golden);
    let answers = |path: &str, method: &str, status: &str| {
        let answers = &document["paths"][path][method]["responses"];
        answers[status]["content"]["application/json"]["schema"].clone()
    };
    for path in ["/gw/me", "/gw/ceiling", "/gw/keys", "/gw/budget", "/gw/stats", "/gw/usage"] {
        let answer = office.gateway.wait_for_json(path, &key.secret, |_| true).await;
        fits(&document, &answers(path, "get", "200"), &answer, path);
    }
    let order = json!({"scopes": ["stats:read"], "entitlements": [allow("*", "*")], "limits": {"burst": 1, "requests_per_second": 1}});
    fits(
        &document,
        &json!({"$ref": "#/components/schemas/KeyOrder"}),
        &json!({"scopes": [], "entitlements": []}),
        "order",
    );
    let (_, issued) = office.issue(&order).await;
    fits(&document, &answers("/gw/keys", "post", "201"), &issued, "issued");
    let refused = office.post(&json!({})).await.expect(400).json();
    fits(&document, &answers("/gw/keys", "post", "default"), &refused, "refused");
}
