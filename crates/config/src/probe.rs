//! How backends are asked whether they are well, and what is made of their answers.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// How a backend is asked, and what is made of its answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// What is said.
    pub kind: Kind,
    /// Another port of the backend to ask at; none is the port that connections go to.
    pub port: Option<u16>,
    /// The address to connect from, the pool's; none lets the kernel choose.
    pub source: Option<IpAddr>,
    /// When it is asked.
    pub rhythm: Rhythm,
    /// How many answers make a verdict.
    pub thresholds: Thresholds,
    /// What is done about a backend that goes up and down.
    pub damping: Damping,
}

impl Probe {
    /// Whether its answers say who is the primary.
    pub fn tells_roles(&self) -> bool {
        match &self.kind {
            Kind::Tcp | Kind::Exchange(_) => false,
            Kind::Http(http) => matches!(http.question, Question::Role { .. }),
            Kind::Postgres(_) | Kind::Mysql(_) | Kind::Redis(_) => true,
        }
    }
}

/// When a backend is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rhythm {
    /// From the begin of one probe to the begin of the next, 100 ms to 1 h.
    pub interval: Duration,
    /// The same while answers disagree with the verdict, so that it is soon settled; not more than `interval`.
    pub interval_in_transition: Duration,
    /// How long one probe may take, from its begin to its answer, 10 ms to 60 s.
    pub timeout: Duration,
    /// How far an interval is stretched or shortened by chance, 0 to 50 percent of it.
    pub jitter_percent: u8,
}

/// How many answers in a row change a verdict. The first answer of a backend decides alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thresholds {
    /// Probes passed that make a backend go up, 1 to 100.
    pub rise: u32,
    /// Probes failed that make a backend go down, 1 to 100.
    pub fall: u32,
}

/// A backend that went down often has to pass more probes to come up: twice as many for each time past `downs_free`.
/// A primary that no other backend of the pool can replace does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Damping {
    /// How often it may go down within the window at no price.
    pub downs_free: u32,
    /// How long it is held against a backend that it went down; zero switches damping off.
    pub window: Duration,
}

/// What a probe says and expects to hear.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Connects. It is blind to a server that accepts and then hangs, and no probe for databases. MySQL and MariaDB would let no
    /// client of this host in after a hundred that hung up (`max_connect_errors`): so where a server greets as they do, the probe
    /// has itself refused a login, which is not counted.
    Tcp,
    /// Asks for a page.
    Http(Http),
    /// Sends bytes and waits for others.
    Exchange(Exchange),
    /// Logs in to PostgreSQL, 10 or later, and asks for its role.
    Postgres(Postgres),
    /// Logs in to MySQL or MariaDB and asks for its role.
    Mysql(Mysql),
    /// Asks Redis or Valkey for its role.
    Redis(Redis),
}

/// A probe by HTTP/1.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Http {
    /// How it is asked.
    pub method: Method,
    /// The `Host` header.
    pub host: String,
    /// What is asked for.
    pub question: Question,
    /// TLS around it; none is plain text.
    pub tls: Option<Tls>,
}

/// The methods that change nothing on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// With a body in the answer.
    Get,
    /// Without.
    Head,
    /// What the server can do.
    Options,
}

/// What a server is asked by HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Whether it is well.
    Health {
        /// The path, with its query, beginning with `/`.
        path: String,
        /// The statuses that pass, at least one, each within 100 to 599.
        statuses: Vec<RangeInclusive<u16>>,
        /// What the body has to contain, within its first 64 KiB; empty is no demand, and then the body is not waited for.
        body: String,
    },
    /// Which role it has. A path that answers with a status of 200 to 299 says yes, and 503 says no. Any other status says nothing of
    /// the role, and the probe has failed.
    Role {
        /// Says yes on the primary; Patroni's is `/primary`.
        primary: String,
        /// Says yes on a replica that may be read from; Patroni's is `/replica`, or `/replica?lag=10MB`.
        replica: String,
    },
}

/// A probe by bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// What is sent once connected; empty where the server speaks first.
    pub send: Vec<u8>,
    /// What the answer has to contain, within its first 64 KiB; at least one byte.
    pub expect: Vec<u8>,
    /// What is sent before the connection is closed, such as `QUIT`; may be empty.
    pub goodbye: Vec<u8>,
    /// TLS around it; none is plain text.
    pub tls: Option<Tls>,
}

/// A probe of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Postgres {
    /// Who logs in; no right but to log in is needed.
    pub login: Login,
    /// The database to log in to.
    pub database: String,
    /// TLS; none is plain text.
    pub tls: Option<Tls>,
}

/// A probe of MySQL or MariaDB.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mysql {
    /// Who logs in. To see the lag it needs `REPLICATION CLIENT`, or `REPLICA MONITOR` on MariaDB.
    pub login: Login,
    /// TLS; none is plain text. `caching_sha2_password` should have it.
    pub tls: Option<Tls>,
}

/// A probe of Redis or Valkey.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redis {
    /// Who logs in: may run `ROLE` and `INFO`. None does not log in; an empty user is the default one.
    pub login: Option<Login>,
    /// TLS; none is plain text.
    pub tls: Option<Tls>,
}

/// Who logs in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// Where the password is. It is read anew for each probe, so it may change without a reload.
    pub password: Secret,
}

/// Where a password is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Secret {
    /// There is none.
    None,
    /// The first line of this file.
    File(PathBuf),
    /// The value of this environment variable.
    Environment(String),
}

/// TLS to a server, whose certificate is always verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tls {
    /// The certificates of those who may sign the server's, PEM. Read anew for each probe.
    pub authority: PathBuf,
    /// The name, or the IP address, that the server's certificate has to bear.
    pub name: String,
}
