//! The line that `systemctl status` shows.

use std::fmt;
use std::time::Duration;

use config::counted;
use table::Phase;

/// The state of the process in one line.
#[derive(Debug)]
pub(crate) struct StatusLine<'a> {
    pub(crate) phase: Phase,
    pub(crate) listeners: usize,
    pub(crate) backends: usize,
    /// The backends that are neither down nor ejected.
    pub(crate) available: usize,
    pub(crate) connections: u32,
    /// How long the remaining connections may take; none unless the process drains.
    pub(crate) left: Option<Duration>,
    /// Why the last reload was refused; none if it was applied.
    pub(crate) refused: Option<&'a str>,
}

impl fmt::Display for StatusLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listeners, backends, available, connections, .. } = self;
        match (self.phase, self.left) {
            (Phase::Serving, _) => {
                write!(
                    f,
                    "serving: {}, {available} of {} up, {}",
                    counted(*listeners, "listener"),
                    counted(*backends, "backend"),
                    counted(*connections, "connection")
                )?;
            }
            (Phase::Draining, Some(left)) => {
                let connections = counted(*connections, "connection");
                write!(f, "draining: {connections} left, for {}s at most", left.as_secs())?;
            }
            (Phase::Draining | Phase::Ending, _) => {
                let are = if *connections == 1 { "is" } else { "are" };
                write!(f, "ending: {} {are} cut", counted(*connections, "connection"))?;
            }
        }
        match self.refused {
            Some(why) => write!(f, "; the last reload was refused: {why}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use table::Phase;

    use super::StatusLine;

    #[test]
    fn the_line_has_the_phase_and_the_counts() {
        let line = StatusLine {
            phase: Phase::Serving,
            listeners: 2,
            backends: 6,
            available: 5,
            connections: 123,
            left: None,
            refused: None,
        };
        assert_eq!(line.to_string(), "serving: 2 listeners, 5 of 6 backends up, 123 connections");
        let refused = StatusLine { refused: Some("a.yaml:7: wrong"), ..line };
        assert!(refused.to_string().ends_with("connections; the last reload was refused: a.yaml:7: wrong"));
        let draining = StatusLine {
            phase: Phase::Draining,
            left: Some(Duration::from_millis(2_900)),
            refused: None,
            ..refused
        };
        assert_eq!(draining.to_string(), "draining: 123 connections left, for 2s at most");
        let ending = StatusLine { phase: Phase::Ending, left: None, ..draining };
        assert_eq!(ending.to_string(), "ending: 123 connections are cut");
    }
}
