//! What is wrong or unusual in a status, in sentences: for `rondel status`, `rondel top` and the dashboard.
//!
//! Backends of one pool that have the same problem are one problem, so a pool of a thousand backends that are all
//! down has one line.

mod group; // Backends that have the same problem.
mod pool; // The problems of a pool.

use std::fmt::Write as _;

use config::{counted, show_duration};
use serde::{Deserialize, Serialize};

use crate::{ListenerRole, ListenerStatus, LogLevel, Phase, RemovedStatus, Status};

/// Something that is wrong or unusual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// How severe it is.
    pub severity: Severity,
    /// Its kind.
    pub kind: ProblemKind,
    /// The pool that has it, or that its listener leads to; `null` if it is one of the process.
    pub pool: Option<String>,
    /// The listener that has it; `null` if it is one of a pool or of the process.
    pub listener: Option<String>,
    /// What is wrong with what: `pool web: 59 of 60 backends are down`.
    pub text: String,
    /// When it began, in seconds since 1970; `null` if this is not known. Of several backends, when it began for
    /// the first of them.
    pub since: Option<f64>,
    /// When it began for the last of several backends, if that was more than a minute later.
    pub latest: Option<f64>,
    /// Why, or what to do: `connection refused`.
    pub why: Option<String>,
}

names! {
    /// How severe a problem is.
    pub enum Severity {
        /// Clients are rejected or wait, or the configuration of the file is not in force.
        Error = "error",
        /// Something does not work, and clients are served.
        Warning = "warning",
        /// Something is unusual because an operator or a reload has caused it.
        Note = "note",
    }
}

names! {
    /// The kind of a problem.
    pub enum ProblemKind {
        /// The process does not accept connections.
        Phase = "phase",
        /// The last reload was refused.
        Reload = "reload",
        /// The configuration file differs from the configuration in force.
        File = "file",
        /// A limit of connections is reached, or nearly.
        Limit = "limit",
        /// The access log cannot be written.
        AccessLog = "access_log",
        /// The host lacks something that connections need.
        Shortage = "shortage",
        /// No backend of a pool takes connections.
        NoBackend = "no_backend",
        /// Several backends report that they are the primary.
        Conflict = "conflict",
        /// There is no primary, and a listener needs one.
        NoPrimary = "no_primary",
        /// Clients wait for a primary or for a backend that is not full.
        Waiting = "waiting",
        /// The backup tier serves.
        Backup = "backup",
        /// Backends are down.
        Down = "down",
        /// Backends are ejected.
        Ejected = "ejected",
        /// Replicas are too far behind.
        Lagging = "lagging",
        /// Backends have no verdict yet.
        Unknown = "unknown",
        /// The last probe of backends failed, and their verdict is unchanged.
        Probe = "probe",
        /// Backends are drained.
        Drained = "drained",
        /// Backends are disabled.
        Disabled = "disabled",
        /// The weight of backends is overridden.
        Weight = "weight",
        /// Backends or listeners that a reload removed still have connections.
        Removed = "removed",
        /// The log has more lines or fewer than is usual.
        LogLevel = "log_level",
    }
}

impl Problem {
    /// The problem as a line. `clock` formats a time in seconds since 1970: its zone is that of the reader.
    pub fn sentence(&self, clock: impl Fn(f64) -> String) -> String {
        let mut line = self.text.clone();
        // Writing to a `String` does not fail.
        if let Some(since) = self.since {
            let _ = write!(line, " since {}", clock(since));
        }
        if let Some(latest) = self.latest {
            let _ = write!(line, ", the last since {}", clock(latest));
        }
        if let Some(why) = &self.why {
            let _ = write!(line, ": {why}");
        }
        line
    }

    fn of_process(severity: Severity, kind: ProblemKind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { severity, kind, pool: None, listener: None, text, since: None, latest: None, why: None }
    }

    fn of_pool(severity: Severity, kind: ProblemKind, pool: &str, text: &str) -> Self {
        let problem = Self::of_process(severity, kind, format!("pool {pool}: {text}"));
        Self { pool: Some(pool.to_owned()), ..problem }
    }

    fn of_listener(severity: Severity, kind: ProblemKind, listener: &ListenerStatus, text: &str) -> Self {
        let ListenerStatus { name, pool, .. } = listener;
        let problem = Self::of_process(severity, kind, format!("listener {name}: {text}"));
        Self { pool: Some(pool.clone()), listener: Some(name.clone()), ..problem }
    }

    fn because(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    fn since(self, since: Option<f64>) -> Self {
        Self { since, ..self }
    }
}

/// The problems of a status: the most severe first; then those of the process, of listeners and of pools, in the
/// order of the file. Empty if all is well.
///
/// It reads nothing of [`Status::problems`].
pub fn problems(status: &Status) -> Vec<Problem> {
    let mut problems = of_process(status);
    problems.extend(status.shortages.iter().map(shortage));
    for listener in &status.listeners {
        problems.extend(of_listener(status, listener));
    }
    for pool in &status.pools {
        problems.extend(pool::problems(status, pool));
    }
    problems.extend(status.removed.iter().map(removed));
    problems.sort_by_key(|problem| problem.severity as u8);
    problems
}

fn of_process(status: &Status) -> Vec<Problem> {
    let mut problems = Vec::new();
    match status.phase {
        Phase::Serving => {}
        Phase::Draining | Phase::Ending => problems.push(Problem::of_process(
            Severity::Error,
            ProblemKind::Phase,
            format!("the process is {} and accepts no new connections", status.phase),
        )),
    }
    problems.extend(of_config(status));
    problems.extend(limit(status.connections.active.into(), status.connections.max).map(|limit| Problem {
        why: limit.why,
        ..Problem::of_process(limit.severity, ProblemKind::Limit, format!("the process has {}", limit.text))
    }));
    if let Some(error) = &status.access_log.error {
        let text = "the access log cannot be written";
        problems.push(Problem::of_process(Severity::Warning, ProblemKind::AccessLog, text).because(error));
    }
    match status.log_level {
        LogLevel::Error | LogLevel::Warn | LogLevel::Info => {}
        LogLevel::Off | LogLevel::Debug | LogLevel::Trace => problems.push(Problem::of_process(
            Severity::Note,
            ProblemKind::LogLevel,
            format!("the log level is {}", status.log_level),
        )),
    }
    problems
}

/// A refused reload, or a file that was changed and not reloaded.
fn of_config(status: &Status) -> Option<Problem> {
    let config = &status.config;
    if let Some(error) = &config.last_error {
        let text = "the last reload was refused, and the configuration before it is in force";
        let problem = Problem::of_process(Severity::Error, ProblemKind::Reload, text);
        return Some(problem.since(config.refused_at).because(error));
    }
    let difference = config.difference.as_ref()?;
    let (severity, text, why) = match &difference.error {
        Some(error) => {
            (Severity::Warning, "the configuration file has changed and is invalid", error.clone())
        }
        None => (
            Severity::Note,
            "the configuration file differs from the configuration in force",
            format!("{}; `rondel reload` applies it", counted(difference.changes, "change")),
        ),
    };
    Some(Problem::of_process(severity, ProblemKind::File, text).since(Some(difference.since)).because(why))
}

fn shortage(shortage: &crate::ShortageStatus) -> Problem {
    Problem {
        pool: shortage.pool.clone(),
        listener: shortage.listener.clone(),
        ..Problem::of_process(Severity::Error, ProblemKind::Shortage, &shortage.text)
            .since(Some(shortage.since))
            .because(&shortage.why)
    }
}

fn of_listener(status: &Status, listener: &ListenerStatus) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(limit(listener.active, listener.connections_max).map(|limit| Problem {
        why: limit.why,
        ..Problem::of_listener(
            limit.severity,
            ProblemKind::Limit,
            listener,
            &format!("it has {}", limit.text),
        )
    }));
    // Without a primary the pool says it.
    let lacks_primary =
        status.pools.iter().any(|pool| pool.name == listener.pool && !pool::has_primary(pool));
    if listener.held > 0 && !lacks_primary {
        let text = format!("{} for the primary", pool::wait(listener.held));
        problems.push(Problem::of_listener(Severity::Error, ProblemKind::Waiting, listener, &text));
    }
    problems
}

/// A limit that is reached, or nearly.
struct Limit {
    severity: Severity,
    /// The numbers.
    text: String,
    why: Option<String>,
}

fn limit(active: u64, max: u32) -> Option<Limit> {
    let text = format!("{active} of {}", counted(max, "connection"));
    if active >= max.into() {
        let why = Some("further clients wait in the kernel's queue".to_owned());
        return Some(Limit { severity: Severity::Error, text, why });
    }
    let is_near = active * 100 > u64::from(max) * NEARLY_FULL_PERCENT;
    is_near.then(|| Limit {
        severity: Severity::Warning,
        text: format!("{text}, nearly its limit"),
        why: None,
    })
}

fn removed(removed: &RemovedStatus) -> Problem {
    let RemovedStatus { kind, pool, name, active, seconds_left, .. } = removed;
    let left = match seconds_left {
        Some(seconds) => {
            let left = show_duration(std::time::Duration::from_secs(*seconds));
            format!("those that are left are closed in {left}")
        }
        None => "they may take any time".to_owned(),
    };
    let has = counted(*active, "connection");
    let text = format!("a reload removed {kind} {name}, which still has {has}");
    let problem = Problem::of_pool(Severity::Note, ProblemKind::Removed, pool, &text).because(left);
    let is_listener = *kind == crate::RemovedKind::Listener;
    Problem { listener: is_listener.then(|| name.clone()), ..problem }
}

/// Whether a listener of this pool needs a primary.
fn needs_primary(status: &Status, pool: &str) -> bool {
    let needs = |listener: &&ListenerStatus| listener.role == Some(ListenerRole::Primary);
    status.listeners.iter().filter(needs).any(|listener| listener.pool == pool)
}

/// Above this share of a limit, in percent, it is nearly reached; as in the alerts.
const NEARLY_FULL_PERCENT: u64 = 80;

#[cfg(test)]
mod tests;
