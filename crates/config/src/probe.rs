//! How backends are probed, and how answers become verdicts.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::proxy::HeaderVersion;

/// How a backend is probed, and how answers become verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// The protocol and its settings.
    pub kind: Kind,
    /// Another port of the backend to probe; none is the port of its connections.
    pub port: Option<u16>,
    /// The address to connect from, which is the pool's; none leaves the choice to the kernel.
    pub source: Option<IpAddr>,
    /// The version of the header that is sent first; none if none is. It is the pool's.
    pub send_proxy: Option<HeaderVersion>,
    /// The schedule.
    pub rhythm: Rhythm,
    /// How many answers change a verdict.
    pub thresholds: Thresholds,
    /// How flapping is damped.
    pub damping: Damping,
}

impl Probe {
    /// Whether its answers report roles.
    pub fn tells_roles(&self) -> bool {
        match &self.kind {
            Kind::Tcp | Kind::Exchange(_) => false,
            Kind::Http(http) => matches!(http.question, Question::Role { .. }),
            Kind::Postgres(_) | Kind::Mysql(_) | Kind::Redis(_) => true,
        }
    }
}

/// The schedule of probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rhythm {
    /// From the start of one probe to the start of the next, 100 ms to 1 h.
    pub interval: Duration,
    /// The interval while answers disagree with the verdict; not more than `interval`.
    pub interval_in_transition: Duration,
    /// The timeout of one probe, from its start to its answer, 10 ms to 60 s.
    pub timeout: Duration,
    /// The random variation of an interval, 0 to 50 percent.
    pub jitter_percent: u8,
}

/// How many consecutive answers change a verdict. The first answer decides alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thresholds {
    /// Passed probes that bring a backend up, 1 to 100.
    pub rise: u32,
    /// Failed probes that take a backend down, 1 to 100.
    pub fall: u32,
}

/// A backend that went down often needs more passed probes to come up: twice as many for each time beyond
/// `downs_free`. A primary that no other backend of the pool can replace does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Damping {
    /// How often it may go down within the window without effect.
    pub downs_free: u32,
    /// How long each time counts; zero disables damping.
    pub window: Duration,
}

/// What a probe sends and expects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Connects. It does not detect a server that accepts and then hangs, and is no probe for databases. MySQL and
    /// MariaDB would block this host after a hundred clients that disconnect early (`max_connect_errors`);
    /// therefore, if a server greets as they do, the probe attempts a login, which is rejected and not counted.
    Tcp,
    /// Requests a page.
    Http(Http),
    /// Sends bytes and waits for others.
    Exchange(Exchange),
    /// Logs in to PostgreSQL, 10 or later, and queries its role.
    Postgres(Postgres),
    /// Logs in to MySQL or MariaDB and queries its role.
    Mysql(Mysql),
    /// Queries the role of Redis or Valkey.
    Redis(Redis),
}

/// An HTTP/1.1 probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Http {
    /// The request method.
    pub method: Method,
    /// The `Host` header.
    pub host: String,
    /// What is requested.
    pub question: Question,
    /// TLS settings; none is plain text.
    pub tls: Option<Tls>,
}

/// The methods that change nothing on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// The response has a body.
    Get,
    /// The response has no body.
    Head,
    /// The capabilities of the server.
    Options,
}

/// What an HTTP probe requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Health.
    Health {
        /// The path, with its query, starting with `/`.
        path: String,
        /// The statuses that pass, at least one, each within 100 to 599.
        statuses: Vec<RangeInclusive<u16>>,
        /// A part of the body, within its first 64 KiB. If it is empty, the body is not read.
        body: String,
    },
    /// The role. For each path, a status of 200 to 299 means yes and 503 means no. With any other status the role
    /// is unknown, and the probe has failed.
    /// the role, and the probe has failed.
    Role {
        /// Yes on the primary; Patroni's is `/primary`.
        primary: String,
        /// Yes on a replica that may be read from; Patroni's is `/replica`, or `/replica?lag=10MB`.
        replica: String,
    },
}

/// A probe that sends and expects bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// Sent after connecting; empty if the server speaks first.
    pub send: Vec<u8>,
    /// A part of the answer, within its first 64 KiB; at least one byte.
    pub expect: Vec<u8>,
    /// Sent before the connection is closed, such as `QUIT`; may be empty.
    pub goodbye: Vec<u8>,
    /// TLS settings; none is plain text.
    pub tls: Option<Tls>,
}

/// A probe of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Postgres {
    /// The account; it needs no privilege but to log in.
    pub login: Login,
    /// The database to log in to.
    pub database: String,
    /// TLS settings; none is plain text.
    pub tls: Option<Tls>,
}

/// A probe of MySQL or MariaDB.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mysql {
    /// The account. To read the lag it needs `REPLICATION CLIENT`, or `REPLICA MONITOR` on MariaDB.
    pub login: Login,
    /// TLS settings; none is plain text. `caching_sha2_password` needs it.
    pub tls: Option<Tls>,
}

/// A probe of Redis or Valkey.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redis {
    /// The account, which must be allowed to run `ROLE` and `INFO`. None does not log in; an empty user is the
    /// default user.
    pub login: Option<Login>,
    /// TLS settings; none is plain text.
    pub tls: Option<Tls>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The source of the password. It is read for each probe, so it may change without a reload.
    pub password: Secret,
}

/// The source of a password.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Secret {
    /// No password.
    None,
    /// The first line of this file.
    File(PathBuf),
    /// The value of this environment variable.
    Environment(String),
}

/// TLS to a server. Its certificate is always verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tls {
    /// The certificates of the accepted authorities, PEM. Read for each probe.
    pub authority: PathBuf,
    /// The name, or the IP address, that the server's certificate must have.
    pub name: String,
}
