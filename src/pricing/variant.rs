//! Which of a row's prices apply: the tier that served and the size of the input choose among its variants.
//!
//! Prices are looked up class by class in up to four layers, the most specific first: the tier's prices for
//! this size, the tier's prices, the standard prices for this size, the row's own. So a variant may name only
//! what differs. Mind what that means: a `flex` variant without `cached_input` takes the row's own, dearer one.

use super::{
    book::{Pico, PriceRow, Prices, Variant},
    class::Class,
};
use std::fmt;

/// Names that providers give the tier whose prices stand in the row itself.
const STANDARD: [&str; 5] = ["", "default", "standard", "auto", "on_demand"];

/// The tier that `fast` means where a row does not know `fast` by that name.
const PRIORITY: &str = "priority";

fn is_standard(tier: &str) -> bool {
    STANDARD.iter().any(|standard| tier.eq_ignore_ascii_case(standard))
}

/// What is wrong with a row's variants.
pub(super) fn problems(variants: &[Variant], of_prices: fn(&Prices) -> Option<&'static str>) -> Vec<String> {
    let mut problems = Vec::new();
    for (place, variant) in variants.iter().enumerate() {
        let mut add = |problem: &str| problems.push(format!("variants[{place}]: {problem}"));
        of_prices(&variant.prices).into_iter().for_each(&mut add);
        if variant.service_tier.is_none() && variant.input_tokens_above.is_none() {
            add("does not say when it applies (service_tier, input_tokens_above)");
        }
        if variant.service_tier.as_deref().is_some_and(is_standard) {
            add("prices of the standard tier belong into the row itself");
        }
        if variants.iter().take(place).any(|earlier| earlier.applies_like(variant)) {
            add("applies exactly when an earlier one does");
        }
    }
    problems
}

impl Variant {
    fn is_of_tier(&self, tier: &str) -> bool {
        self.service_tier.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(tier))
    }

    fn applies_like(&self, other: &Self) -> bool {
        let same_tier = match &other.service_tier {
            Some(tier) => self.is_of_tier(tier),
            None => self.service_tier.is_none(),
        };
        same_tier && self.input_tokens_above == other.input_tokens_above
    }
}

/// `flex`, `>272000`, `flex>272000`: how a price version names it.
impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service_tier.as_deref().unwrap_or_default())?;
        self.input_tokens_above.map_or(Ok(()), |tokens| write!(f, ">{tokens}"))
    }
}

/// The prices that apply to one reading, the most specific first.
#[derive(Debug)]
pub(super) struct Layers<'a> {
    variants: [Option<&'a Variant>; 3],
    row: &'a PriceRow,
}

/// A price and the variant that named it; `None` for the row itself.
pub(super) type Found<'a> = (Pico, Option<&'a Variant>);

impl<'a> Layers<'a> {
    /// Chooses for the tier that served and the whole input of the request.
    pub(super) fn choose(row: &'a PriceRow, service_tier: &str, input_tokens: u64) -> Self {
        let largest_below = |of_tier: &dyn Fn(&Variant) -> bool| {
            let below = |variant: &&Variant| variant.input_tokens_above.is_some_and(|above| input_tokens > above);
            row.variants.iter().filter(|variant| of_tier(variant)).filter(below).max_by_key(|v| v.input_tokens_above)
        };
        let for_size = largest_below(&|variant| variant.service_tier.is_none());
        if is_standard(service_tier) {
            return Self { variants: [for_size, None, None], row };
        }
        let knows_fast = || row.variants.iter().any(|variant| variant.is_of_tier("fast"));
        let tier = if service_tier.eq_ignore_ascii_case("fast") && !knows_fast() { PRIORITY } else { service_tier };
        let for_tier_and_size = largest_below(&|variant| variant.is_of_tier(tier));
        let for_tier = row.variants.iter().find(|v| v.is_of_tier(tier) && v.input_tokens_above.is_none());
        Self { variants: [for_tier_and_size, for_tier, for_size], row }
    }

    /// The price of one unit of a class, by the class that stands in for it where no layer names it.
    pub(super) fn price(&self, class: Class) -> Option<Found<'a>> {
        let in_variant = |variant: &'a Variant| Some((class.price(&variant.prices)?, Some(variant)));
        self.variants
            .iter()
            .flatten()
            .copied()
            .find_map(in_variant)
            .or_else(|| Some((class.price(&self.row.prices)?, None)))
            .or_else(|| self.price(class.stand_in()?))
    }

    /// The variants in which a price may be found, the most specific first.
    pub(super) fn variants(&self) -> impl Iterator<Item = &'a Variant> {
        self.variants.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;

    /// A variant whose input price is the number.
    fn variant(service_tier: Option<&str>, input_tokens_above: Option<u64>, input: i64) -> Variant {
        let prices = Prices { input: Some(Pico(input)), ..Prices::default() };
        Variant { service_tier: service_tier.map(str::to_owned), input_tokens_above, prices }
    }

    fn row(variants: Vec<Variant>) -> PriceRow {
        PriceRow {
            provider: "p".into(),
            model: "m".into(),
            aliases: Vec::new(),
            from: Timestamp::from_millis(0),
            until: None,
            prices: Prices { input: Some(Pico(1)), output: Some(Pico(2)), ..Prices::default() },
            variants,
            source: String::new(),
        }
    }

    #[test]
    fn the_tier_and_the_size_choose_the_most_specific_prices() {
        let row = row(vec![
            variant(Some("flex"), None, 10),
            variant(None, Some(100), 20),
            variant(None, Some(1000), 30),
            variant(Some("flex"), Some(1000), 40),
            variant(Some("priority"), None, 50),
        ]);
        for (tier, input_tokens, price) in [
            ("", 100, 1),
            ("default", 101, 20),
            ("standard", 1000, 20),
            ("AUTO", 1001, 30),
            ("on_demand", 1, 1),
            ("flex", 5, 10),
            ("flex", 500, 10),
            ("FLEX", 1001, 40),
            ("priority", 5000, 50),
            ("fast", 1, 50),
            ("scale", 1, 1),
            ("scale", 5000, 30),
        ] {
            let found = Layers::choose(&row, tier, input_tokens).price(Class::Input).unwrap().0;
            assert_eq!(found, Pico(price), "{tier} {input_tokens}");
        }
    }

    #[test]
    fn fast_is_its_own_tier_where_the_row_knows_it() {
        let row = row(vec![variant(Some("priority"), None, 10), variant(Some("fast"), None, 20)]);
        let price = |tier| Layers::choose(&row, tier, 0).price(Class::Input).unwrap().0;
        assert_eq!((price("fast"), price("priority")), (Pico(20), Pico(10)));
    }

    #[test]
    fn what_a_variant_leaves_out_comes_from_the_layer_below_before_another_class_stands_in() {
        let mut row = row(vec![variant(Some("flex"), None, 10)]);
        row.prices.cached_input = Some(Pico(7));
        let layers = Layers::choose(&row, "flex", 0);
        let price = |class| layers.price(class).map(|(price, variant)| (price.0, variant.is_some()));
        assert_eq!(price(Class::CachedInput), Some((7, false)), "the row's own cached price");
        assert_eq!(price(Class::CacheWrite1h), Some((10, true)), "stands in: the variant's input");
        assert_eq!(price(Class::Output), Some((2, false)));
        assert_eq!(price(Class::ImageOutput), Some((2, false)), "stands in: output");
        assert_eq!(price(Class::Images), None);
    }

    #[test]
    fn each_class_has_the_stand_in_that_is_written_down() {
        let row = row(Vec::new());
        for (class, price) in [
            (Class::CachedInput, Some(1)),
            (Class::CacheWrite5m, Some(1)),
            (Class::CacheWrite1h, Some(1)),
            (Class::AudioInput, Some(1)),
            (Class::ImageInput, Some(1)),
            (Class::AudioOutput, Some(2)),
            (Class::ImageOutput, Some(2)),
            (Class::Seconds, None),
            (Class::Searches, None),
        ] {
            let found = Layers::choose(&row, "", 0).price(class).map(|(price, _)| price.0);
            assert_eq!(found, price, "{class:?}");
        }
        let mut with_writes = row;
        with_writes.prices.cache_write_5m = Some(Pico(3));
        assert_eq!(Layers::choose(&with_writes, "", 0).price(Class::CacheWrite1h).unwrap().0, Pico(3));
    }

    #[test]
    fn a_variant_that_can_never_be_told_apart_is_a_problem() {
        let nothing: fn(&Prices) -> Option<&'static str> = |_| None;
        for (variants, part) in [
            (vec![variant(None, None, 1)], "does not say when"),
            (vec![variant(Some("default"), None, 1)], "standard tier"),
            (vec![variant(Some("flex"), None, 1), variant(Some("Flex"), None, 2)], "variants[1]: applies exactly when"),
            (vec![variant(None, Some(5), 1), variant(None, Some(5), 2)], "applies exactly when"),
        ] {
            assert!(problems(&variants, nothing).iter().any(|problem| problem.contains(part)), "{part}");
        }
        assert!(problems(&[variant(None, Some(5), 1), variant(Some("flex"), Some(5), 1)], nothing).is_empty());
    }
}
