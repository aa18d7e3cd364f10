//! Commands of an operator to a running process.

use std::fmt;

use config::Prefix;
use serde::{Deserialize, Serialize};

use crate::access::subject;
use crate::{AccessOrder, BackendName, Close, EventKind, LogLevel};

/// A command. As JSON, the body of `POST /command`: `{"drain": {"backend": "web/a"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Read the configuration file again and apply it, completely or not at all.
    Reload,
    /// Reopen the access log file after log rotation has renamed it.
    Reopen,
    /// Report what a reload of this configuration would change. Changes nothing.
    Plan {
        /// The name of the file, for messages.
        name: String,
        /// The content of the file.
        text: String,
    },
    /// Send no new connections to the backend. Established connections may finish.
    Drain {
        /// The backend.
        backend: BackendName,
        /// The deadline in seconds, at most a day. Connections that are left are closed in the last half of it;
        /// without a deadline none is closed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<u32>,
    },
    /// End a drain.
    Undrain {
        /// The backend.
        backend: BackendName,
    },
    /// Treat the backend as down, regardless of its probe.
    Disable {
        /// The backend.
        backend: BackendName,
    },
    /// Remove every override of the backend: the file and the probe apply again.
    Enable {
        /// The backend.
        backend: BackendName,
    },
    /// Override the weight of the backend.
    Weight {
        /// The backend.
        backend: BackendName,
        /// Its share of new connections, 0 to 256.
        weight: u16,
    },
    /// Return a pool to its active tier.
    Failback {
        /// The pool's name.
        pool: String,
    },
    /// Close connections.
    Close(Close),
    /// Refuse clients with these addresses, before the rules of the file.
    Deny(AccessOrder),
    /// Let clients with these addresses connect, before all that is denied.
    Allow(AccessOrder),
    /// Take back what was denied or allowed: these very addresses, of this very list.
    Forget {
        /// The addresses.
        #[serde(with = "crate::prefix")]
        prefix: Prefix,
        /// The access list; without one, what was said about every listener.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        list: Option<String>,
    },
    /// Change the log level.
    LogLevel {
        /// The new level.
        level: LogLevel,
    },
}

impl Command {
    /// What kind of event it is; none if it only asks and changes nothing.
    pub fn event_kind(&self) -> Option<EventKind> {
        match self {
            Self::Plan { .. } => None,
            Self::Deny(_) | Self::Allow(_) | Self::Forget { .. } => Some(EventKind::Access),
            Self::Reload
            | Self::Reopen
            | Self::Drain { .. }
            | Self::Undrain { .. }
            | Self::Disable { .. }
            | Self::Enable { .. }
            | Self::Weight { .. }
            | Self::Failback { .. }
            | Self::Close(_)
            | Self::LogLevel { .. } => Some(EventKind::Command),
        }
    }
}

impl fmt::Display for Command {
    /// The command line of the command, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reload => f.write_str("reload"),
            Self::Reopen => f.write_str("reopen"),
            Self::Plan { name, .. } => write!(f, "plan {}", name.escape_debug()),
            Self::Drain { backend, timeout_seconds: None } => write!(f, "drain {backend}"),
            Self::Drain { backend, timeout_seconds: Some(seconds) } => {
                write!(f, "drain {backend} --timeout {seconds}")
            }
            Self::Undrain { backend } => write!(f, "undrain {backend}"),
            Self::Disable { backend } => write!(f, "disable {backend}"),
            Self::Enable { backend } => write!(f, "enable {backend}"),
            Self::Weight { backend, weight } => write!(f, "weight {backend} {weight}"),
            Self::Failback { pool } => write!(f, "failback {pool}"),
            Self::Close(close) => write!(f, "close {close}"),
            Self::Deny(order) => write!(f, "deny {order}"),
            Self::Allow(order) => write!(f, "allow {order}"),
            Self::Forget { prefix, list } => {
                f.write_str("forget ")?;
                subject(*prefix, list.as_deref(), f)
            }
            Self::LogLevel { level } => write!(f, "log-level {level}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{BackendName, Command};

    #[test]
    fn is_written_as_json() {
        check(&Command::Reload, r#""reload""#);
        check(&Command::Reopen, r#""reopen""#);
        let backend: BackendName = "web/10.0.0.1:80".parse().unwrap();
        check(
            &Command::Drain { backend: backend.clone(), timeout_seconds: None },
            r#"{"drain":{"backend":"web/10.0.0.1:80"}}"#,
        );
        check(
            &Command::Drain { backend: backend.clone(), timeout_seconds: Some(60) },
            r#"{"drain":{"backend":"web/10.0.0.1:80","timeout_seconds":60}}"#,
        );
        check(
            &Command::Weight { backend, weight: 7 },
            r#"{"weight":{"backend":"web/10.0.0.1:80","weight":7}}"#,
        );
        for wrong in [
            r#""format""#,
            r#"{"drain":{}}"#,
            r#"{"drain":{"backend":"web"}}"#,
            r#"{"drain":{"backend":"web/a","now":true}}"#,
        ] {
            assert!(serde_json::from_str::<Command>(wrong).is_err(), "{wrong}");
        }
    }

    #[track_caller]
    fn check(command: &Command, json: &str) {
        assert_eq!(serde_json::to_string(command).unwrap(), json);
        assert_eq!(serde_json::from_str::<Command>(json).unwrap(), *command);
    }
}
