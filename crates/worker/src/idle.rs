//! The timer of a relay: it ends one that is idle, and does what only those relays need that last.

use connection::{CloseReason, Direction, IdleTimeouts};
use driver::{Driver, SocketKeepalive};

use crate::core::Core;
use crate::token::Kind;

impl<D: Driver> Core<D> {
    /// The timer of a relay expired: the relay may be idle, or was only checked early.
    pub(crate) fn on_idle_timer(&mut self, slot: u32) -> Result<(), CloseReason> {
        let now = self.now;
        self.keep_alive(slot);
        if self.slots.get(slot).state.relaying().relay.is_quiet(now) {
            for direction in Direction::BOTH {
                if self.slots.get(slot).state.relaying().relay.half(direction).on_quiet() {
                    self.cancel(slot, Kind::Ready(direction));
                }
            }
        }
        let connection = self.slots.get(slot);
        let client = connection.client;
        let relaying = connection.state.relaying();
        if let Some(finished) = relaying.relay.finished_alone() {
            let input = relaying.input(client, finished);
            self.poll_hangup(slot, finished, input);
        }
        self.set_idle_timer(slot)
    }

    /// Sets the timer of a relay.
    ///
    /// # Errors
    ///
    /// The relay has been idle for as long as it may.
    pub(crate) fn set_idle_timer(&mut self, slot: u32) -> Result<(), CloseReason> {
        let now = self.now;
        let connection = self.slots.get(slot);
        let poll_due = connection.hangup_poll_due(now);
        let (pool, relaying) = (&connection.pool, connection.state.relaying());
        let timeouts = IdleTimeouts { idle: pool.idle_timeout, half_closed: pool.half_closed_timeout };
        let keepalive_due = (!relaying.kept_alive).then_some(now + pool.keepalive.idle);
        let due = poll_due.into_iter().chain(keepalive_due).min();
        let again = match relaying.relay.check(now, timeouts) {
            Err(_) if self.was_taken(slot) => {
                self.slots.get(slot).state.relaying().relay.check(now, timeouts)?
            }
            checked => checked?,
        };
        self.timers.set(slot, due.map_or(again, |due| due.min(again)));
        Ok(())
    }

    /// Whether a relay that seems idle is not: whether a side took bytes meanwhile that the kernel held for it. It
    /// is two calls, so only a relay that is about to be ended is asked.
    fn was_taken(&mut self, slot: u32) -> bool {
        let connection = self.slots.get(slot);
        let client = connection.client;
        let relaying = connection.state.relaying();
        let sockets = [relaying.socket, client];
        let ago = sockets.into_iter().filter_map(|socket| self.driver.taken_ago(socket)).min();
        let at = ago.and_then(|ago| self.now.checked_sub(ago));
        at.is_some_and(|at| relaying.relay.on_taken(at))
    }

    /// Gives the backend's socket its keepalive, if it has none yet.
    fn keep_alive(&mut self, slot: u32) {
        let connection = self.slots.get(slot);
        let times = connection.pool.keepalive;
        let relaying = connection.state.relaying();
        if !relaying.kept_alive {
            let keepalive =
                SocketKeepalive { idle: times.idle, interval: times.interval, probes: times.probes };
            self.driver.keep_alive(relaying.socket, keepalive);
            relaying.kept_alive = true;
        }
    }
}
