//! A problem: something that is wrong or unusual, as a sentence.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::ListenerStatus;

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
    /// How many backends of the pool have it; `null` if it is not one of some backends.
    pub backends: Option<usize>,
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

    pub(crate) fn of_process(severity: Severity, kind: ProblemKind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            severity,
            kind,
            pool: None,
            listener: None,
            backends: None,
            text,
            since: None,
            latest: None,
            why: None,
        }
    }

    pub(crate) fn of_pool(severity: Severity, kind: ProblemKind, pool: &str, text: &str) -> Self {
        let problem = Self::of_process(severity, kind, format!("pool {pool}: {text}"));
        Self { pool: Some(pool.to_owned()), ..problem }
    }

    pub(crate) fn of_listener(
        severity: Severity,
        kind: ProblemKind,
        listener: &ListenerStatus,
        text: &str,
    ) -> Self {
        let ListenerStatus { name, pool, .. } = listener;
        let problem = Self::of_process(severity, kind, format!("listener {name}: {text}"));
        Self { pool: Some(pool.clone()), listener: Some(name.clone()), ..problem }
    }

    pub(crate) fn because(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    pub(crate) fn since(self, since: Option<f64>) -> Self {
        Self { since, ..self }
    }
}
