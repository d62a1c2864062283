//! Request headers: names, values, repetition and order as the caller wrote them; replaced are the key and `Host`; removed is
//! what HTTP has per hop; added is nothing.

use crate::{
    lane::{Lane, assert_same, head, mark},
    support::http::Ask,
};

const TARGET: &str = "/openai/v1/models?after=%2Fa";

/// Sends exactly these header lines, and gives the whole head that the provider received.
async fn forwarded<L: AsRef<[u8]>>(lane: &Lane, target: &str, lines: &[L]) -> Vec<u8> {
    let mut ask = Ask::get(target);
    for line in lines {
        ask = ask.line(line.as_ref());
    }
    let mark = mark();
    let answer = lane.gateway.client().send(&ask.line(&format!("x-mark: {mark}"))).await;
    let received = lane.received(&mark, &answer).await;
    assert!(received.body_raw.is_empty(), "a GET without a body has none");
    let written = received.head.0;
    let tail = format!("x-mark: {mark}\r\n");
    let at = memchr::memmem::find(&written, tail.as_bytes()).expect("the mark was found by");
    [&written[..at], &written[at + tail.len()..]].concat()
}

/// What stands at the provider for a line of the caller's.
fn host(lane: &Lane) -> String {
    format!("Host: {}", lane.gateway.simulator.address())
}

fn credential(lane: &Lane, provider: &str) -> String {
    lane.gateway.credential(provider).to_owned()
}

#[tokio::test]
async fn only_the_key_and_the_host_are_replaced() {
    let lane = Lane::new("heads-replaced");
    let key = &lane.key.secret;
    let others = [
        "uSeR-aGeNt: OpenAI/Python 2.9.0",
        "X-Stainless-Lang: python",
        "x-stainless-retry-count: 0",
        "Anthropic-Beta: a-2026-01-01,b-2026-02-02",
        "anthropic-version: 2023-06-01",
        "OpenAI-Organization: org-1",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate: a=1,b=2",
        "baggage: user=ann",
        "X-Project: apollo",
        "X-Attr-Feature: chat",
        "Accept: */*",
        "Accept-Encoding: gzip, br;q=0.5",
        "Cookie: a=1; b=2",
        "Via: 1.1 callers-own",
        "X-Forwarded-For: 192.0.2.1",
        "Forwarded: for=192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "Idempotency-Key: 1",
        "If-None-Match: \"e\"",
        "Range: bytes=0-1",
        "Date: Wed, 25 Nov 2026 04:00:00 GMT",
        "Cache-Control: no-store",
    ];
    for (target, shown, provider) in [
        (TARGET, "AUTHORIZATION: Bearer KEY", "openai"),
        ("/anthropic/v1/models?after=%2Fa", "X-API-Key: KEY", "anthropic"),
        ("/google/v1/models?after=%2Fa", "X-Goog-Api-Key: KEY", "google"),
        ("/google/v1beta/openai/models?after=%2Fa", "Authorization:  bearer  KEY", "google"),
        ("/alibaba/compatible-mode/v1/models", "authorization: BEARER KEY", "alibaba"),
    ] {
        let mut sent = vec!["HOST: gateway.test".to_owned(), others[0].to_owned(), shown.replace("KEY", key)];
        sent.extend(others.iter().skip(1).map(|line| (*line).to_owned()));
        let mut expected = sent.clone();
        expected[0] = host(&lane).replace("Host", "HOST");
        let (name, value) = shown.split_once(':').unwrap();
        let scheme = if value.contains("earer") || value.contains("EARER") { "Bearer " } else { "" };
        expected[2] = format!("{name}: {scheme}{}", credential(&lane, provider));
        let tail = target.strip_prefix(&format!("/{provider}")).unwrap();
        expected.insert(0, format!("GET {tail} HTTP/1.1"));
        assert_same(target, &forwarded(&lane, target, &sent).await, &head(&expected));
    }
}

#[tokio::test]
async fn a_credential_of_another_header_than_the_key_stands_at_the_end() {
    let lane = Lane::new("heads-moved");
    let bearer = format!("Authorization: {}", lane.bearer());
    let sent = ["Host: h", "X-One: 1", "X-Two: 2", &bearer];
    let expected = [
        "GET /v1/models HTTP/1.1",
        &host(&lane),
        "X-One: 1",
        "X-Two: 2",
        &format!("x-api-key: {}", credential(&lane, "anthropic")),
    ];
    assert_same("moved", &forwarded(&lane, "/anthropic/v1/models", &sent).await, &head(&expected));
}

#[tokio::test]
async fn values_pass_byte_for_byte_within_the_space_around_them() {
    let lane = Lane::new("heads-values");
    let long = [b"x".repeat(8 * 1024 - 1), b"y".to_vec()].concat();
    let values: Vec<(&[u8], &[u8])> = vec![
        (b" plain", b"plain"),
        (b"", b""),
        (b" ", b""),
        (b" \t ", b""),
        (b"no-space", b"no-space"),
        (b"  two before", b"two before"),
        (b"\tafter a tab", b"after a tab"),
        (b" two behind  ", b"two behind"),
        (b" tab behind\t", b"tab behind"),
        (b" in  ner\tspace", b"in  ner\tspace"),
        (b" caf\xc3\xa9 \xe2\x82\xac", b"caf\xc3\xa9 \xe2\x82\xac"),
        (b" \x80\xa0\xff", b"\x80\xa0\xff"),
        (b" a:b, c;d=\"e\\\"f\" %41 %zz", b"a:b, c;d=\"e\\\"f\" %41 %zz"),
        (b" !#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", b"!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
        (&long, &long),
    ];
    let mut sent = vec![b"Host: h".to_vec(), format!("Authorization: {}", lane.bearer()).into_bytes()];
    let mut expected = vec![
        b"GET /v1/models?after=%2Fa HTTP/1.1".to_vec(),
        host(&lane).into_bytes(),
        format!("Authorization: Bearer {}", credential(&lane, "openai")).into_bytes(),
    ];
    for (at, (written, forwarded)) in values.iter().enumerate() {
        sent.push([format!("X-Value-{at}:").as_bytes(), written].concat());
        expected.push([format!("X-Value-{at}: ").as_bytes(), forwarded].concat());
    }
    assert_same("values", &forwarded(&lane, TARGET, &sent).await, &head(&expected));
}

#[tokio::test]
async fn repeated_headers_keep_their_order_and_stand_at_their_first_place() {
    let lane = Lane::new("heads-repeated");
    let sent = [
        "Host: h".to_owned(),
        format!("Authorization: {}", lane.bearer()),
        "X-Dup: 1".to_owned(),
        "X-Between: b".to_owned(),
        "x-dup: 2".to_owned(),
        "X-DUP:".to_owned(),
        "x-dup: 1".to_owned(),
        "X-Last: l".to_owned(),
    ];
    let expected = [
        "GET /v1/models?after=%2Fa HTTP/1.1",
        &host(&lane),
        &format!("Authorization: Bearer {}", credential(&lane, "openai")),
        "X-Dup: 1",
        "x-dup: 2",
        "X-DUP: ",
        "x-dup: 1",
        "X-Between: b",
        "X-Last: l",
    ];
    assert_same("repeated", &forwarded(&lane, TARGET, &sent).await, &head(&expected));
}

#[tokio::test]
async fn two_hundred_headers_pass_in_their_order() {
    let lane = Lane::new("heads-many");
    let mut sent = vec!["Host: h".to_owned(), format!("Authorization: {}", lane.bearer())];
    sent.extend((0..200).map(|at| format!("X-{}-{at}: {at}", ["many", "MANY", "Many"][at % 3])));
    let mut expected = sent.clone();
    expected[0] = host(&lane);
    expected[1] = format!("Authorization: Bearer {}", credential(&lane, "openai"));
    expected.insert(0, "GET /v1/models?after=%2Fa HTTP/1.1".to_owned());
    assert_same("many", &forwarded(&lane, TARGET, &sent).await, &head(&expected));
}

#[tokio::test]
async fn what_belongs_to_one_hop_stays_on_it() {
    let lane = Lane::new("heads-hop");
    let hop = [
        "Connection: keep-alive, X-Named-One,X-NAMED-TWO",
        "X-Named-One: 1",
        "x-named-two: 2",
        "Keep-Alive: timeout=5",
        "TE: trailers, deflate",
        "Trailer: X-Sum",
        "Proxy-Connection: keep-alive",
        "Proxy-Authenticate: Basic",
        "Proxy-Authorization: Basic Zm9vOmJhcg==",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    ];
    let kept = ["X-Not-Named: 3", "X-Named: 4", "Proxy-Other: 5", "TE-Other: 6"];
    for hop in hop.iter().enumerate().skip(1).map(|(at, line)| if at < 3 { vec![hop[0], *line] } else { vec![*line] }) {
        let mut sent = vec!["Host: h".to_owned(), format!("Authorization: {}", lane.bearer())];
        sent.extend(kept.iter().chain(&hop).map(|line| (*line).to_owned()));
        let mut expected = vec![
            "GET /v1/models?after=%2Fa HTTP/1.1".to_owned(),
            host(&lane),
            format!("Authorization: Bearer {}", credential(&lane, "openai")),
        ];
        expected.extend(kept.iter().map(|line| (*line).to_owned()));
        assert_same(&format!("{hop:?}"), &forwarded(&lane, TARGET, &sent).await, &head(&expected));
    }
}

#[tokio::test]
async fn a_removed_header_may_leave_its_place_to_the_last_one() {
    let lane = Lane::new("heads-place");
    let sent = [
        "Host: h".to_owned(),
        "Keep-Alive: timeout=5".to_owned(),
        "X-One: 1".to_owned(),
        format!("Authorization: {}", lane.bearer()),
        "X-Two: 2".to_owned(),
    ];
    let found = String::from_utf8(forwarded(&lane, TARGET, &sent).await).unwrap();
    let mut lines: Vec<&str> = found.lines().skip(1).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    let credential = format!("Authorization: Bearer {}", credential(&lane, "openai"));
    assert_eq!(lines, [&*credential, &host(&lane), "X-One: 1", "X-Two: 2"]);
}

#[tokio::test]
async fn a_caller_cannot_have_the_credential_or_the_host_taken_off() {
    let lane = Lane::new("heads-nominated");
    let authorization = format!("Authorization: {}", lane.bearer());
    let sent = ["Host: h", &authorization, "X-One: 1", "Connection: close, Authorization"];
    let found = forwarded(&lane, TARGET, &sent).await;
    let mut lines: Vec<&str> = std::str::from_utf8(&found).unwrap().lines().skip(1).collect();
    lines.sort_unstable();
    let credential = format!("authorization: Bearer {}", credential(&lane, "openai"));
    assert_eq!(lines, ["", &*host(&lane), "X-One: 1", &*credential]);

    let ask = Ask::get(TARGET).line(&authorization).line("Connection: host");
    lane.gateway.client().send(&ask).await.expect(400);
}

#[tokio::test]
async fn what_a_provider_could_take_for_a_key_is_taken_out_and_what_stands_beside_it_stays() {
    let lane = Lane::new("heads-secrets");
    let key = &lane.key.secret;
    let target = format!("/openai/v1/models?a=1&api_key=sk-own&b=%2F&x={key}&access_token=t&c");
    let sent = [
        "Host: h".to_owned(),
        format!("Authorization: Bearer {key}"),
        "X-One: 1".to_owned(),
        format!("Cookie: a=1; gateway={key}; b=2"),
        "X-Last: l".to_owned(),
        "X-Api-Key: sk-own".to_owned(),
        "api_key: sk-own".to_owned(),
        "X-Goog-Api-Key: own".to_owned(),
        format!("X-Debug: key is {key}"),
        "Proxy-Authorization: Basic b3du".to_owned(),
    ];
    let expected = [
        "GET /v1/models?a=1&b=%2F&c HTTP/1.1",
        &host(&lane),
        &format!("Authorization: Bearer {}", credential(&lane, "openai")),
        "X-One: 1",
        "Cookie: a=1; b=2",
        "X-Last: l",
    ];
    assert_same("secrets", &forwarded(&lane, &target, &sent).await, &head(&expected));
}
