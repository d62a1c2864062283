//! Paths and queries: what stands behind the provider's segment reaches the provider as it was written, in each family.

use crate::{
    lane::{Lane, assert_same, mark},
    support::{
        gateway::{Gateway, Options},
        http::Ask,
        simulator::Reply,
    },
};
use std::sync::Arc;

/// What stands behind the provider's name, and must come out as it is.
const TAILS: &[&str] = &[
    "/v1/files",
    "/v1/files/",
    "/v1//files//x//",
    "//v1/files",
    "/v1/files?",
    "/v1/files?a",
    "/v1/files?a=",
    "/v1/files?=a",
    "/v1/files?a=b=c==",
    "/v1/files?&&a=1&&&b=2&",
    "/v1/files?a=1&a=2&A=3&a=1",
    "/v1/files?b=2&a=1;c=3",
    "/v1/files?q=a+b%20c%2Bd",
    "/v1/files?q=%2F%3F%23%26%3D%25%5C%2e%2E",
    "/v1/files?q=%e2%82%ac&r=%E2%82%AC&s=%00%0a%ff",
    "/v1/files?q=/a/../b/./c//d?e?f",
    "/v1/files?q=http://x.example/y?z=1",
    "/v1/files?q[]=1&q[a]=2&f={a:[1,2]}",
    "/v1/files?q=!$'()*,-._~:@|^`",
    "/v1/files/a%20b%3Fc%23d%26e%2Bf",
    "/v1/files/%E2%82%AC%e2%82%ac",
    "/v1/files/%41%62%63%7e%7E",
    "/v1/files/a+b&c=d!$'()*,-._~:@",
    "/v1/files/.hidden/a..b/.../x.",
    "/v1/Files/UPPER/MiXeD",
    "/v1/files/ü/€/日本?q=é",
];

/// Providers, where their callers put the key, and what of the query that leaves.
const FAMILIES: &[(&str, &str)] = &[
    ("openai", "authorization: Bearer "),
    ("anthropic", "x-api-key: "),
    ("anthropic", "authorization: Bearer "),
    ("google", "x-goog-api-key: "),
    ("alibaba", "authorization: Bearer "),
    ("byteplus", "authorization: Bearer "),
    ("mulerouter", "authorization: Bearer "),
    ("deepseek", "authorization: Bearer "),
];

fn lane() -> Lane {
    let gateway = Gateway::start(Options::default().extra_provider("deepseek"));
    Lane::of(Arc::new(gateway), "targets")
}

async fn target_at_provider(lane: &Lane, ask: Ask) -> String {
    let knob = lane.reply(Reply::json(200, "{}"));
    let passed = lane.pass(&ask.sim(&knob)).await;
    passed.answer.expect(200);
    passed.received.target().to_owned()
}

#[tokio::test]
async fn every_family_gets_the_target_as_it_was_written() {
    let lane = lane();
    for (provider, slot) in FAMILIES {
        for tail in TAILS {
            let ask = Ask::get(&format!("/{provider}{tail}")).line(&format!("{slot}{}", lane.key.secret));
            assert_eq!(target_at_provider(&lane, ask).await, *tail, "{provider}");
        }
    }
}

#[tokio::test]
async fn every_method_passes_with_its_target() {
    let lane = Lane::new("targets-methods");
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let knob = lane.reply(Reply::json(200, "{}"));
        let ask = Ask::new(method, "/openai/v1/any/thing?x=%2f").header("authorization", &lane.bearer()).sim(&knob);
        let passed = lane.pass(&ask).await;
        assert_eq!(passed.received.head.first_line(), format!("{method} /v1/any/thing?x=%2f HTTP/1.1"));
        passed.answer.expect(200);
    }
}

#[tokio::test]
async fn of_a_google_query_the_key_alone_is_taken_out() {
    let lane = Lane::new("targets-google");
    for (written, forwarded) in [
        ("?key=KEY", ""),
        ("?key=KEY&alt=sse", "?alt=sse"),
        ("?alt=sse&key=KEY", "?alt=sse"),
        ("?b=%20x+y&key=KEY&a=1&a=0", "?b=%20x+y&a=1&a=0"),
        ("?a&&key=KEY&&b=", "?a&&&b="),
        ("?=&key=KEY&?=/", "?=&?=/"),
        ("?k%65y=KEY&fields=a(b,c)", "?fields=a(b,c)"),
        ("?keys=1&monkey=2&key=KEY&pagetoken=%e2%82%AC", "?keys=1&monkey=2&pagetoken=%e2%82%AC"),
    ] {
        let query = written.replace("KEY", &lane.key.secret);
        let ask = Ask::get(&format!("/google/v1beta/models{query}"));
        assert_eq!(target_at_provider(&lane, ask).await, format!("/v1beta/models{forwarded}"), "{written}");
    }
}

#[tokio::test]
async fn every_printable_character_passes_or_is_refused_as_listed() {
    let lane = Lane::new("targets-characters");
    let mut refused = [String::new(), String::new()];
    for character in (0x21_u8..0x7f).map(char::from) {
        for (refused, tail) in refused.iter_mut().zip([format!("/v1/x{character}y"), format!("/v1/x?y{character}z")]) {
            let ask = Ask::get(&format!("/openai{tail}")).header("authorization", &lane.bearer());
            let mark = mark();
            let answer = lane.gateway.client().send(&ask.header("x-mark", &mark)).await;
            if answer.status() == 400 {
                refused.push(character);
            } else {
                assert_same(&tail, lane.received(&mark, &answer).await.target().as_bytes(), tail.as_bytes());
            }
        }
    }
    assert_eq!(refused, ["#%;<>\\`", "\"#%<>"], "in a path, in a query");
}

#[tokio::test]
async fn what_no_target_may_hold_is_percent_encoded() {
    let lane = Lane::new("targets-encoded");
    let ask = Ask::get("/openai/v1/files?q=a b\u{1}c").header("authorization", &lane.bearer());
    assert_eq!(target_at_provider(&lane, ask).await, "/v1/files?q=a%20b%01c");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let lane = Lane::new("targets-bytes");
    for tail in [&b"/v1/bytes\xff"[..], b"/v1/bytes?\xe2\x82"] {
        let line = [b"GET /openai", tail, b" HTTP/1.1\r\nHost: h\r\nAuthorization: "].concat();
        let mut connection = lane.gateway.client().connect().await;
        connection.write(&[&line[..], lane.bearer().as_bytes(), b"\r\n\r\n"].concat()).await;
        connection.answer("GET").await.expect(400);
    }
    let forwarded = lane.gateway.simulator.matching(|request| request.contains(b"/v1/bytes"));
    assert!(forwarded.is_empty(), "{forwarded:?}");
}

#[tokio::test]
async fn a_target_of_eight_kilobytes_passes() {
    let lane = Lane::new("targets-long");
    for tail in [format!("/v1/{}", "segment%20/".repeat(750)), format!("/v1/files?{}", "a=%2f&b".repeat(1200))] {
        let ask = Ask::get(&format!("/openai{tail}")).header("authorization", &lane.bearer());
        assert!(tail.len() > 8 * 1024);
        assert_same("target", target_at_provider(&lane, ask).await.as_bytes(), tail.as_bytes());
    }
}

#[tokio::test]
async fn a_base_path_stands_before_the_path_and_attribution_may_be_kept_back() {
    let shipped = include_str!("../../conf/providers.yaml");
    let yaml = format!(
        "{shipped}  based:\n    upstream: https://based.example/base/v9\n    dialect: openai\n    \
         credential: env:BASED_API_KEY\n    strip_attribution: true\n"
    );
    let gateway = Gateway::start(Options::default().providers_yaml(&yaml));
    let lane = Lane::of(Arc::new(gateway), "targets-based");
    for tail in ["/v1/models?after=%2F", "//v1/models/?", "", "?a"] {
        let knob = lane.reply(Reply::json(200, "{}"));
        let ask = Ask::get(&format!("/based{tail}")).header("authorization", &lane.bearer()).sim(&knob);
        let ask = ask.header("X-Project", "apollo").header("x-attr-feature", "chat").header("X-Attribute", "kept");
        let passed = lane.pass(&ask).await;
        passed.answer.expect(200);
        let forwarded = if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") };
        assert_eq!(passed.received.target(), format!("/base/v9{forwarded}"));
        let header = |name| passed.received.header(name);
        let found = (header("x-project"), header("x-attr-feature"), header("x-attribute"));
        assert_eq!(found, (None, None, Some("kept")));
    }
}
