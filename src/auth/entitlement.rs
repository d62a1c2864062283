//! Which models a key may ask for: default-deny, deny-wins rules with glob patterns.
//! Patterns are taken apart once, when a record is read; matching allocates nothing and never backtracks.

use super::glob::Glob;

/// Whether a rule lets through or forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Allow,
    Deny,
}

/// One rule. `*` matches any run of bytes, `?` exactly one; all else matches itself.
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

/// What a key's rules say about one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Some allow rule matches and no deny rule does.
    Allowed,
    /// No allow rule matches.
    NotEntitled,
    /// A deny rule matches.
    Denied,
}

impl Verdict {
    /// Whether the model may be asked for.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// All rules of one key, ready to match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entitlements {
    rules: Vec<Entitlement>,
    /// One for each rule, in the same order.
    globs: Vec<Glob>,
}

impl Entitlements {
    /// The rules as they were given.
    pub fn rules(&self) -> &[Entitlement] {
        &self.rules
    }

    /// Whether a model of a provider may be asked for.
    pub fn allows(&self, provider: &str, model: &str) -> Verdict {
        self.judge(provider, |glob| glob.matches(model.as_bytes()), |glob| glob.matches(model.as_bytes()))
    }

    /// Whether a read-only listing of a provider may be asked for: some allow rule concerns the provider, and no
    /// deny rule forbids all of its models.
    pub fn allows_any(&self, provider: &str) -> Verdict {
        self.judge(provider, |_| true, Glob::matches_everything)
    }

    /// Whether a call may be made that names no model (files, batches). It could reach any model of the provider,
    /// so an allow rule must match all of them, and no deny rule may concern the provider at all: what a file or a
    /// batch asks for is not seen here, and a deny rule that they could go around would be none.
    pub fn allows_all(&self, provider: &str) -> Verdict {
        self.judge(provider, Glob::matches_everything, |_| true)
    }

    fn judge(&self, provider: &str, allow: impl Fn(&Glob) -> bool, deny: impl Fn(&Glob) -> bool) -> Verdict {
        let mut verdict = Verdict::NotEntitled;
        for (rule, glob) in self.rules.iter().zip(&self.globs) {
            if rule.provider != "*" && rule.provider != provider {
                continue;
            }
            match rule.effect {
                Effect::Deny if deny(glob) => return Verdict::Denied,
                Effect::Allow if verdict != Verdict::Allowed && allow(glob) => verdict = Verdict::Allowed,
                Effect::Deny | Effect::Allow => {}
            }
        }
        verdict
    }
}

impl From<Vec<Entitlement>> for Entitlements {
    fn from(rules: Vec<Entitlement>) -> Self {
        let globs = rules.iter().map(|rule| Glob::new(&rule.model_pattern)).collect();
        Self { rules, globs }
    }
}

impl serde::Serialize for Entitlements {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rules.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[(&str, &str, Effect)]) -> Entitlements {
        let rules = rules.iter().map(|(provider, pattern, effect)| Entitlement {
            provider: (*provider).into(),
            model_pattern: (*pattern).into(),
            effect: *effect,
        });
        rules.collect::<Vec<_>>().into()
    }

    #[test]
    fn nothing_is_allowed_without_a_rule_and_deny_wins_in_any_order() {
        use Effect::{Allow, Deny};
        use Verdict::{Allowed, Denied, NotEntitled};
        let key = rules(&[("openai", "gpt-4o-audio*", Deny), ("openai", "gpt-4o*", Allow), ("*", "*-embed", Allow)]);
        let cases = [
            ("openai", "gpt-4o", Allowed),
            ("openai", "gpt-4o-audio-preview", Denied),
            ("openai", "gpt-5", NotEntitled),
            ("anthropic", "gpt-4o", NotEntitled),
            ("anthropic", "x-embed", Allowed),
            ("anthropic", "gpt-4o-audio-embed", Allowed),
            ("openai", "gpt-4o-audio-embed", Denied),
            ("OpenAI", "gpt-4o", NotEntitled),
        ];
        for (provider, model, expected) in cases {
            assert_eq!(key.allows(provider, model), expected, "{provider} {model}");
        }
        assert_eq!(Entitlements::default().allows("openai", "gpt-4o"), NotEntitled);
        assert_eq!(rules(&[("*", "*", Allow), ("*", "*", Deny)]).allows("openai", "gpt-4o"), Denied);
    }

    #[test]
    fn a_listing_needs_any_allow_rule_for_the_provider() {
        use Effect::{Allow, Deny};
        let one = rules(&[("openai", "gpt-4o", Allow), ("openai", "gpt-5", Deny)]);
        assert_eq!(one.allows_any("openai"), Verdict::Allowed);
        assert_eq!(one.allows_any("anthropic"), Verdict::NotEntitled);
        assert_eq!(rules(&[("*", "x", Allow)]).allows_any("anthropic"), Verdict::Allowed);
        assert_eq!(rules(&[("openai", "x", Allow), ("openai", "*", Deny)]).allows_any("openai"), Verdict::Denied);
        assert_eq!(rules(&[("openai", "x", Deny)]).allows_any("openai"), Verdict::NotEntitled);
    }

    #[test]
    fn a_call_without_a_model_needs_a_star_and_no_deny_rule_that_it_could_go_around() {
        use Effect::{Allow, Deny};
        let cases: [(&[_], _); 9] = [
            (&[("openai", "*", Allow)], Verdict::Allowed),
            (&[("*", "**", Allow)], Verdict::Allowed),
            (&[("openai", "gpt-*", Allow)], Verdict::NotEntitled),
            (&[("openai", "?*", Allow)], Verdict::NotEntitled),
            (&[("openai", "", Allow)], Verdict::NotEntitled),
            (&[("anthropic", "*", Allow)], Verdict::NotEntitled),
            (&[("openai", "*", Allow), ("openai", "gpt-5*", Deny)], Verdict::Denied),
            (&[("openai", "*", Allow), ("*", "gpt-5*", Deny)], Verdict::Denied),
            (&[("openai", "*", Allow), ("anthropic", "*", Deny)], Verdict::Allowed),
        ];
        for (given, expected) in cases {
            assert_eq!(rules(given).allows_all("openai"), expected, "{given:?}");
        }
    }
}
