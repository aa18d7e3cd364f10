//! A poll tells that a peer has hung up whose socket nothing reads: a client that waits for a backend, and a side
//! that has sent its FIN while the other goes on.
//!
//! Most relays end soon after the first FIN. So the poll of a half-closed relay is armed only [`POLL_AFTER`] later,
//! by the timer that the relay has anyway, and the others never pay for it.

use std::time::{Duration, Instant};

use connection::{CloseReason, Direction, Fault};
use driver::{Driver, Fd, Op};

use crate::core::Core;
use crate::relay::{fault_of, reason_of};
use crate::state::{Connection, HangupPoll, Seeking, State, Step};
use crate::token::Kind;

/// How long after the FIN of one side its poll begins.
const POLL_AFTER: Duration = Duration::from_millis(100);

impl Connection {
    /// When the poll of a half-closed relay is to begin, if it is to and has not.
    pub(crate) fn hangup_poll_due(&mut self, now: Instant) -> Option<Instant> {
        let finished = self.state.relaying().relay.finished_alone()?;
        (self.hangup[finished as usize] != HangupPoll::On).then(|| now + POLL_AFTER)
    }
}

impl<D: Driver> Core<D> {
    /// Begins the poll of the side that sends in this direction, on its socket.
    pub(crate) fn poll_hangup(&mut self, slot: u32, direction: Direction, socket: Fd) {
        let poll = &mut self.slots.get(slot).hangup[direction as usize];
        // One that is still being cancelled is armed again once it has ended: it would be cancelled as well.
        if *poll == HangupPoll::Off {
            *poll = HangupPoll::On;
            self.submit(slot, Kind::HangupPoll(direction), Op::PollReset { socket });
        }
    }

    /// Ends the poll of a client that waits no longer. Nothing else is in flight at its socket.
    pub(crate) fn stop_hangup_poll(&mut self, slot: u32) {
        let connection = self.slots.get(slot);
        let fd = connection.client;
        let poll = &mut connection.hangup[Direction::ToBackend as usize];
        if *poll == HangupPoll::On {
            *poll = HangupPoll::Stopping;
            self.submit(slot, Kind::Cancel, Op::CancelAll { fd });
        }
    }

    /// A poll ended: it was cancelled, or the side has hung up.
    pub(crate) fn on_hangup_poll(&mut self, slot: u32, direction: Direction) -> Result<(), CloseReason> {
        let connection = self.slots.get(slot);
        let poll = std::mem::take(&mut connection.hangup[direction as usize]);
        let client = connection.client;
        let failed = match (poll, &connection.state) {
            (HangupPoll::On, State::Seeking(Seeking { step: Step::Waiting(_), .. })) => client,
            (HangupPoll::On, State::Relaying(relaying)) => relaying.input(client, direction),
            (HangupPoll::On, State::Opening(_) | State::Seeking(_) | State::Closing(_)) => {
                unreachable!("it ends with the wait")
            }
            (HangupPoll::Stopping, State::Seeking(Seeking { step: Step::Waiting(_), .. })) => {
                self.poll_hangup(slot, direction, client);
                return Ok(());
            }
            (HangupPoll::Stopping, _) => return Ok(()),
            (HangupPoll::Off, _) => unreachable!("nothing was in flight"),
        };
        let fault = self.driver.failure(failed).map_or(Fault::Reset, fault_of);
        Err(reason_of(direction, fault))
    }
}
