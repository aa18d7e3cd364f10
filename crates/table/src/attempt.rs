//! What every policy needs for a pick: which backends were tried, and which have a free permit.

use std::sync::Arc;

use crate::backend::{Backend, BackendIndex};
use crate::load::Load;
use crate::picked::Picked;

/// One pick.
pub(crate) struct Attempt<'a> {
    pub(crate) backends: &'a [Arc<Backend>],
    /// By their indices, what each is to have of all connections, against the others.
    pub(crate) shares: &'a [u32],
    /// Those that are not to be picked again.
    pub(crate) tried: &'a [BackendIndex],
    /// Whether any backend has a bound; if none has, every one has a free permit.
    pub(crate) bounded: bool,
    /// Whether it acquires the permit that it finds, or only says of which backend that would be.
    pub(crate) acquires: bool,
}

impl<'a> Attempt<'a> {
    pub(crate) fn backend(&self, index: BackendIndex) -> &'a Backend {
        &self.backends[usize::from(index.0)]
    }

    pub(crate) fn load(&self, index: BackendIndex) -> Load {
        Load {
            index,
            active: self.backend(index).semaphore.active(),
            share: self.shares[usize::from(index.0)],
        }
    }

    /// Acquires a permit of this one, if it was not tried and has one free.
    pub(crate) fn try_acquire(&self, index: BackendIndex) -> bool {
        if self.acquires {
            self.is_untried(index) && self.backend(index).try_acquire()
        } else {
            self.is_open(index)
        }
    }

    /// Acquires a permit of this one, if it has one free and is as busy as it was.
    pub(crate) fn try_acquire_at(&self, load: Load) -> bool {
        if self.acquires {
            self.backend(load.index).try_acquire_at(load.active)
        } else {
            self.is_open(load.index)
        }
    }

    /// Whether this one was not tried and has a free permit.
    pub(crate) fn is_open(&self, index: BackendIndex) -> bool {
        self.is_untried(index) && !self.backend(index).is_full()
    }

    /// Picks another one of `places` than the one whose turn it is. `number` says which, so that they take turns.
    ///
    /// Bound: it visits each place four times at most.
    pub(crate) fn substitute(&self, places: &[BackendIndex], number: u64) -> Picked {
        // Read once and not for each place, from a copy: where no backend has a bound, this is a walk over numbers
        // alone.
        let tried = self.tried;
        let next = if self.bounded {
            turn(places, number, |index| self.is_open(index))
        } else {
            turn(places, number, |index| !tried.contains(&index))
        };
        // Another worker may acquire its last permit meanwhile; then it is the first one with a free permit.
        let acquired = next.and_then(|next| {
            let others = places.iter().copied();
            [next].into_iter().chain(others).find(|index| self.try_acquire(*index))
        });
        acquired.map_or_else(|| self.none_of(places), Picked::Backend)
    }

    /// Why none of `places` was picked.
    pub(crate) fn none_of(&self, places: &[BackendIndex]) -> Picked {
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
