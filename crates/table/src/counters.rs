//! What workers count, by what it is about.

use connection::CloseReason;

use crate::counter::{Counter, Gauge};
use crate::histogram::{self, Histogram};

/// What happened at a listener, as one worker counts it.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections that exist.
    pub active: Gauge,
    /// accept(2) failed.
    pub accept_errors: Counter,
    /// Connections that ended, by [`CloseReason`] as a number.
    pub closed: [Counter; CloseReason::ALL.len()],
    /// Bytes that clients sent and backends were given.
    pub bytes_to_backend: Counter,
    /// Bytes that backends sent and clients were given.
    pub bytes_to_client: Counter,
    /// PROXY headers that were accepted: of version 1, of version 2 for a client, of version 2 for the proxy itself.
    pub headers: [Counter; 3],
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
    /// Connections that ended, by [`CloseReason`] as a number.
    pub closed: [Counter; CloseReason::ALL.len()],
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
}

/// How long it took what became of a pool's connections, as one worker counts it.
#[derive(Debug)]
pub struct PoolCounters {
    /// Attempts to connect that succeeded.
    pub connect: Histogram,
    /// Connections that ended, from when the client was accepted.
    pub life: Histogram,
    /// Attempts to connect that failed, by [`CloseReason`] as a number.
    pub failed: [Counter; CloseReason::ALL.len()],
    /// Fields of PROXY headers that were left out, as the header would have become too long.
    pub fields_left_out: Counter,
}

impl Default for PoolCounters {
    fn default() -> Self {
        Self {
            connect: Histogram::new(&histogram::SHORT),
            life: Histogram::new(&histogram::LONG),
            failed: Default::default(),
            fields_left_out: Counter::default(),
        }
    }
}

impl PoolCounters {
    /// How often an attempt to connect failed for this reason.
    pub fn failed(&self, reason: CloseReason) -> &Counter {
        &self.failed[reason as usize]
    }
}

impl ListenerCounters {
    /// How often a connection ended for this reason.
    pub fn closed(&self, reason: CloseReason) -> &Counter {
        &self.closed[reason as usize]
    }
}

impl BackendCounters {
    /// How often a connection ended for this reason.
    pub fn closed(&self, reason: CloseReason) -> &Counter {
        &self.closed[reason as usize]
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
