//! `prices check` and `prices show`, as the shipped program answers.

use serde_json::Value;
use std::{fs, path::Path, process::Output};

const BOOK: &str = "version: v7
prices:
  - {provider: one, model: m, until: 2026-01-01, per_million: {input: 2, output: 8}, source: a page}
  - provider: one
    model: m
    aliases: ['m-*']
    from: 2026-01-01
    per_million: {input: 1, output: 4.000001}
    per_unit: {search: 0.01}
    variants:
      - {service_tier: flex, per_million: {input: 0.5}}
      - {input_tokens_above: 1000, per_million: {input: 3, cached_input: 0.1}}
  - {provider: two, model: m, from: 2999-01-01, per_unit: {image: 0.04}, source: another page}
";

/// The program, on a folder with this price file.
fn run(prices: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prices.yaml"), prices).unwrap();
    run_in(folder.path(), arguments)
}

fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sociaro-gateway"));
    command.arg("--config").arg(folder).arg("prices").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

#[test]
fn check_needs_the_price_file_alone_and_counts_what_is_in_it() {
    let output = run(BOOK, &["check", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let expected = serde_json::json!({
        "valid": true, "faults": [], "version": "v7", "rows": 3, "models": 2, "providers": ["one", "two"], "prices": 9,
        "ended": ["v7/one/m"], "to_come": ["v7/two/m@2999-01-01"], "without_source": ["v7/one/m@2026-01-01"],
    });
    assert_eq!(json(&output), expected);
    let told = text(&run(BOOK, &["check"]).stdout);
    for line in
        ["version         v7", "rows            3, of 2 models at 2 providers", "ended           1\n  v7/one/m\n"]
    {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
}

#[test]
fn faults_stand_at_their_lines_and_end_with_2() {
    let wrong = BOOK.replace("search: 0.01", "search: cheap").replace("until: 2026-01-01, ", "");
    for arguments in [&["check"][..], &["show", "m"]] {
        let output = run(&wrong, arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
        let told = text(&output.stderr);
        assert!(told.contains("prices.yaml:9:24: prices[1].per_unit.search: expected dollars"), "{told}");
    }
    let output = run(&wrong, &["check", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let value = json(&output);
    assert_eq!((&value["valid"], value["faults"].as_array().unwrap().len()), (&Value::Bool(false), 1), "{value}");
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(run_in(empty.path(), &["check"]).status.code(), Some(2), "there is no file");
}

/// Version and the price of each class in each tier.
fn shown(output: &Output) -> Vec<(String, Vec<String>)> {
    let value = json(output);
    let of_row = |row: &Value| {
        let tier = |tier: &Value| {
            let prices = tier["prices"].as_array().unwrap().iter();
            let prices: Vec<_> = prices.map(|price| format!("{} {}", price["class"], price["usd"])).collect();
            format!("{} {}: {}", tier["service_tier"], tier["input_tokens_above"], prices.join(", ")).replace('"', "")
        };
        (row["version"].as_str().unwrap().to_owned(), row["tiers"].as_array().unwrap().iter().map(tier).collect())
    };
    value["rows"].as_array().unwrap().iter().map(of_row).collect()
}

#[test]
fn show_prints_each_row_that_prices_a_model_then_or_now_with_what_each_tier_charges() {
    let now = vec![(
        "v7/one/m@2026-01-01".to_owned(),
        vec![
            "null null: input 1, cached_input 1, output 4.000001, searches 0.01".to_owned(),
            "flex null: input 0.5, cached_input 0.5, output 4.000001, searches 0.01".to_owned(),
            "null 1000: input 3, cached_input 0.1, output 4.000001, searches 0.01".to_owned(),
        ],
    )];
    for arguments in [
        &["show", "m", "--json", "--at", "2026-06-01"][..],
        &["show", "m-2026-03-05", "--json"],
        &["show", "m-any", "--json", "--provider", "one"],
        &["show", "m", "--json", "--at", "2026-01-01T00:00:00Z"],
    ] {
        assert_eq!(shown(&run(BOOK, arguments)), now, "{arguments:?}");
    }
    let then = run(BOOK, &["show", "m", "--json", "--at", "2025-12-31T23:59:59Z"]);
    assert_eq!(shown(&then), [("v7/one/m".to_owned(), vec!["null null: input 2, output 8".to_owned()])]);
    let later = shown(&run(BOOK, &["show", "m", "--json", "--at", "3000-01-01"]));
    let versions: Vec<&str> = later.iter().map(|(version, _)| version.as_str()).collect();
    assert_eq!(versions, ["v7/one/m@2026-01-01", "v7/two/m@2999-01-01"]);
    let told = text(&run(BOOK, &["show", "m"]).stdout);
    for part in ["one: m\n", "holds    from 2026-01-01T00:00:00.000Z\n", "aliases  m-*\n", "source   not given\n"] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    assert!(told.contains("charged  cache_write_5m as input, cache_write_1h as input, "), "{told}");
}

#[test]
fn a_model_without_a_price_ends_with_1_and_a_bad_argument_with_2() {
    for (arguments, status) in [
        (&["show", "x"][..], 1),
        (&["show", "m", "--provider", "two"], 1),
        (&["show", "m", "--provider", "three", "--json"], 1),
        (&["show", "m", "--at", "soon"], 2),
        (&["show"], 2),
        (&["list"], 2),
    ] {
        let output = run(BOOK, arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_provider_that_is_priced_like_another_is_shown_with_what_it_charges() {
    let book = format!("{BOOK}terms: {{three: {{like: one, times: 1.1}}, two: {{times: 0.5}}}}\n");
    let output = run(&book, &["show", "m", "--json", "--at", "3000-01-01"]);
    let rows = json(&output)["rows"].as_array().unwrap().clone();
    let terms: Vec<_> = rows
        .iter()
        .map(|row| [&row["provider"], &row["like"], &row["times"], &row["version"]].map(Value::clone))
        .collect();
    let expected = [
        ["one".into(), Value::Null, "1".into(), "v7/one/m@2026-01-01".into()],
        ["three".into(), "one".into(), "1.1".into(), "v7/one/m@2026-01-01*1.1".into()],
        ["two".into(), Value::Null, "0.5".into(), "v7/two/m@2999-01-01*0.5".into()],
    ];
    assert_eq!(terms, expected);
    let prices = |place: usize| shown(&output)[place].1[0].clone();
    assert_eq!(prices(1), "null null: input 1.1, cached_input 1.1, output 4.4000011, searches 0.011");
    assert_eq!(prices(2), "null null: images 0.02");
    let told = text(&run(&book, &["show", "m", "--provider", "three"]).stdout);
    assert!(told.contains("terms    the row of one, times 1.1\n"), "{told}");
}
