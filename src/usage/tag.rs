//! Names of attribution tags, and the columns of those that settings name as hot.

/// Longest name of a tag.
const NAME_BYTES_MAX: usize = 64;

/// Whether a text may name a tag: `[a-z0-9_.-]{1,64}`.
pub fn is_tag_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
}

/// The column of a hot tag, to be quoted in SQL; `None` when the text names no tag.
/// A colon stands for a dot, which would make ClickHouse see a nested column.
pub(super) fn hot_column(name: &str) -> Option<String> {
    is_tag_name(name).then(|| format!("tag_{}", name.replace('.', ":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_contracts_alphabet_names_a_tag() {
        for name in ["a", "feature", "cost-centre", "a.b_c-9", &"x".repeat(64)] {
            assert!(is_tag_name(name), "{name}");
        }
        for name in ["", "Feature", "a b", "a'b", "a`b", "ä", "a\\", &"x".repeat(65)] {
            assert!(!is_tag_name(name), "{name}");
            assert_eq!(hot_column(name), None);
        }
    }

    #[test]
    fn two_tags_never_share_a_column() {
        assert_eq!(hot_column("a.b").as_deref(), Some("tag_a:b"));
        assert_eq!(hot_column("a_b").as_deref(), Some("tag_a_b"));
        assert_eq!(hot_column("a-b").as_deref(), Some("tag_a-b"));
    }
}
