//! What must hold between turns, and when nothing moves any more.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use config::{Fallback, TargetRole};
use connection::{CloseReason, HalfView, QUEUE_BUFFERS_MAX, QUEUE_BYTES_MAX, Waiting};
use driver::BUFFER_SIZE;
use table::{DrainWindow, Listener, Phase, Table};
use worker::{PIPES_WARM_MAX, StateView, Worker, WorkerView};

use crate::agenda::{MILLISECOND, SECOND, nanos};
use crate::descriptors::{Socket, Thing};
use crate::link::EndId;
use crate::ring::PARTS_MAX;
use crate::run::Run;
use crate::world::World;

/// Bytes that a half may have queued where receives know limits: a receive begins with a quarter of the limit,
/// and its last part may go beyond its limit.
const HALF_BYTES_MAX: u32 = QUEUE_BYTES_MAX + QUEUE_BYTES_MAX / 4 + BUFFER_SIZE;

/// Buffers that a half may have queued: what a receive brought before it could be stopped, and while it was.
const HALF_BUFFERS_MAX: u64 = QUEUE_BUFFERS_MAX as u64 + 2 * PARTS_MAX;

/// How much later than it should a connection may end, in nanoseconds: ticks of timers, turns, slow workers.
pub(crate) const LATE_MAX: u64 = SECOND;

/// How long a stream may keep its pipe though nothing moves, in nanoseconds: it is checked every second.
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
        self.check_openings(view);
        self.check_bounds();
        self.check_drain_windows();
        self.check_sources();
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

    /// Connections of what is drained or removed are closed within its drain window, neither before nor after.
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
        let is_over = |window: Option<DrainWindow>| {
            window.is_some_and(|window| world.agenda.nanos(window.until) + LATE_MAX < now)
        };
        let table = self.tables.last().expect("there is one");
        // Workers need a moment for each table: a primary keeps its connections, and its drain window may be long
        // over when it loses the role.
        if table.phase == Phase::Ending || self.published_at + LATE_MAX > now {
            return;
        }
        let removed = table
            .removed
            .backends()
            .map(|(_, removed)| (removed.drain_window, u64::from(removed.connections())));
        let drained =
            table.pools.iter().flat_map(|pool| &pool.backends).filter(|backend| backend.weight == 0);
        let drained = drained.map(|backend| (backend.drain_window, u64::from(backend.semaphore.active())));
        let listeners =
            table.removed.listeners().map(|removed| (removed.drain_window, removed.connections()));
        let overdue = removed.chain(drained).chain(listeners).filter(|(window, _)| is_over(*window));
        let Some(most) = overdue.map(|(_, connections)| connections).max() else { return };
        // A connection that is being connected, or waits, may be of a table that had them.
        let views = self.workers.iter().flatten().map(Worker::inspect);
        let others = views
            .flat_map(|view| view.connections)
            .filter(|connection| !matches!(connection.state, StateView::Relaying(_)));
        assert!(most <= others.count() as u64, "{most} connections outlive their drain window");
    }

    /// No client waits for longer than clients may.
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

    /// No more clients wait, and no backend has more connections, than may. A reload that lowers a bound closes none.
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

    /// What must hold when nothing happens until then: no connection makes no progress for longer than its timeout.
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
                    assert!(!halves.into_iter().any(keeps_pipe), "a stalled stream keeps its pipe");
                }
            }
        }
    }

    /// What must hold when nothing will happen any more, and the process serves: no client waits.
    pub(crate) fn check_quiet(&self) {
        let world = self.world.borrow();
        assert_eq!(world.queues.waiting(), 0, "clients wait, and are not accepted");
        let mut pipes = 0;
        for worker in self.workers.iter().flatten() {
            let view = worker.inspect();
            assert!(view.connections.is_empty(), "connections wait without end: {:?}", view.connections);
            assert!(view.acceptors.iter().all(|(.., held)| *held == 0), "clients are held without end");
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

    /// Each listener that ever was, by its counters.
    pub(crate) fn listeners(&self) -> Vec<Arc<Listener>> {
        let mut known = HashSet::new();
        let all = self.tables.iter().flat_map(|table| &table.listeners);
        all.filter(|listener| known.insert(Arc::as_ptr(&listener.counters))).map(Arc::clone).collect()
    }
}

impl World {
    /// A side that has finished and then died is noticed soon, though nothing is received from it any more.
    fn check_noticed(&self, end: EndId, until: u64) {
        let link = &self.links[end.link];
        let Some(partner) = link.partner.map(|partner| &self.links[partner]) else { return };
        let Some(died_at) = link.ends[end.side].died_at else { return };
        // The worker connects to backends and is connected to by clients: what comes in here goes out at the same side
        // there.
        let side = 1 - end.side;
        if link.ways[side].is_read_to_the_end() && partner.ways[side].is_finished() {
            let unnoticed = until.saturating_sub(died_at.max(partner.moved_at));
            assert!(unnoticed <= LATE_MAX, "{end:?} is dead, unnoticed for {} ms", unnoticed / MILLISECOND);
        }
    }
}

pub(crate) fn closed(listeners: &[Arc<Listener>], reason: CloseReason) -> u64 {
    listeners.iter().map(|listener| listener.counters.sum(|of| of.closed(reason).get())).sum()
}

/// Whether a table closes connections for this reason.
pub(crate) fn evicts(table: &Table, reason: CloseReason) -> bool {
    let target_roles = table.listeners.iter().map(|listener| listener.target_role);
    let backends = || table.pools.iter().flat_map(|pool| &pool.backends);
    // Connections may be of a listener that the table does not have, and then of any target role.
    let any = [TargetRole::Any, TargetRole::Replica(Fallback::None)];
    let hold = TargetRole::Primary(config::Waiting { connections_max: 0, timeout: Duration::ZERO });
    target_roles
        .chain(any)
        .chain([hold])
        .any(|target_role| backends().any(|backend| table.eviction(target_role, backend) == Some(reason)))
}
