//! What every policy goes by when it picks: who was tried, and who has a place.

use std::sync::Arc;

use crate::backend::{Backend, BackendIndex};
use crate::least_connections::Load;
use crate::picked::Picked;

/// One pick.
pub(crate) struct Attempt<'a> {
    pub(crate) backends: &'a [Arc<Backend>],
    /// By their indices, what each is to have of all connections, against the others.
    pub(crate) shares: &'a [u32],
    /// Those that are not to be picked again.
    pub(crate) tried: &'a [BackendIndex],
    /// Whether any backend has a bound; if none has, everybody has a place.
    pub(crate) bounded: bool,
    /// Whether it takes the place that it finds, or only says whose that would be.
    pub(crate) takes: bool,
}

impl<'a> Attempt<'a> {
    pub(crate) fn backend(&self, index: BackendIndex) -> &'a Backend {
        &self.backends[usize::from(index.0)]
    }

    pub(crate) fn load(&self, index: BackendIndex) -> Load {
        Load { index, active: self.backend(index).gate.active(), share: self.shares[usize::from(index.0)] }
    }

    /// Takes a place at this one, if it was not tried and has one.
    pub(crate) fn enter(&self, index: BackendIndex) -> bool {
        if self.takes { self.is_untried(index) && self.backend(index).enter() } else { self.is_open(index) }
    }

    /// Takes a place at this one, if it has one and is as busy as it was.
    pub(crate) fn enter_as(&self, load: Load) -> bool {
        if self.takes { self.backend(load.index).enter_as(load.active) } else { self.is_open(load.index) }
    }

    /// Whether a place might be had at this one.
    pub(crate) fn is_open(&self, index: BackendIndex) -> bool {
        self.is_untried(index) && !self.backend(index).is_full()
    }

    /// Picks another one of `places` than the one whose turn it is. `number` says which, so that they take turns.
    ///
    /// Bound: it looks at each place four times at most.
    pub(crate) fn stand_in(&self, places: &[BackendIndex], number: u64) -> Picked {
        // Asked once and not of each place, and of a copy: where nobody can be full, this is a walk over numbers alone.
        let tried = self.tried;
        let meant = if self.bounded {
            turn(places, number, |index| self.is_open(index))
        } else {
            turn(places, number, |index| !tried.contains(&index))
        };
        // Others may take the last place of the one meant between looking and taking; then it is whoever has one.
        let entered = meant.and_then(|meant| {
            let others = places.iter().copied();
            [meant].into_iter().chain(others).find(|index| self.enter(*index))
        });
        entered.map_or_else(|| self.nobody(places), Picked::Backend)
    }

    /// Why none of `places` was picked.
    pub(crate) fn nobody(&self, places: &[BackendIndex]) -> Picked {
        if places.iter().any(|index| self.is_untried(*index)) { Picked::Full } else { Picked::None }
    }

    fn is_untried(&self, index: BackendIndex) -> bool {
        !self.tried.contains(&index)
    }
}

/// Of the places that `may`, the one whose turn it is by `number`.
fn turn(places: &[BackendIndex], number: u64, may: impl Fn(BackendIndex) -> bool) -> Option<BackendIndex> {
    let those = || places.iter().copied().filter(|index| may(*index));
    let nth = number.checked_rem(those().count() as u64)?;
    those().nth(usize::try_from(nth).expect("less than the number of places"))
}
