//! The changes that one probe caused, and their log levels. Most probes change nothing.

use std::fmt;

use log::Level;

use crate::answer::ProbeError;
use crate::rise_fall::Verdict;
use crate::status::Status;
use crate::target::ServerId;

/// The result of one probe.
#[derive(Clone, Debug)]
pub struct Report {
    /// The server that was probed.
    pub server: ServerId,
    /// The changes to report; mostly none.
    pub changes: Vec<Change>,
    /// Whether its verdict, the name of its role, or the freshness of the role differs from the probe before.
    /// Positions do not count.
    pub differs: bool,
    /// Whether the server claims to be the primary, passed `rise` probes in a row, and is down only because of
    /// damping. If no other server can replace it, it has to be [released](crate::Prober::release).
    pub held_back: bool,
}

/// A change that is logged once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The verdict changed.
    Verdict {
        /// The verdict before.
        before: Verdict,
        /// The verdict now.
        after: Verdict,
        /// The error that caused it; none if the probe passed.
        error: Option<ProbeError>,
    },
    /// A probe failed with another error than the one before; the verdict stays.
    Error(ProbeError),
    /// A probe passed after failed ones; the verdict stays.
    Recovered,
    /// The reported role changed. As [`Role::name`](crate::Role::name); none is unknown.
    Role {
        /// The role before.
        before: Option<&'static str>,
        /// The role now.
        after: Option<&'static str>,
    },
}

impl Change {
    /// The changes from `before` to `after`. This decides what is reported.
    pub(crate) fn between(before: &Status, after: &Status) -> Vec<Self> {
        let mut changes = Vec::new();
        if before.verdict != after.verdict {
            let error = after.error.clone();
            changes.push(Self::Verdict { before: before.verdict, after: after.verdict, error });
        } else if before.error.as_ref().map(ProbeError::name) != after.error.as_ref().map(ProbeError::name) {
            // Compared by name: the text of a server may differ each time.
            changes.push(after.error.clone().map_or(Self::Recovered, Self::Error));
        }
        let role = |status: &Status| status.role.as_ref().map(crate::Role::name);
        if role(before) != role(after) {
            changes.push(Self::Role { before: role(before), after: role(after) });
        }
        changes
    }

    /// The log level.
    pub fn level(&self) -> Level {
        match self {
            Self::Verdict { after: Verdict::Down, .. } => Level::Warn,
            // It stays until an operator corrects the password or the privileges of the probe.
            Self::Error(ProbeError::Authentication(_) | ProbeError::Local(_)) => Level::Error,
            Self::Verdict { .. } | Self::Error(_) | Self::Role { .. } => Level::Info,
            Self::Recovered => Level::Debug,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict { after: Verdict::Down, error: Some(error), .. } => write!(f, "is down: {error}"),
            Self::Verdict { after: Verdict::Down, error: None, .. } => f.write_str("is down"),
            Self::Verdict { after: Verdict::Up, .. } => f.write_str("is up"),
            Self::Verdict { after: Verdict::Unknown, .. } => f.write_str("is unknown"),
            Self::Error(error) => write!(f, "probe failed: {error}"),
            Self::Recovered => f.write_str("probe passed again"),
            Self::Role { before, after } => {
                let name = |role: Option<&'static str>| role.unwrap_or("unknown");
                write!(f, "role changed from {} to {}", name(*before), name(*after))
            }
        }
    }
}
