//! docs/metering.md's request, checked by hand: what the document says is what the program does.

use crate::support::{
    gateway::{Gateway, Grant, names},
    http::Ask,
    simulator::Reply,
};
use serde_json::Value;
use sociaro_gateway::base::money::Money;
use std::fs;

const CHAT: &str = "/openai/v1/chat/completions";

fn document() -> String {
    fs::read_to_string("docs/metering.md").unwrap()
}

/// The code block behind a mark.
fn block(document: &str, mark: &str) -> String {
    let rest = document.split(&format!("<!-- {mark} -->\n")).nth(1).unwrap_or_else(|| panic!("no mark {mark:?}"));
    let (_, rest) = rest.split_once("```").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split("```").next().unwrap().to_owned()
}

/// The table of the calculation: class, tokens, dollars for a million, dollars.
fn calculation(document: &str) -> Vec<[String; 4]> {
    let table = document.split("| class | tokens |").nth(1).expect("the table of the calculation");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap()
    })
    .collect()
}

#[tokio::test]
async fn the_documents_request_costs_what_the_document_works_out() {
    let document = document();
    let gateway = Gateway::shared();
    let key = gateway.issue(&Grant::all("by-hand")).secret;
    gateway.simulator.name("by-hand", Reply::json(200, block(&document, "answer")));
    let ask = Ask::chat(CHAT, "gpt-5.4", "Hello!").bearer(&key).sim("reply=by-hand");
    let answer = gateway.client().send(&ask).await.expect(200);
    let target = format!("/gw/usage/{}", answer.header("x-gateway-request-id").unwrap());
    gateway.usage(1, &key).await;
    let record = gateway.client().send(&Ask::get(&target).bearer(&key)).await.expect(200).json();
    let expected: Value = serde_json::from_str(&block(&document, "record")).unwrap();
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&record[name], value, "{name}");
    }
    // the pencil
    let (mut sum, mut classes) = (0, 0);
    for [class, tokens, price, dollars] in calculation(&document) {
        let nanos = dollars.parse::<Money>().unwrap().nanos();
        if class == "sum" {
            assert_eq!((sum, record["cost_usd"].as_str()), (nanos, Some(&*dollars)));
            continue;
        }
        let tokens: i64 = tokens.parse().unwrap();
        assert_eq!(tokens * price.parse::<Money>().unwrap().nanos() / 1_000_000, nanos, "{class}");
        assert_eq!(record["tokens"][&class], tokens, "{class}");
        assert_eq!(record["cost_breakdown"][&class], dollars, "{class}");
        (sum, classes) = (sum + nanos, classes + 1);
    }
    assert_eq!(record["cost_breakdown"].as_object().unwrap().len(), classes);
}

#[test]
fn the_document_shows_what_the_program_prints() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sociaro-gateway"))
        .args(["prices", "show", "gpt-5.4", "--provider", "openai"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), block(&document(), "prices"));
}

#[tokio::test]
async fn a_model_without_a_price_is_recorded_with_its_tokens_and_counted_where_people_look() {
    let gateway = Gateway::start(crate::support::gateway::Options::default());
    let key = gateway.issue(&Grant::all("unpriced")).secret;
    for model in ["gpt-99", "gpt-5.4-mini", "gpt-99"] {
        gateway.client().send(&Ask::chat(CHAT, model, "one two three").bearer(&key)).await.expect(200);
    }
    // an answer that used nothing needs no price
    gateway.client().send(&Ask::chat(CHAT, "gpt-99", "x").bearer(&key).sim("status=429")).await.expect(429);
    let stats = gateway.stats("group_by=model", &key, |stats| stats["totals"]["requests"] == 4).await;
    assert_eq!(stats["totals"]["unpriced_requests"], 2, "{stats}");
    let rows = stats["rows"].as_array().unwrap();
    let of_model = |model: &str| rows.iter().filter(|row| row["model"] == model).collect::<Vec<_>>();
    let sums = |model: &str, name: &str| of_model(model).iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sums("gpt-99", "unpriced_requests"), sums("gpt-99", "input_tokens")), (2, 6), "{stats}");
    assert_eq!(sums("gpt-5.4-mini", "unpriced_requests"), 0, "{stats}");
    let metrics = gateway.metrics();
    assert_eq!(metrics.total("gateway_unpriced_total").to_string(), "2", "{}", metrics.text());
    assert_eq!(metrics.total(names::USAGE_EVENTS_LOST).to_string(), "0");
    let unpriced = gateway.usage(4, &key).await;
    let unpriced: Vec<_> = unpriced.iter().filter(|record| record["model_requested"] == "gpt-99").collect();
    assert!(unpriced.iter().all(|record| record["price_version"] == "" && record["cost_usd"] == "0"), "{unpriced:?}");
    assert_eq!(unpriced.iter().filter(|record| record["tokens"]["input"] == 3).count(), 2, "{unpriced:?}");
}
