//! Which backends may be picked for each target role, and how one of them is.

use std::sync::Arc;

use config::{Backups, Balance, Fallback, OnAllDown, TargetRole, Tier};

use crate::backend::{Backend, BackendIndex};
use crate::maglev::{Maglev, Member};
use crate::rotation;
use crate::state::{Availability, BackendState, Role, WEIGHT_PERMILLE_MAX};
use crate::tiers::Rank;

/// A [`TargetRole`] without its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum TargetRoleKind {
    Any,
    Primary,
    Replica,
    ReplicaOrPrimary,
}

impl TargetRoleKind {
    /// Every one: `ALL[kind as usize] == kind`.
    pub(crate) const ALL: [Self; 4] = [Self::Any, Self::Primary, Self::Replica, Self::ReplicaOrPrimary];
}

impl From<TargetRole> for TargetRoleKind {
    fn from(target_role: TargetRole) -> Self {
        match target_role {
            TargetRole::Any => Self::Any,
            TargetRole::Primary(_) => Self::Primary,
            TargetRole::Replica(Fallback::None) => Self::Replica,
            TargetRole::Replica(Fallback::Primary) => Self::ReplicaOrPrimary,
        }
    }
}

/// The backends that may be picked for one target role.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    /// The share of each backend of the pool of all connections, relative to the others; 0 for those that may not
    /// be picked.
    pub(crate) shares: Box<[u32]>,
    pub(crate) policy: Policy,
}

/// How one of them is picked, with what that takes.
#[derive(Clone, Debug)]
pub(crate) enum Policy {
    /// The rotation.
    RoundRobin(Arc<[BackendIndex]>),
    /// All candidates, in the order of the file.
    First(Arc<[BackendIndex]>),
    /// All candidates.
    LeastConnections(Arc<[BackendIndex]>),
    /// The rotation.
    Random(Arc<[BackendIndex]>),
    Maglev(Maglev),
}

impl Candidates {
    /// Takes over what was `before` where nothing changed: a policy's tables are costly.
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
        let indices = || members().map(|(index, _)| index).collect();
        match balance {
            Balance::RoundRobin => Self::RoundRobin(rotation::smooth(shares)),
            Balance::First => Self::First(indices()),
            Balance::LeastConnections => Self::LeastConnections(indices()),
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

    /// A clone, if it is of this kind.
    fn inherit(&self, balance: Balance) -> Option<Self> {
        let same = match self {
            Self::RoundRobin(_) => balance == Balance::RoundRobin,
            Self::First(_) => balance == Balance::First,
            Self::LeastConnections(_) => balance == Balance::LeastConnections,
            Self::Random(_) => balance == Balance::Random,
            Self::Maglev(_) => balance == Balance::Maglev,
        };
        same.then(|| self.clone())
    }
}

/// The shares of the backends of `pool`, of which `states` are known and `serving` serves.
pub(crate) fn shares(
    target_role: TargetRoleKind,
    pool: &config::Pool,
    states: &[BackendState],
    serving: Rank,
) -> Vec<u32> {
    let open = pool.on_all_down == OnAllDown::Open;
    let serves = |backend: &config::Backend, state: BackendState| {
        serving.includes(backend) && state.availability.is_available()
    };
    let primary = |_: &config::Backend, state: BackendState| {
        // Ejected or not: no other backend may take its place.
        state.role == Some(Role::Primary) && state.availability != Availability::Down
    };
    let reads = |_: &config::Backend, state: BackendState| {
        state.role == Some(Role::Replica { lags: false }) && state.availability.is_available()
    };
    let whole_rank = |backend: &config::Backend, _: BackendState| open && serving.includes(backend);
    // Backups that serve one at a time do so here as well.
    let first_backup =
        pool.backends.iter().find(|backend| backend.tier == Tier::Backup && backend.weight > 0);
    let every_backend = |backend: &config::Backend, _: BackendState| {
        let is_first = first_backup.is_some_and(|first| first.address == backend.address);
        open && (pool.tiers.backups == Backups::All || is_first)
    };
    let every_replica =
        |_: &config::Backend, state: BackendState| open && matches!(state.role, Some(Role::Replica { .. }));

    // From the best to the last resort. The first step that names a backend counts.
    let ladder: &[&May<'_>] = match target_role {
        TargetRoleKind::Any => &[&serves, &whole_rank, &every_backend],
        TargetRoleKind::Primary => &[&primary],
        TargetRoleKind::Replica => &[&reads, &every_replica],
        TargetRoleKind::ReplicaOrPrimary => &[&reads, &primary, &every_replica],
    };
    let of_step = |may: &&May<'_>| -> Vec<u32> {
        let each = pool.backends.iter().zip(states);
        each.map(|(backend, state)| if may(backend, *state) { share(backend, *state) } else { 0 }).collect()
    };
    let not_empty = |shares: &Vec<u32>| shares.iter().any(|share| *share > 0);
    ladder.iter().map(of_step).find(not_empty).unwrap_or_else(|| vec![0; pool.backends.len()])
}

/// Whether a backend may be picked.
type May<'a> = dyn Fn(&config::Backend, BackendState) -> bool + 'a;

/// The share of a backend of all connections, relative to the others.
fn share(backend: &config::Backend, state: BackendState) -> u32 {
    u32::from(backend.weight) * u32::from(state.weight_permille.clamp(1, WEIGHT_PERMILLE_MAX))
}
