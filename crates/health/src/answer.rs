//! What a probe brought home: an answer, or why there is none.

use std::time::{Duration, Instant};
use std::{error, fmt, io};

use tokio_rustls::rustls;

/// What a server that is well said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The role it says it has; none where the probe does not ask.
    pub role: Option<Role>,
}

/// What a server says it is to the others of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary(Claim),
    /// It follows a primary and takes reads.
    Replica(Progress),
    /// Neither, on its own word: read-only and following nobody, never synchronised, a sentinel.
    Neither,
}

impl Role {
    /// One word for logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Primary(_) => "primary",
            Self::Replica(_) => "replica",
            Self::Neither => "neither",
        }
    }
}

/// What a primary bases its claim on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Tells a newer primary from an older one, where the server says so.
    pub history: Option<History>,
    /// How far it has written, in bytes of its log, where the server says so.
    pub position: Option<u64>,
}

/// Where a primary's data came from. Two of different kinds say nothing of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// PostgreSQL: each promotion begins the next timeline.
    Timeline {
        /// The number of the database system; others cannot be compared.
        system: u64,
        /// The timeline, 1 and up.
        timeline: u32,
    },
    /// Redis: each promotion begins a history with another name.
    Replication {
        /// The name of its history.
        id: String,
        /// The history that it continues, if it was a replica once.
        continued: Option<String>,
        /// How far it is in it, in bytes.
        offset: u64,
    },
    /// MySQL: whether it is itself set up to follow another server, as a replica is that nobody made read-only.
    Source {
        /// Whether it is.
        follows: bool,
    },
}

/// How far a replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How far it has applied its primary's log, in bytes, where the server says so.
    pub position: Option<u64>,
    /// How far it is behind, where the server says so.
    pub lag: Option<Duration>,
}

/// When a server said something. It was so at some moment between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the probe began.
    pub asked: Instant,
    /// When the probe had ended.
    pub answered: Instant,
}

/// Why a probe has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeError {
    /// There was no answer in time.
    Timeout,
    /// Nobody listens at the address.
    Refused,
    /// The network does not reach the address.
    Unreachable(Text),
    /// The server closed or reset the connection before it had answered.
    Closed,
    /// The server answered something else than what is expected of one that is well.
    UnexpectedAnswer(Text),
    /// The server says that it does not serve: it starts, loads, shuts down, or lets no client of this host in.
    NotReady(Text),
    /// What the server said is not the protocol, or is too long.
    Protocol(Text),
    /// TLS failed: the certificate, the name in it, or the handshake.
    Tls(Text),
    /// The server does not let the probe in, or not do what it has to.
    Authentication(Text),
    /// The server has all the connections that it takes.
    Overloaded(Text),
    /// The probe could not be made, and the server was not even asked: no password, no port, no descriptor.
    Local(Text),
}

impl ProbeError {
    /// One word for logs and counters.
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

    /// Whether it counts against the server. If it does not, the verdict and the role stay what they were: a changed
    /// password, a full server or a want of descriptors here must not take the servers away from all clients.
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
            Self::Protocol(text) => write!(f, "not its protocol: {text}"),
            Self::Tls(text) => write!(f, "TLS: {text}"),
            Self::Authentication(text) => write!(f, "the probe is not let in: {text}"),
            Self::Overloaded(text) => write!(f, "no connection left: {text}"),
            Self::Local(text) => write!(f, "the probe could not be made: {text}"),
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
            // The kernel said no: no port, no descriptor, no memory, a firewall of this host, a wrong source.
            _ if error.raw_os_error().is_some() => Self::Local(Text::new(error)),
            _ => Self::Protocol(Text::new(error)),
        }
    }
}

/// Words that may be another's: one line, printable, at most [`TEXT_CHARS_MAX`] characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Takes what is said and leaves out what could harm a log.
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

/// How much of what a server says is kept.
pub const TEXT_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use std::io;

    use super::{ProbeError, TEXT_CHARS_MAX, Text};

    #[test]
    fn a_server_cannot_write_lines_into_the_log() {
        let text = Text::new("no\r\n2026-01-01 all is well\u{1b}[2J\0").to_string();
        assert_eq!(text, "no  2026-01-01 all is well [2J ");
        assert_eq!(Text::new("\u{e9}".repeat(1000)).to_string().chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn what_is_wrong_here_is_not_held_against_the_server() {
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
