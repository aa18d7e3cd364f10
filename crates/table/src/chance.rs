//! Chance from a seed. The worker that picks holds it, so that the same seed is the same run.

/// Draws numbers. Not for secrets: from some of them the rest can be computed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way each time for the same `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 up to `end`, which is not 0 and not among them.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // The upper half of the product is spread as evenly as the number is, with no division.
        let scaled = (u128::from(mix(self.0)) * end as u128) >> 64;
        usize::try_from(scaled).expect("less than a usize")
    }
}

/// Spreads the bits of a number over all of it (the finalizer of splitmix64). The same on every node and in every
/// build, as std's hashers do not promise to be.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn numbers_are_spread_evenly() {
        let mut dice = Dice::new(7);
        let mut seen = [0_u32; 10];
        for _ in 0..100_000 {
            seen[dice.below(10)] += 1;
        }
        assert!(seen.iter().all(|seen| (9_500..10_500).contains(seen)), "{seen:?}");
        assert_eq!(dice.below(1), 0);
    }
}
