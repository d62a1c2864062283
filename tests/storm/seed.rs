//! Chance that can be had again: a test prints its seed, and `STORM_SEED` repeats it.

/// `SplitMix64`.
pub(crate) struct Chance(u64);

impl Chance {
    /// A new seed, or the one that is asked for; printed, so that a failure shows it.
    #[expect(clippy::disallowed_methods, reason = "a developer repeats a failure by its seed")]
    pub(crate) fn new() -> Self {
        let asked = std::env::var("STORM_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = asked.unwrap_or_else(|| getrandom::u64().expect("the system gives random bytes"));
        println!("STORM_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `from` up to, but not, `to`.
    pub(crate) fn between(&mut self, from: usize, to: usize) -> usize {
        let span = u64::try_from(to - from).expect("a small span");
        from + usize::try_from(self.next() % span).expect("a small number")
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.between(0, items.len())]
    }
}
