//! Whom a client would be given now, and why not the others. It changes nothing.

use std::net::IpAddr;

use config::{Fallback, TargetRole, Tier};
use connection::CloseReason;

use crate::backend::BackendIndex;
use crate::chance::Dice;
use crate::listener::Listener;
use crate::picked::Picked;
use crate::state::{Availability, BackendState, PoolInputs, Role};

/// What would become of a client that comes now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What it would come to.
    pub outcome: Outcome,
    /// Why, of each backend of the pool, in its order.
    pub cases: Vec<Case>,
}

/// What a client would come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This backend is connected to.
    Backend(BackendIndex),
    /// One of these is, as chance has it.
    OneOf(Vec<BackendIndex>),
    /// It waits for a primary.
    Held,
    /// It waits for a place at a backend.
    Queued,
    /// It is refused.
    Refused(CloseReason),
}

/// How things stand with one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Which.
    pub index: BackendIndex,
    /// What is known of it.
    pub standing: BackendState,
    /// What it is to have of all such connections, against the others; 0 if it may not be picked.
    pub share: u32,
    /// What speaks against it. It may have a share all the same: where everybody is down, all are tried.
    pub obstacles: Vec<Obstacle>,
}

/// What speaks against a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Its weight is 0: the file says so, or it is drained or disabled.
    NoWeight,
    /// It is down.
    Down,
    /// It was put aside.
    Ejected,
    /// The other tier serves.
    OtherTier,
    /// It is not known to have the role that the listener wants.
    OtherRole,
    /// It is a replica that is too far behind.
    Lags,
    /// It is the primary, and serves readers only while no replica can.
    OnlyFallback,
    /// It has as many connections as it may.
    Full,
}

/// What would become of a client at this address that comes to `listener`, of whose pool `settings` and `health` are what the table
/// was built from.
///
/// # Panics
///
/// When `settings` are another pool's.
pub fn explain(
    listener: &Listener,
    settings: &config::Pool,
    health: &PoolInputs,
    client: IpAddr,
) -> Explanation {
    let pool = &listener.pool;
    assert_eq!(settings.backends.len(), pool.backends.len(), "the settings of another pool");
    let cases = (0..).map(BackendIndex).zip(&settings.backends).map(|(index, backend)| {
        let standing = health.backends.get(&backend.address).copied().unwrap_or_default();
        let mut obstacles = obstacles(listener.demand, backend, standing, pool.tier());
        obstacles.extend(pool.backend(index).is_full().then_some(Obstacle::Full));
        Case { index, standing, share: pool.share(listener.demand, index), obstacles }
    });
    let cases: Vec<Case> = cases.collect();
    Explanation { outcome: outcome(listener, &cases, client), cases }
}

fn outcome(listener: &Listener, cases: &[Case], client: IpAddr) -> Outcome {
    let pool = &listener.pool;
    let is_open = |case: &&Case| case.share > 0 && !case.obstacles.contains(&Obstacle::Full);
    match pool.peek(listener.demand, &mut Dice::new(0), client) {
        Picked::Backend(_) if pool.balance == config::Balance::Random => {
            Outcome::OneOf(cases.iter().filter(is_open).map(|case| case.index).collect())
        }
        Picked::Backend(index) => Outcome::Backend(index),
        Picked::Full if pool.queue_semaphore.is_full(pool.queue.connections_max) => {
            Outcome::Refused(CloseReason::QueueFull)
        }
        Picked::Full => Outcome::Queued,
        Picked::None => match listener.demand {
            TargetRole::Primary(hold) if listener.hold_semaphore.is_full(hold.connections_max) => {
                Outcome::Refused(CloseReason::HoldFull)
            }
            TargetRole::Primary(_) => Outcome::Held,
            TargetRole::Any | TargetRole::Replica(_) => Outcome::Refused(CloseReason::NoBackend),
        },
    }
}

fn obstacles(
    demand: TargetRole,
    backend: &config::Backend,
    standing: BackendState,
    serving: Tier,
) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    obstacles.extend((backend.weight == 0).then_some(Obstacle::NoWeight));
    match standing.availability {
        Availability::Unknown | Availability::Up => {}
        Availability::Down => obstacles.push(Obstacle::Down),
        // Nobody else may take the place of a primary that was put aside.
        Availability::Ejected if matches!(demand, TargetRole::Primary(_)) => {}
        Availability::Ejected => obstacles.push(Obstacle::Ejected),
    }
    let of_role = match (demand, standing.role) {
        (TargetRole::Any, _) => (backend.tier != serving).then_some(Obstacle::OtherTier),
        (TargetRole::Primary(_), Some(Role::Primary))
        | (TargetRole::Replica(_), Some(Role::Replica { lags: false })) => None,
        (TargetRole::Replica(_), Some(Role::Replica { lags: true })) => Some(Obstacle::Lags),
        (TargetRole::Replica(Fallback::Primary), Some(Role::Primary)) => Some(Obstacle::OnlyFallback),
        (TargetRole::Primary(_) | TargetRole::Replica(_), _) => Some(Obstacle::OtherRole),
    };
    obstacles.extend(of_role);
    obstacles
}
