//! Text that is made to cost: it is searched to its end, comes back whole, and never makes more findings than it has room for.
//! `cargo bench --bench masking` shows that the time for each grows with its length only.

use crate::{DETECTOR, pieces::PIECES};

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
