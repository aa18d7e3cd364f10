//! Everything a worker needs to choose, frozen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use config::{Config, TargetRole};
use connection::CloseReason;
use driver::ListenGroup;

use crate::access::AccessList;
use crate::backend::Backend;
use crate::counter::PerWorker;
use crate::drain_window::{DrainBucket, DrainedBuckets};
use crate::evictions::Evictions;
use crate::guards::{Before, Guards, list_of};
use crate::limits::Limits;
use crate::listener::{Endpoint, Listener};
use crate::pool::{Pool, PoolSources};
use crate::removed::Removed;
use crate::routes::Routes;
use crate::semaphore::Semaphore;
use crate::sources::Sources;
use crate::state::{Inputs, PoolInputs};

/// What workers serve by. One turn of a worker sees one table.
///
/// A table never changes; whatever changes routing builds another and publishes it.
#[derive(Clone, Debug)]
pub struct Table {
    /// Where connections are accepted; in the order of the config.
    pub listeners: Vec<Arc<Listener>>,
    /// The pools, those that no listener uses included; in the order of the config.
    pub pools: Vec<Arc<Pool>>,
    /// Whether connections are accepted, and whether established ones are kept.
    pub phase: Phase,
    /// When time alone changes something, and another table is to be built; none if it does not.
    pub due: Option<Instant>,
    /// The access lists, in the order of the config; behind them the one of listeners that name none, if operators
    /// said anything.
    pub access: Vec<Arc<AccessList>>,
    /// The limits of sources, in the order of the config.
    pub limits: Vec<Arc<Limits>>,
    /// What each source has, of all limits; outlives swaps.
    pub sources: Arc<Sources>,
    /// What reloads removed and still has connections.
    pub removed: Removed,
    /// Which established connections are closed because of the state of their backend.
    evictions: Evictions,
    /// Which established connections are closed because their backend or listener is drained or removed.
    drained_buckets: DrainedBuckets,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connections are accepted.
    Serving,
    /// No new connection; established ones may finish.
    Draining,
    /// Every connection is closed now.
    Ending,
}

impl Table {
    /// The table that `config` asks for, serving.
    ///
    /// `sockets` are the listening sockets of each address of each listener, in the order of the config.
    /// `inputs` are the states of backends; without them each has the default. What must outlive a swap is taken from
    /// `previous`: a pool's cursor, counters, queue and serving tier by the pool's name; a backend's counters,
    /// semaphore and failures by the pool's name and the backend's address, those of a removed backend that returns
    /// included; a listener's semaphores and counters from a listener that had some of the very same sockets, that of
    /// its name first.
    ///
    /// Without `inputs` no time passes: what is removed keeps its connections.
    ///
    /// # Panics
    ///
    /// When `inputs` name two primaries of one pool.
    pub fn build(
        config: &Config,
        sockets: Vec<Arc<ListenGroup>>,
        workers: usize,
        inputs: Option<&Inputs>,
        previous: Option<&Self>,
    ) -> Self {
        assert_eq!(config.listen_addresses().count(), sockets.len(), "one set of sockets per address");
        let mut evictions = Evictions::default();
        let (pools, due_of_pools) = pools(config, workers, inputs, previous, &mut evictions);
        let guards = Guards::build(config, workers, inputs, previous.map(Self::guards));
        let endpoints = endpoints(config, sockets);
        let continued = continued(config, &endpoints, previous);
        let listeners = config.listeners.iter().zip(endpoints).zip(continued);
        let listeners: Vec<_> = listeners
            .map(|((settings, endpoints), before)| {
                let access_log = settings.access_log && config.access_log.is_some();
                let listener = listener(settings, endpoints, &pools, workers, before);
                let (access, limits) = guards.of(settings);
                Arc::new(Listener { access, limits, access_log, ..listener })
            })
            .collect();
        let Guards { access, limits, sources, .. } = guards;
        let (mut drained_buckets, mut removed, mut due) =
            (DrainedBuckets::default(), Removed::default(), due_of_pools);
        if let Some(now) = inputs.map(|inputs| inputs.now) {
            removed = previous.map_or(removed, |table| Removed::after(table, &pools, &listeners, now));
            let due_of_removed = removed.drain(&mut drained_buckets, now);
            let windows = pools.iter().flat_map(|pool| pool.drain_windows());
            let due_of_drained = windows.filter_map(|(backend, window)| {
                drained_buckets.set(backend, window, now);
                window.due(now)
            });
            due = due.into_iter().chain(due_of_drained).chain(due_of_removed).min();
        }
        let phase = Phase::Serving;
        Self { listeners, pools, phase, due, access, limits, sources, removed, evictions, drained_buckets }
    }

    /// Nothing but the counts of sources that every table from the first one on has.
    pub(crate) fn before_first(sources: Sources) -> Self {
        Self {
            listeners: Vec::new(),
            pools: Vec::new(),
            phase: Phase::Serving,
            due: None,
            access: Vec::new(),
            limits: Vec::new(),
            sources: Arc::new(sources),
            removed: Removed::default(),
            evictions: Evictions::default(),
            drained_buckets: DrainedBuckets::default(),
        }
    }

    fn guards(&self) -> Before<'_> {
        Before { access: &self.access, limits: &self.limits, sources: &self.sources }
    }

    /// Whether any established connection is to be closed.
    pub fn evicts(&self) -> bool {
        !self.evictions.is_empty() || !self.drained_buckets.is_empty()
    }

    /// Why an established connection of a listener of this target role may not keep `backend`, which may be
    /// another table's, because of the state of that.
    pub fn eviction(&self, target_role: TargetRole, backend: &Backend) -> Option<CloseReason> {
        self.evictions.of(target_role, backend)
    }

    /// Why the connection in this bucket may not keep `backend`, which may be another table's, because that is
    /// drained or removed.
    pub fn backend_drained(&self, backend: &Backend, bucket: DrainBucket) -> Option<CloseReason> {
        self.drained_buckets.of(backend.identity(), bucket)
    }

    /// Why the connection in this bucket is closed because `listener`, which may be another table's, is removed.
    pub fn listener_drained(&self, listener: &Listener, bucket: DrainBucket) -> Option<CloseReason> {
        self.drained_buckets.of(listener.identity(), bucket)
    }

    /// The same table in another phase.
    #[must_use]
    pub fn in_phase(&self, phase: Phase) -> Self {
        Self { phase, ..self.clone() }
    }

    /// The pool of this name.
    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// The access list of this name; without one, that of listeners that name none.
    pub fn access_list(&self, name: Option<&str>) -> Option<&Arc<AccessList>> {
        list_of(&self.access, name)
    }

    /// The access list that holds now for connections of a listener, which may be another table's; none if every
    /// address may connect. A removed listener keeps its list, and what operators say holds for it as well.
    pub fn access_of(&self, listener: &Listener) -> Option<&Arc<AccessList>> {
        match self.current(listener) {
            Some(now) => now.access.as_ref(),
            None => self.access_list(listener.access.as_ref().and_then(|list| list.name.as_deref())),
        }
    }

    /// The listener that accepts from these very sockets.
    pub fn listener_on(&self, sockets: &Arc<ListenGroup>) -> Option<&Arc<Listener>> {
        self.listeners.iter().find(|listener| listener.accepts_from(sockets))
    }

    /// What a listener, which may be another table's, is in this one; none if it was removed.
    pub fn current(&self, listener: &Listener) -> Option<&Arc<Listener>> {
        self.listeners.iter().find(|now| now.is_same(listener))
    }

    /// The sockets of each address of each listener, in the order of the config.
    pub fn sockets(&self) -> impl Iterator<Item = &Arc<ListenGroup>> {
        self.listeners.iter().flat_map(|listener| &listener.endpoints).map(|endpoint| &endpoint.sockets)
    }
}

/// The pools that `config` asks for, and when time alone changes something in one.
fn pools(
    config: &Config,
    workers: usize,
    inputs: Option<&Inputs>,
    previous: Option<&Table>,
    evictions: &mut Evictions,
) -> (Vec<Arc<Pool>>, Option<Instant>) {
    let unknown = PoolInputs::default();
    let mut due: Option<Instant> = None;
    let mut pools = Vec::with_capacity(config.pools.len());
    for settings in &config.pools {
        let sources = PoolSources {
            workers,
            inputs: inputs.map(|inputs| (inputs.pools.get(&settings.name).unwrap_or(&unknown), inputs.now)),
            drain_timeout: config.runtime.drain_timeout,
            before: previous.and_then(|table| table.pool(&settings.name)),
            removed: previous.map_or(&[], |table| table.removed.of_pool(&settings.name)),
        };
        let (pool, due_of_pool) = Pool::build(settings, &sources, evictions);
        due = due.into_iter().chain(due_of_pool).min();
        pools.push(Arc::new(pool));
    }
    (pools, due)
}

/// Where each listener of `config` listens.
fn endpoints(config: &Config, sockets: Vec<Arc<ListenGroup>>) -> Vec<Vec<Endpoint>> {
    let mut sockets = sockets.into_iter();
    let of = |listener: &config::Listener| {
        let addresses = listener.addresses.iter().map(|listen| listen.address);
        addresses.zip(&mut sockets).map(|(address, sockets)| Endpoint { address, sockets }).collect()
    };
    config.listeners.iter().map(of).collect()
}

/// For each listener of `config`, with these endpoints, the one of the table before that it continues. Each continues
/// one that had a socket of it, and no two the same: the one of its name, or else the first in the order of its
/// addresses.
fn continued<'t>(
    config: &Config,
    endpoints: &[Vec<Endpoint>],
    previous: Option<&'t Table>,
) -> Vec<Option<&'t Arc<Listener>>> {
    let Some(previous) = previous else { return vec![None; endpoints.len()] };
    let each = previous.listeners.iter();
    let owners: HashMap<*const ListenGroup, &Arc<Listener>> = each
        .flat_map(|owner| owner.endpoints.iter().map(move |at| (Arc::as_ptr(&at.sockets), owner)))
        .collect();
    let owners = |endpoints: &[Endpoint]| {
        let of = |endpoint: &Endpoint| owners.get(&Arc::as_ptr(&endpoint.sockets)).copied();
        endpoints.iter().filter_map(of).collect::<Vec<_>>()
    };
    let same_name = |(settings, endpoints): (&config::Listener, &Vec<Endpoint>)| {
        owners(endpoints).into_iter().find(|owner| owner.name == settings.name)
    };
    let mut continued: Vec<_> = config.listeners.iter().zip(endpoints).map(same_name).collect();
    let mut taken: HashSet<usize> = continued.iter().flatten().map(|owner| owner.identity()).collect();
    for (continued, endpoints) in continued.iter_mut().zip(endpoints).filter(|(owner, _)| owner.is_none()) {
        *continued = owners(endpoints).into_iter().find(|owner| taken.insert(owner.identity()));
    }
    continued
}

/// The listener that `settings` ask for, with what outlives a swap taken from the one it was `before`.
fn listener(
    settings: &config::Listener,
    endpoints: Vec<Endpoint>,
    pools: &[Arc<Pool>],
    workers: usize,
    before: Option<&Arc<Listener>>,
) -> Listener {
    let pool = Arc::clone(&pools[settings.pool.0]);
    let routes_before = before.and_then(|before| before.routes.as_ref());
    let semaphore = |of: fn(&Listener) -> &Arc<Semaphore>| {
        before.map_or_else(|| Arc::new(Semaphore::new(workers)), |before| Arc::clone(of(before)))
    };
    Listener {
        name: settings.name.clone(),
        connections_max: settings.connections_max,
        backlog: settings.backlog,
        routes: Routes::build(&settings.routing, &pool, pools, workers, routes_before),
        pool,
        target_role: settings.target_role,
        access: None,
        limits: None,
        interval: settings.rate.map(config::Rate::interval),
        rate: before.map_or_else(Arc::default, |before| Arc::clone(&before.rate)),
        access_log: settings.access_log,
        proxy_protocol: settings.proxy_protocol.clone(),
        opening: settings.opening,
        opening_semaphore: semaphore(|before| &before.opening_semaphore),
        semaphore: semaphore(|before| &before.semaphore),
        hold_semaphore: semaphore(|before| &before.hold_semaphore),
        counters: before
            .map_or_else(|| Arc::new(PerWorker::new(workers)), |before| Arc::clone(&before.counters)),
        endpoints,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use config::Config;
    use driver::{ListenGroup, Owner};

    use super::{Phase, Table};
    use crate::samples::{self, config, listener, pool};

    #[test]
    fn listeners_go_to_their_pools() {
        let table = build(&two_listeners(), &[sockets(), sockets()], None);
        assert_eq!(table.phase, Phase::Serving);
        assert!(Arc::ptr_eq(&table.listeners[0].pool, &table.pools[0]));
        assert!(Arc::ptr_eq(&table.listeners[1].pool, &table.pools[1]));
        assert_eq!(table.in_phase(Phase::Draining).phase, Phase::Draining);
    }

    #[test]
    fn what_outlives_a_swap() {
        let (web, api) = (sockets(), sockets());
        let before = build(&two_listeners(), &[Arc::clone(&web), Arc::clone(&api)], None);
        assert!(before.listeners[0].semaphore.try_acquire(1));

        // The listener that was `web` has another name and another pool, the other has new sockets.
        let mut next = two_listeners();
        next.listeners[0] = listener("renamed", "0.0.0.0:80", 1);
        next.pools = vec![pool("app", &["b 5", "a 1"]), pool("web", &["a 1", "c 1"])];
        let after = build(&next, &[web, sockets()], Some(&before));

        assert!(Arc::ptr_eq(&after.listeners[0].semaphore, &before.listeners[0].semaphore));
        assert!(Arc::ptr_eq(&after.listeners[0].counters, &before.listeners[0].counters));
        assert!(!Arc::ptr_eq(&after.listeners[1].semaphore, &before.listeners[1].semaphore));
        assert!(Arc::ptr_eq(&after.listeners[0].hold_semaphore, &before.listeners[0].hold_semaphore));
        assert!(!Arc::ptr_eq(&after.listeners[1].counters, &before.listeners[1].counters));

        let pools = [&after, &before].map(|table| table.pool("web").unwrap());
        assert!(Arc::ptr_eq(&pools[0].queue_semaphore, &pools[1].queue_semaphore));
        assert!(Arc::ptr_eq(&pools[0].waiters, &pools[1].waiters));
        assert!(Arc::ptr_eq(&pools[0].counters, &pools[1].counters));

        let counters = |table: &Table, pool: &str, index: usize| {
            Arc::clone(&table.pool(pool).unwrap().backends[index].counters)
        };
        assert!(Arc::ptr_eq(&counters(&after, "web", 0), &counters(&before, "web", 0)));
        assert!(Arc::ptr_eq(&counters(&after, "app", 1), &counters(&before, "app", 0)));
        // The same address in another pool is another backend.
        assert!(!Arc::ptr_eq(&counters(&after, "app", 1), &counters(&after, "web", 0)));
    }

    #[test]
    fn the_rotation_goes_on_over_a_reload() {
        let config = config(vec![], vec![pool("web", &["a 1", "b 1", "c 1"])]);
        let before = build(&config, &[], None);
        let after = build(&config, &[], Some(&before));
        let picked: Vec<u16> = [&before, &before, &after, &before, &after, &after]
            .into_iter()
            .map(|table| samples::pick(&table.pools[0], &[]).unwrap().0)
            .collect();
        assert_eq!(picked, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_pick_without_candidates_takes_no_number() {
        let none = build(&config(vec![], vec![pool("web", &["a 0", "b 0"])]), &[], None);
        assert_eq!(samples::pick(&none.pools[0], &[]), None);
        let both = build(&config(vec![], vec![pool("web", &["a 1", "b 1"])]), &[], Some(&none));
        assert_eq!(samples::pick(&both.pools[0], &[]).unwrap().0, 0);
    }

    fn two_listeners() -> Config {
        let listeners = vec![listener("web", "0.0.0.0:80", 0), listener("api", "0.0.0.0:81", 1)];
        config(listeners, vec![pool("web", &["a 1", "b 1"]), pool("app", &["a 1"])])
    }

    fn build(config: &Config, sockets: &[Arc<ListenGroup>], previous: Option<&Table>) -> Table {
        Table::build(config, sockets.to_vec(), 2, None, previous)
    }

    fn sockets() -> Arc<ListenGroup> {
        Arc::new(ListenGroup::new(Vec::new(), Owner::Process))
    }
}
