//! Detects workers whose loop has stopped turning: a pure comparison of turn counts.

/// The turn counts of workers at the last check.
#[derive(Debug)]
pub(crate) struct StallDetector {
    workers: Vec<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The worker runs, and had turned this often.
    Running { turns: u64, is_stalled: bool },
    /// The worker has ended as intended.
    Ended,
}

/// Workers that have not turned since the check before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stalls {
    /// Those that were not stalled at the check before.
    pub(crate) new: Vec<usize>,
    /// How many are stalled.
    count: usize,
}

impl Stalls {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl StallDetector {
    /// A detector for so many workers, none of which has turned yet.
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers: vec![State::Running { turns: 0, is_stalled: false }; workers] }
    }

    /// Excludes a worker that has ended.
    pub(crate) fn on_ended(&mut self, worker: usize) {
        self.workers[worker] = State::Ended;
    }

    /// Compares the turn counts with those of the last check. Every worker must have been woken after that check,
    /// so a running worker has turned since.
    pub(crate) fn check(&mut self, turns: &[u64]) -> Stalls {
        let mut stalls = Stalls { new: Vec::new(), count: 0 };
        for (worker, (state, &now)) in self.workers.iter_mut().zip(turns).enumerate() {
            let State::Running { turns: before, is_stalled: was_stalled } = *state else { continue };
            let is_stalled = before == now;
            stalls.count += usize::from(is_stalled);
            if is_stalled && !was_stalled {
                stalls.new.push(worker);
            }
            *state = State::Running { turns: now, is_stalled };
        }
        stalls
    }
}

#[cfg(test)]
mod tests {
    use super::StallDetector;

    #[test]
    fn a_stalled_worker_is_reported_once() {
        // One column for each check: the turns of two workers; then the workers reported, and whether none is stalled.
        check(
            &[&[1, 1], &[2, 2], &[3, 2], &[4, 2], &[5, 3], &[5, 3]],
            &[("", true), ("", true), ("1", false), ("", false), ("", true), ("01", false)],
        );
        // A worker that never turned.
        check(&[&[1, 0], &[2, 0]], &[("1", false), ("", false)]);
    }

    #[track_caller]
    fn check(checks: &[&[u64]], expected: &[(&str, bool)]) {
        let mut detector = StallDetector::new(2);
        for (turns, &(new, none)) in checks.iter().zip(expected) {
            let stalls = detector.check(turns);
            let reported: String = stalls.new.iter().map(ToString::to_string).collect();
            assert_eq!((reported.as_str(), stalls.is_empty()), (new, none), "{turns:?}");
        }
    }

    #[test]
    fn a_worker_that_ended_is_not_stalled() {
        let mut detector = StallDetector::new(2);
        assert!(detector.check(&[1, 1]).is_empty());
        detector.on_ended(1);
        assert!(detector.check(&[2, 1]).is_empty());
        assert!(!detector.check(&[2, 1]).is_empty());
    }
}
