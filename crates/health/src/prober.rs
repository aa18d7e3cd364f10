//! Probes all targets on schedule, and keeps their status.
//!
//! ```text
//!            due                     ended
//!   queue ────────▶ running probes ────────▶ tracker ──▶ Report
//!     ▲             at most RUNNING_MAX        │
//!     └────────────────────────────────────────┘ an interval after it began
//! ```
//!
//! It has no thread of its own: the caller of [`Prober::next`] drives it. A probe that begins late is not cut
//! short: its timeout counts from its start.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant as Clock, sleep_until, timeout_at};

use crate::answer::Times;
use crate::probe::{Outcome, probe};
use crate::report::Report;

use crate::schedule::{self, Random};
use crate::status::Status;
use crate::target::{ServerId, Target};
use crate::tracker::{Tracker, Update};

/// Probes targets, on a single-threaded tokio runtime.
///
/// It may be dropped at any time; [`finish`](Self::finish) lets running probes close their connections properly.
#[derive(Debug)]
pub struct Prober {
    entries: BTreeMap<Id, Entry>,
    /// The entry of each server. It covers the same entries as `entries`.
    ids: HashMap<ServerId, Id>,
    /// Probes that are not due yet, soonest first. An entry is either here or in `running`.
    queue: BTreeSet<(Instant, Id)>,
    /// At most [`RUNNING_MAX`]. They may include probes of removed targets.
    running: JoinSet<Ended>,
    next_id: u64,
    random: Random,
}

/// Distinguishes a target that was removed or changed from a later one of the same server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64);

#[derive(Debug)]
struct Entry {
    server: ServerId,
    target: Target,
    tracker: Tracker,
    /// When its next probe begins; none while one runs.
    due: Option<Instant>,
    /// Whether none of its probes has ended: the first ones begin together, and the following ones are spread.
    first: bool,
}

#[derive(Debug)]
struct Ended {
    id: Id,
    due: Instant,
    begun: Instant,
    outcome: Outcome,
}

impl Prober {
    /// Without targets. `seed` determines how probes are spread.
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

    /// Replaces the targets, one for each server. The status of a server that stays is kept; if its probe changes,
    /// it is probed soon. A new server is unknown and due at once. A running probe of a removed server continues,
    /// and its result is dropped.
    pub fn set_targets(&mut self, targets: impl IntoIterator<Item = (ServerId, Target)>) {
        let now = now();
        let mut left = std::mem::take(&mut self.ids);
        for (server, target) in targets {
            debug_assert!(!self.ids.contains_key(&server), "{server:?} is there twice");
            let before = left.remove(&server).and_then(|id| Some((id, self.entries.remove(&id)?)));
            let id = match before {
                None => {
                    let tracker = Tracker::new(&target.probe, now);
                    self.add(Entry { server: server.clone(), target, tracker, due: None, first: true }, now)
                }
                Some((id, entry)) if entry.target.asks_the_same(&target) => self.keep(id, entry, target, now),
                Some((_, mut entry)) => {
                    // An answer to the old probe is not an answer to the new one.
                    entry.tracker.change_probe(&target.probe);
                    self.add(Entry { target, first: true, ..entry }, now)
                }
            };
            self.ids.insert(server, id);
        }
        for id in left.into_values() {
            self.entries.remove(&id);
        }
        self.queue.retain(|(_, id)| self.entries.contains_key(id));
    }

    fn add(&mut self, entry: Entry, now: Instant) -> Id {
        let id = Id(self.next_id);
        self.next_id += 1;
        self.entries.insert(id, Entry { due: Some(now), ..entry });
        self.queue.insert((now, id));
        id
    }

    /// Keeps an entry whose probe asks the same as before; its schedule and thresholds may differ.
    fn keep(&mut self, id: Id, mut entry: Entry, target: Target, now: Instant) -> Id {
        if entry.target.probe.rhythm != target.probe.rhythm {
            let soon = schedule::second(now, target.probe.rhythm.interval, &mut self.random);
            // If a probe is running, the next one follows the new schedule anyway.
            if let Some(due) = entry.due.filter(|due| *due > soon) {
                self.queue.remove(&(due, id));
                self.queue.insert((soon, id));
                entry.due = Some(soon);
            }
        }
        if entry.target != target {
            entry.tracker.change_probe(&target.probe);
            entry.target = target;
        }
        self.entries.insert(id, entry);
        id
    }

    /// The status of `server`; none if it is not probed.
    pub fn status(&self, server: &ServerId) -> Option<&Status> {
        self.ids.get(server).map(|id| self.entries[id].tracker.status())
    }

    /// The status of every server, in the order in which they were added.
    pub fn statuses(&self) -> impl Iterator<Item = (&ServerId, &Status)> {
        self.entries.values().map(|entry| (&entry.server, entry.tracker.status()))
    }

    /// Probes until every target has answered once or `limit` has passed, and returns the reports. Intended for use
    /// before listeners open; [`next`](Self::next) reports the targets that are still unknown then.
    pub async fn first_round(&mut self, limit: Duration) -> Vec<Report> {
        let deadline = Clock::now() + limit;
        let mut reports = Vec::new();
        while self.entries.values().any(|entry| entry.tracker.status().latency.is_none()) {
            match timeout_at(deadline, self.next()).await {
                Ok(report) => reports.push(report),
                Err(_) => break,
            }
        }
        reports
    }

    /// Probes until a probe has ended, and returns its report. Without targets it waits indefinitely.
    ///
    /// It may be dropped and called again at any time; running probes continue.
    pub async fn next(&mut self) -> Report {
        loop {
            self.begin_due();
            let due = self.queue.first().filter(|_| self.running.len() < RUNNING_MAX).map(|(due, _)| *due);
            let ended = tokio::select! {
                Some(ended) = self.running.join_next() => ended,
                () = sleep_until(due.unwrap_or_else(now).into()), if due.is_some() => continue,
                else => std::future::pending().await,
            };
            if let Some(report) = self.settle(ended) {
                return report;
            }
        }
    }

    /// The report of a probe that has ended; none if there is none yet. It starts no probe, so each target has at most
    /// one such report until the caller waits for the [`next`](Self::next) one.
    pub fn try_next(&mut self) -> Option<Report> {
        loop {
            let ended = self.running.try_join_next()?;
            if let Some(report) = self.settle(ended) {
                return Some(report);
            }
        }
    }

    /// Records the outcome of a probe of `server` with these times; none if it is not probed. [`next`](Self::next)
    /// does that for each probe that ends; tests call it with made-up outcomes.
    pub fn on_outcome(&mut self, server: &ServerId, times: Times, outcome: Outcome) -> Option<Report> {
        let entry = self.ids.get(server).and_then(|id| self.entries.get_mut(id))?;
        Some(report(server.clone(), entry.tracker.on_outcome(times, outcome)))
    }

    /// Marks a server up at once that is [held back](Report::held_back); none if it is not.
    pub fn release(&mut self, server: &ServerId, now: Instant) -> Option<Report> {
        let entry = self.ids.get(server).and_then(|id| self.entries.get_mut(id))?;
        Some(report(server.clone(), entry.tracker.release(now)?))
    }

    /// Starts no more probes, and waits for the running ones.
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
            let entry = self.entries.get_mut(&id).expect("what is queued is an entry");
            entry.due = None;
            let target = entry.target.clone();
            self.running.spawn(async move {
                let begun = self::now();
                Ended { id, due, begun, outcome: probe(&target).await }
            });
        }
    }

    /// Records a probe that ended; none if its target was removed.
    fn settle(&mut self, ended: Result<Ended, JoinError>) -> Option<Report> {
        // A panic in a probe is a broken invariant, and ends the process as anywhere else.
        let ended = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let Ended { id, due, begun, outcome } = ended;
        let entry = self.entries.get_mut(&id)?;
        entry.tracker.set_late(begun.saturating_duration_since(due));
        let update = entry.tracker.on_outcome(Times { asked: begun, answered: now() }, outcome);

        let rhythm = entry.target.probe.rhythm;
        let interval = entry.tracker.interval(&rhythm);
        let next = if std::mem::take(&mut entry.first) {
            schedule::second(begun, interval, &mut self.random)
        } else {
            schedule::next(begun, interval, rhythm.jitter_percent, &mut self.random)
        };
        entry.due = Some(next);
        self.queue.insert((next, id));
        Some(report(entry.server.clone(), update))
    }
}

/// The only place that reads the clock, which tests may stop.
fn now() -> Instant {
    Clock::now().into_std()
}

/// How much too early a probe may begin, together with one that is due: a wakeup for each would take a fifth of the
/// time of many probes. It is less than the jitter of the shortest interval.
const EARLY_MAX: Duration = Duration::from_millis(5);

/// How many probes run at once; each keeps at most one descriptor open. At the limit, due probes wait in order, and
/// are late.
pub const RUNNING_MAX: usize = 512;

fn report(server: ServerId, Update { changes, differs, held_back }: Update) -> Report {
    Report { server, changes, differs, held_back }
}
