//! Backends and listeners that reloads removed and that have connections yet: handed on from table to table, until the last of those
//! is gone, or the file has them again.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::OnRemove;

use crate::backend::Backend;
use crate::counters::{ListenerCounters, PerWorker};
use crate::drain_window::{Cuts, DrainWindow};
use crate::listener::Listener;
use crate::pool::Pool;
use crate::table::Table;

/// What reloads removed.
///
/// Bound: 10 000 of each kind. What is removed beyond it keeps its connections, as with `on_remove: keep`.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    /// Backends, by the name of their pool.
    backends: BTreeMap<String, Vec<RemovedBackend>>,
    listeners: Vec<RemovedListener>,
}

/// A backend that a reload removed, or its pool.
#[derive(Clone, Debug)]
pub struct RemovedBackend {
    /// The backend, as it was last.
    pub backend: Arc<Backend>,
    /// By when its connections are to be gone; none lets them live on.
    pub notice: Option<DrainWindow>,
    at: Instant,
}

/// A listener that a reload removed, or that has another address since.
#[derive(Clone, Debug)]
pub struct RemovedListener {
    /// Its name.
    pub name: String,
    /// Where it listened.
    pub address: SocketAddr,
    /// The name of its pool.
    pub pool: String,
    /// What it did.
    pub counters: Arc<PerWorker<ListenerCounters>>,
    /// By when its connections are to be gone; none lets them live on.
    pub notice: Option<DrainWindow>,
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

    /// What is removed once these pools and listeners take the place of those of `previous`.
    pub(crate) fn follow(
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
            of_pool.retain(|gone| !known.contains(&gone.backend.identity()));
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
                address: listener.address,
                pool: listener.pool.name.clone(),
                counters: Arc::clone(&listener.counters),
                notice: notice(pool.on_remove, now),
                at: now,
            });
        }
        removed
    }

    /// Notes by when connections are to be gone, and says when the next have to be.
    pub(crate) fn give_notice(&self, cuts: &mut Cuts, now: Instant) -> Option<Instant> {
        let backends = self.backends().map(|(_, gone)| (gone.backend.identity(), gone.notice));
        let listeners = self.listeners.iter().map(|gone| (gone.counters.identity(), gone.notice));
        let notices = backends.chain(listeners).filter_map(|(identity, notice)| Some((identity, notice?)));
        let due = notices.filter_map(|(identity, notice)| {
            cuts.set(identity, notice, now);
            notice.due(now)
        });
        due.min()
    }

    /// Forgets those whose last connection is gone, and listeners that are listened at again.
    fn forget(&mut self, listeners: &[Arc<Listener>], now: Instant) {
        for of_pool in self.backends.values_mut() {
            of_pool.retain(|gone| gone.connections() > 0 || now < gone.at + LINGER);
        }
        let returned = |address| listeners.iter().any(|listener| listener.address == address);
        self.listeners
            .retain(|gone| !returned(gone.address) && (gone.connections() > 0 || now < gone.at + LINGER));
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
            // Whoever drained it said so with its connections in mind: they have no longer than that.
            let notices = [backend.notice, notice(on_remove, now)].into_iter().flatten();
            let notice = notices.min_by_key(|notice| notice.until);
            of_pool.push(RemovedBackend { backend: Arc::clone(backend), notice, at: now });
        }
    }
}

impl RemovedBackend {
    /// Connections that it has, those it is being connected to for included.
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

fn notice(on_remove: OnRemove, now: Instant) -> Option<DrainWindow> {
    match on_remove {
        OnRemove::Drain(timeout) => Some(DrainWindow::removed(now, timeout)),
        OnRemove::Keep => None,
        OnRemove::Close => Some(DrainWindow::removed(now, Duration::ZERO)),
    }
}

/// How many backends, and how many listeners, are remembered that reloads removed: as many as a pool may have backends.
const REMOVED_MAX: usize = 10_000;

/// How long one without connections is remembered all the same: a worker may be in the middle of a turn that began with an older
/// table, and give it one.
const LINGER: Duration = Duration::from_secs(10);
