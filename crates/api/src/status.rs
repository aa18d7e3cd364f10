//! The state of the process at one moment. `rondel status --json` prints it, and metrics are computed from it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{ClosedCounts, Event, ListView, PoolStatus, Problem};

/// The state of the process. Counts start with the process, or with the listener or the backend if that was added
/// later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// The phase of the process.
    pub phase: Phase,
    /// When the process started, in seconds since 1970.
    pub started_at: f64,
    /// How long the process has been running, in seconds.
    pub uptime_seconds: f64,
    /// Connections of the process.
    pub connections: Permits,
    /// The workers, by number.
    pub workers: Vec<WorkerStatus>,
    /// The level of the log.
    pub log_level: LogLevel,
    /// Requests to `admin.http` that were refused, because they had no valid token.
    #[serde(default)]
    pub admin_refused: u64,
    /// The access log.
    pub access_log: AccessLogStatus,
    /// The configuration.
    pub config: ReloadStatus,
    /// The access lists, in the order of the file; the last one has no name if operators said anything that holds for
    /// listeners without a list.
    #[serde(default)]
    pub access: Vec<ListView>,
    /// The limits of sources, in the order of the file.
    #[serde(default)]
    pub limits: Vec<LimitsStatus>,
    /// How many sources are known, over all limits.
    #[serde(default)]
    pub sources: SourcesStatus,
    /// The listeners, in the order of the file.
    pub listeners: Vec<ListenerStatus>,
    /// The pools, in the order of the file.
    pub pools: Vec<PoolStatus>,
    /// Backends and listeners that a reload removed and that still have connections.
    pub removed: Vec<RemovedStatus>,
    /// What the host lacks and connections failed for in the last minute.
    #[serde(default)]
    pub shortages: Vec<ShortageStatus>,
    /// What is wrong or unusual, the most severe first, as [`problems`](crate::problems) derives it.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// The latest events, the oldest first.
    pub events: Vec<Event>,
}

names! {
    /// The phase of the process.
    pub enum Phase {
        /// It accepts connections.
        Serving = "serving",
        /// It accepts no new connection; established ones may finish.
        Draining = "draining",
        /// It closes every connection.
        Ending = "ending",
    }
}

names! {
    /// The severity of a line of the log, and the level of the log.
    pub enum LogLevel {
        /// Nothing is logged.
        Off = "off",
        /// Something does not work.
        Error = "error",
        /// Something works less well than it should.
        Warn = "warn",
        /// Something changed.
        Info = "info",
        /// Details for debugging.
        Debug = "debug",
        /// Every detail.
        Trace = "trace",
    }
}

/// A number of connections, and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permits {
    /// Connections that exist.
    pub active: u32,
    /// The limit.
    pub max: u32,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its connections, of listeners that the configuration names.
    pub active: u64,
    /// Turns of its loop.
    pub turns: u64,
    /// How often its submission queue was full, so that it was submitted before the end of the turn.
    pub early_submits: u64,
    /// How often its completion queue was full at the end of a wait, so that the kernel kept the rest.
    pub overflows: u64,
    /// Its receive buffers.
    pub buffers: u64,
    /// Receive buffers that are free.
    pub buffers_free: u64,
    /// Open pipes for splicing.
    pub pipes_open: u64,
    /// Open pipes that no connection uses.
    pub pipes_free: u64,
}

/// The access log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLogStatus {
    /// The target, as in the configuration: `off`, `stderr`, `syslog`, `syslog:PATH` or a path.
    pub to: String,
    /// Lines that were written.
    pub written: u64,
    /// Lines that were lost, because more connections ended than could be written, or because writing failed.
    pub lost: u64,
    /// Lines that were left out: of clients refused for their address, beyond a hundred a second and worker.
    #[serde(default)]
    pub left_out: u64,
    /// Why writing fails; `null` if it works.
    pub error: Option<String>,
}

/// The configuration in force, and the reloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// When the configuration in force was read, in seconds since 1970.
    pub loaded_at: f64,
    /// Reloads that were applied.
    pub applied: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// Why the last reload was refused; `null` if it was applied, or there was none.
    pub last_error: Option<String>,
    /// When it was refused, in seconds since 1970; `null` if it was not.
    #[serde(default)]
    pub refused_at: Option<f64>,
    /// The path of the configuration file; `null` if there is none.
    #[serde(default)]
    pub file: Option<String>,
    /// How the file differs from the configuration in force; `null` if a reload would change nothing.
    #[serde(default)]
    pub difference: Option<FileDifference>,
    /// How long the last reload took, in seconds; `null` if there was none.
    pub last_seconds: Option<f64>,
}

/// How the configuration file differs from the configuration in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileDifference {
    /// When the difference was noticed, in seconds since 1970.
    pub since: f64,
    /// How many changes a reload would make; 0 if it would be refused.
    pub changes: u64,
    /// Why a reload would be refused; `null` if it would be applied.
    pub error: Option<String>,
}

/// What the host lacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShortageStatus {
    /// The pool whose connects fail; `null` if it is a listener's.
    pub pool: Option<String>,
    /// The listener whose clients are rejected; `null` if it is a pool's.
    pub listener: Option<String>,
    /// What fails, with the close reason: `pool web: connects fail`.
    pub text: String,
    /// The cause and the remedy.
    pub why: String,
    /// When it began, in seconds since 1970.
    pub since: f64,
}

/// Limits of sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsStatus {
    /// Their name.
    pub name: String,
    /// Connections that were let in without being counted, as there was no place for their source.
    pub overflow: u64,
    /// Sources that were forgotten for others while their arrivals still counted.
    pub evicted: u64,
}

/// How many sources are known, over all limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesStatus {
    /// How many are known, about.
    pub known: u64,
    /// How many can be.
    pub capacity: u64,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// Its addresses, as the configuration gives them, with each port of a range; at least one.
    pub addresses: Vec<SocketAddr>,
    /// The pool that its connections go to which no route takes.
    pub pool: String,
    /// The routes, in the order of the file, and behind them what takes connections that none does: `unknown` and
    /// `silent`, where those go to the pool of the listener. Empty without routes.
    #[serde(default)]
    pub routes: Vec<RouteStatus>,
    /// The role that its connections need; `null` if any backend will do.
    pub role: Option<ListenerRole>,
    /// Connections that exist.
    pub active: u64,
    /// The most connections that existed at once, sampled once a second.
    pub active_max: u64,
    /// Connections accepted in the last second.
    pub rate: f64,
    /// The most connections accepted in a second.
    pub rate_max: f64,
    /// The limit of connections.
    pub connections_max: u32,
    /// Connections whose client waits for a primary.
    pub held: u32,
    /// Connections whose client has yet to show itself, by a PROXY header or a TLS hello.
    pub openings: u32,
    /// The limit of those.
    pub openings_max: u32,
    /// PROXY headers that were accepted.
    pub proxy_headers: ProxyHeaders,
    /// Clients that were served, and would have been refused without `dry_run`. Those that are refused are counted by
    /// reason, with the connections that ended.
    #[serde(default)]
    pub would_refuse: WouldRefuse,
    /// How often accepting paused, as connections came faster than the rate of the listener.
    #[serde(default)]
    pub rate_pauses: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// How often accept(2) failed.
    pub accept_errors: u64,
    /// Bytes that were sent to backends.
    pub bytes_to_backend: u64,
    /// Bytes that were sent to clients.
    pub bytes_to_client: u64,
    /// Connections that ended, by reason, without reasons that never occurred.
    pub closed: ClosedCounts,
}

impl ListenerStatus {
    /// The pools that its connections go to: its own first, each once.
    pub fn pools(&self) -> Vec<&str> {
        let mut pools = vec![self.pool.as_str()];
        for route in &self.routes {
            if !pools.contains(&route.pool.as_str()) {
                pools.push(&route.pool);
            }
        }
        pools
    }

    /// Whether connections of it may go to this pool.
    pub fn goes_to(&self, pool: &str) -> bool {
        self.pool == pool || self.routes.iter().any(|route| route.pool == pool)
    }
}

/// A route of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// Its name.
    pub name: String,
    /// The pool that its connections go to.
    pub pool: String,
    /// Connections that it took.
    pub taken: u64,
}

/// PROXY headers that were accepted. Those that were not are counted by reason, with the connections that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyHeaders {
    /// Of version 1.
    pub v1: u64,
    /// Of version 2, for a client.
    pub v2: u64,
    /// Of version 2, for a connection of the proxy itself.
    pub local: u64,
}

/// Clients that were served, and would have been refused without `dry_run`, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WouldRefuse {
    /// An access list denies them.
    pub denied: u64,
    /// Their source has as many connections as it may.
    pub source_limit: u64,
    /// Connections of their source come faster than they may.
    pub source_rate: u64,
}

names! {
    /// The role of a backend that a listener's connections need.
    pub enum ListenerRole {
        /// The primary, for writes.
        Primary = "primary",
        /// A replica, for reads.
        Replica = "replica",
    }
}

/// A backend or a listener that a reload removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedStatus {
    /// Whether it is a backend or a listener.
    pub kind: RemovedKind,
    /// The pool that it belonged to.
    pub pool: String,
    /// Its name.
    pub name: String,
    /// Its address; of a listener, all that it had.
    pub addresses: Vec<SocketAddr>,
    /// Connections that it still has.
    pub active: u64,
    /// Seconds until these are closed; `null` if there is no deadline.
    pub seconds_left: Option<u64>,
}

names! {
    /// A kind of object that a reload can remove while it has connections.
    pub enum RemovedKind {
        /// A backend.
        Backend = "backend",
        /// A listener.
        Listener = "listener",
    }
}
