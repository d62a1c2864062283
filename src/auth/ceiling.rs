//! The most that a key may get which an organization issues itself.

use super::{
    entitlement::{Effect, Entitlement},
    glob::covers,
    key::Scope,
};

/// What an organization's own keys may have at most. Changes concern keys that are issued from then on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    pub max_scopes: Vec<Scope>,
    /// Allow rules bound those of a key; deny rules become the key's own.
    pub entitlements: Vec<Entitlement>,
}

impl Default for Ceiling {
    /// Everything.
    fn default() -> Self {
        let all = Entitlement { provider: "*".into(), model_pattern: "*".into(), effect: Effect::Allow };
        Self { max_scopes: Scope::ALL.to_vec(), entitlements: vec![all] }
    }
}

/// What is asked for and beyond the ceiling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    #[error("the scope {} is beyond this organization's ceiling", .0.as_str())]
    Scope(Scope),
    #[error("allowing {model_pattern:?} of {provider:?} is beyond this organization's ceiling")]
    Rule { provider: String, model_pattern: String },
}

impl Ceiling {
    /// Checks the scopes and rules that a key is to have.
    ///
    /// # Errors
    /// The first that is beyond.
    pub fn check(&self, scopes: &[Scope], rules: &[Entitlement]) -> Result<(), Beyond> {
        if let Some(scope) = scopes.iter().find(|scope| !self.max_scopes.contains(scope)) {
            return Err(Beyond::Scope(*scope));
        }
        let beyond = |rule: &&Entitlement| rule.effect == Effect::Allow && !self.allows(rule);
        rules.iter().find(beyond).map_or(Ok(()), |rule| {
            Err(Beyond::Rule { provider: rule.provider.clone(), model_pattern: rule.model_pattern.clone() })
        })
    }

    /// The rules that each key gets beside its own.
    pub fn denials(&self) -> impl Iterator<Item = &Entitlement> {
        self.entitlements.iter().filter(|rule| rule.effect == Effect::Deny)
    }

    fn allows(&self, rule: &Entitlement) -> bool {
        self.entitlements.iter().filter(|own| own.effect == Effect::Allow).any(|own| {
            (own.provider == "*" || own.provider == rule.provider) && covers(&own.model_pattern, &rule.model_pattern)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(provider: &str, model_pattern: &str, effect: Effect) -> Entitlement {
        Entitlement { provider: provider.into(), model_pattern: model_pattern.into(), effect }
    }

    #[test]
    fn nothing_beyond_it_is_let_through_and_denials_are_handed_on() {
        use Effect::{Allow, Deny};
        let ceiling = Ceiling {
            max_scopes: vec![Scope::InferenceUse, Scope::StatsRead],
            entitlements: vec![rule("openai", "gpt-*", Allow), rule("*", "*-embed", Allow), rule("*", "gpt-5*", Deny)],
        };
        let check = |scopes: &[Scope], rules: &[Entitlement]| ceiling.check(scopes, rules);
        assert_eq!(check(&[Scope::StatsRead], &[]), Ok(()));
        assert_eq!(check(&[Scope::StatsRead, Scope::KeysManage], &[]), Err(Beyond::Scope(Scope::KeysManage)));
        for (provider, pattern, covered) in [
            ("openai", "gpt-4*", true),
            ("openai", "gpt-*", true),
            ("openai", "gpt-5", true),
            ("openai", "*", false),
            ("openai", "o3", false),
            ("anthropic", "gpt-4", false),
            ("*", "gpt-4", false),
            ("*", "x-embed", true),
            ("anthropic", "*-embed", true),
        ] {
            let outcome = check(&[], &[rule(provider, pattern, Allow)]);
            assert_eq!(outcome.is_ok(), covered, "{provider} {pattern}");
            assert_eq!(check(&[], &[rule(provider, pattern, Deny)]), Ok(()), "a denial takes nothing");
        }
        assert_eq!(ceiling.denials().collect::<Vec<_>>(), [&rule("*", "gpt-5*", Deny)]);
        let everything = Ceiling::default();
        assert_eq!(everything.check(&Scope::ALL, &[rule("*", "*", Allow), rule("x", "y", Deny)]), Ok(()));
    }
}
