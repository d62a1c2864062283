//! The parts of an answer that is several: responses on one WebSocket, images of one stream.
//!
//! Parts that are priced alike are summed, so that a socket of a thousand responses holds a few sums.

use super::reading::{Part, Tokens, Units};

/// Context tiers begin at multiples of this many tokens: two inputs within one step are priced alike.
const INPUT_STEP: u64 = 4000;
/// More sums than this are not held apart.
const PARTS_MAX: usize = 64;
/// A longer name is none.
const NAME_BYTES_MAX: usize = 256;

/// The parts so far.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Those that are over, as sums.
    pub(super) over: Vec<Part>,
    /// One ended before its figures came.
    pub(super) is_late: bool,
}

/// Adds a part to the sum of those that are priced like it.
pub(super) fn add(parts: &mut Vec<Part>, part: Part) {
    let short = |name: Option<String>| name.filter(|name| name.len() <= NAME_BYTES_MAX);
    let part = Part { model: short(part.model), service_tier: short(part.service_tier), ..part };
    let is_full = parts.len() >= PARTS_MAX;
    let place = parts.iter().position(|sum| are_priced_alike(sum, &part));
    let place = place.or(is_full.then_some(PARTS_MAX - 1));
    match place.and_then(|place| parts.get_mut(place)) {
        Some(sum) => {
            sum.tokens.add(&part.tokens);
            sum.units.add(&part.units);
            sum.input_largest = sum.input_largest.max(part.input_largest);
        }
        None => parts.push(part),
    }
}

fn are_priced_alike(one: &Part, two: &Part) -> bool {
    let step = |part: &Part| part.input_largest.max(1).div_ceil(INPUT_STEP);
    let names = |part: &Part| (part.is_aside, part.model.clone(), part.service_tier.clone());
    step(one) == step(two) && names(one) == names(two)
}

/// All of them together.
pub(super) fn total(parts: &[Part]) -> (Tokens, Units) {
    let (mut tokens, mut units) = (Tokens::default(), Units::default());
    for part in parts {
        tokens.add(&part.tokens);
        units.add(&part.units);
    }
    (tokens, units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(model: &str, input: u64) -> Part {
        let tokens = Tokens { input, output: 1, ..Tokens::default() };
        Part { model: Some(model.to_owned()), tokens, input_largest: input, ..Part::default() }
    }

    #[test]
    fn parts_of_one_price_are_one_sum_and_others_stay_apart() {
        let mut parts = Vec::new();
        let aside = Part { is_aside: true, ..part("a", 1) };
        let flex = Part { service_tier: Some("flex".to_owned()), ..part("a", 1) };
        for part in [part("a", 1), part("a", 4000), part("a", 4001), part("b", 1), aside, flex, part("a", 3)] {
            add(&mut parts, part);
        }
        let sums: Vec<_> = parts.iter().map(|part| (part.tokens.input, part.tokens.output)).collect();
        assert_eq!(sums, [(4004, 3), (4001, 1), (1, 1), (1, 1), (1, 1)]);
        let (tokens, _) = total(&parts);
        assert_eq!((tokens.input, tokens.output), (8008, 7));
    }

    #[test]
    fn the_number_of_sums_is_bounded_and_nothing_is_lost() {
        let mut parts = Vec::new();
        for n in 1..=1000 {
            add(&mut parts, part("a", n * INPUT_STEP));
        }
        assert_eq!(parts.len(), PARTS_MAX);
        assert_eq!(total(&parts).0.output, 1000);
    }
}
