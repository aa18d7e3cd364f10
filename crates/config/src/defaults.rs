//! What holds where a file says nothing. `configs/full.yaml` shows the same, and a test compares the two.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::{
    AccessLog, Admin, AdminSocket, Backend, Balance, ConnectionsMax, Eject, Failback, Fallback, Keepalive,
    LagMax, LogFormat, LogTarget, OnAllDown, OnDemotion, OnLoss, OnRemove, Pool, TargetRole, Tier, Tiers,
    Waiting, Workers,
};
use crate::probe::{Damping, Rhythm, Thresholds};

/// A pool for which a file says its name and its backends.
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
        probe: None,
        eject: Some(EJECT),
        on_all_down: on_all_down(false),
        tiers: Tiers {
            active_min: 1,
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

/// The access log for which a file says where it goes.
pub(crate) fn access_log(to: LogTarget) -> AccessLog {
    AccessLog { to, format: LogFormat::Text, skip_empty: false }
}

/// Whoever has an access log wants to see all of it.
pub(crate) const LISTENER_ACCESS_LOG: bool = true;

/// A backend for which a file says its address.
pub(crate) fn backend(address: SocketAddr) -> Backend {
    Backend { name: address.to_string(), address, weight: WEIGHT, tier: Tier::Active, connections_max: None }
}

/// Probes of a web server may be wrong, and then all of them are; a database that has not said its role is not written to.
pub(crate) fn on_all_down(used_by_role: bool) -> OnAllDown {
    if used_by_role { OnAllDown::Closed } else { OnAllDown::Open }
}

pub(crate) const WORKERS: Workers = Workers::Auto;
pub(crate) const CONNECTIONS_MAX: ConnectionsMax = ConnectionsMax::Auto;

pub(crate) fn admin() -> Admin {
    Admin { socket: AdminSocket::Auto, http: None }
}

/// Long enough for a request and its answer, short enough for a deployment to wait for.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The kernel's own default of `net.core.somaxconn`, so that it clips nothing.
pub(crate) const BACKLOG: u32 = 4096;

/// A bound that one listener of many may be trusted with; a busy one raises it knowingly.
pub(crate) const LISTENER_CONNECTIONS_MAX: u32 = 10_000;

pub(crate) const FREEBIND: bool = false;
pub(crate) const V6ONLY: bool = false;

pub(crate) const TARGET_ROLE: TargetRole = TargetRole::Any;

/// A planned change of the primary takes a few seconds; whoever waits for longer has better things to do.
pub(crate) const HOLD: Waiting = Waiting { connections_max: 1000, timeout: Duration::from_secs(10) };

/// Reads do not fall upon a primary that nobody sized for them.
pub(crate) const FALLBACK: Fallback = Fallback::None;

/// Room for one lost SYN, which the kernel repeats after one second, and for its answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

const ATTEMPTS: u8 = 3;

/// Longer than the pauses of interactive use and of pooled database connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(60);

/// Notices a vanished peer after two minutes, and is quiet enough for firewalls that forget after five.
pub(crate) const KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 };

pub(crate) const WEIGHT: u16 = 1;

/// A request ends within it, and a pool of database connections, which mostly renews them, is not waited for by who removed its server.
pub(crate) const ON_REMOVE_TIMEOUT: Duration = Duration::from_secs(300);

/// Like [`HOLD`]; of no meaning unless a backend has `max_connections`.
pub(crate) const QUEUE: Waiting = HOLD;

/// One lost SYN is no failure, three in a row are; and a backend that is well again is not missed for long.
pub(crate) const EJECT: Eject =
    Eject { failures: 3, base: Duration::from_secs(10), cap: Duration::from_secs(300) };

/// A backend that falls silent is down after about five seconds: `fall` probes, the last two of them soon.
pub(crate) const RHYTHM: Rhythm = Rhythm {
    interval: Duration::from_secs(2),
    interval_in_transition: Duration::from_millis(500),
    timeout: Duration::from_secs(1),
    jitter_percent: 10,
};

pub(crate) const THRESHOLDS: Thresholds = Thresholds { rise: 2, fall: 3 };

/// No key says otherwise: whoever goes down three times in five minutes is not well.
pub(crate) const DAMPING: Damping = Damping { downs_free: 3, window: Duration::from_secs(300) };

pub(crate) const HTTP_PATH: &str = "/";

/// Where a server is well that sends elsewhere, and not one that wants a password.
pub(crate) const HTTP_STATUSES: RangeInclusive<u16> = 200..=399;

/// What a server answers to that has no name.
pub(crate) const HTTP_HOST: &str = "localhost";

/// Patroni's paths.
pub(crate) const HTTP_PRIMARY: &str = "/primary";
pub(crate) const HTTP_REPLICA: &str = "/replica";

/// The one that every PostgreSQL has.
pub(crate) const POSTGRES_DATABASE: &str = "postgres";
