//! Everything a worker needs to choose, frozen.

use std::sync::Arc;

use config::Config;

use crate::counters::PerWorker;
use crate::gate::Gate;
use crate::listener::{Listener, Sockets};
use crate::pool::Pool;

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
    /// `sockets` are the listening sockets by index of the config's listener. What must outlive a swap is
    /// taken from `previous`: a pool's cursor by the pool's name, a backend's counters by the pool's name
    /// and the backend's address, a listener's gate and counters by its sockets being the very same.
    pub fn build(
        config: &Config,
        sockets: Vec<Arc<Sockets>>,
        workers: usize,
        previous: Option<&Self>,
    ) -> Self {
        assert_eq!(config.listeners.len(), sockets.len(), "one set of sockets per listener");
        let pools: Vec<Arc<Pool>> = config
            .pools
            .iter()
            .map(|pool| {
                let before = previous.and_then(|table| table.pool(&pool.name));
                Arc::new(Pool::build(pool, workers, before))
            })
            .collect();
        let listeners = config
            .listeners
            .iter()
            .zip(sockets)
            .map(|(listener, sockets)| {
                let before = previous.and_then(|table| table.listener_on(&sockets));
                Arc::new(Listener {
                    name: listener.name.clone(),
                    address: listener.address,
                    connections_max: listener.connections_max,
                    backlog: listener.backlog,
                    pool: Arc::clone(&pools[listener.pool.0]),
                    gate: before
                        .map_or_else(|| Arc::new(Gate::new(workers)), |before| Arc::clone(&before.gate)),
                    counters: before.map_or_else(
                        || Arc::new(PerWorker::new(workers)),
                        |before| Arc::clone(&before.counters),
                    ),
                    sockets,
                })
            })
            .collect();
        Self { listeners, pools, phase: Phase::Serving }
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
    use crate::samples::{config, listener, pool};

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
        assert!(!Arc::ptr_eq(&after.listeners[1].counters, &before.listeners[1].counters));

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
            .map(|table| table.pools[0].pick(&[]).unwrap().0)
            .collect();
        assert_eq!(picked, [0, 1, 2, 0, 1, 2]);
    }

    fn two_listeners() -> Config {
        let listeners = vec![listener("web", "0.0.0.0:80", 0), listener("api", "0.0.0.0:81", 1)];
        config(listeners, vec![pool("web", &["a 1", "b 1"]), pool("app", &["a 1"])])
    }

    fn build(config: &Config, sockets: &[Arc<Sockets>], previous: Option<&Table>) -> Table {
        Table::build(config, sockets.to_vec(), 2, previous)
    }

    fn sockets() -> Arc<Sockets> {
        Arc::new(Sockets::new(Vec::new()))
    }
}
