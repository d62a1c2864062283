//! What was found once is masked wherever it stands: a value whose words around it gave it away in one place leaves in none.

use super::{kind::Finding, text::Text};
use memchr::memmem;
use std::collections::HashSet;

/// Shorter values are too likely to be something else elsewhere.
const VALUE_BYTES_MIN: usize = 4;

/// The findings, which are ordered and do not overlap, with all other places of their values.
pub(super) fn everywhere(text: Text<'_>, mut findings: Vec<Finding>) -> Vec<Finding> {
    let whole = text.slice(0, text.len());
    let mut seen = HashSet::new();
    let mut more: Vec<Finding> = Vec::new();
    for finding in &findings {
        let value = text.slice(finding.start, finding.end);
        if value.len() < VALUE_BYTES_MIN || !seen.insert(value) {
            continue;
        }
        let places = memmem::find_iter(whole.as_bytes(), value).map(|start| Finding {
            start,
            end: start + value.len(),
            ..*finding
        });
        more.extend(places.filter(|place| stands_alone(text, place) && is_free(&findings, place)));
    }
    if more.is_empty() {
        return findings;
    }
    // Longer values first, so that a value within another one does not take its place.
    more.sort_unstable_by_key(|place| std::cmp::Reverse(place.end - place.start));
    for place in more {
        if is_free(&findings, &place) {
            let at = findings.partition_point(|finding| finding.start < place.start);
            findings.insert(at, place);
        }
    }
    findings
}

/// Whether it is no part of a longer word or number.
fn stands_alone(text: Text<'_>, place: &Finding) -> bool {
    let joins = |a: u8, b: u8| a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric();
    let first = text.at(place.start);
    let last = text.before(place.end);
    let joins_before = place.start > 0 && joins(text.before(place.start), first);
    let joins_behind = place.end < text.len() && joins(last, text.at(place.end));
    !joins_before && !joins_behind
}

/// Whether none of the findings stands there.
fn is_free(findings: &[Finding], place: &Finding) -> bool {
    let at = findings.partition_point(|finding| finding.end <= place.start);
    findings.get(at).is_none_or(|finding| finding.start >= place.end)
}

#[cfg(test)]
mod tests {
    use super::super::Detector;

    #[test]
    fn a_value_that_was_found_once_is_masked_wherever_it_stands_alone() {
        let detector = Detector::new().unwrap();
        let cases = [
            (
                "my card 4730007949978104 is lost. Again: 4730007949978104",
                "my card <CREDIT_CARD_1> is lost. Again: <CREDIT_CARD_1>",
            ),
            ("password: Xk9!pq2Z_w then try Xk9!pq2Z_w.", "password: <ENV_SECRET_1> then try <ENV_SECRET_1>."),
            ("password: Xk9pq2Zw and Xk9pq2Zwa or 1Xk9pq2Zw", "password: <ENV_SECRET_1> and Xk9pq2Zwa or 1Xk9pq2Zw"),
        ];
        for (text, expected) in cases {
            let masked = detector.mask(text);
            assert_eq!(masked.text, expected);
            assert_eq!(masked.map.restore(&masked.text), text);
        }
    }
}
