//! What workers count, by what it is about.

use connection::CloseReason;

use crate::counter::{Counter, Gauge};
use crate::histogram::{self, Histogram};

/// How often something happened for each reason.
#[derive(Debug)]
pub struct ByReason([Counter; CloseReason::ALL.len()]);

impl Default for ByReason {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl ByReason {
    /// How often it happened for this reason.
    pub fn of(&self, reason: CloseReason) -> &Counter {
        &self.0[reason as usize]
    }
}

/// What happened at a listener, as one worker counts it.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections that exist.
    pub active: Gauge,
    /// Accepting paused, as new connections came faster than its rate allows.
    pub rate_pauses: Counter,
    /// accept(2) failed.
    pub accept_errors: Counter,
    /// Connections that ended.
    pub closed: ByReason,
    /// Bytes that clients sent and backends were given.
    pub bytes_to_backend: Counter,
    /// Bytes that backends sent and clients were given.
    pub bytes_to_client: Counter,
    /// PROXY headers that were accepted: of version 1, of version 2 for a client, of version 2 for the proxy itself.
    pub headers: [Counter; 3],
    /// Clients that were served, and would have been refused without `dry_run`, by [`Refused`] as a number.
    pub would_refuse: [Counter; Refused::ALL.len()],
}

/// Why a client is refused for its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The access list or an operator denies it.
    Denied,
    /// Its source has as many connections as it may.
    SourceLimit,
    /// Connections of its source come faster than they may.
    SourceRate,
}

impl Refused {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Denied, Self::SourceLimit, Self::SourceRate];

    /// Why its connection ends.
    pub fn reason(self) -> CloseReason {
        match self {
            Self::Denied => CloseReason::Denied,
            Self::SourceLimit => CloseReason::SourceLimit,
            Self::SourceRate => CloseReason::SourceRate,
        }
    }
}

/// What became of connections to a backend, as one worker counts it.
#[derive(Debug, Default)]
pub struct BackendCounters {
    /// Attempts to connect: how often it was picked.
    pub picked: Counter,
    /// Attempts that succeeded.
    pub connected: Counter,
    /// Connections that exist.
    pub active: Gauge,
    /// Attempts that failed.
    pub connect_failed: Counter,
    /// Attempts that failed and were followed by one at another backend.
    pub retried: Counter,
    /// Connections that ended.
    pub closed: ByReason,
    /// Bytes that clients sent and it was given.
    pub bytes_to_backend: Counter,
    /// Bytes that it sent and clients were given.
    pub bytes_to_client: Counter,
}

/// What a worker did, as it counts it itself.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    /// Passes of its loop.
    pub turns: Counter,
    /// Its submission queue was full, and it gave the kernel what was in it before the turn's end.
    pub early_submits: Counter,
    /// Its completion queue was full at the end of a wait, and the kernel kept the rest.
    pub overflows: Counter,
    /// Receive buffers that could be received into.
    pub buffers_free: Gauge,
    /// Receive buffers that it has.
    pub buffers: Gauge,
    /// Pipes that are open.
    pub pipes_open: Gauge,
    /// Of them, those that no half has.
    pub pipes_free: Gauge,
    /// Records of connections that were lost, because too many waited to be taken.
    pub records_lost: Counter,
    /// Records of clients that were refused for their address, which were left out as there were too many.
    pub records_left_out: Counter,
}

/// How long it took what became of a pool's connections, as one worker counts it.
#[derive(Debug)]
pub struct PoolCounters {
    /// Attempts to connect that succeeded.
    pub connect: Histogram,
    /// Connections that ended, from when the client was accepted.
    pub life: Histogram,
    /// Attempts to connect that failed.
    pub failed: ByReason,
    /// Fields of PROXY headers that were left out, as the header would have become too long.
    pub fields_left_out: Counter,
}

impl Default for PoolCounters {
    fn default() -> Self {
        Self {
            connect: Histogram::new(&histogram::SHORT),
            life: Histogram::new(&histogram::LONG),
            failed: ByReason::default(),
            fields_left_out: Counter::default(),
        }
    }
}

impl PoolCounters {
    /// How often an attempt to connect failed for this reason.
    pub fn failed(&self, reason: CloseReason) -> &Counter {
        self.failed.of(reason)
    }
}

impl ListenerCounters {
    /// How often a connection ended for this reason.
    pub fn closed(&self, reason: CloseReason) -> &Counter {
        self.closed.of(reason)
    }

    /// How often a client would have been refused for this reason, and was served.
    pub fn would_refuse(&self, refused: Refused) -> &Counter {
        &self.would_refuse[refused as usize]
    }
}

impl BackendCounters {
    /// How often a connection ended for this reason.
    pub fn closed(&self, reason: CloseReason) -> &Counter {
        self.closed.of(reason)
    }
}

#[cfg(test)]
mod tests {
    use connection::CloseReason;

    use super::ListenerCounters;
    use crate::counter::PerWorker;

    #[test]
    fn workers_count_apart_and_are_summed() {
        let counters: PerWorker<ListenerCounters> = PerWorker::new(3);
        counters.of(0).accepted.add(1);
        counters.of(2).accepted.add(41);
        counters.of(1).active.add(3);
        counters.of(1).active.sub(2);
        counters.of(1).closed(CloseReason::Idle).add(2);
        assert_eq!(counters.sum(|worker| worker.accepted.get()), 42);
        assert_eq!(counters.sum(|worker| worker.active.get()), 1);
        assert_eq!(counters.sum(|worker| worker.closed(CloseReason::Idle).get()), 2);
        assert_eq!(counters.sum(|worker| worker.closed(CloseReason::Done).get()), 0);
        assert_eq!(counters.iter().len(), 3);
    }

    #[test]
    fn workers_share_no_cache_line() {
        let counters: PerWorker<u8> = PerWorker::new(2);
        let address = |worker| std::ptr::from_ref(counters.of(worker)).addr();
        assert!(address(1) - address(0) >= 128);
        assert_eq!(address(0) % 128, 0);
    }
}
