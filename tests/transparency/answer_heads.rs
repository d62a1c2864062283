//! Answers' heads: status line, names, values, repetition and order as the provider wrote them, with one header more. Errors and
//! redirects are answers like any other.

use crate::{
    lane::{Lane, assert_same, head, mark},
    support::{
        http::{Answer, Ask},
        simulator::Reply,
    },
};

/// The caller's head, its one new header and the two that Pingora writes checked and made comparable.
fn comparable(answer: &Answer) -> String {
    let written = String::from_utf8_lossy(&answer.head.0).into_owned();
    let ids: Vec<&str> = answer.head.values("x-gateway-request-id").collect();
    assert!(matches!(ids[..], [id] if id.len() == 26), "one id: {written}");
    let dates: Vec<&str> = answer.head.values("date").collect();
    assert!(matches!(dates[..], [date] if date.len() == 29 && date.ends_with(" GMT")), "one date: {written}");
    written.replace(ids[0], "ID").replace(dates[0], "DATE")
}

/// What a provider's head becomes: `X-Gateway-Request-Id`, `Date` (where there was none) and `Connection` at its end.
fn expected(lines: &[&str], connection: &str) -> String {
    let dated = |line: &str| line.to_ascii_lowercase().starts_with("date:");
    let mut found: Vec<String> =
        lines.iter().map(|line| if dated(line) { "Date: DATE".to_owned() } else { (*line).to_owned() }).collect();
    found.push("X-Gateway-Request-Id: ID".to_owned());
    if !lines.iter().any(|line| dated(line)) {
        found.push("Date: DATE".to_owned());
    }
    found.push(format!("Connection: {connection}"));
    String::from_utf8(head(&found)).unwrap()
}

#[tokio::test]
async fn an_answers_head_passes_as_it_was_written_with_one_header_more() {
    let lane = Lane::new("answer-heads");
    let long = format!("X-Long: {}", "v".repeat(8 * 1024));
    let heads: [&[&str]; 6] = [
        &["HTTP/1.1 200 OK", "Content-Length: 2"],
        &["HTTP/1.1 200 A Fancy Reason", "server: cloudflare", "CONTENT-length: 2", "x-ODD-case: v", "Via: 1.1 theirs"],
        &["HTTP/1.1 200 OK", "Set-Cookie: a=1; Path=/", "Content-Length: 2", "X-Empty: ", "Alt-Svc: h3=\":443\""],
        &["HTTP/1.1 200 OK", "set-cookie: a=1", "Set-Cookie: b=2", "SET-COOKIE: a=1", "Content-Length: 2"],
        &["HTTP/1.1 200 OK", "DATE: Wed, 25 Nov 2026 04:00:00 GMT", "Age: 5", "Content-Length: 2", &long],
        &["HTTP/1.1 299 ", "openai-processing-ms: 12", "x-request-id: req_1", "cf-ray: 1-AMS", "content-length: 2"],
    ];
    for lines in heads {
        let answer = lane.answered(&[&head(lines)[..], b"{}"].concat()).await;
        assert_eq!(comparable(&answer), expected(lines, "keep-alive"));
        assert_eq!((&*answer.body, answer.complete), (&b"{}"[..], true));
    }
}

#[tokio::test]
async fn values_of_an_answer_pass_byte_for_byte_and_repeated_headers_stand_together() {
    let lane = Lane::new("answer-values");
    let wire = b"HTTP/1.1 200 OK\r\nX-A:1\r\nX-B:  \xe2\x82\xac \x80\xff \t\r\nx-a: \t2\r\nContent-Length: 0\r\n\r\n";
    let answer = lane.answered(wire).await;
    let ours = memchr::memmem::find(&answer.head.0, b"X-Gateway-Request-Id").unwrap();
    let theirs = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nX-B: \xe2\x82\xac \x80\xff\r\nContent-Length: 0\r\n";
    assert_same("values", &answer.head.0[..ours], theirs);
}

#[tokio::test]
async fn two_hundred_headers_of_an_answer_pass_in_their_order() {
    let lane = Lane::new("answer-many");
    let mut lines = vec!["HTTP/1.1 200 OK".to_owned(), "Content-Length: 0".to_owned()];
    lines.extend((0..200).map(|at| format!("{}-{at}: {at}", ["x-many", "X-MANY", "X-Many"][at % 3])));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(comparable(&lane.answered(&head(&lines)).await), expected(&lines, "keep-alive"));
}

#[tokio::test]
async fn what_an_answer_says_of_its_own_hop_stays_on_it() {
    let lane = Lane::new("answer-hop");
    let kept = ["HTTP/1.1 200 OK", "Content-Length: 2", "X-Other: 1", "Via: 1.1 theirs", "Content-Type: text/plain"];
    for hop in [
        &["Connection: close"][..],
        &["Connection: X-Named,content-length , CONTENT-TYPE", "X-Named: 1"],
        &["connection: x-one, x-two", "CONNECTION: X-Three", "X-One: 1", "X-Two: 2", "X-Three: 3"],
        &["Keep-Alive: timeout=77"],
        &["Proxy-Connection: keep-alive"],
        &["Upgrade: h2,h2c", "Connection: Upgrade"],
        &["Trailer: X-Sum"],
    ] {
        let lines = [&kept[..], hop].concat();
        let answer = lane.answered(&[&head(&lines)[..], b"{}"].concat()).await;
        let mut found: Vec<String> = comparable(&answer).lines().map(str::to_owned).collect();
        let mut wanted: Vec<String> = expected(&kept, "keep-alive").lines().map(str::to_owned).collect();
        // What is taken out leaves its place to the last header.
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{hop:?}");
        assert_eq!((&*answer.body, answer.complete), (&b"{}"[..], true));
    }
}

#[tokio::test]
async fn errors_of_a_provider_pass_as_they_are_and_are_no_errors_of_ours() {
    let lane = Lane::new("answer-errors");
    for (status, reason, more) in [
        (400, "Bad Request", "x-should-retry: false"),
        (401, "Unauthorized", "WWW-Authenticate: Bearer realm=\"api\""),
        (402, "Payment Required", "x-a: b"),
        (403, "Forbidden", "x-a: b"),
        (404, "Not Found", "x-a: b"),
        (405, "Method Not Allowed", "Allow: POST"),
        (408, "Request Timeout", "x-a: b"),
        (409, "Conflict", "x-a: b"),
        (413, "Payload Too Large", "x-a: b"),
        (418, "I'm a teapot", "x-a: b"),
        (422, "Unprocessable Entity", "x-a: b"),
        (429, "Too Many Requests", "Retry-After: 17"),
        (500, "Internal Server Error", "x-a: b"),
        (502, "Bad Gateway", "x-a: b"),
        (503, "Service Unavailable", "retry-after: Wed, 25 Nov 2026 04:00:00 GMT"),
        (504, "Gateway Timeout", "x-a: b"),
        (529, "Overloaded", "x-should-retry: true"),
        (599, "Whatever", "x-a: b"),
    ] {
        let body = format!("{{\"error\": {{\"type\":\"their_own\", \"code\":{status}}} }}\n");
        let length = format!("Content-Length: {}", body.len());
        let lines = [&*format!("HTTP/1.1 {status} {reason}"), "Content-Type: application/json", more, &length];
        let answer = lane.answered(&[&head(&lines)[..], body.as_bytes()].concat()).await;
        assert_eq!(comparable(&answer), expected(&lines, "keep-alive"));
        assert_same(reason, &answer.body, body.as_bytes());
        let record = lane.usage_of(&answer).await;
        assert_eq!((&record["status"], &record["error_type"]), (&status.into(), &"provider_error".into()));
    }
}

#[tokio::test]
async fn redirects_pass_and_are_not_followed() {
    let lane = Lane::new("answer-redirects");
    for status in [301, 302, 303, 307, 308] {
        for location in ["/v1/else?a=%2F", "https://elsewhere.example/x#y", "//h/../z", ""] {
            let lines = [&*format!("HTTP/1.1 {status} Moved"), &format!("Location: {location}"), "content-length: 0"];
            let knob = lane.reply(Reply::raw(head(&lines)).delivered(|delivery| delivery.close = false));
            let mark = mark();
            let ask = Ask::post("/openai/v1/embeddings", &serde_json::json!({"model": "gpt-5.4-mini"}));
            let ask = ask.header("authorization", &lane.bearer()).header("x-mark", &mark).sim(&knob);
            let answer = lane.gateway.client().send(&ask).await;
            assert_eq!(comparable(&answer), expected(&lines, "keep-alive"));
            let sent = lane.gateway.simulator.matching(|request| request.header("x-mark") == Some(&mark));
            assert_eq!(sent.len(), 1, "{status} {location}: asked once");
        }
    }
}

#[tokio::test]
async fn a_credential_that_an_answers_head_repeats_does_not_reach_the_caller() {
    let lane = Lane::new("answer-credential");
    let credential = lane.gateway.credential("openai");
    let lines = [
        "HTTP/1.1 307 Moved",
        &format!("Location: /v1/else?key={credential}&a=b"),
        &format!("X-Echo: Bearer {credential}"),
        "X-Plain: 1",
        "Content-Length: 0",
    ];
    // The harness searches everything that a caller received for credentials.
    let answer = lane.answered(&head(&lines)).await;
    assert_eq!(answer.header("location"), Some("/v1/else?key=[redacted]&a=b"));
    assert_eq!(answer.header("x-echo"), Some("Bearer [redacted]"));
    assert_eq!(answer.header("x-plain"), Some("1"));
}

#[tokio::test]
async fn answers_without_a_body_stay_without_one() {
    let lane = Lane::new("answer-empty");
    let cases: [(&str, &[&str]); 8] = [
        ("DELETE", &["HTTP/1.1 204 No Content", "X-A: b"]),
        ("GET", &["HTTP/1.1 204 No Content"]),
        ("GET", &["HTTP/1.1 304 Not Modified", "ETag: \"e\"", "Cache-Control: max-age=1"]),
        ("GET", &["HTTP/1.1 304 Not Modified", "ETag: W/\"e\"", "Content-Length: 1234"]),
        ("HEAD", &["HTTP/1.1 200 OK", "Content-Length: 1234", "Content-Type: application/json"]),
        ("HEAD", &["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Type: application/json"]),
        ("HEAD", &["HTTP/1.1 404 Not Found", "Content-Length: 9"]),
        ("GET", &["HTTP/1.1 200 OK", "Content-Length: 0"]),
    ];
    for (method, lines) in cases {
        let knob = lane.reply(Reply::raw(head(lines)));
        let ask = Ask::new(method, "/openai/v1/files/f").header("authorization", &lane.bearer()).sim(&knob);
        let mut connection = lane.gateway.client().connect().await;
        let answer = connection.send(&ask).await;
        assert_eq!(comparable(&answer), expected(lines, "keep-alive"), "{method}");
        assert!(answer.complete && answer.body_raw.is_empty(), "{answer:?}");
        // The next answer on this connection begins where this one ended.
        connection.send(&Ask::get("/gw/me").header("authorization", &lane.bearer())).await.expect(200);
    }
}

#[tokio::test]
async fn a_delete_may_have_a_body_both_ways() {
    let lane = Lane::new("answer-delete");
    let knob = lane.reply(Reply::json(200, "{\"deleted\": true}\n"));
    let ask = Ask::new("DELETE", "/openai/v1/files/f").header("authorization", &lane.bearer()).sim(&knob);
    let passed = lane.pass(&ask.body("{\"why\": 1}")).await;
    assert_eq!(passed.received.body, b"{\"why\": 1}");
    assert_eq!(passed.answer.expect(200).body, b"{\"deleted\": true}\n");
}

#[tokio::test]
async fn interim_answers_pass_before_the_answer() {
    let lane = Lane::new("answer-interim");
    let interim: [&[&str]; 3] = [
        &["HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload", "link: </b>; rel=preload"],
        &["HTTP/1.1 102 Processing"],
        &["HTTP/1.1 103 Early Hints", "X-Odd: 1"],
    ];
    let lines = ["HTTP/1.1 200 OK", "Content-Length: 2"];
    let sent: Vec<u8> = interim.iter().flat_map(|lines| head(lines)).collect();
    let wire = [&sent[..], &head(&lines), b"{}"].concat();
    let answer = lane.answered(&wire).await;
    let found: Vec<u8> = answer.interim.iter().flat_map(|head| head.0.clone()).collect();
    assert_same("interim", &found, &sent);
    assert_eq!(comparable(&answer), expected(&lines, "keep-alive"));
}
