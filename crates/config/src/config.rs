//! What a configuration means: every value present, every name resolved, every number in its range.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

/// A whole configuration. It can only be had from a file that was right in every line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Settings of the process. They need a restart, except `drain_timeout`.
    pub runtime: Runtime,
    /// Addresses that are accepted on; in the order of the file, names and addresses distinct.
    pub listeners: Vec<Listener>,
    /// Pools of backends; in the order of the file, names distinct.
    pub pools: Vec<Pool>,
}

/// Settings of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// How many workers run.
    pub workers: Workers,
    /// How many connections the process holds at once, over all listeners and workers.
    pub connections_max: ConnectionsMax,
    /// How long connections may live on after the process was asked to end.
    pub drain_timeout: Duration,
}

/// How many workers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One for each CPU of the process's affinity mask.
    Auto,
    /// This many, 1 to 256.
    Number(NonZeroU16),
}

/// How many connections the process holds at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionsMax {
    /// As many as the open-file limit allows.
    Auto,
    /// This many.
    Number(NonZeroU32),
}

impl fmt::Display for Workers {
    /// As the file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl fmt::Display for ConnectionsMax {
    /// As the file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// An index into [`Config::pools`], valid in the [`Config`] it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolIndex(pub usize);

/// An address that is accepted on, bound to one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in logs and counters.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The pool its connections go to.
    pub pool: PoolIndex,
    /// Length of the kernel's queue of connections not yet accepted, per worker; the kernel clips it at
    /// `net.core.somaxconn`.
    pub backlog: u32,
    /// How many connections of this listener live at once, over all workers. At the bound it stops
    /// accepting, and the kernel's queue holds the rest.
    pub connections_max: u32,
    /// Whether it may bind an address that this host does not hold yet (`IP_FREEBIND`, ip(7)).
    pub freebind: bool,
    /// Whether an IPv6 wildcard leaves IPv4 alone (`IPV6_V6ONLY`, ipv6(7)); no meaning for IPv4.
    pub v6only: bool,
}

/// Backends with one balancing policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name in logs and counters; its identity over reloads.
    pub name: String,
    /// How a backend is picked.
    pub balance: Balance,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How many backends are tried for one connection, each at most once; at least 1.
    pub attempts: u8,
    /// How long a connection lives with no byte in either direction.
    pub idle_timeout: Duration,
    /// How long a connection lives with no byte once one direction has ended.
    pub half_closed_timeout: Duration,
    /// TCP keepalive on both sockets of a connection.
    pub keepalive: Keepalive,
    /// The address to connect from; none lets the kernel choose.
    pub source: Option<IpAddr>,
    /// The backends, at least one, addresses distinct; in the order of the file, which is the order of the rotation.
    pub backends: Vec<Backend>,
}

/// How a backend of a pool is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each backend in its turn, as often as its weight says.
    RoundRobin,
}

/// TCP keepalive, tcp(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe (`TCP_KEEPIDLE`), whole seconds.
    pub idle: Duration,
    /// Time between probes (`TCP_KEEPINTVL`), whole seconds.
    pub interval: Duration,
    /// Unanswered probes that end the connection (`TCP_KEEPCNT`).
    pub probes: u8,
}

/// One address that takes connections, with a weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its name in logs and counters; the address where the file gives none.
    pub name: String,
    /// Where it listens; with the pool's name, its identity over reloads.
    pub address: SocketAddr,
    /// Its share of new connections, 0 to 256; 0 takes none.
    pub weight: u16,
}
