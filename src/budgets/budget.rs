//! What a budget is: whose spending it bounds, how much, over which time, and whether it refuses. Its text forms, and what
//! is wrong with one that somebody asks for.

use super::calendar::Window;
use crate::base::{
    ids::{BudgetId, KeyId, OrganizationId},
    money::Money,
};
use std::fmt;

/// The largest limit: a billion dollars. Sums of several stay far from the end of money's range.
pub const LIMIT_MAX: Money = Money::from_nanos(1_000_000_000_000_000_000);

const TAG_NAME_BYTES_MAX: usize = 64;
const TAG_VALUE_BYTES_MAX: usize = 256;

/// Whose spending a budget bounds. All of them stay within one organization.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The whole organization.
    Organization,
    /// One gateway key.
    Key(KeyId),
    /// Requests with this attribution tag.
    Tag { name: String, value: String },
}

/// Whether a budget refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// What it has no room for is refused.
    On,
    /// It only reports.
    Off,
}

/// One budget. An organization has at most one for each subject and window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    pub id: BudgetId,
    pub organization_id: OrganizationId,
    pub subject: Subject,
    pub window: Window,
    pub limit: Money,
    pub enforcement: Enforcement,
}

impl Enforcement {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::On, Self::Off];

    /// `on` or `off`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }

    /// Reads `on` or `off`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|enforcement| enforcement.as_str() == text)
    }
}

impl Subject {
    /// `organization`, `key` or `tag`, and what names it among those.
    pub fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Organization => ("organization", String::new()),
            Self::Key(id) => ("key", id.to_string()),
            Self::Tag { name, value } => ("tag", format!("{name}={value}")),
        }
    }

    /// Reads what [`Subject::parts`] gives.
    pub fn from_parts(kind: &str, text: &str) -> Option<Self> {
        match kind {
            "organization" if text.is_empty() => Some(Self::Organization),
            "key" if !text.is_empty() => Some(Self::Key(KeyId::new(text))),
            "tag" => Self::tag(text),
            _ => None,
        }
    }

    /// Reads `name=value`: cut at the first `=`, since names have none.
    pub fn tag(text: &str) -> Option<Self> {
        let (name, value) = text.split_once('=')?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-');
        let name_fits = (1..=TAG_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits);
        let value_fits = (1..=TAG_VALUE_BYTES_MAX).contains(&value.len()) && !value.chars().any(char::is_control);
        (name_fits && value_fits).then(|| Self::Tag { name: name.to_owned(), value: value.to_owned() })
    }
}

/// For people: `the organization`, `this key`, `the tag project=x`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization => f.write_str("the organization"),
            Self::Key(_) => f.write_str("this key"),
            Self::Tag { name, value } => write!(f, "the tag {name}={value}"),
        }
    }
}

/// Reads a limit in dollars: not negative, at most [`LIMIT_MAX`].
pub fn limit(text: &str) -> Option<Money> {
    text.parse().ok().filter(|limit| (Money::ZERO..=LIMIT_MAX).contains(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_from_its_parts() {
        let tag = |name: &str, value: &str| Subject::Tag { name: name.into(), value: value.into() };
        for subject in
            [Subject::Organization, Subject::Key(KeyId::new("key_1")), tag("project", "a=b ç"), tag("a.b-c_1", "x")]
        {
            let (kind, text) = subject.parts();
            assert_eq!(Subject::from_parts(kind, &text), Some(subject));
        }
        for (kind, text) in [
            ("organization", "x"),
            ("key", ""),
            ("tag", "project"),
            ("tag", "=x"),
            ("tag", "project="),
            ("tag", "Project=x"),
            ("tag", "a b=x"),
            ("tag", "a=x\ny"),
            ("other", ""),
        ] {
            assert_eq!(Subject::from_parts(kind, text), None, "{kind} {text:?}");
        }
        assert_eq!(Subject::tag(&format!("a={}", "x".repeat(257))), None);
        assert_eq!(Subject::tag(&format!("{}=x", "a".repeat(65))), None);
    }

    #[test]
    fn a_limit_is_an_amount_of_dollars_that_is_not_negative() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("12.5", Some(12_500_000_000)),
            ("0.000000001", Some(1)),
            ("1000000000", Some(LIMIT_MAX.nanos())),
            ("1000000000.000000001", None),
            ("-1", None),
            ("1e3", None),
            ("$5", None),
            ("", None),
        ] {
            assert_eq!(limit(text).map(Money::nanos), nanos, "{text:?}");
        }
    }
}
