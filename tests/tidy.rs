//! The rules of ARCHITECTURE.md that a machine can check.
#![cfg(test)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Lower may not see higher; equals may. The order is the architecture.
const LAYERS: &[&[&str]] = &[
    &["base"],
    &["telemetry"],
    &["auth", "budgets", "limits", "masking", "metering", "pricing"],
    &["notify", "providers", "usage", "store"],
    &["exchange"],
    &["prompt"],
    &["proxy", "api"],
    &["config"],
    &["app", "cli"],
];
/// Long enough for one idea, short enough to read in one sitting.
const FILE_LINES_MAX: usize = 600;
/// Words that only these modules may say.
const RESERVED: &[(&str, &[&str])] = &[
    ("pingora_proxy::", &["proxy"]),
    ("pingora_core::", &["proxy"]),
    ("pingora_http::", &["proxy"]),
    ("ProxyHttp", &["proxy"]),
    ("sqlx::", &["store"]),
    ("clickhouse::", &["usage"]),
    ("StatusCode::", &["api", "usage"]),
    ("&mut Exchange", &["exchange", "proxy"]),
    ("anyhow", &["app", "cli", "main"]),
];

#[test]
fn the_tree_keeps_its_rules() {
    let rank = ranks();
    let mut faults = Vec::new();
    for path in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let home = module_of(&path);
        let name = path.display();
        if !text.starts_with("//!") {
            faults.push(format!("{name}:1: say in `//!` lines what this file is for"));
        }
        let lines = text.lines().count();
        if FILE_LINES_MAX < lines {
            faults.push(format!("{name}:{FILE_LINES_MAX}: {lines} lines; split it by idea"));
        }
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let at = at + 1;
            for (word, homes) in RESERVED {
                if line.contains(word) && !homes.contains(&home.as_str()) {
                    faults.push(format!("{name}:{at}: `{word}` belongs to {homes:?}"));
                }
            }
        }
        for (at, seen) in modules_named(&text) {
            let (Some(here), Some(there)) = (rank.get(home.as_str()), rank.get(seen)) else { continue };
            if here < there {
                faults.push(format!("{name}:{at}: `{home}` may not use `{seen}`, which is above it"));
            }
        }
        if home != "lib" && home != "main" && !rank.contains_key(home.as_str()) {
            faults.push(format!("{name}:1: `{home}` has no place in LAYERS"));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_module_and_metric_is_on_the_map() {
    let map = fs::read_to_string("ARCHITECTURE.md").unwrap();
    let missing: Vec<&str> = LAYERS
        .iter()
        .flat_map(|names| names.iter())
        .filter(|name| !map.contains(&format!("`{name}")))
        .copied()
        .collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not say what these are for: {missing:?}");
    let operations = fs::read_to_string("docs/operations.md").unwrap();
    let metrics = fs::read_to_string("src/telemetry/metrics.rs").unwrap();
    let names: Vec<&str> =
        metrics.split('"').filter(|text| text.starts_with("gateway_") && !text.contains('{')).collect();
    assert!(names.len() > 5, "the list of metrics was not found");
    let missing: Vec<&&str> = names.iter().filter(|name| !operations.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md does not explain the metrics {missing:?}");
}

#[test]
fn nothing_of_a_machine_or_of_a_plan_is_in_the_tree() {
    let words = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "/wo".to_owned() + "rk/", "/ro".to_owned() + "ot/"];
    let mut faults = Vec::new();
    for folder in ["src", "tests", "crates", "examples", "benches", "conf", "docs", "schema", "scripts"] {
        for path in files(Path::new(folder)) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            for (at, line) in text.lines().enumerate() {
                for word in &words {
                    if line.contains(word.as_str()) {
                        faults.push(format!("{}:{}: {word}", path.display(), at + 1));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn ranks() -> BTreeMap<&'static str, usize> {
    LAYERS.iter().enumerate().flat_map(|(rank, names)| names.iter().map(move |name| (*name, rank))).collect()
}

/// The top modules that a text names, with their lines: `crate::x`, and each first name in `crate::{x::…, y::…}`.
fn modules_named(text: &str) -> Vec<(usize, &str)> {
    let word = |rest: &'_ str| rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let mut found = Vec::new();
    for (at, mark) in text.match_indices("crate::") {
        let from = at + mark.len();
        let (before, rest) = text.split_at(from);
        let line = |rest_at: usize| before.matches('\n').count() + rest.split_at(rest_at).0.matches('\n').count() + 1;
        let mut add = |rest_at: usize| {
            let name = rest.split_at(rest_at).1;
            found.push((line(rest_at), name.split_at(word(name)).0));
        };
        if !rest.starts_with('{') {
            add(0);
            continue;
        }
        let (mut depth, mut first) = (0, false);
        for (i, c) in rest.char_indices() {
            match c {
                '{' => {
                    depth += 1;
                    first = depth == 1;
                }
                '}' => depth -= 1,
                ',' => first = depth == 1,
                c if first && (c.is_ascii_alphabetic() || c == '_') => {
                    add(i);
                    first = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn the_check_of_layers_sees_grouped_imports() {
    let text = "use crate::{\n    base::{clock, ids},\n    proxy::own,\n};\nuse crate::api::x;";
    let names: Vec<_> = modules_named(text);
    assert_eq!(names, [(2, "base"), (3, "proxy"), (5, "api")]);
}

fn module_of(path: &Path) -> String {
    let first = path.strip_prefix("src").unwrap().components().next().unwrap();
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs")).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "node_modules") {
                found.extend(files(&path));
            }
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
