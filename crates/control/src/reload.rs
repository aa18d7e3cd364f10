//! What a reload may change.

use std::fmt;

use config::{Config, counted};

use crate::failure::Failure;

/// Why a reload is refused. Nothing of it was applied.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The file is wrong, or a listener cannot be bound.
    Failed(Failure),
    /// A setting differs that only a restart can change.
    NeedsRestart {
        /// The setting, as the file names it.
        setting: &'static str,
        /// What the process runs with.
        running: String,
        /// What the file says.
        wanted: String,
    },
}

/// Refuses settings that differ and that only a restart can change.
pub(crate) fn refuse_restart(previous: &Config, next: &Config) -> Result<(), Refusal> {
    let (running, wanted) = (&previous.runtime, &next.runtime);
    stays("runtime.workers", &running.workers, &wanted.workers, ToString::to_string)?;
    stays("runtime.max_connections", &running.connections_max, &wanted.connections_max, ToString::to_string)?;
    stays("runtime.state", &running.state, &wanted.state, |state| {
        state.as_ref().map_or_else(|| "off".to_owned(), |folder| folder.display().to_string())
    })?;
    // The answer to a request for the reload comes through the socket.
    let (running, wanted) = (&previous.admin, &next.admin);
    stays("admin.socket", &running.socket, &wanted.socket, ToString::to_string)?;
    let http = |admin: &config::Admin| admin.http.map(|http| http.address);
    stays("admin.http", &http(running), &http(wanted), |http| {
        http.map_or("off".to_owned(), |address| address.to_string())
    })
}

/// Refuses a setting that only a restart can change, if it differs.
fn stays<T: PartialEq>(
    setting: &'static str,
    running: &T,
    wanted: &T,
    show: impl Fn(&T) -> String,
) -> Result<(), Refusal> {
    if running == wanted {
        return Ok(());
    }
    Err(Refusal::NeedsRestart { setting, running: show(running), wanted: show(wanted) })
}

impl Refusal {
    /// What is wrong, a line for each thing, for the log.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            // Not drawn as for a terminal: a line for each problem, with its place, is what a log is for.
            Self::Failed(Failure::Config(error)) => error.lines().collect(),
            // What to do about it is in a line of its own.
            Self::Failed(_) | Self::NeedsRestart { .. } => {
                vec![self.to_string().lines().map(str::trim).collect::<Vec<_>>().join("; ")]
            }
        }
    }
}

impl Refusal {
    /// The first [`ERRORS_SHOWN`] things that are wrong, in one line.
    pub(crate) fn summary(&self) -> String {
        let lines = self.lines();
        let shown = &lines[..lines.len().min(ERRORS_SHOWN)];
        let more = lines.len() - shown.len();
        let more = if more > 0 { format!("; and {}", counted(more, "more error")) } else { String::new() };
        format!("{}{more}", shown.join("; "))
    }
}

/// Errors that a line lists. The answer to the command and the log have all.
const ERRORS_SHOWN: usize = 3;

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::NeedsRestart { setting, running, wanted } => write!(
                f,
                "`{setting}` is {wanted} in the file and {running} in the process\n  \
                 it needs a restart; put it back to reload the rest"
            ),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::num::{NonZeroU16, NonZeroU32};
    use std::time::Duration;

    use config::{AdminSocket, Config, ConnectionsMax, Listener, Workers};

    use super::refuse_restart;

    #[test]
    fn some_settings_need_a_restart() {
        let running = config(&["a 1.1.1.1:1"]);
        let mut wanted = running.clone();
        wanted.runtime.drain_timeout = Duration::from_secs(1);
        assert!(refuse_restart(&running, &wanted).is_ok());
        wanted.runtime.workers = Workers::Number(NonZeroU16::new(4).unwrap());
        assert_eq!(
            refuse_restart(&running, &wanted).unwrap_err().to_string(),
            "`runtime.workers` is 4 in the file and auto in the process\n  \
             it needs a restart; put it back to reload the rest"
        );
        assert_eq!(
            refuse_restart(&running, &wanted).unwrap_err().summary(),
            "`runtime.workers` is 4 in the file and auto in the process; \
             it needs a restart; put it back to reload the rest"
        );
        wanted.runtime.workers = Workers::Auto;
        wanted.runtime.connections_max = ConnectionsMax::Number(NonZeroU32::new(10).unwrap());
        assert_eq!(
            refuse_restart(&running, &wanted).unwrap_err().to_string(),
            "`runtime.max_connections` is 10 in the file and auto in the process\n  \
             it needs a restart; put it back to reload the rest"
        );
        wanted = running.clone();
        wanted.runtime.state = Some("/var/lib/rondel".into());
        assert_eq!(
            refuse_restart(&running, &wanted).unwrap_err().to_string(),
            "`runtime.state` is /var/lib/rondel in the file and off in the process\n  \
             it needs a restart; put it back to reload the rest"
        );
        wanted = running.clone();
        wanted.admin.http = Some("127.0.0.1:9907".parse().unwrap());
        assert_eq!(
            refuse_restart(&running, &wanted).unwrap_err().to_string(),
            "`admin.http` is 127.0.0.1:9907 in the file and off in the process\n  \
             it needs a restart; put it back to reload the rest"
        );
        wanted = running.clone();
        wanted.admin.socket = AdminSocket::Off;
        assert_eq!(
            refuse_restart(&running, &wanted).unwrap_err().to_string(),
            "`admin.socket` is off in the file and auto in the process\n  \
             it needs a restart; put it back to reload the rest"
        );
    }

    /// A config with these listeners, each `NAME ADDRESS [v6only] [freebind]`, and one pool `app` of one
    /// backend.
    pub(crate) fn config(listeners: &[&str]) -> Config {
        let mut config = defaults();
        config.listeners = listeners.iter().map(|line| listener(line)).collect();
        config.pools[0].name = "app".to_owned();
        config.pools[0].backends[0].name = "a".to_owned();
        config
    }

    fn listener(line: &str) -> Listener {
        let words: Vec<&str> = line.split(' ').collect();
        Listener {
            name: words[0].to_owned(),
            addresses: vec![words[1].parse::<std::net::SocketAddr>().unwrap().into()],
            freebind: words.contains(&"freebind"),
            v6only: words.contains(&"v6only"),
            ..defaults().listeners.remove(0)
        }
    }

    /// What a file means that says the least, with one backend.
    fn defaults() -> Config {
        let address = "10.0.0.1:80".parse().unwrap();
        Config::forward(address, &[address])
    }
}
