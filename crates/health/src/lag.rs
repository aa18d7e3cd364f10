//! Decides which replicas lag too far behind to be read from.
//!
//! Each server reports its position when it is probed, and no two are probed at the same moment. What is written
//! between their answers is not lag. Therefore a replica is measured once for each of its answers, against what was
//! known to be written when its probe began; later reports of the writer count from the replica's next answer on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use config::LagMax;

use crate::answer::{Progress, Times};

/// The lagging replicas of a group. `K` identifies a server.
#[derive(Clone, Debug)]
pub(crate) struct Lags<K> {
    max: LagMax,
    /// Replicas that were lagging and have not caught up enough since.
    lagging: BTreeSet<K>,
    /// The last answers of healthy replicas.
    replicas: BTreeMap<K, Measured>,
    source: Source<K>,
    /// The positions of `source`, and when they were known.
    trail: Trail,
}

/// What replicas are measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source<K> {
    /// The position of this server, the writer.
    Writer(K),
    /// The position of the furthest replica.
    Furthest,
}

/// An answer of a replica.
#[derive(Clone, Copy, Debug)]
struct Measured {
    times: Times,
    position: Option<u64>,
    /// The position it is measured against; none if none is known.
    reference: Option<u64>,
}

/// The last answer of a replica.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplicaAnswer<'a, K> {
    pub(crate) key: K,
    pub(crate) times: Times,
    pub(crate) progress: &'a Progress,
}

impl<K: Copy + Ord> Lags<K> {
    pub(crate) fn new(max: LagMax) -> Self {
        let (lagging, replicas) = (BTreeSet::new(), BTreeMap::new());
        Self { max, lagging, replicas, source: Source::Furthest, trail: Trail::default() }
    }

    /// Changes the limits from the next decision on. Replicas that were lagging by the old limits only have to be
    /// within the new ones.
    pub(crate) fn set_max(&mut self, max: LagMax) {
        if self.max != max {
            self.max = max;
            self.lagging.clear();
        }
    }

    /// The position in the last answer of this server, if that was a replica's.
    pub(crate) fn position(&self, key: K) -> Option<u64> {
        self.replicas.get(&key)?.position
    }

    /// Decides from the last answer of the writer, if it reports its position, and of all replicas. Returns the
    /// lagging ones.
    pub(crate) fn decide(
        &mut self,
        written: Option<(K, Times, u64)>,
        replicas: &[ReplicaAnswer<'_, K>],
    ) -> &BTreeSet<K> {
        let furthest = replicas.iter().filter_map(|answer| answer.progress.position).max();
        let is_first_writer = if let Some((key, times, position)) = written {
            self.measure_by_writer(key, times, position)
        } else {
            self.measure_by_furthest(furthest, replicas);
            false
        };
        let before = std::mem::take(&mut self.replicas);
        for answer in replicas {
            let kept = before.get(&answer.key).filter(|kept| kept.times == answer.times && !is_first_writer);
            let mut reference =
                kept.and_then(|kept| kept.reference).or_else(|| self.trail.before(answer.times.asked));
            if self.source == Source::Furthest {
                // The furthest replica has left.
                reference = reference.zip(furthest).map(|(reference, furthest)| reference.min(furthest));
            }
            let position = answer.progress.position;
            self.replicas.insert(answer.key, Measured { times: answer.times, position, reference });
        }
        let lags = replicas.iter().filter(|answer| self.is_too_far_behind(answer.key, answer.progress));
        self.lagging = lags.map(|answer| answer.key).collect();
        &self.lagging
    }

    /// Returns whether replicas were measured against each other before.
    fn measure_by_writer(&mut self, key: K, times: Times, position: u64) -> bool {
        if self.source != Source::Writer(key) {
            self.trail.clear();
        }
        self.trail.push(times.answered, position);
        let before = std::mem::replace(&mut self.source, Source::Writer(key));
        before == Source::Furthest
    }

    fn measure_by_furthest(&mut self, furthest: Option<u64>, replicas: &[ReplicaAnswer<'_, K>]) {
        let before = std::mem::replace(&mut self.source, Source::Furthest);
        if before == Source::Furthest && self.trail.last() == furthest {
            return;
        }
        if before != Source::Furthest || self.trail.last() > furthest {
            self.trail.clear();
        }
        let answered = replicas.iter().map(|answer| answer.times.answered).max();
        if let Some((answered, furthest)) = answered.zip(furthest) {
            self.trail.push(answered, furthest);
        }
    }

    /// Records another answer of a replica, and returns whether [`decide`](Self::decide) would give the same
    /// result.
    pub(crate) fn on_replica(&mut self, answer: ReplicaAnswer<'_, K>) -> bool {
        let ReplicaAnswer { key, times, progress } = answer;
        let position = progress.position;
        let reference = self.trail.before(times.asked);
        let before = self.replicas.insert(key, Measured { times, position, reference });
        if self.source == Source::Furthest {
            // It may have been the furthest, or it is the first to report a position.
            let fell_back = before.is_some_and(|before| before.position > position);
            if self.max.bytes.is_some() && (fell_back || self.trail.last().is_none() && position.is_some()) {
                return false;
            }
            if let Some(position) = position.filter(|position| Some(*position) > self.trail.last()) {
                self.trail.push(times.answered, position);
            }
        }
        self.is_too_far_behind(key, progress) == self.lagging.contains(&key)
    }

    /// The same for an answer of the only primary.
    pub(crate) fn on_primary(&mut self, key: K, times: Times, position: Option<u64>) -> bool {
        match position {
            Some(position) if self.source == Source::Writer(key) => {
                self.trail.push(times.answered, position);
                true
            }
            None if self.source == Source::Furthest => true,
            Some(_) | None => self.max.bytes.is_none(),
        }
    }

    fn is_too_far_behind(&self, key: K, progress: &Progress) -> bool {
        let reference = self.replicas.get(&key).and_then(|measured| measured.reference);
        let bytes =
            reference.zip(progress.position).map(|(reference, position)| reference.saturating_sub(position));
        // A lagging replica has to be well within the limit, otherwise it would leave and return all the time.
        let (time_max, bytes_max) = if self.lagging.contains(&key) {
            (self.max.time.map(|time| time / 2), self.max.bytes.map(|bytes| bytes / 2))
        } else {
            (self.max.time, self.max.bytes)
        };
        exceeds::<Duration>(progress.lag, time_max) || exceeds::<u64>(bytes, bytes_max)
    }
}

/// Whether a lag, unknown if none, exceeds a limit, unlimited if none.
fn exceeds<T: PartialOrd>(lag: Option<T>, limit: Option<T>) -> bool {
    limit.is_some_and(|limit| lag.is_none_or(|lag| lag > limit))
}

/// The positions of one source and when each was known; oldest first.
///
/// Bound: the last [`MARKS_MAX`]. A replica that takes longer to answer is measured against the oldest of them.
#[derive(Clone, Debug, Default)]
struct Trail(VecDeque<(Instant, u64)>);

impl Trail {
    fn push(&mut self, at: Instant, position: u64) {
        match self.0.back_mut() {
            Some((last, _)) if *last > at => return,
            Some((last, known)) if *last == at => return *known = position,
            Some(_) | None => {}
        }
        if self.0.len() == MARKS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((at, position));
    }

    /// The position known at this time; the first known one, if that was later.
    fn before(&self, at: Instant) -> Option<u64> {
        let known = self.0.iter().rev().find(|(known, _)| *known <= at);
        known.or_else(|| self.0.front()).map(|(_, position)| *position)
    }

    fn last(&self) -> Option<u64> {
        self.0.back().map(|(_, position)| *position)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// The number of answers kept: at the shortest interval, those of more than a second.
const MARKS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use config::LagMax;

    use super::{Lags, MARKS_MAX, ReplicaAnswer, Trail};
    use crate::answer::Progress;
    use crate::answer::Times;
    use crate::samples::origin;

    const LIMIT: u64 = 100;

    /// The answer of one server to one probe.
    #[derive(Clone, Debug)]
    struct Answered {
        key: u8,
        times: Times,
        progress: Progress,
    }

    /// A group from answer to answer. Its writer, if it has one, is 0.
    struct Group {
        lags: Lags<u8>,
        has_writer: bool,
        last: BTreeMap<u8, Answered>,
        lagging: Vec<u8>,
    }

    impl Group {
        fn new(has_writer: bool) -> Self {
            let lags = Lags::new(LagMax { time: None, bytes: Some(LIMIT) });
            Self { lags, has_writer, last: BTreeMap::new(), lagging: Vec::new() }
        }

        fn on_answer(&mut self, answer: Answered) {
            let Answered { key, times, progress } = &answer;
            let stands = if self.has_writer && *key == 0 {
                self.lags.on_primary(0, *times, progress.position)
            } else {
                self.lags.on_replica(ReplicaAnswer { key: *key, times: *times, progress })
            };
            if self.last.insert(*key, answer).is_none() || !stands {
                self.decide();
            }
        }

        fn decide(&mut self) {
            let writer = self.last.get(&0).filter(|_| self.has_writer);
            let written =
                writer.and_then(|writer| Some((writer.key, writer.times, writer.progress.position?)));
            let replicas = self.last.values().filter(|answer| !self.has_writer || answer.key != 0);
            let replicas: Vec<_> = replicas
                .map(|Answered { key, times, progress }| ReplicaAnswer { key: *key, times: *times, progress })
                .collect();
            self.lagging = self.lags.decide(written, &replicas).iter().copied().collect();
        }
    }

    fn answer_of(key: u8, asked: Instant, answered: Instant, position: u64) -> Answered {
        let progress = Progress { position: Some(position), lag: None };
        Answered { key, times: Times { asked, answered }, progress }
    }

    #[test]
    fn writes_after_a_probe_began_are_not_lag() {
        let (begin, ms) = (origin(), Duration::from_millis(1));
        let mut group = Group::new(true);
        group.on_answer(answer_of(0, begin, begin + ms, 1000));
        group.on_answer(answer_of(1, begin, begin + ms, 1000));
        // Meanwhile the writer reports that it has written more.
        group.on_answer(answer_of(0, begin + 100 * ms, begin + 101 * ms, 2000));
        assert_eq!(group.lagging, []);
        group.decide();
        assert_eq!(group.lagging, []);
        // Its probe began before that, and ended after it.
        group.on_answer(answer_of(0, begin + 200 * ms, begin + 202 * ms, 3000));
        group.on_answer(answer_of(1, begin + 201 * ms, begin + 203 * ms, 2100));
        assert_eq!(group.lagging, []);
        group.on_answer(answer_of(1, begin + 300 * ms, begin + 301 * ms, 2100));
        assert_eq!(group.lagging, [1], "now it is behind");
    }

    #[test]
    fn the_first_answers_are_measured_in_any_order() {
        let (begin, ms) = (origin(), Duration::from_millis(1));
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            for has_writer in [true, false] {
                let mut group = Group::new(has_writer);
                for (number, key) in (1..).zip(order) {
                    let position = if key == 1 { 10 } else { 1000 };
                    group.on_answer(answer_of(key, begin, begin + number * ms, position));
                }
                group.decide();
                // Without a writer, the first one may have been measured against itself until its next answer.
                group.on_answer(answer_of(1, begin + 10 * ms, begin + 11 * ms, 10));
                assert_eq!(group.lagging, [1], "{order:?}");
            }
        }
    }

    #[test]
    fn a_furthest_replica_that_left_is_no_reference() {
        let (begin, ms) = (origin(), Duration::from_millis(1));
        let mut group = Group::new(false);
        for (key, position) in [(1, 1000), (2, 500), (3, 450)] {
            group.on_answer(answer_of(key, begin, begin + u32::from(key) * ms, position));
        }
        group.decide();
        assert_eq!(group.lagging, [2, 3]);
        group.last.remove(&1);
        group.decide();
        assert_eq!(group.lagging, []);
    }

    #[test]
    fn a_trail_is_bounded() {
        let (begin, ms) = (origin(), Duration::from_millis(1));
        let mut trail = Trail::default();
        assert_eq!(trail.before(begin), None);
        for number in 0..100 {
            trail.push(begin + number * ms, number.into());
        }
        assert_eq!(trail.0.len(), MARKS_MAX);
        assert_eq!(trail.before(begin + 98 * ms), Some(98));
        assert_eq!(trail.before(begin), Some(100 - MARKS_MAX as u64));
    }

    proptest! {
        /// With any write rate and any order of answers: a replica that had everything written when it was probed
        /// is not lagging, provided a position was known before that.
        #[test]
        fn a_replica_without_lag_is_never_lagging(
            has_writer in any::<bool>(),
            bytes_per_ms in 1u64..100_000,
            probes in prop::collection::vec((0u8..3, 0u32..100, 1u32..150, 0u32..=100), 1..60),
        ) {
            let begin = origin();
            let mut free = [begin; 3];
            let mut all = Vec::new();
            for (key, gap, latency, looked) in probes {
                let asked = free[usize::from(key)] + Duration::from_millis(gap.into());
                let answered = asked + Duration::from_millis(latency.into());
                let looked = asked + Duration::from_millis(latency.into()) * looked / 100;
                free[usize::from(key)] = answered;
                let position = u64::try_from((looked - begin).as_micros()).unwrap() * bytes_per_ms / 1000;
                all.push(answer_of(key, asked, answered, position));
            }
            all.sort_by_key(|answer| answer.times.answered);
            let mut group = Group::new(has_writer);
            let measures = |answer: &Answered| !has_writer || answer.key == 0;
            let known = all.iter().filter(|answer| measures(answer)).map(|answer| answer.times.answered).min();
            for answer in all {
                group.on_answer(answer);
                for key in &group.lagging {
                    let asked = group.last[key].times.asked;
                    prop_assert!(known.is_none_or(|known| asked < known), "{key} at {asked:?}");
                }
            }
        }
    }
}
