//! A client shows itself, where its listener requires that, and is admitted and routed.

use std::net::SocketAddr;
use std::sync::Arc;

use connection::CloseReason;
use driver::{Driver, Errno};
use table::Others;

use super::Worker;
use crate::asked::{Asked, destination};
use crate::core::Core;
use crate::introduction::Introduction;
use crate::opening::{Openings, Shown};
use crate::state::{Opening, Seeking, State};
use crate::stats::Micros;

impl<D> Core<D> {
    /// Has a client that has yet to show itself use the table in force: another may have come meanwhile.
    fn adopt_listener(&mut self, slot: u32) {
        let connection = self.slots.get(slot);
        if let Some(listener) = self.table.current(&connection.listener) {
            connection.listener = Arc::clone(listener);
            connection.pool = Arc::clone(&listener.pool);
        }
    }

    /// Has a client that has shown itself go to the pool of the route that takes it, which is counted.
    ///
    /// # Errors
    ///
    /// None does, and this is why it is refused.
    fn take_route(&mut self, slot: u32) -> Result<(), CloseReason> {
        let connection = self.slots.get(slot);
        let Some(introduction) = &mut connection.introduction else { return Ok(()) };
        let (route, pool) = destination(&connection.listener, introduction.asked.as_ref())?;
        if let Some(route) = &route {
            route.taken.of(self.index).add(1);
        }
        introduction.route = route;
        connection.pool = pool;
        Ok(())
    }
}

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
        self.begin_opening(slot, Some(peer));
    }

    /// Waits for the header of a proxy with this address, or for what a client asks for.
    fn begin_opening(&mut self, slot: u32, peer: Option<SocketAddr>) {
        let listener = Arc::clone(&self.core.slots.get(slot).listener);
        while !listener.opening_semaphore.try_acquire(listener.opening.connections_max) {
            // The oldest is the likeliest never to show itself: a header or a hello is sent at once.
            let Some(oldest) = self.openings.oldest(&listener) else {
                return self.close(slot, CloseReason::OpeningFull);
            };
            self.close(oldest, CloseReason::OpeningFull);
        }
        self.openings.begin(&mut self.core, slot, peer);
    }

    /// Something arrived from a client that has yet to show itself.
    pub(super) fn on_opening(&mut self, slot: u32, result: Result<u32, Errno>) {
        if !matches!(self.core.slots.get(slot).state, State::Opening(_)) {
            // It was silent for as long as it may be, and was routed by that. What it sends is the relay's, and this
            // poll was left to end by it.
            return;
        }
        match self.openings.look(&mut self.core, slot, result) {
            Ok(None) => {}
            Ok(Some(Shown::Header(introduction))) => self.on_introduction(slot, introduction),
            Ok(Some(Shown::Asked(asked))) => self.on_asked(slot, asked),
            Err(reason) => self.close(slot, reason),
        }
    }

    /// The time of a client is over that has yet to show itself.
    pub(super) fn on_opening_timeout(&mut self, slot: u32) {
        match Openings::on_timeout(&mut self.core, slot) {
            Ok(asked) => self.on_asked(slot, asked),
            Err(reason) => self.close(slot, reason),
        }
    }

    fn on_introduction(&mut self, slot: u32, introduction: Introduction) {
        let connection = self.core.slots.get(slot);
        if let (true, Some(ends)) = (connection.listener.access_log, introduction.ends) {
            self.recording.remember_client(slot, Some(ends.client));
        }
        connection.introduction = Some(Box::new(introduction));
        self.core.adopt_listener(slot);
        self.admission(slot);
    }

    /// Checks the address of a client that may have a proxy in front.
    fn screen_client(&mut self, slot: u32) -> Result<(), CloseReason> {
        let listener = Arc::clone(&self.core.slots.get(slot).listener);
        if listener.proxy_protocol.is_none() || !listener.is_guarded() {
            return Ok(());
        }
        let client = self.core.client_address(slot).ok_or(CloseReason::ClientReset)?;
        // Its peer is a proxy, which is told at once: it waits for no timeout, whatever `refuse` says.
        let source = self.core.screen(&listener, client.ip()).map_err(|rejection| rejection.why.reason())?;
        self.core.places.set(slot, source);
        Ok(())
    }

    /// A client is known by its address ([`Core::client_address`]): what decides whether it may connect decides here,
    /// before it is asked where it wants to go. Where no header is required, that was decided before it got its slot.
    pub(super) fn admission(&mut self, slot: u32) {
        match self.screen_client(slot) {
            Ok(()) => self.ask(slot),
            Err(reason) => self.close(slot, reason),
        }
    }

    /// An admitted client is to say what it asks for, if its listener has routes.
    fn ask(&mut self, slot: u32) {
        let connection = self.core.slots.get(slot);
        match &connection.state {
            _ if connection.listener.routes.is_none() => self.seek(slot),
            State::Opening(Opening { number: 0, .. }) => self.begin_opening(slot, None),
            _ => Openings::await_hello(&mut self.core, slot),
        }
    }

    fn on_asked(&mut self, slot: u32, asked: Asked) {
        self.core.adopt_listener(slot);
        let connection = self.core.slots.get(slot);
        let mut opened = Micros::default();
        opened.add(connection.stats.accepted_at, self.core.now);
        let introduction = connection.introduction.get_or_insert_default();
        (introduction.opening, introduction.asked) = (Some(opened), Some(asked));
        match self.core.take_route(slot) {
            Ok(()) => self.seek(slot),
            Err(reason) => self.close(slot, reason),
        }
    }

    /// A client has shown all that it had to: finds a backend for it.
    fn seek(&mut self, slot: u32) {
        let now = self.core.now;
        let connection = self.core.slots.get(slot);
        let listener = Arc::clone(&connection.listener);
        let before = std::mem::replace(&mut connection.state, State::Seeking(Seeking::new(now)));
        if let State::Opening(opening) = before
            && opening.number != 0
        {
            self.core.timers.clear(slot);
            self.openings.end(&mut self.core, &listener, &opening);
        }
        let connection = self.core.slots.get(slot);
        if self.queues.has_queue(&connection.listener, &connection.pool) {
            self.queue_up(slot);
        } else {
            self.connect(slot);
        }
    }
}
