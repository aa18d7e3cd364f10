//! Updates the status of one server after each probe. It does no I/O and reads no clock.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use config::Probe;
use config::probe::Rhythm;

use crate::answer::{Answer, ProbeError, Role, Times};
use crate::probe::Outcome;
use crate::report::Change;
use crate::rise_fall::{RiseFall, Verdict};
use crate::status::Status;

/// The state of one server between probes.
#[derive(Clone, Debug)]
pub(crate) struct Tracker {
    rise_fall: RiseFall,
    status: Status,
    /// Consecutive probes without an answer after which the role is stale.
    confirmations_missed_max: u32,
    tells_roles: bool,
    /// The names of errors that were logged since the verdict changed; there are few kinds.
    logged: BTreeSet<&'static str>,
}

/// The result of one probe.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) changes: Vec<Change>,
    /// See [`Report::differs`](crate::Report::differs).
    pub(crate) differs: bool,
    /// See [`Report::held_back`](crate::Report::held_back).
    pub(crate) held_back: bool,
}

impl Tracker {
    /// Unknown.
    pub(crate) fn new(probe: &Probe, now: Instant) -> Self {
        Self {
            rise_fall: RiseFall::new(probe.thresholds, probe.damping),
            status: Status::new(now),
            confirmations_missed_max: probe.thresholds.fall,
            tells_roles: probe.tells_roles(),
            logged: BTreeSet::new(),
        }
    }

    /// Changes the probe. The status stays until the first answer to it; thresholds apply from that on, also to
    /// answers that were counted before. The role stays if the probe asks for one.
    pub(crate) fn change_probe(&mut self, probe: &Probe) {
        self.rise_fall.change_settings(probe.thresholds, probe.damping);
        self.confirmations_missed_max = probe.thresholds.fall;
        let told_roles = std::mem::replace(&mut self.tells_roles, probe.tells_roles());
        if !self.tells_roles {
            self.status.role = None;
            self.status.role_while_down = None;
        } else if !told_roles {
            // It was never asked for its role.
            self.status.probed = false;
        }
    }

    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    /// The delay of the start of the last probe.
    pub(crate) fn set_late(&mut self, late: Duration) {
        self.status.late = late;
    }

    /// From the start of the last probe to the start of the next, before jitter.
    pub(crate) fn interval(&self, rhythm: &Rhythm) -> Duration {
        self.rise_fall.interval(rhythm)
    }

    /// Records a probe that ended with these times.
    pub(crate) fn on_outcome(&mut self, times: Times, outcome: Outcome) -> Update {
        let before = self.status.clone();
        self.status.latency = Some(outcome.latency);
        self.status.probed = true;
        match outcome.answer {
            Ok(answer) => self.on_pass(times, answer),
            Err(error) => self.on_error(times.answered, error),
        }
        self.status.stale = self.status.unanswered >= self.confirmations_missed_max;
        self.conclude(&before, times.answered)
    }

    /// Marks the server up at once, if it was [held back](crate::Report::held_back).
    pub(crate) fn release(&mut self, now: Instant) -> Option<Update> {
        let before = self.status.clone();
        if !self.is_held_back() {
            return None;
        }
        self.rise_fall.release();
        self.status.role = self.status.role_while_down.take();
        Some(self.conclude(&before, now))
    }

    /// Applies the verdict to the status, and collects what changed.
    fn conclude(&mut self, before: &Status, now: Instant) -> Update {
        let status = &mut self.status;
        let verdict = self.rise_fall.verdict();
        if verdict != before.verdict {
            match (before.verdict, verdict) {
                (_, Verdict::Down) => status.downs += 1,
                (Verdict::Down, _) => {
                    status.down_before += now.saturating_duration_since(before.since);
                }
                (Verdict::Unknown | Verdict::Up, _) => {}
            }
            status.verdict = verdict;
            status.since = now;
        }
        if verdict == Verdict::Down {
            status.role_while_down = status.role.take().filter(|_| status.error.is_none());
        } else {
            status.role_while_down = None;
        }
        let mut changes = Change::between(before, status);
        let differs = before.essence() != status.essence();
        changes.retain(|change| self.is_news(change));
        Update { changes, differs, held_back: self.is_held_back() }
    }

    fn is_held_back(&self) -> bool {
        self.rise_fall.is_held_back() && matches!(self.status.role_while_down, Some(Role::Primary(_)))
    }

    /// Whether to report a change. Each kind of error is reported once in an outage: a server that fails in another
    /// way each time would otherwise cause a line for each probe.
    fn is_news(&mut self, change: &Change) -> bool {
        let error = match change {
            Change::Verdict { error, .. } => {
                self.logged.clear();
                error.as_ref()
            }
            Change::Recovered if self.status.verdict == Verdict::Up => {
                self.logged.clear();
                None
            }
            Change::Error(error) => Some(error),
            Change::Recovered | Change::Role { .. } => None,
        };
        let is_first = error.is_none_or(|error| self.logged.insert(error.name()));
        is_first || !matches!(change, Change::Error(_))
    }

    fn on_pass(&mut self, times: Times, answer: Answer) {
        self.rise_fall.on_pass(times.answered);
        self.status.passed += 1;
        self.status.error = None;
        self.status.unanswered = 0;
        self.status.role = answer.role;
        self.status.role_times = times;
    }

    fn on_error(&mut self, now: Instant, error: ProbeError) {
        *self.status.errors.entry(error.name()).or_default() += 1;
        if error.blames_server() {
            self.rise_fall.on_fail(now);
            self.status.failed += 1;
        } else {
            self.status.inconclusive += 1;
        }
        self.status.unanswered = self.status.unanswered.saturating_add(1);
        self.status.error = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use config::Probe;
    use config::probe::{Damping, Kind, Redis, Rhythm, Thresholds};

    use super::Tracker;
    use crate::answer::Times;
    use crate::answer::{Answer, Claim, ProbeError, Role, Text};
    use crate::probe::Outcome;
    use crate::report::Change;
    use crate::rise_fall::Verdict;
    use crate::roles::Confirmed;
    use crate::samples::{DAMPING_OFF, RHYTHM, origin};

    #[test]
    fn each_kind_of_error_is_reported_once_in_an_outage() {
        // Below each probe what is reported: `e` an error, `D` and `U` a verdict, `.` a passed probe after failed
        // ones.
        check("c p c p c p", "D e - - - -");
        check("o c o p c c p c p", "U e . e e D e - -");
        // One passed probe does not end an outage; two do, and the next outage is another one.
        check("c p o p c o o c p", "D e . - - . U e e");
        // While it is up, each failure is an outage of its own.
        check("o c o c o", "U e . e .");
        // Nor do errors on this host.
        check("o a l a l o a", "U e e - - . e");
    }

    #[test]
    fn a_changed_probe_keeps_the_status() {
        let mut tracker = Tracker::new(&probe(Kind::Tcp), origin());
        let mut say = |probe| {
            let news = tracker.on_outcome(now(), Outcome { answer: answer(probe), latency: Duration::ZERO });
            assert!(!news.held_back);
        };
        ["o", "c", "c"].into_iter().for_each(&mut say);
        let before = tracker.status().clone();
        tracker.change_probe(&Probe {
            rhythm: Rhythm { interval: Duration::from_secs(9), ..RHYTHM },
            ..primary()
        });
        assert_eq!(tracker.status().verdict, Verdict::Up);
        assert_eq!(tracker.status().error, before.error);
        assert_eq!((tracker.status().passed, tracker.status().failed), (1, 2));
        let outcome = Outcome { answer: answer("c"), latency: Duration::ZERO };
        tracker.on_outcome(now(), outcome);
        assert_eq!(tracker.status().verdict, Verdict::Down, "it is the third in a row");
    }

    #[test]
    fn a_role_is_kept_while_the_probe_asks_for_one() {
        for (next, stands) in [(primary(), true), (probe(Kind::Tcp), false)] {
            let mut tracker = Tracker::new(&primary(), origin());
            tracker.on_outcome(now(), Outcome { answer: Ok(claims()), latency: Duration::ZERO });
            tracker.change_probe(&next);
            assert_eq!(tracker.status().role.is_some(), stands, "{next:?}");
            assert_eq!(tracker.status().verdict, Verdict::Up);
            assert!(tracker.status().member(0).probed);
        }
        // A server that was not asked for its role has none, and counts as not probed yet.
        let mut tracker = Tracker::new(&probe(Kind::Tcp), origin());
        tracker.on_outcome(now(), Outcome { answer: answer("o"), latency: Duration::ZERO });
        tracker.change_probe(&primary());
        assert_eq!((tracker.status().verdict, tracker.status().member(0).probed), (Verdict::Up, false));
        tracker.on_outcome(now(), Outcome { answer: answer("c"), latency: Duration::ZERO });
        assert!(tracker.status().member(0).probed);
    }

    #[test]
    fn a_flapping_primary_is_held_back_until_it_is_released() {
        let damping = Damping { downs_free: 0, window: Duration::from_secs(100) };
        let mut tracker = Tracker::new(&Probe { damping, ..primary() }, origin());
        let mut say =
            |answer| tracker.on_outcome(now(), Outcome { answer, latency: Duration::ZERO }).held_back;
        let closed = || Err(ProbeError::Closed);
        assert!(!say(Ok(claims())) && !say(closed()) && !say(closed()) && !say(closed()));
        assert!(!say(Ok(claims())) && say(Ok(claims())) && !say(closed()));
        // A server that does not claim to be the primary can be replaced by others.
        assert!(!say(Ok(Answer::default())) && !say(Ok(Answer::default())) && say(Ok(claims())));
        assert_eq!((tracker.status().verdict, &tracker.status().role), (Verdict::Down, &None));
        let news = tracker.release(origin()).unwrap();
        assert_eq!(
            news.changes,
            [
                Change::Verdict { before: Verdict::Down, after: Verdict::Up, error: None },
                Change::Role { before: None, after: Some("primary") }
            ]
        );
        assert!(news.differs && tracker.release(origin()).is_none());
    }

    #[test]
    fn a_role_is_stale_once_fall_probes_have_not_confirmed_it() {
        // `o` confirms the role; after each probe whether the role is stale.
        for (probes, stale) in [("o a l a a o a", ". . . s s . ."), ("o a c a o", ". . . s .")] {
            let mut tracker = Tracker::new(&primary(), origin());
            let mut say = |probe| {
                let answer = if probe == "o" { Ok(claims()) } else { answer(probe) };
                tracker.on_outcome(now(), Outcome { answer, latency: Duration::ZERO });
                if tracker.status().member(0).confirmed == Confirmed::LongAgo { "s" } else { "." }
            };
            assert_eq!(probes.split(' ').map(&mut say).collect::<Vec<_>>().join(" "), stale, "{probes}");
        }
    }

    /// The outcome of a probe: `o` a good answer, `c` closed, `p` a protocol error, `a` access denied, `l` a local
    /// error.
    #[track_caller]
    fn check(probes: &str, said: &str) {
        let mut tracker = Tracker::new(&probe(Kind::Tcp), origin());
        let mut say = |probe: &str| {
            let outcome = Outcome { answer: answer(probe), latency: Duration::ZERO };
            match &tracker.on_outcome(now(), outcome).changes[..] {
                [] => "-",
                [Change::Error(_)] => "e",
                [Change::Recovered] => ".",
                [Change::Verdict { error: Some(_), .. }] => "D",
                [Change::Verdict { error: None, .. }] => "U",
                changes => panic!("{changes:?}"),
            }
        };
        assert_eq!(probes.split(' ').map(&mut say).collect::<Vec<_>>().join(" "), said, "{probes}");
    }

    fn answer(probe: &str) -> Result<Answer, ProbeError> {
        let words = || Text::new("words");
        match probe {
            "o" => Ok(Answer::default()),
            "c" => Err(ProbeError::Closed),
            "p" => Err(ProbeError::Protocol(words())),
            "a" => Err(ProbeError::Authentication(words())),
            _ => Err(ProbeError::Local(words())),
        }
    }

    fn claims() -> Answer {
        Answer { role: Some(Role::Primary(Claim::default())) }
    }

    fn now() -> Times {
        Times { asked: origin(), answered: origin() }
    }

    fn probe(kind: Kind) -> Probe {
        let thresholds = Thresholds { rise: 2, fall: 3 };
        Probe {
            kind,
            port: None,
            source: None,
            send_proxy: None,
            rhythm: RHYTHM,
            thresholds,
            damping: DAMPING_OFF,
        }
    }

    /// A probe that asks for the role.
    fn primary() -> Probe {
        probe(Kind::Redis(Redis { login: None, tls: None }))
    }
}
