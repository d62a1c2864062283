//! The request's target: which provider it is for, and the provider's own path and query, byte for byte.
//!
//! Nothing is decoded, normalised or encoded on the way through. What servers read differently, and so could lead past the
//! matching of endpoints, is refused here: dot segments, encoded slashes, path parameters, twice-encoded text, parameters
//! that change the request's method or type. Empty segments pass (base URLs that end in a slash make them): matching ignores
//! them.

use super::body::resembles;
use crate::{
    auth::key::{GatewayKey, contains_gateway_key},
    base::secret::Secret,
};
use std::{borrow::Cow, fmt};

/// The longest target that is read, in bytes.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;

/// Query parameters that Google's and other front ends take as the request's method, headers, type or body.
const OVERRIDES: [&str; 5] = ["$httpmethod", "$httpheaders", "$ct", "$req", "_method"];

/// Why a target is refused. The texts are for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    #[error("the request target is longer than {TARGET_BYTES_MAX} bytes")]
    TooLong,
    #[error("the request target must be a path that begins with `/`")]
    NotPath,
    #[error("the request target must begin with a provider's name")]
    NoProvider,
    #[error("the request target is not text in UTF-8")]
    NotText,
    #[error("the request target holds a control character, a space, `#` or a backslash")]
    Character,
    #[error("the request target holds `%` without two hexadecimal digits after it")]
    Escape,
    #[error("the path is encoded twice")]
    EncodedTwice,
    #[error("the path holds a segment `.` or `..`")]
    DotSegment,
    #[error("the path holds an encoded slash or backslash")]
    EncodedSlash,
    #[error("the path holds `;`")]
    PathParameter,
    #[error("the path holds a gateway key; send it in a header")]
    GatewayKey,
    #[error("the query must not change the request's method, headers, type or body")]
    Override,
    #[error("the query names the model more than once, or in a way that can be misread")]
    Ambiguous,
}

/// A target that every server reads alike.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// `/<provider><rest>`
    path: String,
    /// Where the rest begins in `path`.
    rest_at: usize,
    query: Option<String>,
}

impl fmt::Debug for Target {
    /// Without the query: it can hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What changes in a query on its way out. Empty: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryEdit {
    /// Positions of the parameters that are left out, counted over all that `&` separates.
    pub cut: Vec<usize>,
    /// A parameter that is put at the end, encoded: `key=…`.
    pub append: Option<Secret>,
}

impl Target {
    /// Reads `/<provider>/<the provider's path>?<query>`.
    pub fn parse(raw: &[u8]) -> Result<Self, BadTarget> {
        if raw.len() > TARGET_BYTES_MAX {
            return Err(BadTarget::TooLong);
        }
        let text = std::str::from_utf8(raw).map_err(|_| BadTarget::NotText)?;
        if !text.starts_with('/') {
            return Err(BadTarget::NotPath);
        }
        if text.chars().any(|c| c.is_control() || c == ' ' || c == '#') {
            return Err(BadTarget::Character);
        }
        let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        check_path(path)?;
        query.map_or(Ok(()), check_query)?;
        let rest_at = path.bytes().skip(1).position(|byte| byte == b'/').map_or(path.len(), |at| at + 1);
        if rest_at < 2 {
            return Err(BadTarget::NoProvider);
        }
        Ok(Self { path: path.to_owned(), rest_at, query: query.map(str::to_owned) })
    }

    /// The first segment, as it stands.
    pub fn provider(&self) -> &str {
        self.path.get(1..self.rest_at).unwrap_or_default()
    }

    /// The provider's own path, as it stands; `/` when nothing follows the provider.
    pub fn path(&self) -> &str {
        self.path.get(self.rest_at..).filter(|rest| !rest.is_empty()).unwrap_or("/")
    }

    /// The query, as it stands, without its `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The one value of a query parameter, decoded: a model (`?model=`).
    pub fn parameter(&self, name: &str) -> Result<Option<String>, BadTarget> {
        let mut found = None;
        for pair in self.query().into_iter().flat_map(|query| query.split('&')) {
            // some servers split at `;`, too
            if pair.contains(';') && pair.split(';').any(|part| resembles(&parameter_name(part), name)) {
                return Err(BadTarget::Ambiguous);
            }
            let key = parameter_name(pair);
            if key == name && found.is_none() {
                let value = pair.split_once('=').map_or("", |(_, value)| value).replace('+', " ");
                let value = percent_decoded(&value).ok_or(BadTarget::Escape)?.into_owned();
                found = Some(String::from_utf8(value).map_err(|_| BadTarget::NotText)?);
            } else if resembles(&key, name) {
                return Err(BadTarget::Ambiguous);
            }
        }
        Ok(found)
    }

    /// The target that goes to the provider: its base path, then path and query as they came, but for the edit.
    pub fn upstream_path(&self, base_path: &str, edit: &QueryEdit) -> String {
        let query = self.query();
        let mut target = String::with_capacity(base_path.len() + self.path.len() + query.map_or(0, str::len) + 1);
        target.push_str(base_path);
        target.push_str(self.path());
        if edit == &QueryEdit::default() {
            if let Some(query) = query {
                target.push('?');
                target.push_str(query);
            }
            return target;
        }
        let pairs = query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&'));
        let kept = pairs.enumerate().filter(|(at, _)| !edit.cut.contains(at)).map(|(_, pair)| pair);
        for (at, pair) in kept.chain(edit.append.as_ref().map(Secret::expose)).enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            target.push_str(pair);
        }
        target
    }
}

fn check_path(path: &str) -> Result<(), BadTarget> {
    // Most paths: nothing in them can be read in two ways, and they are too short to hold a key.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b':');
    if path.len() < GatewayKey::BYTES_MIN && path.bytes().all(is_plain) && !path.contains("/.") {
        return Ok(());
    }
    for segment in path.split('/') {
        let decoded = percent_decoded(segment).ok_or(BadTarget::Escape)?;
        let is_encoded = matches!(decoded, Cow::Owned(_));
        let decoded = std::str::from_utf8(&decoded).map_err(|_| BadTarget::NotText)?;
        if matches!(decoded.trim(), "." | "..") {
            return Err(BadTarget::DotSegment);
        }
        if decoded.contains(['/', '\\']) {
            return Err(if is_encoded { BadTarget::EncodedSlash } else { BadTarget::Character });
        }
        if decoded.chars().any(char::is_control) {
            return Err(BadTarget::Character);
        }
        if decoded.contains(';') {
            return Err(BadTarget::PathParameter); // some servers route without what follows it
        }
        if is_encoded && decoded.contains('%') {
            return Err(BadTarget::EncodedTwice);
        }
        if contains_gateway_key(decoded.as_bytes()) {
            return Err(BadTarget::GatewayKey);
        }
    }
    Ok(())
}

fn check_query(query: &str) -> Result<(), BadTarget> {
    percent_decoded(query).ok_or(BadTarget::Escape)?;
    let mut names = query.split(['&', ';']).map(parameter_name);
    let overrides = names.any(|name| OVERRIDES.iter().any(|known| resembles(&name, known)));
    if overrides { Err(BadTarget::Override) } else { Ok(()) }
}

/// The name of a query parameter, decoded as forms are.
pub(super) fn parameter_name(pair: &str) -> Cow<'_, str> {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    if !name.contains(['%', '+']) {
        return Cow::Borrowed(name);
    }
    form_urlencoded::parse(name.as_bytes()).next().map_or(Cow::Borrowed(""), |(name, _)| name)
}

/// The text with its percent escapes decoded; borrowed when there is none, `None` when one is broken.
pub(super) fn percent_decoded(text: &str) -> Option<Cow<'_, [u8]>> {
    let mut pieces = text.as_bytes().split(|&byte| byte == b'%');
    let first = pieces.next()?;
    if first.len() == text.len() {
        return Some(Cow::Borrowed(first));
    }
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(first);
    for piece in pieces {
        let (&[high, low], rest) = piece.split_first_chunk::<2>()?;
        decoded.push(hex_digit(high)? << 4 | hex_digit(low)?);
        decoded.extend_from_slice(rest);
    }
    Some(Cow::Owned(decoded))
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_target_is_split_and_kept_byte_for_byte() {
        let cases = [
            ("/openai/v1/chat/completions", "openai", "/v1/chat/completions", None),
            ("/openai", "openai", "/", None),
            ("/openai/", "openai", "/", None),
            ("/openai?a=b", "openai", "/", Some("a=b")),
            ("/openai//v1//models/?", "openai", "//v1//models/", Some("")),
            (
                "/google/v1beta/models/gemini%3AstreamGenerateContent?alt=sse",
                "google",
                "/v1beta/models/gemini%3AstreamGenerateContent",
                Some("alt=sse"),
            ),
            (
                "/p/a%20b/~x:y@z/'(1)',+$&=!*?q=%0a|{}?/../&&=&%7e",
                "p",
                "/a%20b/~x:y@z/'(1)',+$&=!*",
                Some("q=%0a|{}?/../&&=&%7e"),
            ),
            ("/p/caf\u{e9}/...", "p", "/caf\u{e9}/...", None),
        ];
        for (raw, provider, path, query) in cases {
            let target = Target::parse(raw.as_bytes()).unwrap();
            assert_eq!((target.provider(), target.path(), target.query()), (provider, path, query), "{raw}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        let key = "gw_live_0123456789abcdef0123456789abcdef0123456789abcdef";
        let long = format!("/p/{}", "a".repeat(TARGET_BYTES_MAX));
        let cases: [(&str, BadTarget); 43] = [
            ("", BadTarget::NotPath),
            ("*", BadTarget::NotPath),
            ("openai/v1", BadTarget::NotPath),
            ("http://h/openai/v1", BadTarget::NotPath),
            ("api.openai.com:443", BadTarget::NotPath),
            ("/", BadTarget::NoProvider),
            ("/?a", BadTarget::NoProvider),
            ("//openai/v1", BadTarget::NoProvider),
            (&long, BadTarget::TooLong),
            ("/p/./x", BadTarget::DotSegment),
            ("/p/..", BadTarget::DotSegment),
            ("/../p", BadTarget::DotSegment),
            ("/p/%2e%2E/x", BadTarget::DotSegment),
            ("/p/.%2e", BadTarget::DotSegment),
            ("/p/%2e", BadTarget::DotSegment),
            ("/p/..%20/x", BadTarget::DotSegment),
            ("/p/a%2fb", BadTarget::EncodedSlash),
            ("/p/a%5Cb", BadTarget::EncodedSlash),
            ("/%2Fp/a", BadTarget::EncodedSlash),
            ("/p/a\\b", BadTarget::Character),
            ("/p/..\\x", BadTarget::Character),
            ("/p/a%00", BadTarget::Character),
            ("/p/a%1f", BadTarget::Character),
            ("/p/a%7F", BadTarget::Character),
            ("/p/a%C2%85", BadTarget::Character),
            ("/p/a\u{0}", BadTarget::Character),
            ("/p/a b", BadTarget::Character),
            ("/p/a?b\nc", BadTarget::Character),
            ("/p/a#b", BadTarget::Character),
            ("/p/a?b#c", BadTarget::Character),
            ("/p/a%", BadTarget::Escape),
            ("/p/a%4", BadTarget::Escape),
            ("/p/a%zz", BadTarget::Escape),
            ("/p/a?b=%u0061", BadTarget::Escape),
            ("/p/a%252e", BadTarget::EncodedTwice),
            ("/p/a%25", BadTarget::EncodedTwice),
            ("/p/%c0%ae%c0%ae/x", BadTarget::NotText),
            ("/p/a;b=c/d", BadTarget::PathParameter),
            ("/p/a%3bb", BadTarget::PathParameter),
            (&format!("/p/{key}/x"), BadTarget::GatewayKey),
            (&format!("/p/{}", key.replace('_', "%5f")), BadTarget::GatewayKey),
            ("/p/a?%24httpMethod=POST", BadTarget::Override),
            ("/p/a?x=1&$CT=text/plain", BadTarget::Override),
        ];
        for (raw, expected) in cases {
            assert_eq!(Target::parse(raw.as_bytes()), Err(expected), "{raw}");
        }
        assert_eq!(Target::parse(b"/p/\xff"), Err(BadTarget::NotText));
    }

    #[test]
    fn the_upstream_target_differs_by_the_edit_alone() {
        let cut = |cut: &[usize]| QueryEdit { cut: cut.to_vec(), append: None };
        let put = |cut: &[usize]| QueryEdit { cut: cut.to_vec(), append: Some(Secret::new("key=s")) };
        let cases = [
            ("/p/v1/x", "", cut(&[]), "/v1/x"),
            ("/p", "/base", cut(&[]), "/base/"),
            ("/p/v1?", "/base", cut(&[]), "/base/v1?"),
            ("/p/v1?a=%7e&&b=|", "", cut(&[]), "/v1?a=%7e&&b=|"),
            ("/p/v1?key=1", "", cut(&[0]), "/v1"),
            ("/p/v1?key=1&", "", cut(&[0]), "/v1?"),
            ("/p/v1?a=1&key=2&&b&key=3", "", cut(&[1, 4]), "/v1?a=1&&b"),
            ("/p/v1", "", put(&[]), "/v1?key=s"),
            ("/p/v1?", "", put(&[]), "/v1?key=s"),
            ("/p/v1?key=1", "", put(&[0]), "/v1?key=s"),
            ("/p/v1?key=1&a", "", put(&[0]), "/v1?a&key=s"),
        ];
        for (raw, base, edit, expected) in cases {
            assert_eq!(Target::parse(raw.as_bytes()).unwrap().upstream_path(base, &edit), expected, "{raw} {edit:?}");
        }
    }

    #[test]
    fn a_parameter_is_read_once_or_not_at_all() {
        let cases = [
            ("", Ok(None)),
            ("a=1&models=x", Ok(None)),
            ("a=1&model=gpt-4o", Ok(Some("gpt-4o"))),
            ("mod%65l=gpt%2D4o+x", Ok(Some("gpt-4o x"))),
            ("model", Ok(Some(""))),
            ("model=a;b", Err(BadTarget::Ambiguous)),
            ("model=a&model=b", Err(BadTarget::Ambiguous)),
            ("model=a&mod%65l=b", Err(BadTarget::Ambiguous)),
            ("model=a&Model=b", Err(BadTarget::Ambiguous)),
            ("model[]=b", Err(BadTarget::Ambiguous)),
            ("+model=b", Err(BadTarget::Ambiguous)),
            ("model=a;model=b", Err(BadTarget::Ambiguous)),
            ("x=a;model=b", Err(BadTarget::Ambiguous)),
            ("model=%ff", Err(BadTarget::NotText)),
        ];
        for (query, expected) in cases {
            let target = Target::parse(format!("/p/x?{query}").as_bytes()).unwrap();
            assert_eq!(target.parameter("model"), expected.map(|value| value.map(str::to_owned)), "{query}");
        }
    }

    #[test]
    fn debug_shows_no_query() {
        let shown = format!("{:?}", Target::parse(b"/p/x?key=secret").unwrap());
        assert!(shown.contains("/p/x") && !shown.contains("secret"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(raw: Vec<u8>, text in "/p[/.%0-9a-f;?&=#]{0,20}") {
            for raw in [raw.as_slice(), text.as_bytes()] {
                if let Ok(target) = Target::parse(raw) {
                    let out = target.upstream_path("", &QueryEdit::default());
                    let whole = format!("/{}{out}", target.provider());
                    // only a target with nothing behind the provider gains a slash
                    prop_assert!(whole.as_bytes() == raw || target.path() == "/");
                    target.parameter("model").ok();
                }
            }
        }

        #[test]
        fn a_raw_target_round_trips(path in "(/[a-zA-Z0-9:@!$&'()*+,=~_-]{1,8}){1,5}/?", query in prop::option::of("[!-\"$-$&-~]{0,20}")) {
            let raw = query.as_ref().map_or_else(|| format!("/p{path}"), |query| format!("/p{path}?{query}"));
            if let Ok(target) = Target::parse(raw.as_bytes()) {
                prop_assert_eq!(format!("/p{}", target.upstream_path("", &QueryEdit::default())), raw);
            } else {
                prop_assert!(query.is_some_and(|query| query.contains('$') || query.contains("_method")));
            }
        }
    }
}
