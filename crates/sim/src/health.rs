//! What control hears of backends in a run, and what that allows.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use config::{Config, Fallback, TargetRole};
use connection::CloseReason;
use driver::ListenGroup;
use table::{
    Availability, Backend, BackendState, DrainWindow, Inputs, Listener, Pool, PoolInputs, Role, Table,
};

use crate::check::severs;
use crate::random::Random;

/// What is known of all backends: at first, something.
pub(crate) fn first(random: &mut Random, config: &Config, now: Instant) -> Inputs {
    let mut health = Inputs { now, pools: HashMap::new() };
    for pool in 0..config.pools.len() {
        for index in 0..config.pools[pool].backends.len() {
            if random.chance(700) {
                set(random, config, &mut health, (pool, index));
            }
        }
    }
    health
}

/// Something else is known.
pub(crate) fn change(random: &mut Random, config: &Config, health: &mut Inputs) {
    let pool = random.index(config.pools.len());
    if random.chance(100) {
        of_pool(config, health, pool).failback = true;
        return;
    }
    let index = random.index(config.pools[pool].backends.len());
    set(random, config, health, (pool, index));
}

/// An operator drains a backend, for a time or without one, or takes that back. Says for how long, if there is one.
pub(crate) fn drain(random: &mut Random, config: &mut Config, health: &mut Inputs) -> Option<Duration> {
    let pool = random.index(config.pools.len());
    let index = random.index(config.pools[pool].backends.len());
    let now = health.now;
    let drains = &mut of_pool(config, health, pool).drains;
    let backend = &mut config.pools[pool].backends[index];
    if backend.weight == 0 && random.chance(500) {
        backend.weight = 1;
        drains.remove(&backend.address);
        return None;
    }
    backend.weight = 0;
    let timeout = random.pick(&[None, Some(0), Some(1), Some(100), Some(1_000), Some(10_000)]);
    let timeout = timeout.map(Duration::from_millis);
    match timeout {
        Some(timeout) => drains.insert(backend.address, DrainWindow::drained(now, timeout)),
        None => drains.remove(&backend.address),
    };
    timeout
}

fn set(random: &mut Random, config: &Config, health: &mut Inputs, (pool, index): (usize, usize)) {
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
    let of_pool = of_pool(config, health, pool);
    if role == Some(Role::Primary) {
        // There is one at most.
        for other in of_pool.backends.values_mut().filter(|other| other.role == Some(Role::Primary)) {
            other.role = random.pick(&[None, Some(Role::Replica { lags: false })]);
        }
    }
    let address = config.pools[pool].backends[index].address;
    of_pool.backends.insert(address, BackendState { availability, role, weight_permille });
}

fn of_pool<'a>(config: &Config, health: &'a mut Inputs, pool: usize) -> &'a mut PoolInputs {
    health.pools.entry(config.pools[pool].name.clone()).or_default()
}

/// A table, and what it was built from.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) table: Arc<Table>,
    pub(crate) health: Inputs,
}

impl Told {
    /// Whether a connection from these sockets may be given this backend, if it goes by this table; none if the table does not have
    /// the sockets.
    pub(crate) fn allows(&self, sockets: &Weak<ListenGroup>, backend: SocketAddr) -> Option<bool> {
        let of_sockets =
            |listener: &&Arc<Listener>| Weak::ptr_eq(&Arc::downgrade(&listener.sockets), sockets);
        let Listener { pool, target_role: demand, .. } = &**self.table.listeners.iter().find(of_sockets)?;
        let Some(picked) = pool.backends.iter().find(|other| other.address == backend) else {
            return Some(false);
        };
        let standing = self.standing(pool, backend);
        let is_replica = matches!(standing.role, Some(Role::Replica { .. }));
        let is_well = |other: &Arc<Backend>| {
            other.weight > 0 && self.standing(pool, other.address).availability.is_available()
        };
        let by_role = match demand {
            TargetRole::Any => standing.availability.is_available() || !pool.backends.iter().any(is_well),
            TargetRole::Primary(_) => is_primary(standing),
            TargetRole::Replica(Fallback::None) => is_replica,
            TargetRole::Replica(Fallback::Primary) => is_replica || is_primary(standing),
        };
        Some(by_role && picked.weight > 0)
    }

    /// Whether connections to a server that lost its role are closed.
    pub(crate) fn fences(&self) -> bool {
        severs(&self.table, CloseReason::RoleLost)
    }

    /// Whether there may be nobody for some listener of such a demand.
    pub(crate) fn lacks(&self, is_meant: impl Fn(TargetRole) -> bool) -> bool {
        let lacks = |Listener { pool, target_role: demand, .. }: &Listener| {
            let is_there = |other: &Arc<Backend>| {
                let standing = self.standing(pool, other.address);
                let is_available = standing.availability.is_available();
                let reads = is_available && standing.role == Some(Role::Replica { lags: false });
                let serves = match demand {
                    TargetRole::Any => is_available,
                    TargetRole::Primary(_) => is_primary(standing),
                    TargetRole::Replica(Fallback::None) => reads,
                    TargetRole::Replica(Fallback::Primary) => reads || is_primary(standing),
                };
                serves && other.weight > 0
            };
            is_meant(*demand) && !pool.backends.iter().any(is_there)
        };
        self.table.listeners.iter().any(|listener| lacks(listener))
    }

    fn standing(&self, pool: &Pool, address: SocketAddr) -> BackendState {
        self.health
            .pools
            .get(&pool.name)
            .and_then(|pool| pool.backends.get(&address))
            .copied()
            .unwrap_or_default()
    }
}

fn is_primary(standing: BackendState) -> bool {
    standing.role == Some(Role::Primary) && standing.availability != Availability::Down
}
