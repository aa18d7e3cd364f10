//! Connections whose backend is no longer what they were given it for, or leaves, and those whose listener leaves, are closed: a few
//! each turn, so that no turn is long.

use connection::CloseReason;
use driver::Driver;
use table::DrainBucket;

use crate::slots::State;
use crate::worker::Worker;

/// How many slots are looked at in a turn.
const LOOKED_AT_MAX: u32 = 1024;

/// Of them, how many connections are closed or given up; the rest must wait for the next turn, which comes at once.
const SEVERED_MAX: usize = 64;

impl<D: Driver> Worker<D> {
    /// Another table is in force: all connections are to be looked at anew, if it severs any.
    pub(crate) fn begin_severing(&mut self) {
        // Those that connect later need no second look: `on_connect` has one at each.
        self.severing = self.table.evicts().then_some(0);
    }

    /// Looks at the next slots.
    pub(crate) fn sever_some(&mut self) {
        let Some(from) = self.severing else { return };
        let end = self.slots.used();
        let until = end.min(from.saturating_add(LOOKED_AT_MAX));
        let mut severed = 0;
        for slot in from..until {
            if severed == SEVERED_MAX {
                self.severing = Some(slot);
                return;
            }
            severed += usize::from(self.sever(slot));
        }
        self.severing = (until < end).then_some(until);
    }

    /// Closes the connection, or gives its attempt up, if the table in force says so.
    fn sever(&mut self, slot: u32) -> bool {
        if let Some(reason) = self.ousted(slot) {
            self.close(slot, reason);
            return true;
        }
        let Some(reason) = self.severed(slot) else { return false };
        match self.slots.get(slot).state {
            State::Connecting(_) => self.give_up(slot, reason),
            State::Relaying(_) => self.close(slot, reason),
            State::Waiting(_) | State::Closing(_) => return false,
        }
        true
    }
}

impl<D> Worker<D> {
    /// Why the connection in this slot may not have its backend any more, if it may not.
    pub(crate) fn severed(&self, slot: u32) -> Option<CloseReason> {
        if !self.table.evicts() {
            return None;
        }
        let connection = self.slots.peek(slot)?;
        let (_, backend) = connection.backend.as_ref()?;
        self.table
            .eviction(connection.listener.target_role, backend)
            .or_else(|| self.table.backend_drained(backend, self.lot(slot)))
    }

    /// Why the connection in this slot may not be any more, with a backend or without, if it may not.
    pub(crate) fn ousted(&self, slot: u32) -> Option<CloseReason> {
        if !self.table.evicts() {
            return None;
        }
        let connection = self.slots.peek(slot)?;
        if let State::Closing(_) = connection.state {
            return None;
        }
        self.table.listener_drained(&connection.listener, self.lot(slot))
    }

    fn lot(&self, slot: u32) -> DrainBucket {
        DrainBucket::of(self.index, slot, self.slots.generation(slot))
    }
}
