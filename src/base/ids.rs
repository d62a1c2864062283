//! Ids and names as types, so that two strings of different meaning never share a signature.

use super::clock::Timestamp;
use std::{fmt, sync::Arc};

/// A request's id: a ULID in its 26-character text form. Sorts by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; 26]);

impl RequestId {
    /// A new id of this moment.
    pub fn generate() -> Self {
        let mut text = [0; 26];
        ulid::Ulid::generate().array_to_str(&mut text);
        Self(text)
    }

    /// Reads the 26-character form; `None` when it is no ULID.
    pub fn parse(text: &str) -> Option<Self> {
        ulid::Ulid::from_string(text).ok()?;
        text.to_ascii_uppercase().as_bytes().try_into().ok().map(Self)
    }

    /// When it was made, to the millisecond.
    pub fn time(&self) -> Option<Timestamp> {
        let millis = ulid::Ulid::from_string(self.as_str()).ok()?.timestamp_ms();
        i64::try_from(millis).ok().map(Timestamp::from_millis)
    }

    /// The text as bytes, as ClickHouse's `FixedString(26)` holds it.
    pub const fn as_bytes(&self) -> &[u8; 26] {
        &self.0
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }
    )*};
}

names! {
    /// An organization's id: `org_` and a ULID in lower case.
    OrganizationId;
    /// A gateway key's public id: `key_` and a ULID in lower case. Not secret.
    KeyId;
    /// A budget's id: `bud_` and a ULID in lower case.
    BudgetId;
    /// A provider's name: the first path segment that selects it.
    ProviderName;
    /// A model as the caller or the provider names it.
    ModelName;
    /// An endpoint of a dialect, such as `chat.completions`.
    EndpointName;
}

impl OrganizationId {
    /// A new id.
    pub fn generate() -> Self {
        Self::new(format!("org_{}", RequestId::generate().as_str().to_ascii_lowercase()))
    }
}

impl KeyId {
    /// A new id.
    pub fn generate() -> Self {
        Self::new(format!("key_{}", RequestId::generate().as_str().to_ascii_lowercase()))
    }
}

impl BudgetId {
    /// A new id.
    pub fn generate() -> Self {
        Self::new(format!("bud_{}", RequestId::generate().as_str().to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_ulid_and_reads_back() {
        let id = RequestId::generate();
        assert_eq!(id.as_str().len(), 26);
        assert_eq!(RequestId::parse(id.as_str()), Some(id));
        assert_eq!(RequestId::parse("not-a-ulid"), None);
        assert_eq!(RequestId::parse(""), None);
        let known = RequestId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        assert_eq!(known.time().unwrap().millis(), 1_469_922_850_259);
    }
}
