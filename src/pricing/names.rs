//! How a model's name meets a row's names: globs, and snapshots of a model that carry a date.
//!
//! Works on borrowed text: nothing here allocates once the book is built.

/// A pattern over model names: `*` matches any run of characters, `?` exactly one; all else matches itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(String);

/// The longest pattern or name that a row may hold.
const NAME_BYTES_MAX: usize = 256;

impl Glob {
    /// True when the text has a wildcard and so is a pattern, not a name.
    pub(super) fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?'])
    }

    /// Checks a pattern.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        check_name(pattern)?;
        if pattern.contains("**") {
            return Err(format!("bad glob {pattern:?}: `**` means no more than `*`"));
        }
        Ok(Self(pattern.to_owned()))
    }

    /// How many characters it spells out: of two patterns that match, the one that spells out more is meant.
    pub(super) fn literal_chars(&self) -> usize {
        self.0.chars().filter(|c| !matches!(c, '*' | '?')).count()
    }

    /// Whether the whole name matches. Time is at most the product of both lengths.
    pub(super) fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), name.chars());
        // Where to resume when what follows the last star did not fit: behind the star, one character later.
        let mut resume: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
        loop {
            let rest_here = rest.clone();
            match (pattern.next(), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    resume = Some((pattern.clone(), rest_here.clone()));
                    rest = rest_here;
                }
                (Some('?'), Some(_)) => {}
                (Some(expected), Some(found)) if expected == found => {}
                _ => {
                    let Some((behind_star, mut later)) = resume.take() else { return false };
                    if later.next().is_none() {
                        return false;
                    }
                    resume = Some((behind_star.clone(), later.clone()));
                    (pattern, rest) = (behind_star, later);
                }
            }
        }
    }
}

/// Checks a name or pattern: neither empty nor endless, nothing invisible in it.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name is empty".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("a name is longer than {NAME_BYTES_MAX} bytes"));
    }
    if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("the name {name:?} holds white space or control characters"));
    }
    Ok(())
}

/// The name without its snapshot's mark: `-2026-03-05`, `-20260305`, `-260305`, `-latest`, and `@` with a date,
/// `latest` or `default`. `None` when it carries no mark. Digits that are no date stay: `gpt-4-1106` is a model.
pub(super) fn without_snapshot(name: &str) -> Option<&str> {
    let (model, mark) = match name.rsplit_once('@') {
        Some((model, mark)) => (model, mark),
        None => ["-YYYY-MM-DD", "-YYYYMMDD", "-YYMMDD", "-latest"].into_iter().find_map(|shape| {
            let (model, mark) = name.split_at_checked(name.len().checked_sub(shape.len())?)?;
            Some((model, mark.strip_prefix('-')?)).filter(|(_, mark)| *mark == "latest" || is_date(mark))
        })?,
    };
    let is_mark = matches!(mark, "latest" | "default") || is_date(mark);
    (is_mark && !model.is_empty()).then_some(model)
}

/// `2026-03-05`, `20260305` or `260305`, of this century.
fn is_date(text: &str) -> bool {
    let digits = |from: usize| -> Option<u32> {
        let two = text.get(from..from + 2).filter(|two| two.bytes().all(|b| b.is_ascii_digit()))?;
        two.parse().ok()
    };
    let (century, year, month, day) = match text.len() {
        6 => (Some(20), digits(0), digits(2), digits(4)),
        8 => (digits(0), digits(2), digits(4), digits(6)),
        10 if text.get(4..5) == Some("-") && text.get(7..8) == Some("-") => {
            (digits(0), digits(2), digits(5), digits(8))
        }
        _ => return false,
    };
    century == Some(20)
        && year.is_some()
        && month.is_some_and(|month| (1..=12).contains(&month))
        && day.is_some_and(|day| (1..=31).contains(&day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_glob_matches_the_whole_name() {
        for (pattern, name, matches) in [
            ("gpt-*", "gpt-5.4", true),
            ("gpt-*", "gpt-", true),
            ("gpt-*", "my-gpt-5", false),
            ("*-mini", "gpt-5-mini", true),
            ("*-mini", "gpt-5-mini-2", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "bbba", false),
            ("gpt-?", "gpt-5", true),
            ("gpt-?", "gpt-", false),
            ("gpt-?", "gpt-54", false),
            ("模?", "模型", true),
            ("*", "", true),
            ("a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn a_bad_glob_is_refused_with_its_reason() {
        for (pattern, reason) in [("", "empty"), ("a**b", "**"), ("a b*", "white space"), ("a\u{7}*", "control")] {
            let problem = Glob::new(pattern).unwrap_err();
            assert!(problem.contains(reason), "{pattern:?}: {problem}");
        }
        assert!(Glob::new(&"a".repeat(257)).is_err());
    }

    #[test]
    fn a_snapshots_mark_is_taken_off_and_nothing_else() {
        for (name, model) in [
            ("gpt-5.4-2026-03-05", Some("gpt-5.4")),
            ("claude-haiku-4-5-20251001", Some("claude-haiku-4-5")),
            ("mistral-large-latest", Some("mistral-large")),
            ("claude-sonnet-4@20250514", Some("claude-sonnet-4")),
            ("seedance-1-5-pro-251215", Some("seedance-1-5-pro")),
            ("seedance-1-5-pro-251315", None),
            ("seedance-1-5-pro251215", None),
            ("claude-sonnet-4@2025-05-14", Some("claude-sonnet-4")),
            ("claude-sonnet-4@latest", Some("claude-sonnet-4")),
            ("claude-sonnet-4@default", Some("claude-sonnet-4")),
            ("gpt-5.4-2026-13-05", None),
            ("gpt-5.4-2026-03-32", None),
            ("gpt-5.4-19990305", None),
            ("gpt-4-1106", None),
            ("gpt-4@eu", None),
            ("gpt-4o", None),
            ("-latest", None),
            ("-2026-03-05", None),
            ("@latest", None),
            ("模-20260305", Some("模")),
            ("", None),
        ] {
            assert_eq!(without_snapshot(name), model, "{name}");
        }
    }

    /// The obvious matcher, exponential and so for short texts only.
    fn matches_simply(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', behind)), _) => (0..=name.len()).any(|skipped| matches_simply(behind, &name[skipped..])),
            (Some((expected, pattern)), Some((found, name))) => {
                (*expected == '?' || expected == found) && matches_simply(pattern, name)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_as_the_simple_matcher_does(pattern in "[ab?]{0,2}(\\*[ab?]{0,2}){0,3}", name in "[ab]{0,8}") {
            prop_assume!(!pattern.is_empty() && !pattern.contains("**"));
            let (pattern_chars, name_chars): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(Glob::new(&pattern).unwrap().matches(&name), matches_simply(&pattern_chars, &name_chars));
        }

        #[test]
        fn any_text_is_searched_for_a_mark_without_harm(name in "\\PC{0,40}") {
            if let Some(model) = without_snapshot(&name) {
                prop_assert!(name.starts_with(model) && model.len() < name.len());
            }
        }
    }
}
