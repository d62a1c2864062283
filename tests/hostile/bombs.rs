//! Bodies that grow when they are read: compressed zeros, nesting, members and parts by the million.

use crate::{
    ground::{CHAT, Ground},
    memory::{MIB, SLACK},
    support::gateway::Options,
};
use serde_json::json;
use std::{fmt::Write as _, io::Write as _};

const DECODED_BYTES_MAX: u64 = MIB;

fn gzip(times: usize, piece: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..times {
        coder.write_all(piece).unwrap();
    }
    coder.finish().unwrap()
}

fn zstd(times: usize, piece: &[u8]) -> Vec<u8> {
    let mut coder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..times {
        coder.write_all(piece).unwrap();
    }
    coder.finish().unwrap()
}

fn brotli(times: usize, piece: &[u8]) -> Vec<u8> {
    let mut coder = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 22);
    for _ in 0..times {
        coder.write_all(piece).unwrap();
    }
    coder.into_inner()
}

#[tokio::test]
async fn a_decompression_bomb_is_refused_at_the_bound_of_its_copy() {
    let ground = Ground::start(Options::default().set("/requests/decoded_bytes_max", json!(DECODED_BYTES_MAX)));
    let zeros = vec![0; 1 << 20];
    let gib = gzip(1024, &zeros);
    assert!(gib.len() < 16 << 20);
    let cases = [
        ("gzip", "gzip", gib.clone()),
        ("zstd", "zstd", zstd(1024, &zeros)),
        ("br", "br", brotli(64, &zeros)),
        ("gzip in gzip", "gzip, gzip", gzip(1, &gib)),
        ("gzip in zstd", "gzip, zstd", zstd(1, &gib)),
        ("gzip four times", "gzip, gzip, gzip, gzip", gzip(1, &gzip(1, &gzip(1, &gib)))),
    ];
    for (name, coding, body) in cases {
        let lines = format!("content-encoding: {coding}\r\ncontent-length: {}\r\n", body.len());
        let watch = ground.watch();
        let struck = ground.while_others_are_served(ground.strike(&ground.chat(&lines, &body))).await;
        assert_eq!(struck.first(), (413, "payload_too_large".to_owned()), "{name}: {struck:?}");
        // The body itself, twice while it is put together, and a few copies of the bound.
        let bound = 2 * body.len() as u64 + 8 * DECODED_BYTES_MAX + SLACK;
        assert!(watch.grown() < bound, "{name}: {} bytes, not {bound}", watch.grown());
    }
    assert_eq!(ground.upstream(), Vec::<String>::new());
}

#[tokio::test]
async fn codings_without_number_are_refused() {
    let ground = Ground::start(Options::default());
    let body = gzip(1, b"{}");
    let lines = format!("content-encoding: {}gzip\r\ncontent-length: {}\r\n", "gzip, ".repeat(1000), body.len());
    let struck = ground.while_others_are_served(ground.strike(&ground.chat(&lines, &body))).await;
    assert_eq!(struck.first(), (400, "bad_request".to_owned()), "{struck:?}");
    assert_eq!(ground.upstream(), Vec::<String>::new());
}

#[tokio::test]
async fn json_by_the_million_costs_little_more_than_its_bytes() {
    let ground = Ground::start(Options::default());
    let million = 1_000_000;
    let nested = |open: &str, close: &str| {
        format!(r#"{{"model":"gpt-5.4-mini","x":{}0{}}}"#, open.repeat(million), close.repeat(million))
    };
    let members = (0..million).fold(r#"{"model":"gpt-5.4-mini""#.to_owned(), |mut text, at| {
        write!(text, ",\"{at}\":0").unwrap();
        text
    }) + "}";
    let cases = [
        ("arrays in arrays", nested("[", "]"), 200),
        ("objects in objects", nested("{\"a\":", "}"), 200),
        ("arrays without end", format!("{{\"model\":{}", "[".repeat(million)), 400),
        ("members", members, 200),
        ("items", format!(r#"{{"model":"gpt-5.4-mini","x":[0{}]}}"#, ",0".repeat(million)), 200),
        ("a name of 4 MB", format!(r#"{{"{}":0,"model":"gpt-5.4-mini"}}"#, "a".repeat(4 * million)), 200),
        ("a model of 4 MB", format!(r#"{{"model":"{}"}}"#, "a".repeat(4 * million)), 400),
        ("escapes", format!(r#"{{"model":"gpt-5.4-mini","x":"{}"}}"#, "\\u0000".repeat(million)), 200),
        ("a number of 4 MB", format!(r#"{{"model":"gpt-5.4-mini","x":{}}}"#, "1".repeat(4 * million)), 200),
    ];
    for (name, body, status) in cases {
        let lines = format!("content-length: {}\r\n", body.len());
        let watch = ground.watch();
        let before = ground.upstream().len();
        let struck = ground.while_others_are_served(ground.strike(&ground.chat(&lines, body.as_bytes()))).await;
        assert_eq!(struck.first().0, status, "{name}: {struck:?}");
        assert_eq!(ground.upstream().len() - before, usize::from(status == 200), "{name}");
        let bound = 4 * body.len() as u64 + SLACK;
        assert!(watch.grown() < bound, "{name}: {} bytes, not {bound}", watch.grown());
    }
}

#[tokio::test]
async fn forms_by_the_million_are_refused_or_cost_little_more_than_their_bytes() {
    let ground = Ground::start(Options::default());
    let form = |boundary: &str, body: &[u8]| {
        let lines =
            format!("content-type: multipart/form-data; boundary={boundary}\r\ncontent-length: {}\r\n\r\n", body.len());
        let target = "/openai/v1/audio/transcriptions";
        [format!("POST {target} HTTP/1.1\r\n{}{lines}", ground.head()).as_bytes(), body].concat()
    };
    let part =
        |name: &str, value: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let model = part("model", "whisper-1");
    let cases = [
        ("parts", form("b", (part("x", "").repeat(200_000) + &model + "--b--\r\n").as_bytes()), 200),
        (
            "header lines in a part",
            form("b", format!("--b\r\n{}\r\n\r\n--b--\r\n", "a: b\r\n".repeat(1_000_000)).as_bytes()),
            400,
        ),
        (
            "a header of 8 MB in a part",
            form("b", format!("--b\r\na: {}\r\n\r\n\r\n--b--\r\n", "a".repeat(8 << 20)).as_bytes()),
            400,
        ),
        ("a model of 8 MB", form("b", (part("model", &"a".repeat(8 << 20)) + "--b--\r\n").as_bytes()), 400),
        (
            "almost-boundaries",
            form("b", (part("x", &"\r\n--".repeat(1_000_000)) + &model + "--b--\r\n").as_bytes()),
            200,
        ),
        ("a boundary of 1 MiB", form(&"b".repeat(1 << 20), b"--b--\r\n"), 400),
        ("a boundary of 100 KiB", form(&"b".repeat(100 << 10), b"--b--\r\n"), 413),
        ("a boundary of 10 KiB", form(&"b".repeat(10 << 10), b"--b--\r\n"), 400),
    ];
    for (name, attack, status) in cases {
        let watch = ground.watch();
        let before = ground.upstream().len();
        let struck = ground.while_others_are_served(ground.strike(&attack)).await;
        assert_eq!(struck.first().0, status, "{name}: {struck:?}");
        assert_eq!(ground.upstream().len() - before, usize::from(status == 200), "{name}");
        let bound = 4 * attack.len() as u64 + SLACK;
        assert!(watch.grown() < bound, "{name}: {} bytes, not {bound}", watch.grown());
    }
    assert!(ground.upstream().iter().all(|line| !line.contains(CHAT)));
}
