//! Clients are taken in: they become connections here or at another worker, or are rejected.

use std::sync::Arc;

use connection::{CloseReason, Stage};
use driver::{Completion, Driver};
use table::Refuse;

use crate::acceptor::Taken;
use crate::balancer::{Client, GIVEN_MAX};
use crate::record::Record;
use crate::screening::Rejection;
use crate::state::{Connection, Opening, State};
use crate::stats::ConnectionStats;

use super::Worker;

impl<D: Driver> Worker<D> {
    pub(super) fn on_accept(&mut self, completion: Completion) {
        if let Some(taken) = self.acceptors.on_accept(&mut self.core, completion) {
            self.take_in(taken);
        }
        self.acceptors.after_accept(&mut self.core, completion);
    }

    /// Serves clients that wait to be accepted, where there is room again.
    pub(super) fn resume_accepting(&mut self) {
        let mut number = 0;
        while let Some(taken) = self.acceptors.next_client(&mut self.core, &mut number) {
            self.take_in(taken);
        }
    }

    fn take_in(&mut self, taken: Taken) {
        match taken {
            Taken::Admitted(mut client) => {
                if let Err(rejection) = self.screen_peer(&mut client) {
                    return self.refuse(client, rejection);
                }
                // Here, or at a worker with less to do.
                match self.balancer.give(client) {
                    Ok(worker) => self.core.wake(Some(worker)),
                    Err(client) => self.begin(client),
                }
            }
            Taken::Rejected(client, reason) => {
                self.reject(client, reason);
                if let (CloseReason::NoDescriptor, Some(oldest)) = (reason, self.openings.oldest_of_all()) {
                    // One that has yet to show itself goes before one that is served.
                    self.close(oldest, CloseReason::NoDescriptor);
                }
                // It may have had the reserved descriptor.
                self.acceptors.hold_reserve(&mut self.core.driver);
            }
        }
    }

    /// Checks the address of a client that is its peer. Where a header is required, that of the header is checked once
    /// it has come.
    fn screen_peer(&mut self, client: &mut Client) -> Result<(), Rejection> {
        let listener = &client.listener;
        if !listener.is_guarded() || listener.proxy_protocol.is_some() {
            return Ok(());
        }
        // One without an address has left; what it was connected to finds out.
        if let Some(peer) = self.core.driver.peer(client.socket) {
            client.source = self.core.screen(listener, peer.ip())?;
        }
        Ok(())
    }

    /// Refuses a client for its address. It never gets a slot, nor is it given to another worker.
    fn refuse(&mut self, client: Client, rejection: Rejection) {
        let listener = Arc::clone(&client.listener);
        if rejection.how == Refuse::Drop {
            self.core.driver.stay_in_network(client.socket);
        }
        self.reject(client, rejection.why.reason());
        self.core.dismiss(&listener);
    }

    /// Takes in the clients that other workers gave to this one.
    pub(super) fn take_given(&mut self) {
        for _ in 0..GIVEN_MAX {
            let Some(mut client) = self.balancer.take() else { break };
            if !self.core.is_ending() {
                // Another table may have come while it was on its way.
                if let Some(listener) = self.core.table.current(&client.listener) {
                    client.listener = Arc::clone(listener);
                }
                self.begin(client);
                continue;
            }
            let listener = Arc::clone(&client.listener);
            self.core.leave_source(client.source);
            self.reject(client, CloseReason::Drained);
            self.balancer.on_end();
            self.core.dismiss(&listener);
        }
    }

    /// Begins the connection of a client that has its permits.
    fn begin(&mut self, client: Client) {
        let Client { socket: client, accepted_at, listener, source } = client;
        listener.counters.of(self.core.index).active.add(1);
        let mut stats = ConnectionStats::new(accepted_at);
        stats.waited.add(accepted_at, self.core.now);
        let slot = self.core.slots.insert(Connection {
            client,
            pool: Arc::clone(&listener.pool),
            listener,
            state: State::Opening(Opening::default()),
            stats,
            introduction: None,
            hangup: Default::default(),
        });
        self.core.places.set(slot, source);
        self.open(slot);
    }

    /// Rejects clients that were accepted and not begun, as the process ends.
    pub(super) fn reject_held(&mut self) {
        while let Some(client) = self.acceptors.next_left(&mut self.core) {
            self.reject(client, CloseReason::Drained);
        }
    }

    /// Ends a client's connection that never got a slot.
    fn reject(&mut self, client: Client, reason: CloseReason) {
        let Client { socket, accepted_at, listener, .. } = client;
        let core = &mut self.core;
        let pool = Arc::clone(&listener.pool);
        listener.counters.of(core.index).closed(reason).add(1);
        core.count_life(&pool, accepted_at);
        if listener.access_log {
            let (client, ended_at) = (core.driver.peer(socket), core.now);
            let mut stats = ConnectionStats::new(accepted_at);
            stats.waited.add(accepted_at, ended_at);
            let (backend, stage) = (None, Stage::Accepted);
            let introduction = None;
            let record =
                Record { listener, pool, backend, client, introduction, stats, ended_at, reason, stage };
            self.recording.put(core, record);
        }
        core.driver.reset_on_close(socket);
        core.driver.close(socket);
    }
}
