//! The access log: where it goes, and what a line of it has.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One line for each connection that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where it goes.
    pub to: LogTarget,
    /// The facility of its messages to syslog; without effect for other targets.
    pub facility: Facility,
    /// What a line looks like.
    pub format: LogFormat,
    /// The fields of a line in their order, each at most once; none for those of the format.
    pub fields: Option<Vec<LogField>>,
    /// Whether to skip connections that the client ended without a byte sent or received, as port checks do.
    pub skip_empty: bool,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// The stderr of the process.
    Stderr,
    /// A Unix datagram socket of a syslog daemon; absolute.
    Syslog(PathBuf),
    /// A syslog server over UDP.
    SyslogUdp(SocketAddr),
    /// A file to append to; absolute.
    File(PathBuf),
}

impl LogTarget {
    /// Whether lines become messages, which have a facility.
    pub fn is_syslog(&self) -> bool {
        matches!(self, Self::Syslog(_) | Self::SyslogUdp(_))
    }
}

/// The socket of the syslog daemon, unless the file names another.
pub(crate) const SYSLOG_DEFAULT: &str = "/dev/log";

/// The port of syslog over UDP, RFC 5426.
pub(crate) const SYSLOG_PORT: u16 = 514;

/// What a line of the access log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// The fields of HAProxy's `option tcplog`.
    Text,
    /// A JSON object.
    Json,
}

/// Declares an enum with the words of its values. Their documentation is also what pages and help say of them.
macro_rules! words_with_meaning {
    ($(#[$of:meta])* pub enum $name:ident { $(#[doc = $doc:literal] $variant:ident = $word:literal,)* }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $(#[doc = $doc] $variant,)* }

        impl $name {
            /// Every value, in the order in which help texts list them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word of a file.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The meaning.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc.trim_ascii()),* }
            }
        }

        impl fmt::Display for $name {
            /// As written in a file.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

words_with_meaning! {
    /// The facility of a message to syslog, RFC 5424, in the order of its numbers.
    pub enum Facility {
        /// Kernel messages.
        Kern = "kern",
        /// User-level messages.
        User = "user",
        /// The mail system.
        Mail = "mail",
        /// System daemons.
        Daemon = "daemon",
        /// Security and authorization messages.
        Auth = "auth",
        /// Messages of the syslog daemon itself.
        Syslog = "syslog",
        /// The line printer subsystem.
        Lpr = "lpr",
        /// The network news subsystem.
        News = "news",
        /// The UUCP subsystem.
        Uucp = "uucp",
        /// The clock daemon, cron.
        Cron = "cron",
        /// Security and authorization messages that are private.
        Authpriv = "authpriv",
        /// The FTP daemon.
        Ftp = "ftp",
        /// The NTP subsystem.
        Ntp = "ntp",
        /// The log audit.
        Audit = "audit",
        /// The log alert.
        Alert = "alert",
        /// The second clock daemon.
        Clock = "clock",
        /// Local use 0.
        Local0 = "local0",
        /// Local use 1.
        Local1 = "local1",
        /// Local use 2.
        Local2 = "local2",
        /// Local use 3.
        Local3 = "local3",
        /// Local use 4.
        Local4 = "local4",
        /// Local use 5.
        Local5 = "local5",
        /// Local use 6.
        Local6 = "local6",
        /// Local use 7.
        Local7 = "local7",
    }
}

impl Facility {
    /// Its number, 0 to 23.
    pub fn number(self) -> u8 {
        self as u8
    }
}

words_with_meaning! {
    /// A field of a line of the access log. Its word is the key of the JSON format.
    pub enum LogField {
        /// When the client was accepted, in UTC: `2026-11-25T20:15:00.123456Z`.
        AcceptedAt = "accepted_at",
        /// When the connection ended, in UTC.
        EndedAt = "ended_at",
        /// The client's address and port; none if the connection was lost before they could be read.
        Client = "client",
        /// The proxy that named the client in a PROXY header; none if none did.
        Via = "via",
        /// The listener's name.
        Listener = "listener",
        /// The pool's name.
        Pool = "pool",
        /// The name of the backend, or of the one that was tried last; none if none was tried.
        Backend = "backend",
        /// The address and port of the backend; none if none was tried.
        BackendAddress = "backend_address",
        /// The route that took the connection; none if its listener has none, or it ended before.
        Route = "route",
        /// The name that the TLS hello asked for, at most 64 characters; none without routes or name.
        Sni = "sni",
        /// The protocols that the TLS hello offered, at most 64 characters; none without routes or protocols.
        Alpn = "alpn",
        /// How long the client took for its PROXY header and its hello, in milliseconds; none without either.
        OpeningMs = "opening_ms",
        /// How long the client waited in a queue or for a primary, in milliseconds.
        WaitedMs = "waited_ms",
        /// How long all attempts to connect took together, in milliseconds; none if it never had a backend.
        ConnectMs = "connect_ms",
        /// How long the connection lived, from the accept on, in milliseconds.
        DurationMs = "duration_ms",
        /// Bytes of the client that were sent to the backend.
        BytesToBackend = "bytes_to_backend",
        /// Bytes of the backend that were sent to the client.
        BytesToClient = "bytes_to_client",
        /// The two-letter code; in JSON an object with `code`, `reason` and `text`.
        Termination = "termination",
        /// The two-letter code alone, in JSON too.
        Code = "code",
        /// The close reason alone, as in the metrics.
        Reason = "reason",
        /// Attempts to connect after the first.
        Retries = "retries",
        /// How many clients waited before this one when it last began to wait.
        WaitedBehind = "waited_behind",
        /// Other connections at that time: `process/listener/pool/backend`; in JSON an object of these.
        Connections = "connections",
        /// The number of the worker.
        Worker = "worker",
        /// The `unique_id` of the PROXY header for the backend, in hexadecimal; none if none was sent.
        UniqueId = "unique_id",
    }
}

impl fmt::Display for LogTarget {
    /// As written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Syslog(path) if path.as_os_str() == SYSLOG_DEFAULT => f.write_str("syslog"),
            Self::Syslog(path) => write!(f, "syslog:{}", path.display()),
            Self::SyslogUdp(address) => write!(f, "syslog://{address}"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for AccessLog {
    /// As written in a file, abbreviated.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, facility, format, fields, skip_empty } = self;
        write!(f, "{to} as {format}")?;
        if to.is_syslog() {
            write!(f, " by {facility}")?;
        }
        if let Some(fields) = fields {
            write!(f, " of {}", show_fields(fields))?;
        }
        if *skip_empty { f.write_str(", without empty connections") } else { Ok(()) }
    }
}

/// As written in a file.
pub(crate) fn show_fields(fields: &[LogField]) -> String {
    let names: Vec<_> = fields.iter().map(|field| field.name()).collect();
    format!("[{}]", names.join(", "))
}
