//! A worker shows what it looks like.

use std::sync::Arc;

use connection::Direction;

use crate::asked::destination;
use crate::core::Core;
use crate::state::{Ack, Connection, Seeking, State, Step, WaitFor};
use crate::view::{ConnectionView, StateView, WorkerView};

use super::Worker;

impl<D> Worker<D> {
    /// What it has and does now.
    pub fn inspect(&self) -> WorkerView {
        let slots = &self.core.slots;
        let (pipes_open, pipes_free) = self.relays.count_pipes();
        WorkerView {
            connections: slots.live().into_iter().map(|slot| self.core.view(slot)).collect(),
            acceptors: self.acceptors.modes().collect(),
            load: self.balancer.load(),
            pipes_open,
            pipes_free,
            to_evict: slots.iter().filter(|(slot, .., of)| self.core.is_left_to_evict(*slot, of)).count(),
            overlooked: slots.iter().filter(|(.., connection)| self.core.overlooks(connection)).count(),
            runnable: self.relays.runnable(),
            parked: self.relays.parked(),
        }
    }
}

impl<D> Core<D> {
    /// What the connection in a slot that has one looks like.
    pub(super) fn view(&self, slot: u32) -> ConnectionView {
        let connection = self.slots.peek(slot).expect("the slot has a tenant");
        ConnectionView {
            slot,
            generation: self.slots.generation(slot),
            client: connection.client,
            in_flight: self.slots.in_flight(slot),
            state: view_of(&connection.state),
            source: self.places.of(slot),
            ack: ack_of(&connection.state),
            stats: connection.stats,
        }
    }

    /// Attempts are not: a connection whose listener was removed may make one at a backend that is evicted, and
    /// `on_connect` ends it.
    fn is_left_to_evict(&self, slot: u32, connection: &Connection) -> bool {
        matches!(connection.state, State::Relaying(_)) && self.eviction(slot).is_some()
    }

    fn overlooks(&self, connection: &Connection) -> bool {
        let State::Seeking(Seeking { attempts, step: Step::Waiting(wait) }) = &connection.state else {
            return false;
        };
        let listener = self.table.current(&connection.listener);
        let asked = connection.introduction.as_ref().and_then(|introduction| introduction.asked.as_ref());
        let pool = match listener.map(|listener| destination(listener, asked)) {
            None => Arc::clone(&connection.pool),
            Some(Ok((_, pool))) => pool,
            Some(Err(_)) => return true,
        };
        let target_role = listener.unwrap_or(&connection.listener).target_role;
        match wait.wait_for {
            // One that could not reach the primary waits until it tries again.
            WaitFor::Primary => pool.has_candidates(target_role) && attempts.failed.is_none(),
            WaitFor::Capacity => pool.can_pick(target_role, attempts.tried()),
        }
    }
}

fn view_of(state: &State) -> StateView {
    match state {
        State::Opening(_) => StateView::Opening,
        State::Seeking(Seeking { attempts, step: Step::Waiting(wait) }) => StateView::Waiting {
            wait_for: wait.wait_for,
            since: attempts.waits_since().expect("a connection that waits has a ticket"),
        },
        State::Seeking(_) => StateView::Connecting,
        State::Relaying(relaying) => {
            StateView::Relaying(Direction::BOTH.map(|direction| relaying.relay.view(direction)))
        }
        State::Closing(_) => StateView::Closing,
    }
}

fn ack_of(state: &State) -> Ack {
    match state {
        State::Seeking(Seeking { step: Step::Connecting(attempt), .. }) if attempt.hold_ack => Ack::Held,
        State::Relaying(relaying) => relaying.ack,
        State::Opening(_) | State::Seeking(_) | State::Closing(_) => Ack::Sent,
    }
}
