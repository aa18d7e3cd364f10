//! Who may be picked for each demand, and how one of them is.

use std::sync::Arc;

use config::{Balance, Fallback, OnAllDown, TargetRole, Tier};

use crate::backend::{Backend, BackendIndex};
use crate::maglev::{Maglev, Member};
use crate::rotation;
use crate::state::{Availability, BackendState, Role, WEIGHT_PERMILLE_MAX};

/// What listeners want of a pool: a [`TargetRole`] without its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Want {
    Any,
    Primary,
    Replica,
    ReplicaOrPrimary,
}

impl Want {
    /// Every one: `ALL[want as usize] == want`.
    pub(crate) const ALL: [Self; 4] = [Self::Any, Self::Primary, Self::Replica, Self::ReplicaOrPrimary];
}

impl From<TargetRole> for Want {
    fn from(demand: TargetRole) -> Self {
        match demand {
            TargetRole::Any => Self::Any,
            TargetRole::Primary(_) => Self::Primary,
            TargetRole::Replica(Fallback::None) => Self::Replica,
            TargetRole::Replica(Fallback::Primary) => Self::ReplicaOrPrimary,
        }
    }
}

/// Those that may be picked for one demand.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    /// What each backend of the pool is to have of all connections, against the others; 0 for those that may not be picked.
    pub(crate) shares: Box<[u32]>,
    pub(crate) policy: Policy,
}

/// How one of them is picked, with what that takes.
#[derive(Clone, Debug)]
pub(crate) enum Policy {
    /// The rotation.
    RoundRobin(Arc<[BackendIndex]>),
    /// All candidates.
    LeastConnections(Arc<[BackendIndex]>),
    /// The rotation.
    Random(Arc<[BackendIndex]>),
    Maglev(Maglev),
}

impl Candidates {
    /// With what it was `before` taken over where nothing changed: a policy's tables are costly.
    pub(crate) fn build(
        balance: Balance,
        backends: &[Arc<Backend>],
        shares: Vec<u32>,
        before: Option<&Self>,
    ) -> Self {
        let policy = before
            .filter(|before| *before.shares == *shares)
            .and_then(|before| before.policy.inherit(balance))
            .unwrap_or_else(|| Policy::build(balance, backends, &shares));
        Self { shares: shares.into(), policy }
    }

    /// Whether this one may be picked.
    pub(crate) fn contains(&self, index: usize) -> bool {
        self.shares[index] > 0
    }
}

impl Policy {
    fn build(balance: Balance, backends: &[Arc<Backend>], shares: &[u32]) -> Self {
        let members = || (0..).map(BackendIndex).zip(shares).filter(|(_, share)| **share > 0);
        match balance {
            Balance::RoundRobin => Self::RoundRobin(rotation::smooth(shares)),
            Balance::LeastConnections => Self::LeastConnections(members().map(|(index, _)| index).collect()),
            Balance::Random => Self::Random(rotation::smooth(shares)),
            Balance::Maglev => {
                let member = |(index, share): (BackendIndex, &u32)| {
                    let address = backends[usize::from(index.0)].address;
                    Member { index, address, share: *share }
                };
                Self::Maglev(Maglev::build(members().map(member).collect(), backends.len()))
            }
        }
    }

    /// The same once more, if it is of this kind.
    fn inherit(&self, balance: Balance) -> Option<Self> {
        let same = match self {
            Self::RoundRobin(_) => balance == Balance::RoundRobin,
            Self::LeastConnections(_) => balance == Balance::LeastConnections,
            Self::Random(_) => balance == Balance::Random,
            Self::Maglev(_) => balance == Balance::Maglev,
        };
        same.then(|| self.clone())
    }
}

/// The shares of the backends of `pool`, of which `standings` are known and whose tier `serving` serves.
pub(crate) fn shares(want: Want, pool: &config::Pool, standings: &[BackendState], serving: Tier) -> Vec<u32> {
    let open = pool.on_all_down == OnAllDown::Open;
    let serves = |backend: &config::Backend, standing: BackendState| {
        backend.tier == serving && standing.availability.is_available()
    };
    let primary = |_: &config::Backend, standing: BackendState| {
        // Put aside or not: nobody else may take its place.
        standing.role == Some(Role::Primary) && standing.availability != Availability::Down
    };
    let reads = |_: &config::Backend, standing: BackendState| {
        standing.role == Some(Role::Replica { lags: false }) && standing.availability.is_available()
    };
    let whole_tier = |backend: &config::Backend, _: BackendState| open && backend.tier == serving;
    let everybody = |_: &config::Backend, _: BackendState| open;
    let every_replica = |_: &config::Backend, standing: BackendState| {
        open && matches!(standing.role, Some(Role::Replica { .. }))
    };

    // From the best to what is better than nobody. The first that names somebody is it.
    let ladder: &[&May<'_>] = match want {
        Want::Any => &[&serves, &whole_tier, &everybody],
        Want::Primary => &[&primary],
        Want::Replica => &[&reads, &every_replica],
        Want::ReplicaOrPrimary => &[&reads, &primary, &every_replica],
    };
    let of_step = |may: &&May<'_>| -> Vec<u32> {
        let each = pool.backends.iter().zip(standings);
        each.map(|(backend, standing)| if may(backend, *standing) { share(backend, *standing) } else { 0 })
            .collect()
    };
    let somebody = |shares: &Vec<u32>| shares.iter().any(|share| *share > 0);
    ladder.iter().map(of_step).find(somebody).unwrap_or_else(|| vec![0; pool.backends.len()])
}

/// Whether a backend may be picked.
type May<'a> = dyn Fn(&config::Backend, BackendState) -> bool + 'a;

/// What a backend is to have of all connections, against the others.
fn share(backend: &config::Backend, standing: BackendState) -> u32 {
    u32::from(backend.weight) * u32::from(standing.weight_permille.clamp(1, WEIGHT_PERMILLE_MAX))
}
