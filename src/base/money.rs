//! Money: whole nano-dollars. No floats come near it.
#![deny(clippy::float_arithmetic)]

use std::{fmt, str::FromStr};

/// An amount of US dollars in whole nano-dollars (1e-9 USD), at most ±9.2e9 USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

/// Why a text is no amount of money.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotMoney {
    #[error("not a decimal number")]
    Syntax,
    #[error("more than nine decimals")]
    TooFine,
    #[error("too large")]
    TooLarge,
}

impl Money {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// From nano-dollars.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// In nano-dollars.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The sum, held at the ends of the range.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// From pico-dollars, rounded once to the nearest nano-dollar, halves away from zero.
    pub fn from_picos_rounded(picos: i128) -> Self {
        let half = if picos < 0 { -500 } else { 500 };
        let nanos = picos.saturating_add(half) / 1000;
        Self(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl fmt::Display for Money {
    /// A decimal number of dollars without trailing zeros: `0.000123`, `12`, `-0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, mut part) = (self.0.unsigned_abs() / 1_000_000_000, self.0.unsigned_abs() % 1_000_000_000);
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        let mut decimals = 9;
        while part.is_multiple_of(10) {
            part /= 10;
            decimals -= 1;
        }
        write!(f, "{sign}{whole}.{part:0decimals$}")
    }
}

impl FromStr for Money {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(part) || (part.is_empty() && digits.contains('.')) {
            return Err(NotMoney::Syntax);
        }
        if part.len() > 9 {
            return Err(NotMoney::TooFine);
        }
        let whole: i64 = whole.parse().map_err(|_| NotMoney::TooLarge)?;
        let part: i64 = format!("{part:0<9}").parse().map_err(|_| NotMoney::Syntax)?;
        let nanos =
            whole.checked_mul(1_000_000_000).and_then(|nanos| nanos.checked_add(part)).ok_or(NotMoney::TooLarge)?;
        Ok(Self(if negative { -nanos } else { nanos }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_without_trailing_zeros() {
        for (nanos, text) in [(0, "0"), (1, "0.000000001"), (1_500_000_000, "1.5"), (-20, "-0.00000002")] {
            assert_eq!(Money::from_nanos(nanos).to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for text in ["", ".", "1.", ".5", "1e3", "0.0000000001", "99999999999", "1,5", "--1", "+1", " 1"] {
            assert!(text.parse::<Money>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn rounds_halves_away_from_zero() {
        for (picos, nanos) in [(499, 0), (500, 1), (1499, 1), (1500, 2), (-500, -1), (-499, 0)] {
            assert_eq!(Money::from_picos_rounded(picos).nanos(), nanos, "{picos}");
        }
    }

    proptest! {
        #[test]
        fn text_goes_there_and_back(nanos in -9_000_000_000_000_000_000_i64..9_000_000_000_000_000_000) {
            let money = Money::from_nanos(nanos);
            prop_assert_eq!(money.to_string().parse::<Money>().unwrap(), money);
        }
    }
}
