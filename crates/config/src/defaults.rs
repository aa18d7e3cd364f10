//! What holds where a file says nothing. `configs/full.yaml` shows the same, and a test compares the two.

use std::time::Duration;

use crate::config::{Balance, ConnectionsMax, Keepalive, Workers};

pub(crate) const WORKERS: Workers = Workers::Auto;
pub(crate) const CONNECTIONS_MAX: ConnectionsMax = ConnectionsMax::Auto;

/// Long enough for a request and its answer, short enough for a deployment to wait for.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The kernel's own default of `net.core.somaxconn`, so that it clips nothing.
pub(crate) const BACKLOG: u32 = 4096;

/// A bound that one listener of many may be trusted with; a busy one raises it knowingly.
pub(crate) const LISTENER_CONNECTIONS_MAX: u32 = 10_000;

pub(crate) const FREEBIND: bool = false;
pub(crate) const V6ONLY: bool = false;

pub(crate) const BALANCE: Balance = Balance::RoundRobin;

/// Room for one lost SYN, which the kernel repeats after one second, and for its answer.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) const ATTEMPTS: u8 = 3;

/// Longer than the pauses of interactive use and of pooled database connections.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

pub(crate) const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(60);

/// Notices a vanished peer after two minutes, and is quiet enough for firewalls that forget after five.
pub(crate) const KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 };

pub(crate) const WEIGHT: u16 = 1;
