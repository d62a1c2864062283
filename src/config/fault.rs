//! What is wrong with the configuration: one fault a place, all of them at once.
//!
//! A fault names file, line, column and field, and says what was expected. It never shows a secret.

use std::fmt;

/// Faults that are reported; a file that is wrong in more places is not what it claims to be.
const FAULTS_MAX: usize = 500;

/// A place in a file. Lines and columns count from 1; line 0 means the file as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file as the operator named it.
    pub file: String,
    pub at: Position,
    /// The field with all its parents, `server.threads`; empty for the file as a whole.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.at.line > 0 {
            write!(f, ":{}:{}", self.at.line, self.at.column)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl Fault {
    /// A fault of the file as a whole.
    pub fn of_file(file: &str, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at: Position::default(), field: String::new(), problem: problem.into() }
    }

    /// The fault for machines.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "file": self.file,
            "line": self.at.line,
            "column": self.at.column,
            "field": self.field,
            "problem": self.problem,
        })
    }
}

/// Puts the faults of one file in the order of its lines and bounds their number.
pub fn in_order(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| fault.at);
    if faults.len() > FAULTS_MAX {
        let more = faults.len() - FAULTS_MAX;
        let file = faults.first().map(|fault| fault.file.clone()).unwrap_or_default();
        faults.truncate(FAULTS_MAX);
        faults.push(Fault::of_file(&file, format!("{more} more faults are not shown")));
    }
    faults
}

/// Beginnings of secrets that people paste where they do not belong.
const SECRET_STARTS: &[&str] = &["sk-", "gw_live_", "gw_test_", "AIza", "Bearer "];

/// Text from a file as a fault shows it: quoted, escaped and short. What looks like a secret is not shown.
pub fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    if SECRET_STARTS.iter().any(|start| text.starts_with(start)) || (text.contains("://") && text.contains('@')) {
        return "what looks like a secret (not shown)".to_owned();
    }
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{start:?}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: usize) -> Fault {
        Fault {
            file: "conf/gateway.yaml".into(),
            at: Position { line, column: 12 },
            field: "server.threads".into(),
            problem: "expected a whole number from 1 to 1024, found \"many\"".into(),
        }
    }

    #[test]
    fn a_fault_prints_as_a_place_a_field_and_a_problem() {
        assert_eq!(
            fault(41).to_string(),
            "conf/gateway.yaml:41:12: server.threads: expected a whole number from 1 to 1024, found \"many\""
        );
        assert_eq!(Fault::of_file("a.yaml", "cannot be read").to_string(), "a.yaml: cannot be read");
    }

    #[test]
    fn faults_stand_in_the_order_of_lines_and_have_a_bound() {
        let shown = in_order((0..700).rev().map(fault).collect());
        assert_eq!(shown.len(), FAULTS_MAX + 1);
        assert!(shown.first().is_some_and(|fault| fault.at.line == 0));
        assert_eq!(shown.last().unwrap().problem, "200 more faults are not shown");
    }

    #[test]
    fn what_looks_like_a_secret_is_not_shown() {
        for text in ["sk-hunter2", "gw_live_hunter2", "https://user:hunter2@host", "Bearer hunter2"] {
            assert!(!quoted(text).contains("hunter2"), "{text}");
        }
        assert_eq!(quoted("https://host"), "\"https://host\"");
    }

    #[test]
    fn long_text_is_cut_and_control_characters_are_escaped() {
        assert_eq!(quoted("a\u{7}b"), "\"a\\u{7}b\"");
        assert!(quoted(&"x".repeat(1000)).len() < 80);
    }
}
