//! `mask`: text on standard input, masked text on standard output, so that people can try and measure the detector.

use super::error::CliError;
use crate::masking::{Detector, Finding, Masked};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{BufRead, Read as _, Write};

/// The most text that is read at once, as one text or as one row.
const INPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// `mask`.
#[derive(Debug, clap::Args)]
pub struct Mask {
    /// Print JSON: the masked text, the findings with their place in characters, and their number per type
    #[arg(long)]
    json: bool,
    /// Read rows {"id", "text"} and write rows {"id", "spans": [{"start", "end", "type"}]}, places in characters
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
}

/// A row of `--jsonl`; what else it holds is left aside.
#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    id: Value,
    text: String,
}

/// A finding, by Unicode code points, its end exclusive.
#[derive(Serialize)]
struct Span {
    start: usize,
    end: usize,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Masks what comes in.
pub fn run(asked: &Mask, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), CliError> {
    let detector = Detector::new().map_err(|error| CliError::Failed(error.to_string()))?;
    if asked.jsonl {
        return rows(&detector, input, out);
    }
    let text = read(input, "standard input")?;
    let masked = detector.mask(&text);
    if asked.json {
        return report(&text, &masked, out);
    }
    Ok(write!(out, "{}", masked.text)?)
}

fn report(text: &str, masked: &Masked, out: &mut dyn Write) -> Result<(), CliError> {
    let counts: serde_json::Map<String, Value> =
        masked.counts.iter().map(|(kind, count)| (kind.name().to_owned(), count.into())).collect();
    let value = json!({"masked": masked.text, "findings": spans(text, &masked.findings), "counts": counts});
    super::output::print_json(&value, out)
}

fn rows(detector: &Detector, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), CliError> {
    let mut line = Vec::new();
    for number in 1_usize.. {
        line.clear();
        let read =
            input.take(INPUT_BYTES_MAX).read_until(b'\n', &mut line).map_err(|error| unreadable(number, &error))?;
        if read == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        // The parser's message may quote the text; its place does not.
        let Row { id, text } = serde_json::from_slice(&line).map_err(|error| {
            CliError::Failed(format!("row {number}, column {}: not a row {{\"id\", \"text\"}}", error.column()))
        })?;
        let found = detector.find(&text);
        writeln!(out, "{}", json!({"id": id, "spans": spans(&text, &found)}))?;
    }
    Ok(out.flush()?)
}

fn unreadable(number: usize, error: &std::io::Error) -> CliError {
    CliError::Failed(format!("row {number}: cannot read it: {error}"))
}

/// All of an input, within its bound.
fn read(input: &mut dyn BufRead, name: &str) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    input
        .take(INPUT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::Failed(format!("cannot read {name}: {error}")))?;
    if usize::try_from(INPUT_BYTES_MAX).is_ok_and(|most| most < bytes.len()) {
        return Err(CliError::Failed(format!("{name} has more than {INPUT_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| CliError::Failed(format!("{name} is not UTF-8")))
}

/// Places in code points, counted once from finding to finding.
fn spans(text: &str, findings: &[Finding]) -> Vec<Span> {
    let (mut bytes, mut characters) = (0, 0);
    let mut characters_at = |place: usize| {
        characters += text.get(bytes..place).map_or(0, |part| part.chars().count());
        bytes = place;
        characters
    };
    findings
        .iter()
        .map(|found| Span { start: characters_at(found.start), end: characters_at(found.end), kind: found.kind.name() })
        .collect()
}
