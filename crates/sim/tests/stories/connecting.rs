//! A backend is being connected for longer than usual.

use std::time::Duration;

use connection::CloseReason;
use sim::Read;

use crate::balancer::Balancer;

/// A pool of a backend that does not answer, and of one that does.
fn slow() -> Balancer {
    let mut balancer = Balancer::new(|_| ());
    let (silent, serving) = (balancer.stage.silent(), balancer.stage.serving());
    let pool = &mut balancer.config.pools[0];
    pool.connect_timeout = Duration::from_secs(3);
    pool.backends[0].address = silent;
    pool.backends.push(config::Backend { address: serving, ..pool.backends[0].clone() });
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    balancer
}

#[test]
fn a_client_that_resets_meanwhile_ends_the_attempt() {
    let mut balancer = slow();
    let mut client = balancer.client();
    assert_eq!(client.send(5), 5);
    balancer.pass(Duration::from_millis(200));
    assert_eq!(balancer.listener().pool.backends[0].semaphore.active(), 1);
    client.reset();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.ended(), [(CloseReason::ClientReset, 1)]);
    let pool = &balancer.listener().pool;
    assert_eq!(pool.backends[0].semaphore.active(), 0);
    assert_eq!(pool.backends[0].failures_in_a_row(), 0, "the backend did not fail");
    assert_eq!(pool.backends[1].counters.sum(|of| of.picked.get()), 0, "another one is not tried for it");
    assert!(balancer.worker.next_deadline().is_none());
}

/// The reset may come before anything watches for it.
#[test]
fn a_client_that_resets_at_once_ends_the_attempt_soon() {
    let mut balancer = slow();
    let client = balancer.client();
    client.reset();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.ended(), []);
    balancer.pass(Duration::from_millis(150));
    assert_eq!(balancer.ended(), [(CloseReason::ClientReset, 1)]);
}

/// Whatever it has sent before: that it closes its sending side is no reason to give up.
#[test]
fn a_client_that_finishes_meanwhile_is_served() {
    let mut balancer = slow();
    let mut client = balancer.client();
    assert_eq!(client.send(5), 5);
    client.finish();
    balancer.pass(Duration::from_millis(2_900));
    assert_eq!(balancer.ended(), []);
    balancer.pass(Duration::from_millis(200));
    let mut backend = balancer.next_backend();
    assert_eq!(balancer.read(&mut backend), Read::Bytes(5));
    assert_eq!(balancer.read(&mut backend), Read::Fin);
    // It is watched during the second attempt as well, and no longer than that.
    assert_eq!(backend.send(7), 7);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.read(&mut client), Read::Bytes(7));
    backend.finish();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.ended(), [(CloseReason::Done, 1)]);
}

#[test]
fn a_connect_timeout_is_kept_whether_the_client_is_watched_or_not() {
    for millis in [50, 99, 100, 101, 3_000] {
        let mut balancer = slow();
        balancer.config.pools[0].connect_timeout = Duration::from_millis(millis);
        balancer.config.pools[0].attempts = 1;
        balancer.reload(&[]);
        balancer.turn_while_there_is_something();
        let begun = balancer.now();
        let _client = balancer.client();
        // With nothing else to do, a turn ends at the next deadline.
        while balancer.ended().is_empty() {
            balancer.turn();
        }
        assert_eq!(balancer.ended(), [(CloseReason::ConnectTimedOut, 1)]);
        let took = balancer.now() - begun;
        let (timeout, tick) = (Duration::from_millis(millis), Duration::from_millis(8));
        assert!(took >= timeout && took < timeout + 2 * tick, "{took:?} in place of {timeout:?}");
    }
}
