//! Which rows a question is about: its span of time and its filters, checked. Statistics and single records share it.
//! Every fault names its parameter.

use super::{
    settings::Settings,
    tag::{hot_column, is_tag_name},
};
use crate::base::clock::Timestamp;

const FILTERS_MAX: usize = 32;
const FILTER_BYTES_MAX: usize = 512;
/// Rows in one answer.
pub(super) const LIMIT_MAX: u32 = 1000;
pub(super) const DAY_MS: i64 = 86_400_000;

/// A parameter that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}`: {problem}")]
pub struct BadParameter {
    pub name: String,
    pub problem: String,
}

pub(super) fn bad(name: &str, problem: impl Into<String>) -> BadParameter {
    BadParameter { name: name.chars().take(64).collect(), problem: problem.into() }
}

/// The rows of one organization that a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    /// The first moment.
    pub(super) since: Timestamp,
    /// The first moment that is too late.
    pub(super) until: Timestamp,
    pub(super) filters: Vec<Filter>,
}

/// What usage is grouped and filtered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dimension {
    Provider,
    Model,
    Endpoint,
    Key,
    Status,
    Environment,
    ErrorType,
    /// A tag; `column` is set when it is hot and has one of its own.
    Tag {
        name: String,
        column: Option<String>,
    },
}

impl Dimension {
    /// The dimension of that name; `None` when it can be neither a built-in one nor a tag.
    pub(super) fn find(name: &str, hot_tags: &[String]) -> Option<Self> {
        Some(match name {
            "provider" => Self::Provider,
            "model" => Self::Model,
            "endpoint" => Self::Endpoint,
            "key" => Self::Key,
            "status" => Self::Status,
            "environment" => Self::Environment,
            "error_type" => Self::ErrorType,
            _ if is_tag_name(name) => {
                let column = hot_tags.iter().any(|hot| hot == name).then(|| hot_column(name)).flatten();
                Self::Tag { name: name.into(), column }
            }
            _ => return None,
        })
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Endpoint => "endpoint",
            Self::Key => "key",
            Self::Status => "status",
            Self::Environment => "environment",
            Self::ErrorType => "error_type",
            Self::Tag { name, .. } => name,
        }
    }
}

/// Keeps rows whose dimension equals a value or matches a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) dimension: Dimension,
    /// As the caller wrote it; a glob when it holds `*` or `?`.
    pub(super) value: String,
}

/// A selection that is being read, parameter by parameter.
pub(super) struct Selecting<'a> {
    now: Timestamp,
    hot_tags: &'a [String],
    since: Option<Timestamp>,
    until: Timestamp,
    filters: Vec<Filter>,
}

impl<'a> Selecting<'a> {
    pub(super) fn new(now: Timestamp, settings: &'a Settings) -> Self {
        Self { now, hot_tags: &settings.hot_tags, since: None, until: now, filters: Vec::new() }
    }

    /// `since`, `until`, or a filter by the dimension of that name.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<(), BadParameter> {
        match name {
            "since" => self.since = Some(moment(name, value, self.now)?),
            "until" => self.until = moment(name, value, self.now)?,
            _ => self.filters.push(filter(name, value, self.hot_tags)?),
        }
        Ok(())
    }

    /// The whole of it. Without `since` it is the day before `until`, which is now unless given.
    pub(super) fn finish(self) -> Result<Selection, BadParameter> {
        if let Some(filter) = self.filters.get(FILTERS_MAX) {
            return Err(bad(filter.dimension.name(), format!("one filter too many: at most {FILTERS_MAX}")));
        }
        let since = self.since.unwrap_or_else(|| self.until.plus_millis(-DAY_MS));
        if since >= self.until {
            return Err(bad("since", "must lie before `until`"));
        }
        Ok(Selection { since, until: self.until, filters: self.filters })
    }
}

/// No parameter stands there twice.
pub(super) fn each_once(pairs: &[(String, String)]) -> Result<(), BadParameter> {
    let again =
        |(at, (name, _)): &(usize, &(String, String))| pairs.iter().take(*at).any(|(earlier, _)| earlier == name);
    match pairs.iter().enumerate().find(again) {
        Some((_, (name, _))) => Err(bad(name, "given more than once")),
        None => Ok(()),
    }
}

/// RFC 3339, or how long before now: `15m`, `24h`, `7d`, `4w`.
pub(super) fn moment(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, BadParameter> {
    let relative = || {
        let unit = match text.bytes().next_back()? {
            b'm' => 60_000_i64,
            b'h' => 3_600_000,
            b'd' => DAY_MS,
            b'w' => 7 * DAY_MS,
            _ => return None,
        };
        let digits = text.get(..text.len() - 1)?;
        let plain = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let count: i64 = plain.then(|| digits.parse().ok()).flatten()?;
        Some(now.plus_millis(-count.checked_mul(unit)?))
    };
    relative().or_else(|| Timestamp::parse_rfc3339(text).ok()).ok_or_else(|| {
        bad(name, "neither RFC 3339 (`2026-11-25T00:00:00Z`) nor a span before now (`15m`, `24h`, `7d`, `4w`)")
    })
}

pub(super) fn limit(text: &str) -> Result<u32, BadParameter> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let found = plain.then(|| text.parse().ok()).flatten().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    found.ok_or_else(|| bad("limit", format!("a whole number from 1 to {LIMIT_MAX}")))
}

fn filter(name: &str, value: &str, hot_tags: &[String]) -> Result<Filter, BadParameter> {
    let Some(dimension) = Dimension::find(name, hot_tags) else {
        return Err(bad(name, "no such parameter, and no name of a tag"));
    };
    if value.len() > FILTER_BYTES_MAX {
        return Err(bad(name, format!("longer than {FILTER_BYTES_MAX} bytes")));
    }
    if value.contains('\0') {
        return Err(bad(name, "holds a NUL"));
    }
    Ok(Filter { dimension, value: value.into() })
}
