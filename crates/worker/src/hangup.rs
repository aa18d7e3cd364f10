//! A poll says that a peer is gone whose socket nothing reads: a client that waits for a backend, and a side that has
//! sent its FIN while the other goes on.
//!
//! Most relays end soon after the first FIN. So the poll of a half-closed relay is armed only [`ALARM_AFTER`] later,
//! by the timer that the relay has anyway, and the others never pay for it.

use std::time::{Duration, Instant};

use connection::{Direction, Fault};
use driver::{Driver, Op};

use crate::relay::{fault_of, reason_of};
use crate::slots::{Connection, State};
use crate::token::Kind;
use crate::worker::Worker;

/// The poll of one side of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HangupPoll {
    #[default]
    Off,
    On,
    /// The wait is over, and it is being cancelled.
    Stopping,
}

/// How long after the FIN of one side its alarm is set.
const ALARM_AFTER: Duration = Duration::from_millis(100);

impl Connection {
    /// When the alarm of a half-closed relay is to be set, if it is to be and is not.
    pub(crate) fn alarm_due(&mut self, now: Instant) -> Option<Instant> {
        let finished = self.relay().finished_alone()?;
        (self.alarms[finished as usize] != HangupPoll::On).then(|| now + ALARM_AFTER)
    }
}

impl<D: Driver> Worker<D> {
    /// Sets the alarm of the side that sends in this direction.
    pub(crate) fn set_alarm(&mut self, slot: u32, direction: Direction) {
        let connection = self.slots.get(slot);
        // One that is still being cancelled is armed again once it has ended: it would be cancelled as well.
        if connection.alarms[direction as usize] == HangupPoll::Off {
            connection.alarms[direction as usize] = HangupPoll::On;
            let socket = connection.input(direction);
            let token = self.slots.begin(slot, Kind::HangupPoll(direction));
            self.driver.submit(Op::PollReset { socket }, token);
        }
    }

    /// Ends the alarm of a client that waits no longer. Nothing else is in flight at its socket.
    pub(crate) fn stop_alarm(&mut self, slot: u32) {
        let connection = self.slots.get(slot);
        let alarm = &mut connection.alarms[Direction::ToBackend as usize];
        if *alarm == HangupPoll::On {
            *alarm = HangupPoll::Stopping;
            let fd = connection.client;
            let token = self.slots.begin(slot, Kind::Cancel);
            self.driver.submit(Op::CancelAll { fd }, token);
        }
    }

    /// The alarm ended: it was cancelled, or the side is gone.
    pub(crate) fn on_alarm(&mut self, slot: u32, direction: Direction) {
        let connection = self.slots.get(slot);
        let alarm = std::mem::take(&mut connection.alarms[direction as usize]);
        match (alarm, &connection.state) {
            (HangupPoll::On, State::Waiting(_) | State::Relaying(_)) => {
                let failure = self.driver.failure(connection.input(direction));
                let fault = failure.map_or(Fault::Reset, fault_of);
                self.close(slot, reason_of(direction, fault));
            }
            (HangupPoll::Stopping, State::Waiting(_)) => self.set_alarm(slot, direction),
            (HangupPoll::Stopping, _) => {}
            (HangupPoll::On, State::Connecting(_) | State::Closing(_)) => {
                unreachable!("it ends with the wait")
            }
            (HangupPoll::Off, _) => unreachable!("nothing was in flight"),
        }
    }
}
