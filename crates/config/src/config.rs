//! What a configuration means: every value present, every name resolved, every number in its range.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::probe::Probe;

mod display;

/// A whole configuration. It can only be had from a file that was right in every line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Settings of the process. They need a restart, except `drain_timeout`.
    pub runtime: Runtime,
    /// Where the process is asked and steered. It needs a restart.
    pub admin: Admin,
    /// Where a line is written for each connection that ends; none writes none.
    pub access_log: Option<AccessLog>,
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

/// Where the process is asked how it is, and told what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The socket that the commands of `rondel` talk to.
    pub socket: AdminSocket,
    /// Where metrics and the status are read over TCP, and nothing can be changed; none listens nowhere.
    pub http: Option<ListenAddress>,
}

/// An address to listen at, as a file or a command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address; `[::]` if a port alone is written.
    pub address: SocketAddr,
    /// Whether a port alone is written, which means every address that the host has: see [`Config::without_ipv6`].
    pub every_address: bool,
}

impl From<SocketAddr> for ListenAddress {
    /// This address and no other.
    fn from(address: SocketAddr) -> Self {
        Self { address, every_address: false }
    }
}

impl fmt::Display for ListenAddress {
    /// As it is written: `:8080` or `127.0.0.1:8080`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.every_address { write!(f, ":{}", self.address.port()) } else { self.address.fmt(f) }
    }
}

impl Config {
    /// The same for a host that has no IPv6: where a port alone is written, every address is `0.0.0.0`. A listener without a
    /// name of its own is named by the address that it gets. Addresses of which `keeps` is true stay as they are.
    #[must_use]
    pub fn without_ipv6(mut self, keeps: impl Fn(SocketAddr) -> bool) -> Self {
        let replaces = |address: SocketAddr, every: bool| {
            (every && address.is_ipv6() && !keeps(address))
                .then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        };
        for index in 0..self.listeners.len() {
            let listener = &self.listeners[index];
            let Some(address) = replaces(listener.address, listener.every_address) else { continue };
            let (written, name) = (listener.address.to_string(), address.to_string());
            let is_free = self.listeners.iter().all(|other| other.name != name);
            let listener = &mut self.listeners[index];
            listener.address = address;
            if listener.name == written && is_free {
                listener.name = name;
            }
        }
        if let Some(http) = &mut self.admin.http
            && let Some(address) = replaces(http.address, http.every_address)
        {
            http.address = address;
        }
        self
    }
}

/// The Unix socket of the admin interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminSocket {
    /// There is none.
    Off,
    /// [`ADMIN_SOCKET_DEFAULT`], if it can be made there: nobody asked for it, so the process serves without it as well.
    Auto,
    /// This one, absolute; a process that cannot make it does not start.
    At(PathBuf),
}

/// A line for each connection that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where it goes.
    pub to: LogTarget,
    /// What a line looks like.
    pub format: LogFormat,
    /// Whether connections have none that moved no byte and that the client ended: those of whoever only looks whether somebody
    /// listens.
    pub skip_empty: bool,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// The stderr of the process.
    Stderr,
    /// A Unix socket of datagrams, where a syslog daemon listens; absolute.
    Syslog(PathBuf),
    /// A file that is appended to, absolute.
    File(PathBuf),
}

/// Where syslog daemons listen, unless a file says otherwise.
pub(crate) const SYSLOG_DEFAULT: &str = "/dev/log";

/// What a line of the access log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// The fields of HAProxy's `option tcplog`.
    Text,
    /// An object of JSON.
    Json,
}

/// Where the commands look for a process, unless they are told otherwise.
pub const ADMIN_SOCKET_DEFAULT: &str = "/run/rondel/admin.sock";

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

/// An index into [`Config::pools`], valid in the [`Config`] it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolIndex(pub usize);

/// An address that is accepted on, bound to one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Listener {
    /// Its name in logs and counters.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether the file names a port alone, which means every address that the host has: see [`Config::without_ipv6`].
    pub every_address: bool,
    /// The pool its connections go to.
    pub pool: PoolIndex,
    /// Which backends of it may take them.
    pub target_role: TargetRole,
    /// Whether the access log, if there is one, has lines of its connections.
    pub access_log: bool,
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

/// Which backends of a pool may take the connections of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetRole {
    /// Those of the tier that serves, whatever their role.
    Any,
    /// The primary alone. Clients wait for one, within these bounds.
    Primary(Waiting),
    /// Replicas that are not too far behind.
    Replica(Fallback),
}

/// Who takes readers while there is no replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// Nobody.
    None,
    /// The primary.
    Primary,
}

/// Clients that wait until a backend can take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// How many wait at once, over all workers; 0 lets nobody wait. At the bound a client is refused.
    pub connections_max: u32,
    /// How long one waits before it is refused.
    pub timeout: Duration,
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
    /// How backends are asked whether they are well; none does not ask.
    pub probe: Option<Arc<Probe>>,
    /// When a backend that clients' connections fail to reach is put aside; none never does.
    pub eject: Option<Eject>,
    /// Who takes connections while nobody is well.
    pub on_all_down: OnAllDown,
    /// When the backup tier serves.
    pub tiers: Tiers,
    /// What becomes of established connections to a backend that went down.
    pub on_down: OnLoss,
    /// What becomes of connections that demanded a primary, when their backend is it no longer.
    pub on_role_loss: OnLoss,
    /// What becomes of connections when a reload removes their backend, their listener or the pool.
    pub on_remove: OnRemove,
    /// How long a backend that came up takes less than its share; zero switches that off.
    pub slow_start: Duration,
    /// How far a replica may be behind to be read from.
    pub lag_max: LagMax,
    /// Clients that wait while every backend has as many connections as it may.
    pub queue: Waiting,
    /// The backends, at least one of the active tier, addresses distinct; in the order of the file, which is the order of the rotation.
    pub backends: Vec<Backend>,
}

/// How a backend of a pool is picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each backend in its turn, as often as its weight says.
    RoundRobin,
    /// The one with the fewest connections for its weight, counted over all workers.
    LeastConnections,
    /// Of two drawn by chance, the one with fewer connections for its weight.
    Random,
    /// By the client's address: the same backend each time, on every node that has the same pool.
    Maglev,
}

/// When a backend that cannot be connected to is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Eject {
    /// Connects in a row that fail, at least 1.
    pub failures: u32,
    /// How long it is put aside the first time; each time soon after, this much longer.
    pub base: Duration,
    /// How long at most; not less than `base`.
    pub cap: Duration,
}

/// Who takes connections while no backend is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAllDown {
    /// All of them: probes may be wrong, and there is nothing to lose.
    Open,
    /// Nobody.
    Closed,
}

/// When the backup tier serves in place of the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiers {
    /// It does while fewer backends than this are available in the active tier; 1 up to as many as that has.
    pub active_min: u16,
    /// When it stops.
    pub failback: Failback,
    /// What becomes of established connections to a tier that serves no longer.
    pub on_demotion: OnDemotion,
}

/// When the active tier takes over again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// Once it was fit to for so long without a break.
    Auto(Duration),
    /// When somebody says so.
    Manual,
}

/// What becomes of connections to a tier that serves no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDemotion {
    /// They live on.
    Keep,
    /// They may finish within `drain_timeout`.
    Drain,
    /// They are closed.
    Close,
}

/// What becomes of connections to a backend that lost what it was picked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// They live on.
    Keep,
    /// They are closed.
    Close,
}

/// What becomes of connections whose backend or listener a reload removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemove {
    /// They may finish within this time. Those that are left are closed in its last half, a few at a time.
    Drain(Duration),
    /// They live on.
    Keep,
    /// They are closed.
    Close,
}

/// How far a replica may be behind. What a server does not tell, it does not keep to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LagMax {
    /// In time; none is any.
    pub time: Option<Duration>,
    /// In bytes of the primary's log; none is any.
    pub bytes: Option<u64>,
}

/// Which backends serve first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// As long as enough of them are available.
    Active,
    /// Otherwise.
    Backup,
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
    /// When it serves.
    pub tier: Tier,
    /// How many connections it takes at once, over all workers; none is no bound.
    pub connections_max: Option<NonZeroU32>,
}
