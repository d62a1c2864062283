//! Path patterns as the configuration checks them: their syntax, and whether one hides another.
//!
//! Matching requests is not done here.

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// Matches itself.
    Literal(String),
    /// `{name}` and a literal rest, which may be empty: any segment with that end.
    Any { end: String },
    /// `{name*}`: one or more segments.
    Rest,
}

/// A checked path pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
    names: Vec<String>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('/').ok_or("expected a path that begins with /")?;
        let mut pattern = Self { segments: Vec::new(), names: Vec::new() };
        for part in rest.split('/') {
            if pattern.segments.last() == Some(&Segment::Rest) {
                return Err("`{name*}` matches all that follows: it must be the last segment".to_owned());
            }
            let segment = pattern.segment(part)?;
            pattern.segments.push(segment);
        }
        Ok(pattern)
    }

    fn segment(&mut self, part: &str) -> Result<Segment, String> {
        if part.is_empty() {
            return Err("has an empty segment: `//`, or a `/` at the end".to_owned());
        }
        let Some(rest) = part.strip_prefix('{') else {
            return literal(part).map(Segment::Literal);
        };
        let (name, end) = rest.split_once('}').ok_or_else(|| format!("`{part}` has a `{{` without `}}`"))?;
        let (name, many) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
        let valid = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        if name.is_empty() || !name.bytes().all(valid) {
            return Err(format!("`{part}`: a parameter's name is made of a-z and `_`"));
        }
        if self.has(name) {
            return Err(format!("the parameter `{name}` stands here twice"));
        }
        self.names.push(name.to_owned());
        match (many, end) {
            (true, "") => Ok(Segment::Rest),
            (true, _) => Err(format!("`{part}`: nothing may follow `{{{name}*}}`")),
            (false, "") => Ok(Segment::Any { end: String::new() }),
            (false, end) => match end.strip_prefix(':') {
                Some(verb) if !verb.is_empty() && !verb.contains(':') => literal(end).map(|end| Segment::Any { end }),
                _ => Err(format!("`{part}`: only `:verb` may follow a parameter")),
            },
        }
    }

    /// Whether it has a parameter of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether it matches every path that the other matches. Literals have no case, as when requests are matched.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.segments.iter();
        for ours in &self.segments {
            match (ours, theirs.next()) {
                (Segment::Rest, Some(_)) => return true,
                (Segment::Literal(ours), Some(Segment::Literal(theirs))) if ours.eq_ignore_ascii_case(theirs) => {}
                (Segment::Any { end }, Some(Segment::Literal(theirs)))
                    if theirs.len() > end.len() && ends_with(theirs, end) => {}
                (Segment::Any { end }, Some(Segment::Any { end: theirs })) if ends_with(theirs, end) => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }
}

fn ends_with(text: &str, end: &str) -> bool {
    text.to_ascii_lowercase().ends_with(&end.to_ascii_lowercase())
}

fn literal(text: &str) -> Result<String, String> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@".contains(&byte);
    if text.bytes().all(valid) && text != "." && text != ".." {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no literal segment, nor {{name}}, {{name}}:verb or {{name*}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_literals_parameters_verbs_and_rests() {
        for text in [
            "/v1/chat/completions",
            "/{version}/models/{model}:generateContent",
            "/vendors/{vendor}/v1/{model}/{action*}",
            "/ws/google.ai.v1.Service",
        ] {
            assert!(Pattern::parse(text).is_ok(), "{text}");
        }
        assert!(Pattern::parse("/a/{model}:b").is_ok_and(|pattern| pattern.has("model") && !pattern.has("b")));
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (text, says) in [
            ("", "begins with /"),
            ("v1", "begins with /"),
            ("/", "empty segment"),
            ("/a//b", "empty segment"),
            ("/a/", "empty segment"),
            ("/a?b=c", "no literal"),
            ("/a/../b", "no literal"),
            ("/a b", "no literal"),
            ("/%41", "no literal"),
            ("/ä", "no literal"),
            ("/{a", "without"),
            ("/a{b}", "no literal"),
            ("/{}", "name"),
            ("/{A}", "name"),
            ("/{a}/{a}", "twice"),
            ("/{a*}/b", "last"),
            ("/{a*}b", "nothing may follow"),
            ("/{a}b", "only `:verb`"),
            ("/{a}:", "only `:verb`"),
            ("/{a1}", "name"),
            ("/a;b", "no literal"),
        ] {
            let problem = Pattern::parse(text).unwrap_err();
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }

    #[test]
    fn a_pattern_covers_what_can_never_be_reached_behind_it() {
        for (first, later, covers) in [
            ("/a", "/a", true),
            ("/a", "/A", true),
            ("/{x}", "/a", true),
            ("/a", "/{x}", false),
            ("/{x}", "/{y}:go", true),
            ("/{x}:go", "/{y}", false),
            ("/{x}:go", "/{y}:go", true),
            ("/{x}:go", "/m:go", true),
            ("/{x}:go", "/:go", false),
            ("/{x*}", "/a/b/c", true),
            ("/{x*}", "/a/{y*}", true),
            ("/a/{x*}", "/a", false),
            ("/a/{x}", "/a/{y*}", false),
            ("/a/{x}", "/a/b/c", false),
            ("/a/{x}/c", "/a/b/{y}", false),
        ] {
            let parse = |text| Pattern::parse(text).unwrap();
            assert_eq!(parse(first).covers(&parse(later)), covers, "{first} {later}");
        }
    }
}
