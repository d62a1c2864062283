//! What was masked comes back exactly: for every row of the corpora, and for any text at all.

use crate::{DETECTOR, corpus};
use proptest::prelude::*;
use sociaro_gateway::masking::{Restorer, StableKey};

/// Pieces that are findings, or that look like placeholders, or that could join with one.
const PIECES: &[&str] = &[
    "ada@example.org",
    "4111 1111 1111 1111",
    "+44 20 7946 0958",
    "203.0.113.9",
    "password=\"tr0ub4dor&3\"",
    "AKIAZ2J5ZW7Q3M4N5P6R",
    "<",
    ">",
    "<<",
    ">>",
    "&lt;",
    "&gt;",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "{\"a\":\"",
    "\"}",
    "\\",
    "\\\"",
    "\\u003c",
    "%3C",
    "/",
    "'s",
    "\n",
    " ",
    "_",
    "1",
    "EMAIL",
    "EMAIL_1",
    "<EMAIL_1>",
    "[PHONE_1]",
    "<EMAIL_",
    "</EMAIL_1>",
    "PERSON_2",
    "\u{200b}",
    "\u{a0}",
    "＜",
    "＞",
    "```json\n",
    "```",
    "Dear Ada Byron,",
    "-----BEGIN PRIVATE KEY-----\nMIIabcdefgh12345678ABCD\n-----END PRIVATE KEY-----",
    "https://app:s3cretPw9@db.example/x",
    "é",
    "あ",
    "👩‍👩‍👧",
    "$",
    "`",
    "*",
    "**",
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![4 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from), 1 => "\\PC{0,12}"];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[test]
fn every_row_comes_back() {
    let key = StableKey::new([3; 32]);
    for row in corpus::found().into_iter().chain(corpus::clean()) {
        let masked = DETECTOR.mask(&row.text);
        assert_eq!(masked.map.restore(&masked.text), row.text, "{}", row.id);
        let masked = DETECTOR.mask_stable(&row.text, &key);
        assert_eq!(masked.map.restore(&masked.text), row.text, "{}", row.id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_text_comes_back(text in text()) {
        let masked = DETECTOR.mask(&text);
        prop_assert_eq!(masked.map.restore(&masked.text), text);
    }

    #[test]
    fn any_text_comes_back_in_pieces(text in text(), sizes in prop::collection::vec(1_usize..9, 1..40)) {
        let masked = DETECTOR.mask(&text);
        let mut restorer = Restorer::new(&masked.map);
        let (mut restored, mut letters) = (String::new(), masked.text.chars().peekable());
        for size in sizes.iter().cycle() {
            let piece: String = letters.by_ref().take(*size).collect();
            restored.push_str(&restorer.push(&piece));
            if letters.peek().is_none() {
                break;
            }
        }
        restored.push_str(&restorer.finish());
        prop_assert_eq!(restored, text);
    }

    #[test]
    fn findings_are_in_order_within_the_text_and_between_characters(text in text()) {
        let mut end = 0;
        for finding in DETECTOR.find(&text) {
            prop_assert!(end <= finding.start && finding.start < finding.end);
            prop_assert!(text.get(finding.start..finding.end).is_some());
            end = finding.end;
        }
    }
}
