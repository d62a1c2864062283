//! The windows of budgets: a calendar day or month in one time zone, or all time.

use crate::base::clock::Timestamp;
use jiff::{ToSpan, ZonedDateTime, tz::TimeZone};

/// Over which time a budget's limit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    Day,
    Month,
    Total,
}

impl Window {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Day, Self::Month, Self::Total];

    /// `day`, `month` or `total`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// Reads `day`, `month` or `total`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.as_str() == text)
    }
}

/// One window in time: from its start, up to but not its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Span {
    /// All time.
    pub const ALL: Self = Self { start: Timestamp::from_millis(0), end: Timestamp::from_millis(i64::MAX) };

    /// Its end, if it has one.
    pub fn ends_at(&self) -> Option<Timestamp> {
        (self.end < Self::ALL.end).then_some(self.end)
    }
}

/// Where days and months begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar(TimeZone);

impl Default for Calendar {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Calendar {
    /// The calendar of a time zone of the system's database, such as `Europe/Berlin`.
    pub fn named(name: &str) -> Option<Self> {
        if name == "UTC" {
            return Some(Self::default());
        }
        TimeZone::get(name).ok().map(Self)
    }

    /// The window that a moment is in. A moment beyond the calendar's years is in the window of all time.
    pub fn span(&self, window: Window, at: Timestamp) -> Span {
        let found = match window {
            Window::Day => self.day(at),
            Window::Month => self.month(at),
            Window::Total => None,
        };
        found.unwrap_or(Span::ALL)
    }

    fn zoned(&self, at: Timestamp) -> Option<ZonedDateTime> {
        Some(jiff::Timestamp::from_millisecond(at.millis()).ok()?.to_zoned_datetime(self.0.clone()))
    }

    fn day(&self, at: Timestamp) -> Option<Span> {
        let day = self.zoned(at)?;
        let (start, end) = (day.start_of_day().ok()?, day.tomorrow().ok()?.start_of_day().ok()?);
        Some(Span { start: millis(&start), end: millis(&end) })
    }

    fn month(&self, at: Timestamp) -> Option<Span> {
        let first = self.zoned(at)?.first_of_month().ok()?;
        let next = first.checked_add(1.month()).ok()?;
        Some(Span { start: millis(&first.start_of_day().ok()?), end: millis(&next.start_of_day().ok()?) })
    }
}

fn millis(at: &ZonedDateTime) -> Timestamp {
    Timestamp::from_millis(at.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn days_and_months_begin_where_the_time_zone_has_them() {
        let cases = [
            ("UTC", Window::Day, "2026-11-25T23:59:59.999Z", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
            ("UTC", Window::Month, "2026-12-31T23:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("UTC", Window::Month, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("Europe/Berlin", Window::Day, "2026-11-25T23:30:00Z", "2026-11-25T23:00:00Z", "2026-11-26T23:00:00Z"),
            // the days that have 23 and 25 hours
            ("Europe/Berlin", Window::Day, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("Europe/Berlin", Window::Day, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            ("Europe/Berlin", Window::Month, "2026-10-31T23:30:00Z", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
            // where midnight does not exist on the day of the change
            ("America/Asuncion", Window::Day, "2023-10-01T12:00:00Z", "2023-10-01T04:00:00Z", "2023-10-02T03:00:00Z"),
        ];
        for (zone, window, moment, start, end) in cases {
            let calendar = Calendar::named(zone).unwrap();
            assert_eq!(calendar.span(window, at(moment)), Span { start: at(start), end: at(end) }, "{zone} {moment}");
        }
    }

    #[test]
    fn all_time_has_no_end_and_no_zone_is_guessed() {
        assert_eq!(Calendar::default().span(Window::Total, at("2026-11-25T00:00:00Z")), Span::ALL);
        assert_eq!(Span::ALL.ends_at(), None);
        assert_eq!(Calendar::named("Mars/Olympus"), None);
        for window in Window::ALL {
            assert_eq!(Window::parse(window.as_str()), Some(window));
            assert_eq!(Calendar::default().span(window, Timestamp::from_millis(i64::MAX)), Span::ALL);
        }
    }

    proptest! {
        #[test]
        fn windows_follow_each_other_without_gap(millis in 0..4_000_000_000_000_i64, month in any::<bool>()) {
            let window = if month { Window::Month } else { Window::Day };
            let calendar = Calendar::named("Europe/Istanbul").unwrap();
            let moment = Timestamp::from_millis(millis);
            let span = calendar.span(window, moment);
            prop_assert!(span.start <= moment && moment < span.end);
            prop_assert_eq!(calendar.span(window, span.end).start, span.end);
            prop_assert_eq!(calendar.span(window, span.start), span);
        }
    }
}
