//! The price book: dated rows, looked up by provider, model and time.
//!
//! A look-up allocates nothing: two hash maps for a spelled-out name, then the few patterns of the provider.
//! A model that no row names has no price; it is never given a price of zero.

use super::{
    class::Class,
    names::{Glob, check_name, without_snapshot},
    variant,
};
use crate::base::clock::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    fmt, iter,
};

/// A price in whole pico-dollars (1e-12 USD) for one unit: $0.01 for a million tokens is 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pico(pub i64);

/// Prices of one unit of each class; `None` where the row names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices {
    pub input: Option<Pico>,
    pub cached_input: Option<Pico>,
    pub cache_write_5m: Option<Pico>,
    pub cache_write_1h: Option<Pico>,
    pub output: Option<Pico>,
    pub audio_input: Option<Pico>,
    pub audio_output: Option<Pico>,
    pub image_input: Option<Pico>,
    pub image_output: Option<Pico>,
    /// For one image.
    pub image: Option<Pico>,
    /// For one second of audio or video.
    pub second: Option<Pico>,
    pub character: Option<Pico>,
    /// For one search by the provider's tool.
    pub search: Option<Pico>,
    /// For each request.
    pub request: Option<Pico>,
}

/// Prices that replace a row's own when the request is of a service tier or larger than a context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variant {
    /// The service tier that the answer reports (`flex`, `priority`, `batch`); `None` for the standard one.
    pub service_tier: Option<String>,
    /// Applies when the request's whole input (all input classes) is above this many tokens.
    pub input_tokens_above: Option<u64>,
    /// Replaces the whole request's prices; what it leaves out comes from the row.
    pub prices: Prices,
}

/// One row: what one model of one provider costs in a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceRow {
    /// A provider's name.
    pub provider: String,
    /// The model's own name; dated snapshots of it (`-2026-03-05`, `-20260305`, `-latest`) match by themselves.
    pub model: String,
    /// More names, exact or globs.
    pub aliases: Vec<String>,
    /// First moment at which it holds.
    pub from: Timestamp,
    /// First moment at which it no longer holds.
    pub until: Option<Timestamp>,
    pub prices: Prices,
    pub variants: Vec<Variant>,
    /// Where the figures come from.
    pub source: String,
}

impl Prices {
    fn problem(&self) -> Option<&'static str> {
        let mut named = Class::ALL.into_iter().filter_map(|class| class.price(self)).peekable();
        if named.peek().is_none() {
            return Some("names no price");
        }
        named.any(|price| price.0 < 0).then_some("has a negative price")
    }
}

impl PriceRow {
    /// Whether it holds at that time.
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end_of = |a: &Self, b: &Self| b.until.is_none_or(|until| a.from < until);
        begins_before_end_of(self, other) && begins_before_end_of(other, self)
    }

    /// What is wrong with it by itself.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(check_name(&self.provider).err().map(|problem| format!("provider: {problem}")));
        problems.extend(check_name(&self.model).err().map(|problem| format!("model: {problem}")));
        if Glob::is_pattern(&self.model) {
            problems.push(format!("model: {:?} is a pattern, which belongs into aliases", self.model));
        }
        let bad_alias = |alias: &String| Glob::new(alias).err().map(|problem| format!("aliases: {problem}"));
        problems.extend(self.aliases.iter().filter_map(bad_alias));
        if self.until.is_some_and(|until| until <= self.from) {
            problems.push("until: is not after from".to_owned());
        }
        problems.extend(self.prices.problem().map(str::to_owned));
        problems.extend(variant::problems(&self.variants, Prices::problem));
        problems
    }
}

/// How one provider's rows are found. Numbers are places in the book's rows.
#[derive(Debug, Default)]
struct Names {
    /// By each name that a row spells out. Of the rows under one name at most one holds at any time.
    exact: HashMap<String, Vec<usize>>,
    /// The patterns, those that spell out most first.
    globs: Vec<(Glob, usize)>,
}

impl Names {
    /// Notes that a row has this name or pattern; gives the rows that had it before.
    fn claim(&mut self, name: &str, place: usize) -> Vec<usize> {
        if !Glob::is_pattern(name) {
            let places = self.exact.entry(name.to_owned()).or_default();
            let earlier = places.clone();
            places.push(place);
            return earlier;
        }
        // A bad pattern is already among the row's own problems.
        let Ok(glob) = Glob::new(name) else { return Vec::new() };
        let earlier = self.globs.iter().filter(|(other, _)| *other == glob).map(|(_, place)| *place).collect();
        self.globs.push((glob, place));
        earlier
    }
}

/// What a provider's prices are when they follow a rule: another provider's (a regional host of it, a deployment), its own with a
/// discount, a surcharge on either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whose rows price a model that no row of the provider's own does.
    pub like: Option<String>,
    pub times: Factor,
}

/// What prices are multiplied by, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor(pub u32);

impl Factor {
    /// Prices as they stand.
    pub const ONE: Self = Self(1000);
}

impl fmt::Display for Factor {
    /// A decimal number: `1.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// All price rows of one version.
#[derive(Debug, Default)]
pub struct PriceBook {
    version: String,
    rows: Vec<PriceRow>,
    providers: HashMap<String, Names>,
    terms: HashMap<String, Terms>,
}

impl PriceBook {
    /// A book of these rows.
    ///
    /// # Errors
    /// Every problem, with the place of its row. Two rows of one provider must not claim one name or
    /// pattern for the same time, as chance would say which of them prices a request.
    pub fn new(version: String, rows: Vec<PriceRow>) -> Result<Self, Vec<(usize, String)>> {
        let mut problems: Vec<(usize, String)> = Vec::new();
        let mut providers: HashMap<String, Names> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            problems.extend(row.problems().into_iter().map(|problem| (place, problem)));
            let names = providers.entry(row.provider.clone()).or_default();
            for name in iter::once(&row.model).chain(&row.aliases) {
                let earlier = names.claim(name, place);
                let overlapping =
                    earlier.into_iter().find(|earlier| rows.get(*earlier).is_some_and(|other| other.overlaps(row)));
                problems.extend(overlapping.map(|earlier| (place, conflict(name, place, earlier))));
            }
        }
        for names in providers.values_mut() {
            names.globs.sort_by_key(|(glob, place)| (Reverse(glob.literal_chars()), *place));
        }
        if problems.is_empty() { Ok(Self { version, rows, providers, terms: HashMap::new() }) } else { Err(problems) }
    }

    /// The same with terms for some providers.
    #[must_use]
    pub fn with_terms(self, terms: impl IntoIterator<Item = (String, Terms)>) -> Self {
        Self { terms: terms.into_iter().collect(), ..self }
    }

    /// The row that prices an answer of that time, and what its prices are multiplied by. Where the provider's terms name another
    /// provider, rows of its own go before that one's, as they stand.
    pub fn find_with_terms(
        &self,
        provider: &str,
        model_served: &str,
        model_requested: &str,
        at: Timestamp,
    ) -> Option<(&PriceRow, Factor)> {
        let terms = self.terms.get(provider);
        let own = self.find(provider, model_served, model_requested, at);
        match (terms, own) {
            (None, own) => Some((own?, Factor::ONE)),
            (Some(Terms { like: None, times }), own) => Some((own?, *times)),
            (Some(Terms { like: Some(_), .. }), Some(own)) => Some((own, Factor::ONE)),
            (Some(Terms { like: Some(like), times }), None) => {
                Some((self.find(like, model_served, model_requested, at)?, *times))
            }
        }
    }

    /// The row that prices an answer of that time. In this order: the row that spells out the name of the model
    /// that served; then of the one that was requested; then the row whose snapshot (by its date or `-latest`)
    /// or, failing that, whose most specific pattern fits the model that served; then the one that was requested.
    /// Either name may be empty when it is not known.
    pub fn find(&self, provider: &str, model_served: &str, model_requested: &str, at: Timestamp) -> Option<&PriceRow> {
        let names = self.providers.get(provider)?;
        let holding = |place: &usize| self.rows.get(*place).filter(|row| row.holds_at(at));
        let exact = |model: &str| names.exact.get(model)?.iter().find_map(holding);
        let snapshot =
            |model| iter::successors(without_snapshot(model), |model| without_snapshot(model)).find_map(exact);
        let pattern = |model: &str| {
            let fits = |(glob, place): &(Glob, usize)| if glob.matches(model) { holding(place) } else { None };
            if model.is_empty() { None } else { names.globs.iter().find_map(fits) }
        };
        let loosely = |model| snapshot(model).or_else(|| pattern(model));
        exact(model_served)
            .or_else(|| exact(model_requested))
            .or_else(|| loosely(model_served))
            .or_else(|| loosely(model_requested))
    }

    /// The version of all its rows together.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The providers that rows or terms name, each once, in order.
    pub fn providers(&self) -> BTreeSet<&str> {
        self.rows.iter().map(|row| row.provider.as_str()).chain(self.terms.keys().map(String::as_str)).collect()
    }

    /// Its rows in their order.
    pub fn rows(&self) -> &[PriceRow] {
        &self.rows
    }

    /// The rows that may price a provider's models, its own first, and what their prices are multiplied by.
    pub fn rows_of(&self, provider: &str) -> Vec<(&PriceRow, Factor)> {
        let terms = self.terms.get(provider);
        let like = terms.and_then(|terms| terms.like.as_deref());
        let own_times = terms.filter(|_| like.is_none()).map_or(Factor::ONE, |terms| terms.times);
        let of = |name: &str, times| {
            let rows = self.rows.iter().filter(move |row| row.provider == name);
            rows.map(|row| (row, times)).collect::<Vec<_>>()
        };
        let mut rows = of(provider, own_times);
        if let (Some(like), Some(terms)) = (like, terms) {
            rows.extend(of(like, terms.times));
        }
        rows
    }

    /// A row's version, and behind `*` what its prices are multiplied by where that changes them.
    pub fn version_by_terms(&self, row: &PriceRow, times: Factor) -> String {
        let mut version = self.row_version(row);
        if times != Factor::ONE {
            version.push('*');
            version.push_str(&times.to_string());
        }
        version
    }

    /// A text that says which row of which book it is: `<version>/<provider>/<model>`, and `@<from>` where the
    /// row has a beginning, since a model may have several rows that follow each other.
    pub fn row_version(&self, row: &PriceRow) -> String {
        let mut text = format!("{}/{}/{}", self.version, row.provider, row.model);
        if row.from.millis() > 0 {
            let from = row.from.to_rfc3339();
            text.push('@');
            text.push_str(from.strip_suffix("T00:00:00.000Z").unwrap_or(&from));
        }
        text
    }
}

fn conflict(name: &str, place: usize, earlier: usize) -> String {
    if place == earlier {
        return format!("{name:?} is named twice");
    }
    format!("{name:?} is also named by row {earlier} (counted from 0) for an overlapping time")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_millis(day * DAY)
    }

    fn row(model: &str, aliases: &[&str]) -> PriceRow {
        PriceRow {
            provider: "openai".into(),
            model: model.into(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            from: at(0),
            until: None,
            prices: Prices { input: Some(Pico(1)), ..Prices::default() },
            variants: Vec::new(),
            source: String::new(),
        }
    }

    fn during(model: &str, from: i64, until: Option<i64>) -> PriceRow {
        PriceRow { from: at(from), until: until.map(at), ..row(model, &[]) }
    }

    fn book(rows: Vec<PriceRow>) -> PriceBook {
        PriceBook::new("v1".into(), rows).unwrap()
    }

    #[test]
    fn the_most_certain_name_wins() {
        let book = book(vec![
            row("gpt-5", &["gpt-five"]),
            row("gpt-5-mini", &[]),
            row("gpt-5-mini-2025-08-07", &[]),
            row("all-the-rest", &["gpt-*"]),
            row("all-the-rest-of-5", &["gpt-5*"]),
        ]);
        for (served, requested, expected) in [
            ("gpt-5", "gpt-5-mini", Some("gpt-5")),
            ("gpt-five", "gpt-5-mini", Some("gpt-5")),
            ("gpt-5-2025-08-07", "gpt-5", Some("gpt-5")),
            ("gpt-5-2025-08-07", "my-deployment", Some("gpt-5")),
            ("gpt-5-mini-2025-08-07", "gpt-5-mini", Some("gpt-5-mini-2025-08-07")),
            ("gpt-5-mini-2026-01-01", "", Some("gpt-5-mini")),
            ("gpt-5-mini-latest@2026-01-01", "", Some("gpt-5-mini")),
            ("gpt-five-latest", "", Some("gpt-5")),
            ("", "gpt-5-latest", Some("gpt-5")),
            ("unknown", "gpt-5", Some("gpt-5")),
            ("gpt-6", "gpt-5", Some("gpt-5")),
            ("gpt-5.9", "", Some("all-the-rest-of-5")),
            ("gpt-9", "", Some("all-the-rest")),
            ("gpt-9", "gpt-5.9", Some("all-the-rest")),
            ("o9", "gpt-5.9", Some("all-the-rest-of-5")),
            ("o9", "o9", None),
            ("", "", None),
            ("ft:gpt-5:acme", "", None),
        ] {
            let found = book.find("openai", served, requested, at(1)).map(|row| row.model.as_str());
            assert_eq!(found, expected, "served {served:?}, requested {requested:?}");
        }
        assert_eq!(book.find("anthropic", "gpt-5", "gpt-5", at(1)), None);
    }

    #[test]
    fn an_unknown_model_has_no_price_unless_a_pattern_takes_all() {
        let book = book(vec![row("anything", &["*"])]);
        assert!(book.find("openai", "", "what-ever", at(1)).is_some());
        assert!(book.find("openai", "", "", at(1)).is_none());
        assert!(PriceBook::default().find("openai", "gpt-5", "gpt-5", at(1)).is_none());
    }

    #[test]
    fn a_row_holds_from_its_first_moment_to_the_one_before_its_end() {
        let book = book(vec![during("m", 10, Some(20)), during("m", 20, None), during("m", 2, Some(5))]);
        for (millis, expected) in [
            (2 * DAY - 1, None),
            (2 * DAY, Some(2)),
            (5 * DAY - 1, Some(2)),
            (5 * DAY, None),
            (20 * DAY - 1, Some(10)),
            (20 * DAY, Some(20)),
            (i64::MAX, Some(20)),
        ] {
            let found = book.find("openai", "m", "", Timestamp::from_millis(millis)).map(|row| row.from);
            assert_eq!(found, expected.map(at), "{millis}");
        }
    }

    #[test]
    fn a_row_that_does_not_hold_leaves_the_model_to_the_next_rule() {
        let book = book(vec![during("served", 10, None), during("requested", 0, None)]);
        assert_eq!(book.find("openai", "served", "requested", at(5)).unwrap().model, "requested");
    }

    #[test]
    fn a_rows_version_tells_it_from_every_other_row() {
        let rows = vec![
            during("m", 0, Some(18_000)),
            during("m", 18_000, Some(20_000)),
            PriceRow { from: at(20_000).plus_millis(3_600_000), ..row("m", &[]) },
            row("openai/gpt-oss", &[]),
        ];
        let book = book(rows);
        let versions: Vec<_> = book.rows().iter().map(|row| book.row_version(row)).collect();
        assert_eq!(
            versions,
            [
                "v1/openai/m",
                "v1/openai/m@2019-04-14",
                "v1/openai/m@2024-10-04T01:00:00.000Z",
                "v1/openai/openai/gpt-oss"
            ]
        );
    }

    #[test]
    fn every_problem_is_told_with_its_row() {
        let empty = PriceRow { prices: Prices::default(), ..row("empty", &[]) };
        let negative = PriceRow {
            prices: Prices { input: Some(Pico(1)), output: Some(Pico(-1)), ..Prices::default() },
            ..row("negative", &[])
        };
        for (rows, place, part) in [
            (vec![row("", &[])], 0, "model: a name is empty"),
            (vec![row("a b", &[])], 0, "white space"),
            (vec![row("gpt-*", &[])], 0, "belongs into aliases"),
            (vec![row("a", &["b**"])], 0, "bad glob"),
            (vec![row("a", &[""])], 0, "aliases: a name is empty"),
            (vec![PriceRow { provider: String::new(), ..row("a", &[]) }], 0, "provider: a name is empty"),
            (vec![during("a", 5, Some(5))], 0, "until: is not after from"),
            (vec![row("a", &[]), empty], 1, "names no price"),
            (vec![negative], 0, "negative"),
            (vec![row("a", &[]), row("a", &[])], 1, "\"a\" is also named by row 0"),
            (vec![during("a", 0, Some(6)), row("b", &[]), during("a", 5, None)], 2, "also named by row 0"),
            (vec![row("a", &["x"]), row("b", &["x"])], 1, "\"x\" is also named by row 0"),
            (vec![row("a", &["x"]), row("x", &[])], 1, "\"x\" is also named by row 0"),
            (vec![row("a", &["x*"]), row("b", &["x*"])], 1, "\"x*\" is also named by row 0"),
            (vec![row("a", &["a"])], 0, "named twice"),
        ] {
            let problems = PriceBook::new("v1".into(), rows).unwrap_err();
            let told = problems.iter().any(|(at, problem)| *at == place && problem.contains(part));
            assert!(told, "{part}: {problems:?}");
        }
    }

    #[test]
    fn rows_that_follow_each_other_or_are_of_two_providers_do_not_conflict() {
        let other_provider = PriceRow { provider: "azure".into(), ..row("b", &["x*"]) };
        let rows = vec![during("a", 0, Some(5)), during("a", 5, None), row("b", &["x*"]), other_provider];
        assert!(PriceBook::new("v1".into(), rows).is_ok());
    }
}
