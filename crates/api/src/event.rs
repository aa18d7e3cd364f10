//! The event log.

use serde::{Deserialize, Serialize};

use crate::LogLevel;

/// An entry of the event log. It is also a line of the process's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number. Numbers start at 1; one that is missing between two others is no longer kept.
    pub number: u64,
    /// When the event occurred, in seconds since 1970.
    pub at: f64,
    /// How severe it is: `error`, `warn` or `info`.
    pub level: LogLevel,
    /// Its subject.
    pub kind: EventKind,
    /// The pool that it is about; `null` if it is about the process.
    #[serde(default)]
    pub pool: Option<String>,
    /// What happened, in one line of at most [`EVENT_CHARS_MAX`] characters.
    pub text: String,
    /// What it changed, for a reload or a command: at most [`EVENT_DETAILS_MAX`] lines, as `rondel plan` prints
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Event {
    /// Whether it is about this pool, or a reload that changed it.
    pub fn concerns(&self, pool: &str) -> bool {
        let names = |line: &String| {
            let Some(line) = ["+ ", "- ", "~ "].iter().find_map(|sign| line.strip_prefix(sign)) else {
                return false;
            };
            let of_pool = line.strip_prefix("pool ").and_then(|line| line.strip_prefix(pool));
            let of_listener = line.starts_with("listener ")
                && (line.ends_with(&format!(" -> {pool}")) || line.contains(&format!(" pool {pool} ")));
            of_pool.is_some_and(|rest| rest.is_empty() || rest.starts_with(':')) || of_listener
        };
        self.pool.as_deref() == Some(pool)
            || (self.kind == EventKind::Reload && self.details.iter().any(names))
    }
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
        /// An operator denied or allowed addresses of clients, or the time of that is over.
        Access = "access",
        /// The process started, or begins to drain or to end.
        Phase = "phase",
        /// The host lacks something that connections need, or has it again.
        Host = "host",
    }
}

/// How many characters of a line an event keeps. The log has the whole line.
pub const EVENT_CHARS_MAX: usize = 400;

/// How many lines of details an event keeps. The line after them has the number of the others.
pub const EVENT_DETAILS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::{Event, EventKind};
    use crate::LogLevel;

    #[test]
    fn a_reload_concerns_the_pools_that_it_changed() {
        for (line, concerns) in [
            ("~ pool web: weight of a 1 -> 3", true),
            ("+ pool web: 1 backend", true),
            ("- pool web", true),
            ("- pool web2", false),
            ("~ pool db: + backend web 10.0.0.1:80", false),
            ("+ listener in 127.0.0.1:80 -> web", true),
            ("~ listener in: pool web -> db", true),
            ("~ listener in: pool db -> web", true),
            ("~ listener web: backlog 16 -> 100", false),
        ] {
            let event = Event {
                number: 1,
                at: 0.0,
                level: LogLevel::Info,
                kind: EventKind::Reload,
                pool: None,
                text: "reloaded: 1 change".to_owned(),
                details: vec![line.to_owned()],
            };
            assert_eq!(event.concerns("web"), concerns, "{line}");
            assert!(Event { pool: Some("web".to_owned()), ..event }.concerns("web"));
        }
    }
}
