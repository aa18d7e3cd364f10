//! What a client asks for is read where its listener has routes, and left in the socket: the backend gets it
//! unchanged.

use connection::CloseReason;
use driver::{Driver, Errno, Op};
use preface::hello::{self, Step};

use super::{Openings, Peeked, set_low_water, wait_for};
use crate::asked::Asked;
use crate::core::Core;
use crate::state::{Awaits, State};
use crate::token::Kind;

impl Openings {
    /// A client that has sent its header is to say what it asks for. Its deadline stays.
    pub(crate) fn await_hello<D: Driver>(core: &mut Core<D>, slot: u32) {
        let connection = core.slots.get(slot);
        let socket = connection.client;
        let State::Opening(opening) = &mut connection.state else { unreachable!("it has shown itself") };
        (opening.awaits, opening.peeks) = (Awaits::Hello, 0);
        core.submit(slot, Kind::Opening, Op::PollReadable { socket });
    }

    /// Reads what the client asks for, if it is whole.
    pub(super) fn look_for_hello<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        slot: u32,
        peeked: &Peeked,
    ) -> Result<Option<Asked>, CloseReason> {
        let asked = match hello::read(&mut self.peeked[..peeked.length]) {
            Step::Need(needed) if peeked.may_wait => {
                wait_for(core, slot, peeked.client, needed);
                return Ok(None);
            }
            // It has ended without a byte.
            Step::Need(_) if peeked.ended && peeked.length == 0 && takes_silence(core, slot) => {
                Asked::Silence
            }
            // A hello that is not understood is never one without a name.
            Step::Need(_) | Step::Invalid(_) => return Err(CloseReason::HelloInvalid),
            Step::NotTls => Asked::NotTls,
            Step::Hello(hello) => Asked::of(&hello),
        };
        set_low_water(core, slot, 1);
        Ok(Some(asked))
    }

    /// The time of a client is over: it asks for nothing, if nothing has arrived and such clients are taken.
    ///
    /// # Errors
    ///
    /// It was too slow.
    pub(crate) fn on_timeout<D: Driver>(core: &mut Core<D>, slot: u32) -> Result<Asked, CloseReason> {
        let connection = core.slots.get(slot);
        let client = connection.client;
        let awaits_hello =
            matches!(&connection.state, State::Opening(opening) if opening.awaits == Awaits::Hello);
        let is_silent = awaits_hello
            && takes_silence(core, slot)
            && matches!(core.driver.peek(client, &mut [0]), Ok(0) | Err(Errno::AGAIN));
        if !is_silent {
            return Err(CloseReason::OpeningTimedOut);
        }
        Ok(Asked::Silence)
    }
}

/// Whether the listener takes clients that send nothing.
fn takes_silence<D>(core: &mut Core<D>, slot: u32) -> bool {
    let listener = &core.slots.get(slot).listener;
    listener.routes.as_ref().is_none_or(|routes| routes.silent().is_some())
}
