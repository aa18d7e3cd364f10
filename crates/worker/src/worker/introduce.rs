//! A backend is told which client it serves: a PROXY header goes before all other bytes, once for each attempt.

use connection::CloseReason;
use driver::{Bytes, Driver, Errno};
use preface::Ends;
use table::HeaderField;

use super::Worker;
use super::connect::reason_of;
use crate::state::Connection;

impl<D: Driver> Worker<D> {
    /// Sends the header to a backend that was just connected, if its pool wants one.
    ///
    /// # Errors
    ///
    /// The client is gone (`client_reset`), or the attempt is to be given up: a socket without room for a header is
    /// one without memory.
    pub(super) fn introduce(&mut self, slot: u32) -> Result<(), CloseReason> {
        let driver = &mut self.core.driver;
        let Connection { client, pool, state, introduction, .. } = self.core.slots.get(slot);
        let Some(send_proxy) = &pool.send_proxy else { return Ok(()) };
        let socket = state.attempt().socket;
        let mut known = introduction.as_deref().cloned().unwrap_or_default();
        let ends = match known.ends {
            Some(ends) => ends,
            None => match (driver.peer(*client), driver.local(*client)) {
                (Some(peer), Some(local)) => Ends::new(peer, local),
                _ => return Err(CloseReason::ClientReset),
            },
        };
        if known.unique_id.is_none() && send_proxy.fields.contains(&HeaderField::UniqueId) {
            known.unique_id = Some(driver.random());
            introduction.get_or_insert_default().unique_id = known.unique_id;
        }
        let header = known.header(send_proxy, &ends);
        pool.counters.of(self.core.index).fields_left_out.add(header.left_out as u64);
        // With bytes of the client behind it, both go in one segment.
        let more = known.more_follows || driver.peek(*client, &mut [0]) == Ok(1);
        let bytes = header.as_bytes();
        let failed = match driver.send(socket, Bytes::Own(bytes), more) {
            Ok(sent) if sent as usize == bytes.len() => return Ok(()),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => CloseReason::NoResources,
            Err(errno) => reason_of(errno),
        };
        // A part of a header is not to look like the whole.
        driver.reset_on_close(socket);
        Err(failed)
    }
}
