//! A poll tells that a peer has hung up whose socket nothing reads: a client whose backend is being connected, or
//! that waits for one, and a side that has sent its FIN while the other goes on.
//!
//! Most connects succeed at once, and most relays end soon after the first FIN. So the poll of a client whose backend
//! is being connected, and that of a half-closed relay, are armed only [`POLL_AFTER`] later, by the timer that the
//! connection has anyway, and the others never pay for it.

use std::time::{Duration, Instant};

use connection::{CloseReason, Direction, Fault};
use driver::{Driver, Fd, Op};

use crate::core::Core;
use crate::relay::{fault_of, reason_of};
use crate::state::{Connection, HangupPoll, Seeking, State, Step};
use crate::token::Kind;

/// How long after the start of an attempt, or the FIN of one side, the poll begins.
const POLL_AFTER: Duration = Duration::from_millis(100);

impl Connection {
    /// When the poll of a half-closed relay is to begin, if it is to and has not.
    pub(crate) fn hangup_poll_due(&mut self, now: Instant) -> Option<Instant> {
        let finished = self.state.relaying().relay.finished_alone()?;
        (self.hangup[finished as usize] != HangupPoll::On).then(|| now + POLL_AFTER)
    }

    /// When the timer of an attempt that begins `now` expires first: to begin the poll of the client, or to give the
    /// attempt up if the poll is on already or would come too late.
    pub(crate) fn attempt_timer(&self, now: Instant) -> Instant {
        let timeout = self.pool.connect_timeout;
        let polled = self.hangup[Direction::ToBackend as usize] == HangupPoll::On;
        now + if polled { timeout } else { timeout.min(POLL_AFTER) }
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

    /// Ends the poll of a client that has a backend. Nothing else is in flight at its socket.
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
            (
                HangupPoll::On,
                State::Seeking(Seeking { step: Step::Connecting(_) | Step::Waiting(_), .. }),
            ) => client,
            (HangupPoll::On, State::Relaying(relaying)) => relaying.input(client, direction),
            (HangupPoll::On, State::Opening(_) | State::Seeking(_) | State::Closing(_)) => {
                unreachable!("no turn ends so, or it ends otherwise")
            }
            (HangupPoll::Stopping, _) => return Ok(()),
            (HangupPoll::Off, _) => unreachable!("nothing was in flight"),
        };
        let fault = self.driver.failure(failed).map_or(Fault::Reset, fault_of);
        Err(reason_of(direction, fault))
    }
}
