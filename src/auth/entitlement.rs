//! Which models a key may ask for: default-deny, deny-wins rules with glob patterns.

/// Whether a rule lets through or forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Allow,
    Deny,
}

/// One rule. `*` matches any run of characters, `?` exactly one; all else matches itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitlement {
    /// A provider's name, or `*`.
    pub provider: String,
    /// A glob over model names.
    pub model_pattern: String,
    /// Allow or deny.
    pub effect: Effect,
}
