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
