//! The knobs of one answer, as the request header `x-sim: name=value; name` asks for them. A knob that does not exist,
//! or a value that cannot be read, is an error that names it.

use super::reply::{Break, Coding, Cuts, Fault, Framing, Reply};
use std::{str::FromStr, time::Duration};

/// What a request may ask of the simulator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Knobs {
    /// `reply=NAME`: the reply that the test registered under that name.
    pub reply: Option<String>,
    /// `status=429`: the provider's own error answer of that status; `status=204`, `304`, `3xx`: an answer without a body.
    pub status: Option<u16>,
    /// `words=N`: the answer has that many words instead of an echo.
    pub words: Option<usize>,
    /// `cached=N`, `reasoning=N`: tokens of those classes in the usage.
    pub cached: u64,
    pub reasoning: u64,
    /// `served=NAME`: the model that the answer names.
    pub served: Option<String>,
    /// `no-usage`: the answer reports none.
    pub no_usage: bool,
    /// `stream-error=N`: after N events the provider's error event, then the end.
    pub stream_error: Option<usize>,
    /// `early`: answer after the head, before the body has arrived.
    pub early: bool,
    /// `read=N`: read that many bytes of the body, then none until the peer closes.
    pub read: Option<usize>,
    /// `continue=never`: no `100 Continue`; `continue=refuse`: `417` instead.
    pub expect: Expect,
    delivery: Vec<Change>,
}

/// What to do about `Expect: 100-continue`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expect {
    #[default]
    Continue,
    Never,
    Refuse,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    DelayHead(Duration),
    DelayChunk(Duration),
    Framing(Framing),
    Cuts(Cuts),
    Coding(Coding),
    Fault(Fault),
    Interim(u16),
    Trailing(usize),
    HeaderBytes(usize),
    Duplicate(usize),
    Extension,
    Trailers,
    Garbage,
    Close,
}

impl Knobs {
    /// Reads the header's value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut knobs = Self::default();
        for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !knobs.set_content(name, value)? && !knobs.set_delivery(name, value)? {
                return Err(format!("x-sim: there is no knob `{name}`"));
            }
        }
        Ok(knobs)
    }

    fn set_content(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "reply" => self.reply = Some(value.to_owned()),
            "status" => self.status = Some(number(name, value)?),
            "words" => self.words = Some(number(name, value)?),
            "cached" => self.cached = number(name, value)?,
            "reasoning" => self.reasoning = number(name, value)?,
            "served" => self.served = Some(value.to_owned()),
            "no-usage" => self.no_usage = true,
            "stream-error" => self.stream_error = Some(number(name, value)?),
            "early" => self.early = true,
            "read" => self.read = Some(number(name, value)?),
            "continue" => {
                self.expect = match value {
                    "never" => Expect::Never,
                    "refuse" => Expect::Refuse,
                    _ => return Err(unreadable(name, value)),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_delivery(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let change = match (name, value) {
            ("delay", _) => Change::DelayHead(duration(name, value)?),
            ("chunk-delay", _) => Change::DelayChunk(duration(name, value)?),
            ("framing", "length") => Change::Framing(Framing::ContentLength),
            ("framing", "chunked") => Change::Framing(Framing::Chunked),
            ("framing", "close") => Change::Framing(Framing::Close),
            ("framing", "none") => Change::Framing(Framing::AsGiven),
            ("chunk", "whole") => Change::Cuts(Cuts::Whole),
            ("chunk", _) => Change::Cuts(Cuts::Every(number(name, value)?)),
            ("odd", _) => Change::Cuts(Cuts::Odd(number(name, value)?)),
            ("coding", "gzip") => Change::Coding(Coding::Gzip),
            ("coding", "br") => Change::Coding(Coding::Brotli),
            ("coding", "zstd") => Change::Coding(Coding::Zstd),
            ("coding", "deflate") => Change::Coding(Coding::Deflate),
            ("never", "") => Change::Fault(Fault::BeforeHead(Break::Stall)),
            ("reset", "") => Change::Fault(Fault::BeforeHead(Break::Reset)),
            ("fin", "") => Change::Fault(Fault::BeforeHead(Break::Fin)),
            ("reset", _) => Change::Fault(Fault::AfterBody(number(name, value)?, Break::Reset)),
            ("fin", _) => Change::Fault(Fault::AfterBody(number(name, value)?, Break::Fin)),
            ("stall", _) => Change::Fault(Fault::AfterBody(number(name, value)?, Break::Stall)),
            ("interim", _) => Change::Interim(number(name, value)?),
            ("trailing", _) => Change::Trailing(number(name, value)?),
            ("header-bytes", _) => Change::HeaderBytes(number(name, value)?),
            ("duplicate", _) => Change::Duplicate(number(name, value)?),
            ("extension", "") => Change::Extension,
            ("trailers", "") => Change::Trailers,
            ("garbage", "") => Change::Garbage,
            ("close", "") => Change::Close,
            ("framing" | "coding" | "never" | "extension" | "trailers" | "garbage" | "close", _) => {
                return Err(unreadable(name, value));
            }
            _ => return Ok(false),
        };
        self.delivery.push(change);
        Ok(true)
    }

    /// The reply, delivered as the knobs say.
    pub fn apply(&self, mut reply: Reply) -> Reply {
        for change in &self.delivery {
            let delivery = &mut reply.delivery;
            match change {
                Change::DelayHead(delay) => delivery.delay_head = *delay,
                Change::DelayChunk(delay) => delivery.delay_chunk = *delay,
                Change::Framing(framing) => delivery.framing = *framing,
                Change::Cuts(cuts) => delivery.cuts = *cuts,
                Change::Coding(coding) => delivery.coding = *coding,
                Change::Fault(fault) => delivery.fault = Some(*fault),
                Change::Interim(status) => delivery.interim.push(interim(*status)),
                Change::Trailing(bytes) => delivery.trailing = vec![b'!'; *bytes],
                Change::Extension => ";sim=\"1\"".clone_into(&mut delivery.chunk_extension),
                Change::Trailers => delivery.trailers.push(("x-sim-trailer".to_owned(), "end".to_owned())),
                Change::Close => delivery.close = true,
                Change::Garbage => reply = Reply::raw(*b"\x15\x03\x01 this is not HTTP\r\n\r\n"),
                Change::HeaderBytes(bytes) => reply = reply.with_header("x-sim-huge", &"h".repeat(*bytes)),
                Change::Duplicate(count) => {
                    for index in 0..*count {
                        reply = reply.with_header("X-Sim-Duplicate", &index.to_string());
                    }
                }
            }
        }
        reply
    }
}

fn interim(status: u16) -> Vec<u8> {
    let link = if status == 103 { "link: </sim.css>; rel=preload\r\n" } else { "" };
    format!("HTTP/1.1 {status} {}\r\n{link}\r\n", super::reply::reason(status)).into_bytes()
}

fn unreadable(name: &str, value: &str) -> String {
    format!("x-sim: `{value}` is no value of `{name}`")
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| unreadable(name, value))
}

/// `50` and `50ms` are milliseconds, `2s` seconds.
fn duration(name: &str, value: &str) -> Result<Duration, String> {
    match value.strip_suffix("ms").or_else(|| (!value.ends_with('s')).then_some(value)) {
        Some(millis) => number(name, millis).map(Duration::from_millis),
        None => number(name, value.trim_end_matches('s')).map(Duration::from_secs),
    }
}
