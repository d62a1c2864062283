//! How placeholders come back: what models make of them, and what must not be touched.

use crate::DETECTOR;
use sociaro_gateway::masking::{Detector, Map, Restorer, StableKey, segments};

const PAIRS: &[(&str, &str)] = &[
    ("<EMAIL_1>", "ada@example.org"),
    ("<EMAIL_2>", "bo@example.org"),
    ("<EMAIL_12>", "cy@example.org"),
    ("<PERSON_1>", "Ada Byron"),
    ("<IP_ADDRESS_1>", "203.0.113.9"),
    ("<AWS_SECRET_ACCESS_KEY_1>", "s3cr/t+K"),
    ("<PRIVATE_KEY_1>", "-----BEGIN\n\"x\\y\"\n-----END"),
    ("<ENV_SECRET_1>", "$1\\0&<EMAIL_1>"),
];

fn map() -> Map {
    Map::from_pairs(PAIRS.iter().copied())
}

/// What came, what must go out.
const CASES: &[(&str, &str)] = &[
    ("", ""),
    ("Write to <EMAIL_1>.", "Write to ada@example.org."),
    ("<EMAIL_1><EMAIL_2>", "ada@example.orgbo@example.org"),
    ("<EMAIL_12> is not <EMAIL_1>2", "cy@example.org is not ada@example.org2"),
    // letters, separators, spaces
    ("<email_1> <Email_1> <eMAIL_1>", "ada@example.org ada@example.org ada@example.org"),
    ("<IP_ADDRESS 1> <IP ADDRESS 1> <ip-address-1>", "203.0.113.9 203.0.113.9 203.0.113.9"),
    ("< EMAIL_1 > <EMAIL _ 1>", "ada@example.org ada@example.org"),
    ("<IP\u{a0}ADDRESS\u{a0}1>", "203.0.113.9"),
    ("<EM\u{200b}AIL_1\u{200b}>", "ada@example.org"),
    ("<EMAIL_\n1>", "ada@example.org"),
    // brackets
    ("<<EMAIL_1>> [EMAIL_1] [[EMAIL_1]] {EMAIL_1}", "ada@example.org ada@example.org ada@example.org ada@example.org"),
    ("＜EMAIL_1＞ «EMAIL_1» 【EMAIL_1】", "ada@example.org ada@example.org ada@example.org"),
    ("&lt;EMAIL_1&gt; \\u003cEMAIL_1\\u003e", "ada@example.org ada@example.org"),
    ("https://x.example/?q=%3CPERSON_1%3E", "https://x.example/?q=Ada%20Byron"),
    ("(EMAIL_1)", "(ada@example.org)"),
    ("[EMAIL_1](mailto:EMAIL_1)", "[ada@example.org](mailto:ada@example.org)"),
    ("<EMAIL_1/> <EMAIL_1></EMAIL_1>", "ada@example.org ada@example.org"),
    // markdown and possessives
    (
        "**<EMAIL_1>** `<EMAIL_1>` <EMAIL\\_1> <IP\\_ADDRESS\\_1>",
        "**ada@example.org** `ada@example.org` ada@example.org 203.0.113.9",
    ),
    ("<PERSON_1>'s and <PERSON_1's> and PERSON_1’s", "Ada Byron's and Ada Byron's and Ada Byron’s"),
    ("Dear PERSON_1, see AWS\\_SECRET\\_ACCESS\\_KEY\\_1", "Dear Ada Byron, see s3cr/t+K"),
    ("あEMAIL_1さん", "あada@example.orgさん"),
    // inserted text is not read again
    ("<ENV_SECRET_1>", "$1\\0&<EMAIL_1>"),
    // within JSON a value is escaped, outside it is not
    ("{\"k\": \"<PRIVATE_KEY_1>\"}", "{\"k\": \"-----BEGIN\\n\\\"x\\\\y\\\"\\n-----END\"}"),
    ("```json\n{\"k\": \"<PRIVATE_KEY_1>\"}\n```", "```json\n{\"k\": \"-----BEGIN\\n\\\"x\\\\y\\\"\\n-----END\"}\n```"),
    ("say \"<PRIVATE_KEY_1>\"", "say \"-----BEGIN\n\"x\\y\"\n-----END\""),
];

/// What is none of ours, and stays.
const UNTOUCHED: &[&str] = &[
    "<EMAIL_3>",
    "<EMAIL_01>",
    "<EMAIL_>",
    "<EMAIL>",
    "EMAIL",
    "<EMAIL_11>",
    "<PHONE_1>",
    "<CORREO_1>",
    "MY_EMAIL_1",
    "EMAIL_1x",
    "XEMAIL_1",
    "email_1",
    "${EMAIL_1}",
    "$EMAIL_1",
    "<EMAIL_1",
    "<EMAIL_1 and more",
    "a < b > c",
    "<b>x</b>",
    "[x] {y} &lt;z&gt;",
    "<EMAIL_1;>",
];

#[test]
fn what_models_make_of_placeholders_comes_back() {
    for (answer, expected) in CASES {
        assert_eq!(map().restore(answer), *expected, "{answer}");
    }
}

#[test]
fn what_is_not_ours_stays() {
    let kept = |text: &&&str| !matches!(**text, "<EMAIL_1" | "<EMAIL_1 and more" | "<EMAIL_1;>");
    for answer in UNTOUCHED.iter().filter(kept) {
        assert_eq!(map().restore(answer), **answer, "{answer}");
    }
    // A bracket that never closes is text; the name behind it is still a name, or the answer broke off.
    assert_eq!(map().restore("<EMAIL_1 and more"), "<ada@example.org and more");
    assert_eq!(map().restore("<EMAIL_1"), "ada@example.org");
}

#[test]
fn an_answer_in_pieces_comes_back_as_a_whole_one_does() {
    let map = map();
    for answer in CASES.iter().map(|(answer, _)| *answer).chain(UNTOUCHED.iter().copied()) {
        let whole = map.restore(answer);
        for cut in answer.char_indices().map(|(at, _)| at) {
            let (head, tail) = answer.split_at(cut);
            let mut restorer = Restorer::new(&map);
            let mut restored = restorer.push(head);
            restored.push_str(&restorer.push(tail));
            restored.push_str(&restorer.finish());
            assert_eq!(restored, whole, "{answer} cut at {cut}");
        }
        let mut restorer = Restorer::new(&map);
        let mut restored: String =
            answer.chars().map(|letter| restorer.push(letter.encode_utf8(&mut [0; 4]))).collect();
        restored.push_str(&restorer.finish());
        assert_eq!(restored, whole, "{answer} letter by letter");
    }
}

#[test]
fn equal_values_share_a_placeholder_and_different_ones_do_not() {
    let masked = DETECTOR.mask("a@x.org, b@x.org, a@x.org, A@x.org, 203.0.113.9");
    assert_eq!(masked.text, "<EMAIL_1>, <EMAIL_2>, <EMAIL_1>, <EMAIL_3>, <IP_ADDRESS_1>");
    assert_eq!(masked.counts.total(), 5);
    assert_eq!(masked.map.len(), 4);
}

#[test]
fn placeholders_that_a_prompt_holds_are_not_given_out_again() {
    for literal in ["<EMAIL_1>", "[EMAIL_1]", "&lt;email-1&gt;", "EMAIL_1", "<EMAIL\\_1>", "＜EMAIL_1＞"] {
        let text = format!("Keep {literal} and write to ada@example.org");
        let masked = DETECTOR.mask(&text);
        assert_eq!(masked.text, format!("Keep {literal} and write to <EMAIL_2>"));
        assert_eq!(masked.map.restore(&masked.text), text);
    }
}

#[test]
fn an_address_in_angle_brackets_keeps_them() {
    let text = "From: <ada@example.org>";
    let masked = DETECTOR.mask(text);
    assert_eq!(masked.text, "From: <<EMAIL_1>>");
    assert_eq!(masked.map.restore(&masked.text), text);
    assert_eq!(masked.map.restore("It is from <EMAIL_1>."), "It is from ada@example.org.");
}

#[test]
fn stable_placeholders_stay_from_text_to_text_and_differ_from_key_to_key() {
    let (key, other) = (StableKey::new([7; 32]), StableKey::new([8; 32]));
    let name = |detector: &Detector, text: &str, key: &StableKey| {
        let masked = detector.mask_stable(text, key);
        assert_eq!(masked.map.restore(&masked.text), text);
        assert_eq!(masked.map.restore(&masked.text.to_lowercase()), text.to_lowercase());
        masked.text
    };
    let first = name(&DETECTOR, "to ada@example.org", &key);
    assert_eq!(first, name(&DETECTOR, "to ada@example.org", &key));
    assert_ne!(first, name(&DETECTOR, "to bo@example.org", &key));
    assert_ne!(first, name(&DETECTOR, "to ada@example.org", &other));
    assert!(first.starts_with("to <EMAIL_") && first.len() == "to <EMAIL_>".len() + 10, "{first}");
}

#[test]
fn nothing_shows_a_value_in_debug() {
    let masked = DETECTOR.mask("mail ada@example.org, card 4111 1111 1111 1111");
    let shown = format!("{masked:?} {:?} {:?} {:?}", masked.map, masked.findings, masked.counts);
    for value in ["ada", "example", "4111"] {
        assert!(!shown.contains(value), "{shown}");
    }
}

#[test]
fn segments_are_cut_between_characters_and_lose_nothing() {
    let text = "Grüße an あいうえお and 👩‍👩‍👧 everyone, 1234567890 ".repeat(20);
    for size in [0, 1, 2, 3, 7, 40, 10_000] {
        let parts: Vec<&str> = segments(&text, size).collect();
        assert_eq!(parts.concat(), text);
        assert!(parts.iter().all(|part| !part.is_empty() && part.len() <= size.max(4)), "{size}");
    }
}
