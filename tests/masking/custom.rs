//! An organization's own dictionaries and patterns: what they find, and what is refused when they are saved.

use crate::DETECTOR;
use sociaro_gateway::masking::{Custom, CustomError, Entry, Kind};
use std::sync::Arc;

fn term(text: &str) -> Entry {
    Entry::Term { kind: Kind::Custom, text: text.to_owned() }
}

fn pattern(text: &str) -> Entry {
    Entry::Pattern { kind: Kind::Custom, text: text.to_owned() }
}

fn masked(entries: &[Entry], text: &str) -> String {
    DETECTOR.with_custom(Arc::new(Custom::compile(entries).unwrap())).mask(text).text
}

#[test]
fn terms_are_found_in_any_case_but_not_within_words() {
    let entries =
        [term("Project Nightjar"), term("Öresund"), Entry::Term { kind: Kind::Person, text: "Ada Byron".into() }];
    assert_eq!(
        masked(&entries, "ada byron left project NIGHTJAR for ÖRESUND; Project Nightjars stays"),
        "<PERSON_1> left <CUSTOM_1> for <CUSTOM_2>; Project Nightjars stays"
    );
}

#[test]
fn the_longest_term_counts_and_what_the_organization_says_wins() {
    let entries = [term("Falcon"), term("Falcon Nine"), pattern(r"EMP-\d{6}"), pattern("ada@example")];
    assert_eq!(masked(&entries, "Falcon Nine, EMP-004217, ada@example.org"), "<CUSTOM_1>, <CUSTOM_2>, <CUSTOM_3>.org");
}

#[test]
fn what_cannot_be_saved_is_refused_in_words() {
    let many = (0..10_000).map(|i| format!("word{i}")).collect::<Vec<_>>().join("|");
    let cases: Vec<(Entry, CustomError, &str)> = vec![
        (pattern(".*"), CustomError::MatchesEmpty(0), "matches the empty text"),
        (pattern("a*"), CustomError::MatchesEmpty(0), "matches the empty text"),
        (pattern("x?|y"), CustomError::MatchesEmpty(0), "matches the empty text"),
        (pattern(".+"), CustomError::MatchesAnything(0), "matches any text"),
        (pattern(r"[\s\S]"), CustomError::MatchesAnything(0), "matches any text"),
        (pattern(r"(?=secret)\w+"), CustomError::LookAround(0), "look-around"),
        (pattern(r"(?<!x)y"), CustomError::LookAround(0), "look-around"),
        (pattern(r"(a)\1"), CustomError::LookAround(0), "back-references"),
        (pattern(&many), CustomError::Alternatives(0), "dictionary"),
        (pattern(r"(\w{1,500}){1,500}"), CustomError::TooLarge(0), "too large"),
        (pattern(&"(".repeat(200)), CustomError::Syntax(0, String::new()), "not a regular expression"),
        (pattern("[a"), CustomError::Syntax(0, String::new()), "unclosed character class"),
        (pattern(&"a".repeat(5000)), CustomError::PatternLong(0), "at most 4096 bytes"),
        (term(" a "), CustomError::TermShort(0), "at least 2 characters"),
        (term(&"a".repeat(300)), CustomError::TermLong(0), "at most 256 bytes"),
    ];
    for (entry, expected, words) in cases {
        let error = Custom::compile(&[entry]).unwrap_err();
        assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&expected), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn nested_repetition_is_bounded_by_the_engine() {
    let entries = [pattern(r"(a+)+$"), pattern(r"(x+x+)+y")];
    let text = format!("{} {}", "a".repeat(20_000) + "!", "x".repeat(20_000));
    assert_eq!(masked(&entries, &text), text);
    assert_eq!(masked(&entries, "b aaa"), "b <CUSTOM_1>");
}

#[test]
fn numbers_of_terms_and_patterns_are_bounded() {
    let terms: Vec<Entry> = (0..50_001).map(|i| term(&format!("term {i}"))).collect();
    assert_eq!(Custom::compile(&terms).unwrap_err(), CustomError::TermsMany);
    let patterns: Vec<Entry> = (0..65).map(|i| pattern(&format!("x{i}"))).collect();
    assert_eq!(Custom::compile(&patterns).unwrap_err(), CustomError::PatternsMany);
    assert!(Custom::compile(&patterns[..64]).is_ok());
}

#[test]
fn the_position_of_the_bad_entry_is_named() {
    let error = Custom::compile(&[term("fine"), pattern("[a")]).unwrap_err();
    assert!(error.to_string().starts_with("entry 1:"), "{error}");
}
