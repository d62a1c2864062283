//! Of findings that overlap one stays: the better proved, then the longer, then the earlier.

use super::kind::{Finding, Kind};
use std::{cmp::Reverse, collections::BTreeMap};

/// The findings that stay, by their place.
pub(super) fn settle(mut found: Vec<Finding>) -> Vec<Finding> {
    if found.len() < 2 {
        return found;
    }
    found.sort_unstable_by_key(|finding| {
        (Reverse(finding.rank), Reverse(finding.end - finding.start), finding.start, weight(finding.kind))
    });
    let mut kept: BTreeMap<usize, Finding> = BTreeMap::new();
    for finding in found {
        let left = kept.range(..finding.end).next_back().is_none_or(|(_, other)| other.end <= finding.start);
        if left && finding.start < finding.end {
            kept.insert(finding.start, finding);
        }
    }
    kept.into_values().collect()
}

/// Among equals the more particular kind.
fn weight(kind: Kind) -> u8 {
    match kind {
        Kind::GenericApiKey | Kind::EnvSecret | Kind::SecretToken => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::kind::Rank, *};

    #[test]
    fn proof_beats_length_and_length_beats_place() {
        let finding = |kind, start, end, rank| Finding { kind, start, end, rank };
        let kept = settle(vec![
            finding(Kind::EnvSecret, 0, 30, Rank::Named),
            finding(Kind::GithubToken, 4, 20, Rank::Proved),
            finding(Kind::Phone, 40, 50, Rank::Shaped),
            finding(Kind::SsnUs, 42, 55, Rank::Shaped),
        ]);
        assert_eq!(kept.iter().map(|found| found.kind).collect::<Vec<_>>(), [Kind::GithubToken, Kind::SsnUs]);
    }
}
