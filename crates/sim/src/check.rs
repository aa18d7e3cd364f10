//! What must hold: between turns, when nothing moves any more, and at the end of a run.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use config::{Fallback, TargetRole};
use connection::{CloseReason, HalfView, QUEUE_BUFFERS_MAX, QUEUE_BYTES_MAX, Stage, Termination, Waiting};
use driver::BUFFER_SIZE;
use table::{Backend, DrainWindow, Histogram, Listener, Phase, Pool, PoolCounters, Table};
use worker::{PIPES_WARM_MAX, Record, StateView, Worker, WorkerView};

use crate::agenda::{MILLISECOND, SECOND, nanos};
use crate::descriptors::{Socket, Thing};
use crate::faults::Fault;
use crate::health::Told;
use crate::links::{EndId, Trouble};
use crate::peers::Saw;
use crate::ring::PARTS_MAX;
use crate::run::Run;
use crate::world::World;

/// Bytes that a half may have queued where receives know limits: a receive begins with a quarter of the most at hand,
/// and its last part may go beyond its limit.
const HALF_BYTES_MAX: u32 = QUEUE_BYTES_MAX + QUEUE_BYTES_MAX / 4 + BUFFER_SIZE;

/// Buffers that a half may have queued: what a receive brought before it could be stopped, and while it was.
const HALF_BUFFERS_MAX: u64 = QUEUE_BUFFERS_MAX as u64 + 2 * PARTS_MAX;

/// How much later than it should a connection may end, in nanoseconds: ticks of timers, turns, slow workers.
const LATE_MAX: u64 = SECOND;

/// How long a stream may keep its pipe though nothing moves, in nanoseconds: it is looked at every second.
const QUIET_MAX: u64 = 3 * SECOND;

impl Run {
    /// What must hold after every turn.
    pub(crate) fn check_turn(&self, worker: usize, view: &WorkerView) {
        assert!(
            self.gate.active() <= self.scenario.connections_max,
            "more connections than the process may have"
        );
        if let [only] = &self.tables[..] {
            for listener in &only.listeners {
                let active = listener.semaphore.active();
                assert!(
                    active <= listener.connections_max,
                    "more connections than {} may have",
                    listener.name
                );
            }
        }
        assert!(view.pipes_open <= self.scenario.pipes_max, "more pipes than a worker may have");
        assert_eq!(view.to_evict, 0, "connections live on that the table evicts");
        self.check_waiting(view);
        self.check_bounds();
        self.check_drain_windows();
        for connection in &view.connections {
            assert!(
                connection.state != StateView::Closing || connection.in_flight > 0,
                "a connection ended, has nothing in flight, and keeps its slot"
            );
            let StateView::Relaying(halves) = connection.state else { continue };
            for half in halves {
                let HalfView::Copying { queued, .. } = half else { continue };
                let bounded = !self.scenario.limits.receives_end || queued <= HALF_BYTES_MAX;
                assert!(bounded, "a half has {queued} bytes queued");
            }
        }
        let mut buffers = HashMap::new();
        for extent in self.world.borrow().rings[worker].buffers.held() {
            let of_stream: &mut u64 = buffers.entry((extent.stream.link, extent.stream.side)).or_default();
            *of_stream += 1;
            assert!(*of_stream <= HALF_BUFFERS_MAX, "a half has {of_stream} buffers queued");
        }
    }

    /// Connections of what leaves end no sooner than they have been told, and no later.
    fn check_drain_windows(&self) {
        if !self.scenario.variety.leaving {
            return;
        }
        let now = self.now();
        let listeners = self.listeners();
        for reason in [CloseReason::Removed, CloseReason::BackendDrained] {
            let may = self.drain_windows.allow(reason, now);
            assert!(may || closed(&listeners, reason) == 0, "{} came too soon", reason.name());
        }
        let world = self.world.borrow();
        let is_over = |notice: Option<DrainWindow>| {
            notice.is_some_and(|notice| world.agenda.nanos(notice.until) + LATE_MAX < now)
        };
        let table = self.tables.last().expect("there is one");
        // Workers need a moment for each table: a primary keeps its connections, and its drain window may be long over when it loses
        // the role.
        if table.phase == Phase::Ending || self.published_at + LATE_MAX > now {
            return;
        }
        let removed =
            table.removed.backends().map(|(_, gone)| (gone.drain_window, u64::from(gone.connections())));
        let drained =
            table.pools.iter().flat_map(|pool| &pool.backends).filter(|backend| backend.weight == 0);
        let drained = drained.map(|backend| (backend.drain_window, u64::from(backend.semaphore.active())));
        let listeners = table.removed.listeners().map(|gone| (gone.drain_window, gone.connections()));
        let overdue = removed.chain(drained).chain(listeners).filter(|(notice, _)| is_over(*notice));
        let Some(most) = overdue.map(|(_, connections)| connections).max() else { return };
        // A connection that is being connected, or waits, may be of a table that had them.
        let views = self.workers.iter().flatten().map(Worker::inspect);
        let others = views
            .flat_map(|view| view.connections)
            .filter(|connection| !matches!(connection.state, StateView::Relaying(_)));
        assert!(most <= others.count() as u64, "{most} connections outlive their notice");
    }

    /// Nobody waits for longer than clients may.
    fn check_waiting(&self, view: &WorkerView) {
        let world = self.world.borrow();
        let holds = self.tables.iter().flat_map(|table| &table.listeners).map(|listener| {
            match listener.target_role {
                TargetRole::Primary(hold) => hold.timeout,
                TargetRole::Any | TargetRole::Replica(_) => Duration::ZERO,
            }
        });
        let queues = self.tables.iter().flat_map(|table| &table.pools).map(|pool| pool.queue.timeout);
        let longest = nanos(holds.chain(queues).max().unwrap_or_default()) + LATE_MAX;
        for connection in &view.connections {
            if let StateView::Waiting { since, .. } = connection.state {
                let waited = world.agenda.now() - world.agenda.nanos(since);
                assert!(waited <= longest, "a client has waited for {} ms", waited / MILLISECOND);
            }
        }
    }

    /// No more wait, and no backend has more connections, than may. A reload that lowers a bound lets those be who are in.
    fn check_bounds(&self) {
        let [only] = &self.tables[..] else { return };
        for pool in &only.pools {
            assert!(pool.queue_semaphore.active() <= pool.queue.connections_max, "more wait than may");
            for backend in &pool.backends {
                let most = backend.connections_max.map_or(u32::MAX, NonZeroU32::get);
                assert!(
                    backend.semaphore.active() <= most,
                    "more connections than {} may have",
                    backend.name
                );
            }
        }
        for listener in &only.listeners {
            let TargetRole::Primary(hold) = listener.target_role else { continue };
            assert!(listener.hold_semaphore.active() <= hold.connections_max, "more are held than may be");
        }
    }

    /// What must hold when nothing happens until then: no connection stands still for longer than it may.
    pub(crate) fn check_stillness(&self, until: u64) {
        let world = self.world.borrow();
        let pools = || self.tables.iter().flat_map(|table| &table.pools);
        let longest =
            |of: fn(&table::Pool) -> Duration| pools().map(|pool| nanos(of(pool))).max().unwrap_or(0);
        let idle = longest(|pool| pool.idle_timeout) + LATE_MAX;
        let connecting = longest(|pool| pool.connect_timeout) + LATE_MAX;
        for thing in world.descriptors.iter() {
            let Thing::Socket(Socket { end: Some(end), .. }) = thing else { continue };
            let link = &world.links[end.link];
            let partner = link.partner.map(|partner| world.links[partner].moved_at);
            // A client alone may wait for a place, or for many attempts to connect.
            if !link.is_to_backend() && partner.is_none() {
                continue;
            }
            let still = until.saturating_sub(link.moved_at.max(partner.unwrap_or(0)));
            assert!(!link.taken || still <= idle, "{end:?} was still for {} s", still / SECOND);
            assert!(link.taken || still <= connecting, "{end:?} connected for {} s", still / SECOND);
            world.check_noticed(end, until);
        }
        drop(world);
        for view in self.workers.iter().flatten().map(Worker::inspect) {
            assert_eq!(view.overlooked, 0, "clients wait for what there is");
        }
        if until - self.still_since > QUIET_MAX {
            let keeps_pipe =
                |half: HalfView| matches!(half, HalfView::Splicing { waiting: Waiting::Readable, .. });
            for view in self.workers.iter().flatten().map(Worker::inspect) {
                for connection in view.connections {
                    let StateView::Relaying(halves) = connection.state else { continue };
                    assert!(!halves.into_iter().any(keeps_pipe), "a stream stands still and keeps its pipe");
                }
            }
        }
    }

    /// What must hold when nothing will happen any more, and the process serves: nobody waits.
    pub(crate) fn check_quiet(&self) {
        let world = self.world.borrow();
        assert_eq!(world.queues.waiting(), 0, "clients wait, and nobody accepts them");
        let mut pipes = 0;
        for worker in self.workers.iter().flatten() {
            let view = worker.inspect();
            assert!(view.connections.is_empty(), "connections wait for ever: {:?}", view.connections);
            assert!(view.acceptors.iter().all(|(.., held)| *held == 0), "clients are held for ever");
            assert_eq!(view.load, 0, "connections that ended count as a worker's load");
            assert_eq!(view.pipes_open as usize, view.pipes_free, "pipes were not given back");
            let kept = PIPES_WARM_MAX.min(self.scenario.pipes_max / 2);
            assert!(view.pipes_open <= kept, "{} idle pipes stay open", view.pipes_open);
            pipes += view.pipes_free;
        }
        let is_pipe = |thing: &Thing| matches!(thing, Thing::PipeRead(_) | Thing::PipeWrite(_));
        let open = world.descriptors.iter().filter(is_pipe).count();
        assert_eq!(open, 2 * pipes, "ends of pipes were miscounted");
        assert_eq!(self.gate.active(), 0, "places were not given back");
    }

    /// What must hold at the end.
    pub(crate) fn check_end(&mut self) {
        let (listeners, backends) = (self.listeners(), self.backends());
        self.check_places(&listeners);
        self.check_numbers(&listeners, &backends);
        let world = self.world.borrow();
        world.check_kernel();
        self.check_records(&world, &listeners);
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
        assert!(given_up <= closed_early, "attempts came to nothing");
        assert_eq!(closed(listeners, CloseReason::ClosedByOperator), self.queries.closed);
        let taken = world.links.iter().filter(|link| link.is_to_backend() && link.taken).count();
        assert!(connected <= taken as u64, "connects were counted that were none");
    }

    /// Each connection that was accepted has one record, which says why it ended, where its time went and what it moved.
    fn check_records(&self, world: &World, listeners: &[Arc<Listener>]) {
        assert_eq!(self.ended.len() as u64, world.accepted, "not every connection has one record");
        for reason in CloseReason::ALL {
            let recorded = self.ended.iter().filter(|record| record.reason == reason).count() as u64;
            assert_eq!(recorded, closed(listeners, reason), "records of {} were miscounted", reason.name());
        }
        let mut bytes = [0; 2];
        for Record { stats, backend, ended_at, reason, stage, .. } in &self.ended {
            // It has a code.
            Termination::of(*reason, *stage);
            bytes = [0, 1].map(|direction| bytes[direction] + stats.bytes[direction]);
            let lived = ended_at.duration_since(stats.accepted_at);
            let told = Duration::from(stats.waited) + Duration::from(stats.connecting);
            assert!(told <= lived, "more time was told of than there was");
            assert_eq!(stats.attempts > 0, backend.is_some(), "whom was it tried to connect to?");
            match stage {
                Stage::Relaying { .. } => {}
                Stage::Accepted | Stage::Waiting | Stage::Connecting => {
                    assert_eq!(stats.bytes, [0, 0], "bytes went nowhere");
                    let unknown = nanos(lived.saturating_sub(told));
                    assert!(unknown <= LATE_MAX, "{} ms are not told of", unknown / MILLISECOND);
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
        // Those who wait for a buffer that one who stands still has wait as long.
        let still = if world.starved && still > 0 { u64::MAX } else { still };
        let lacks =
            |demand: fn(TargetRole) -> bool| any_number_if(world.told.iter().any(|told| told.lacks(demand)));
        let is_bounded = |table: &Arc<Table>| {
            let mut backends = table.pools.iter().flat_map(|pool| &pool.backends);
            backends.any(|backend| backend.connections_max.is_some())
        };
        let bounded = any_number_if(self.tables.iter().any(is_bounded));
        let answered = &world.answered;
        for reason in CloseReason::ALL {
            let most = match reason {
                CloseReason::Done => u64::MAX,
                CloseReason::ClientReset => of_clients(reset),
                CloseReason::BackendReset => of_backends(reset),
                CloseReason::ClientLost => of_clients(lost),
                CloseReason::BackendLost => of_backends(lost),
                CloseReason::ConnectRefused => answered.refused,
                CloseReason::ConnectTimedOut => answered.timed_out,
                CloseReason::ConnectUnreachable => answered.unreachable,
                CloseReason::NoBackend => lacks(|demand| !matches!(demand, TargetRole::Primary(_))),
                CloseReason::NoPrimary | CloseReason::HoldFull => {
                    lacks(|demand| matches!(demand, TargetRole::Primary(_)))
                }
                CloseReason::QueueFull | CloseReason::QueueTimedOut => bounded,
                CloseReason::BackendDown | CloseReason::Demoted | CloseReason::RoleLost => {
                    any_number_if(self.tables.iter().any(|table| severs(table, reason)))
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
                CloseReason::NoDescriptor => answered.no_accept + answered.no_descriptor,
            };
            let ended = closed(listeners, reason);
            assert!(ended <= most, "{ended} connections ended by {}, {most} had reason to", reason.name());
        }
    }

    /// A connection whose peers both meant well was relayed to its end, unless it was drained.
    fn check_links(&self, world: &World, listeners: &[Arc<Listener>]) {
        let still =
            world.troubled(false, |trouble| trouble.still) + world.troubled(true, |trouble| trouble.still);
        if self.ending_at.is_some() || world.starved && still > 0 {
            return;
        }
        let severed: u64 = SEVERED.iter().map(|&reason| closed(listeners, reason)).sum();
        let (mut relayed, mut cut) = (0, 0);
        for peer in &world.peers {
            let link = &world.links[peer.end.link];
            let Some(partner) = link.partner.map(|partner| &world.links[partner]) else { continue };
            if link.trouble.any() || partner.trouble.any() {
                continue;
            }
            if cut < 2 * severed && peer.saw != Saw::Fin {
                cut += 1;
                continue;
            }
            assert_eq!(peer.saw, Saw::Fin, "{:?} and its partner meant well", peer.end);
            let source = &partner.ways[peer.end.other().side];
            assert_eq!(peer.read, source.sent, "{:?} did not get all", peer.end);
            relayed += 1;
        }
        assert!(relayed <= 2 * (closed(listeners, CloseReason::Done) + severed));
        let well = still == 0
            && !world.links.iter().any(|link| link.trouble.any())
            && world.answered.is_nothing()
            && !world.faults.any_of(&[Fault::NoAccept, Fault::Aborted])
            && REFUSED.iter().chain(&SEVERED).all(|&reason| closed(listeners, reason) == 0);
        if well {
            assert_eq!(
                closed(listeners, CloseReason::Done),
                world.accepted,
                "nothing went wrong, and not all is done"
            );
        }
    }

    /// Each listener that ever was, by its counters.
    fn listeners(&self) -> Vec<Arc<Listener>> {
        let mut known = HashSet::new();
        let all = self.tables.iter().flat_map(|table| &table.listeners);
        all.filter(|listener| known.insert(Arc::as_ptr(&listener.counters))).map(Arc::clone).collect()
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
    /// That a side is gone which has finished is noticed soon, though nothing is received from it any more.
    fn check_noticed(&self, end: EndId, until: u64) {
        let link = &self.links[end.link];
        let Some(partner) = link.partner.map(|partner| &self.links[partner]) else { return };
        let Some(died_at) = link.ends[end.side].died_at else { return };
        // The worker connects to backends and is connected to by clients: what comes in here goes out at the same side
        // there.
        let side = 1 - end.side;
        if link.ways[side].is_read_to_the_end() && partner.ways[side].is_finished() {
            let unnoticed = until.saturating_sub(died_at.max(partner.moved_at));
            assert!(unnoticed <= LATE_MAX, "{end:?} is gone, unnoticed for {} ms", unnoticed / MILLISECOND);
        }
    }

    /// A peer that was handed everything and the FIN has got all of it, for whatever reason its connection ended and
    /// however slowly it reads.
    fn check_delivered(&self) {
        for peer in &self.peers {
            let link = &self.links[peer.end.link];
            let way = &link.ways[1 - peer.end.side];
            if !way.is_finished() || link.trouble.over || link.trouble.lost || link.trouble.unheard {
                continue;
            }
            let fenced = link.is_to_backend() && self.told.iter().any(Told::fences);
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

fn closed(listeners: &[Arc<Listener>], reason: CloseReason) -> u64 {
    listeners.iter().map(|listener| listener.counters.sum(|of| of.closed(reason).get())).sum()
}

/// Whether a table closes connections for this reason.
pub(crate) fn severs(table: &Table, reason: CloseReason) -> bool {
    let demands = table.listeners.iter().map(|listener| listener.target_role);
    let backends = || table.pools.iter().flat_map(|pool| &pool.backends);
    // Connections may be of a listener that the table does not have, and then of any demand.
    let any = [TargetRole::Any, TargetRole::Replica(Fallback::None)];
    let hold = TargetRole::Primary(config::Waiting { connections_max: 0, timeout: Duration::ZERO });
    demands
        .chain(any)
        .chain([hold])
        .any(|demand| backends().any(|backend| table.eviction(demand, backend) == Some(reason)))
}

/// Reasons for which tables close connections, and operators.
const SEVERED: [CloseReason; 6] = [
    CloseReason::BackendDown,
    CloseReason::Demoted,
    CloseReason::RoleLost,
    CloseReason::Removed,
    CloseReason::BackendDrained,
    CloseReason::ClosedByOperator,
];

/// Reasons why clients get no backend though none fails.
const REFUSED: [CloseReason; 5] = [
    CloseReason::NoBackend,
    CloseReason::NoPrimary,
    CloseReason::HoldFull,
    CloseReason::QueueFull,
    CloseReason::QueueTimedOut,
];
