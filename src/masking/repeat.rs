//! What was found once is masked wherever it stands: a value whose words around it gave it away in one place leaves in none.

use super::{kind::Finding, text::Text};
use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;
use std::collections::{BTreeMap, HashMap};

/// Shorter values are too likely to be something else elsewhere.
const VALUE_BYTES_MIN: usize = 4;
/// So many values are looked for one by one; more of them all at once, which takes a while to prepare.
const VALUES_EACH_MAX: usize = 8;

/// The findings, which are ordered and do not overlap, with all other places of their values. Takes time in proportion to
/// the text, whatever is in it.
pub(super) fn everywhere(text: Text<'_>, findings: Vec<Finding>) -> Vec<Finding> {
    let mut values: HashMap<&str, Finding> = HashMap::new();
    for finding in &findings {
        let value = text.slice(finding.start, finding.end);
        if value.len() >= VALUE_BYTES_MIN {
            values.entry(value).or_insert(*finding);
        }
    }
    let mut more = places(text.slice(0, text.len()), &values);
    more.retain(|place| stands_alone(text, place) && is_free(&findings, place));
    if more.is_empty() {
        return findings;
    }
    // Longer values first, so that a value within another one does not take its place.
    more.sort_unstable_by_key(|place| (std::cmp::Reverse(place.end - place.start), place.start));
    let mut all: BTreeMap<usize, Finding> = findings.into_iter().map(|finding| (finding.start, finding)).collect();
    for place in more {
        let before = all.range(..place.end).next_back();
        if before.is_none_or(|(_, finding)| finding.end <= place.start) {
            all.insert(place.start, place);
        }
    }
    all.into_values().collect()
}

/// Where the values stand, each a finding of its own kind. Of values within one another the longer one that begins
/// first, when there are many.
fn places(whole: &str, values: &HashMap<&str, Finding>) -> Vec<Finding> {
    let place = |value: &str, start: usize| {
        values.get(value).map(|finding| Finding { start, end: start + value.len(), ..*finding })
    };
    if values.len() <= VALUES_EACH_MAX {
        let of = |value: &'_ &str| {
            let value = *value;
            memmem::find_iter(whole.as_bytes(), value).filter_map(move |start| place(value, start)).collect::<Vec<_>>()
        };
        return values.keys().flat_map(of).collect();
    }
    let all = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(values.keys());
    let all = all.into_iter().flat_map(|all| all.find_iter(whole).collect::<Vec<_>>());
    all.filter_map(|found| place(whole.get(found.range())?, found.start())).collect()
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
    use super::{super::Detector, VALUES_EACH_MAX};

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

    #[test]
    fn many_values_are_looked_for_all_at_once_with_the_same_outcome() {
        let detector = Detector::new().unwrap();
        let secret = |n: usize| format!("Xk{n:03}pq{n:03}Zw");
        for count in [1, VALUES_EACH_MAX, VALUES_EACH_MAX + 1, 100] {
            let told: Vec<String> = (0..count).map(|n| format!("password: {}", secret(n))).collect();
            let again: Vec<String> = (0..count).rev().map(|n| format!("{} or", secret(n))).collect();
            let text = [told, again].concat().join("\n");
            let masked = detector.mask(&text);
            for n in 0..count {
                assert!(!masked.text.contains(&secret(n)), "{count}: {}", masked.text);
            }
            assert_eq!(masked.map.restore(&masked.text), text);
        }
    }
}
