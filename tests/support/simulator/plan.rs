//! From a reply to the steps that send it. Pure: the same reply makes the same bytes in the same writes.

use super::reply::{Break, Coding, Content, Cuts, Delivery, Fault, Framing, Gate, Reply};
use std::{
    io::{self, Write},
    time::Duration,
};

/// One step of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Write(Vec<u8>),
    Sleep(Duration),
    /// Waits until the test lets the next write pass.
    Gate(Gate),
    /// Ends the plan: nothing after it is reached.
    Break(Break),
}

/// The steps of an answer to a request of that method, and whether the connection lives on.
pub(super) fn plan(reply: &Reply, method: &str, keep_alive: bool) -> io::Result<(Vec<Step>, bool)> {
    let delivery = &reply.delivery;
    let keep_alive = keep_alive && !delivery.close && delivery.framing != Framing::Close;
    let mut steps = Vec::new();
    for interim in &delivery.interim {
        steps.push(Step::Write(interim.clone()));
    }
    if !delivery.delay_head.is_zero() {
        steps.push(Step::Sleep(delivery.delay_head));
    }
    if let Some(Fault::BeforeHead(how)) = delivery.fault {
        steps.push(Step::Break(how));
        return Ok((steps, false));
    }
    match &reply.content {
        Content::Raw(pieces) => push_paced(&mut steps, pieces.clone(), delivery),
        Content::Realtime { .. } => {}
        Content::Http { status, reason, headers, pieces } => {
            let pieces = encode(pieces, delivery.coding)?;
            let bodiless = (100..200).contains(status) || matches!(status, 204 | 304);
            let length = (!bodiless).then(|| pieces.iter().map(Vec::len).sum());
            let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
            for (name, value) in headers {
                head.push_str(&line(name, value));
            }
            head.push_str(&framing_lines(delivery, length, keep_alive));
            head.push_str("\r\n");
            steps.push(Step::Write(head.into_bytes()));
            if bodiless || method == "HEAD" {
                push_trailing(&mut steps, delivery);
                return Ok((steps, keep_alive));
            }
            if push_body(&mut steps, &pieces, delivery) {
                return Ok((steps, false));
            }
        }
    }
    push_trailing(&mut steps, delivery);
    Ok((steps, keep_alive))
}

fn line(name: &str, value: &str) -> String {
    format!("{name}: {value}\r\n")
}

/// The header lines that the delivery adds.
fn framing_lines(delivery: &Delivery, length: Option<usize>, keep_alive: bool) -> String {
    let mut lines = String::new();
    if length.is_some() {
        match delivery.coding {
            Coding::Identity => {}
            Coding::Gzip => lines.push_str("content-encoding: gzip\r\n"),
            Coding::Brotli => lines.push_str("content-encoding: br\r\n"),
            Coding::Zstd => lines.push_str("content-encoding: zstd\r\n"),
            Coding::Deflate => lines.push_str("content-encoding: deflate\r\n"),
        }
    }
    match (delivery.framing, length) {
        (Framing::ContentLength, Some(length)) => lines.push_str(&line("content-length", &length.to_string())),
        (Framing::Chunked, Some(_)) => lines.push_str("transfer-encoding: chunked\r\n"),
        _ => {}
    }
    if !keep_alive && delivery.framing != Framing::AsGiven {
        lines.push_str("connection: close\r\n");
    }
    lines
}

/// Adds the framed body. True when a fault ended it.
fn push_body(steps: &mut Vec<Step>, pieces: &[Vec<u8>], delivery: &Delivery) -> bool {
    let chunked = delivery.framing == Framing::Chunked;
    let mut writes = cut(pieces, delivery.cuts);
    let end = match delivery.fault {
        Some(Fault::AfterBody(bytes, how)) => {
            truncate(&mut writes, bytes);
            Some(how)
        }
        _ => None,
    };
    if chunked {
        for write in &mut writes {
            let mut framed = format!("{:x}{}\r\n", write.len(), delivery.chunk_extension).into_bytes();
            framed.append(write);
            framed.extend_from_slice(b"\r\n");
            *write = framed;
        }
    }
    push_paced(steps, writes, delivery);
    if let Some(how) = end {
        steps.push(Step::Break(how));
        return true;
    }
    if chunked {
        let mut last = "0\r\n".to_owned();
        for (name, value) in &delivery.trailers {
            last.push_str(&line(name, value));
        }
        last.push_str("\r\n");
        steps.push(Step::Write(last.into_bytes()));
    }
    false
}

fn push_paced(steps: &mut Vec<Step>, writes: Vec<Vec<u8>>, delivery: &Delivery) {
    for (index, write) in writes.into_iter().enumerate() {
        if index > 0 && !delivery.delay_chunk.is_zero() {
            steps.push(Step::Sleep(delivery.delay_chunk));
        }
        if index > 0 {
            steps.extend(delivery.gate.clone().map(Step::Gate));
        }
        steps.push(Step::Write(write));
    }
}

fn push_trailing(steps: &mut Vec<Step>, delivery: &Delivery) {
    if !delivery.trailing.is_empty() {
        steps.push(Step::Write(delivery.trailing.clone()));
    }
}

/// Cuts a body into writes; none is empty.
fn cut(pieces: &[Vec<u8>], cuts: Cuts) -> Vec<Vec<u8>> {
    let mut writes: Vec<Vec<u8>> = match cuts {
        Cuts::Pieces => pieces.to_vec(),
        Cuts::Whole => vec![pieces.concat()],
        Cuts::Every(size) => pieces.concat().chunks(size.max(1)).map(<[u8]>::to_vec).collect(),
        Cuts::Odd(seed) => odd(&pieces.concat(), seed),
    };
    writes.retain(|write| !write.is_empty());
    writes
}

fn odd(mut rest: &[u8], seed: u64) -> Vec<Vec<u8>> {
    let mut state = seed;
    let mut writes = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let size = usize::try_from(state >> 33).unwrap_or_default() % 97 + 1;
        let (write, left) = rest.split_at(size.min(rest.len()));
        writes.push(write.to_vec());
        rest = left;
    }
    writes
}

/// Keeps the first bytes of a list of writes.
fn truncate(writes: &mut Vec<Vec<u8>>, bytes: usize) {
    let mut left = bytes;
    for write in writes.iter_mut() {
        write.truncate(left);
        left -= write.len();
    }
    writes.retain(|write| !write.is_empty());
}

/// Codes a body so that each piece can be decoded as soon as it has arrived.
pub(super) fn encode(pieces: &[Vec<u8>], coding: Coding) -> io::Result<Vec<Vec<u8>>> {
    let level = flate2::Compression::default();
    match coding {
        Coding::Identity => Ok(pieces.to_vec()),
        Coding::Gzip => flushed(
            pieces,
            flate2::write::GzEncoder::new(Vec::new(), level),
            flate2::write::GzEncoder::get_mut,
            flate2::write::GzEncoder::finish,
        ),
        Coding::Deflate => flushed(
            pieces,
            flate2::write::ZlibEncoder::new(Vec::new(), level),
            flate2::write::ZlibEncoder::get_mut,
            flate2::write::ZlibEncoder::finish,
        ),
        Coding::Brotli => flushed(
            pieces,
            brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22),
            brotli::CompressorWriter::get_mut,
            |coder| Ok(coder.into_inner()),
        ),
        Coding::Zstd => flushed(
            pieces,
            zstd::stream::write::Encoder::new(Vec::new(), 3)?,
            zstd::stream::write::Encoder::get_mut,
            zstd::stream::write::Encoder::finish,
        ),
    }
}

/// Feeds the pieces to a coder, taking out what it wrote after each; what finishing writes goes to the last piece.
fn flushed<C: Write>(
    pieces: &[Vec<u8>],
    mut coder: C,
    out: impl Fn(&mut C) -> &mut Vec<u8>,
    finish: impl FnOnce(C) -> io::Result<Vec<u8>>,
) -> io::Result<Vec<Vec<u8>>> {
    let mut coded = Vec::with_capacity(pieces.len());
    for piece in pieces {
        coder.write_all(piece)?;
        coder.flush()?;
        coded.push(std::mem::take(out(&mut coder)));
    }
    let rest = finish(coder)?;
    match coded.last_mut() {
        Some(last) => last.extend_from_slice(&rest),
        None => coded.push(rest),
    }
    Ok(coded)
}
