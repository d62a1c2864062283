//! Targets that lead elsewhere when somebody reads them otherwise than we do.

use crate::{
    ground::{Ground, Row, all_refused},
    support::gateway::Options,
};
use futures_util::future::join_all;
use std::fs;

fn ground() -> Ground {
    let shipped = fs::read_to_string("conf/providers.yaml").unwrap();
    let based = shipped.replace("upstream: https://api.openai.com\n", "upstream: https://api.openai.com/base\n");
    assert_ne!(based, shipped);
    Ground::start(Options::default().providers_yaml(&based))
}

fn get(ground: &Ground, target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\n{}\r\n", ground.head()).into_bytes()
}

#[tokio::test]
async fn a_target_in_disguise_is_refused() {
    let ground = ground();
    let bad = (400, "bad_request");
    let nobody = (404, "not_found");
    let cases = [
        ("http://gateway.test/openai/v1/models", bad),
        ("http://other.test/openai/v1/models", (400, "")),
        ("HTTPS://gateway.test/openai/v1/models", bad),
        ("gateway.test:80", bad),
        ("*", bad),
        ("openai/v1/models", bad),
        ("?/openai/v1/models", bad),
        ("//openai/v1/models", bad),
        ("///", bad),
        ("//other.test/openai/v1/models", bad),
        ("/openai%2fv1/models", bad),
        ("/openai%2Fv1/models", bad),
        ("/openai%5cv1/models", bad),
        ("/openai\\v1\\models", bad),
        ("/openai/v1\\..\\models", bad),
        ("/openai/..", bad),
        ("/openai/../anthropic/v1/models", bad),
        ("/openai/v1/../../admin", bad),
        ("/openai/%2e%2e/admin", bad),
        ("/openai/%2E./admin", bad),
        ("/openai/.%2e/admin", bad),
        ("/openai/./v1/models", bad),
        ("/openai/v1/%2e%2e%2fadmin", bad),
        ("/openai/v1/..%2fadmin", bad),
        ("/openai/v1/%252e%252e/admin", bad),
        ("/openai/v1/..;/admin", bad),
        ("/openai/v1/models;x=y", bad),
        ("/openai/v1/models#fragment", bad),
        ("/openai/v1/models%00", bad),
        ("/openai/v1/models%0d%0ahost:%20other.test", bad),
        ("/openai/v1/models%", bad),
        ("/openai/v1/models%zz", bad),
        ("/openai/v1/models%c0%ae%c0%ae", bad),
        ("/openai/v1/models?_method=POST", bad),
        ("/%6fpenai/v1/models", nobody),
        ("/OpenAI/v1/models", nobody),
        ("/openai@other.test/v1/models", nobody),
        ("/openai:443/v1/models", nobody),
        ("/openai./v1/models", nobody),
        ("/openai%20/v1/models", nobody),
        ("/openai&/v1/models", nobody),
        ("/@openai/v1/models", nobody),
        ("/..openai/v1/models", nobody),
    ];
    let rows: Vec<Row<'_>> =
        cases.iter().map(|(target, expected)| (*target, get(&ground, target), *expected)).collect();
    all_refused(&ground, rows).await;
}

#[tokio::test]
async fn what_is_forwarded_stays_under_the_providers_host_and_base_path() {
    let ground = ground();
    let cases = [
        ("/openai/v1/models", "/base/v1/models"),
        ("/openai//v1//models", "/base//v1//models"),
        ("/openai//other.test/v1", "/base//other.test/v1"),
        ("/openai/@other.test/v1", "/base/@other.test/v1"),
        ("/openai/http://other.test/v1", "/base/http://other.test/v1"),
        ("/openai/v1/models?next=/../../admin", "/base/v1/models?next=/../../admin"),
        ("/openai/v1/models?next=http://other.test/%2e%2e/", "/base/v1/models?next=http://other.test/%2e%2e/"),
        ("/openai/v1/models/...", "/base/v1/models/..."),
        ("/openai/v1/mo dels", "/base/v1/mo%20dels"),
        ("/openai", "/base/"),
    ];
    let attacks = cases.map(|(target, _)| get(&ground, target));
    ground.while_others_are_served(join_all(attacks.iter().map(|attack| ground.strike(attack)))).await;
    let mut upstream = ground.upstream();
    upstream.sort_unstable();
    let mut expected = cases.map(|(_, expected)| format!("GET {expected}"));
    expected.sort_unstable();
    assert_eq!(upstream, expected);
    let host = ground.gateway.simulator.address().to_string();
    let requests = ground.gateway.simulator.requests();
    assert!(requests.iter().all(|request| request.head.values("host").eq([&*host])), "{requests:?}");
}
