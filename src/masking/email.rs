//! E-mail addresses, with international names and domains, and percent-encoded ones.

use super::{
    kind::{Kind, Rank},
    scan::Scan,
    text::is_spaceless,
};

const LOCAL_MAX: usize = 96;
const DOMAIN_MAX: usize = 253;
/// Names of files look like domains: icon@2x.png.
const FILE_ENDINGS: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "scss", "js", "jsx", "ts", "tsx", "mjs", "json", "html",
    "htm", "xml", "yaml", "yml", "toml", "lock", "txt", "md", "csv", "log", "pdf", "gz", "zip", "tar", "jar", "exe",
    "dll", "so", "py", "rb", "go", "java", "php", "vue", "map", "local_", "conf", "cfg", "ini", "service", "socket",
    "timer", "target", "mount",
];

/// The address around an `@`.
pub(super) fn find(scan: &mut Scan<'_>, at: usize) {
    let text = scan.text;
    let start = local_start(scan, at);
    if start == at || text.at(at + 1) == b'@' {
        return;
    }
    let Some(end) = domain_end(scan, at + 1) else { return };
    if is_remote(scan, start, at, end) || in_authority(scan, start) {
        return;
    }
    scan.add(Kind::Email, start, end, Rank::Proved);
}

/// An address whose `@` is written `%40`, as in the query of a URL.
pub(super) fn find_encoded(scan: &mut Scan<'_>, at: usize) {
    let start = local_start(scan, at);
    if start == at {
        return;
    }
    if let Some(end) = domain_end(scan, at + 3) {
        scan.add(Kind::Email, start, end, Rank::Proved);
    }
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-') || 0x80 <= byte
}

/// Where the name before an `@` begins.
fn local_start(scan: &Scan<'_>, at: usize) -> usize {
    let text = scan.text;
    let mut start = text.run_back(at, LOCAL_MAX, is_local);
    // o'brien@…, d'angelo@…: an apostrophe after one letter that begins a word
    if text.before(start) == b'\''
        && matches!(text.before(start.saturating_sub(1)), b'o' | b'O' | b'd' | b'D')
        && !text.word_before(start.saturating_sub(2))
    {
        start = start.saturating_sub(2);
    }
    // Characters of other scripts that are no letters (quotes, dashes, commas) and spaces end a name.
    let name = text.slice(text.floor(start).max(start), at);
    let skip = name
        .char_indices()
        .rev()
        .find(|(_, letter)| !letter.is_ascii() && !letter.is_alphanumeric())
        .map_or(0, |(i, letter)| i + letter.len_utf8());
    start += skip;
    // Text in scripts without spaces runs into an address; a name is in one script.
    let name = text.slice(start, at);
    if name.bytes().last().is_some_and(|byte| byte.is_ascii()) {
        let cut = name
            .char_indices()
            .rev()
            .find(|(_, letter)| is_spaceless(*letter))
            .map_or(0, |(i, letter)| i + letter.len_utf8());
        start += cut;
    }
    while start < at && matches!(text.at(start), b'.' | b'-' | b'%' | b'+') {
        start += 1;
    }
    // An escape before the address: \n, \t, \"
    if start < at && text.before(start) == b'\\' && matches!(text.at(start), b'n' | b't' | b'r') && 1 < at - start {
        start += 1;
    }
    if text.before(at) == b'.' { at } else { start }
}

/// Where the domain that begins at a place ends, if it is one.
fn domain_end(scan: &Scan<'_>, start: usize) -> Option<usize> {
    let text = scan.text;
    let limit = text.floor(start + DOMAIN_MAX);
    let ascii_start = text.at(start).is_ascii();
    let mut end = start;
    for (i, letter) in text.slice(start, limit).char_indices() {
        let fits = letter.is_ascii_alphanumeric()
            || matches!(letter, '-' | '.')
            || (!letter.is_ascii() && letter.is_alphanumeric() && !(ascii_start && is_spaceless(letter)));
        if !fits {
            break;
        }
        end = start + i + letter.len_utf8();
    }
    let mut domain = text.slice(start, end).trim_end_matches(['.', '-']);
    // A sentence that goes on without a space: bob@x.com.Please
    loop {
        let (rest, last) = domain.rsplit_once('.')?;
        if is_top(last) {
            break;
        }
        domain = rest;
    }
    let labels = domain
        .split('.')
        .all(|label| !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-'));
    labels.then_some(start + domain.len())
}

/// Whether a label could be a top-level domain.
fn is_top(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    let ascii = (2..=24).contains(&label.len())
        && (label.bytes().all(|byte| byte.is_ascii_alphabetic()) || lower.starts_with("xn--"));
    let mixed = label.bytes().skip(1).any(|byte| byte.is_ascii_uppercase())
        && label.bytes().any(|byte| byte.is_ascii_lowercase());
    let other = !label.is_ascii() && label.chars().all(char::is_alphabetic) && 2 <= label.chars().count();
    (ascii && !mixed && !FILE_ENDINGS.contains(&lower.as_str())) || other
}

/// git@github.com:acme/app.git, and whatever else is copied from host to host.
fn is_remote(scan: &Scan<'_>, start: usize, at: usize, end: usize) -> bool {
    let text = scan.text;
    let user = text.slice(start, at);
    let path = text.at(end) == b':'
        && (text.at(end + 1).is_ascii_alphanumeric() || matches!(text.at(end + 1), b'/' | b'~' | b'.'));
    let port = path && text.at(end + 1).is_ascii_digit();
    let host = matches!(user, "git" | "hg" | "svn" | "root" | "ubuntu" | "ec2-user" | "admin" | "deploy" | "ssh");
    let ssh = text.slice(text.floor(start.saturating_sub(12)), start);
    let command = ["ssh ", "scp ", "sftp ", "rsync "].iter().any(|command| ssh.ends_with(command));
    (matches!(user, "git" | "hg" | "svn") && (path || text.at(end) == b'/'))
        || (path && !port && (host || command))
        || (command && host)
}

/// Whether the name before the `@` is the user or the password of a URL.
fn in_authority(scan: &Scan<'_>, start: usize) -> bool {
    let text = scan.text;
    let from = text
        .run_back(start, 128, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>'));
    let token = text.bytes(from, start);
    let Some(scheme) = token.windows(3).rposition(|bytes| bytes == b"://") else { return false };
    let authority = token.get(scheme + 3..).unwrap_or(&[]);
    !authority.iter().any(|byte| matches!(byte, b'/' | b'?' | b'#' | b',' | b';' | b'='))
        && token.get(..scheme).is_none_or(|name| !name.ends_with(b"mailto"))
}
