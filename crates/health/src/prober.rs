//! Probes all targets, each in its rhythm, and keeps what is known of them.
//!
//! ```text
//!            due                     ended
//!   queue ────────▶ running probes ────────▶ judge ────▶ Report
//!     ▲             at most RUNNING_MAX        │
//!     └────────────────────────────────────────┘ an interval after it began
//! ```
//!
//! It has no thread: whoever calls [`Prober::next`] drives it. A probe that begins late is late, and nothing else: its
//! deadline counts from its begin.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{Instant as Clock, sleep_until, timeout_at};

use crate::answer::{Answer, ProbeError, Role};
use crate::probe::{Outcome, probe};
use crate::report::{Change, Report};
use crate::roles::Member;
use crate::schedule::{self, Random};
use crate::target::Target;
use crate::verdict::{Judge, Verdict};

/// Probes targets, on a tokio runtime of one thread.
///
/// It is dropped at no harm, but [`finish`](Self::finish) lets the probes that run take leave of their servers.
#[derive(Debug)]
pub struct Prober {
    entries: BTreeMap<Id, Entry>,
    /// Which entry is whose. It has the same entries as `entries`.
    ids: HashMap<Target, Id>,
    /// What waits for its time, soonest first. An entry is either here or in `running`.
    queue: BTreeSet<(Instant, Id)>,
    /// At most [`RUNNING_MAX`]. Among them may be probes of targets that have left.
    running: JoinSet<Ended>,
    next_id: u64,
    random: Random,
}

/// Tells a target that has left from an equal one that came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64);

#[derive(Debug)]
struct Entry {
    target: Target,
    judge: Judge,
    status: Status,
    /// The names of errors that were said since it is well, or is not; there are few of them.
    said: BTreeSet<&'static str>,
}

/// What is known of a target.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whether it is well.
    pub verdict: Verdict,
    /// Since when it is, or is not.
    pub since: Instant,
    /// How often it went down.
    pub downs: u64,
    /// How long it was down in all, without the time since `since`.
    pub down_before: Duration,
    /// The role it last said it has; none if it never said, or since it is down.
    pub role: Option<Role>,
    /// Why the last probe has no answer; none if it has.
    pub error: Option<ProbeError>,
    /// How long the last probe took; none before the first.
    pub latency: Option<Duration>,
    /// How long after its time the last probe began, because too many ran or this process had no CPU.
    pub late: Duration,
    /// Probes passed.
    pub passed: u64,
    /// Probes that count against the server.
    pub failed: u64,
    /// Probes that say nothing of the server, see [`ProbeError::blames_server`].
    pub inconclusive: u64,
    /// Probes that have no answer, by [`ProbeError::name`]; without those that never occurred.
    pub errors: BTreeMap<&'static str, u64>,
}

impl Status {
    fn new(now: Instant) -> Self {
        Self {
            verdict: Verdict::Unknown,
            since: now,
            downs: 0,
            down_before: Duration::ZERO,
            role: None,
            error: None,
            latency: None,
            late: Duration::ZERO,
            passed: 0,
            failed: 0,
            inconclusive: 0,
            errors: BTreeMap::new(),
        }
    }

    /// What roles are decided by, but for how far the server is.
    fn essence(&self) -> (Verdict, Option<&'static str>, bool) {
        (self.verdict, self.role.as_ref().map(Role::name), self.is_fresh())
    }

    /// How long it was down in all.
    pub fn down_time(&self, now: Instant) -> Duration {
        match self.verdict {
            Verdict::Down => self.down_before + now.saturating_duration_since(self.since),
            Verdict::Unknown | Verdict::Up => self.down_before,
        }
    }

    /// The same for [`Roles::decide`](crate::roles::Roles::decide), under the name `key`.
    pub fn member<K>(&self, key: K) -> Member<'_, K> {
        Member { key, verdict: self.verdict, role: self.role.as_ref(), fresh: self.is_fresh() }
    }

    /// A probe that could not be made says nothing against what the server said before.
    fn is_fresh(&self) -> bool {
        !self.error.as_ref().is_some_and(ProbeError::blames_server)
    }
}

#[derive(Debug)]
struct Ended {
    id: Id,
    due: Instant,
    begun: Instant,
    outcome: Outcome,
}

impl Prober {
    /// Has no targets. `seed` decides how probes are spread.
    pub fn new(seed: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            ids: HashMap::new(),
            queue: BTreeSet::new(),
            running: JoinSet::new(),
            next_id: 0,
            random: Random::new(seed),
        }
    }

    /// From now on probes `targets`. Those it has already keep their verdict and their rhythm, those that are new are
    /// unknown and due at once, and of those that are gone a probe that runs still comes to its end, unheard.
    pub fn set_targets(&mut self, targets: impl IntoIterator<Item = Target>) {
        let now = now();
        let mut left = std::mem::take(&mut self.ids);
        for target in targets {
            if self.ids.contains_key(&target) {
                continue;
            }
            let id = left.remove(&target).unwrap_or_else(|| self.add(&target, now));
            self.ids.insert(target, id);
        }
        for id in left.into_values() {
            self.entries.remove(&id);
        }
        self.queue.retain(|(_, id)| self.entries.contains_key(id));
    }

    fn add(&mut self, target: &Target, now: Instant) -> Id {
        let id = Id(self.next_id);
        self.next_id += 1;
        self.entries.insert(id, Entry::new(target, now));
        self.queue.insert((now, id));
        id
    }

    /// What is known of `target`; none if it is not probed.
    pub fn status(&self, target: &Target) -> Option<&Status> {
        self.ids.get(target).map(|id| &self.entries[id].status)
    }

    /// What is known of every target, in the order in which they came.
    pub fn statuses(&self) -> impl Iterator<Item = (&Target, &Status)> {
        self.entries.values().map(|entry| (&entry.target, &entry.status))
    }

    /// Probes until every target has been heard of once, or `limit` has passed, and says what came of it. To be called before
    /// listeners open; what is still unknown then is heard of by [`next`](Self::next).
    pub async fn first_round(&mut self, limit: Duration) -> Vec<Report> {
        let deadline = Clock::now() + limit;
        let mut reports = Vec::new();
        while self.entries.values().any(|entry| entry.status.latency.is_none()) {
            match timeout_at(deadline, self.next()).await {
                Ok(report) => reports.push(report),
                Err(_) => break,
            }
        }
        reports
    }

    /// Probes until a probe has ended, and says what came of it. With no targets it waits for ever.
    ///
    /// It may be dropped and called again at any time; what runs goes on.
    pub async fn next(&mut self) -> Report {
        loop {
            self.begin_due();
            let due = self.queue.first().filter(|_| self.running.len() < RUNNING_MAX).map(|(due, _)| *due);
            let ended = tokio::select! {
                Some(ended) = self.running.join_next() => ended,
                () = sleep_until(due.unwrap_or_else(now).into()), if due.is_some() => continue,
                else => std::future::pending().await,
            };
            // A probe that panics is a broken invariant, and ends the process as one anywhere else does.
            let ended = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            if let Some(report) = self.settle(ended) {
                return report;
            }
        }
    }

    /// Begins no more probes, and lets those that run come to their end.
    pub async fn finish(mut self) {
        while self.running.join_next().await.is_some() {}
    }

    fn begin_due(&mut self) {
        let now = now();
        if self.queue.first().is_none_or(|(due, _)| *due > now) {
            return;
        }
        let until = now + EARLY_MAX;
        while self.running.len() < RUNNING_MAX
            && let Some((due, id)) = self.queue.first().copied().filter(|(due, _)| *due <= until)
        {
            self.queue.pop_first();
            let target = self.entries[&id].target.clone();
            self.running.spawn(async move {
                let begun = self::now();
                Ended { id, due, begun, outcome: probe(&target).await }
            });
        }
    }

    /// Takes note of a probe that ended; none if its target has left.
    fn settle(&mut self, ended: Ended) -> Option<Report> {
        let now = now();
        let entry = self.entries.get_mut(&ended.id)?;
        let first = entry.status.latency.is_none();
        entry.status.late = ended.begun.saturating_duration_since(ended.due);
        let (changes, differs) = entry.on_ended(now, ended.outcome);

        let rhythm = entry.target.probe.rhythm;
        let interval = entry.judge.interval(&rhythm);
        let next = if first {
            schedule::second(ended.begun, interval, &mut self.random)
        } else {
            schedule::next(ended.begun, interval, rhythm.jitter_percent, &mut self.random)
        };
        self.queue.insert((next, ended.id));
        Some(Report { target: entry.target.clone(), changes, differs })
    }
}

impl Entry {
    fn new(target: &Target, now: Instant) -> Self {
        Self {
            target: target.clone(),
            judge: Judge::new(target.probe.thresholds, target.probe.damping),
            status: Status::new(now),
            said: BTreeSet::new(),
        }
    }

    /// What is to be said, and whether the [report](Report) differs.
    fn on_ended(&mut self, now: Instant, outcome: Outcome) -> (Vec<Change>, bool) {
        let before = self.status.clone();
        self.status.latency = Some(outcome.latency);
        match outcome.answer {
            Ok(answer) => self.on_pass(now, answer),
            Err(error) => self.on_error(now, error),
        }
        let verdict = self.judge.verdict();
        if verdict != before.verdict {
            match (before.verdict, verdict) {
                (_, Verdict::Down) => self.status.downs += 1,
                (Verdict::Down, _) => {
                    self.status.down_before += now.saturating_duration_since(before.since);
                }
                (Verdict::Unknown | Verdict::Up, _) => {}
            }
            self.status.verdict = verdict;
            self.status.since = now;
        }
        if verdict == Verdict::Down {
            self.status.role = None;
        }
        let mut changes = Change::between(&before, &self.status);
        changes.retain(|change| self.is_news(change));
        (changes, before.essence() != self.status.essence())
    }

    /// Whether a change is to be said. Each kind of error is said once in an outage: who talks rubbish fails in one way or another
    /// each time, and would have a line for each of its probes.
    fn is_news(&mut self, change: &Change) -> bool {
        let error = match change {
            Change::Verdict { error, .. } => {
                self.said.clear();
                error.as_ref()
            }
            Change::Recovered if self.status.verdict == Verdict::Up => {
                self.said.clear();
                None
            }
            Change::Error(error) => Some(error),
            Change::Recovered | Change::Role { .. } => None,
        };
        let is_first = error.is_none_or(|error| self.said.insert(error.name()));
        is_first || !matches!(change, Change::Error(_))
    }

    fn on_pass(&mut self, now: Instant, answer: Answer) {
        self.judge.on_pass(now);
        self.status.passed += 1;
        self.status.error = None;
        self.status.role = answer.role;
    }

    fn on_error(&mut self, now: Instant, error: ProbeError) {
        *self.status.errors.entry(error.name()).or_default() += 1;
        if error.blames_server() {
            self.judge.on_fail(now);
            self.status.failed += 1;
        } else {
            self.status.inconclusive += 1;
        }
        self.status.error = Some(error);
    }
}

/// The one place where the clock is read, which tests may stop.
fn now() -> Instant {
    Clock::now().into_std()
}

/// How much too early a probe begins at most, together with one that is due: to sleep and wake for each takes a fifth of what many
/// cost. It is less than the shortest interval is stretched by chance.
const EARLY_MAX: Duration = Duration::from_millis(5);

/// How many probes run at once; each keeps at most one descriptor open. At the bound
/// those that are due wait, the one that waited longest first, and are late.
pub const RUNNING_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use config::Probe;
    use config::probe::{Kind, Thresholds};

    use super::{Entry, Outcome};
    use crate::answer::{Answer, ProbeError, Text};
    use crate::report::Change;
    use crate::samples::{DAMPING_OFF, RHYTHM, origin};
    use crate::target::Target;

    #[test]
    fn each_kind_of_error_is_said_once_in_an_outage() {
        // Below each probe what is said of it: `e` an error, `D` and `U` a verdict, `.` that it passed again.
        check("c p c p c p", "D e - - - -");
        check("o c o p c c p c p", "U e . e e D e - -");
        // Passing once does not end an outage; a second time does, and the next one is another.
        check("c p o p c o o c p", "D e . - - . U e e");
        // While it is well, each time that it fails is one of its own.
        check("o c o c o", "U e . e .");
        // Nor do errors that are not its own.
        check("o a l a l o a", "U e e - - . e");
    }

    /// What probes bring: `o` a good answer, `c` closed, `p` not its protocol, `a` not let in, `l` not made.
    #[track_caller]
    fn check(probes: &str, said: &str) {
        let probe = Probe {
            kind: Kind::Tcp,
            port: None,
            source: None,
            rhythm: RHYTHM,
            thresholds: Thresholds { rise: 2, fall: 3 },
            damping: DAMPING_OFF,
        };
        let target = Target { address: "127.0.0.1:1".parse().unwrap(), probe: Arc::new(probe) };
        let mut entry = Entry::new(&target, origin());
        let mut say = |probe: &str| {
            let words = || Text::new("words");
            let answer = match probe {
                "o" => Ok(Answer::default()),
                "c" => Err(ProbeError::Closed),
                "p" => Err(ProbeError::Protocol(words())),
                "a" => Err(ProbeError::Authentication(words())),
                _ => Err(ProbeError::Local(words())),
            };
            let (changes, _) = entry.on_ended(origin(), Outcome { answer, latency: Duration::ZERO });
            match &changes[..] {
                [] => "-",
                [Change::Error(_)] => "e",
                [Change::Recovered] => ".",
                [Change::Verdict { error: Some(_), .. }] => "D",
                [Change::Verdict { error: None, .. }] => "U",
                _ => panic!("{changes:?}"),
            }
        };
        assert_eq!(probes.split(' ').map(&mut say).collect::<Vec<_>>().join(" "), said, "{probes}");
    }
}
