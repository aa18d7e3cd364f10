//! Faults of the data plane that runs have found, each told again as a story of one worker.

use std::sync::Arc;
use std::time::Duration;

use config::Config;
use connection::CloseReason;
use sim::Read;
use table::{Phase, Table};

use crate::balancer::Balancer;

/// A client was told that it is accepted in the very turn in which all connections were to end: its connection began,
/// and nothing ended it.
#[test]
fn a_client_accepted_as_the_process_ends_is_turned_away() {
    let mut balancer = Balancer::new(|_| ());
    let mut client = balancer.stage.connect(balancer.listener().address);
    balancer.publish(Phase::Ending);
    balancer.turn();
    assert!(!balancer.turn(), "the worker has no more to do");
    assert_eq!(balancer.read(&mut client), Read::Reset);
    assert_eq!(balancer.ended(), [(CloseReason::Drained, 1)]);
}

/// A relay that had stood still for longer than a half-closed one may was reset as soon as one side finished.
#[test]
fn a_fin_after_long_silence_leaves_the_other_side_its_time() {
    let mut balancer = Balancer::new(|config| config.pools[0].half_closed_timeout = Duration::from_secs(5));
    let (mut client, mut backend) = balancer.relay();
    balancer.stage.pass(Duration::from_secs(60));
    client.finish();
    balancer.turn();
    assert_eq!(balancer.read(&mut backend), Read::Fin);
    assert_eq!(backend.send(3), 3);
    backend.finish();
    balancer.turn();
    assert_eq!(balancer.read(&mut client), Read::Bytes(3));
    assert_eq!(balancer.read(&mut client), Read::Fin);
    assert_eq!(balancer.ended(), [(CloseReason::Done, 1)]);
}

/// A half that was found to have stood still for too long, right after it passed a FIN on, while the other half waited
/// for a buffer: nothing was in flight, the slot was free at once, and used again.
#[test]
fn a_relay_without_anything_in_flight_may_end_while_a_half_goes_on() {
    // In which order things complete is left to chance; some of these orders are the one.
    for seed in 0..40 {
        let mut balancer = Balancer::with(seed, 1, 100_000, |config| {
            // It cannot be so short in a file. A worker that was stopped for longer than the timeout sees the same.
            config.pools[0].half_closed_timeout = Duration::ZERO;
        });
        let (mut client, mut backend) = balancer.relay();
        let (mut other_client, _other_backend) = balancer.relay();
        // The one buffer is for the other connection or for this one, whose FIN needs none.
        other_client.send(1);
        client.send(1);
        backend.finish();
        balancer.turn_while_there_is_something();
        assert_eq!(balancer.ended(), [(CloseReason::HalfClosedTimeout, 1)], "seed {seed}");
        other_client.finish();
    }
}

/// Another table and the drain came between two turns: a client accepted in the next one went by the table before both.
#[test]
fn a_client_accepted_as_a_drain_begins_goes_by_the_table_in_force() {
    let mut balancer = Balancer::new(|_| ());
    balancer.stage.connect(balancer.listener().address);
    let before = balancer.published.load_full();
    let next = balancer.stage.serving();
    let config = Config::forward(before.listeners[0].address, &[next]);
    let sockets = vec![Arc::clone(&before.listeners[0].sockets)];
    let table = Table::build(&config, sockets, 1, None, Some(&before));
    balancer.published.publish(table.in_phase(Phase::Draining));
    balancer.turn();
    let picked = |table: &Table| table.pools[0].backends[0].counters.sum(|of| of.picked.get());
    assert_eq!((picked(&before), picked(&table)), (0, 1));
}

/// A listener that goes while it waits for a place may have been woken for one that is free: the wake-up is another's then.
/// (No run had noticed when it was kept.)
#[test]
fn a_listener_that_goes_passes_its_wake_up_on() {
    let mut balancer = Balancer::with(0, 64, 1, |_| ());
    // The other worker has the one place, and two more clients.
    assert!(balancer.gate.try_acquire(1));
    balancer.gate.wait(1);
    balancer.stage.connect(balancer.listener().address);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.gate.release(), Some(1));
    assert!(balancer.gate.try_acquire(1));
    balancer.gate.wait(1);
    // It gives the place back, and this one is woken, as it is its turn.
    assert_eq!(balancer.gate.release(), Some(0));
    let (address, sockets) = balancer.stage.listen();
    let config = Config::forward(address, &[balancer.stage.serving()]);
    balancer.published.publish(Table::build(&config, vec![sockets], 1, None, None));
    let other = &balancer.stage.wakers()[1];
    assert!(!other.clear());
    // As the writer wakes them all, but for the other.
    balancer.stage.wakers()[0].wake();
    balancer.stage.notice_wakes();
    balancer.turn();
    balancer.turn_while_there_is_something();
    assert!(other.clear(), "a place is free, and the other worker sleeps on");
}
