//! The last ACK of a handshake with a backend waits for the client's first bytes, to go in one segment with them;
//! for a moment only, as a backend that speaks first is waiting for it.
//!
//! Which pools it is worth trying for, [`table::AckHold`] learns.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use connection::Direction;
use driver::Driver;

use crate::core::Core;
use crate::state::{Ack, Connection, State};

/// Connections whose ACK is held back, in the order of their deadlines; those that have sent it since included.
#[derive(Default)]
pub(crate) struct HeldAcks(VecDeque<Deadline>);

struct Deadline {
    slot: u32,
    generation: u32,
    at: Instant,
}

/// How long an ACK is held back. Mostly it goes within the round trip of the client's own last ACK; this is for
/// clients that are short of CPU, and less than TCP itself may wait with any ACK (40 ms).
const HOLD_MAX: Duration = Duration::from_millis(10);

impl HeldAcks {
    /// When the first of them is to be released.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.front().map(|deadline| deadline.at)
    }
}

impl Connection {
    /// Bytes were sent to the one side, and perhaps they are the first of the connection.
    pub(crate) fn on_first_bytes(&mut self, direction: Direction, worker: usize) {
        let relaying = self.state.relaying();
        if relaying.ack == Ack::Sent {
            return;
        }
        relaying.ack = Ack::Sent;
        let hold = self.pool.ack_hold.of(worker);
        match direction {
            Direction::ToBackend => hold.paid(),
            Direction::ToClient => hold.failed(),
        }
    }
}

impl HeldAcks {
    /// The backend of this connection has answered, and perhaps does not know yet that it was heard.
    pub(crate) fn hold<D>(&mut self, core: &mut Core<D>, slot: u32) {
        if core.slots.get(slot).state.relaying().ack == Ack::Held {
            let generation = core.slots.generation(slot);
            self.0.push_back(Deadline { slot, generation, at: core.now + HOLD_MAX });
        }
    }

    /// Sends the ACKs whose time is up, and forgets the first ones that went with bytes.
    pub(crate) fn release<D: Driver>(&mut self, core: &mut Core<D>) {
        while let Some(&Deadline { slot, generation, at }) = self.0.front() {
            if core.slots.lives(slot, generation)
                && let State::Relaying(relaying) = &mut core.slots.get(slot).state
                && relaying.ack == Ack::Held
            {
                if at > core.now {
                    return;
                }
                relaying.ack = Ack::Released;
                core.driver.release_ack(relaying.socket);
            }
            self.0.pop_front();
        }
    }
}
