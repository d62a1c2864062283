//! Price rows as people and programs read them: the prices that would be charged, tier by tier, as exact decimals.

use super::{
    book::{Factor, Pico, PriceBook, PriceRow, Prices, Variant},
    class::Class,
    variant::Layers,
};
use crate::base::clock::Timestamp;
use serde::Serialize;

/// One price row, as it prices a provider's model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowView {
    pub provider: String,
    /// Whose row it is, when the provider's terms take another's; `null` for its own.
    pub like: Option<String>,
    /// What the provider's terms multiply the row's prices by; the prices below are the products.
    pub times: String,
    pub model: String,
    pub aliases: Vec<String>,
    /// As usage records name it in `price_version`.
    pub version: String,
    /// `null` when it has no beginning.
    pub from: Option<String>,
    /// `null` when it has no end.
    pub until: Option<String>,
    pub source: String,
    /// The row's own prices, then those of its variants, in the file's order.
    pub tiers: Vec<TierView>,
    /// Classes that neither the row nor a variant names, and the class whose price is charged for them.
    pub stand_ins: Vec<StandIn>,
}

/// The prices that are charged in one tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierView {
    /// The service tier that the answer reports; `null` for the standard one.
    pub service_tier: Option<String>,
    /// Only for requests whose whole input is above this; `null` for all.
    pub input_tokens_above: Option<u64>,
    pub prices: Vec<PriceView>,
}

/// The price of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PriceView {
    pub class: &'static str,
    /// Dollars.
    pub usd: String,
    /// For how many.
    pub per: u32,
}

/// A class that is charged as another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StandIn {
    pub class: &'static str,
    pub charged_as: &'static str,
}

/// What prices a model of a provider at that time; `None` when nothing does.
pub fn find(book: &PriceBook, provider: &str, model: &str, at: Timestamp) -> Option<RowView> {
    let (row, times) = book.find_with_terms(provider, model, "", at)?;
    Some(view(book, provider, (row, times)))
}

/// All rows of a book, each for every provider that it may price.
pub fn all(book: &PriceBook) -> Vec<RowView> {
    let of = |provider| book.rows_of(provider).into_iter().map(move |found| view(book, provider, found));
    book.providers().into_iter().flat_map(of).collect()
}

fn view(book: &PriceBook, provider: &str, (row, times): (&PriceRow, Factor)) -> RowView {
    let all = || std::iter::once(&row.prices).chain(row.variants.iter().map(|variant| &variant.prices));
    let named = |class: &Class| all().any(|prices| class.price(prices).is_some());
    let classes: Vec<Class> = Class::ALL.into_iter().filter(named).collect();
    let standard = tier((row, times), None, &classes);
    let tiers = row.variants.iter().map(|variant| tier((row, times), Some(variant), &classes));
    RowView {
        provider: provider.to_owned(),
        like: Some(&row.provider).filter(|owner| *owner != provider).cloned(),
        times: times.to_string(),
        model: row.model.clone(),
        aliases: row.aliases.clone(),
        version: book.version_by_terms(row, times),
        from: Some(row.from).filter(|from| from.millis() > 0).map(Timestamp::to_rfc3339),
        until: row.until.map(Timestamp::to_rfc3339),
        source: row.source.clone(),
        tiers: std::iter::once(standard).chain(tiers).collect(),
        stand_ins: stand_ins(&classes),
    }
}

fn tier((row, times): (&PriceRow, Factor), variant: Option<&Variant>, classes: &[Class]) -> TierView {
    let service_tier = variant.and_then(|variant| variant.service_tier.clone());
    let input_tokens_above = variant.and_then(|variant| variant.input_tokens_above);
    let size = input_tokens_above.map_or(0, |above| above.saturating_add(1));
    let layers = Layers::choose(row, service_tier.as_deref().unwrap_or_default(), size);
    let price = |class: &Class| layers.price(*class).map(|(price, _)| price_of(*class, price, times));
    TierView { prices: classes.iter().filter_map(price).collect(), service_tier, input_tokens_above }
}

fn price_of(class: Class, price: Pico, times: Factor) -> PriceView {
    let (decimals, per) = if class.is_of_tokens() { (6, 1_000_000) } else { (12, 1) };
    PriceView { class: class.name(), usd: decimal(price, times, decimals), per }
}

fn stand_ins(named: &[Class]) -> Vec<StandIn> {
    let charged_as =
        |class: Class| std::iter::successors(class.stand_in(), |class| class.stand_in()).find(|c| named.contains(c));
    let unnamed = Class::ALL.into_iter().filter(|class| !named.contains(class));
    unnamed.filter_map(|class| Some(StandIn { class: class.name(), charged_as: charged_as(class)?.name() })).collect()
}

/// The product, exactly, with so many decimals and those of the factor, without trailing zeros.
fn decimal(price: Pico, times: Factor, decimals: u32) -> String {
    let decimals = decimals.saturating_add(3);
    let one = 10_u128.pow(decimals);
    let product = u128::from(price.0.unsigned_abs()).saturating_mul(u128::from(times.0));
    let width = usize::try_from(decimals).unwrap_or_default();
    let text = format!("{}.{:0width$}", product / one, product % one);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// How many prices a row and its variants name.
pub fn prices_named(row: &PriceRow) -> usize {
    let named = |prices: &Prices| Class::ALL.into_iter().filter(|class| class.price(prices).is_some()).count();
    named(&row.prices) + row.variants.iter().map(|variant| named(&variant.prices)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_decimals() {
        for (pico, decimals, times, text) in [
            (2_500_000, 6, 1000, "2.5"),
            (1, 6, 1000, "0.000001"),
            (0, 6, 1000, "0"),
            (15_000_000, 6, 1000, "15"),
            (833_333_333, 12, 1000, "0.000833333333"),
            (40_000_000_000, 12, 1000, "0.04"),
            (10_000_000_000_000, 12, 1000, "10"),
            (2_500_000, 6, 1100, "2.75"),
            (1, 12, 1, "0.000000000000001"),
        ] {
            assert_eq!(decimal(Pico(pico), Factor(times), decimals), text);
        }
    }
}
