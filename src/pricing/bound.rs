//! What a request may cost at most, before it is forwarded: by its own row, every unit at the dearest price that it may get.
//! Allocates nothing.

use super::{
    book::{Factor, PriceBook, PriceRow},
    class::Class,
    variant::Layers,
};
use crate::base::{clock::Timestamp, money::Money};

/// What a request may use at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Most {
    pub input_tokens: u64,
    /// Of each answer.
    pub output_tokens: u64,
    pub answers: u64,
    pub characters: u64,
}

/// What text may be counted as when it is read. Embedded sounds and images have many more bytes than tokens, so that text's
/// prices are the dearer ones for them, too.
const INPUT: [Class; 4] = [Class::Input, Class::CachedInput, Class::CacheWrite5m, Class::CacheWrite1h];
const OUTPUT: [Class; 3] = [Class::Output, Class::AudioOutput, Class::ImageOutput];

/// What a price of one whole unit is multiplied by, so that all sums are in atto-dollars.
const THOUSANDTHS: i128 = 1_000;
const ATTOS_PER_NANO: i128 = 1_000_000_000;

/// The most that a request for a model may cost; nothing for a model without a price. `tier` is the service tier that it
/// asks for; a provider may serve it at the standard one.
pub fn bound(book: &PriceBook, (provider, model): (&str, &str), tier: &str, most: &Most, at: Timestamp) -> Money {
    let Some((row, factor)) = book.find_with_terms(provider, "", model, at) else { return Money::ZERO };
    let standard = attos(row, "", most);
    let attos = if tier.is_empty() { standard } else { standard.max(attos(row, tier, most)) };
    let Factor(times) = factor;
    let nanos = attos.saturating_mul(i128::from(times)).saturating_add(ATTOS_PER_NANO - 1) / ATTOS_PER_NANO;
    Money::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

fn attos(row: &PriceRow, tier: &str, most: &Most) -> i128 {
    let layers = Layers::choose(row, tier, most.input_tokens);
    let dearest = |classes: &[Class]| {
        let prices = classes.iter().filter_map(|class| layers.price(*class));
        prices.map(|(price, _)| price.0).max().unwrap_or(0)
    };
    let output = most.output_tokens.saturating_mul(most.answers);
    [
        (most.input_tokens, dearest(&INPUT)),
        (output, dearest(&OUTPUT)),
        (most.answers, dearest(&[Class::Images])),
        (most.characters, dearest(&[Class::Characters])),
        (1, dearest(&[Class::Requests])),
    ]
    .into_iter()
    .map(|(count, price)| i128::from(count).saturating_mul(i128::from(price)).saturating_mul(THOUSANDTHS))
    .fold(0, i128::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metering::reading::{Reading, Tokens, Units},
        pricing::{
            book::{Pico, Prices, Terms, Variant},
            charge::charge,
        },
    };
    use proptest::prelude::*;

    const AT: Timestamp = Timestamp::from_millis(1);

    fn book(prices: Prices, variants: Vec<Variant>) -> PriceBook {
        let row = PriceRow {
            provider: "openai".into(),
            model: "m".into(),
            aliases: Vec::new(),
            from: Timestamp::from_millis(0),
            until: None,
            prices,
            variants,
            source: String::new(),
        };
        PriceBook::new("v1".into(), vec![row]).unwrap()
    }

    fn most(input_tokens: u64, output_tokens: u64) -> Most {
        Most { input_tokens, output_tokens, answers: 1, characters: 0 }
    }

    fn nanos(book: &PriceBook, tier: &str, most: &Most) -> i64 {
        bound(book, ("openai", "m"), tier, most, AT).nanos()
    }

    #[test]
    fn each_unit_has_the_dearest_price_that_it_may_get() {
        let prices = Prices {
            input: Some(Pico(2_000)),
            cached_input: Some(Pico(200)),
            cache_write_1h: Some(Pico(4_000)),
            output: Some(Pico(10_000)),
            audio_output: Some(Pico(40_000)),
            ..Prices::default()
        };
        assert_eq!(nanos(&book(prices.clone(), Vec::new()), "", &most(100, 10)), 400 + 400);
        let three = Most { answers: 3, ..most(0, 10) };
        assert_eq!(nanos(&book(prices, Vec::new()), "", &three), 1_200, "each answer may use the whole bound");
        let plain = Prices { input: Some(Pico(1)), request: Some(Pico(5_000)), ..Prices::default() };
        assert_eq!(nanos(&book(plain, Vec::new()), "", &most(1, 1_000)), 6, "a part of a nano-dollar counts whole");
        let media = Prices { image: Some(Pico(40_000)), character: Some(Pico(15_000)), ..Prices::default() };
        let both = Most { answers: 2, characters: 4, ..Most::default() };
        assert_eq!(nanos(&book(media, Vec::new()), "", &both), 80 + 60);
    }

    #[test]
    fn a_dearer_tier_counts_and_a_cheaper_one_does_not() {
        let variant = |tier: &str, input| Variant {
            service_tier: Some(tier.into()),
            input_tokens_above: None,
            prices: Prices { input: Some(Pico(input)), ..Prices::default() },
        };
        let prices = Prices { input: Some(Pico(2_000)), ..Prices::default() };
        let book = book(prices, vec![variant("flex", 1_000), variant("priority", 4_000)]);
        for (tier, expected) in [("", 20), ("flex", 20), ("priority", 40), ("auto", 20), ("unknown", 20)] {
            assert_eq!(nanos(&book, tier, &most(10, 0)), expected, "{tier}");
        }
    }

    #[test]
    fn no_price_is_no_bound_and_terms_multiply() {
        let prices = Prices { output: Some(Pico(1_000)), ..Prices::default() };
        let terms = [("azure".to_owned(), Terms { like: Some("openai".into()), times: Factor(1_100) })];
        let book = book(prices, Vec::new()).with_terms(terms);
        assert_eq!(bound(&book, ("openai", "other"), "", &most(9, 9), AT), Money::ZERO);
        assert_eq!(bound(&book, ("azure", "m"), "", &most(0, 10), AT).nanos(), 11);
        assert_eq!(nanos(&book, "", &most(u64::MAX, u64::MAX)), i64::MAX);
    }

    proptest! {
        /// The promise that budgets rest on.
        #[test]
        fn what_is_within_the_bound_never_costs_more(
            prices in prop::array::uniform7(0..5_000_000_i64),
            above in 1..2_000_u64,
            used in prop::array::uniform6(0..500_u64),
            room in 0..100_u64,
        ) {
            let [input, cached, short, long, output, audio, flex] = prices.map(|pico| Some(Pico(pico)));
            let row = Prices {
                input,
                cached_input: cached,
                cache_write_5m: short,
                cache_write_1h: long,
                output,
                audio_output: audio,
                ..Prices::default()
            };
            let doubled = |price: Option<Pico>| price.map(|Pico(pico)| Pico(pico * 2));
            let large = Variant {
                service_tier: None,
                input_tokens_above: Some(above),
                prices: Prices {
                    input: doubled(input),
                    cached_input: doubled(cached),
                    cache_write_5m: doubled(short),
                    cache_write_1h: doubled(long),
                    output: doubled(output),
                    ..Prices::default()
                },
            };
            let flex = Variant {
                service_tier: Some("flex".into()),
                input_tokens_above: None,
                prices: Prices { output: flex, ..Prices::default() },
            };
            let book = book(row, vec![large, flex]);
            let [input, cached_input, cache_write_5m, cache_write_1h, output, audio_output] = used;
            let tokens =
                Tokens { input, cached_input, cache_write_5m, cache_write_1h, output, audio_output, ..Tokens::default() };
            let most = most(tokens.input_all() + room, output + audio_output + room);
            for tier in ["", "flex"] {
                let reading =
                    Reading { tokens, units: Units::default(), service_tier: Some(tier.into()), ..Reading::default() };
                let cost = charge(&book, &reading, "openai", "m", AT).cost;
                prop_assert!(cost <= bound(&book, ("openai", "m"), tier, &most, AT));
            }
        }
    }
}
