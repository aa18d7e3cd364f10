//! Everything a worker needs to choose, frozen.

use std::sync::Arc;
use std::time::Instant;

use config::{Config, TargetRole};
use connection::CloseReason;

use crate::backend::Backend;
use crate::counters::PerWorker;
use crate::drain_window::{Cuts, DrainBucket};
use crate::fate::{Fate, Fates};
use crate::listener::{Listener, Sockets};
use crate::pool::{Given, Pool};
use crate::removed::Removed;
use crate::semaphore::Semaphore;
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
    /// Whether connections are accepted, and whether those that exist may live on.
    pub phase: Phase,
    /// When time alone changes something, and another table is to be built; none if it does not.
    pub due: Option<Instant>,
    /// What reloads removed and has connections yet.
    pub removed: Removed,
    /// What becomes of established connections.
    fates: Fates,
    /// Which connections of what leaves go.
    cuts: Cuts,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connections are accepted.
    Serving,
    /// No new connection; those that exist may finish.
    Draining,
    /// Every connection is closed now.
    Ending,
}

impl Table {
    /// The table that `config` asks for, serving.
    ///
    /// `sockets` are the listening sockets by index of the config's listener. `health` is what is known of
    /// backends; without it all are taken to be well and of no role. What must outlive a swap is
    /// taken from `previous`: a pool's cursor, counters, queue and the tier that serves by the pool's name, a backend's counters, gate
    /// and failures by the pool's name and the backend's address, those of a backend that was removed and returns included, a
    /// listener's gates and counters by its sockets being the very same.
    ///
    /// Without `health` no time passes: what is removed keeps its connections.
    ///
    /// # Panics
    ///
    /// When `health` knows two primaries of one pool.
    pub fn build(
        config: &Config,
        sockets: Vec<Arc<Sockets>>,
        workers: usize,
        health: Option<&Inputs>,
        previous: Option<&Self>,
    ) -> Self {
        assert_eq!(config.listeners.len(), sockets.len(), "one set of sockets per listener");
        let nothing = PoolInputs::default();
        let mut fates = Fates::default();
        let mut due: Option<Instant> = None;
        let mut pools = Vec::with_capacity(config.pools.len());
        for pool in &config.pools {
            let given = Given {
                workers,
                health: health.map(|health| (health.pools.get(&pool.name).unwrap_or(&nothing), health.now)),
                drain_timeout: config.runtime.drain_timeout,
                before: previous.and_then(|table| table.pool(&pool.name)),
                removed: previous.map_or(&[], |table| table.removed.of_pool(&pool.name)),
            };
            let (pool, due_of_pool) = Pool::build(pool, &given, &mut fates);
            due = due.into_iter().chain(due_of_pool).min();
            pools.push(Arc::new(pool));
        }
        let listeners: Vec<_> = config
            .listeners
            .iter()
            .zip(sockets)
            .map(|(listener, sockets)| {
                let before = previous.and_then(|table| table.listener_on(&sockets));
                let gate = |of: fn(&Listener) -> &Arc<Semaphore>| {
                    before.map_or_else(|| Arc::new(Semaphore::new(workers)), |before| Arc::clone(of(before)))
                };
                Arc::new(Listener {
                    name: listener.name.clone(),
                    address: listener.address,
                    connections_max: listener.connections_max,
                    backlog: listener.backlog,
                    pool: Arc::clone(&pools[listener.pool.0]),
                    demand: listener.target_role,
                    access_log: listener.access_log && config.access_log.is_some(),
                    gate: gate(|before| &before.gate),
                    hold_gate: gate(|before| &before.hold_gate),
                    counters: before.map_or_else(
                        || Arc::new(PerWorker::new(workers)),
                        |before| Arc::clone(&before.counters),
                    ),
                    sockets,
                })
            })
            .collect();
        let mut cuts = Cuts::default();
        let mut removed = Removed::default();
        if let Some(now) = health.map(|health| health.now) {
            removed = previous.map_or(removed, |table| Removed::follow(table, &pools, &listeners, now));
            let due_of_removed = removed.give_notice(&mut cuts, now);
            let due_of_drained =
                pools.iter().flat_map(|pool| pool.notices()).filter_map(|(backend, notice)| {
                    cuts.set(backend, notice, now);
                    notice.due(now)
                });
            due = due.into_iter().chain(due_of_drained).chain(due_of_removed).min();
        }
        Self { listeners, pools, phase: Phase::Serving, due, removed, fates, cuts }
    }

    /// Whether any established connection is to be closed.
    pub fn severs(&self) -> bool {
        !self.fates.is_empty() || !self.cuts.is_empty()
    }

    /// What becomes of an established connection of this `demand` to `backend`, which may be another table's.
    pub fn fate(&self, demand: TargetRole, backend: &Backend) -> Fate {
        self.fates.of(demand, backend)
    }

    /// Why the connection of this lot may not keep `backend`, which may be another table's, because that leaves.
    pub fn backend_leaves(&self, backend: &Backend, lot: DrainBucket) -> Option<CloseReason> {
        self.cuts.of(backend.identity(), lot)
    }

    /// Why the connection of this lot is to be closed because `listener`, which may be another table's, leaves.
    pub fn listener_leaves(&self, listener: &Listener, lot: DrainBucket) -> Option<CloseReason> {
        self.cuts.of(listener.identity(), lot)
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

    /// The listener that accepts from these very sockets.
    pub fn listener_on(&self, sockets: &Arc<Sockets>) -> Option<&Arc<Listener>> {
        self.listeners.iter().find(|listener| Arc::ptr_eq(&listener.sockets, sockets))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use config::Config;

    use super::{Phase, Table};
    use crate::listener::Sockets;
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
        assert!(before.listeners[0].gate.enter(1));

        // The listener that was `web` has another name and another pool, the other has new sockets.
        let mut next = two_listeners();
        next.listeners[0] = listener("renamed", "0.0.0.0:80", 1);
        next.pools = vec![pool("app", &["b 5", "a 1"]), pool("web", &["a 1", "c 1"])];
        let after = build(&next, &[web, sockets()], Some(&before));

        assert!(Arc::ptr_eq(&after.listeners[0].gate, &before.listeners[0].gate));
        assert!(Arc::ptr_eq(&after.listeners[0].counters, &before.listeners[0].counters));
        assert!(!Arc::ptr_eq(&after.listeners[1].gate, &before.listeners[1].gate));
        assert!(Arc::ptr_eq(&after.listeners[0].hold_gate, &before.listeners[0].hold_gate));
        assert!(!Arc::ptr_eq(&after.listeners[1].counters, &before.listeners[1].counters));

        let pools = [&after, &before].map(|table| table.pool("web").unwrap());
        assert!(Arc::ptr_eq(&pools[0].queue_gate, &pools[1].queue_gate));
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

    /// Who came while nobody took connections had no turn.
    #[test]
    fn a_pick_that_finds_nobody_takes_no_turn() {
        let nobody = build(&config(vec![], vec![pool("web", &["a 0", "b 0"])]), &[], None);
        assert_eq!(samples::pick(&nobody.pools[0], &[]), None);
        let both = build(&config(vec![], vec![pool("web", &["a 1", "b 1"])]), &[], Some(&nobody));
        assert_eq!(samples::pick(&both.pools[0], &[]).unwrap().0, 0);
    }

    fn two_listeners() -> Config {
        let listeners = vec![listener("web", "0.0.0.0:80", 0), listener("api", "0.0.0.0:81", 1)];
        config(listeners, vec![pool("web", &["a 1", "b 1"]), pool("app", &["a 1"])])
    }

    fn build(config: &Config, sockets: &[Arc<Sockets>], previous: Option<&Table>) -> Table {
        Table::build(config, sockets.to_vec(), 2, None, previous)
    }

    fn sockets() -> Arc<Sockets> {
        Arc::new(Sockets::new(Vec::new()))
    }
}
