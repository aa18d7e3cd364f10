//! Which backend a client would be given now, and why not the others. It changes nothing.

use std::net::IpAddr;

use config::{Fallback, TargetRole};
use connection::CloseReason;

use crate::backend::BackendIndex;
use crate::chance::Dice;
use crate::listener::Listener;
use crate::picked::Picked;
use crate::pool::Pool;
use crate::state::{Availability, BackendState, PoolInputs, Role};
use crate::tiers::Rank;

/// Where a client that connects now would be routed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteExplanation {
    /// The result.
    pub outcome: Outcome,
    /// The backends of the pool, in its order.
    pub backends: Vec<BackendRoute>,
}

/// The result of routing a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is connected to this backend.
    Backend(BackendIndex),
    /// It is connected to one of these at random.
    OneOf(Vec<BackendIndex>),
    /// It is held until there is a primary.
    Held,
    /// It is queued until a backend has a free permit.
    Queued,
    /// It is refused.
    Refused(CloseReason),
}

/// Whether a backend may be picked, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendRoute {
    /// The backend.
    pub index: BackendIndex,
    /// Its state.
    pub state: BackendState,
    /// Its share of all such connections, relative to the others; 0 if it may not be picked.
    pub share: u32,
    /// Why it may not be picked. It may still have a share: if every backend is down, all are tried.
    pub reasons_against: Vec<Reason>,
}

/// Why a backend may not be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its weight is 0: the file says so, or it is drained or disabled.
    NoWeight,
    /// It is down.
    Down,
    /// It is ejected.
    Ejected,
    /// The other tier serves.
    OtherTier,
    /// It is a backup, and another one serves.
    OtherBackup,
    /// It is not known to have the role that the listener wants.
    OtherRole,
    /// It is a replica that is too far behind.
    Lags,
    /// It is the primary, which serves readers only while no replica can.
    OnlyFallback,
    /// It has as many connections as it may.
    Full,
}

/// Which backend of `pool`, one of those of `listener`, a client at this address would get. The table was built from
/// `settings` and `inputs` of that pool.
///
/// # Panics
///
/// When `settings` are those of another pool.
pub fn explain_route(
    listener: &Listener,
    pool: &Pool,
    settings: &config::Pool,
    inputs: &PoolInputs,
    client: IpAddr,
) -> RouteExplanation {
    assert_eq!(settings.backends.len(), pool.backends.len(), "the settings of another pool");
    let backends = (0..).map(BackendIndex).zip(&settings.backends).map(|(index, backend)| {
        let state = inputs.backends.get(&backend.address).copied().unwrap_or_default();
        let mut reasons_against = reasons_against(listener.target_role, backend, state, pool.rank());
        reasons_against.extend(pool.backend(index).is_full().then_some(Reason::Full));
        BackendRoute { index, state, share: pool.share(listener.target_role, index), reasons_against }
    });
    let backends: Vec<BackendRoute> = backends.collect();
    RouteExplanation { outcome: outcome(listener, pool, &backends, client), backends }
}

fn outcome(listener: &Listener, pool: &Pool, backends: &[BackendRoute], client: IpAddr) -> Outcome {
    let is_open =
        |backend: &&BackendRoute| backend.share > 0 && !backend.reasons_against.contains(&Reason::Full);
    match pool.peek(listener.target_role, &mut Dice::new(0), client) {
        Picked::Backend(_) if pool.balance == config::Balance::Random => {
            Outcome::OneOf(backends.iter().filter(is_open).map(|backend| backend.index).collect())
        }
        Picked::Backend(index) => Outcome::Backend(index),
        Picked::Full if pool.queue_semaphore.is_full(pool.queue.connections_max) => {
            Outcome::Refused(CloseReason::QueueFull)
        }
        Picked::Full => Outcome::Queued,
        Picked::None => match listener.target_role {
            TargetRole::Primary(hold) if listener.hold_semaphore.is_full(hold.connections_max) => {
                Outcome::Refused(CloseReason::HoldFull)
            }
            TargetRole::Primary(_) => Outcome::Held,
            TargetRole::Any | TargetRole::Replica(_) => Outcome::Refused(CloseReason::NoBackend),
        },
    }
}

fn reasons_against(
    target_role: TargetRole,
    backend: &config::Backend,
    state: BackendState,
    serving: Rank,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    reasons.extend((backend.weight == 0).then_some(Reason::NoWeight));
    match state.availability {
        Availability::Unknown | Availability::Up => {}
        Availability::Down => reasons.push(Reason::Down),
        // No other backend may take the place of an ejected primary.
        Availability::Ejected if matches!(target_role, TargetRole::Primary(_)) => {}
        Availability::Ejected => reasons.push(Reason::Ejected),
    }
    let of_role = match (target_role, state.role) {
        (TargetRole::Any, _) if backend.tier != serving.tier() => Some(Reason::OtherTier),
        (TargetRole::Any, _) => (!serving.includes(backend)).then_some(Reason::OtherBackup),
        (TargetRole::Primary(_), Some(Role::Primary))
        | (TargetRole::Replica(_), Some(Role::Replica { lags: false })) => None,
        (TargetRole::Replica(_), Some(Role::Replica { lags: true })) => Some(Reason::Lags),
        (TargetRole::Replica(Fallback::Primary), Some(Role::Primary)) => Some(Reason::OnlyFallback),
        (TargetRole::Primary(_) | TargetRole::Replica(_), _) => Some(Reason::OtherRole),
    };
    reasons.extend(of_role);
    reasons
}
