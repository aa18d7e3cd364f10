//! What an operator may tell the process to do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BackendName, Close, LogLevel};

/// Something that the process is to do. As JSON, the body of `POST /command`: `{"drain": {"backend": "web/a"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Read the file again and go over to it, whole or not at all.
    Reload,
    /// Open the file of the access log again, which was renamed.
    Reopen,
    /// Say what a reload would change if the file said this, and change nothing.
    Plan {
        /// The name of the file, for messages.
        name: String,
        /// What it says.
        text: String,
    },
    /// Send no new connections to the backend; those that it has may finish.
    Drain {
        /// Which.
        backend: BackendName,
        /// Within so many seconds, at most a day; those that are left are closed in the last half of them. None lets them live on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<u32>,
    },
    /// Take a drain back.
    Undrain {
        /// Which.
        backend: BackendName,
    },
    /// Treat the backend as if it were down, whatever its probe says.
    Disable {
        /// Which.
        backend: BackendName,
    },
    /// Take everything back that was said of the backend: the file and its probe hold again.
    Enable {
        /// Which.
        backend: BackendName,
    },
    /// Give the backend another weight than the file does.
    Weight {
        /// Which.
        backend: BackendName,
        /// Its share of new connections, 0 to 256.
        weight: u16,
    },
    /// Let the active tier of a pool take over again.
    Failback {
        /// The pool's name.
        pool: String,
    },
    /// Close connections.
    Close(Close),
    /// Log this much from now on.
    LogLevel {
        /// The least severe level that is logged.
        level: LogLevel,
    },
}

impl fmt::Display for Command {
    /// For the log: as it is typed.
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
