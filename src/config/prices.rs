//! prices.yaml: rows of the price book. Amounts are read from their text, digit by digit, never through floats.

use super::{fault::Position, fields::Fields};
use crate::{
    base::clock::Timestamp,
    pricing::book::{Factor, Pico, PriceBook, PriceRow, Prices, Terms, Variant},
};

const ROWS_MAX: usize = 10_000;
const ALIASES_MAX: usize = 64;
const VARIANTS_MAX: usize = 32;
const TERMS_MAX: usize = 256;
/// A dollar is 1e12 pico-dollars, so one dollar for a million tokens is 1e6 of them for one token.
const UNIT_DECIMALS: u32 = 12;
const MILLION_DECIMALS: u32 = 6;

/// Reads the whole file. Faults that the book finds stand at their row.
pub(super) fn read(top: &Fields<'_>) -> PriceBook {
    const EXPECTED: &str = "a version of this file, such as 2026-11-22";
    let items = top.elements("prices", ROWS_MAX).unwrap_or_default();
    let version = match items.as_slice() {
        [] => top.get("version"),
        _ => top.required("version", EXPECTED),
    };
    let version = version.and_then(|item| item.parsed(EXPECTED, version_of)).unwrap_or_default();
    let mut places = Vec::new();
    let mut rows = Vec::new();
    for item in items {
        let faults = item.source().fault_count();
        // A row that is wrong already would only make the book say so again.
        if let Some(row) = item.section(row).filter(|_| item.source().fault_count() == faults) {
            places.push((item.at(), item.name().to_owned()));
            rows.push(row);
        }
    }
    let terms = top.members("terms", TERMS_MAX).unwrap_or_default();
    let terms: Vec<(String, Terms)> =
        terms.into_iter().map(|(key, item)| (key.text.to_owned(), item.section(self::terms))).collect();
    match PriceBook::new(version, rows) {
        Ok(book) => book.with_terms(terms),
        Err(problems) => {
            for (row, problem) in problems {
                let (at, name) = places.get(row).cloned().unwrap_or((Position::default(), String::new()));
                top.source().fault(at, &name, problem);
            }
            PriceBook::default()
        }
    }
}

/// How a provider's prices follow from others.
fn terms(f: &Fields<'_>) -> Terms {
    const EXPECTED: &str = "a factor from 0.001 to 1000 with at most 3 decimals, such as 1.1";
    let like = f.get("like").and_then(|item| item.parsed("the name of a provider that has prices", name_of));
    let times = f.get("times").and_then(|item| item.parsed(EXPECTED, factor_of));
    if like.is_none() && times.is_none() && !f.has("like") && !f.has("times") {
        f.fault("expected `like`, `times` or both");
    }
    Terms { like, times: times.unwrap_or(Factor::ONE) }
}

fn factor_of(text: &str) -> Option<Factor> {
    let thousandths = u32::try_from(decimal(text, 3)?).ok()?;
    (1..=1_000_000).contains(&thousandths).then_some(Factor(thousandths))
}

fn version_of(text: &str) -> Option<String> {
    ((1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| text.to_owned())
}

fn row(f: &Fields<'_>) -> Option<PriceRow> {
    let name = |field: &'static str, expected: &str| f.required(field, expected)?.parsed(expected, name_of);
    let (provider, model) = (name("provider", "a provider's name"), name("model", "a model's name"));
    let aliases = f.elements("aliases", ALIASES_MAX).unwrap_or_default();
    let aliases = aliases.iter().filter_map(|item| item.parsed("a model's name or a glob", name_of)).collect();
    let from = moment(f, "from").unwrap_or(Timestamp::from_millis(0));
    let until = moment(f, "until");
    let prices = prices(f);
    let variants = f.elements("variants", VARIANTS_MAX).unwrap_or_default();
    let variants = variants.iter().map(|item| item.section(variant)).collect();
    let source = f.text_if_any("source", "where the figures come from").unwrap_or_default();
    Some(PriceRow { provider: provider?, model: model?, aliases, from, until, prices, variants, source })
}

fn name_of(text: &str) -> Option<String> {
    let valid = text.chars().all(|char| !char.is_whitespace() && !char.is_control());
    ((1..=256).contains(&text.len()) && valid).then(|| text.to_owned())
}

fn variant(f: &Fields<'_>) -> Variant {
    Variant {
        service_tier: f.get("service_tier").and_then(|item| item.parsed("a service tier, such as flex", name_of)),
        input_tokens_above: f.whole_if_any("input_tokens_above", 1..=1_000_000_000_000),
        prices: prices(f),
    }
}

/// A date, which means its first moment in UTC, or a moment in RFC 3339.
fn moment(f: &Fields<'_>, name: &'static str) -> Option<Timestamp> {
    let parse = |text: &str| {
        let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        Timestamp::parse_rfc3339(&text).ok()
    };
    f.get(name)?.parsed("a date in UTC, such as 2026-01-01, or a moment in RFC 3339", parse)
}

fn prices(f: &Fields<'_>) -> Prices {
    let tokens = f.section("per_million", |f| {
        let price = |name| price(f, name, MILLION_DECIMALS);
        Prices {
            input: price("input"),
            cached_input: price("cached_input"),
            cache_write_5m: price("cache_write_5m"),
            cache_write_1h: price("cache_write_1h"),
            output: price("output"),
            audio_input: price("audio_input"),
            audio_output: price("audio_output"),
            image_input: price("image_input"),
            image_output: price("image_output"),
            ..Prices::default()
        }
    });
    f.section("per_unit", |f| {
        let price = |name| price(f, name, UNIT_DECIMALS);
        Prices {
            image: price("image"),
            second: price("second"),
            character: price("character"),
            search: price("search"),
            request: price("request"),
            ..tokens
        }
    })
}

fn price(f: &Fields<'_>, name: &'static str, decimals: u32) -> Option<Pico> {
    let expected = format!("dollars as a decimal number with at most {decimals} decimals, such as 0.25");
    f.get(name)?.parsed(&expected, |text| decimal(text, decimals).map(Pico))
}

/// A decimal number times a power of ten, exactly; `None` when it is no number, too fine or too large.
fn decimal(text: &str, decimals: u32) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let part = part.trim_end_matches('0');
    let missing = decimals.checked_sub(u32::try_from(part.len()).ok()?)?;
    let part: i64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let whole = whole.parse::<i64>().ok()?.checked_mul(10_i64.checked_pow(decimals)?)?;
    whole.checked_add(part.checked_mul(10_i64.checked_pow(missing)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{fields::Source, yaml};
    use proptest::prelude::*;

    fn load(text: &str) -> (PriceBook, Vec<String>) {
        let env = |_: &str| None;
        let mut syntax = Vec::new();
        let root = yaml::parse("f", text.as_bytes(), &mut syntax).unwrap();
        let source = Source::new("f", &env);
        let book = source.read(&root, read);
        (book, syntax.into_iter().chain(source.into_faults()).map(|fault| fault.to_string()).collect())
    }

    #[test]
    fn a_row_is_read_to_the_pico_dollar() {
        let (book, faults) = load(
            "version: 2026-11-22\nprices:\n  - provider: openai\n    model: gpt-5.4\n    from: 2026-01-01\n    \
             per_million: {input: 2.5, cached_input: '0.25', output: 15}\n    per_unit: {image: 0.04, second: 0.000833333333}\n    \
             variants:\n      - {service_tier: flex, per_million: {input: 0.0083}}\n      \
             - {input_tokens_above: 272000, per_million: {input: 5}}\n    source: the provider's price page\n",
        );
        assert_eq!(faults, Vec::<String>::new());
        let row =
            book.find("openai", "gpt-5.4", "", Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap()).unwrap();
        assert_eq!(row.prices.input, Some(Pico(2_500_000)));
        assert_eq!(row.prices.cached_input, Some(Pico(250_000)));
        assert_eq!(row.prices.image, Some(Pico(40_000_000_000)));
        assert_eq!(row.prices.second, Some(Pico(833_333_333)));
        assert_eq!(row.variants[0].prices.input, Some(Pico(8_300)));
        assert_eq!(row.variants[1].input_tokens_above, Some(272_000));
        assert!(
            book.find("openai", "gpt-5.4", "", Timestamp::parse_rfc3339("2025-12-31T23:59:59Z").unwrap()).is_none()
        );
    }

    #[test]
    fn terms_price_a_provider_like_another_times_a_factor() {
        let book = |terms: &str| {
            load(&format!(
                "version: a\nprices:\n  - {{provider: p, model: m, per_unit: {{request: 1}}}}\nterms: {terms}\n"
            ))
        };
        let (priced, faults) = book("{q: {like: p, times: '1.1'}, p: {times: 0.875}}");
        assert_eq!(faults, Vec::<String>::new());
        let times = |provider| {
            let found = priced.find_with_terms(provider, "m", "", Timestamp::from_millis(0));
            found.map(|(row, factor)| (row.provider.as_str(), factor.to_string()))
        };
        assert_eq!((times("q"), times("p")), (Some(("p", "1.1".to_owned())), Some(("p", "0.875".to_owned()))));
        for (terms, says) in [
            ("{q: {}}", "terms.q: expected `like`, `times` or both"),
            ("{q: {times: 0}}", "terms.q.times: expected a factor from 0.001 to 1000"),
            ("{q: {times: 1.0001}}", "at most 3 decimals"),
            ("{q: {times: -1}}", "expected a factor"),
            ("{q: {like: p, tmies: 2}}", "did you mean \"times\"?"),
        ] {
            let (_, faults) = book(terms);
            assert!(faults.iter().any(|fault| fault.contains(says)), "{terms}: {faults:?}");
        }
    }

    #[test]
    fn a_wrong_row_is_a_fault_at_its_line() {
        let row = |fields: &str| format!("version: a\nprices:\n  - {{provider: p, model: m, {fields}}}\n");
        for (text, says) in [
            (
                "prices:\n  - {provider: p, model: m, per_million: {input: 1}}\n".to_owned(),
                "f:1:1: version: is missing",
            ),
            (row("per_million: {input: 1e3}"), "f:3:50: prices[0].per_million.input: expected dollars as a decimal"),
            (row("per_million: {input: 0.0000001}"), "at most 6 decimals"),
            (row("per_million: {input: -1}"), "decimal number"),
            (row("per_million: {input: 1,5}"), "prices[0].per_million.5: unknown field"),
            (row("per_million: {inputs: 1}"), "did you mean \"input\"?"),
            (row("per_million: {input: 1}, from: 01.02.2026"), "a date in UTC"),
            (row("per_million: {input: 1}, from: 2026-02-30"), "a date in UTC"),
            (row("per_million: {input: 1}, from: 2026-02-01, until: 2026-01-01"), "f:3:5: prices[0]"),
            ("version: a\nprices:\n  - {model: m}\n".to_owned(), "f:3:5: prices[0].provider: is missing"),
            ("version: a b\nprices: []\n".to_owned(), "f:1:10: version: expected"),
            (
                "version: a\nprices:\n  - {provider: p, model: m, per_million: {input: 1}}\n  \
                 - {provider: p, model: m, per_million: {input: 2}}\n"
                    .to_owned(),
                "f:4:5: prices[1]",
            ),
        ] {
            let (_, faults) = load(&text);
            assert!(faults.iter().any(|fault| fault.contains(says)), "{text}: {faults:?}");
        }
    }

    #[test]
    fn an_empty_file_is_an_empty_book() {
        assert_eq!(load("").1, Vec::<String>::new());
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, decimals, value) in [
            ("2.5", 6, Some(2_500_000)),
            ("0.0083", 6, Some(8_300)),
            ("0.000001", 6, Some(1)),
            ("0.0000010", 6, Some(1)),
            ("1.0", 0, Some(1)),
            ("15", 6, Some(15_000_000)),
            ("9223372", 12, Some(9_223_372_000_000_000_000)),
            ("9223373", 12, None),
            ("0.0000001", 6, None),
            ("1.", 6, None),
            (".5", 6, None),
            ("", 6, None),
            ("+1", 6, None),
            ("1.-5", 6, None),
            ("1.5.5", 6, None),
            ("NaN", 6, None),
        ] {
            assert_eq!(decimal(text, decimals), value, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_decimal_text_keeps_every_digit(whole in 0_i64..1_000_000, part in 0_i64..1_000_000) {
            prop_assert_eq!(decimal(&format!("{whole}.{part:06}"), 6), Some(whole * 1_000_000 + part));
        }
    }
}
