//! Clients that wait are served: another table is in force, a permit of a backend is free, or the time is up.

use driver::Driver;
use table::{Picked, TargetRole};

use super::Worker;
use crate::state::WaitFor;
use crate::waiting::reason_at_timeout;

impl<D: Driver> Worker<D> {
    /// Tries again for all that wait, because another table is in force.
    pub(super) fn retry_waiting(&mut self) {
        for slot in self.queues.take_all() {
            if self.adopt_table(slot).is_some() {
                self.connect(slot);
            }
        }
    }

    /// Gives permits to those that wait for capacity, if this worker was woken for any.
    pub(super) fn serve_waiting(&mut self) {
        if self.queues.begin_serving(self.core.index) {
            for number in 0..self.queues.count() {
                self.serve_queue(number);
            }
        }
    }

    fn serve_queue(&mut self, number: usize) {
        // One pick for each: a connection that comes back to the queue does so by its old ticket.
        let mut from = 0;
        while let Some((ticket, slot)) = self.queues.next_for_capacity(number, from) {
            from = ticket + 1;
            match self.pick(slot) {
                Picked::Backend(picked) => self.connect_to(slot, picked),
                // A connection that has tried none could go to any that those behind it can.
                Picked::Full if self.core.slots.get(slot).state.seeking().attempts.tried().is_empty() => {
                    return;
                }
                Picked::Full => {}
                Picked::None => unreachable!("in the same table a backend was full for it"),
            }
        }
    }

    /// The time is up for a client that waits, or it tries the primary again.
    pub(super) fn on_wait_timeout(&mut self, slot: u32, wait_for: WaitFor) {
        let connection = self.core.slots.get(slot);
        let (target_role, has_candidates) = (
            connection.listener.target_role,
            connection.pool.has_candidates(connection.listener.target_role),
        );
        let attempts = &connection.state.seeking().attempts;
        match (target_role, attempts.waits_since()) {
            (TargetRole::Primary(hold), Some(since))
                if wait_for == WaitFor::Primary && self.core.now < since + hold.timeout =>
            {
                self.queues.end_wait(&mut self.core, slot);
                self.connect(slot);
            }
            (TargetRole::Any | TargetRole::Primary(_) | TargetRole::Replica(_), _) => {
                let reason = reason_at_timeout(wait_for, attempts.failed, has_candidates);
                self.close(slot, reason);
            }
        }
    }
}
