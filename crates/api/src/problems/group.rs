//! Backends of one pool that have the same problem, as one problem.

use config::listed;

use crate::problem::{Problem, ProblemKind, Severity};
use crate::{BackendStatus, PoolStatus};

/// Backends of a pool.
pub(super) struct Group<'a> {
    pool: &'a PoolStatus,
    backends: Vec<&'a BackendStatus>,
}

impl<'a> Group<'a> {
    pub(super) fn new(pool: &'a PoolStatus, belongs: impl Fn(&BackendStatus) -> bool) -> Self {
        Self { pool, backends: pool.backends.iter().filter(|backend| belongs(backend)).collect() }
    }

    /// The problem of these backends; none if there are none. `one` and `many` follow the number of backends:
    /// `is down`, `are down`.
    pub(super) fn problem(
        &self,
        severity: Severity,
        kind: ProblemKind,
        one: &str,
        many: &str,
    ) -> Option<Problem> {
        if self.backends.is_empty() {
            return None;
        }
        let verb = if self.backends.len() == 1 { one } else { many };
        let text = format!("{} {verb}", self.subject());
        let problem = Problem::of_pool(severity, kind, &self.pool.name, &text);
        Some(Problem { backends: Some(self.backends.len()), ..problem })
    }

    /// The backends: by name if they are few.
    fn subject(&self) -> String {
        let (number, all) = (self.backends.len(), self.pool.backends.len());
        let names: Vec<&str> = self.backends.iter().map(|backend| backend.name.as_str()).collect();
        match names.as_slice() {
            [only] if all == 1 => format!("its only backend, {only},"),
            _ if number == all => format!("all {all} backends"),
            [one] => format!("backend {one}, 1 of {all},"),
            few if number <= NAMES_MAX => format!("backends {}, {number} of {all},", listed(few)),
            _ => format!("{number} of {all} backends"),
        }
    }

    /// The problem with the times at which it began for the first and for the last backend, from seconds before
    /// `now`.
    pub(super) fn since(
        &self,
        problem: Problem,
        now: f64,
        seconds: impl Fn(&BackendStatus) -> Option<f64>,
    ) -> Problem {
        let times = || self.backends.iter().filter_map(|backend| seconds(backend)).map(|ago| now - ago);
        let first = times().min_by(f64::total_cmp);
        let last = times().max_by(f64::total_cmp);
        let is_later = |last: &f64| first.is_some_and(|first| last - first > TOGETHER_SECONDS);
        Problem { since: first, latest: last.filter(is_later), ..problem }
    }

    /// The reasons of these backends, the most frequent first: `connection refused (58), timed out (1)`. None if
    /// no backend has one.
    pub(super) fn reasons(&self, reason: impl Fn(&'a BackendStatus) -> Option<String>) -> Option<String> {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for reason in self.backends.iter().filter_map(|backend| reason(backend)) {
            match counts.iter().position(|(known, _)| *known == reason) {
                Some(at) => counts[at].1 += 1,
                None if counts.len() < REASONS_MAX => counts.push((reason, 1)),
                None => {}
            }
        }
        // A stable sort: of equally frequent ones, the one of the first backend comes first.
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        match counts.as_slice() {
            [] => None,
            [(only, count)] if *count == self.backends.len() => Some(only.clone()),
            _ => {
                let shown: usize = counts.iter().take(REASONS_SHOWN).map(|(_, count)| count).sum();
                let mut parts: Vec<String> = counts
                    .iter()
                    .take(REASONS_SHOWN)
                    .map(|(reason, count)| format!("{reason} ({count})"))
                    .collect();
                let more = self.backends.len() - shown;
                parts.extend((more > 0).then(|| format!("other or no reasons ({more})")));
                Some(parts.join(", "))
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.backends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a BackendStatus> {
        self.backends.iter().copied()
    }
}

/// Backends that a problem names. More are counted.
const NAMES_MAX: usize = 3;

/// Reasons that are told apart, so that ten thousand backends with a text of their own each take no time.
const REASONS_MAX: usize = 16;

/// Reasons that a problem names.
const REASONS_SHOWN: usize = 3;

/// What begins within this time of the first, in seconds, began together.
const TOGETHER_SECONDS: f64 = 60.0;
