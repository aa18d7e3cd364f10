//! Computes when a backend is probed next. Time and randomness are arguments.

use std::time::{Duration, Instant};

/// The start of the next probe after one that began at `begun`: an interval later, with jitter.
pub fn next(begun: Instant, interval: Duration, jitter_percent: u8, random: &mut Random) -> Instant {
    begun + stretch(interval, jitter_percent, random)
}

/// The start of the second probe of a target. The first ones all begin together, and the second ones are spread
/// evenly.
pub fn second(begun: Instant, interval: Duration, random: &mut Random) -> Instant {
    begun + interval.mul_f64(random.fraction())
}

fn stretch(interval: Duration, jitter_percent: u8, random: &mut Random) -> Duration {
    let share = f64::from(jitter_percent.min(JITTER_PERCENT_MAX)) / 100.0;
    interval.mul_f64(1.0 + share * (2.0 * random.fraction() - 1.0))
}

/// The largest share by which an interval varies.
pub const JITTER_PERCENT_MAX: u8 = 50;

/// Random numbers from a seed (splitmix64). The same seed gives the same sequence.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts with `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// In the range from 0 up to but not including 1.
    fn fraction(&mut self) -> f64 {
        // 32 bits are enough for an interval, and exact in an `f64`.
        let upper = u32::try_from(self.draw() >> 32).expect("32 bits are left");
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Random, next, second};
    use crate::samples::origin;

    #[test]
    fn splitmix64_as_published() {
        let mut random = Random::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| random.draw()).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn targets_probed_together_are_spread_over_an_interval() {
        let interval = Duration::from_secs(2);
        let mut random = Random::new(1);
        let begun = origin();
        let mut quarters = [0; 4];
        for _ in 0..4000 {
            let gap = second(begun, interval, &mut random) - begun;
            quarters[usize::try_from(gap.as_millis() / 500).unwrap()] += 1;
        }
        assert!(quarters.iter().all(|count| (900..1100).contains(count)), "{quarters:?}");
    }

    proptest! {
        #[test]
        fn an_interval_stays_within_its_jitter(
            seed in any::<u64>(), millis in 1u64..100_000, percent in 0u8..=50,
        ) {
            let interval = Duration::from_millis(millis);
            let begun = origin();
            let gap = next(begun, interval, percent, &mut Random::new(seed)) - begun;
            let most = interval.mul_f64(f64::from(percent) / 100.0) + Duration::from_nanos(2);
            prop_assert!(gap <= interval + most && gap + most >= interval, "{gap:?}");
        }
    }
}
