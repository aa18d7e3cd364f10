//! The states of backends in a run, and what they allow.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Instant;

use config::{Config, Fallback, TargetRole};
use connection::CloseReason;
use driver::ListenGroup;
use table::{
    Availability, Backend, BackendState, Drain, EffectiveConfig, Endpoint, Inputs, Listener, Pool,
    PoolInputs, Role, Table,
};

use crate::check::evicts;
use crate::random::Random;

/// The states of all backends at the start.
pub(crate) fn first(random: &mut Random, config: &Config, now: Instant) -> Inputs {
    let mut states = Inputs { now, pools: HashMap::new(), access: Arc::default() };
    for pool in 0..config.pools.len() {
        for index in 0..config.pools[pool].backends.len() {
            if random.chance(700) {
                set(random, config, &mut states, (pool, index));
            }
        }
    }
    states
}

/// One backend has another state.
pub(crate) fn change(random: &mut Random, config: &Config, states: &mut Inputs) {
    let pool = random.index(config.pools.len());
    let index = random.index(config.pools[pool].backends.len());
    set(random, config, states, (pool, index));
}

/// What later tables are made from, in place of the monitor: a backend that is disabled is down and has no role,
/// and one whose drain is over has no role.
pub(crate) fn inputs(states: &Inputs, config: &EffectiveConfig, now: Instant) -> Inputs {
    let mut inputs = Inputs { now, ..states.clone() };
    for pool in &config.effective().pools {
        for backend in &pool.backends {
            let it = config.overrides().of(&pool.name, backend.address);
            let drained = matches!(it.drain, Some(Drain::Until(window)) if window.until <= now);
            if !it.disabled && !drained {
                continue;
            }
            let of_pool = inputs.pools.entry(pool.name.clone()).or_default();
            let state = of_pool.backends.entry(backend.address).or_default();
            state.role = None;
            if it.disabled {
                state.availability = Availability::Down;
            }
        }
    }
    inputs
}

fn set(random: &mut Random, config: &Config, states: &mut Inputs, (pool, index): (usize, usize)) {
    let availability = random.pick(&[
        Availability::Unknown,
        Availability::Up,
        Availability::Up,
        Availability::Up,
        Availability::Down,
        Availability::Ejected,
    ]);
    let role = random.pick(&[
        None,
        Some(Role::Primary),
        Some(Role::Primary),
        Some(Role::Replica { lags: false }),
        Some(Role::Replica { lags: true }),
    ]);
    let weight_permille = random.pick(&[1000, 1000, 100]);
    let of_pool = of_pool(config, states, pool);
    if role == Some(Role::Primary) {
        // There is one at most.
        for other in of_pool.backends.values_mut().filter(|other| other.role == Some(Role::Primary)) {
            other.role = random.pick(&[None, Some(Role::Replica { lags: false })]);
        }
    }
    let address = config.pools[pool].backends[index].address;
    of_pool.backends.insert(address, BackendState { availability, role, weight_permille });
}

fn of_pool<'a>(config: &Config, states: &'a mut Inputs, pool: usize) -> &'a mut PoolInputs {
    states.pools.entry(config.pools[pool].name.clone()).or_default()
}

/// A table, and what it was built from.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) table: Arc<Table>,
    pub(crate) inputs: Inputs,
}

impl Snapshot {
    /// The listener that had these sockets, if any.
    pub(crate) fn owner(&self, sockets: &Weak<ListenGroup>) -> Option<&Arc<Listener>> {
        let has = |at: &Endpoint| Weak::ptr_eq(&Arc::downgrade(&at.sockets), sockets);
        self.table.listeners.iter().find(|listener| listener.endpoints.iter().any(has))
    }

    /// Whether a connection of one of these listeners may be given this backend by this table, if it goes to one of
    /// these pools of its listener; none if the table has none of them.
    pub(crate) fn allows<'a>(
        &'a self,
        owners: &[&Arc<Listener>],
        backend: SocketAddr,
        pools: impl Fn(&'a Listener) -> Vec<&'a Arc<Pool>>,
    ) -> Option<bool> {
        let listeners = owners.iter().filter_map(|owner| self.table.current(owner));
        let allows = listeners.map(|listener| {
            pools(listener).into_iter().any(|pool| self.allows_in(pool, listener.target_role, backend))
        });
        allows.reduce(|one, other| one || other)
    }

    /// The same for a pool and a target role.
    fn allows_in(&self, pool: &Pool, target_role: TargetRole, backend: SocketAddr) -> bool {
        let Some(picked) = pool.backends.iter().find(|other| other.address == backend) else {
            return false;
        };
        let state = self.state(pool, backend);
        let is_replica = matches!(state.role, Some(Role::Replica { .. }));
        let is_well = |other: &Arc<Backend>| {
            other.weight > 0 && self.state(pool, other.address).availability.is_available()
        };
        let by_role = match target_role {
            TargetRole::Any => state.availability.is_available() || !pool.backends.iter().any(is_well),
            TargetRole::Primary(_) => is_primary(state),
            TargetRole::Replica(Fallback::None) => is_replica,
            TargetRole::Replica(Fallback::Primary) => is_replica || is_primary(state),
        };
        by_role && picked.weight > 0
    }

    /// Whether connections to a server that lost its role are closed.
    pub(crate) fn fences(&self) -> bool {
        evicts(&self.table, CloseReason::RoleLost)
    }

    /// Whether some listener of such a target role may have no backend.
    pub(crate) fn lacks(&self, is_meant: impl Fn(TargetRole) -> bool) -> bool {
        let lacks = |pool: &Pool, target_role: &TargetRole| {
            let is_there = |other: &Arc<Backend>| {
                let state = self.state(pool, other.address);
                let is_available = state.availability.is_available();
                let reads = is_available && state.role == Some(Role::Replica { lags: false });
                let serves = match target_role {
                    TargetRole::Any => is_available,
                    TargetRole::Primary(_) => is_primary(state),
                    TargetRole::Replica(Fallback::None) => reads,
                    TargetRole::Replica(Fallback::Primary) => reads || is_primary(state),
                };
                serves && other.weight > 0
            };
            is_meant(*target_role) && !pool.backends.iter().any(is_there)
        };
        let of_listener = |Listener { pool, routes, target_role, .. }: &Listener| {
            let of_routes = routes.iter().flat_map(table::Routes::iter).map(|route| &route.pool);
            of_routes.chain([pool]).any(|pool| lacks(pool, target_role))
        };
        self.table.listeners.iter().any(|listener| of_listener(listener))
    }

    fn state(&self, pool: &Pool, address: SocketAddr) -> BackendState {
        self.inputs
            .pools
            .get(&pool.name)
            .and_then(|pool| pool.backends.get(&address))
            .copied()
            .unwrap_or_default()
    }
}

fn is_primary(state: BackendState) -> bool {
    state.role == Some(Role::Primary) && state.availability != Availability::Down
}
