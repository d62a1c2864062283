//! Content types and other headers with parameters, read strictly: what parsers take apart differently is no value.

/// A content type, read strictly: one type, well-formed parameters, none of them twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaType {
    /// `type/subtype` in lower case.
    pub(super) essence: String,
    parameters: Vec<(String, Vec<u8>)>,
}

impl MediaType {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (essence, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        let essence = essence.trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        let (parameters, whole) = parameters(rest.as_bytes(), true);
        let mut names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
        let plain = is_token(kind) && is_token(subtype) && whole && !rest.contains('\\');
        let odd = names.windows(2).any(|pair| pair.first() == pair.last()) || names.iter().any(|n| n.contains('*'));
        (plain && !odd).then_some(Self { essence, parameters })
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_slice())
    }

    /// Whether the charset is absent, UTF-8, or a part of it.
    pub(super) fn is_utf8(&self) -> bool {
        let known = ["utf-8", "utf8", "us-ascii", "ascii"];
        self.parameter("charset").is_none_or(|set| known.iter().any(|name| set.eq_ignore_ascii_case(name.as_bytes())))
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The parameters (`; name=value`) of a header, names in lower case, and whether all of the text was well-formed.
/// `escapes`: a backslash in a quoted text escapes the next byte; without it, it is a byte like any other.
pub(super) fn parameters(text: &[u8], escapes: bool) -> (Vec<(String, Vec<u8>)>, bool) {
    let mut found = Vec::new();
    let mut rest = text.trim_ascii();
    while let Some(after) = rest.strip_prefix(b";") {
        rest = after.trim_ascii_start();
        if rest.is_empty() {
            break; // a semicolon at the end
        }
        let Some((name, value, after)) = parameter(rest, escapes) else { return (found, false) };
        found.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value));
        rest = after.trim_ascii_start();
    }
    (found, rest.is_empty())
}

/// One `name=value` at the start of the text, and what follows it.
fn parameter(text: &[u8], escapes: bool) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let (name, rest) = split_while(text, is_token_byte);
    let rest = rest.strip_prefix(b"=").filter(|_| !name.is_empty())?;
    let Some(mut rest) = rest.strip_prefix(b"\"") else {
        let (value, rest) = split_while(rest, |byte| is_token_byte(byte) || b"/:=?@".contains(&byte));
        return (!value.is_empty()).then(|| (name, value.to_vec(), rest));
    };
    let mut value = Vec::new();
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((name, value, rest)),
            b'\\' if escapes => {
                let (&escaped, after) = rest.split_first()?;
                rest = after;
                value.push(escaped);
            }
            byte => value.push(byte),
        }
    }
}

fn split_while(text: &[u8], wanted: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| !wanted(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_read_with_and_without_escapes() {
        let cases: [(&str, bool, &[(&str, &str)], bool); 9] = [
            ("", true, &[], true),
            (" ; A=b ;c=\"d;e\" ; ", true, &[("a", "b"), ("c", "d;e")], true),
            (";a=\"x\\\"y\"", true, &[("a", "x\"y")], true),
            (";a=\"x\\\"y\"", false, &[("a", "x\\")], false),
            (";a", true, &[], false),
            (";a=", true, &[], false),
            (";a=b c=d", true, &[("a", "b")], false),
            (";;a=b", true, &[], false),
            ("a=b", true, &[], false),
        ];
        for (text, escapes, expected, whole) in cases {
            let (found, is_whole) = parameters(text.as_bytes(), escapes);
            let found: Vec<_> =
                found.iter().map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap())).collect();
            assert_eq!((found.as_slice(), is_whole), (expected, whole), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_without_a_panic(bytes: Vec<u8>, text in "[a-z/;=\"\\\\ *]{0,24}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                parameters(bytes, true);
                parameters(bytes, false);
            }
            MediaType::parse(&text);
        }
    }
}
