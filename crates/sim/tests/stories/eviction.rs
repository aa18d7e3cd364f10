//! A table evicts connections.

use std::time::Duration;

use config::{OnAllDown, OnLoss, TargetRole, Waiting};
use connection::CloseReason;
use sim::{Peer, Read};

use crate::balancer::{Balancer, DOWN, PRIMARY, REPLICA};

/// More than one turn handles.
const CROWD: usize = 150;

#[test]
fn a_crowd_is_evicted_over_several_turns() {
    let mut balancer = Balancer::new(|config| {
        config.pools[0].on_down = OnLoss::Close;
        config.pools[0].on_all_down = OnAllDown::Closed;
    });
    let mut peers: Vec<(Peer, Peer)> = (0..CROWD).map(|_| balancer.relay()).collect();
    balancer.reload(&[(balancer.config.pools[0].backends[0].address, DOWN)]);
    let mut severed = Vec::new();
    assert!(balancer.turn());
    severed.push(balancer.evicted());
    while balancer.evicted() < CROWD as u64 {
        // The rest is due at once.
        assert!(balancer.worker.next_deadline().is_some_and(|at| at <= balancer.now()));
        balancer.turn();
        severed.push(balancer.evicted());
    }
    assert!(severed[0] < CROWD as u64 / 2 && severed.len() <= 4, "{severed:?}");
    balancer.turn_while_there_is_something();
    for (client, backend) in &mut peers {
        assert_eq!([balancer.read(client), balancer.read(backend)], [Read::Reset; 2]);
    }
    assert_eq!(balancer.ended(), [(CloseReason::BackendDown, CROWD as u64)]);
    assert!(balancer.worker.next_deadline().is_none());
}

/// The primary changes while a client is being connected to it: the old one never gets that client.
#[test]
fn an_attempt_at_the_old_primary_moves_to_the_new_one() {
    let hold = Waiting { connections_max: 1, timeout: Duration::from_secs(1) };
    let mut balancer = Balancer::new(|_| ());
    let (silent, serving) = (balancer.stage.silent(), balancer.stage.serving());
    balancer.config.listeners[0].target_role = TargetRole::Primary(hold);
    let pool = &mut balancer.config.pools[0];
    pool.attempts = 1;
    pool.backends[0].address = silent;
    pool.backends.push(config::Backend { address: serving, ..pool.backends[0].clone() });
    balancer.reload(&[(silent, PRIMARY), (serving, REPLICA)]);
    balancer.turn_while_there_is_something();
    let mut client = balancer.client();
    assert_eq!(client.send(5), 5);
    assert_eq!(balancer.listener().pool.backends[0].semaphore.active(), 1);
    // None is, for a while: the client waits.
    balancer.reload(&[(silent, REPLICA), (serving, REPLICA)]);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.listener().pool.backends[0].semaphore.active(), 0);
    assert_eq!(balancer.listener().hold_semaphore.active(), 1);
    balancer.reload(&[(silent, REPLICA), (serving, PRIMARY)]);
    balancer.turn_while_there_is_something();
    let mut backend = balancer.next_backend();
    assert_eq!(balancer.read(&mut backend), Read::Bytes(5));
    assert_eq!(balancer.ended(), []);
    // It does not count as a failure of the backend.
    assert_eq!(balancer.listener().pool.backends[0].failures_in_a_row(), 0);
}

/// It is the primary again before the worker knows that its attempt was given up.
#[test]
fn a_cancelled_attempt_is_made_again() {
    let hold = Waiting { connections_max: 1, timeout: Duration::from_secs(1) };
    let mut balancer = Balancer::new(|_| ());
    let silent = balancer.stage.silent();
    balancer.config.listeners[0].target_role = TargetRole::Primary(hold);
    balancer.config.pools[0].backends[0].address = silent;
    balancer.reload(&[(silent, PRIMARY)]);
    balancer.turn_while_there_is_something();
    let _client = balancer.client();
    balancer.reload(&[(silent, REPLICA)]);
    assert!(balancer.turn());
    balancer.stage.serve(silent);
    balancer.reload(&[(silent, PRIMARY)]);
    balancer.turn_while_there_is_something();
    balancer.next_backend();
    assert_eq!(balancer.ended(), []);
}

/// The backend answers in the very turn in which the worker learns that it has lost the role.
#[test]
fn a_connect_that_completes_too_late_is_dropped() {
    let hold = Waiting { connections_max: 1, timeout: Duration::from_secs(1) };
    let mut balancer = Balancer::new(|config| config.listeners[0].target_role = TargetRole::Primary(hold));
    let address = balancer.config.pools[0].backends[0].address;
    balancer.reload(&[(address, PRIMARY)]);
    balancer.turn_while_there_is_something();
    let mut client = balancer.stage.connect(balancer.listener().address());
    // Accepted, and the connect is in progress.
    balancer.turn();
    while balancer.listener().pool.backends[0].semaphore.active() == 0 {
        balancer.turn();
    }
    assert!(balancer.stage.is_ready(), "the connect has come about");
    balancer.reload(&[(address, REPLICA)]);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.listener().hold_semaphore.active(), 1);
    assert_eq!(balancer.listener().pool.backends[0].semaphore.active(), 0);
    assert_eq!(balancer.read(&mut client), Read::Nothing);
}

/// A client is being connected when its listener is removed and the backend goes down: no table has the listener
/// any more, and the last one that had it has another backend.
#[test]
fn an_attempt_of_a_removed_listener_moves_to_the_next_backend() {
    let mut balancer = Balancer::new(|config| config.pools[0].on_down = OnLoss::Close);
    let (silent, serving) = (balancer.stage.silent(), balancer.stage.serving());
    let pool = &mut balancer.config.pools[0];
    pool.backends[0].address = silent;
    pool.backends.push(config::Backend { address: serving, ..pool.backends[0].clone() });
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    let mut client = balancer.client();
    assert_eq!(client.send(5), 5);
    let before = balancer.listener();
    balancer.move_listener();
    balancer.reload(&[(silent, DOWN)]);
    let mut backend = balancer.next_backend();
    assert_eq!(balancer.read(&mut backend), Read::Bytes(5));
    assert_eq!(before.pool.backends[0].failures_in_a_row(), 0);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.ended(), []);
}

/// The same without another backend: the connection ends with the reason.
#[test]
fn an_attempt_of_a_removed_listener_ends_with_the_last_backend() {
    let mut balancer = Balancer::new(|config| {
        config.pools[0].on_down = OnLoss::Close;
        config.pools[0].on_all_down = OnAllDown::Closed;
    });
    let silent = balancer.stage.silent();
    balancer.config.pools[0].backends[0].address = silent;
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    let mut client = balancer.client();
    let before = balancer.listener();
    balancer.move_listener();
    balancer.reload(&[(silent, DOWN)]);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.read(&mut client), Read::Reset);
    assert_eq!(before.counters.of(0).closed(CloseReason::BackendDown).get(), 1);
}

impl Balancer {
    fn evicted(&self) -> u64 {
        self.listener().counters.of(0).closed(CloseReason::BackendDown).get()
    }
}
