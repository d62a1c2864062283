//! What one exchange costs by the book of today, and the difference to what its rows say. Pure.

use super::rows::{AdjustmentRow, ExchangeRow};
use crate::{
    base::clock::Timestamp,
    metering::reading::{Reading, Tokens, Units, UsageSource},
    pricing::{
        book::PriceBook,
        charge::{Charge, charge},
    },
    usage::row::ADJUSTMENT,
};

/// The reason that these corrections carry.
pub(super) const REASON: &str = "reprice";

/// The status of an exchange over a WebSocket.
const SWITCHING_PROTOCOLS: u16 = 101;

/// What is to be done about one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its rows say what the book says.
    Right,
    /// The book has no price for it: what its rows say stays.
    WithoutPrice,
    /// Its cost was corrected for another reason, which a price cannot know.
    NotOurs,
    /// Its figures are sums over answers that were priced one by one: a WebSocket's, or parts by several models.
    Summed,
    /// This row makes it right.
    Correct(Box<AdjustmentRow>),
}

/// Judges an exchange with its corrections so far.
pub(super) fn judge(book: &PriceBook, exchange: &ExchangeRow, earlier: &[AdjustmentRow]) -> Verdict {
    if earlier.iter().any(|row| row.reason != REASON) {
        return Verdict::NotOurs;
    }
    if exchange.status == SWITCHING_PROTOCOLS || exchange.price_version.contains('+') {
        return Verdict::Summed;
    }
    let at = Timestamp::from_millis(exchange.time);
    let charge = charge(book, &reading(exchange), &exchange.provider, &exchange.model_requested, at);
    if charge.price_version.is_empty() {
        return Verdict::WithoutPrice;
    }
    let priced_later = exchange.price_version.is_empty() && !earlier.iter().any(|row| row.priced_later);
    let delta = charge.cost.nanos().saturating_sub(cost(exchange, earlier));
    let breakdown = differences(&charge, exchange, earlier);
    if delta == 0 && breakdown.is_empty() && !priced_later {
        return Verdict::Right;
    }
    Verdict::Correct(Box::new(AdjustmentRow {
        kind: ADJUSTMENT.to_owned(),
        reason: REASON.to_owned(),
        cost_nanousd: delta,
        cost_breakdown_nanousd: breakdown,
        price_version: charge.price_version,
        priced_later,
        ..AdjustmentRow::of(exchange)
    }))
}

/// What an exchange costs by its rows.
pub(super) fn cost(exchange: &ExchangeRow, earlier: &[AdjustmentRow]) -> i64 {
    earlier.iter().fold(exchange.cost_nanousd, |sum, row| sum.saturating_add(row.cost_nanousd))
}

/// Class by class, what is missing from the rows so far; classes that are right are left out.
fn differences(charge: &Charge, exchange: &ExchangeRow, earlier: &[AdjustmentRow]) -> Vec<(String, i64)> {
    let wanted = charge.breakdown.iter().map(|(class, cost)| ((*class).to_owned(), cost.nanos()));
    let corrections = earlier.iter().flat_map(|row| &row.cost_breakdown_nanousd);
    let stored = exchange.cost_breakdown_nanousd.iter().chain(corrections);
    let mut differences: Vec<(String, i64)> = wanted.collect();
    for (class, nanos) in stored {
        match differences.iter_mut().find(|(own, _)| own == class) {
            Some((_, missing)) => *missing = missing.saturating_sub(*nanos),
            None => differences.push((class.clone(), 0_i64.saturating_sub(*nanos))),
        }
    }
    differences.retain(|(_, missing)| *missing != 0);
    differences
}

/// The exchange's reading, as far as a price depends on it.
fn reading(row: &ExchangeRow) -> Reading {
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Reading {
        tokens: Tokens {
            input: row.input_tokens,
            cached_input: row.cached_input_tokens,
            cache_write_5m: row.cache_write_5m_tokens,
            cache_write_1h: row.cache_write_1h_tokens,
            output: row.output_tokens,
            reasoning: 0,
            audio_input: row.audio_input_tokens,
            audio_output: row.audio_output_tokens,
            image_input: row.image_input_tokens,
            image_output: row.image_output_tokens,
        },
        units: Units {
            images: row.unit_images,
            millis: row.unit_millis,
            characters: row.unit_characters,
            searches: row.unit_searches,
            requests: row.unit_requests,
        },
        source: UsageSource::Provider,
        model_served: some(&row.model_served),
        service_tier: some(&row.service_tier),
        ..Reading::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::book::{Pico, PriceRow, Prices};

    fn book(version: &str, input: i64, output: Option<i64>) -> PriceBook {
        let row = PriceRow {
            provider: "openai".into(),
            model: "m".into(),
            aliases: Vec::new(),
            from: Timestamp::from_millis(0),
            until: None,
            prices: Prices { input: Some(Pico(input)), output: output.map(Pico), ..Prices::default() },
            variants: Vec::new(),
            source: String::new(),
        };
        PriceBook::new(version.into(), vec![row]).unwrap()
    }

    /// 10 tokens in and 3 out, at 7 and 0 nano-dollars.
    fn exchange() -> ExchangeRow {
        ExchangeRow {
            provider: "openai".into(),
            model_served: "m".into(),
            input_tokens: 10,
            output_tokens: 3,
            cost_nanousd: 70,
            cost_breakdown_nanousd: vec![("input".into(), 70)],
            price_version: "v1/openai/m".into(),
            ..ExchangeRow::default()
        }
    }

    fn corrected(verdict: Verdict) -> AdjustmentRow {
        match verdict {
            Verdict::Correct(row) => *row,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_book_is_reached_by_one_row_and_then_all_is_right() {
        let exchange = exchange();
        let mut earlier: Vec<AdjustmentRow> = Vec::new();
        for (version, input, output, delta, breakdown) in [
            ("v2", 7_000, Some(10_000), 30, vec![("output", 30)]),
            ("v3", 10_000, Some(10_000), 30, vec![("input", 30)]),
            ("v4", 13_000, None, 0, vec![("input", 30), ("output", -30)]),
            ("v5", 0, Some(0), -130, vec![("input", -130)]),
            ("v6", 7_000, None, 70, vec![("input", 70)]),
        ] {
            let book = book(version, input, output);
            let row = corrected(judge(&book, &exchange, &earlier));
            let found: Vec<_> = row.cost_breakdown_nanousd.iter().map(|(c, n)| (c.as_str(), *n)).collect();
            assert_eq!((row.cost_nanousd, found), (delta, breakdown), "{version}");
            assert_eq!((row.kind.as_str(), row.reason.as_str(), row.priced_later), (ADJUSTMENT, REASON, false));
            assert_eq!(row.price_version, format!("{version}/openai/m"));
            earlier.push(row);
            assert_eq!(judge(&book, &exchange, &earlier), Verdict::Right, "{version}");
        }
    }

    #[test]
    fn a_first_price_is_told_once_even_when_it_is_zero() {
        let unpriced = ExchangeRow {
            cost_nanousd: 0,
            cost_breakdown_nanousd: Vec::new(),
            price_version: String::new(),
            ..exchange()
        };
        let free = corrected(judge(&book("v2", 0, None), &unpriced, &[]));
        assert_eq!((free.cost_nanousd, free.priced_later), (0, true));
        let earlier = [free];
        assert_eq!(judge(&book("v2", 0, None), &unpriced, &earlier), Verdict::Right);
        let dear = corrected(judge(&book("v3", 1_000, None), &unpriced, &earlier));
        assert_eq!((dear.cost_nanousd, dear.priced_later), (10, false));
    }

    #[test]
    fn sums_over_several_answers_are_left_alone() {
        let socket = ExchangeRow { status: 101, ..exchange() };
        let parts = ExchangeRow { price_version: "v1/openai/m+v1/openai/n".into(), ..exchange() };
        for row in [socket, parts] {
            assert_eq!(judge(&book("v2", 9_000, None), &row, &[]), Verdict::Summed);
        }
    }

    #[test]
    fn a_price_that_is_gone_and_a_correction_of_another_kind_leave_the_cost_alone() {
        assert_eq!(judge(&PriceBook::default(), &exchange(), &[]), Verdict::WithoutPrice);
        let other = AdjustmentRow { reason: "job failed".into(), cost_nanousd: -70, ..AdjustmentRow::of(&exchange()) };
        assert_eq!(judge(&book("v2", 9_000, None), &exchange(), &[other]), Verdict::NotOurs);
    }
}
