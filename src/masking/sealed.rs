//! Secrets in envelopes: PEM and PGP blocks, JSON web tokens, encoded credentials of basic authentication.

use super::{
    context::Hit,
    kind::{Kind, Rank},
    scan::Scan,
    text::is_word,
};

/// The longest block that is looked through for its end.
const BLOCK_MAX: usize = 32 * 1024;

/// Where the search for ends of blocks has been, so that no byte is looked at twice.
#[derive(Default)]
pub(super) struct Sealed {
    done: usize,
    /// No end mark stands before this place.
    endless: usize,
}

impl Sealed {
    /// A private key from its first mark to its last one, or to the end of its lines where that is missing.
    pub(super) fn find_pem(&mut self, scan: &mut Scan<'_>, hit: Hit) {
        let text = scan.text;
        if hit.start < self.done {
            return;
        }
        let label_end =
            text.run(hit.end, 64, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
        let label = text.slice(hit.end, label_end);
        if !label.contains("PRIVATE KEY") || !text.is(label_end, b"-----") {
            return;
        }
        let from = label_end + 5;
        let to = text.floor(from + BLOCK_MAX);
        let begin = from.max(self.endless.min(to));
        let found = text.slice(begin, to).find("-----END");
        let end = if let Some(at) = found {
            let mark =
                text.run(begin + at + 8, 64, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
            text.run(mark, 5, |byte| byte == b'-')
        } else {
            self.endless = to;
            body_end(scan, from)
        };
        if end < from + 16 {
            return;
        }
        self.done = end;
        scan.add(Kind::PrivateKey, hit.start, end, Rank::Proved);
    }

    /// `Basic dXNlcjpwYXNz`: user and password, encoded.
    pub(super) fn find_basic(&self, scan: &mut Scan<'_>, hit: Hit) {
        let text = scan.text;
        let start = text.skip_spaces(hit.end);
        let end = text
            .run(start, 400, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'));
        let code = text.bytes(start, end);
        let decoded = decode64(code);
        let readable =
            decoded.contains(&b':') && decoded.iter().all(|byte| (b' '..=b'~').contains(byte) || 0x80 <= *byte);
        if start != hit.end && 8 <= code.len() && readable && self.done <= start {
            scan.add(Kind::SecretToken, start, end, Rank::Proved);
        }
    }
}

/// Where lines of base64 end, written with real or escaped line ends.
fn body_end(scan: &Scan<'_>, from: usize) -> usize {
    let text = scan.text;
    let end = text.run(from, BLOCK_MAX, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r' | b'\\')
    });
    let back = text.run_back(end, 4, |byte| matches!(byte, b'\n' | b'\r'));
    back.max(from)
}

/// A JSON web token: a header and a body of JSON in base64url, and a signature; or the five parts of an encrypted one.
pub(super) fn find_jwt(scan: &mut Scan<'_>, hit: Hit) {
    let text = scan.text;
    let url = |byte: u8| is_word(byte) || byte == b'-';
    if url(text.before(hit.start))
        && !(text.before(hit.start.saturating_sub(1)) == b'\\' && matches!(text.before(hit.start), b'n' | b't'))
    {
        return;
    }
    if !text.is(hit.start, b"eyJ") {
        return;
    }
    let part = |from: usize| text.run(from, 8192, url);
    let first = part(hit.start);
    if text.at(first) != b'.' || !decode64(text.bytes(hit.start, first)).starts_with(b"{\"") {
        return;
    }
    let second = part(first + 1);
    let claims = text.is(first + 1, b"eyJ") || text.is(first + 1, b"ewo");
    let mut end = second;
    let mut parts = 2;
    while parts < 5 && text.at(end) == b'.' && url(text.at(end + 1)) {
        end = part(end + 1);
        parts += 1;
    }
    if (claims && 3 <= parts) || parts == 5 || (claims && text.at(end) == b'.' && first - hit.start >= 12) {
        let end = if claims && (3..5).contains(&parts) { part(second + 1) } else { end };
        scan.add(Kind::Jwt, hit.start, end, Rank::Proved);
    } else if claims && 12 <= second - first {
        scan.add(Kind::Jwt, hit.start, second, Rank::Shaped);
    }
}

/// The bytes of base64 or base64url; what is no base64 ends it.
pub(super) fn decode64(code: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(code.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in code {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        held = (held << 6 | u32::from(value)) & 0xFF_FFFF;
        bits += 6;
        if 8 <= bits {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xFF).unwrap_or(0));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_in_both_alphabets() {
        assert_eq!(decode64(b"dXNlcjpwYXNz"), b"user:pass");
        assert_eq!(decode64(b"eyJhbGciOiJub25lIn0"), b"{\"alg\":\"none\"}");
        assert_eq!(decode64(b"_-8="), decode64(b"/+8="));
    }
}
