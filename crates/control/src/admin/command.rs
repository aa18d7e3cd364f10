//! What an operator may tell the process to do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Close;

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
        /// `off`, `error`, `warn`, `info`, `debug` or `trace`.
        level: String,
    },
}

/// A backend by the names of its pool and its own, written `POOL/NAME`. A name that the file does not give is the address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackendName(String);

impl BackendName {
    /// Every way to take it apart: a name may have a `/` in it.
    pub(crate) fn splits(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.match_indices('/').map(|(at, slash)| (&self.0[..at], &self.0[at + slash.len()..]))
    }
}

impl FromStr for BackendName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for BackendName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = Self(text);
        if name.splits().any(|(pool, backend)| !pool.is_empty() && !backend.is_empty()) {
            return Ok(name);
        }
        Err("write the pool and the backend, such as `web/a` or `web/10.0.0.1:80`".to_owned())
    }
}

impl From<BackendName> for String {
    fn from(name: BackendName) -> Self {
        name.0
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
    use super::{BackendName, Command};

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

    #[test]
    fn a_backend_is_named_with_its_pool() {
        let name: BackendName = "a/b/c".parse().unwrap();
        assert_eq!(name.splits().collect::<Vec<_>>(), [("a", "b/c"), ("a/b", "c")]);
        for wrong in ["", "web", "/a", "web/"] {
            assert!(wrong.parse::<BackendName>().is_err(), "{wrong}");
        }
    }
}
