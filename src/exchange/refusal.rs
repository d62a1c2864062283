//! Every "no" that the gateway can say: status, machine-readable type, text for the caller, text for the log.
//! The only file that knows statuses of our own. docs/errors.md lists the same kinds; a test compares them.

use crate::base::ids::RequestId;
use std::borrow::Cow;

/// Why the gateway answers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    BadRequest,
    Unauthorized,
    BudgetExceeded,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Gone,
    PayloadTooLarge,
    RateLimited,
    Internal,
    ProviderUnreachable,
    Unavailable,
    ProviderTimeout,
}

impl Kind {
    /// All kinds, in the order of their statuses.
    pub const ALL: [Self; 13] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::BudgetExceeded,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Gone,
        Self::PayloadTooLarge,
        Self::RateLimited,
        Self::Internal,
        Self::ProviderUnreachable,
        Self::Unavailable,
        Self::ProviderTimeout,
    ];

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::BudgetExceeded => 402,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Gone => 410,
            Self::PayloadTooLarge => 413,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::ProviderUnreachable => 502,
            Self::Unavailable => 503,
            Self::ProviderTimeout => 504,
        }
    }

    /// `error.type` of the envelope, and `error_type` of the usage event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Gone => "gone",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::ProviderUnreachable => "provider_unreachable",
            Self::Unavailable => "unavailable",
            Self::ProviderTimeout => "provider_timeout",
        }
    }
}

/// An answer that we make, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub kind: Kind,
    /// For the caller: says what to do, and holds no secret, prompt, address or path.
    pub outside: Cow<'static, str>,
    /// For the log alone.
    pub inside: Option<String>,
    /// Whole seconds after which trying again makes sense, at least 1.
    pub retry_after_seconds: Option<u32>,
    /// Which limit refused, for `X-Gateway-Limit`.
    pub limit: Option<&'static str>,
}

impl Refusal {
    /// A refusal with its text for the caller.
    pub fn new(kind: Kind, outside: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, outside: outside.into(), inside: None, retry_after_seconds: None, limit: None }
    }

    /// 400.
    pub fn bad_request(outside: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::BadRequest, outside)
    }

    /// 500: a defect of ours. The caller learns nothing more.
    pub fn internal(inside: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "the gateway failed to handle this request").with_inside(inside)
    }

    /// 503.
    pub fn unavailable(outside: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after_seconds: Some(1), ..Self::new(Kind::Unavailable, outside) }
    }

    /// Adds what only the log may say.
    #[must_use]
    pub fn with_inside(mut self, inside: impl Into<String>) -> Self {
        self.inside = Some(inside.into());
        self
    }

    /// Adds when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds.max(1));
        self
    }

    /// The envelope of contract §7.
    pub fn body(&self, id: RequestId) -> Vec<u8> {
        let body = serde_json::json!({
            "error": {"type": self.kind.as_str(), "message": self.outside, "request_id": id.as_str()}
        });
        body.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_kind_has_its_own_status_and_type() {
        let statuses: HashSet<u16> = Kind::ALL.iter().map(|kind| kind.status()).collect();
        let types: HashSet<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!((statuses.len(), types.len()), (Kind::ALL.len(), Kind::ALL.len()));
    }

    #[test]
    fn the_envelope_is_json_whatever_the_text_holds() {
        let id = RequestId::generate();
        let body = Refusal::bad_request("a \"quoted\"\nline \u{1}").body(id);
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["error"]["type"], "bad_request");
        assert_eq!(value["error"]["message"], "a \"quoted\"\nline \u{1}");
        assert_eq!(value["error"]["request_id"], id.as_str());
    }

    #[test]
    fn every_kind_is_in_the_list_of_errors() {
        let docs = include_str!("../../docs/errors.md");
        for kind in Kind::ALL {
            let row = format!("| {} | `{}` |", kind.status(), kind.as_str());
            assert!(docs.contains(&row), "docs/errors.md lacks the row `{row}`");
        }
    }
}
