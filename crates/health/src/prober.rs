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

    /// How long it was down in all.
    pub fn down_time(&self, now: Instant) -> Duration {
        match self.verdict {
            Verdict::Down => self.down_before + now.saturating_duration_since(self.since),
            Verdict::Unknown | Verdict::Up => self.down_before,
        }
    }

    /// The same for [`Roles::decide`](crate::roles::Roles::decide), under the name `key`.
    pub fn member<K>(&self, key: K) -> Member<'_, K> {
        // A probe that could not be made says nothing against what the server said before.
        let fresh = !self.error.as_ref().is_some_and(ProbeError::blames_server);
        Member { key, verdict: self.verdict, role: self.role.as_ref(), fresh }
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
        let judge = Judge::new(target.probe.thresholds, target.probe.damping);
        let status = Status::new(now);
        self.entries.insert(id, Entry { target: target.clone(), judge, status });
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
        while self.running.len() < RUNNING_MAX
            && let Some((due, id)) = self.queue.first().copied().filter(|(due, _)| *due <= now)
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
        let changes = entry.on_ended(now, ended.outcome);

        let rhythm = entry.target.probe.rhythm;
        let interval = entry.judge.interval(&rhythm);
        let next = if first {
            schedule::second(ended.begun, interval, &mut self.random)
        } else {
            schedule::next(ended.begun, interval, rhythm.jitter_percent, &mut self.random)
        };
        self.queue.insert((next, ended.id));
        Some(Report { target: entry.target.clone(), changes })
    }
}

impl Entry {
    fn on_ended(&mut self, now: Instant, outcome: Outcome) -> Vec<Change> {
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
        Change::between(&before, &self.status)
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

/// How many probes run at once; each keeps at most one descriptor open, two where HTTP is asked for the role. At the bound
/// those that are due wait, the one that waited longest first, and are late.
pub const RUNNING_MAX: usize = 512;
