//! Whether workers turn: a pure comparison of how often they have, between two looks.

/// What was seen at the last look.
#[derive(Debug)]
pub(crate) struct Pulse {
    workers: Vec<Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It had turned this often.
    Turns { number: u64, still: bool },
    /// It has ended, as it should.
    Ended,
}

/// Workers that have not turned since the look before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Still {
    /// Those that had turned at that one.
    pub(crate) new: Vec<usize>,
    /// All of them.
    number: usize,
}

impl Still {
    pub(crate) fn is_none(&self) -> bool {
        self.number == 0
    }
}

impl Pulse {
    /// Of so many workers, none of which has turned yet.
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers: vec![Seen::Turns { number: 0, still: false }; workers] }
    }

    /// The worker has ended, and turns no more.
    pub(crate) fn on_ended(&mut self, worker: usize) {
        self.workers[worker] = Seen::Ended;
    }

    /// Who has not turned since the last look. All were woken at that one, so whoever can turn has turned since.
    pub(crate) fn look(&mut self, turns: &[u64]) -> Still {
        let mut all = Still { new: Vec::new(), number: 0 };
        for (worker, (seen, &now)) in self.workers.iter_mut().zip(turns).enumerate() {
            let Seen::Turns { number, still } = *seen else { continue };
            let stands = number == now;
            all.number += usize::from(stands);
            if stands && !still {
                all.new.push(worker);
            }
            *seen = Seen::Turns { number: now, still: stands };
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::Pulse;

    #[test]
    fn who_stands_still_is_named_once() {
        // One column for each look: how often each of two workers has turned by then; below, who is told of, and whether all turn.
        check(
            &[&[1, 1], &[2, 2], &[3, 2], &[4, 2], &[5, 3], &[5, 3]],
            &[("", true), ("", true), ("1", false), ("", false), ("", true), ("01", false)],
        );
        // One that never turned.
        check(&[&[1, 0], &[2, 0]], &[("1", false), ("", false)]);
    }

    #[track_caller]
    fn check(looks: &[&[u64]], expected: &[(&str, bool)]) {
        let mut pulse = Pulse::new(2);
        for (turns, &(new, all_turn)) in looks.iter().zip(expected) {
            let still = pulse.look(turns);
            let named: String = still.new.iter().map(ToString::to_string).collect();
            assert_eq!((named.as_str(), still.is_none()), (new, all_turn), "{turns:?}");
        }
    }

    #[test]
    fn one_that_ended_is_not_waited_for() {
        let mut pulse = Pulse::new(2);
        assert!(pulse.look(&[1, 1]).is_none());
        pulse.on_ended(1);
        assert!(pulse.look(&[2, 1]).is_none());
        assert!(!pulse.look(&[2, 1]).is_none());
    }
}
