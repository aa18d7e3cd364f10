//! Clients wait for a primary, or for a permit.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use config::{Eject, TargetRole, Waiting};
use connection::CloseReason;
use sim::{Peer, Read};
use table::{Availability, BackendState, Phase, Role};

use crate::balancer::Balancer;

#[test]
fn a_held_client_gets_the_new_primary_with_its_early_data() {
    let mut balancer = held(2);
    let mut client = balancer.client();
    assert_eq!(client.send(10), 10);
    client.finish();
    balancer.turn_while_there_is_something();
    assert!(balancer.stage.accepted().is_none());
    balancer.reload(&[(balancer.backend(0), standing(Role::Replica { lags: false }))]);
    balancer.turn_while_there_is_something();
    assert!(balancer.stage.accepted().is_none());
    balancer.reload(&[(balancer.backend(0), standing(Role::Primary))]);
    balancer.turn_while_there_is_something();
    let mut backend = balancer.stage.accepted().expect("it is connected now");
    assert_eq!(balancer.read(&mut backend), Read::Bytes(10));
    assert_eq!(balancer.read(&mut backend), Read::Fin);
    assert_eq!(balancer.listener().hold_semaphore.active(), 0);
}

#[test]
fn a_hold_is_bounded_in_number_and_in_time() {
    let mut balancer = held(2);
    let mut clients: Vec<Peer> = (0..3).map(|_| balancer.client()).collect();
    assert_eq!(balancer.ended(), [(CloseReason::HoldFull, 1)]);
    assert_eq!(balancer.read(&mut clients[2]), Read::Reset);
    balancer.pass(HOLD.mul_f32(0.99));
    assert_eq!(balancer.read(&mut clients[0]), Read::Nothing);
    balancer.pass(Duration::from_millis(20));
    assert_eq!(balancer.ended(), [(CloseReason::NoPrimary, 2), (CloseReason::HoldFull, 1)]);
    assert_eq!(balancer.read(&mut clients[0]), Read::Reset);
    assert_eq!(balancer.listener().hold_semaphore.active(), 0);
}

#[test]
fn a_held_client_that_resets_makes_room_and_one_that_finished_does_not() {
    let mut balancer = held(1);
    let mut client = balancer.client();
    client.send(1);
    client.finish();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.listener().hold_semaphore.active(), 1);
    client.reset();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.ended(), [(CloseReason::ClientReset, 1)]);
    assert_eq!(balancer.listener().hold_semaphore.active(), 0);
    // There is room for another.
    let mut another = balancer.client();
    assert_eq!(balancer.read(&mut another), Read::Nothing);
}

/// A reload may remove the target role, and with it the reason to wait.
#[test]
fn waiting_clients_use_the_table_in_force() {
    let mut balancer = held(2);
    let _client = balancer.client();
    balancer.config.listeners[0].target_role = TargetRole::Any;
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.listener().hold_semaphore.active(), 0);
    balancer.next_backend();
}

#[test]
fn waiting_clients_end_with_the_process() {
    let mut balancer = held(2);
    let mut client = balancer.client();
    balancer.publish(Phase::Ending);
    balancer.turn();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.read(&mut client), Read::Reset);
    assert_eq!(balancer.ended(), [(CloseReason::Drained, 1)]);
    assert_eq!(balancer.listener().hold_semaphore.active(), 0);
}

/// It is dead, which is not known yet.
#[test]
fn a_client_that_the_primary_refuses_is_held_for_the_next_one() {
    let mut balancer = refused(2);
    let mut client = balancer.client();
    assert_eq!(client.send(10), 10);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.listener().hold_semaphore.active(), 1);
    let next = balancer.stage.serving();
    balancer.config.pools[0].backends[1].address = next;
    balancer.reload(&[(balancer.backend(0), standing(Role::Primary))]);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.listener().hold_semaphore.active(), 1, "it has tried this one again");
    balancer.reload(&[(next, standing(Role::Primary))]);
    let mut backend = balancer.next_backend();
    assert_eq!(balancer.read(&mut backend), Read::Bytes(10));
    assert_eq!(balancer.listener().hold_semaphore.active(), 0);
    assert_eq!(balancer.ended(), []);
}

/// It restarts, before its end was noticed.
#[test]
fn a_client_that_the_primary_refuses_retries_with_a_delay() {
    let mut balancer = refused(2);
    let _client = balancer.client();
    let counters = std::sync::Arc::clone(&balancer.listener().pool.backends[0].counters);
    let picked = || counters.of(0).picked.get();
    assert_eq!(picked(), 1);
    balancer.pass(Duration::from_millis(900));
    assert_eq!(picked(), 1);
    balancer.pass(Duration::from_millis(200));
    assert_eq!(picked(), 2);
    balancer.stage.serve(balancer.backend(0));
    balancer.pass(Duration::from_millis(1100));
    balancer.next_backend();
    assert_eq!((picked(), counters.of(0).retried.get()), (3, 0));
    assert_eq!(balancer.listener().hold_semaphore.active(), 0);
}

#[test]
fn a_client_whose_primary_refuses_ends_refused() {
    let mut balancer = refused(1);
    let mut client = balancer.client();
    // There is no room for another.
    let mut another = balancer.client();
    assert_eq!(balancer.ended(), [(CloseReason::ConnectRefused, 1)]);
    assert_eq!(balancer.read(&mut another), Read::Reset);
    balancer.pass(REFUSED_HOLD.mul_f32(0.9));
    assert_eq!(balancer.read(&mut client), Read::Nothing);
    balancer.pass(REFUSED_HOLD.mul_f32(0.2));
    assert_eq!(balancer.read(&mut client), Read::Reset);
    assert_eq!(balancer.ended(), [(CloseReason::ConnectRefused, 2)]);
    assert_eq!(balancer.listener().hold_semaphore.active(), 0);
}

#[test]
fn a_client_that_the_primary_refuses_may_reset_while_it_is_tried_again() {
    let mut balancer = refused(1);
    let client = balancer.client();
    balancer.pass(Duration::from_millis(1100));
    assert_eq!(balancer.listener().hold_semaphore.active(), 1);
    client.reset();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.ended(), [(CloseReason::ClientReset, 1)]);
    assert_eq!(balancer.listener().hold_semaphore.active(), 0);
}

#[test]
fn permits_go_to_waiting_clients_in_their_order() {
    let mut balancer = queued(1, 3);
    let (_first, backend) = balancer.relay();
    let mut second = balancer.client();
    let mut third = balancer.client();
    second.send(2);
    third.send(3);
    backend.reset();
    // A client that comes in the very moment in which a permit is free comes too late.
    let mut fourth = balancer.client();
    let mut backend = balancer.next_backend();
    assert_eq!(balancer.read(&mut backend), Read::Bytes(2));
    backend.reset();
    balancer.turn_while_there_is_something();
    let mut backend = balancer.next_backend();
    assert_eq!(balancer.read(&mut backend), Read::Bytes(3));
    assert_eq!(balancer.read(&mut fourth), Read::Nothing);
    balancer.pass(QUEUE + Duration::from_millis(10));
    assert_eq!(balancer.read(&mut fourth), Read::Reset);
    assert_eq!(balancer.ended(), [(CloseReason::BackendReset, 2), (CloseReason::QueueTimedOut, 1)]);
}

/// A client that is accepted in the turn in which a permit becomes free, but after that, comes after the waiting ones.
#[test]
fn a_new_client_is_never_before_waiting_ones() {
    // In which order things complete is left to chance; some of these orders are the one.
    for seed in 0..40 {
        let mut balancer = Balancer::with(seed, 64, 100_000, |config| {
            config.pools[0].queue = Waiting { connections_max: 3, timeout: QUEUE };
            config.pools[0].backends[0].connections_max = NonZeroU32::new(1);
        });
        let (_first, backend) = balancer.relay();
        let mut second = balancer.client();
        second.send(2);
        backend.reset();
        // The connection begins to close, and ends when nothing of it is in flight.
        balancer.turn();
        let mut third = balancer.stage.connect(balancer.listener().address());
        third.send(3);
        let mut backend = balancer.next_backend();
        assert_eq!(balancer.read(&mut backend), Read::Bytes(2), "seed {seed}");
    }
}

#[test]
fn a_queue_is_bounded() {
    let mut balancer = queued(1, 1);
    let (_first, _backend) = balancer.relay();
    let (mut second, mut third) = (balancer.client(), balancer.client());
    assert_eq!(balancer.ended(), [(CloseReason::QueueFull, 1)]);
    assert_eq!(balancer.read(&mut second), Read::Nothing);
    assert_eq!(balancer.read(&mut third), Read::Reset);
    let mut none = queued(1, 0);
    let (_first, _backend) = none.relay();
    none.client();
    assert_eq!(none.ended(), [(CloseReason::QueueFull, 1)]);
}

/// The client at the head has tried the backend with a free permit; the one behind it has not.
#[test]
fn a_client_that_tried_the_free_backend_holds_up_no_other() {
    let mut balancer = Balancer::new(|_| ());
    let refusing = balancer.stage.refusing();
    let pool = &mut balancer.config.pools[0];
    pool.backends[0].connections_max = NonZeroU32::new(1);
    pool.backends.push(config::Backend { address: refusing, weight: 1, ..pool.backends[0].clone() });
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    let (_one, backend) = balancer.relay();
    // Each of them is refused once, and waits for the other.
    let (_two, _three) = (balancer.client(), balancer.client());
    assert_eq!(balancer.listener().pool.queue_semaphore.active(), 2);
    assert_eq!(balancer.listener().pool.backends[1].failures_in_a_row(), 2);
    backend.reset();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.listener().pool.queue_semaphore.active(), 1);
}

/// Another worker has the permit, and releases it with a wake-up.
#[test]
fn a_permit_that_another_worker_releases_wakes_this_one() {
    let mut balancer = queued(1, 2);
    // As the other worker's pick does.
    let pool = std::sync::Arc::clone(&balancer.listener().pool);
    let picked =
        pool.pick(TargetRole::Any, &[], &mut table::Dice::new(0), || unreachable!("only maglev asks"));
    assert_eq!(picked, table::Picked::Backend(table::BackendIndex(0)));
    let _client = balancer.client();
    assert!(balancer.stage.accepted().is_none());
    let woken: Vec<usize> = pool.backends[0].release().collect();
    assert_eq!(woken, [0]);
    balancer.stage.wakers()[0].wake();
    balancer.turn_while_there_is_something();
    assert_eq!(pool.queue_semaphore.active(), 0);
    balancer.next_backend();
}

/// Control ejects; the worker wakes it when a limit is reached.
#[test]
fn control_is_woken_when_connects_fail_in_a_row() {
    let mut balancer = Balancer::new(|_| ());
    let pool = &mut balancer.config.pools[0];
    pool.backends[0].address = balancer.stage.refusing();
    pool.eject = Some(Eject { failures: 2, base: Duration::from_secs(1), cap: Duration::from_secs(1) });
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    let control = balancer.stage.control();
    balancer.client();
    assert!(!control.clear());
    balancer.client();
    assert!(control.clear());
    // It has been reported.
    balancer.client();
    assert!(!control.clear());
    assert_eq!(balancer.listener().pool.backends[0].failures_in_a_row(), 3);
    // One success resets the count.
    balancer.stage.serve(balancer.backend(0));
    let (_client, _backend) = balancer.relay();
    assert_eq!(balancer.listener().pool.backends[0].failures_in_a_row(), 0);
}

const HOLD: Duration = Duration::from_secs(2);
const REFUSED_HOLD: Duration = Duration::from_secs(5);
const QUEUE: Duration = Duration::from_secs(3);

/// So many clients are held for a primary; there is none.
fn held(most: u32) -> Balancer {
    let waiting = Waiting { connections_max: most, timeout: HOLD };
    Balancer::new(|config| config.listeners[0].target_role = TargetRole::Primary(waiting))
}

/// So many clients are held that cannot reach the primary, which refuses them; beside it is a replica.
fn refused(most: u32) -> Balancer {
    let waiting = Waiting { connections_max: most, timeout: REFUSED_HOLD };
    let mut balancer = held(most);
    balancer.config.listeners[0].target_role = TargetRole::Primary(waiting);
    let refusing = balancer.stage.refusing();
    let pool = &mut balancer.config.pools[0];
    pool.backends.push(pool.backends[0].clone());
    pool.backends[0].address = refusing;
    "refusing".clone_into(&mut pool.backends[0].name);
    balancer.reload(&[(refusing, standing(Role::Primary))]);
    balancer.turn_while_there_is_something();
    balancer
}

/// So many connections at the backend, and so many waiting clients.
fn queued(places: u32, most: u32) -> Balancer {
    Balancer::new(|config| {
        config.pools[0].queue = Waiting { connections_max: most, timeout: QUEUE };
        config.pools[0].backends[0].connections_max = NonZeroU32::new(places);
    })
}

fn standing(role: Role) -> BackendState {
    BackendState { availability: Availability::Up, role: Some(role), ..BackendState::default() }
}

impl Balancer {
    fn backend(&self, index: usize) -> SocketAddr {
        self.config.pools[0].backends[index].address
    }
}
