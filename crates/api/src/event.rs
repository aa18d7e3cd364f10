//! The event log.

use serde::{Deserialize, Serialize};

use crate::LogLevel;

/// An entry of the event log. It is also a line of the process's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number. Numbers start at 1 and have no gap.
    pub number: u64,
    /// When the event occurred, in seconds since 1970.
    pub at: f64,
    /// How severe it is: `error`, `warn` or `info`.
    pub level: LogLevel,
    /// Its subject.
    pub kind: EventKind,
    /// What happened, in one line of at most [`EVENT_CHARS_MAX`] characters.
    pub text: String,
}

names! {
    /// The subject of an event.
    pub enum EventKind {
        /// A backend went up or down.
        Verdict = "verdict",
        /// A probe fails with another error than before; the verdict is unchanged.
        Probe = "probe",
        /// A backend reports another role, or a pool has another primary.
        Role = "role",
        /// More than one backend reports that it is the primary, or this ended.
        Primaries = "primaries",
        /// A backend was ejected, or its ejection ended.
        Ejection = "ejection",
        /// The other tier of a pool serves.
        Tier = "tier",
        /// The configuration file was read again.
        Reload = "reload",
        /// An operator gave a command.
        Command = "command",
        /// The process begins to drain, or to end.
        Phase = "phase",
        /// The host lacks something that connections need, or has it again.
        Host = "host",
    }
}

/// How many characters of a line an event keeps. The log has the whole line.
pub const EVENT_CHARS_MAX: usize = 400;
