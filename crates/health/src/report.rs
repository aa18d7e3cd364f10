//! What one probe changed, and how loud that is to be said. Most probes change nothing.

use std::fmt;

use log::Level;

use crate::answer::ProbeError;
use crate::rise_fall::Verdict;
use crate::status::Status;
use crate::target::ServerId;

/// What came of one probe.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose.
    pub server: ServerId,
    /// What is to be said of it; mostly nothing.
    pub changes: Vec<Change>,
    /// Whether it says something else of its server than the probe before: whether it is well, the name of its role, or whether
    /// the role is fresh. How far the server is does not count.
    pub differs: bool,
    /// Whether the server says that it is the primary, passed as many probes in a row as `rise` says, and is down
    /// only because it went down often. Where no other server can take its place, it is to be
    /// [released](crate::Prober::release).
    pub held_back: bool,
}

/// Something that is worth a line in the log, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The verdict changed.
    Verdict {
        /// What it was.
        before: Verdict,
        /// What it is.
        after: Verdict,
        /// What the probe said that brought it about; none if it passed.
        error: Option<ProbeError>,
    },
    /// A probe failed in another way than the one before, and the verdict stays.
    Error(ProbeError),
    /// A probe passed after some that failed, and the verdict stays.
    Recovered,
    /// It says that it has another role. In words of [`Role::name`](crate::Role::name); none is unknown.
    Role {
        /// What it was.
        before: Option<&'static str>,
        /// What it is.
        after: Option<&'static str>,
    },
}

impl Change {
    /// What is to be said of `after`. Here it is decided what is said and what is not.
    pub(crate) fn between(before: &Status, after: &Status) -> Vec<Self> {
        let mut changes = Vec::new();
        if before.verdict != after.verdict {
            let error = after.error.clone();
            changes.push(Self::Verdict { before: before.verdict, after: after.verdict, error });
        } else if before.error.as_ref().map(ProbeError::name) != after.error.as_ref().map(ProbeError::name) {
            // By its name: words of a server may differ each time.
            changes.push(after.error.clone().map_or(Self::Recovered, Self::Error));
        }
        let role = |status: &Status| status.role.as_ref().map(crate::Role::name);
        if role(before) != role(after) {
            changes.push(Self::Role { before: role(before), after: role(after) });
        }
        changes
    }

    /// How loud it is to be said.
    pub fn level(&self) -> Level {
        match self {
            Self::Verdict { after: Verdict::Down, .. } => Level::Warn,
            // It stays until somebody mends it: the probe's password, or its rights.
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
                write!(f, "role was {}, is {}", name(*before), name(*after))
            }
        }
    }
}
