//! The defaults. `configs/full.yaml` shows the same values, and a test compares the two.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::access::{Action, SourceBits};
use crate::config::{
    AccessLog, Admin, AdminSocket, Backend, Backups, Balance, ConnectionsMax, Eject, Facility, Failback,
    Fallback, Keepalive, LagMax, LogFormat, LogTarget, OnAllDown, OnDemotion, OnLoss, OnRemove, Pool,
    TargetRole, Tier, Tiers, Waiting, Workers,
};
use crate::probe::{Damping, Rhythm, Thresholds};
use crate::proxy::{HeaderVersions, Opening, Others};
use crate::route::{Routing, Silent, Unknown};

/// A pool of which only the name and the backends are given.
pub(crate) fn pool(name: String, backends: Vec<Backend>) -> Pool {
    Pool {
        name,
        balance: Balance::RoundRobin,
        connect_timeout: CONNECT_TIMEOUT,
        attempts: ATTEMPTS,
        idle_timeout: IDLE_TIMEOUT,
        half_closed_timeout: HALF_CLOSED_TIMEOUT,
        keepalive: KEEPALIVE,
        source: None,
        send_proxy: None,
        probe: None,
        eject: Some(EJECT),
        on_all_down: on_all_down(false),
        tiers: Tiers {
            active_min: 1,
            backups: Backups::All,
            failback: Failback::Auto(Duration::ZERO),
            on_demotion: OnDemotion::Keep,
        },
        on_down: OnLoss::Keep,
        on_role_loss: OnLoss::Close,
        on_remove: OnRemove::Drain(ON_REMOVE_TIMEOUT),
        slow_start: Duration::ZERO,
        lag_max: LagMax { time: None, bytes: None },
        queue: QUEUE,
        backends,
    }
}

/// An access log of which only the target is given.
pub(crate) fn access_log(to: LogTarget) -> AccessLog {
    AccessLog { to, facility: FACILITY, format: LogFormat::Text, fields: None, skip_empty: false }
}

/// The usual one of HAProxy.
const FACILITY: Facility = Facility::Local0;

/// The default is the complete log.
pub(crate) const LISTENER_ACCESS_LOG: bool = true;

/// A backend of which only the address is given.
pub(crate) fn backend(address: SocketAddr) -> Backend {
    Backend { name: address.to_string(), address, weight: WEIGHT, tier: Tier::Active, connections_max: None }
}

/// Probes of a web server may be wrong, so all backends stay in use. A database with an unknown role gets no
/// writes.
pub(crate) fn on_all_down(used_by_role: bool) -> OnAllDown {
    if used_by_role { OnAllDown::Closed } else { OnAllDown::Open }
}

pub(crate) const WORKERS: Workers = Workers::Auto;
pub(crate) const CONNECTIONS_MAX: ConnectionsMax = ConnectionsMax::Auto;

pub(crate) fn admin() -> Admin {
    Admin { socket: AdminSocket::Auto, http: None, token_file: None }
}

/// Long enough for a request and its response, short enough for a deployment to wait for.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The kernel's default of `net.core.somaxconn`, so that the kernel clips nothing.
pub(crate) const BACKLOG: u32 = 4096;

/// Safe as the limit of one listener of many. A busy listener needs a higher one.
pub(crate) const LISTENER_CONNECTIONS_MAX: u32 = 10_000;

pub(crate) const FREEBIND: bool = false;
pub(crate) const V6ONLY: bool = false;

pub(crate) const TARGET_ROLE: TargetRole = TargetRole::Any;

/// A planned switchover takes a few seconds; a client with a longer wait is better served by an error.
pub(crate) const HOLD: Waiting = Waiting { connections_max: 1000, timeout: Duration::from_secs(10) };

/// A primary is rarely sized for the reads of its replicas.
pub(crate) const FALLBACK: Fallback = Fallback::None;

/// Time for one lost SYN, which the kernel repeats after one second, and for the reply.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

const ATTEMPTS: u8 = 3;

/// Longer than the pauses of interactive use and of pooled database connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(60);

/// Detects a vanished peer after two minutes, and is rarer than the state of a firewall lasts (five minutes).
pub(crate) const KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 };

pub(crate) const WEIGHT: u16 = 1;

/// A request ends within it. It does not wait for a pool of database connections, most of which are kept open.
pub(crate) const ON_REMOVE_TIMEOUT: Duration = Duration::from_secs(300);

/// Time for a lost segment and its repetition, even on a slow path.
pub(crate) const OPENING: Opening = Opening { timeout: Duration::from_secs(5), connections_max: 1000 };

/// What no route takes goes where all went before there were routes. Silence is what floods do.
pub(crate) const UNKNOWN: Unknown = Unknown::Pool;
pub(crate) const SILENT: Silent = Silent::Refuse;
pub(crate) const ROUTING: Routing = Routing { routes: Vec::new(), unknown: UNKNOWN, silent: SILENT };

/// A client that reached the listener past its proxies would be taken for one without any.
pub(crate) const OTHERS: Others = Others::Refuse;

pub(crate) const HEADER_VERSIONS: HeaderVersions = HeaderVersions { v1: true, v2: true };

/// A list without a rule for every address is most often a block list.
pub(crate) const OTHERWISE: Action = Action::Allow;

/// A browser opens some ten connections to a page at once, and an office shares one address.
pub(crate) const BURST: u32 = 200;

/// A provider gives one subscriber an IPv4 address, or an IPv6 network of 64 bits.
pub(crate) const SOURCE_BITS: SourceBits = SourceBits { v4: 32, v6: 64 };

/// Like [`HOLD`]; unused unless a backend has `max_connections`.
pub(crate) const QUEUE: Waiting = HOLD;

/// One lost SYN is not a failure, three in a row are. Short, so that a recovered backend returns soon.
pub(crate) const EJECT: Eject =
    Eject { failures: 3, base: Duration::from_secs(10), cap: Duration::from_secs(300) };

/// A silent backend is down after about five seconds: `fall` probes, the last two at the fast interval.
pub(crate) const RHYTHM: Rhythm = Rhythm {
    interval: Duration::from_secs(2),
    interval_in_transition: Duration::from_millis(500),
    timeout: Duration::from_secs(1),
    jitter_percent: 10,
};

pub(crate) const THRESHOLDS: Thresholds = Thresholds { rise: 2, fall: 3 };

/// Not configurable: a backend that goes down three times in five minutes is flapping.
pub(crate) const DAMPING: Damping = Damping { downs_free: 3, window: Duration::from_secs(300) };

pub(crate) const HTTP_PATH: &str = "/";

/// Redirects count as success, a request for a password does not.
pub(crate) const HTTP_STATUSES: RangeInclusive<u16> = 200..=399;

/// The `Host` header if none is given.
pub(crate) const HTTP_HOST: &str = "localhost";

/// Patroni's paths.
pub(crate) const HTTP_PRIMARY: &str = "/primary";
pub(crate) const HTTP_REPLICA: &str = "/replica";

/// Every PostgreSQL server has it.
pub(crate) const POSTGRES_DATABASE: &str = "postgres";
