//! Passwords and tokens in the authority of URLs: <scheme://user:password@host>.

use super::{
    assign::is_reference,
    checks::entropy,
    context::Hit,
    kind::{Kind, Rank},
    scan::Scan,
    token::is_dummy,
};

const AUTHORITY_MAX: usize = 512;

/// What stands between `://` and `@`.
pub(super) fn find(scan: &mut Scan<'_>, hit: Hit) {
    let text = scan.text;
    let start = hit.end;
    if !text.before(hit.start).is_ascii_alphanumeric() {
        return;
    }
    let end = text.run(start, AUTHORITY_MAX, |byte| {
        !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'|' | b'\\')
    });
    let token = text.bytes(start, end);
    // A password may hold `/`, `?` or `@`, if an `@` with a host still follows before the path.
    let path = token.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(token.len());
    let at =
        token.get(..path).and_then(|part| part.iter().rposition(|byte| *byte == b'@')).or_else(|| late_at(token, path));
    let Some(at) = at else { return };
    let user = token.get(..at).unwrap_or(&[]);
    match user.iter().position(|byte| *byte == b':') {
        Some(colon) => {
            let (from, password) = (start + colon + 1, user.get(colon + 1..).unwrap_or(&[]));
            if 3 <= password.len() && !is_reference(password) && !is_common(password) {
                scan.add(Kind::ConnPassword, from, start + at, Rank::Shaped);
            }
        }
        None if 16 <= user.len()
            && 3.2 < entropy(user)
            && user.iter().any(u8::is_ascii_digit)
            && !is_reference(user) =>
        {
            scan.add(Kind::SecretToken, start, start + at, Rank::Shaped);
        }
        None => {}
    }
}

/// An `@` behind a `/` or `?` that belongs to the password: only where user and colon stand before it.
fn late_at(token: &[u8], path: usize) -> Option<usize> {
    let colon = token.get(..path)?.iter().position(|byte| *byte == b':')?;
    let port = token.get(colon + 1..path)?;
    if port.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let at = token.iter().rposition(|byte| *byte == b'@')?;
    let host = token.get(at + 1)?;
    (host.is_ascii_alphanumeric() && !token.get(..at)?.contains(&b'=')).then_some(at)
}

/// Words of manuals, not passwords.
fn is_common(password: &[u8]) -> bool {
    const WORDS: &[&[u8]] = &[
        b"password",
        b"passwd",
        b"pass",
        b"pwd",
        b"secret",
        b"pw",
        b"token",
        b"test",
        b"user",
        b"username",
        b"port",
        b"mypassword",
        b"my-password",
        b"my_password",
    ];
    let lower = password.to_ascii_lowercase();
    WORDS.contains(&lower.as_slice())
        || is_dummy(password)
        || password.iter().all(|byte| matches!(byte, b'*' | b'.' | b'x' | b'X'))
}
