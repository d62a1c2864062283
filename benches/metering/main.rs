//! What metering costs, beside what it must not slow down: `cargo bench --bench metering`.
//!
//! Prints medians and ratios, asserts nothing: a debug build, or a busy machine, shows other figures. A stream of 500 chunks
//! is metered as the relay does it, then only copied, then relayed over loopback connections by the least program that
//! can: one read and one write a chunk, which is far less than a proxy does. Then whole answers, in each coding, and what an
//! answer that decodes to far more than its size costs where it passes and where it is read.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use bytes::Bytes;
use sociaro_gateway::{
    base::clock::{self, Duration},
    metering::{
        beside::{Beside, Finished},
        meter::{AnswerHead, AnswerMeter},
        prompt::Prompt,
    },
    providers::{dialect::answer_meter, provider::Dialect},
};
use std::{
    fmt::Write as _,
    hint::black_box,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

const CHUNKS: usize = 500;
const RUNS: usize = 101;
const CODINGS: [&str; 5] = ["identity", "gzip", "br", "zstd", "deflate"];

fn main() {
    let events = events();
    let bytes: usize = events.iter().map(Vec::len).sum();
    println!("a streamed chat of {CHUNKS} chunks, {} bytes each; per chunk:", bytes / CHUNKS);
    let copied = each(&median(|| copy(&events)));
    let relayed = each(&relay(&events));
    println!("  copied            {copied:>9} ns");
    println!("  relayed, at least {relayed:>9} ns");
    for coding in CODINGS {
        let chunks = encode_stream(coding, &events);
        let metered = each(&median(|| meter_stream(coding, &chunks)));
        let share = ratio(metered, relayed);
        println!("  metered, {coding:<8} {metered:>9} ns   {share} of the least relay (goal: 1000 ns)");
    }
    println!("an answer of 1 MB, whole:");
    let (document, numbers) = (document(), embeddings());
    for (what, document) in [("text", &document), ("numbers", &numbers)] {
        for coding in CODINGS {
            let encoded = encode(coding, document);
            let took = median(|| meter_document(coding, &encoded));
            println!("  {what:<8} {coding:<8} {:>9} ns   (goal, identity: 500000 ns)", took.as_nanos());
        }
    }
    println!("64 KiB that decode to far more, where they pass and where they are read:");
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let mut bomb = encode(coding, &vec![b' '; 64 << 20]);
        bomb.truncate(64 << 10);
        let chunk = Bytes::from(bomb);
        let passed = median_of(21, || pass(coding, &chunk));
        let read = median_of(3, || meter_document(coding, &chunk));
        println!("  {coding:<8} {:>9} ns to pass, {:>9} ns to read", passed.as_nanos(), read.as_nanos());
    }
}

fn each(took: &Duration) -> u128 {
    took.as_nanos() / CHUNKS as u128
}

fn ratio(one: u128, two: u128) -> String {
    let thousandths = one * 1000 / two.max(1);
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

fn median(work: impl FnMut()) -> Duration {
    median_of(RUNS, work)
}

fn median_of(runs: usize, mut work: impl FnMut()) -> Duration {
    let mut took: Vec<Duration> = (0..runs)
        .map(|_| {
            let begun = clock::instant();
            work();
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    took.get(runs / 2).copied().unwrap_or_default()
}

/// A chat as it is streamed: text, then usage, then its end.
fn events() -> Vec<Vec<u8>> {
    let head = r#"data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1795300001,"model":"gpt-5.4-2026-03-05","service_tier":"default","choices":[{"index":0,"delta":{"content":""#;
    let tail = "\"},\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"a8Kd0\"}\n\n";
    let mut events: Vec<Vec<u8>> = (0..CHUNKS - 2).map(|n| format!("{head} word{n}{tail}").into_bytes()).collect();
    events.push(
        b"data: {\"id\":\"chatcmpl-B\",\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":498,\
          \"total_tokens\":510,\"prompt_tokens_details\":{\"cached_tokens\":0},\
          \"completion_tokens_details\":{\"reasoning_tokens\":0}}}\n\n"
            .to_vec(),
    );
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}

fn document() -> Vec<u8> {
    let mut text = String::from(r#"{"id":"chatcmpl-B","model":"gpt-5.4","choices":[{"message":{"content":""#);
    for n in 0..1_000_000 / 12 {
        write!(text, "word {:6} ", n * 7919 % 1_000_000).unwrap_or_default();
    }
    text.push_str(r#""}}],"usage":{"prompt_tokens":12,"completion_tokens":498,"total_tokens":510}}"#);
    text.into_bytes()
}

fn embeddings() -> Vec<u8> {
    let mut text = String::from(r#"{"object":"list","data":[{"embedding":["#);
    for n in 0..1_000_000u64 / 13 {
        writeln!(text, "0.{:09},", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000_000_000).unwrap_or_default();
    }
    text.push_str(r#"0]}],"model":"text-embedding-3-large","usage":{"prompt_tokens":8,"total_tokens":8}}"#);
    text.into_bytes()
}

fn meter(coding: &str, content_type: &str) -> AnswerMeter {
    let head = AnswerHead { status: 200, content_type: Some(content_type), content_encoding: Some(coding) };
    answer_meter(Dialect::OpenAi, "chat.completions", &head).with_prompt(Prompt::of_size(1000))
}

fn meter_stream(coding: &str, chunks: &[Bytes]) {
    let mut beside = Beside::new(meter(coding, "text/event-stream"));
    for chunk in chunks {
        beside.read(chunk);
    }
    match beside.finish() {
        Finished::Read(reading) => assert_eq!(reading.tokens.output, 498, "{coding}"),
        Finished::Later(_) => println!("  (read apart: this machine is busy)"),
    }
}

fn meter_document(coding: &str, bytes: &[u8]) {
    let mut meter = meter(coding, "application/json");
    bytes.chunks(16 << 10).for_each(|chunk| meter.read(chunk));
    black_box(meter.finish());
}

/// What a chunk costs where it passes.
fn pass(coding: &str, chunk: &Bytes) {
    let mut beside = Beside::new(meter(coding, "application/json"));
    beside.read(chunk);
    black_box(&beside);
}

fn copy(events: &[Vec<u8>]) {
    for event in events {
        black_box(Bytes::copy_from_slice(event));
    }
}

/// Reads each chunk from one connection and writes it to another; the time of that alone.
fn relay(events: &[Vec<u8>]) -> Duration {
    let mut took: Vec<Duration> = (0..11).map(|_| relay_once(events).unwrap_or_default()).collect();
    took.sort_unstable();
    took.get(5).copied().unwrap_or_default()
}

fn relay_once(events: &[Vec<u8>]) -> std::io::Result<Duration> {
    let pair = || -> std::io::Result<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        let far = listener.accept()?.0;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        Ok((near, far))
    };
    let ((mut provider, mut upstream), (mut downstream, mut caller)) = (pair()?, pair()?);
    let (mut buffer, mut sink, mut took) = (vec![0; 64 << 10], vec![0; 64 << 10], Duration::ZERO);
    for event in events {
        provider.write_all(event)?;
        let begun = clock::instant();
        let size = upstream.read(&mut buffer)?;
        downstream.write_all(buffer.get(..size).unwrap_or_default())?;
        took += begun.elapsed();
        caller.read_exact(sink.get_mut(..size).unwrap_or_default())?;
    }
    Ok(took)
}

/// Each event encoded and flushed by itself.
fn encode_stream(coding: &str, events: &[Vec<u8>]) -> Vec<Bytes> {
    let mut coder = Coder::new(coding);
    events.iter().map(|event| Bytes::from(coder.encode(event))).collect()
}

fn encode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    Coder::new(coding).encode(bytes)
}

enum Coder {
    Identity,
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Deflate(flate2::write::ZlibEncoder<Vec<u8>>),
    Br(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Coder {
    fn new(coding: &str) -> Self {
        let level = flate2::Compression::new(6);
        match coding {
            "gzip" => Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), level)),
            "deflate" => Self::Deflate(flate2::write::ZlibEncoder::new(Vec::new(), level)),
            "br" => Self::Br(Box::new(brotli::CompressorWriter::new(Vec::new(), 4096, 4, 19))),
            "zstd" => zstd::stream::write::Encoder::new(Vec::new(), 3).map_or(Self::Identity, Self::Zstd),
            _ => Self::Identity,
        }
    }

    /// What these bytes become, flushed.
    fn encode(&mut self, bytes: &[u8]) -> Vec<u8> {
        let writer: &mut dyn Write = match self {
            Self::Identity => return bytes.to_vec(),
            Self::Gzip(coder) => coder,
            Self::Deflate(coder) => coder,
            Self::Br(coder) => coder,
            Self::Zstd(coder) => coder,
        };
        let written = writer.write_all(bytes).and_then(|()| writer.flush());
        assert!(written.is_ok(), "a vector takes all");
        std::mem::take(match self {
            Self::Identity => return Vec::new(),
            Self::Gzip(coder) => coder.get_mut(),
            Self::Deflate(coder) => coder.get_mut(),
            Self::Br(coder) => coder.get_mut(),
            Self::Zstd(coder) => coder.get_mut(),
        })
    }
}
