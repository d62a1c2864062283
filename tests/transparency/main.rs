//! What passes through the gateway, compared byte for byte at both of its sides. What differs is what
//! docs/transparency.md lists, and each of its lines names the test here that confirms it.
#![cfg(test)]

#[path = "../support/mod.rs"]
pub mod support;

mod answer_bodies;
mod answer_heads;
mod broken_answers;
mod expectations;
mod http2;
mod lane;
mod realtime;
mod request_bodies;
mod request_heads;
mod streams;
mod targets;
mod usage_mode;

#[test]
fn each_test_that_the_documentation_names_is_here() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(folder.join("docs/transparency.md")).unwrap();
    let names: Vec<(&str, &str)> = document.split('`').filter_map(|text| text.split_once("::")).collect();
    assert!(names.len() > 20, "the names were not found");
    for (module, name) in names {
        let source =
            std::fs::read_to_string(folder.join(format!("tests/transparency/{module}.rs"))).unwrap_or_default();
        assert!(source.contains(&format!("fn {name}()")), "{module}::{name}");
    }
}
