//! Established connections are closed by policy: those whose backend is no longer what they were given it for, or
//! is removed, and those whose listener is removed. A few each turn, so that no turn is long.

use connection::CloseReason;
use driver::Driver;
use table::DrainBucket;

use crate::core::Core;
use crate::state::{Seeking, State, Step};

use super::Worker;

/// How many slots are visited in a turn.
const VISITED_MAX: u32 = 1024;

/// Of them, how many connections are closed or given up; the rest must wait for the next turn, which comes at once.
const EVICTED_MAX: usize = 64;

/// What a table evicts of a connection, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// The connection, with a backend or without: its listener is removed.
    Connection(CloseReason),
    /// The connection from its backend. If it is only being connected, it is connected to another one.
    OfBackend(CloseReason),
}

impl<D> Core<D> {
    /// What the table in force evicts of the connection in this slot, if anything.
    pub(super) fn eviction(&self, slot: u32) -> Option<Eviction> {
        if !self.table.evicts() {
            return None;
        }
        let connection = self.slots.peek(slot)?;
        let bucket = DrainBucket::of(self.index, slot, self.slots.generation(slot));
        if let State::Closing(_) = connection.state {
            return None;
        }
        if let Some(reason) = self.table.listener_drained(&connection.listener, bucket) {
            return Some(Eviction::Connection(reason));
        }
        let backend = connection.backend()?;
        let reason = self.table.eviction(connection.listener.target_role, backend);
        let reason = reason.or_else(|| self.table.backend_drained(backend, bucket));
        reason.map(Eviction::OfBackend)
    }
}

impl<D: Driver> Worker<D> {
    /// Another table is in force: all connections are to be visited, if it evicts any.
    pub(super) fn begin_evicting(&mut self) {
        // Those that connect later are checked by `on_connect`.
        self.evicting = self.core.table.evicts().then_some(0);
    }

    /// Visits the next slots.
    pub(super) fn evict_some(&mut self) {
        let Some(from) = self.evicting else { return };
        let end = self.core.slots.used();
        let until = end.min(from.saturating_add(VISITED_MAX));
        let mut evicted = 0;
        for slot in from..until {
            if evicted == EVICTED_MAX {
                self.evicting = Some(slot);
                return;
            }
            evicted += usize::from(self.evict(slot));
        }
        self.evicting = (until < end).then_some(until);
    }

    /// Closes the connection, or gives its attempt up, if the table in force says so; says whether it does.
    fn evict(&mut self, slot: u32) -> bool {
        let Some(eviction) = self.core.eviction(slot) else { return false };
        match (eviction, &self.core.slots.get(slot).state) {
            (Eviction::OfBackend(reason), State::Seeking(Seeking { step: Step::Connecting(_), .. })) => {
                self.give_up(slot, reason);
            }
            (Eviction::Connection(reason) | Eviction::OfBackend(reason), _) => self.close(slot, reason),
        }
        true
    }
}
