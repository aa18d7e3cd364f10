//! A resolved configuration: every value present, every name resolved, every number in its range.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::access::{AccessIndex, AccessList, LimitsIndex, Rate, RulePrefixes, SourceLimits};
use crate::addresses::show_addresses;
use crate::probe::Probe;
use crate::proxy::{Opening, ProxyProtocol, SendProxy};
use crate::route::Routing;

pub use crate::logs::{AccessLog, Facility, LogField, LogFormat, LogTarget};
pub use crate::route::PoolIndex;

pub(crate) use crate::logs::{SYSLOG_DEFAULT, SYSLOG_PORT, show_fields};

mod display;

/// A whole configuration. It exists only for a file without problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Settings of the process. They need a restart, except `drain_timeout`.
    pub runtime: Runtime,
    /// The admin interface. It needs a restart, except `token_file`.
    pub admin: Admin,
    /// The access log; none if connections are not logged.
    pub access_log: Option<AccessLog>,
    /// Which clients may connect: lists of rules, in the order of the file; names are distinct.
    pub access: Vec<AccessList>,
    /// How much one source may have, in the order of the file; names are distinct.
    pub limits: Vec<SourceLimits>,
    /// Addresses to accept connections on, in the order of the file; names and addresses are distinct.
    pub listeners: Vec<Listener>,
    /// Pools of backends, in the order of the file; names are distinct.
    pub pools: Vec<Pool>,
}

impl Config {
    /// The files of prefixes that its access lists name, each once for every rule that does.
    pub fn prefix_files(&self) -> impl Iterator<Item = &Path> {
        let prefixes = self.access.iter().flat_map(|list| list.rules.iter()).map(|rule| &rule.prefixes);
        prefixes.filter_map(|prefixes| match prefixes {
            RulePrefixes::File { path, .. } => Some(path.as_path()),
            RulePrefixes::Written(_) => None,
        })
    }
}

/// Settings of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// The number of workers.
    pub workers: Workers,
    /// The limit of concurrent connections of the process, over all listeners and workers.
    pub connections_max: ConnectionsMax,
    /// How long connections may continue after the process was told to shut down.
    pub drain_timeout: Duration,
    /// The folder where what operators say about addresses survives a restart; none if it does not.
    pub state: Option<PathBuf>,
}

/// Where the process is queried and controlled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The socket that the commands of `rondel` use.
    pub socket: AdminSocket,
    /// The address that serves metrics and the status over TCP, read-only; none if they are not served.
    pub http: Option<ListenAddress>,
    /// The file of the token that clients of `http` must send; none if they need none, and without `http`. A reload
    /// may change it.
    pub token_file: Option<PathBuf>,
}

/// An address to listen at, as a file or a command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address; `[::]` if a port alone is written.
    pub address: SocketAddr,
    /// Whether only a port is written, which means every address of the host: see [`Config::without_ipv6`].
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
    /// Every address to listen on with its listener, in the order of the file.
    pub fn listen_addresses(&self) -> impl Iterator<Item = (&Listener, SocketAddr)> {
        self.listeners
            .iter()
            .flat_map(|listener| listener.addresses.iter().map(move |listen| (listener, listen.address)))
    }

    /// This configuration for a host without IPv6. Where only a port is written, the address becomes `0.0.0.0`, and
    /// a listener without a name takes its new address as its name. An address is kept if `keeps` returns true for
    /// it.
    #[must_use]
    pub fn without_ipv6(mut self, keeps: impl Fn(SocketAddr) -> bool) -> Self {
        let replaces = |address: SocketAddr, every: bool| {
            (every && address.is_ipv6() && !keeps(address))
                .then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        };
        for index in 0..self.listeners.len() {
            let listener = &mut self.listeners[index];
            let written = listener.address().to_string();
            for listen in &mut listener.addresses {
                if let Some(address) = replaces(listen.address, listen.every_address) {
                    listen.address = address;
                }
            }
            let (name, is_default) = (listener.address().to_string(), listener.name == written);
            if is_default && self.listeners.iter().all(|other| other.name != name) {
                self.listeners[index].name = name;
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
    /// No socket.
    Off,
    /// [`ADMIN_SOCKET_DEFAULT`], if it can be created. It was not requested, so a failure does not stop the
    /// process.
    Auto,
    /// This absolute path. If it cannot be created, the process does not start.
    At(PathBuf),
}

/// The admin socket that the commands use by default.
pub const ADMIN_SOCKET_DEFAULT: &str = "/run/rondel/admin.sock";

/// The number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One for each CPU of the process's affinity mask.
    Auto,
    /// This many, 1 to 256.
    Number(NonZeroU16),
}

/// The limit of concurrent connections of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionsMax {
    /// As many as the open-file limit allows.
    Auto,
    /// This many.
    Number(NonZeroU32),
}

/// Addresses to accept connections on, with the pools they go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in logs and counters.
    pub name: String,
    /// The addresses to listen on, in the order of the file, with each port of a range; at least one, and distinct.
    pub addresses: Vec<ListenAddress>,
    /// The pool its connections go to that no route takes.
    pub pool: PoolIndex,
    /// Which backends of the pool are eligible.
    pub target_role: TargetRole,
    /// The headers that it requires of proxies; none if its peers are its clients.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Bounds for clients that have yet to show themselves.
    pub opening: Opening,
    /// The rules about addresses of its clients; none if every address may connect.
    pub access: Option<AccessIndex>,
    /// The limits of the sources of its clients; none if there are none.
    pub limits: Option<LimitsIndex>,
    /// New connections over all sources and workers; none is no limit. Beyond it they wait in the accept queue.
    pub rate: Option<Rate>,
    /// Which of its connections go to other pools than its own.
    pub routing: Routing,
    /// Whether the access log, if there is one, includes its connections.
    pub access_log: bool,
    /// The length of the kernel's accept queue of each worker; the kernel clips it at `net.core.somaxconn`.
    pub backlog: u32,
    /// The limit of concurrent connections of this listener, over all workers. At the limit it stops accepting, and
    /// further connections wait in the accept queue.
    pub connections_max: u32,
    /// Whether it may bind an address that this host does not have yet (`IP_FREEBIND`, ip(7)).
    pub freebind: bool,
    /// Whether an IPv6 wildcard excludes IPv4 (`IPV6_V6ONLY`, ipv6(7)); ignored for IPv4.
    pub v6only: bool,
}

impl Listener {
    /// The first of its addresses.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0].address
    }

    /// Its addresses as an operator writes them.
    pub(crate) fn shown_addresses(&self) -> String {
        show_addresses(self.addresses.iter().map(|listen| listen.address))
    }

    /// Every pool its connections may go to, its own first, each once.
    pub fn pools(&self) -> Vec<PoolIndex> {
        let mut pools = vec![self.pool];
        for route in &self.routing.routes {
            if !pools.contains(&route.pool) {
                pools.push(route.pool);
            }
        }
        pools
    }

    /// Whether its clients have something to show before they are routed: a header, a hello, or both.
    pub fn opens(&self) -> bool {
        self.proxy_protocol.is_some() || !self.routing.routes.is_empty()
    }
}

/// Which backends of a pool are eligible for the connections of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetRole {
    /// Any backend of the tier that serves, regardless of its role.
    Any,
    /// Only the primary. While there is none, clients wait within these bounds.
    Primary(Waiting),
    /// Replicas whose lag is within `max_lag`.
    Replica(Fallback),
}

/// Where connections for a replica go while no replica is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// Nowhere: they are rejected.
    None,
    /// To the primary.
    Primary,
}

/// Bounds for clients that wait for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// How many clients may wait, over all workers; 0 disables waiting. At the limit, further clients are rejected.
    pub connections_max: u32,
    /// How long a client waits before it is rejected.
    pub timeout: Duration,
}

/// Backends with one balancing policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name in logs and counters; its identity over reloads.
    pub name: String,
    /// The balancing policy.
    pub balance: Balance,
    /// The timeout of one connection attempt.
    pub connect_timeout: Duration,
    /// How many backends are tried for one connection, each at most once; at least 1.
    pub attempts: u8,
    /// How long a connection may be idle in both directions.
    pub idle_timeout: Duration,
    /// How long a connection may be idle once one direction is closed.
    pub half_closed_timeout: Duration,
    /// TCP keepalive on both sockets of a connection.
    pub keepalive: Keepalive,
    /// The address to connect from; none leaves the choice to the kernel.
    pub source: Option<IpAddr>,
    /// The header that is sent to backends before the bytes of a client; none if none is.
    pub send_proxy: Option<SendProxy>,
    /// How backends are probed; none if they are not.
    pub probe: Option<Arc<Probe>>,
    /// When a backend is ejected after failed connection attempts; none if never.
    pub eject: Option<Eject>,
    /// What happens to new connections while every backend is down.
    pub on_all_down: OnAllDown,
    /// When the backup tier serves.
    pub tiers: Tiers,
    /// What happens to established connections when their backend goes down.
    pub on_down: OnLoss,
    /// What happens to connections that require a primary, when their backend loses that role.
    pub on_role_loss: OnLoss,
    /// What happens to connections when a reload removes their backend, listener or pool.
    pub on_remove: OnRemove,
    /// How long a backend that came up gets less than its share; zero disables it.
    pub slow_start: Duration,
    /// The maximum lag of a replica that takes connections.
    pub lag_max: LagMax,
    /// Bounds for clients that wait while every backend is at its `max_connections`.
    pub queue: Waiting,
    /// The backends, at least one of them in the active tier, with distinct addresses; in the order of the file,
    /// which is the order of the rotation.
    pub backends: Vec<Backend>,
}

/// A balancing policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each backend in turn, in proportion to its weight.
    RoundRobin,
    /// The first one in the order of the file that is available and not at its `connections_max`.
    First,
    /// The backend with the fewest connections relative to its weight, over all workers.
    LeastConnections,
    /// Of two random backends, the one with fewer connections relative to its weight.
    Random,
    /// By the client's address: every node with the same pool picks the same backend.
    Maglev,
}

/// When a backend is ejected after failed connection attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Eject {
    /// Consecutive failures that eject it, at least 1.
    pub failures: u32,
    /// The duration of the first ejection; each further one soon after is longer by this.
    pub base: Duration,
    /// The longest duration; not less than `base`.
    pub cap: Duration,
}

/// What happens to new connections while every backend is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAllDown {
    /// Every backend is used: the probes may be wrong.
    Open,
    /// They are rejected.
    Closed,
}

/// When the backup tier serves in place of the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiers {
    /// It serves while fewer backends of the active tier are available than this; 1 up to the size of that tier.
    pub active_min: u16,
    /// How many backups serve together.
    pub backups: Backups,
    /// When it stops serving.
    pub failback: Failback,
    /// What happens to established connections when their tier stops serving.
    pub on_demotion: OnDemotion,
}

/// How many backups serve together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backups {
    /// All that are available, by the balancing policy.
    All,
    /// The first one in the order of the file that is available.
    First,
}

/// When the active tier takes over again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// Once it has been able to for this long without interruption.
    Auto(Duration),
    /// When an operator orders it.
    Manual,
}

/// What happens to connections when their tier stops serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDemotion {
    /// They continue.
    Keep,
    /// They may continue for `drain_timeout`.
    Drain,
    /// They are closed.
    Close,
}

/// What happens to connections when their backend loses the property that it was picked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// They continue.
    Keep,
    /// They are closed.
    Close,
}

/// What happens to connections when a reload removes their backend or listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemove {
    /// They may continue for this long. Those that are left are closed in the last half of it, a few at a time.
    Drain(Duration),
    /// They continue.
    Keep,
    /// They are closed.
    Close,
}

/// The maximum lag of a replica. A limit in a unit that the server does not report is not applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LagMax {
    /// In time; none is no limit.
    pub time: Option<Duration>,
    /// In bytes of the primary's log; none is no limit.
    pub bytes: Option<u64>,
}

/// The order in which backends serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// While enough backends of this tier are available.
    Active,
    /// Otherwise.
    Backup,
}

/// TCP keepalive, tcp(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle time before the first probe (`TCP_KEEPIDLE`), whole seconds.
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
    /// The tier it serves in.
    pub tier: Tier,
    /// The limit of its connections, over all workers; none is no limit.
    pub connections_max: Option<NonZeroU32>,
}
