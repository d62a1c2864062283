//! Two corpora of our own: text with marked findings in many formats and languages, and text that holds none.
//!
//! A row is `{"id", "marked"}`; `⟦EMAIL:jo@example.org⟧` marks a finding. All values are invented.

use crate::DETECTOR;
use sociaro_gateway::masking::{Finding, Kind};
use std::collections::BTreeMap;

/// A row without its marks, and what the marks said.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) text: String,
    expected: Vec<(Kind, usize, usize)>,
}

/// Per kind: marked, found at exactly that place, found as another kind or place, found where nothing is marked.
#[derive(Default)]
struct Score {
    marked: usize,
    exact: usize,
    spurious: usize,
}

pub(crate) fn rows(corpus: &str) -> Vec<Row> {
    corpus
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let mut rest = row["marked"].as_str().unwrap();
            let (mut text, mut expected) = (String::new(), Vec::new());
            while let Some((before, marked)) = rest.split_once('⟦') {
                let (finding, after) = marked.split_once('⟧').unwrap();
                let (kind, value) = finding.split_once(':').unwrap();
                text.push_str(before);
                let start = text.len();
                text.push_str(value);
                expected.push((Kind::of_name(kind).unwrap(), start, text.len()));
                rest = after;
            }
            text.push_str(rest);
            Row { id: row["id"].as_str().unwrap().to_owned(), text, expected }
        })
        .collect()
}

pub(crate) fn found() -> Vec<Row> {
    rows(include_str!("corpus/found.jsonl"))
}

pub(crate) fn clean() -> Vec<Row> {
    rows(include_str!("corpus/clean.jsonl"))
}

/// Secrets are one kind here: whether a key is called a token is a matter of taste.
fn group(kind: Kind) -> &'static str {
    match kind {
        Kind::Jwt
        | Kind::OpenaiApiKey
        | Kind::GithubToken
        | Kind::AwsAccessKeyId
        | Kind::AwsSecretAccessKey
        | Kind::GenericApiKey
        | Kind::EnvSecret
        | Kind::SecretToken
        | Kind::PrivateKey
        | Kind::ConnPassword => "secret",
        kind => kind.name(),
    }
}

fn matches(finding: &Finding, expected: (Kind, usize, usize)) -> bool {
    group(finding.kind) == group(expected.0) && (finding.start, finding.end) == (expected.1, expected.2)
}

#[test]
fn marked_text_is_found_at_its_place() {
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    let mut faults = Vec::new();
    for row in found() {
        let findings = DETECTOR.find(&row.text);
        for expected in &row.expected {
            let score = scores.entry(expected.0.name()).or_default();
            score.marked += 1;
            if findings.iter().any(|finding| matches(finding, *expected)) {
                score.exact += 1;
            } else {
                faults.push(format!("{}: missed {} in {:?}", row.id, expected.0.name(), row.text));
            }
        }
        for finding in &findings {
            let touches = |(_, start, end): &(Kind, usize, usize)| finding.start < *end && *start < finding.end;
            if !row.expected.iter().any(touches) {
                scores.entry(finding.kind.name()).or_default().spurious += 1;
                faults.push(format!("{}: {finding:?} in {:?}", row.id, row.text));
            }
        }
    }
    let total = |count: fn(&Score) -> usize| scores.values().map(count).sum::<usize>();
    assert!(600 <= total(|score| score.marked), "the corpus shrank");
    for (kind, score) in &scores {
        assert!(
            score.marked * 92 <= score.exact * 100,
            "{kind}: {}/{}\n{}",
            score.exact,
            score.marked,
            faults.join("\n")
        );
    }
    assert!(total(|score| score.marked) * 98 <= total(|score| score.exact) * 100, "\n{}", faults.join("\n"));
    assert!(total(|score| score.spurious) * 100 <= total(|score| score.marked), "\n{}", faults.join("\n"));
}

#[test]
fn text_without_findings_is_left_alone() {
    let rows = clean();
    assert!(400 <= rows.len(), "the corpus shrank");
    let faults: Vec<String> = rows
        .iter()
        .filter(|row| !DETECTOR.find(&row.text).is_empty())
        .map(|row| format!("{}: {:?} in {:?}", row.id, DETECTOR.find(&row.text), row.text))
        .collect();
    assert!(faults.len() * 100 <= rows.len(), "\n{}", faults.join("\n"));
}

#[test]
fn no_value_stays_in_the_masked_text() {
    for row in found() {
        let masked = DETECTOR.mask(&row.text);
        for finding in &masked.findings {
            let value = row.text.get(finding.start..finding.end).unwrap();
            assert!(!masked.text.contains(value), "{}: {} is still there", row.id, finding.kind.name());
        }
    }
}

#[test]
fn the_same_text_is_masked_the_same_way() {
    for row in found() {
        assert_eq!(DETECTOR.mask(&row.text).text, DETECTOR.mask(&row.text).text, "{}", row.id);
    }
}
