//! What one exchange cost, and by which price.
//!
//! Promises: exact integers up to the one rounding of the whole cost (to nano-dollars, halves away from zero);
//! the breakdown sums to the cost to the last nano-dollar; nothing overflows, what is too large is held at the
//! largest amount and marked.

use super::{
    book::{Factor, PriceBook, PriceRow, Variant},
    class::{Class, input_tokens},
    variant::Layers,
};
use crate::{
    base::{clock::Timestamp, money::Money},
    metering::reading::Reading,
};

/// The cost of one exchange. Without a price: zero, an empty version and no breakdown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Charge {
    pub cost: Money,
    /// The price row's version; empty when the model has no price.
    /// Behind `*` stands what its prices were multiplied by, behind `#` the row's variants that named a price that was
    /// used: `…/gpt-5.4#flex>272000`. Several rows, where parts of the answer have a row of their own, are joined with `+`.
    pub price_version: String,
    /// Cost per class, in the order of the classes; only classes that were used.
    pub breakdown: Vec<(&'static str, Money)>,
    /// Classes that were used and have no price: they are not in the cost. Another measure of what was charged
    /// (images beside their tokens) is not told. When nothing that was used has a price, the version is empty, as
    /// for a model without one.
    pub unpriced: Vec<&'static str>,
    /// The true cost is larger than money can hold; it stands at the largest amount.
    pub saturated: bool,
}

impl Charge {
    /// Adds what another attempt of the same exchange cost.
    pub fn add(&mut self, more: Self) {
        let sum = self.cost.nanos().checked_add(more.cost.nanos());
        self.saturated |= more.saturated || sum.is_none();
        self.cost = self.cost.saturating_add(more.cost);
        if self.price_version.is_empty() {
            self.price_version = more.price_version;
        } else if !more.price_version.is_empty() && more.price_version != self.price_version {
            self.price_version = format!("{}+{}", self.price_version, more.price_version);
        }
        for (class, cost) in more.breakdown {
            match self.breakdown.iter_mut().find(|(known, _)| *known == class) {
                Some((_, sum)) => *sum = sum.saturating_add(cost),
                None => self.breakdown.push((class, cost)),
            }
        }
        self.unpriced.extend(more.unpriced);
        let place = |name: &str| Class::ALL.iter().position(|class| class.name() == name);
        self.breakdown.sort_by_key(|(class, _)| place(class));
        self.unpriced.sort_by_key(|class| place(class));
        self.unpriced.dedup();
    }
}

/// Prices are pico-dollars, and uses and factors are counted in thousandths, so products are atto-dollars.
const ATTOS_PER_NANO: i128 = 1_000_000_000;

/// What one class came to, before rounding.
struct Share {
    class: Class,
    attos: i128,
}

/// What a reading costs by the book: by the model that served, or else the one that was requested. Where it has parts,
/// each has its own row and its own context tier; the whole is rounded once.
pub fn charge(book: &PriceBook, reading: &Reading, provider: &str, model_requested: &str, at: Timestamp) -> Charge {
    let mut bill = Bill::default();
    let find =
        |served: Option<&str>, requested| book.find_with_terms(provider, served.unwrap_or_default(), requested, at);
    if reading.parts.is_empty() {
        let row = find(reading.model_served.as_deref(), model_requested);
        bill.add(book, row, reading, input_tokens(reading));
    }
    for part in &reading.parts {
        let row = find(part.model.as_deref(), if part.is_aside { "" } else { model_requested });
        let service_tier = part.service_tier.clone();
        let alone = Reading { tokens: part.tokens, units: part.units, service_tier, ..Reading::default() };
        bill.add(book, row, &alone, part.input_largest);
    }
    bill.charge()
}

fn used(reading: &Reading) -> impl Iterator<Item = (Class, i128)> + '_ {
    let counted = Class::ALL.into_iter().map(|class| (class, class.thousandths_used(reading)));
    counted.filter(|(_, thousandths)| *thousandths > 0)
}

/// The charge of all parts of a reading as it is gathered.
#[derive(Default)]
struct Bill {
    shares: Vec<Share>,
    unpriced: Vec<Class>,
    versions: Vec<String>,
}

impl Bill {
    /// Adds what was used by one row; its context tier goes by `input`.
    fn add(&mut self, book: &PriceBook, row: Option<(&PriceRow, Factor)>, reading: &Reading, input: u64) {
        let Some((row, factor)) = row else {
            self.unpriced.extend(used(reading).map(|(class, _)| class));
            return;
        };
        let layers = Layers::choose(row, reading.service_tier.as_deref().unwrap_or_default(), input);
        let (mut priced, mut unpriced) = (Vec::new(), Vec::new());
        for (class, thousandths) in used(reading) {
            match layers.price(class) {
                Some(found) => priced.push((class, thousandths, found)),
                None => unpriced.push(class),
            }
        }
        if priced.is_empty() && !unpriced.is_empty() {
            self.unpriced.append(&mut unpriced);
            return;
        }
        self.unpriced.extend(unpriced.into_iter().filter(|class| !class.is_another_measure()));
        let mut version = book.version_by_terms(row, factor);
        push_variants(&mut version, &layers, &priced.iter().filter_map(|(_, _, found)| found.1));
        if !self.versions.contains(&version) {
            self.versions.push(version);
        }
        for (class, thousandths, found) in priced {
            let attos = thousandths.saturating_mul(i128::from(found.0.0)).saturating_mul(i128::from(factor.0));
            self.share(class, attos);
        }
    }

    fn share(&mut self, class: Class, attos: i128) {
        match self.shares.iter_mut().find(|share| share.class == class) {
            Some(share) => share.attos = share.attos.saturating_add(attos),
            None => self.shares.push(Share { class, attos }),
        }
    }

    fn charge(mut self) -> Charge {
        let total = self.shares.iter().fold(0_i128, |sum, share| sum.saturating_add(share.attos));
        // Prices and counts are never negative, so half up is half away from zero.
        let nanos = total.saturating_add(ATTOS_PER_NANO / 2) / ATTOS_PER_NANO;
        let (cost, saturated) = i64::try_from(nanos).map_or((i64::MAX, true), |nanos| (nanos, false));
        // in the order of the classes, each once
        self.shares.sort_by_key(|share| share.class as usize);
        self.unpriced.sort_by_key(|class| *class as usize);
        self.unpriced.dedup();
        Charge {
            cost: Money::from_nanos(cost),
            price_version: self.versions.join("+"),
            breakdown: break_down(&self.shares, cost),
            unpriced: names(self.unpriced),
            saturated,
        }
    }
}

fn names(classes: impl IntoIterator<Item = Class>) -> Vec<&'static str> {
    classes.into_iter().map(Class::name).collect()
}

/// Adds the variants whose prices were used to a row's version.
fn push_variants<'a>(version: &mut String, layers: &Layers<'a>, used: &(impl Iterator<Item = &'a Variant> + Clone)) {
    let was_used = |variant: &&Variant| used.clone().any(|used| std::ptr::eq(used, *variant));
    for (place, variant) in layers.variants().filter(was_used).enumerate() {
        version.push(if place == 0 { '#' } else { ',' });
        version.push_str(&variant.to_string());
    }
}

/// Splits the cost among the classes: each gets its whole nano-dollars, and those that lost most by that get one
/// of the nano-dollars that are left (largest remainder). A cost that was held at the largest amount goes to the
/// classes in their order until it is used up.
fn break_down(shares: &[Share], cost: i64) -> Vec<(&'static str, Money)> {
    let mut left = cost;
    let mut parts: Vec<(&'static str, i64, i128)> = Vec::with_capacity(shares.len());
    for share in shares {
        let whole = i64::try_from(share.attos / ATTOS_PER_NANO).unwrap_or(i64::MAX).min(left);
        left = left.saturating_sub(whole);
        parts.push((share.class.name(), whole, share.attos % ATTOS_PER_NANO));
    }
    let mut by_remainder: Vec<&mut (&'static str, i64, i128)> = parts.iter_mut().collect();
    by_remainder.sort_by_key(|part| std::cmp::Reverse(part.2));
    // Fewer are left than there are classes with a remainder, since each remainder is less than one.
    for part in by_remainder.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        part.1 = part.1.saturating_add(1);
    }
    parts.into_iter().map(|(name, nanos, _)| (name, Money::from_nanos(nanos))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metering::reading::{Part, Tokens, Units},
        pricing::book::{Pico, Prices, Terms, Variant},
    };
    use proptest::prelude::*;

    /// Dollars for a million, in hundredths, as pico-dollars for one.
    fn cents_per_million(cents: i64) -> Pico {
        Pico(cents * 10_000)
    }

    fn row(prices: Prices, variants: Vec<Variant>) -> PriceRow {
        PriceRow {
            provider: "openai".into(),
            model: "m".into(),
            aliases: Vec::new(),
            from: Timestamp::from_millis(0),
            until: None,
            prices,
            variants,
            source: String::new(),
        }
    }

    fn chat_prices() -> Prices {
        Prices {
            input: Some(cents_per_million(250)),
            cached_input: Some(cents_per_million(25)),
            output: Some(cents_per_million(1500)),
            search: Some(Pico(10_000_000_000)),
            ..Prices::default()
        }
    }

    fn charge_with(prices: Prices, variants: Vec<Variant>, reading: &Reading) -> Charge {
        let book = PriceBook::new("v1".into(), vec![row(prices, variants)]).unwrap();
        charge(&book, reading, "openai", "m", Timestamp::from_millis(1))
    }

    fn tokens(input: u64, cached_input: u64, output: u64) -> Reading {
        Reading { tokens: Tokens { input, cached_input, output, ..Tokens::default() }, ..Reading::default() }
    }

    #[test]
    fn a_chat_answer_costs_its_classes_times_their_prices() {
        let mut reading = tokens(86, 1920, 300);
        (reading.tokens.reasoning, reading.units.searches) = (200, 2);
        let charge = charge_with(chat_prices(), Vec::new(), &reading);
        // 86 × 2.5 + 1920 × 0.25 + 300 × 15 millionths, and two searches at a cent; reasoning is inside output.
        assert_eq!(charge.cost.to_string(), "0.025195");
        assert_eq!(charge.price_version, "v1/openai/m");
        let parts: Vec<_> = charge.breakdown.iter().map(|(class, money)| format!("{class} {money}")).collect();
        assert_eq!(parts, ["input 0.000215", "cached_input 0.00048", "output 0.0045", "searches 0.02"]);
        assert!(charge.unpriced.is_empty() && !charge.saturated);
    }

    #[test]
    fn the_cost_is_rounded_once_and_the_breakdown_follows_it() {
        let prices =
            Prices { input: Some(Pico(400)), output: Some(Pico(400)), image: Some(Pico(1_700)), ..Prices::default() };
        let mut reading = tokens(1, 0, 1);
        let nanos = |charge: &Charge| -> Vec<i64> { charge.breakdown.iter().map(|(_, money)| money.nanos()).collect() };
        let charge = charge_with(prices.clone(), Vec::new(), &reading);
        assert_eq!(
            (charge.cost.nanos(), nanos(&charge)),
            (1, vec![1, 0]),
            "0.8 rounds up, the first of equals gets it"
        );
        reading.units.images = 1;
        let charge = charge_with(prices, Vec::new(), &reading);
        assert_eq!((charge.cost.nanos(), nanos(&charge)), (3, vec![1, 0, 2]), "2.5 is away from zero");
    }

    #[test]
    fn each_part_has_its_own_row_and_tier_and_the_whole_is_rounded_once() {
        let large = Variant {
            service_tier: None,
            input_tokens_above: Some(10),
            prices: Prices { input: Some(Pico(1_000_000)), ..Prices::default() },
        };
        let prices = |pico| Prices { input: Some(Pico(pico)), output: Some(Pico(pico)), ..Prices::default() };
        let other = PriceRow { model: "o".into(), ..row(prices(300), Vec::new()) };
        let book = PriceBook::new("v1".into(), vec![row(prices(400), vec![large]), other]).unwrap();
        let part = |model: Option<&str>, is_aside, input, output| Part {
            model: model.map(str::to_owned),
            is_aside,
            tokens: Tokens { input, output, ..Tokens::default() },
            input_largest: input,
            ..Part::default()
        };
        // 0.4 and 0.3 are nothing by themselves
        let parts = vec![part(None, false, 1, 0), part(Some("o"), true, 1, 0)];
        let two = charge(&book, &Reading { parts, ..Reading::default() }, "openai", "m", Timestamp::from_millis(1));
        assert_eq!((two.cost.nanos(), two.price_version.as_str()), (1, "v1/openai/m+v1/openai/o"));
        assert_eq!(two.breakdown, [("input", Money::from_nanos(1))], "a class stands once");
        // ten each are not above ten together; eleven are by themselves
        let parts = vec![Part { input_largest: 10, ..part(None, false, 20, 0) }, part(None, false, 11, 1)];
        let tiers = charge(&book, &Reading { parts, ..Reading::default() }, "openai", "m", Timestamp::from_millis(1));
        assert_eq!((tiers.cost.nanos(), tiers.price_version.as_str()), (11_008, "v1/openai/m+v1/openai/m#>10"));
        // what another model did is never priced as the one that was asked for
        let parts = vec![part(Some("unknown"), true, 1_000_000, 0), part(None, true, 0, 5)];
        let aside = charge(&book, &Reading { parts, ..Reading::default() }, "openai", "m", Timestamp::from_millis(1));
        assert_eq!(aside, Charge { unpriced: vec!["input", "output"], ..Charge::default() });
    }

    #[test]
    fn seconds_are_charged_by_the_millisecond() {
        let reading = Reading { units: Units { millis: 1_500, ..Units::default() }, ..Reading::default() };
        let per_minute_of_five_cents = Prices { second: Some(Pico(833_333_333)), ..Prices::default() };
        assert_eq!(charge_with(per_minute_of_five_cents, Vec::new(), &reading).cost.to_string(), "0.00125");
    }

    #[test]
    fn a_model_without_a_price_costs_nothing_and_says_so() {
        let charge = charge(&PriceBook::default(), &tokens(5, 0, 7), "openai", "m", Timestamp::from_millis(1));
        assert_eq!(charge, Charge { unpriced: vec!["input", "output"], ..Charge::default() });
    }

    #[test]
    fn a_class_without_a_price_is_told_and_the_others_are_charged() {
        let mut reading = tokens(0, 0, 1_000_000);
        (reading.units.millis, reading.units.requests) = (1, 1);
        let charge = charge_with(chat_prices(), Vec::new(), &reading);
        assert_eq!((charge.cost.to_string(), charge.unpriced), ("15".to_owned(), vec![]), "another measure of it");
        let prices = Prices { search: None, ..chat_prices() };
        reading.units.searches = 1;
        assert_eq!(charge_with(prices, Vec::new(), &reading).unpriced, ["searches"]);
        let charge = charge_with(Prices { second: Some(Pico(1)), ..Prices::default() }, Vec::new(), &tokens(1, 0, 1));
        assert_eq!((charge.price_version.as_str(), charge.unpriced.len()), ("", 2), "as a model without a price");
    }

    #[test]
    fn an_answer_that_used_nothing_costs_nothing_by_a_known_price() {
        let charge = charge_with(chat_prices(), Vec::new(), &Reading::default());
        assert_eq!(charge, Charge { price_version: "v1/openai/m".into(), ..Charge::default() });
    }

    #[test]
    fn the_whole_request_is_repriced_by_all_of_its_input_and_the_version_names_the_variant() {
        let above = |service_tier: Option<&str>, above: Option<u64>, cents: i64| Variant {
            service_tier: service_tier.map(str::to_owned),
            input_tokens_above: above,
            prices: Prices { input: Some(cents_per_million(cents)), ..Prices::default() },
        };
        let variants = vec![above(None, Some(272_000), 500), above(Some("flex"), None, 125)];
        for (tier, reading, cost, version) in [
            (None, tokens(272_000, 0, 0), "0.68", "v1/openai/m"),
            (None, tokens(272_001, 0, 0), "1.360005", "v1/openai/m#>272000"),
            (None, tokens(200_000, 72_001, 0), "1.01800025", "v1/openai/m#>272000"),
            (Some("flex"), tokens(1_000, 0, 0), "0.00125", "v1/openai/m#flex"),
            (Some("flex"), tokens(0, 0, 100), "0.0015", "v1/openai/m"),
            (Some("default"), tokens(1_000, 0, 0), "0.0025", "v1/openai/m"),
        ] {
            let reading = Reading { service_tier: tier.map(str::to_owned), ..reading };
            let charge = charge_with(chat_prices(), variants.clone(), &reading);
            assert_eq!((charge.cost.to_string().as_str(), charge.price_version.as_str()), (cost, version), "{tier:?}");
        }
    }

    #[test]
    fn the_model_that_served_is_priced_before_the_one_requested() {
        let mut other = row(Prices { input: Some(Pico(9_000)), ..Prices::default() }, Vec::new());
        other.model = "other".into();
        let book = PriceBook::new("v1".into(), vec![row(chat_prices(), Vec::new()), other]).unwrap();
        let reading = Reading { model_served: Some("other".into()), ..tokens(1, 0, 0) };
        let charge = charge(&book, &reading, "openai", "m", Timestamp::from_millis(1));
        assert_eq!((charge.cost.nanos(), charge.price_version.as_str()), (9, "v1/openai/other"));
    }

    #[test]
    fn what_money_cannot_hold_stands_at_the_largest_amount_and_is_marked() {
        let dear = Prices { input: Some(Pico(i64::MAX)), output: Some(Pico(i64::MAX)), ..Prices::default() };
        let charge = charge_with(dear, Vec::new(), &tokens(u64::MAX, u64::MAX, u64::MAX));
        assert!(charge.saturated);
        assert_eq!(charge.cost.nanos(), i64::MAX);
        assert_eq!(
            charge.breakdown.iter().map(|(_, money)| i128::from(money.nanos())).sum::<i128>(),
            i128::from(i64::MAX)
        );
    }

    #[test]
    fn terms_multiply_exactly_and_the_version_says_so() {
        let terms = |like: Option<&str>, times| Terms { like: like.map(str::to_owned), times: Factor(times) };
        let mut own = row(Prices { input: Some(Pico(1_000_000)), ..Prices::default() }, Vec::new());
        (own.provider, own.model) = ("regional".into(), "special".into());
        let rows = vec![row(chat_prices(), Vec::new()), own];
        let book = PriceBook::new("v1".into(), rows).unwrap().with_terms([
            ("regional".to_owned(), terms(Some("openai"), 1100)),
            ("openai".to_owned(), terms(None, 875)),
            ("nobody".to_owned(), terms(Some("missing"), 1000)),
        ]);
        for (provider, model, cost, version) in [
            ("regional", "m", "0.00275", "v1/openai/m*1.1"),
            ("openai", "m", "0.0021875", "v1/openai/m*0.875"),
            ("regional", "special", "0.001", "v1/regional/special"),
            ("nobody", "m", "0", ""),
        ] {
            let charge = charge(&book, &tokens(1000, 0, 0), provider, model, Timestamp::from_millis(1));
            assert_eq!(
                (charge.cost.to_string().as_str(), charge.price_version.as_str()),
                (cost, version),
                "{provider}"
            );
        }
    }

    fn any_count() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), 0..2_000_000_u64, any::<u64>(), Just(u64::MAX)]
    }

    fn any_reading() -> impl Strategy<Value = Reading> {
        let tokens = prop::array::uniform9(any_count()).prop_map(|c| Tokens {
            input: c[0],
            cached_input: c[1],
            cache_write_5m: c[2],
            cache_write_1h: c[3],
            output: c[4],
            reasoning: c[4] / 2,
            audio_input: c[5],
            audio_output: c[6],
            image_input: c[7],
            image_output: c[8],
        });
        let units = prop::array::uniform5(any_count()).prop_map(|c| Units {
            images: c[0],
            millis: c[1],
            characters: c[2],
            searches: c[3],
            requests: c[4],
        });
        (tokens, units).prop_map(|(tokens, units)| Reading { tokens, units, ..Reading::default() })
    }

    fn any_prices() -> impl Strategy<Value = Prices> {
        let price = || prop::option::of(prop_oneof![0..100_000_000_i64, 0..=i64::MAX].prop_map(Pico));
        (prop::array::uniform7(price()), prop::array::uniform7(price())).prop_map(|(t, u)| Prices {
            input: Some(t[0].unwrap_or(Pico(2_500_333))),
            cached_input: t[1],
            cache_write_5m: t[2],
            cache_write_1h: t[3],
            output: t[4],
            audio_input: t[5],
            audio_output: t[6],
            image_input: u[0],
            image_output: u[1],
            image: u[2],
            second: u[3],
            character: u[4],
            search: u[5],
            request: u[6],
        })
    }

    proptest! {
        #[test]
        fn the_breakdown_sums_to_the_cost_whatever_was_used(reading in any_reading(), prices in any_prices()) {
            let charge = charge_with(prices, Vec::new(), &reading);
            let sum: i128 = charge.breakdown.iter().map(|(_, money)| i128::from(money.nanos())).sum();
            prop_assert_eq!(sum, i128::from(charge.cost.nanos()));
            prop_assert!(charge.breakdown.iter().all(|(_, money)| money.nanos() >= 0));
            prop_assert!(!charge.saturated || charge.cost.nanos() == i64::MAX);
        }

        #[test]
        fn each_part_is_within_a_nano_dollar_of_its_exact_share(
            counts in prop::array::uniform3(0..1_000_000_u64),
            prices in prop::array::uniform3(0..100_000_000_i64),
        ) {
            let [input, cached_input, output] = prices.map(|price| Some(Pico(price)));
            let reading = tokens(counts[0], counts[1], counts[2]);
            let charge = charge_with(Prices { input, cached_input, output, ..Prices::default() }, Vec::new(), &reading);
            for (class, money) in charge.breakdown {
                let place = ["input", "cached_input", "output"].iter().position(|name| *name == class).unwrap();
                let exact_picos = i128::from(counts[place]) * i128::from(prices[place]);
                prop_assert!((i128::from(money.nanos()) * 1000 - exact_picos).abs() < 1000, "{class}");
            }
        }

        #[test]
        fn the_cost_is_linear_but_for_the_one_rounding(
            a in prop::array::uniform3(0..1_000_000_u64),
            b in prop::array::uniform3(0..1_000_000_u64),
            prices in prop::array::uniform3(0..100_000_000_i64),
        ) {
            let [input, cached_input, output] = prices.map(|price| Some(Pico(price)));
            let cost = |counts: [u64; 3]| {
                let prices = Prices { input, cached_input, output, ..Prices::default() };
                charge_with(prices, Vec::new(), &tokens(counts[0], counts[1], counts[2])).cost.nanos()
            };
            let both = cost([a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
            prop_assert!((both - cost(a) - cost(b)).abs() <= 1);
            // Exactly: the whole sum in pico-dollars, rounded once.
            let picos: i128 = (0..3).map(|i| i128::from(a[i]) * i128::from(prices[i])).sum();
            prop_assert_eq!(cost(a), Money::from_picos_rounded(picos).nanos());
        }
    }
}
