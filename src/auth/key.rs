//! A gateway key: its text forms, its hash, and the record that the control store keeps of it.
//! The text leaves this file only through `expose`; everything else works with its hash.

use super::entitlement::Entitlements;
use crate::{
    base::{
        clock::Timestamp,
        ids::{KeyId, OrganizationId},
    },
    limits::KeyLimits,
};
use memchr::memmem;
use sha2::{Digest, Sha256};
use std::{fmt, sync::LazyLock};

/// Hexadecimal digits after a key's prefix: 24 random bytes.
const DIGITS: usize = 48;
/// How many of them may be shown.
const DIGITS_SHOWN: usize = 8;
/// The shortest key, `gw_live_` and its digits.
const TEXT_BYTES_MIN: usize = 8 + DIGITS;
/// The longest key, `sk-gw_live_` and its digits.
const TEXT_BYTES_MAX: usize = 11 + DIGITS;

/// Which world a key's usage is recorded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Live,
    Test,
}

impl Environment {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Live, Self::Test];

    /// `live` or `test`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Reads `live` or `test`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|environment| environment.as_str() == text)
    }
}

/// Which surfaces a key may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Scope {
    #[serde(rename = "inference:use")]
    InferenceUse,
    #[serde(rename = "prompt:use")]
    PromptUse,
    #[serde(rename = "stats:read")]
    StatsRead,
    #[serde(rename = "keys:manage")]
    KeysManage,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::InferenceUse, Self::PromptUse, Self::StatsRead, Self::KeysManage];

    /// The scope's name, such as `inference:use`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InferenceUse => "inference:use",
            Self::PromptUse => "prompt:use",
            Self::StatsRead => "stats:read",
            Self::KeysManage => "keys:manage",
        }
    }

    /// Reads a scope's name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// What is done where a caller's stream would report no usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageMode {
    /// Nothing: the request passes as it is, and its usage is estimated.
    #[default]
    Transparent,
    /// The provider is asked for usage, and what that adds to its answer is taken out again.
    Inject,
}

impl UsageMode {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Transparent, Self::Inject];

    /// `transparent` or `inject`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transparent => "transparent",
            Self::Inject => "inject",
        }
    }

    /// Reads `transparent` or `inject`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// What a key's prefix tells people that it is for. Its scopes alone decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The provider proxy and `/gw`: `gw_…`
    Proxy,
    /// The security gateway: `sk-gw_…`
    Security,
}

impl KeyKind {
    const fn prefix(self, environment: Environment) -> &'static str {
        match (self, environment) {
            (Self::Proxy, Environment::Live) => "gw_live_",
            (Self::Proxy, Environment::Test) => "gw_test_",
            (Self::Security, Environment::Live) => "sk-gw_live_",
            (Self::Security, Environment::Test) => "sk-gw_test_",
        }
    }
}

/// SHA-256 of a gateway key's text: what the control store knows a key by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// From the bytes of a hash.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(***)")
    }
}

/// The operating system gave no random bytes, so no key could be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

/// A gateway key's text, well-formed. Whether we issued it is another question.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewayKey {
    text: [u8; TEXT_BYTES_MAX],
    length: usize,
    prefix_length: usize,
}

impl GatewayKey {
    /// No key is shorter.
    pub const BYTES_MIN: usize = TEXT_BYTES_MIN;

    /// Reads a key from what a caller sent. `None` for whatever has not exactly the form of a key, at no cost
    /// however long it is.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > TEXT_BYTES_MAX {
            return None;
        }
        let security = bytes.starts_with(b"sk-");
        let prefix_length = if security { 11 } else { 8 };
        let (prefix, digits) = bytes.split_at_checked(prefix_length)?;
        let prefix_known = matches!(prefix, b"gw_live_" | b"gw_test_" | b"sk-gw_live_" | b"sk-gw_test_");
        if !prefix_known || digits.len() != DIGITS || !digits.iter().copied().all(is_digit) {
            return None;
        }
        Self::assemble(prefix, digits)
    }

    /// Makes a new key from 24 bytes of the operating system's randomness.
    pub fn generate(kind: KeyKind, environment: Environment) -> Result<Self, NoRandomness> {
        let mut random = [0; DIGITS / 2];
        getrandom::fill(&mut random)?;
        let digits = hex::encode(random);
        Self::assemble(kind.prefix(environment).as_bytes(), digits.as_bytes())
            .ok_or(NoRandomness(getrandom::Error::UNEXPECTED))
    }

    fn assemble(prefix: &[u8], digits: &[u8]) -> Option<Self> {
        let mut text = [0; TEXT_BYTES_MAX];
        let (head, rest) = text.split_at_mut_checked(prefix.len())?;
        head.copy_from_slice(prefix);
        rest.get_mut(..digits.len())?.copy_from_slice(digits);
        Some(Self { text, length: prefix.len() + digits.len(), prefix_length: prefix.len() })
    }

    /// The whole text: only to hand it, once, to whom it is issued.
    pub fn expose(&self) -> &str {
        self.shown(self.length)
    }

    /// The prefix and 8 digits: what may be shown and logged.
    pub fn prefix(&self) -> &str {
        self.shown(self.prefix_length + DIGITS_SHOWN)
    }

    /// SHA-256 of the whole text.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.expose().as_bytes()).into())
    }

    fn shown(&self, length: usize) -> &str {
        self.text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatewayKey({}…)", self.prefix())
    }
}

const fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Whether the bytes hold the text of a gateway key anywhere, whoever issued it. Linear in their length.
pub fn contains_gateway_key(bytes: &[u8]) -> bool {
    static MARK: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"gw_"));
    if bytes.len() < TEXT_BYTES_MIN {
        return false; // most header names and values
    }
    MARK.find_iter(bytes).any(|at| {
        let candidate = bytes.get(at..).unwrap_or_default();
        let Some((prefix, rest)) = candidate.split_at_checked(8) else { return false };
        matches!(prefix, b"gw_live_" | b"gw_test_")
            && rest.get(..DIGITS).is_some_and(|digits| digits.iter().copied().all(is_digit))
    })
}

/// What the control store keeps of a key. Immutable but for its status; the plaintext is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: KeyId,
    pub organization_id: OrganizationId,
    pub organization_name: String,
    pub name: Option<String>,
    /// `gw_live_` and 8 characters: what may be shown and logged.
    pub key_prefix: String,
    pub environment: Environment,
    pub scopes: Vec<Scope>,
    pub entitlements: Entitlements,
    pub limits: KeyLimits,
    /// Those of the whole organization.
    pub organization_limits: KeyLimits,
    /// The organization is switched off.
    pub organization_disabled: bool,
    pub usage_mode: UsageMode,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

/// Whether a key may be used at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    Expired,
    Revoked,
}

impl Status {
    /// `active`, `expired` or `revoked`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl KeyRecord {
    /// The key's status at a moment. The moment of expiry itself is past the key's life.
    pub fn status(&self, now: Timestamp) -> Status {
        if self.revoked_at.is_some() {
            Status::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Status::Expired
        } else {
            Status::Active
        }
    }

    /// Whether the key carries a scope.
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const DIGITS_48: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";
    const DIGITS_47: &str = "0123456789abcdef0123456789abcdef0123456789abcde";

    #[test]
    fn each_form_of_a_key_parses_and_shows_its_prefix_and_eight_digits() {
        for prefix in ["gw_live_", "gw_test_", "sk-gw_live_", "sk-gw_test_"] {
            let text = format!("{prefix}{DIGITS_48}");
            let key = GatewayKey::parse(text.as_bytes()).unwrap();
            assert_eq!(key.expose(), text);
            assert_eq!(key.prefix(), format!("{prefix}01234567"));
        }
    }

    #[test]
    fn whatever_else_is_no_key() {
        let cases: &[Vec<u8>] = &[
            b"".to_vec(),
            b"gw_live_".to_vec(),
            b"sk-".to_vec(),
            DIGITS_48.as_bytes().to_vec(),
            format!("gw_prod_{DIGITS_48}").into_bytes(),
            format!("GW_LIVE_{DIGITS_48}").into_bytes(),
            format!("xk-gw_live_{DIGITS_48}").into_bytes(),
            format!("sk-{DIGITS_48}").into_bytes(),
            format!(" gw_live_{DIGITS_48}").into_bytes(),
            format!("gw_live_{DIGITS_48}\n").into_bytes(),
            format!("gw_live_{DIGITS_47}").into_bytes(),
            format!("gw_live_{DIGITS_48}0").into_bytes(),
            format!("gw_live_{}", DIGITS_48.to_uppercase()).into_bytes(),
            format!("gw_live_{DIGITS_47}g").into_bytes(),
            format!("gw_live_{}é", "0".repeat(46)).into_bytes(),
            [b"gw_live_".as_slice(), &[0xff; 48]].concat(),
            vec![b'a'; 1 << 20],
        ];
        for case in cases {
            assert_eq!(GatewayKey::parse(case), None, "{:?}", String::from_utf8_lossy(&case[..case.len().min(80)]));
        }
    }

    #[test]
    fn the_hash_is_sha_256_of_the_whole_text() {
        let key = GatewayKey::parse(format!("gw_live_{}", "0".repeat(48)).as_bytes()).unwrap();
        let expected = "df83b534e70a73986c069179ddd34020707b8e2f649ba5e9fdd55d4490e968dc";
        assert_eq!(hex::encode(key.hash().as_bytes()), expected);
    }

    #[test]
    fn generated_keys_parse_differ_and_tell_their_kind() {
        let mut seen = HashSet::new();
        for kind in [KeyKind::Proxy, KeyKind::Security] {
            for environment in Environment::ALL {
                for _ in 0..50 {
                    let key = GatewayKey::generate(kind, environment).unwrap();
                    assert_eq!(GatewayKey::parse(key.expose().as_bytes()).as_ref(), Some(&key));
                    assert!(key.expose().starts_with(kind.prefix(environment)));
                    assert!(seen.insert(key.hash()), "a key came twice");
                }
            }
        }
    }

    #[test]
    fn debug_shows_no_more_than_the_prefix() {
        let key = GatewayKey::parse(format!("gw_live_{DIGITS_48}").as_bytes()).unwrap();
        assert_eq!(format!("{key:?}"), "GatewayKey(gw_live_01234567…)");
        assert_eq!(format!("{:?}", key.hash()), "KeyHash(***)");
    }

    #[test]
    fn a_key_is_found_wherever_it_stands() {
        let found = [
            format!("gw_live_{DIGITS_48}"),
            format!("Bearer sk-gw_test_{DIGITS_48}"),
            format!("a=b; token=\"gw_test_{DIGITS_48}\"; c"),
            format!("gw_live_gw_live_{DIGITS_48}ffff"),
            format!("gw_gw_gw_live_{DIGITS_48}"),
        ];
        for text in found {
            assert!(contains_gateway_key(text.as_bytes()), "{text}");
        }
        let not_found = [
            String::new(),
            "gw_".into(),
            "gw_live_0123".into(),
            DIGITS_48.into(),
            format!("gw_live_{DIGITS_47}"),
            format!("gw_live-{DIGITS_48}"),
            "gw_".repeat(10_000),
        ];
        for text in not_found {
            assert!(!contains_gateway_key(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn bytes_around_a_key_do_not_hide_it(before: Vec<u8>, after: Vec<u8>, digits in "[0-9a-f]{48}") {
            let bytes = [before.as_slice(), b"gw_live_", digits.as_bytes(), &after].concat();
            prop_assert!(contains_gateway_key(&bytes));
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes: Vec<u8>) {
            prop_assert_eq!(GatewayKey::parse(&bytes), None);
            contains_gateway_key(&bytes);
        }
    }

    #[test]
    fn names_of_scopes_and_environments_read_back() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        for environment in Environment::ALL {
            assert_eq!(Environment::parse(environment.as_str()), Some(environment));
            assert_eq!(serde_json::to_value(environment).unwrap(), environment.as_str());
        }
        for mode in UsageMode::ALL {
            assert_eq!(UsageMode::parse(mode.as_str()), Some(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
        let unknown = (Scope::parse("admin"), Environment::parse("prod"), UsageMode::parse("on"));
        assert_eq!(unknown, (None, None, None));
    }
}
