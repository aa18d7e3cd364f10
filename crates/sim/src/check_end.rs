//! What must hold at the end of a run.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use config::TargetRole;
use connection::{CloseReason, Stage, Termination};
use table::{Backend, Histogram, Listener, Pool, PoolCounters, Table};
use worker::Record;

use crate::agenda::{MILLISECOND, nanos};
use crate::check::{LATE_MAX, closed, evicts};
use crate::descriptors::Thing;
use crate::faults::Fault;
use crate::headers::check_record;
use crate::health::Snapshot;
use crate::link::Trouble;
use crate::peers::Saw;
use crate::run::Run;
use crate::world::World;

impl Run {
    /// What must hold at the end.
    pub(crate) fn check_end(&mut self) {
        let (listeners, backends) = (self.listeners(), self.backends());
        self.check_places(&listeners);
        self.check_numbers(&listeners, &backends);
        let world = self.world.borrow();
        world.check_kernel();
        self.check_records(&world, &listeners);
        self.check_refusals();
        self.check_reasons(&world, &listeners);
        self.check_links(&world, &listeners);
        world.check_delivered();
        drop(world);
        for reason in CloseReason::ALL {
            if closed(&listeners, reason) > 0 {
                self.coverage.count("connection", "accepted", reason.name());
            }
        }
    }

    fn check_places(&self, listeners: &[Arc<Listener>]) {
        assert_eq!(self.gate.active(), 0, "places of the process were not given back");
        for listener in listeners {
            assert_eq!(listener.semaphore.active(), 0, "places of {} were not given back", listener.name);
            assert_eq!(
                listener.hold_semaphore.active(),
                0,
                "places in the hold of {} were not",
                listener.name
            );
        }
        for pool in self.tables.iter().flat_map(|table| &table.pools) {
            assert_eq!(pool.queue_semaphore.active(), 0, "places in the queue of {} were not", pool.name);
            for backend in &pool.backends {
                assert_eq!(
                    backend.semaphore.active(),
                    0,
                    "places of {} were not given back",
                    backend.address
                );
            }
        }
    }

    fn check_numbers(&self, listeners: &[Arc<Listener>], backends: &[Arc<Backend>]) {
        let world = self.world.borrow();
        let of_listeners = |number: fn(&table::ListenerCounters) -> u64| {
            listeners.iter().map(|listener| listener.counters.sum(number)).sum::<u64>()
        };
        let of_backends = |number: fn(&table::BackendCounters) -> u64| {
            backends.iter().map(|backend| backend.counters.sum(number)).sum::<u64>()
        };
        assert_eq!(of_listeners(|of| of.active.get()), 0);
        assert_eq!(of_backends(|of| of.active.get()), 0);
        assert_eq!(of_listeners(|of| of.accepted.get()), world.accepted, "accepted clients were not counted");
        let ends: u64 = CloseReason::ALL.iter().map(|&reason| closed(listeners, reason)).sum();
        assert_eq!(ends, world.accepted, "not every connection has one reason to end");
        let of_pools = |histogram: fn(&PoolCounters) -> &Histogram| {
            self.pools().iter().map(|pool| pool.counters.durations(histogram).count).sum::<u64>()
        };
        assert_eq!(of_pools(|of| &of.life), ends, "lives were miscounted");
        let connected = of_backends(|of| of.connected.get());
        assert_eq!(of_pools(|of| &of.connect), connected, "connects were not all timed");
        let bytes =
            [of_listeners(|of| of.bytes_to_backend.get()), of_listeners(|of| of.bytes_to_client.get())];
        assert_eq!(bytes, world.delivered, "bytes were miscounted at listeners");
        let bytes = [of_backends(|of| of.bytes_to_backend.get()), of_backends(|of| of.bytes_to_client.get())];
        assert_eq!(bytes, world.delivered, "bytes were miscounted at backends");
        let picked = of_backends(|of| of.picked.get());
        let failed = of_backends(|of| of.connect_failed.get());
        let given_up = picked - connected - failed;
        let early = [CloseReason::Drained, CloseReason::Removed, CloseReason::ClosedByOperator];
        let closed_early: u64 = early.iter().map(|&reason| closed(listeners, reason)).sum();
        let left = self.ended.iter().filter(|record| {
            matches!(record.reason, CloseReason::ClientReset | CloseReason::ClientLost)
                && record.stage == Stage::Connecting
        });
        assert!(given_up <= closed_early + left.count() as u64, "attempts came to nothing");
        assert_eq!(closed(listeners, CloseReason::ClosedByOperator), self.queries.closed);
        let taken = world.links.iter().filter(|link| link.is_to_backend() && link.taken).count();
        assert!(connected <= taken as u64, "connects were counted that were none");
    }

    /// Each connection that was accepted has one record, which says why it ended, where its time went and what it
    /// moved.
    fn check_records(&self, world: &World, listeners: &[Arc<Listener>]) {
        assert_eq!(self.ended.len() as u64, world.accepted, "not every connection has one record");
        for reason in CloseReason::ALL {
            let recorded = self.ended.iter().filter(|record| record.reason == reason).count() as u64;
            assert_eq!(recorded, closed(listeners, reason), "records of {} were miscounted", reason.name());
        }
        let mut bytes = [0; 2];
        for record in &self.ended {
            check_record(record);
            let Record { stats, backend, ended_at, reason, stage, introduction, .. } = record;
            // It has a code.
            Termination::of(*reason, *stage);
            bytes = [0, 1].map(|direction| bytes[direction] + stats.bytes[direction]);
            let lived = ended_at.duration_since(stats.accepted_at);
            let opening =
                introduction.as_ref().and_then(|introduction| introduction.opening).unwrap_or_default();
            let known = Duration::from(stats.waited) + Duration::from(stats.connecting);
            assert!(known <= lived, "a record has more time than there was");
            assert_eq!(stats.attempts > 0, backend.is_some(), "attempts without a backend");
            match stage {
                Stage::Relaying { .. } => {}
                Stage::Accepted | Stage::Opening | Stage::Waiting | Stage::Connecting => {
                    assert_eq!(stats.bytes, [0, 0], "bytes went nowhere");
                    let opens = *stage == Stage::Opening;
                    let unknown = nanos(lived.saturating_sub(known + Duration::from(opening)));
                    assert!(opens || unknown <= LATE_MAX, "{} ms are in no record", unknown / MILLISECOND);
                }
            }
        }
        assert_eq!(bytes, world.delivered, "bytes of records are not those that moved");
    }

    /// Each reason was given no more often than there was one.
    fn check_reasons(&self, world: &World, listeners: &[Arc<Listener>]) {
        let of_clients = |is: fn(Trouble) -> bool| world.troubled(false, is);
        let of_backends = |is: fn(Trouble) -> bool| world.troubled(true, is);
        let reset = |trouble: Trouble| trouble.reset || trouble.lost;
        let lost = |trouble: Trouble| trouble.lost;
        let still = of_clients(|trouble| trouble.still) + of_backends(|trouble| trouble.still);
        // A connection that waits for a buffer of a stalled one waits as long.
        let still = if world.starved && still > 0 { u64::MAX } else { still };
        let lacks = |demand: fn(TargetRole) -> bool| {
            any_number_if(world.snapshots.iter().any(|snapshot| snapshot.lacks(demand)))
        };
        let is_bounded = |table: &Arc<Table>| {
            let mut backends = table.pools.iter().flat_map(|pool| &pool.backends);
            backends.any(|backend| backend.connections_max.is_some())
        };
        let bounded = any_number_if(self.tables.iter().any(is_bounded));
        let answered = &world.answered;
        let opens = world.headers || world.routes;
        for reason in CloseReason::ALL {
            let most = match reason {
                CloseReason::Done => u64::MAX,
                CloseReason::ClientReset => of_clients(reset),
                CloseReason::BackendReset => of_backends(reset),
                CloseReason::ClientLost => of_clients(lost),
                CloseReason::BackendLost => of_backends(lost),
                // A backend that resets before it could be sent a header refuses.
                CloseReason::ConnectRefused if world.headers => answered.refused + of_backends(reset),
                CloseReason::ConnectRefused => answered.refused,
                CloseReason::ConnectTimedOut => answered.timed_out,
                CloseReason::ConnectUnreachable => answered.unreachable,
                CloseReason::NoBackend => lacks(|demand| !matches!(demand, TargetRole::Primary(_))),
                CloseReason::NoPrimary | CloseReason::HoldFull => {
                    lacks(|demand| matches!(demand, TargetRole::Primary(_)))
                }
                CloseReason::QueueFull | CloseReason::QueueTimedOut => bounded,
                CloseReason::BackendDown | CloseReason::Demoted | CloseReason::RoleLost => {
                    any_number_if(self.tables.iter().any(|table| evicts(table, reason)))
                }
                CloseReason::Removed | CloseReason::BackendDrained => {
                    any_number_if(self.drain_windows.allow(reason, self.now()))
                }
                CloseReason::ClosedByOperator => self.queries.closed,
                CloseReason::NoSourceAddress => answered.no_address,
                CloseReason::NoSourcePort => answered.no_port,
                CloseReason::NoResources => answered.no_resources,
                CloseReason::Idle | CloseReason::HalfClosedTimeout => still,
                CloseReason::Drained => any_number_if(self.ending_at.is_some()),
                CloseReason::UntrustedProxy => 0,
                // Each of them is checked by itself.
                CloseReason::Denied | CloseReason::SourceLimit | CloseReason::SourceRate => {
                    any_number_if(self.scenario.variety.guards)
                }
                CloseReason::ProxyInvalid => any_number_if(world.headers),
                CloseReason::HelloInvalid | CloseReason::NoRoute => any_number_if(world.routes),
                CloseReason::OpeningTimedOut | CloseReason::OpeningFull => any_number_if(opens),
                // For each client that is rejected, one that opens may go as well.
                CloseReason::NoDescriptor => {
                    (1 + u64::from(opens)) * answered.no_accept + answered.no_descriptor
                }
            };
            let ended = closed(listeners, reason);
            assert!(ended <= most, "{ended} connections ended by {}, {most} had reason to", reason.name());
        }
    }

    /// A connection whose peers both behaved was relayed to its end, unless it was drained.
    fn check_links(&self, world: &World, listeners: &[Arc<Listener>]) {
        let still =
            world.troubled(false, |trouble| trouble.still) + world.troubled(true, |trouble| trouble.still);
        if self.ending_at.is_some() || world.starved && still > 0 {
            return;
        }
        let evicted: u64 = EVICTED.iter().map(|&reason| closed(listeners, reason)).sum();
        let (mut relayed, mut cut) = (0, 0);
        for peer in &world.peers {
            let link = &world.links[peer.end.link];
            let Some(partner) = link.partner.map(|partner| &world.links[partner]) else { continue };
            if link.trouble.any() || partner.trouble.any() {
                continue;
            }
            if cut < 2 * evicted && peer.saw != Saw::Fin {
                cut += 1;
                continue;
            }
            assert_eq!(peer.saw, Saw::Fin, "{:?} and its partner behaved", peer.end);
            let source = &partner.ways[peer.end.other().side];
            let before = link.ways[1 - peer.end.side].before();
            assert_eq!(peer.read - before, source.body(), "{:?} did not get all", peer.end);
            relayed += 1;
        }
        assert!(relayed <= 2 * (closed(listeners, CloseReason::Done) + evicted));
        let well = still == 0
            && !world.links.iter().any(|link| link.trouble.any())
            && world.answered.is_nothing()
            && !world.faults.any_of(&[Fault::NoAccept, Fault::Aborted])
            && REFUSED.iter().chain(&EVICTED).all(|&reason| closed(listeners, reason) == 0);
        if well {
            assert_eq!(
                closed(listeners, CloseReason::Done),
                world.accepted,
                "nothing went wrong, and not all is done"
            );
        }
    }

    /// Each pool that ever was, by its counters.
    fn pools(&self) -> Vec<Arc<Pool>> {
        let mut known = HashSet::new();
        let all = self.tables.iter().flat_map(|table| &table.pools);
        all.filter(|pool| known.insert(Arc::as_ptr(&pool.counters))).map(Arc::clone).collect()
    }

    /// Each backend that ever was, by its counters.
    fn backends(&self) -> Vec<Arc<Backend>> {
        let mut known = HashSet::new();
        let all = self.tables.iter().flat_map(|table| &table.pools).flat_map(|pool| &pool.backends);
        all.filter(|backend| known.insert(Arc::as_ptr(&backend.counters))).map(Arc::clone).collect()
    }
}

impl World {
    /// A peer that was handed everything and the FIN has got all of it, for whatever reason its connection ended and
    /// however slowly it reads.
    fn check_delivered(&self) {
        for peer in &self.peers {
            let link = &self.links[peer.end.link];
            let way = &link.ways[1 - peer.end.side];
            if !way.is_finished() || link.trouble.over || link.trouble.lost || link.trouble.unheard {
                continue;
            }
            let fenced = link.is_to_backend() && self.snapshots.iter().any(Snapshot::fences);
            if fenced && (peer.saw == Saw::Reset || way.is_cut()) {
                continue;
            }
            assert_eq!(peer.saw, Saw::Fin, "{:?} was handed a FIN", peer.end);
            assert_eq!(peer.read, way.sent, "{:?} did not get all that it was handed", peer.end);
        }
    }

    /// How many links to backends, or from clients, had this trouble.
    fn troubled(&self, to_backend: bool, is: impl Fn(Trouble) -> bool) -> u64 {
        let links = self.links.iter().filter(|link| link.is_to_backend() == to_backend);
        links.filter(|link| is(link.trouble)).count() as u64
    }

    /// The kernel has everything back.
    fn check_kernel(&self) {
        let mut reserves = 0;
        for thing in self.descriptors.iter() {
            match thing {
                Thing::Socket(socket) => panic!("a socket was left open: {socket:?}"),
                Thing::PipeRead(pipe) | Thing::PipeWrite(pipe) => {
                    assert_eq!(self.pipes[pipe].filled(), 0, "a pipe was pooled with bytes in it");
                }
                Thing::Reserve => reserves += 1,
            }
        }
        assert!(reserves <= self.rings.len(), "{reserves} descriptors are in reserve");
        for ring in &self.rings {
            assert_eq!(ring.buffers.held().count(), 0, "buffers were not given back");
            assert_eq!(ring.unanswered(), 0, "operations were left in flight");
        }
    }
}

fn any_number_if(may: bool) -> u64 {
    if may { u64::MAX } else { 0 }
}

/// Reasons for which tables close connections, and operators.
const EVICTED: [CloseReason; 6] = [
    CloseReason::BackendDown,
    CloseReason::Demoted,
    CloseReason::RoleLost,
    CloseReason::Removed,
    CloseReason::BackendDrained,
    CloseReason::ClosedByOperator,
];

/// Reasons why clients get no backend though none fails.
const REFUSED: [CloseReason; 13] = [
    CloseReason::Denied,
    CloseReason::SourceLimit,
    CloseReason::SourceRate,
    CloseReason::ProxyInvalid,
    CloseReason::HelloInvalid,
    CloseReason::NoRoute,
    CloseReason::OpeningTimedOut,
    CloseReason::OpeningFull,
    CloseReason::NoBackend,
    CloseReason::NoPrimary,
    CloseReason::HoldFull,
    CloseReason::QueueFull,
    CloseReason::QueueTimedOut,
];
