//! Request smuggling: where a body ends is beyond doubt, or the request is refused and its connection closed.

use crate::{
    ground::{BODY, Ground, Row, all_refused},
    support::gateway::Options,
};

/// Refused before there is a request, by the parser: an empty body, no request id.
const PARSER: (u16, &str) = (400, "");
const OURS: (u16, &str) = (400, "bad_request");

#[tokio::test]
async fn a_body_whose_end_is_in_doubt_is_refused_and_what_follows_is_no_request() {
    let ground = Ground::start(Options::default());
    let length = format!("content-length: {}\r\n", BODY.len());
    let cases: &[(&str, String, (u16, &str))] = &[
        ("length, then coding", format!("{length}transfer-encoding: chunked\r\n"), OURS),
        ("coding, then length", format!("transfer-encoding: chunked\r\n{length}"), OURS),
        ("coding and length in other cases", format!("TRANSFER-ENCODING: Chunked\r\n{}", length.to_uppercase()), OURS),
        ("chunked in two lines", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n".to_owned(), OURS),
        ("chunked twice in one line", "transfer-encoding: chunked, chunked\r\n".to_owned(), OURS),
        ("xchunked", "transfer-encoding: xchunked\r\n".to_owned(), PARSER),
        ("xchunked with length", format!("transfer-encoding: xchunked\r\n{length}"), PARSER),
        ("chunked, identity", "transfer-encoding: chunked, identity\r\n".to_owned(), PARSER),
        ("identity", format!("transfer-encoding: identity\r\n{length}"), PARSER),
        ("identity, chunked", "transfer-encoding: identity, chunked\r\n".to_owned(), OURS),
        ("gzip, chunked", "transfer-encoding: gzip, chunked\r\n".to_owned(), OURS),
        ("chunked with garbage", "transfer-encoding: chunked x\r\n".to_owned(), PARSER),
        ("CHUNKED with garbage", "transfer-encoding: CHUNKED;q=1\r\n".to_owned(), PARSER),
        ("chunked in quotes", "transfer-encoding: \"chunked\"\r\n".to_owned(), PARSER),
        ("chunked behind a vertical tab", "transfer-encoding: \x0bchunked\r\n".to_owned(), PARSER),
        ("an empty coding", format!("transfer-encoding:\r\n{length}"), PARSER),
        (
            "a coding that is no coding and one that is",
            "transfer-encoding: x\r\ntransfer-encoding: chunked\r\n".to_owned(),
            OURS,
        ),
        ("space before the colon", format!("transfer-encoding : chunked\r\n{length}"), PARSER),
        ("tab before the colon", format!("transfer-encoding\t: chunked\r\n{length}"), PARSER),
        ("space before the name", format!("{length} transfer-encoding: chunked\r\n"), PARSER),
        ("a folded coding", format!("transfer-encoding:\r\n chunked\r\n{length}"), PARSER),
        ("equal lengths", length.repeat(2), OURS),
        ("equal lengths in one line", format!("content-length: {0}, {0}\r\n", BODY.len()), OURS),
        ("two lengths", format!("{length}content-length: 0\r\n"), PARSER),
        ("two lengths in one line", format!("content-length: {}, 0\r\n", BODY.len()), PARSER),
        ("length with a plus", format!("content-length: +{}\r\n", BODY.len()), PARSER),
        ("length with a minus", "content-length: -1\r\n".to_owned(), PARSER),
        ("length with a space within", "content-length: 1 0\r\n".to_owned(), PARSER),
        ("length in hexadecimal", format!("content-length: {:#x}\r\n", BODY.len()), PARSER),
        ("length over 64 bits", "content-length: 18446744073709551617\r\n".to_owned(), PARSER),
        ("an empty length", "content-length:\r\n".to_owned(), PARSER),
        ("length with a fraction", "content-length: 5.0\r\n".to_owned(), PARSER),
    ];
    let chunked = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len());
    let rows: Vec<Row<'_>> = cases
        .iter()
        .map(|(name, lines, expected)| {
            // Chunked for those who read it so; for the others the smuggled request stands where the body would be.
            let body = if lines.to_ascii_lowercase().contains("chunked") { chunked.clone() } else { BODY.to_owned() };
            (*name, ground.chat(lines, (body + &ground.smuggled()).as_bytes()), *expected)
        })
        .collect();
    all_refused(&ground, rows).await;
}

#[tokio::test]
async fn a_head_that_is_no_http_is_refused() {
    let ground = Ground::start(Options::default());
    let get = |lines: &str| format!("GET /openai/v1/models HTTP/1.1\r\n{}{lines}\r\n", ground.head()).into_bytes();
    let rows: Vec<Row<'_>> = vec![
        ("a folded line", get("x-folded: a\r\n b\r\n"), PARSER),
        ("a line folded with a tab", get("x-folded: a\r\n\tb\r\n"), PARSER),
        ("NUL in a value", get("x-nul: a\0b\r\n"), PARSER),
        ("NUL in a name", get("x-n\0ul: a\r\n"), PARSER),
        ("a bare CR in a value", get("x-cr: a\rtransfer-encoding: chunked\r\n"), PARSER),
        ("a bare CR at a line's end", get("x-cr: a\r\r\n"), PARSER),
        ("a control character in a value", get("x-bell: \x07\r\n"), PARSER),
        ("a space in a name", get("x space: a\r\n"), PARSER),
        ("no name", get(": a\r\n"), PARSER),
        ("no colon", get("x-no-colon\r\n"), PARSER),
        ("a name of other signs", get("x(y): a\r\n"), PARSER),
        ("two hosts", get("host: gateway.test\r\n"), PARSER),
        ("two different hosts", get("host: other.test\r\n"), PARSER),
        ("no version", b"GET /openai/v1/models\r\n\r\n".to_vec(), PARSER),
        ("version 1.2", b"GET / HTTP/1.2\r\nhost: a\r\n\r\n".to_vec(), PARSER),
        ("version 3", b"GET / HTTP/3.0\r\nhost: a\r\n\r\n".to_vec(), PARSER),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), PARSER),
        ("257 lines", get(&"x: y\r\n".repeat(255)), PARSER),
        ("no host", b"GET /openai/v1/models HTTP/1.1\r\n\r\n".to_vec(), OURS),
        ("an empty host", b"GET /openai/v1/models HTTP/1.1\r\nhost:\r\n\r\n".to_vec(), OURS),
    ];
    all_refused(&ground, rows).await;
}

#[tokio::test]
async fn lenient_spellings_are_written_again_so_that_the_provider_sees_one_reading() {
    let ground = Ground::start(Options::default());
    let length = format!("content-length: {}\r\n", BODY.len());
    let bare = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace("\r\n", "\n").into_bytes();
    let cases = [
        (
            "a length with zeros before it",
            ground.chat(&format!("content-length: 000{}\r\n", BODY.len()), BODY.as_bytes()),
        ),
        ("lines that end in LF alone", bare(ground.chat(&length, BODY.as_bytes()))),
        (
            "CHUNKED",
            ground
                .chat("Transfer-Encoding: CHUNKED\r\n", format!("{:X}\r\n{BODY}\r\n0\r\n\r\n", BODY.len()).as_bytes()),
        ),
    ];
    for (at, (name, bytes)) in cases.into_iter().enumerate() {
        let attack = [bytes, ground.smuggled().into_bytes()].concat();
        let struck = ground.while_others_are_served(ground.strike(&attack)).await;
        assert_eq!((struck.first().0, struck.answers.len()), (200, 1), "{name}: {struck:?}");
        assert_eq!(ground.upstream().len(), at + 1, "{name}");
        let sent = ground.gateway.simulator.matching(|request| request.path() == "/v1/chat/completions");
        let sent = sent.last().unwrap();
        let framing = sent.head.values("content-length").count() + sent.head.values("transfer-encoding").count();
        assert_eq!((framing, &sent.body[..]), (1, BODY.as_bytes()), "{name}: {:?}", sent.head);
    }
}

#[tokio::test]
async fn what_is_sent_behind_a_request_is_not_taken_for_its_body_nor_served_with_its_key() {
    let ground = Ground::start(Options::default());
    let get = format!("GET /openai/v1/models HTTP/1.1\r\n{}\r\n", ground.head());
    let length = format!("content-length: {}\r\n", BODY.len());
    let keyless =
        "POST /openai/v1/chat/completions?smuggled HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 0\r\n\r\n";
    let firsts = [("a GET", get.into_bytes(), "GET"), ("a POST", ground.chat(&length, BODY.as_bytes()), "POST")];
    for (name, first, method) in firsts {
        for second in [ground.smuggled(), keyless.to_owned(), "\0\0\0\0".repeat(100)] {
            let before = ground.upstream().len();
            let attack = [&first, second.as_bytes()].concat();
            let struck = ground.while_others_are_served(ground.strike(&attack)).await;
            // The connection ends behind the first answer: callers send again what was not answered.
            assert_eq!((struck.first().0, struck.answers.len()), (200, 1), "{name}, {second}: {struck:?}");
            let upstream = ground.upstream();
            assert_eq!(upstream.len(), before + 1, "{name}, {second}: {upstream:?}");
            assert!(upstream[before].starts_with(method) && !upstream[before].contains("smuggled"), "{upstream:?}");
        }
    }
    let bodies = ground.gateway.simulator.matching(|request| request.method() == "POST");
    assert!(bodies.iter().all(|request| request.body == BODY.as_bytes()), "{bodies:?}");
}
