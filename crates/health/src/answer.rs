//! The result of a probe: an answer, or why there is none.

use std::time::{Duration, Instant};
use std::{error, fmt, io};

use tokio_rustls::rustls;

/// The answer of a healthy server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The role it reports; none if the probe does not ask for it.
    pub role: Option<Role>,
}

/// The role that a server reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It accepts writes.
    Primary(Claim),
    /// It follows a primary and serves reads.
    Replica(Progress),
    /// Neither: it is read-only without following a server, was never synchronised, or is a sentinel.
    Neither,
}

impl Role {
    /// One word for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Primary(_) => "primary",
            Self::Replica(_) => "replica",
            Self::Neither => "neither",
        }
    }
}

/// The evidence for a primary's claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Distinguishes a newer primary from an older one, if the server reports it.
    pub history: Option<History>,
    /// The bytes of log it has written, if the server reports them.
    pub position: Option<u64>,
}

/// The origin of a primary's data. Histories of different kinds cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// PostgreSQL: each promotion starts the next timeline.
    Timeline {
        /// The system identifier; different systems cannot be compared.
        system: u64,
        /// The timeline, starting at 1.
        timeline: u32,
    },
    /// Redis: each promotion starts a history with a new ID.
    Replication {
        /// The ID of its history.
        id: String,
        /// The ID of the history that it continues, if it was a replica before.
        continued: Option<String>,
        /// Its offset in the history, in bytes.
        offset: u64,
    },
    /// MySQL: whether it is itself configured to follow another server, as a replica is that was not made
    /// read-only.
    Source {
        /// Whether it is configured so.
        follows: bool,
    },
}

/// The progress of a replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How much of its primary's log it has applied, in bytes, if the server reports it.
    pub position: Option<u64>,
    /// Its lag, if the server reports it.
    pub lag: Option<Duration>,
}

/// The period in which a server's answer was true at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the probe began.
    pub asked: Instant,
    /// When the probe ended.
    pub answered: Instant,
}

/// Why a probe has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeError {
    /// The timeout expired.
    Timeout,
    /// The address refuses connections.
    Refused,
    /// The address is unreachable.
    Unreachable(Text),
    /// The server closed or reset the connection before it answered.
    Closed,
    /// The server gave an answer that a healthy server does not give.
    UnexpectedAnswer(Text),
    /// The server reports that it does not serve: it is starting, loading or shutting down, or it blocks this host.
    NotReady(Text),
    /// The answer violates the protocol or is too long.
    Protocol(Text),
    /// TLS failed: the certificate, its name, or the handshake.
    Tls(Text),
    /// The server rejects the login of the probe, or denies it a privilege that it needs.
    Authentication(Text),
    /// The server is at its connection limit.
    Overloaded(Text),
    /// The probe failed on this host before it reached the server: no password, no port, no descriptor.
    Local(Text),
}

impl ProbeError {
    /// One word for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::Closed => "closed",
            Self::UnexpectedAnswer(_) => "unexpected_answer",
            Self::NotReady(_) => "not_ready",
            Self::Protocol(_) => "protocol",
            Self::Tls(_) => "tls",
            Self::Authentication(_) => "authentication",
            Self::Overloaded(_) => "overloaded",
            Self::Local(_) => "local",
        }
    }

    /// Whether it counts against the server. If it does not, the verdict and the role stay: a changed password, a
    /// full server, or a lack of descriptors here must not take servers out of service.
    pub fn blames_server(&self) -> bool {
        match self {
            Self::Timeout
            | Self::Refused
            | Self::Unreachable(_)
            | Self::Closed
            | Self::UnexpectedAnswer(_)
            | Self::NotReady(_)
            | Self::Protocol(_)
            | Self::Tls(_) => true,
            Self::Authentication(_) | Self::Overloaded(_) | Self::Local(_) => false,
        }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Refused => f.write_str("connection refused"),
            Self::Unreachable(text) => write!(f, "unreachable: {text}"),
            Self::Closed => f.write_str("connection closed before the answer"),
            Self::UnexpectedAnswer(text) => write!(f, "unexpected answer: {text}"),
            Self::NotReady(text) => write!(f, "not ready: {text}"),
            Self::Protocol(text) => write!(f, "protocol error: {text}"),
            Self::Tls(text) => write!(f, "TLS: {text}"),
            Self::Authentication(text) => write!(f, "access denied: {text}"),
            Self::Overloaded(text) => write!(f, "too many connections: {text}"),
            Self::Local(text) => write!(f, "local error: {text}"),
        }
    }
}

impl error::Error for ProbeError {}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        (&error).into()
    }
}

impl From<&io::Error> for ProbeError {
    fn from(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Tls(Text::new(tls));
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => Self::Unreachable(Text::new(error)),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof => Self::Closed,
            // The kernel refused: no port, no descriptor, no memory, a firewall of this host, or a wrong source
            // address.
            _ if error.raw_os_error().is_some() => Self::Local(Text::new(error)),
            _ => Self::Protocol(Text::new(error)),
        }
    }
}

/// Text from another process: one line, printable, at most [`TEXT_CHARS_MAX`] characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Takes a text and removes what could break a log.
    pub fn new(said: impl fmt::Display) -> Self {
        let printable = |char: char| if char.is_control() { ' ' } else { char };
        Self(said.to_string().chars().take(TEXT_CHARS_MAX).map(printable).collect())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part of a server's text that is kept.
pub const TEXT_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use std::io;

    use super::{ProbeError, TEXT_CHARS_MAX, Text};

    #[test]
    fn text_of_a_server_adds_no_lines_to_the_log() {
        let text = Text::new("no\r\n2026-01-01 all is fine\u{1b}[2J\0").to_string();
        assert_eq!(text, "no  2026-01-01 all is fine [2J ");
        assert_eq!(Text::new("\u{e9}".repeat(1000)).to_string().chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn local_errors_do_not_count_against_the_server() {
        // EMFILE, ENFILE, EADDRNOTAVAIL, ENOBUFS, ENOMEM, EACCES, EPERM.
        for errno in [24, 23, 99, 105, 12, 13, 1] {
            let error = ProbeError::from(io::Error::from_raw_os_error(errno));
            assert_eq!((error.name(), error.blames_server()), ("local", false), "{errno}");
        }
        // ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNRESET, EPIPE.
        for (errno, name) in [
            (111, "refused"),
            (110, "timeout"),
            (113, "unreachable"),
            (101, "unreachable"),
            (104, "closed"),
            (32, "closed"),
        ] {
            let error = ProbeError::from(io::Error::from_raw_os_error(errno));
            assert_eq!((error.name(), error.blames_server()), (name, true), "{errno}");
        }
    }
}
