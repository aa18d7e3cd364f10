//! A client shows itself, where its listener requires that, and is admitted.

use std::net::SocketAddr;
use std::sync::Arc;

use connection::CloseReason;
use driver::{Driver, Errno};
use table::Others;

use super::Worker;
use crate::core::Core;
use crate::introduction::Introduction;
use crate::state::{Seeking, State};

impl<D: Driver> Core<D> {
    /// The address of a client: what a header says, or else that of its socket. This one address counts for the pick,
    /// the log and queries. None if the client is gone already.
    pub(crate) fn client_address(&mut self, slot: u32) -> Option<SocketAddr> {
        let connection = self.slots.get(slot);
        let client = connection.client;
        connection.said_address().or_else(|| self.driver.peer(client))
    }
}

impl<D: Driver> Worker<D> {
    /// Has a client show itself, if its listener requires a header of it.
    pub(super) fn open(&mut self, slot: u32) {
        let connection = self.core.slots.get(slot);
        let listener = Arc::clone(&connection.listener);
        let client = connection.client;
        let Some(headers) = &listener.proxy_protocol else {
            if listener.access_log {
                self.recording.remember_client(slot, self.core.driver.peer(client));
            }
            return self.admission(slot);
        };
        let Some(peer) = self.core.driver.peer(client) else {
            return self.close(slot, CloseReason::ClientReset);
        };
        if listener.access_log {
            self.recording.remember_client(slot, Some(peer));
        }
        if !headers.from.contains(peer.ip()) {
            return match headers.others {
                Others::Refuse => self.close(slot, CloseReason::UntrustedProxy),
                Others::Plain => self.admission(slot),
            };
        }
        while !listener.opening_semaphore.try_acquire(listener.opening.connections_max) {
            // The oldest is the likeliest never to show itself: a header is sent at once.
            let Some(oldest) = self.openings.oldest(&listener) else {
                return self.close(slot, CloseReason::OpeningFull);
            };
            self.close(oldest, CloseReason::OpeningFull);
        }
        self.openings.begin(&mut self.core, slot, peer);
    }

    /// Something arrived from a client that has yet to show itself.
    pub(super) fn on_opening(&mut self, slot: u32, result: Result<u32, Errno>) {
        match self.openings.look(&mut self.core, slot, result) {
            Ok(None) => {}
            Ok(Some(introduction)) => self.on_introduction(slot, introduction),
            Err(reason) => self.close(slot, reason),
        }
    }

    fn on_introduction(&mut self, slot: u32, introduction: Introduction) {
        self.core.timers.clear(slot);
        let connection = self.core.slots.get(slot);
        let listener = Arc::clone(&connection.listener);
        if let (true, Some(ends)) = (listener.access_log, introduction.ends) {
            self.recording.remember_client(slot, Some(ends.client));
        }
        connection.introduction = Some(Box::new(introduction));
        if let State::Opening(opening) = &connection.state {
            let opening = *opening;
            self.openings.end(&mut self.core, &listener, &opening);
        }
        self.admission(slot);
    }

    /// Checks the address of a client that may have a proxy in front.
    fn screen_client(&mut self, slot: u32) -> Result<(), CloseReason> {
        let listener = Arc::clone(&self.core.slots.get(slot).listener);
        if listener.proxy_protocol.is_none() {
            return Ok(());
        }
        // While it opened, another table may have come, in which it is denied.
        let listener = self.core.table.listener_on(&listener.sockets).map_or(listener, Arc::clone);
        if !listener.is_guarded() {
            return Ok(());
        }
        let client = self.core.client_address(slot).ok_or(CloseReason::ClientReset)?;
        // Its peer is a proxy, which is told at once: it waits for no timeout, whatever `refuse` says.
        let source = self.core.screen(&listener, client.ip()).map_err(|rejection| rejection.why.reason())?;
        self.core.slots.get(slot).source = source;
        Ok(())
    }

    /// A client is known by its address ([`Core::client_address`]): what decides whether it may connect decides here,
    /// before a backend is chosen. Where no header is required, that was decided before it got its slot.
    pub(super) fn admission(&mut self, slot: u32) {
        if let Err(reason) = self.screen_client(slot) {
            return self.close(slot, reason);
        }
        let connection = self.core.slots.get(slot);
        let opened = connection.introduction.is_some();
        connection.state = State::Seeking(Seeking::new(self.core.now));
        // While it opened, another table may have come.
        if opened {
            self.core.adopt_table(slot);
        }
        let connection = self.core.slots.get(slot);
        if self.queues.has_queue(&connection.listener, &connection.pool) {
            self.queue_up(slot);
        } else {
            self.connect(slot);
        }
    }
}
