//! Durations, counted by how long they were. Like all counters, each has one writer, and any may read it.

use std::time::Duration;

use crate::counter::{Counter, PerWorker};

/// Durations of one kind, as one worker counts them.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [Duration; BOUNDS],
    /// By the first bound that is not shorter; the last are those beyond every bound.
    counts: [Counter; BOUNDS + 1],
    /// All of them together, in microseconds.
    micros: Counter,
}

/// Durations of one kind over all workers, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durations {
    /// How many there are for each bound: those that are not longer, and longer than the bound before.
    pub buckets: Vec<(Duration, u64)>,
    /// How many there are, those beyond every bound included.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
}

/// How many bounds a histogram has. Each is a series of the metrics.
const BOUNDS: usize = 16;

/// For what takes a few round trips.
pub(crate) const SHORT: [Duration; BOUNDS] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// For what takes anything from one request to days.
pub(crate) const LONG: [Duration; BOUNDS] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(24 * 3600),
];

impl Histogram {
    pub(crate) fn new(bounds: &'static [Duration; BOUNDS]) -> Self {
        Self { bounds, counts: Default::default(), micros: Counter::default() }
    }

    /// Counts one. Only the one writer may call this.
    pub fn add(&self, duration: Duration) {
        let bucket = self.bounds.partition_point(|bound| *bound < duration);
        self.counts[bucket].add(1);
        self.micros.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}

impl<T> PerWorker<T> {
    /// One histogram over all workers.
    pub fn durations(&self, of: impl Fn(&T) -> &Histogram) -> Durations {
        let bounds = self.iter().next().map_or(&SHORT, |worker| of(worker).bounds);
        let bucket = |bucket: usize| self.sum(|worker| of(worker).counts[bucket].get());
        let buckets: Vec<_> =
            bounds.iter().enumerate().map(|(number, bound)| (*bound, bucket(number))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum::<u64>() + bucket(BOUNDS);
        let sum = Duration::from_micros(self.sum(|worker| of(worker).micros.get()));
        Durations { buckets, count, sum }
    }
}

impl Durations {
    /// How long the shortest `permille` thousandths of them took at most, if those of a bucket lie evenly between
    /// its bounds; none if there are none. Beyond every bound it is the last bound: at least so long.
    pub fn quantile(&self, permille: u16) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        // Exact up to 2^53, and what it is made of are guesses anyway.
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        let float = |number: u64| number as f64;
        let rank = float(self.count) * f64::from(permille) / 1000.0;
        let mut below = 0.0;
        let mut lower = Duration::ZERO;
        for &(upper, count) in &self.buckets {
            let count = float(count);
            if count > 0.0 && below + count >= rank {
                return Some(lower + upper.saturating_sub(lower).mul_f64((rank - below) / count));
            }
            below += count;
            lower = upper;
        }
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONG, SHORT};
    use crate::counter::PerWorker;
    use crate::counters::PoolCounters;

    #[test]
    fn bounds_grow() {
        for bounds in [SHORT, LONG] {
            assert!(bounds.is_sorted_by(|one, next| one < next));
        }
    }

    #[test]
    fn each_is_counted_at_the_first_bound_that_is_not_shorter() {
        let counters: PerWorker<PoolCounters> = PerWorker::new(2);
        counters.of(0).connect.add(Duration::ZERO);
        counters.of(1).connect.add(Duration::from_micros(100));
        counters.of(0).connect.add(Duration::from_micros(101));
        counters.of(1).connect.add(Duration::from_secs(10));
        counters.of(1).connect.add(Duration::from_secs(11));
        let durations = counters.durations(|worker| &worker.connect);
        let filled: Vec<_> = durations.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        let micros = Duration::from_micros;
        assert_eq!(filled, [(micros(100), 2), (micros(250), 1), (Duration::from_secs(10), 1)]);
        assert_eq!((durations.count, durations.sum), (5, micros(21_000_201)));
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        // Durations in milliseconds; thousandths; what is expected, in microseconds.
        check(&[], 500, None);
        check(&[1], 500, Some(750));
        check(&[1], 1000, Some(1_000));
        check(&[1, 1, 1, 9], 750, Some(1_000));
        check(&[1, 1, 1, 9], 1000, Some(10_000));
        check(&[1, 9, 9, 9], 500, Some(6_666));
        check(&[60_000], 500, Some(10_000_000));
    }

    #[track_caller]
    fn check(millis: &[u64], permille: u16, expected: Option<u64>) {
        let counters: PerWorker<PoolCounters> = PerWorker::new(1);
        for &millis in millis {
            counters.of(0).connect.add(Duration::from_millis(millis));
        }
        let quantile = counters.durations(|worker| &worker.connect).quantile(permille);
        assert_eq!(quantile.map(|duration| duration.as_micros()), expected.map(u128::from));
    }
}
