//! Our charges beside those of genai-prices, a package that others keep: for every model that both know, over several
//! readings and tiers, they are equal, or docs/metering.md explains the difference. A row there that explains nothing
//! any longer is a fault, too.
#![cfg(test)]

use serde_json::{Value, json};
use sociaro_gateway::{
    base::clock::Timestamp,
    config::{env, settings::load_prices},
    metering::reading::{Reading, Tokens},
    pricing::{book::PriceRow, charge::charge},
};
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// A working hour of the day: DeepSeek's prices depend on it.
const AT: &str = "2026-11-25T07:00:00Z";
/// Providers that the package lists; it has none of the others.
const PROVIDERS: [&str; 7] = ["anthropic", "deepseek", "google", "groq", "mistral", "openai", "xai"];
/// Fewer than these would say that the test has lost what it compares.
const MODELS_MIN: usize = 80;
const EQUAL_MIN: usize = 700;

/// What is compared, by name. Long ones are above every size at which prices change.
fn readings() -> Vec<(&'static str, Tokens)> {
    let tokens = |input, cached_input, output| Tokens { input, cached_input, output, ..Tokens::default() };
    vec![
        ("plain", tokens(1_000, 0, 500)),
        ("cached", tokens(1_000, 3_000, 500)),
        ("long", tokens(300_000, 0, 500)),
        ("long cached", tokens(10, 300_000, 500)),
        ("written 5m", Tokens { cache_write_5m: 2_000, ..tokens(1_000, 0, 500) }),
        ("written 1h", Tokens { cache_write_1h: 2_000, ..tokens(1_000, 0, 500) }),
    ]
}

/// One comparison: of what, and what each of us says.
#[derive(Debug)]
struct Case {
    provider: String,
    model: String,
    tier: String,
    reading: &'static str,
    ours: String,
    theirs: String,
}

/// A row of the table of explained differences. A cell may be `*`, or several names with commas between.
#[derive(Debug)]
struct Explanation {
    cells: Vec<Vec<String>>,
    line: String,
}

impl Explanation {
    fn explains(&self, case: &Case) -> bool {
        let values = [&*case.provider, &*case.model, &*case.tier, case.reading, &*case.theirs];
        self.cells.iter().zip(values).all(|(cell, value)| {
            let fits = |name: &String| {
                name == "*"
                    || name == value
                    || (name == "another price" && value.contains(|c: char| c.is_ascii_digit()))
            };
            cell.iter().any(fits)
        })
    }
}

/// The table between the marks in docs/metering.md.
fn explanations() -> Vec<Explanation> {
    let text = fs::read_to_string("docs/metering.md").unwrap();
    let table = text.split("<!-- differences -->").nth(1).expect("the table stands between two marks");
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|line| {
        let cells = line.trim_matches('|').split('|').take(5);
        let names = |cell: &str| cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect();
        Explanation { cells: cells.map(names).collect(), line: line.to_owned() }
    })
    .collect()
}

/// The standard tier, and each that the row has prices for.
fn tiers(row: &PriceRow) -> BTreeSet<String> {
    let named = row.variants.iter().filter_map(|variant| variant.service_tier.clone());
    named.chain([String::new()]).collect()
}

fn cases() -> Vec<Case> {
    let book = load_prices(Path::new("conf"), &env::variable).unwrap();
    let at = Timestamp::parse_rfc3339(AT).unwrap();
    let (mut cases, mut questions) = (Vec::new(), Vec::new());
    for row in book.rows().iter().filter(|row| PROVIDERS.contains(&row.provider.as_str())) {
        for tier in tiers(row) {
            for (name, tokens) in readings() {
                let model_served = Some(row.model.clone());
                let reading = Reading { tokens, service_tier: Some(tier.clone()), model_served, ..Reading::default() };
                let charge = charge(&book, &reading, &row.provider, "", at);
                if !charge.unpriced.is_empty() || charge.price_version.is_empty() {
                    continue; // priced by another measure than tokens
                }
                let tokens = serde_json::to_value(tokens).unwrap();
                let question =
                    json!({"provider": row.provider, "model": row.model, "tier": tier, "at": AT, "tokens": tokens});
                questions.push(question.to_string());
                let tier = if tier.is_empty() { "standard".to_owned() } else { tier.clone() };
                let (provider, model) = (row.provider.clone(), row.model.clone());
                cases.push(Case {
                    provider,
                    model,
                    tier,
                    reading: name,
                    ours: charge.cost.to_string(),
                    theirs: String::new(),
                });
            }
        }
    }
    let answers = ask(questions.join("\n"));
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter_mut().zip(answers) {
        let unknown = answer["unknown"].as_str().map(|what| format!("no such {what}"));
        case.theirs = unknown.unwrap_or_else(|| answer["usd"].as_str().unwrap().to_owned());
    }
    cases
}

/// Asks the package, in one run.
fn ask(questions: String) -> Vec<Value> {
    let mut child = Command::new(".venv/bin/python")
        .arg("tests/clients/python/price_oracle.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test clients are missing: run `make setup`");
    let mut input = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || input.write_all(questions.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn our_charges_are_those_of_an_independent_source_or_the_difference_is_explained() {
    let (cases, table) = (cases(), explanations());
    let (equal, different): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.ours == case.theirs);
    let unexplained: Vec<_> = different.iter().filter(|case| !table.iter().any(|row| row.explains(case))).collect();
    let list: Vec<String> = unexplained.iter().map(|case| format!("{case:?}")).collect();
    assert!(unexplained.is_empty(), "{} differences without an explanation:\n{}", list.len(), list.join("\n"));
    let idle: Vec<_> = table.iter().filter(|row| !different.iter().any(|case| row.explains(case))).collect();
    assert!(idle.is_empty(), "rows that explain nothing: {:#?}", idle.iter().map(|row| &row.line).collect::<Vec<_>>());
    let models: BTreeSet<_> = equal.iter().map(|case| (&case.provider, &case.model)).collect();
    assert!(models.len() >= MODELS_MIN && equal.len() >= EQUAL_MIN, "{} models, {} equal", models.len(), equal.len());
}
