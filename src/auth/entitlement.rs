//! Which models a key may ask for: default-deny, deny-wins rules with glob patterns.
//! Patterns are taken apart once, when a record is read; matching allocates nothing and never backtracks.

use memchr::memmem;

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

/// A pattern, cut at its stars. Between two stars a run may stand anywhere, and its first place is as good as any
/// later one, so one pass from left to right decides: linear for runs without `?`, and for a run with `?` at most
/// the run's length times the text's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob {
    /// What stands before the first star; the whole pattern when there is none.
    head: Box<[u8]>,
    /// What stands between stars, without empty runs.
    middle: Box<[Box<[u8]>]>,
    /// What stands behind the last star; `None` when the pattern has no star.
    tail: Option<Box<[u8]>>,
}

impl Glob {
    fn new(pattern: &str) -> Self {
        let mut runs = pattern.as_bytes().split(|byte| *byte == b'*');
        let head = runs.next().unwrap_or_default().into();
        let tail = runs.next_back().map(Box::from);
        let middle = runs.filter(|run| !run.is_empty()).map(Box::from).collect();
        Self { head, middle, tail }
    }

    /// Only stars, at least one.
    fn matches_everything(&self) -> bool {
        self.head.is_empty() && self.middle.is_empty() && self.tail.as_ref().is_some_and(|tail| tail.is_empty())
    }

    fn matches(&self, text: &[u8]) -> bool {
        let Some((start, mut rest)) = text.split_at_checked(self.head.len()) else { return false };
        if !run_matches(&self.head, start) {
            return false;
        }
        let Some(tail) = &self.tail else { return rest.is_empty() };
        for run in &self.middle {
            let Some(behind) = run_end(run, rest).and_then(|end| rest.get(end..)) else { return false };
            rest = behind;
        }
        rest.len().checked_sub(tail.len()).and_then(|from| rest.get(from..)).is_some_and(|end| run_matches(tail, end))
    }
}

/// Whether a run without stars matches a text of the same length.
fn run_matches(run: &[u8], text: &[u8]) -> bool {
    run.len() == text.len() && run.iter().zip(text).all(|(want, have)| want == have || *want == b'?')
}

/// Where the first place of a non-empty run in a text ends.
fn run_end(run: &[u8], text: &[u8]) -> Option<usize> {
    let start = if memchr::memchr(b'?', run).is_none() {
        memmem::find(text, run)
    } else {
        text.windows(run.len()).position(|window| run_matches(run, window))
    };
    start.map(|start| start + run.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(rules: &[(&str, &str, Effect)]) -> Entitlements {
        let rules = rules.iter().map(|(provider, pattern, effect)| Entitlement {
            provider: (*provider).into(),
            model_pattern: (*pattern).into(),
            effect: *effect,
        });
        rules.collect::<Vec<_>>().into()
    }

    #[test]
    fn patterns_match_as_globs_do() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything/at:all", true),
            ("**", "x", true),
            ("?", "", false),
            ("?", "x", true),
            ("?", "xy", false),
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o", "GPT-4o", false),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o-mini-2", false),
            ("gpt-?-*", "gpt-5-turbo", true),
            ("gpt-?-*", "gpt-35-turbo", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acbc", true),
            ("a*b*c", "acb", false),
            ("*ab*ab*", "aab", false),
            ("*?b*", "bb", true),
            ("*?b*", "b", false),
            ("[a-z]", "[a-z]", true),
            ("[a-z]", "b", false),
            ("llama3:8b", "llama3:8b", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Glob::new(pattern).matches(text.as_bytes()), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends_on_a_long_text() {
        let pattern = format!("{}b", "*a?".repeat(40));
        let text = "a".repeat(100_000);
        assert!(!Glob::new(&pattern).matches(text.as_bytes()));
        assert!(Glob::new(&format!("{pattern}*")).matches(format!("{text}b").as_bytes()));
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

    /// The textbook definition, exponential and obviously right.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => naive(rest, text) || text.split_first().is_some_and(|(_, t)| naive(pattern, t)),
            (Some((b'?', rest)), Some((_, text))) => naive(rest, text),
            (Some((want, rest)), Some((have, text))) => want == have && naive(rest, text),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn matching_agrees_with_the_textbook(pattern in "[ab*?]{0,10}", text in "[ab]{0,14}") {
            prop_assert_eq!(Glob::new(&pattern).matches(text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_text_matches_itself_and_a_star(text in "[^*?]{0,40}") {
            prop_assert!(Glob::new(&text).matches(text.as_bytes()));
            prop_assert!(Glob::new("*").matches(text.as_bytes()));
        }
    }
}
