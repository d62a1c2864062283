//! Log lines as JSON on standard output, written by a thread of their own so that no request waits for a pipe.

use super::{
    lines::{Flusher, Lines},
    settings::Settings,
};
use crate::base::clock::Timestamp;
use tracing_subscriber::EnvFilter;

/// Libraries that would log heads, addresses or statements below these levels: caps, whatever the settings say.
const CAPS: [&str; 7] = [
    "pingora_core=warn",
    "pingora_proxy=warn",
    "pingora_pool=warn",
    "hyper=warn",
    "hyper_util=warn",
    "h2=warn",
    "sqlx=warn",
];

/// The logs of this process. Writes the lines that wait when it is dropped.
pub struct Logs {
    access: Option<AccessLog>,
    _flusher: Flusher,
}

impl Logs {
    /// Where access lines go; `None` when the settings want none.
    pub fn access(&self) -> Option<AccessLog> {
        self.access.clone()
    }
}

/// Takes one line for each request, among all other lines. Apart from `tracing`, whose formatter takes ten times as long:
/// this is the one line that every request writes.
#[derive(Clone)]
pub struct AccessLog(Lines);

impl AccessLog {
    /// Writes a line.
    pub fn write(&self, line: AccessLine) {
        let AccessLine(mut bytes) = line;
        bytes.extend_from_slice(b",\"target\":\"access\"}\n");
        self.0.append(&bytes);
    }
}

/// One line while it is written: a JSON object, member by member.
pub struct AccessLine(Vec<u8>);

impl AccessLine {
    /// A line of that moment.
    pub fn at(moment: Timestamp) -> Self {
        let mut line = Self(Vec::with_capacity(ACCESS_LINE_BYTES));
        line.0.extend_from_slice(b"{\"timestamp\":\"");
        line.0.extend_from_slice(moment.to_rfc3339().as_bytes());
        line.0.extend_from_slice(b"\",\"level\":\"INFO\",\"message\":\"exchange\"");
        line
    }

    /// Adds a text. The name must need no escapes.
    #[must_use]
    pub fn text(mut self, name: &'static str, value: &str) -> Self {
        self.name(name);
        if value.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            // Writing text into a vector cannot fail.
            let _written = serde_json::to_writer(&mut self.0, value);
        } else {
            self.0.push(b'"');
            self.0.extend_from_slice(value.as_bytes());
            self.0.push(b'"');
        }
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, name: &'static str, value: u64) -> Self {
        self.name(name);
        // Writing a number into a vector cannot fail.
        let _written = serde_json::to_writer(&mut self.0, &value);
        self
    }

    fn name(&mut self, name: &'static str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

/// Room for a usual access line.
const ACCESS_LINE_BYTES: usize = 768;

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("the log filter {0:?} is not valid: {1}")]
pub struct BadFilter(String, String);

/// Starts logging for the whole process.
///
/// # Errors
/// A filter that cannot be read.
pub fn start(settings: &Settings) -> Result<Logs, BadFilter> {
    let bad = |error: &dyn std::fmt::Display| BadFilter(settings.level.clone(), error.to_string());
    let mut filter = EnvFilter::try_new(&settings.level).map_err(|error| bad(&error))?;
    for cap in CAPS {
        filter = filter.add_directive(cap.parse().map_err(|error| bad(&error))?);
    }
    let (writer, flusher) = Lines::to(std::io::stdout());
    let access = AccessLog(writer.clone());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(writer)
        .try_init()
        .map_err(|error| bad(&error))?;
    let wanted = settings.access && tracing::enabled!(target: "access", tracing::Level::INFO);
    Ok(Logs { access: wanted.then_some(access), _flusher: flusher })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_line_is_one_json_object_whatever_its_texts_hold() {
        let odd = "a\"b\\c\nd\u{1}\u{7f}\u{e9}\u{2028}";
        let (lines, flusher) = Lines::to(std::io::sink());
        drop(flusher); // keeps what is appended from now on
        let log = AccessLog(lines.clone());
        log.write(
            AccessLine::at(Timestamp::from_millis(1_795_300_000_123)).text("model", odd).number("status", u64::MAX),
        );
        let written = lines.waiting();
        let line: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!((line["model"].as_str(), line["status"].as_u64()), (Some(odd), Some(u64::MAX)));
        assert_eq!((line["target"].as_str(), line["level"].as_str()), (Some("access"), Some("INFO")));
        assert_eq!(line["timestamp"].as_str().map(str::len), Some(24));
        assert_eq!(written.iter().position(|byte| *byte == b'\n'), Some(written.len() - 1), "one line");
    }
}
