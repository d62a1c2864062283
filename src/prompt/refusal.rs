//! Every "no" of the security gateway: its code, and otherwise a refusal like all others. docs/security-gateway.md lists
//! the same codes; a test compares them.

use crate::exchange::refusal::{Kind, Refusal};

/// `error.code`, and `error_type` of the usage event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    Validation,
    Unauthorized,
    BudgetExceeded,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    PayloadTooLarge,
    RateLimited,
    Internal,
    ProviderUnavailable,
    Unavailable,
    ProviderTimeout,
    GatewayTimeout,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 13] = [
        Self::Validation,
        Self::Unauthorized,
        Self::BudgetExceeded,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::PayloadTooLarge,
        Self::RateLimited,
        Self::Internal,
        Self::ProviderUnavailable,
        Self::Unavailable,
        Self::ProviderTimeout,
        Self::GatewayTimeout,
    ];

    /// As callers see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Unauthorized => "unauthorized",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::Unavailable => "unavailable",
            Self::ProviderTimeout => "provider_timeout",
            Self::GatewayTimeout => "gateway_timeout",
        }
    }

    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::BadRequest => Self::Validation,
            Kind::Unauthorized => Self::Unauthorized,
            Kind::BudgetExceeded => Self::BudgetExceeded,
            Kind::Forbidden => Self::Forbidden,
            Kind::NotFound | Kind::Gone => Self::NotFound,
            Kind::MethodNotAllowed => Self::MethodNotAllowed,
            Kind::PayloadTooLarge => Self::PayloadTooLarge,
            Kind::RateLimited => Self::RateLimited,
            Kind::Internal => Self::Internal,
            Kind::ProviderUnreachable => Self::ProviderUnavailable,
            Kind::Unavailable => Self::Unavailable,
            Kind::ProviderTimeout => Self::ProviderTimeout,
        }
    }
}

/// A refusal with its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct No {
    pub code: Code,
    pub refusal: Refusal,
}

impl No {
    /// 400 with a text for the caller, which must hold nothing of the request.
    pub fn validation(outside: &'static str) -> Self {
        Refusal::bad_request(outside).into()
    }

    /// The provider answered, but not with what was asked for.
    pub fn provider_unavailable(inside: impl Into<String>) -> Self {
        Refusal::new(Kind::ProviderUnreachable, "the provider did not answer as it should").with_inside(inside).into()
    }

    /// The provider asks to be left alone for so many seconds.
    pub fn provider_busy(seconds: u32, inside: impl Into<String>) -> Self {
        let refusal = Refusal::unavailable("the provider takes no more requests at the moment");
        Self { code: Code::ProviderUnavailable, refusal: refusal.with_retry_after(seconds).with_inside(inside) }
    }

    /// The whole took too long.
    pub fn gateway_timeout() -> Self {
        let refusal = Refusal::new(Kind::ProviderTimeout, "the answer did not come within the gateway's time");
        Self { code: Code::GatewayTimeout, refusal }
    }

    /// The body of the answer.
    pub fn body(&self) -> Vec<u8> {
        let body = serde_json::json!({"error": {"code": self.code.as_str(), "message": self.refusal.outside}});
        body.to_string().into_bytes()
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self { code: Code::of(refusal.kind), refusal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_has_a_name_of_its_own_and_is_in_the_documents() {
        let docs = include_str!("../../docs/security-gateway.md");
        let names: HashSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let row = format!("| `{}` |", code.as_str());
            assert!(docs.contains(&row), "docs/security-gateway.md lacks `{row}`");
        }
    }
}
