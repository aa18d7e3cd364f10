//! Which established connections are closed because of the state of their backends, by the target role of their
//! listener.

use std::collections::BTreeMap;
use std::time::Instant;

use config::{OnDemotion, OnLoss, TargetRole};
use connection::CloseReason;

use crate::backend::Backend;
use crate::candidates::{Candidates, TargetRoleKind};
use crate::state::{Availability, BackendState, Role};
use crate::tiers::Rank;

/// Why connections to one backend are closed, by [`TargetRoleKind`]; none keeps them.
pub(crate) type ByTargetRole = [Option<CloseReason>; TargetRoleKind::ALL.len()];

/// The evictions of a table, by [`Backend::identity`]. Backends that keep all their connections are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evictions(BTreeMap<usize, ByTargetRole>);

impl Evictions {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of(&self, target_role: TargetRole, backend: &Backend) -> Option<CloseReason> {
        self.0.get(&backend.identity())?[TargetRoleKind::from(target_role) as usize]
    }

    pub(crate) fn set(&mut self, backend: &Backend, reasons: ByTargetRole) {
        if reasons.iter().any(Option::is_some) {
            self.0.insert(backend.identity(), reasons);
        }
    }
}

/// What the evictions of a pool's connections depend on.
pub(crate) struct EvictionRules<'a> {
    pub(crate) pool: &'a config::Pool,
    pub(crate) candidates: &'a [Candidates; TargetRoleKind::ALL.len()],
    /// What serves.
    pub(crate) serving: Rank,
    /// When the drain of connections to the others is over.
    pub(crate) drained: Instant,
    pub(crate) now: Instant,
}

impl EvictionRules<'_> {
    /// Why connections to the backend of this index are closed.
    pub(crate) fn reasons(&self, index: usize, state: BackendState) -> ByTargetRole {
        TargetRoleKind::ALL.map(|target_role| {
            // A backend that may be picked keeps its connections; otherwise they would be opened and closed in turns.
            if self.candidates[target_role as usize].contains(index) {
                return None;
            }
            self.down(state).or_else(|| self.lost(target_role, index, state))
        })
    }

    fn down(&self, state: BackendState) -> Option<CloseReason> {
        let closes = state.availability == Availability::Down && self.pool.on_down == OnLoss::Close;
        closes.then_some(CloseReason::BackendDown)
    }

    fn lost(&self, target_role: TargetRoleKind, index: usize, state: BackendState) -> Option<CloseReason> {
        match target_role {
            TargetRoleKind::Any => {
                let serves = self.serving.includes(&self.pool.backends[index]);
                let closes = match self.pool.tiers.on_demotion {
                    OnDemotion::Keep => false,
                    OnDemotion::Drain => self.now >= self.drained,
                    OnDemotion::Close => true,
                };
                (!serves && closes).then_some(CloseReason::Demoted)
            }
            TargetRoleKind::Primary => {
                // A backend in an unknown state is not known to have lost its role, nor is any backend after a
                // reload to a probe that does not query roles.
                let asked = self.pool.probe.as_ref().is_none_or(|probe| probe.tells_roles());
                let known = state.availability != Availability::Unknown && asked;
                let lost = known && state.role != Some(Role::Primary);
                (lost && self.pool.on_role_loss == OnLoss::Close).then_some(CloseReason::RoleLost)
            }
            // A replica that falls behind, or becomes the primary, has not lost what its readers have read.
            TargetRoleKind::Replica | TargetRoleKind::ReplicaOrPrimary => None,
        }
    }
}
