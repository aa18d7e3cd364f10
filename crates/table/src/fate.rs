//! What becomes of established connections, by their backends and by what they were for.

use std::collections::BTreeMap;
use std::time::Instant;

use config::{OnDemotion, OnLoss, TargetRole};
use connection::CloseReason;

use crate::backend::Backend;
use crate::candidates::{Candidates, Want};
use crate::state::{Availability, BackendState, Role};
use crate::tiers::Serving;

/// What becomes of an established connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It lives on.
    Keep,
    /// It is to be closed, for this reason.
    Close(CloseReason),
}

/// The fate of connections to each backend of a table, by [`Backend::identity`] and [`Want`]. Those that all live on are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fates(BTreeMap<usize, [Fate; Want::ALL.len()]>);

impl Fates {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of(&self, demand: TargetRole, backend: &Backend) -> Fate {
        self.0.get(&backend.identity()).map_or(Fate::Keep, |fates| fates[Want::from(demand) as usize])
    }

    pub(crate) fn set(&mut self, backend: &Backend, fates: [Fate; Want::ALL.len()]) {
        if fates != [Fate::Keep; Want::ALL.len()] {
            self.0.insert(backend.identity(), fates);
        }
    }
}

/// What is known when the fates of a pool's connections are decided.
pub(crate) struct Judgement<'a> {
    pub(crate) pool: &'a config::Pool,
    pub(crate) candidates: &'a [Candidates; Want::ALL.len()],
    pub(crate) serving: Serving,
    /// When connections to the other tier have had the time that a drain gives them.
    pub(crate) drained: Instant,
    pub(crate) now: Instant,
}

impl Judgement<'_> {
    /// The fates of connections to the backend of this index, by what they were for.
    pub(crate) fn fates(&self, index: usize, standing: BackendState) -> [Fate; Want::ALL.len()] {
        Want::ALL.map(|want| {
            // Whoever may be picked is never given up: that would be to pick and to close in turns.
            let severed = if self.candidates[want as usize].contains(index) {
                None
            } else {
                self.down(standing).or_else(|| self.lost(want, index, standing))
            };
            severed.map_or(Fate::Keep, Fate::Close)
        })
    }

    fn down(&self, standing: BackendState) -> Option<CloseReason> {
        let closes = standing.availability == Availability::Down && self.pool.on_down == OnLoss::Close;
        closes.then_some(CloseReason::BackendDown)
    }

    fn lost(&self, want: Want, index: usize, standing: BackendState) -> Option<CloseReason> {
        match want {
            Want::Any => {
                let serves = self.pool.backends[index].tier == self.serving.tier;
                let closes = match self.pool.tiers.on_demotion {
                    OnDemotion::Keep => false,
                    OnDemotion::Drain => self.now >= self.drained,
                    OnDemotion::Close => true,
                };
                (!serves && closes).then_some(CloseReason::Demoted)
            }
            Want::Primary => {
                // Of a backend of which nothing is known, nothing is known to be lost. Nor is it where a reload
                // changed the probe to one that does not ask for roles.
                let asked = self.pool.probe.as_ref().is_none_or(|probe| probe.tells_roles());
                let known = standing.availability != Availability::Unknown && asked;
                let lost = known && standing.role != Some(Role::Primary);
                (lost && self.pool.on_role_loss == OnLoss::Close).then_some(CloseReason::RoleLost)
            }
            // A replica that falls behind, or becomes the primary, has not lost what its readers have read.
            Want::Replica | Want::ReplicaOrPrimary => None,
        }
    }
}
