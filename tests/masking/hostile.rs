//! Text that is made to cost: it is searched to its end, comes back whole, and never makes more findings than it has room for.

use crate::DETECTOR;

/// What is repeated. `cargo bench --bench masking` shows that the time for each grows with its length only.
const PIECES: &[&str] = &[
    "@",
    "a@",
    "a.a.a.",
    "a a@b.c ",
    "%40",
    "1",
    "1 ",
    "1.",
    "1-1-",
    "+1",
    "(1",
    "\u{ff11}",
    ":",
    "1:",
    "a:b:",
    "::",
    "1a",
    "A1",
    "aa-",
    "0x",
    "<",
    "<<EMAIL_",
    "<EMAIL_1",
    "[{\"",
    "\\u003c",
    "\u{200b}",
    "password ",
    "password=",
    "password: \"",
    "key_",
    "secret-",
    "sk-",
    "AKIA",
    "eyJ",
    "eyJa.eyJa.",
    "://a:",
    "http://a:b@c ",
    "-----BEGIN PRIVATE KEY-----",
    "basic aaaa",
    "DE12 ",
    "AB 12 34 56 ",
    "passport ",
    "call 1",
    "born 1 ",
    "name: A ",
    "Dear A A A A ",
    "Mr A",
    "\u{3042}",
    "\u{e9}",
    "''",
    "\n",
    "\u{0}",
];

#[test]
fn hostile_text_is_searched_to_its_end() {
    for piece in PIECES {
        let hostile = piece.repeat(20_000 / piece.len());
        let text = format!("{hostile}\nmail ada@example.org now");
        let masked = DETECTOR.mask(&text);
        assert!(masked.text.ends_with("mail <EMAIL_1> now") || masked.text.contains("<EMAIL_"), "{piece:?}");
        assert!(!masked.text.contains("ada@example.org"), "{piece:?}");
        assert!(masked.findings.len() <= text.len() / 4, "{piece:?}");
        assert_eq!(masked.map.restore(&masked.text), text, "{piece:?}");
    }
}

#[test]
fn pieces_in_pairs_do_no_harm_either() {
    for first in PIECES {
        for second in PIECES {
            let text = format!("{first}{second}").repeat(40);
            let masked = DETECTOR.mask(&text);
            assert_eq!(masked.map.restore(&masked.text), text, "{first:?} {second:?}");
        }
    }
}
