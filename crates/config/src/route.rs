//! Routes of a listener: which pool a client's connection goes to, by what its TLS hello asks for.

use std::fmt;

/// An index into [`Config::pools`](crate::Config::pools) of the same [`Config`](crate::Config).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolIndex(pub usize);

/// How a listener chooses a pool by what its clients send first. Without routes nothing is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// The routes. The first that matches takes a connection. Names of routes are distinct.
    pub routes: Vec<Route>,
    /// What happens to clients with a name that no route has, and without one.
    pub unknown: Unknown,
    /// What happens to clients that send nothing until the timeout of their opening.
    pub silent: Silent,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name in logs and counters; its identity over reloads.
    pub name: String,
    /// Which connections it takes.
    pub takes: Takes,
    /// The pool they go to.
    pub pool: PoolIndex,
}

/// Which connections a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Those of TLS clients that ask for one of these names and offer one of these protocols.
    Hello {
        /// Distinct; if it is empty, the name does not matter.
        names: Vec<ServerName>,
        /// By ALPN, distinct; if it is empty, protocols do not matter.
        protocols: Vec<String>,
    },
    /// Those that do not begin as TLS does.
    NotTls,
}

/// A name that TLS clients ask for (SNI), in lower case, without a dot at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// This name.
    Exact(String),
    /// Every name of one label more than this one: `*.example.com` is that of `example.com`.
    Wildcard(String),
}

/// What happens to clients with a name that no route has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They go to the pool of the listener.
    Pool,
    /// They are reset.
    Refuse,
}

/// What happens to clients that send nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    /// They are reset.
    Refuse,
    /// They go to the pool of the listener, for servers that speak first.
    Pool,
}

/// What connections that no route takes count as, where they go to the pool of the listener; no route has the name.
pub const UNKNOWN_ROUTE: &str = "unknown";

/// What connections of clients that send nothing count as; no route has the name.
pub const SILENT_ROUTE: &str = "silent";

impl fmt::Display for ServerName {
    /// As written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Hello { names, protocols } = self else { return f.write_str("tls none") };
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        match (names.is_empty(), protocols.is_empty()) {
            (false, true) => write!(f, "sni {}", names.join(" ")),
            (true, false) => write!(f, "alpn {}", protocols.join(" ")),
            (_, _) => write!(f, "sni {}, alpn {}", names.join(" "), protocols.join(" ")),
        }
    }
}
