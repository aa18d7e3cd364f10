//! Backends and listeners that reloads removed and that still have connections: handed on from table to table,
//! until the last of those is closed, or a reload adds them again.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::OnRemove;

use crate::backend::Backend;
use crate::counter::PerWorker;
use crate::counters::ListenerCounters;
use crate::drain_window::{DrainWindow, DrainedBuckets};
use crate::listener::Listener;
use crate::pool::Pool;
use crate::table::Table;

/// What reloads removed.
///
/// Bound: `REMOVED_MAX` of each kind. What is removed beyond it keeps its connections, as with `on_remove: keep`.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    /// Backends, by the name of their pool.
    backends: BTreeMap<String, Vec<RemovedBackend>>,
    listeners: Vec<RemovedListener>,
}

/// A backend that a reload removed, or its pool.
#[derive(Clone, Debug)]
pub struct RemovedBackend {
    /// The backend, as it last was.
    pub backend: Arc<Backend>,
    /// The time that its connections have to finish; none keeps them.
    pub drain_window: Option<DrainWindow>,
    at: Instant,
}

/// A listener that a reload removed, or all of whose addresses it changed.
#[derive(Clone, Debug)]
pub struct RemovedListener {
    /// Its name.
    pub name: String,
    /// Where it listened.
    pub addresses: Vec<SocketAddr>,
    /// The name of its pool.
    pub pool: String,
    /// What it counted.
    pub counters: Arc<PerWorker<ListenerCounters>>,
    /// The time that its connections have to finish; none keeps them.
    pub drain_window: Option<DrainWindow>,
    at: Instant,
}

impl Removed {
    /// Each backend, with the name of its pool.
    pub fn backends(&self) -> impl Iterator<Item = (&str, &RemovedBackend)> {
        self.backends.iter().flat_map(|(pool, all)| all.iter().map(move |backend| (pool.as_str(), backend)))
    }

    /// Each listener.
    pub fn listeners(&self) -> impl Iterator<Item = &RemovedListener> {
        self.listeners.iter()
    }

    /// Those of the pool of this name.
    pub(crate) fn of_pool(&self, pool: &str) -> &[RemovedBackend] {
        self.backends.get(pool).map_or(&[], Vec::as_slice)
    }

    /// What is removed once these pools and listeners replace those of `previous`.
    pub(crate) fn after(
        previous: &Table,
        pools: &[Arc<Pool>],
        listeners: &[Arc<Listener>],
        now: Instant,
    ) -> Self {
        let mut removed = previous.removed.clone();
        removed.forget(listeners, now);
        for before in &previous.pools {
            let after = pools.iter().find(|pool| pool.name == before.name);
            if after.is_none_or(|after| !before.has_same_backends(after)) {
                removed.add_backends(before, after, now);
            }
        }
        for pool in pools {
            let Some(of_pool) = removed.backends.get_mut(&pool.name) else { continue };
            let known: HashSet<usize> = pool.backends.iter().map(|backend| backend.identity()).collect();
            of_pool.retain(|removed| !known.contains(&removed.backend.identity()));
        }
        removed.backends.retain(|_, of_pool| !of_pool.is_empty());
        let known: HashSet<usize> = listeners.iter().map(|listener| listener.identity()).collect();
        for listener in previous.listeners.iter().filter(|listener| !known.contains(&listener.identity())) {
            if removed.listeners.len() == REMOVED_MAX {
                break;
            }
            let pool = pools.iter().find(|pool| pool.name == listener.pool.name).unwrap_or(&listener.pool);
            removed.listeners.push(RemovedListener {
                name: listener.name.clone(),
                addresses: listener.addresses().collect(),
                pool: listener.pool.name.clone(),
                counters: Arc::clone(&listener.counters),
                drain_window: drain_window(pool.on_remove, now),
                at: now,
            });
        }
        removed
    }

    /// Notes which buckets are drained, and says when the next one is.
    pub(crate) fn drain(&self, drained_buckets: &mut DrainedBuckets, now: Instant) -> Option<Instant> {
        let backends = self.backends().map(|(_, removed)| (removed.backend.identity(), removed.drain_window));
        let listeners =
            self.listeners.iter().map(|removed| (removed.counters.identity(), removed.drain_window));
        let windows = backends.chain(listeners).filter_map(|(identity, window)| Some((identity, window?)));
        let due = windows.filter_map(|(identity, window)| {
            drained_buckets.set(identity, window, now);
            window.due(now)
        });
        due.min()
    }

    /// Forgets those without connections, and listeners that have an address which is listened on again.
    fn forget(&mut self, listeners: &[Arc<Listener>], now: Instant) {
        for of_pool in self.backends.values_mut() {
            of_pool.retain(|removed| removed.connections() > 0 || now < removed.at + LINGER);
        }
        let listened: HashSet<SocketAddr> =
            listeners.iter().flat_map(|listener| listener.addresses()).collect();
        let returned = |removed: &RemovedListener| removed.addresses.iter().any(|at| listened.contains(at));
        self.listeners
            .retain(|removed| !returned(removed) && (removed.connections() > 0 || now < removed.at + LINGER));
    }

    fn add_backends(&mut self, before: &Pool, after: Option<&Arc<Pool>>, now: Instant) {
        let mut room = REMOVED_MAX - self.backends.values().map(Vec::len).sum::<usize>();
        let known: HashSet<usize> =
            after.iter().flat_map(|pool| &pool.backends).map(|backend| backend.identity()).collect();
        let on_remove = after.map_or(before.on_remove, |after| after.on_remove);
        let of_pool = self.backends.entry(before.name.clone()).or_default();
        for backend in before.backends.iter().filter(|backend| !known.contains(&backend.identity())) {
            if room == 0 {
                break;
            }
            room -= 1;
            // An operator's drain still limits its connections: the earlier end counts.
            let windows = [backend.drain_window, drain_window(on_remove, now)].into_iter().flatten();
            let drain_window = windows.min_by_key(|window| window.until);
            of_pool.push(RemovedBackend { backend: Arc::clone(backend), drain_window, at: now });
        }
    }
}

impl RemovedBackend {
    /// Its connections, attempts to connect included.
    pub fn connections(&self) -> u32 {
        self.backend.semaphore.active()
    }
}

impl RemovedListener {
    /// Connections that it has.
    pub fn connections(&self) -> u64 {
        self.counters.sum(|worker| worker.active.get())
    }
}

fn drain_window(on_remove: OnRemove, now: Instant) -> Option<DrainWindow> {
    match on_remove {
        OnRemove::Drain(timeout) => Some(DrainWindow::removed(now, timeout)),
        OnRemove::Keep => None,
        OnRemove::Close => Some(DrainWindow::removed(now, Duration::ZERO)),
    }
}

/// How many removed backends, and how many removed listeners, are remembered: as many as a pool may have backends.
const REMOVED_MAX: usize = 10_000;

/// How long one without connections is remembered: a worker may be in the middle of a turn that began with an
/// older table, and give it one.
const LINGER: Duration = Duration::from_secs(10);
