//! Whether a value is a secret, or a word, a reference, a call, a placeholder.

use super::{
    checks::entropy,
    secret_name::Class,
    text::{is_spaceless, is_word},
    token::is_dummy,
};

/// How sure it is that a value stands there, and not a word of code or prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    /// Between quotes.
    Quoted,
    /// In a tag, or behind `NAME=`.
    Closed,
    /// Bare, as in YAML or behind a flag.
    Bare,
    /// Bare in code or prose.
    Open,
}

/// Words that stand where secrets stand, and are none.
const WORDS: &[&str] = &[
    "string",
    "str",
    "text",
    "password",
    "passwd",
    "secret",
    "token",
    "required",
    "optional",
    "hidden",
    "null",
    "none",
    "nil",
    "true",
    "false",
    "undefined",
    "input",
    "forgot",
    "reset",
    "change",
    "invalid",
    "incorrect",
    "missing",
    "expired",
    "empty",
    "default",
    "hashed",
    "bcrypt",
    "argon2",
    "argon2id",
    "scrypt",
    "pbkdf2",
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "encrypted",
    "enabled",
    "disabled",
    "prompt",
    "stdin",
    "vault",
    "keyring",
    "nullable",
    "varchar",
    "integer",
    "number",
    "boolean",
    "value",
    "username",
    "user",
    "basic",
    "bearer",
    "oauth",
    "oauth2",
    "digest",
    "credentials",
    "passphrase",
    "passwords",
    "apikey",
    "api_key",
    "api-key",
    "key",
    "unset",
    "disable",
    "enable",
    "allow",
    "deny",
    "yes",
    "no",
    "on",
    "off",
    "never",
    "always",
    "public",
    "private",
    "internal",
    "masked",
    "removed",
    "hidden",
    "sensitive",
    "unknown",
    "tbd",
    "n/a",
    "confirm",
    "current",
    "new",
    "old",
    "wrong",
    "weak",
    "strong",
    "login",
    "access",
    "refresh",
    "header",
    "cookie",
    "session",
    "csrf",
    "jwt",
    "hs256",
    "rs256",
    "es256",
    "base64",
    "utf8",
    "utf-8",
    "ascii",
    "hex",
    "plain",
    "plaintext",
    "test",
    "optional",
    "keyword",
    "identifier",
    "operator",
    "object",
    "function",
    "property",
    "method",
    "class",
    "field",
    "type",
    "auto",
    "generate",
    "generated",
    "random",
    "rotate",
    "rotated",
    "include",
    "omit",
    "same-origin",
];

/// Whether what stands right behind `password is` is one: also words with a digit, but no word of the trade.
pub(super) fn is_told(value: &str, class: Class) -> bool {
    let trade = value.to_lowercase().split(['-', '_', '.', '/', ':']).any(|part| WORDS.contains(&part));
    let uuid = matches!(class, Class::Token | Class::Key) && is_uuid(value.as_bytes());
    let letter = value.chars().next().is_some_and(char::is_alphabetic);
    uuid || (class == Class::Password && letter && !trade && is_secret(value, class, Setting::Bare))
}

/// Whether a value under a name of that class is a secret.
pub(super) fn is_secret(value: &str, class: Class, setting: Setting) -> bool {
    let bytes = value.as_bytes();
    let looks = match class {
        Class::Phrase => 8 <= value.chars().count() && setting != Setting::Open,
        Class::Password => is_password(value, setting),
        Class::Token | Class::Key => {
            is_random(bytes, if setting == Setting::Open { 16 } else { 10 }, setting == Setting::Closed)
                && !(setting == Setting::Open && is_uuid(bytes))
        }
        Class::Weak => {
            is_random(bytes, 20, false)
                && 3.4 < entropy(bytes)
                && !bytes.contains(&b':')
                && !is_hash(bytes)
                && !is_uuid(bytes)
        }
    };
    let reference = || if setting == Setting::Quoted { is_template(bytes) } else { is_reference(bytes) };
    let code = matches!(setting, Setting::Bare | Setting::Open) && is_code(value);
    let alias = || setting == Setting::Bare && is_alias(bytes);
    looks && !code && !reference() && !alias() && !is_placeholder(value)
}

/// A call, an index, a path of names, or words of a script without spaces: no value that someone chose.
fn is_code(value: &str) -> bool {
    let head = value.split(['(', '[', '{']).next().unwrap_or("");
    let named = head.len() != value.len()
        && head.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'$' | b':'));
    named || value.contains("->") || value.contains("::") || value.starts_with(is_spaceless)
}

fn is_password(value: &str, setting: Setting) -> bool {
    let letters = value.chars().count();
    if value.contains(char::is_whitespace) {
        return false;
    }
    let digit = value.bytes().any(|byte| byte.is_ascii_digit());
    let alphabetic = value.chars().any(char::is_alphabetic);
    let symbol =
        value.bytes().any(|byte| byte.is_ascii_punctuation() && !matches!(byte, b'_' | b'-' | b'.' | b'/' | b':'));
    if scrambled(value) {
        return true;
    }
    let mixed = value.chars().any(char::is_uppercase) && value.chars().skip(1).any(char::is_lowercase);
    match setting {
        Setting::Quoted | Setting::Closed => 4 <= letters && (digit || !value.starts_with('/')),
        Setting::Bare => 5 <= letters && (digit && (alphabetic || 6 <= letters) || symbol && alphabetic),
        Setting::Open => {
            (6 <= letters && alphabetic && (digit && (symbol || 8 <= letters || mixed) || symbol && mixed))
                && !is_wordish(value)
        }
    }
}

/// Letters in no order: both cases mixed, and fewer vowels than any language has.
fn scrambled(value: &str) -> bool {
    let count = |test: fn(&u8) -> bool| value.bytes().filter(test).count();
    let (upper, lower) = (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let vowels = count(|byte| b"aeiouyAEIOUY".contains(byte));
    12 <= upper + lower && 4 <= upper && 4 <= lower && vowels * 4 < upper + lower && !value.contains(['(', '.', ' '])
}

/// Words, paths, versions and dates that have a digit or a sign.
fn is_wordish(value: &str) -> bool {
    let parts = value.split(['-', '_', '.', '/', ':', '(', ')', ',']).filter(|part| !part.is_empty());
    let mut any = false;
    for part in parts {
        any = true;
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let letters = part.chars().filter(|letter| letter.is_alphabetic()).count();
        let plain = part.chars().all(char::is_alphanumeric);
        // Sha256, step2, 12th: letters on one side, at most four digits on the other
        let word = plain
            && (digits == 0
                || letters == 0
                || (digits <= 4
                    && (part.trim_end_matches(|c: char| c.is_ascii_digit()).len() + digits == part.len())
                    && part.chars().skip(1).all(|c| !c.is_uppercase())
                    && letters < 8
                    && value.len() != part.len()));
        if !word {
            return false;
        }
    }
    any
}

/// Drawn at random: long, letters and digits mixed, no words in a row.
fn is_random(bytes: &[u8], least: usize, closed: bool) -> bool {
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    // What a whole line holds may have any sign.
    let odd_most = if closed { bytes.len() / 6 } else { 0 };
    let odd = bytes.iter().filter(|byte| !byte.is_ascii_alphanumeric() && !b"-_.+/=~:%!*@#$^&|".contains(byte)).count();
    let upper = bytes.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let lower = letters - upper;
    let mixed = digits != 0 && letters != 0 || (24 <= bytes.len() && 4 < upper && 4 < lower);
    let floor = if bytes.len() < 16 { 2.6 } else { 3.0 };
    bytes.len() >= least
        && odd <= odd_most
        && mixed
        && floor < entropy(bytes)
        && !std::str::from_utf8(bytes).is_ok_and(is_wordish)
        && !is_path(bytes)
}

fn is_path(bytes: &[u8]) -> bool {
    bytes.starts_with(b"/") && !bytes.ends_with(b"=") && bytes.iter().skip(1).any(|byte| *byte == b'/')
        || bytes.starts_with(b"./")
        || bytes.starts_with(b"~/")
        || bytes.windows(3).any(|part| part == b"://")
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes
            .iter()
            .enumerate()
            .all(|(i, byte)| if matches!(i, 8 | 13 | 18 | 23) { *byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// A hash has the length of one and only hexadecimal digits.
fn is_hash(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_hexdigit) || bytes.starts_with(b"sha")
}

/// A variable, a template, a call, a path of names: where the secret is, but not the secret.
pub(super) fn is_reference(value: &[u8]) -> bool {
    const HEADS: &[&[u8]] = &[
        b"process.env",
        b"os.environ",
        b"os.getenv",
        b"env.",
        b"ENV[",
        b"env(",
        b"System.getenv",
        b"secrets.",
        b"getenv(",
        b"config.",
        b"settings.",
        b"self.",
        b"this.",
        b"args.",
        b"options.",
        b"params.",
        b"request.",
        b"req.",
        b"os.",
        b"var.",
        b"local.",
        b"data.",
        b"module.",
        b"import.meta",
        b"keyring.",
        b"getpass",
        b"input(",
        b"None",
        b"null",
    ];
    let name_end = value.iter().position(|byte| !(is_word(*byte) || *byte == b'.')).unwrap_or(value.len());
    let name = value.get(..name_end).unwrap_or(&[]);
    let called =
        matches!(value.get(name_end), Some(b'(' | b'[')) && matches!(value.last(), Some(b')' | b']' | b'(' | b'['));
    let call = 1 < name_end && called && name.iter().any(u8::is_ascii_lowercase);
    let path = name_end == value.len()
        && value.contains(&b'.')
        && value.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.'));
    is_template(value) || HEADS.iter().any(|head| value.starts_with(head)) || call || path
}

/// `*alias`, `&anchor`, `!tag` of YAML.
fn is_alias(value: &[u8]) -> bool {
    matches!(value.first(), Some(b'!' | b'&' | b'*'))
        && value.iter().skip(1).all(|byte| is_word(*byte) || matches!(byte, b'-' | b'/' | b':'))
        && value.iter().filter(|byte| byte.is_ascii_digit()).count() < 2
}

/// What a program fills in before the value is used, and where it fetches it from: `$NAME`, `${NAME}`, `{{ name }}`, `vault:…`
fn is_template(value: &[u8]) -> bool {
    const HEADS: &[&[u8]] = &[
        b"${",
        b"$(",
        b"{{",
        b"#{",
        b"@{",
        b"%{",
        b"<%",
        b"vault:",
        b"ref+",
        b"arn:",
        b"ssm:",
        b"file:",
        b"op://",
        b"/run/secrets",
        b"/etc/",
        b"/var/",
        b"http://",
        b"https://",
    ];
    let wrapped = |open: u8, close: u8| value.first() == Some(&open) && value.last() == Some(&close) && 2 < value.len();
    let variable = value.first() == Some(&b'$')
        && value.get(1).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && value.iter().skip(1).all(|byte| is_word(*byte) || matches!(byte, b':' | b'.' | b'-' | b'>'));
    let formatted = value.starts_with(b"%(") && value.ends_with(b")s");
    HEADS.iter().any(|head| value.starts_with(head))
        || variable
        || formatted
        || wrapped(b'<', b'>')
        || wrapped(b'{', b'}')
        || wrapped(b'%', b'%')
}

/// Text that stands for a secret in examples, and words that are no secret.
fn is_placeholder(value: &str) -> bool {
    let lower = value.to_lowercase();
    let bytes = lower.as_bytes();
    let rules = ["required|", "|min:", "|max:", "nullable|"].iter().any(|rule| lower.contains(rule));
    let same = bytes.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
    let upper_name = value.contains('_') && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    WORDS.contains(&lower.as_str())
        || same
        || rules
        || is_dummy(bytes)
        || upper_name
        || value.contains("...")
        || value.contains('…')
        || value.starts_with("ENC[")
        || (value.starts_with('[') && value.ends_with(']'))
        || (value.starts_with('(') && value.ends_with(')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_from_words() {
        use Setting::{Bare, Closed, Open};
        let yes: &[(&str, Class, Setting)] = &[
            ("hunter2", Class::Password, Bare),
            ("letmein", Class::Password, Closed),
            ("CorrectSky9580%", Class::Password, Open),
            ("0V8W-9llSjoH7q", Class::Password, Open),
            ("4iCA2ylg5jvFoa32QdY25Smg", Class::Key, Open),
            ("d4e77015d0cca2109112b560f07c5cec", Class::Key, Closed),
        ];
        for (value, class, setting) in yes {
            assert!(is_secret(value, *class, *setting), "{value}");
        }
        let no: &[(&str, Class, Setting)] = &[
            ("${DB_PASSWORD}", Class::Password, Closed),
            ("process.env.SECRET", Class::Password, Bare),
            ("getpass.getpass('Password:", Class::Password, Open),
            ("form.password.data", Class::Password, Open),
            ("required", Class::Password, Closed),
            ("changeme", Class::Password, Closed),
            ("your-api-key-here", Class::Key, Closed),
            ("<redacted>", Class::Password, Closed),
            ("catalog:v2:items", Class::Weak, Closed),
            ("4096", Class::Token, Closed),
            ("minimum", Class::Password, Open),
            ("ingest-tls", Class::Token, Bare),
        ];
        for (value, class, setting) in no {
            assert!(!is_secret(value, *class, *setting), "{value}");
        }
    }
}
