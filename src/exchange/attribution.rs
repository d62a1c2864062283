//! Headers that say what a request is for, as tags of its usage event.
//!
//! Whatever exceeds a bound is left out and counted; the request goes on. A tag that stands twice keeps its first value, the
//! configured headers before `X-Attr-…`.

use super::auth_slots::holds_key;
use crate::telemetry::metrics::METRICS;
use http::{HeaderMap, HeaderName};

/// How many tags a request may have.
pub const TAGS_MAX: usize = 32;
/// The longest name of a tag, in bytes.
pub const TAG_NAME_BYTES_MAX: usize = 64;
/// The longest value of a tag, in bytes.
pub const TAG_VALUE_BYTES_MAX: usize = 256;

/// Headers that begin so are tags of the name that follows.
const PREFIX: &str = "x-attr-";

/// The tags of a request, sorted by name. `attribution_headers`: headers in lower case, with their tags' names.
pub fn tags(headers: &HeaderMap, attribution_headers: &[(String, String)]) -> Vec<(String, String)> {
    let tag_of =
        |name: &str| attribution_headers.iter().find(|(header, _)| header == name).map(|(_, tag)| tag.as_str());
    let configured = headers.iter().filter_map(|(header, value)| Some((tag_of(header.as_str())?, value)));
    let arbitrary = headers.iter().filter_map(|(header, value)| Some((header.as_str().strip_prefix(PREFIX)?, value)));
    let mut tags: Vec<(String, String)> = Vec::new();
    for (name, value) in configured.chain(arbitrary) {
        let value = value.as_bytes().trim_ascii();
        if value.is_empty() {
            continue; // says nothing, so nothing is lost
        }
        let value = std::str::from_utf8(value).ok().filter(|value| is_value(value));
        match value {
            Some(value) if tags.len() < TAGS_MAX && is_name(name) && !tags.iter().any(|(known, _)| known == name) => {
                tags.push((name.to_owned(), value.to_owned()));
            }
            _ => METRICS.tags_dropped_total.inc(),
        }
    }
    tags.sort_unstable();
    tags
}

/// The attribution headers of a request: what is not forwarded to a provider with `strip_attribution`.
pub fn headers(headers: &HeaderMap, attribution_headers: &[(String, String)]) -> Vec<HeaderName> {
    let is_ours = |name: &str| name.starts_with(PREFIX) || attribution_headers.iter().any(|(header, _)| header == name);
    headers.keys().filter(|name| is_ours(name.as_str())).cloned().collect()
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    (1..=TAG_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

fn is_value(value: &str) -> bool {
    value.len() <= TAG_VALUE_BYTES_MAX && !value.chars().any(char::is_control) && !holds_key(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;
    use std::sync::{Mutex, MutexGuard};

    /// The metric is one for all tests, so they count in turn.
    static COUNTING: Mutex<()> = Mutex::new(());

    fn counting() -> MutexGuard<'static, ()> {
        COUNTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn configured() -> Vec<(String, String)> {
        [("x-project", "project"), ("x-persona", "persona")].map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()
    }

    /// The tags, and how many were dropped.
    fn read(lines: &[(&str, &[u8])]) -> (Vec<(String, String)>, u64) {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        let before = METRICS.tags_dropped_total.get();
        (tags(&map, &configured()), METRICS.tags_dropped_total.get() - before)
    }

    #[test]
    fn headers_become_tags_under_their_lower_case_names_sorted() {
        let _turn = counting();
        let lines: [(&str, &[u8]); 6] = [
            ("X-Project", b"atlas"),
            ("X-Attr-Team.Name_1-x", " caf\u{e9} ".as_bytes()),
            ("x-attr-a", b"1"),
            ("X-Persona", b""),
            ("x-attribution", b"no"),
            ("accept", b"no"),
        ];
        let expected = [("a", "1"), ("project", "atlas"), ("team.name_1-x", "caf\u{e9}")];
        assert_eq!(read(&lines), (expected.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec(), 0));
    }

    #[test]
    fn what_exceeds_a_bound_is_dropped_and_counted() {
        let _turn = counting();
        let key = b"x gw_test_0123456789abcdef0123456789abcdef0123456789abcdef";
        let long_name = format!("x-attr-{}", "n".repeat(TAG_NAME_BYTES_MAX + 1));
        let fits = format!("x-attr-{}", "n".repeat(TAG_NAME_BYTES_MAX));
        let lines: [(&str, &[u8]); 8] = [
            (&long_name, b"v"),
            (&fits, &[b'v'; TAG_VALUE_BYTES_MAX]),
            ("x-attr-long", &[b'v'; TAG_VALUE_BYTES_MAX + 1]),
            ("x-attr-", b"v"),
            ("x-attr-a+b", b"v"),
            ("x-attr-bytes", b"\xff"),
            ("x-attr-tab", b"a\tb"),
            ("x-attr-key", key),
        ];
        let (tags, dropped) = read(&lines);
        assert_eq!((tags.len(), dropped), (1, 7));

        let names: Vec<String> = (0..40).map(|n| format!("x-attr-{n}")).collect();
        let lines: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"v".as_slice())).collect();
        let (tags, dropped) = read(&lines);
        assert_eq!((tags.len(), dropped), (TAGS_MAX, 8));
    }

    #[test]
    fn the_first_value_of_a_tag_stays_and_configured_headers_come_first() {
        let _turn = counting();
        let lines: [(&str, &[u8]); 4] =
            [("x-attr-project", b"third"), ("x-project", b"first"), ("x-project", b"second"), ("x-attr-project", b"4")];
        assert_eq!(read(&lines), (vec![("project".to_owned(), "first".to_owned())], 3));
    }

    #[test]
    fn the_headers_themselves_are_listed_for_providers_that_must_not_see_them() {
        let names = ["x-project", "x-attr-a", "accept"];
        let map = HeaderMap::from_iter(names.map(|n| (HeaderName::from_static(n), HeaderValue::from_static("v"))));
        let mut found = headers(&map, &configured());
        found.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        assert_eq!(found, ["x-attr-a", "x-project"]);
    }

    proptest! {
        #[test]
        fn tags_keep_their_bounds_whatever_comes(lines in prop::collection::vec(("[!#-+a-z0-9._-]{0,70}", any::<Vec<u8>>()), 0..50)) {
            let _turn = counting();
            let mut map = HeaderMap::new();
            for (name, value) in lines {
                let name = HeaderName::from_bytes(format!("x-attr-{name}").as_bytes());
                if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&value)) {
                    map.append(name, value);
                }
            }
            let tags = tags(&map, &configured());
            prop_assert!(tags.len() <= TAGS_MAX);
            prop_assert!(tags.iter().all(|(name, value)| is_name(name) && value.len() <= TAG_VALUE_BYTES_MAX));
            prop_assert!(tags.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}
