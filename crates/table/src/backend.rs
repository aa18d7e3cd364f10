//! An address to connect to, and how many connections it has.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::counters::{BackendCounters, PerWorker};
use crate::gate::Gate;

/// An address to connect to, with a weight.
#[derive(Debug)]
pub struct Backend {
    /// Its name in logs and counters.
    pub name: String,
    /// Where it listens; with the pool's name, its identity over reloads.
    pub address: SocketAddr,
    /// Its share of new connections; 0 takes none.
    pub weight: u16,
    /// How many connections it takes at once, over all workers; none is no bound.
    pub connections_max: Option<NonZeroU32>,
    /// Counts its connections, if its pool's policy or the bound of a backend of it asks for that; outlives swaps. Connections
    /// that began before a reload made the pool count are not counted.
    pub gate: Option<Arc<Gate>>,
    /// What became of connections to it; outlives swaps.
    pub counters: Arc<PerWorker<BackendCounters>>,
}

/// An index into [`Pool::backends`](crate::Pool::backends) of the pool it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendIndex(pub u16);

impl Backend {
    /// The backend that `config` asks for, with what outlives a swap taken from the one it was `before`.
    pub(crate) fn build(
        config: &config::Backend,
        workers: usize,
        counted: bool,
        before: Option<&Arc<Self>>,
    ) -> Self {
        let gate = before.and_then(|before| before.gate.clone());
        let counters = before.map(|before| Arc::clone(&before.counters));
        Self {
            name: config.name.clone(),
            address: config.address,
            weight: config.weight,
            connections_max: config.connections_max,
            gate: counted.then(|| gate.unwrap_or_else(|| Arc::new(Gate::new(workers)))),
            counters: counters.unwrap_or_else(|| Arc::new(PerWorker::new(workers))),
        }
    }

    /// Gives back the place that a pick took at this very backend, which the table of the pick had; says which worker waits for
    /// one and must be woken.
    #[must_use = "the worker that it names must be woken"]
    pub fn leave(&self) -> Option<usize> {
        self.gate.as_ref().and_then(|gate| gate.leave())
    }

    /// What tells it from all others, over swaps, for as long as anybody has it.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.counters).addr()
    }

    /// Takes a place, if there is one.
    pub(crate) fn enter(&self) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.enter(self.places()))
    }

    /// Takes a place if there is one and `active` are taken.
    pub(crate) fn enter_as(&self, active: u32) -> bool {
        active < self.places() && self.gate.as_ref().is_none_or(|gate| gate.enter_as(active))
    }

    /// Connections that it has, as far as they are counted.
    pub(crate) fn active(&self) -> u32 {
        self.gate.as_ref().map_or(0, |gate| gate.active())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.active() >= self.places()
    }

    fn places(&self) -> u32 {
        self.connections_max.map_or(u32::MAX, NonZeroU32::get)
    }
}
