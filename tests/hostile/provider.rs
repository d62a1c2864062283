//! Hostile providers: a broken answer is a 502 or breaks off, never looks whole, and never costs memory without bound.

use crate::{
    ground::{BODY, Ground},
    memory::{MIB, SLACK, Watch},
    peers::{Part, serve},
    support::{
        gateway::Options,
        http::{Answer, AnswerReader},
    },
};
use std::io::Write as _;

/// How an answer must come to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Our own 502.
    Unreachable,
    /// The provider's status and body, whole.
    Whole(u16, usize),
    /// The provider's status, and then the connection breaks off.
    Broken(u16),
}

fn outcome(answer: &Answer) -> Outcome {
    let is_ours = answer.status() == 502 && answer.text().contains("provider_unreachable");
    match answer.complete {
        true if is_ours => Outcome::Unreachable,
        true => Outcome::Whole(answer.status(), answer.body.len()),
        false => Outcome::Broken(answer.status()),
    }
}

/// A gateway whose first provider gives these answers.
fn behind(parts: Vec<Part>, early: bool) -> Ground {
    let upstream = format!("http://{}", serve(parts, early));
    Ground::start(Options::default().upstreams(&[("openai", &upstream)]))
}

fn ask(ground: &Ground, part: usize, body: &str) -> Vec<u8> {
    ground.chat(&format!("x-part: {part}\r\ncontent-length: {}\r\n", body.len()), body.as_bytes())
}

/// One call for one of the answers, while others are served.
async fn call(ground: &Ground, part: usize) -> (Answer, Watch) {
    let attack = ask(ground, part, BODY);
    let watch = ground.watch();
    let mut connection = ground.gateway.client().connect().await;
    let exchange = async {
        connection.write(&attack).await;
        connection.answer("POST").await
    };
    (ground.while_others_are_served(exchange).await, watch)
}

#[tokio::test]
async fn an_answer_that_is_no_http_never_looks_whole() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let headers = |count: usize| format!("{ok}{}content-length: 2\r\n\r\n{{}}", "x: a\r\n".repeat(count));
    let cases: Vec<(&str, String, Outcome)> = vec![
        ("nothing", String::new(), Outcome::Unreachable),
        ("garbage", "\x15\x03\x01\0\x02\x02\x28\r\n\r\n".to_owned(), Outcome::Unreachable),
        ("half a head", ok.to_owned(), Outcome::Unreachable),
        ("status 099", "HTTP/1.1 099 Low\r\ncontent-length: 2\r\n\r\n{}".to_owned(), Outcome::Unreachable),
        ("status 1000", "HTTP/1.1 1000 High\r\ncontent-length: 2\r\n\r\n{}".to_owned(), Outcome::Unreachable),
        ("status in words", "HTTP/1.1 fine OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(), Outcome::Unreachable),
        ("status 999", "HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\n{}".to_owned(), Outcome::Whole(999, 2)),
        ("no reason", "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n{}".to_owned(), Outcome::Whole(200, 2)),
        ("another version", "HTTP/3.0 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(), Outcome::Unreachable),
        (
            "a header of 1 MiB",
            format!("{ok}x: {}\r\ncontent-length: 2\r\n\r\n{{}}", "a".repeat(1 << 20)),
            Outcome::Unreachable,
        ),
        ("10,000 headers", headers(10_000), Outcome::Unreachable),
        ("200 headers", headers(200), Outcome::Whole(200, 2)),
        ("a header without a colon", format!("{ok}x\r\ncontent-length: 2\r\n\r\n{{}}"), Outcome::Unreachable),
        ("NUL in a header", format!("{ok}x: \0\r\ncontent-length: 2\r\n\r\n{{}}"), Outcome::Unreachable),
        ("two lengths", format!("{ok}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"), Outcome::Unreachable),
        ("a length that is none", format!("{ok}content-length: two\r\n\r\n{{}}"), Outcome::Unreachable),
        ("a short body", format!("{ok}content-length: 100\r\n\r\n{{}}"), Outcome::Broken(200)),
        (
            "a body that goes on",
            format!("{ok}content-length: 2\r\n\r\n{{}}HTTP/1.1 200 OK\r\n\r\nmore"),
            Outcome::Whole(200, 2),
        ),
        (
            "coding and length",
            format!("{ok}content-length: 100\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"),
            Outcome::Whole(200, 2),
        ),
        ("chunk garbage", format!("{ok}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\nzz\r\n"), Outcome::Broken(200)),
        (
            "a chunk size over 64 bits",
            format!("{ok}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\nfffffffffffffffff\r\n"),
            Outcome::Broken(200),
        ),
        ("chunks without end", format!("{ok}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n"), Outcome::Broken(200)),
        ("an unknown coding", format!("{ok}transfer-encoding: gzip\r\n\r\n{{}}"), Outcome::Whole(200, 2)),
        (
            "101 without having been asked",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n{}".to_owned(),
            Outcome::Unreachable,
        ),
        ("an interim answer and then nothing", "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned(), Outcome::Unreachable),
    ];
    let mut faults = Vec::new();
    let ground = behind(cases.iter().map(|(_, bytes, _)| Part::once(bytes.clone())).collect(), false);
    for (at, (name, _, expected)) in cases.into_iter().enumerate() {
        let (answer, watch) = call(&ground, at).await;
        if outcome(&answer) != expected {
            faults.push(format!("{name}: {expected:?} was expected: {answer:?}"));
        }
        assert!(watch.grown() < SLACK, "{name}: {} bytes", watch.grown());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn gzip_of_a_gibibyte() -> Vec<u8> {
    let zeros = vec![0; 1 << 20];
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..1024 {
        coder.write_all(&zeros).unwrap();
    }
    coder.finish().unwrap()
}

#[tokio::test]
async fn an_answer_without_measure_passes_and_costs_no_memory() {
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes();
    let chunked = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";
    let chunk = |text: &[u8]| [format!("{:x}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat();
    let last = b"0\r\n\r\n".to_vec();
    let mib = vec![b'a'; 1 << 20];
    let bomb = gzip_of_a_gibibyte();
    let coded =
        format!("content-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len());
    let json = b"content-type: application/json\r\n".to_vec();
    let cases = [
        (
            "a line of 100 MiB",
            Part {
                begin: [head(chunked), chunk(b"data: ")].concat(),
                piece: chunk(&mib),
                times: 100,
                end: last.clone(),
            },
            100 << 20,
        ),
        (
            "events without data by the million",
            Part { begin: head(chunked), piece: chunk(&b"data\n".repeat(200_000)), times: 10, end: last.clone() },
            10_000_000,
        ),
        (
            "a JSON text of 100 MiB",
            Part {
                begin: head(std::str::from_utf8(&json).unwrap()),
                piece: [b"\"".to_vec(), mib.clone()].concat(),
                times: 100,
                end: Vec::new(),
            },
            100 << 20,
        ),
        (
            "nesting of 10 MiB",
            Part {
                begin: head(std::str::from_utf8(&json).unwrap()),
                piece: vec![b'['; 1 << 20],
                times: 10,
                end: Vec::new(),
            },
            10 << 20,
        ),
        ("a gzip bomb", Part::once([head(&coded), bomb.clone()].concat()), bomb.len()),
    ];
    let ground = behind(cases.iter().map(|(_, part, _)| part.clone()).collect(), false);
    for (at, (name, _, bytes)) in cases.into_iter().enumerate() {
        let (answer, watch) = call(&ground, at).await;
        assert!(answer.status() == 200 && answer.complete && answer.body.len() >= bytes, "{name}: {:?}", answer.head);
        assert!(watch.grown() < SLACK + 8 * MIB, "{name}: {} bytes", watch.grown());
    }
}

#[tokio::test]
async fn interim_answers_without_number_cost_no_memory() {
    let end = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec();
    let piece = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1000);
    let ground = behind(vec![Part { begin: Vec::new(), piece, times: 20, end }], false);
    let (answer, watch) = call(&ground, 0).await;
    assert_eq!((outcome(&answer), answer.interim.len()), (Outcome::Whole(200, 2), 20_000));
    assert!(watch.grown() < SLACK, "{} bytes", watch.grown());
}

#[tokio::test]
async fn an_answer_that_never_ends_ends_with_its_caller() {
    let begin = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_vec();
    let ground = behind(vec![Part { begin, piece: vec![b'a'; 1 << 16], times: usize::MAX, end: Vec::new() }], false);
    let attack = ask(&ground, 0, BODY);
    let watch = ground.watch();
    let mut connection = ground.gateway.client().connect().await;
    let exchange = async {
        connection.write(&attack).await;
        let mut reader = AnswerReader::new("POST");
        connection.answer_until(&mut reader, |answer| answer.body.len() > 32 << 20).await;
        drop(connection);
        reader.so_far().status()
    };
    assert_eq!(ground.while_others_are_served(exchange).await, 200);
    assert!(watch.grown() < SLACK, "{} bytes", watch.grown());
}

#[tokio::test]
async fn an_answer_before_the_request_was_sent_reaches_the_caller() {
    let early = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}".to_vec();
    let ground = behind(vec![Part::once(early)], true);
    let text = BODY.replace("\"a\"", &format!("{:?}", "a".repeat(8 << 20)));
    let struck = ground.while_others_are_served(ground.strike(&ask(&ground, 0, &text))).await;
    assert_eq!((struck.first().0, struck.answers.len()), (429, 1), "{struck:?}");
}
