//! What is said once everything is in place.

use std::fmt;
use std::net::SocketAddr;

use config::{counted, show_addresses};

/// The process serves: every listener is bound, every worker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The listeners, in the order of the config.
    pub listeners: Vec<ReadyListener>,
    /// How many workers run.
    pub workers: usize,
    /// How many connections the process holds at once.
    pub connections_max: u32,
    /// Where the dashboard, the metrics and the status are, if the config asks for them over TCP.
    pub http: Option<SocketAddr>,
}

/// A listener that is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyListener {
    /// Its name.
    pub name: String,
    /// The addresses it has: where the config says port 0, the port that the kernel chose.
    pub addresses: Vec<SocketAddr>,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, listener) in self.listeners.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            // Without a name of its own, a listener is named by its address.
            let addresses = show_addresses(&listener.addresses);
            if listener.name == addresses {
                write!(f, "{comma}{addresses}")?;
            } else {
                write!(f, "{comma}{} on {addresses}", listener.name)?;
            }
        }
        let (workers, connections) =
            (counted(self.workers, "worker"), counted(self.connections_max, "connection"));
        write!(f, "; {workers}, at most {connections}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Ready, ReadyListener};

    #[test]
    fn reads_as_a_sentence() {
        let listener = |name: &str, address: &str| ReadyListener {
            name: name.to_owned(),
            addresses: vec![address.parse().unwrap()],
        };
        let ready = Ready {
            listeners: vec![listener("web", "0.0.0.0:80"), listener("[::1]:81", "[::1]:81")],
            workers: 2,
            connections_max: 9_936,
            http: None,
        };
        assert_eq!(ready.to_string(), "web on 0.0.0.0:80, [::1]:81; 2 workers, at most 9936 connections");
    }
}
