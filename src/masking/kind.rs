//! What a finding is: its kind, its place, how sure we are. A finding holds no text and so cannot leak any.

use std::fmt;

/// The kinds of personal data and secrets that leave a prompt as placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Person,
    Email,
    Phone,
    IpAddress,
    CreditCard,
    Iban,
    SsnUs,
    SinCa,
    Jwt,
    OpenaiApiKey,
    GithubToken,
    AwsAccessKeyId,
    AwsSecretAccessKey,
    GenericApiKey,
    EnvSecret,
    SecretToken,
    PrivateKey,
    ConnPassword,
    NationalId,
    MacAddress,
    CryptoWallet,
    DateOfBirth,
    /// From an organization's own dictionary or pattern.
    Custom,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 23] = [
        Self::Person,
        Self::Email,
        Self::Phone,
        Self::IpAddress,
        Self::CreditCard,
        Self::Iban,
        Self::SsnUs,
        Self::SinCa,
        Self::Jwt,
        Self::OpenaiApiKey,
        Self::GithubToken,
        Self::AwsAccessKeyId,
        Self::AwsSecretAccessKey,
        Self::GenericApiKey,
        Self::EnvSecret,
        Self::SecretToken,
        Self::PrivateKey,
        Self::ConnPassword,
        Self::NationalId,
        Self::MacAddress,
        Self::CryptoWallet,
        Self::DateOfBirth,
        Self::Custom,
    ];

    /// The name that stands in placeholders, reports and columns.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "PERSON",
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::IpAddress => "IP_ADDRESS",
            Self::CreditCard => "CREDIT_CARD",
            Self::Iban => "IBAN",
            Self::SsnUs => "SSN_US",
            Self::SinCa => "SIN_CA",
            Self::Jwt => "JWT",
            Self::OpenaiApiKey => "OPENAI_API_KEY",
            Self::GithubToken => "GITHUB_TOKEN",
            Self::AwsAccessKeyId => "AWS_ACCESS_KEY_ID",
            Self::AwsSecretAccessKey => "AWS_SECRET_ACCESS_KEY",
            Self::GenericApiKey => "GENERIC_API_KEY",
            Self::EnvSecret => "ENV_SECRET",
            Self::SecretToken => "SECRET_TOKEN",
            Self::PrivateKey => "PRIVATE_KEY",
            Self::ConnPassword => "CONN_PASSWORD",
            Self::NationalId => "NATIONAL_ID",
            Self::MacAddress => "MAC_ADDRESS",
            Self::CryptoWallet => "CRYPTO_WALLET",
            Self::DateOfBirth => "DATE_OF_BIRTH",
            Self::Custom => "CUSTOM",
        }
    }

    /// The kind of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How much stands behind a finding; on overlap the higher one stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A value beside a word that names it.
    Named,
    /// The form says it, and what stands around does not deny it.
    Shaped,
    /// A checksum, a registry or a provider's own prefix says it.
    Proved,
    /// The organization says it.
    Ordered,
}

/// A span of a text that holds personal data or a secret, in bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    pub(super) rank: Rank,
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}..{}", self.kind.name(), self.start, self.end)
    }
}

/// Findings per kind: all that may be kept of a masked prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u32; Kind::ALL.len()]);

impl Counts {
    pub(super) fn add(&mut self, kind: Kind) {
        if let Some(count) = self.0.get_mut(kind as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// How many findings of the kind there were.
    pub fn of(&self, kind: Kind) -> u32 {
        self.0.get(kind as usize).copied().unwrap_or(0)
    }

    /// All findings.
    pub fn total(&self) -> u32 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The kinds that were found, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u32)> {
        Kind::ALL.into_iter().map(|kind| (kind, self.of(kind))).filter(|(_, count)| *count != 0)
    }
}
