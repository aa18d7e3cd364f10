//! Faults of the data plane that random runs have found, each as a scenario of one worker.

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
fn a_client_accepted_as_the_process_ends_is_rejected() {
    let mut balancer = Balancer::new(|_| ());
    let mut client = balancer.stage.connect(balancer.listener().address());
    balancer.publish(Phase::Ending);
    balancer.turn();
    assert!(!balancer.turn(), "the worker has no more to do");
    assert_eq!(balancer.read(&mut client), Read::Reset);
    assert_eq!(balancer.ended(), [(CloseReason::Drained, 1)]);
}

/// A relay that had been idle for longer than `half_closed_timeout` was reset as soon as one side finished.
#[test]
fn a_fin_after_long_idle_time_leaves_the_other_side_its_timeout() {
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

/// A half whose idle timer fired, right after it passed a FIN on, while the other half waited
/// for a buffer: nothing was in flight, the slot was free at once, and used again.
#[test]
fn a_relay_without_anything_in_flight_may_end_while_a_half_goes_on() {
    // The order of completions is random; some of these orders reproduce the fault.
    for seed in 0..40 {
        let mut balancer = Balancer::with(seed, 1, 100_000, |config| {
            // A file cannot set it this short. A worker that is stopped for longer than the timeout sees the same.
            config.pools[0].half_closed_timeout = Duration::ZERO;
        });
        let (mut client, mut backend) = balancer.relay();
        let (mut other_client, _other_backend) = balancer.relay();
        // The only buffer goes to the other connection or to this one, whose FIN needs none.
        other_client.send(1);
        client.send(1);
        backend.finish();
        balancer.turn_while_there_is_something();
        assert_eq!(balancer.ended(), [(CloseReason::HalfClosedTimeout, 1)], "seed {seed}");
        other_client.finish();
    }
}

/// Another table and the drain arrived between two turns: a client accepted in the next one used the previous
/// table.
#[test]
fn a_client_accepted_as_a_drain_begins_uses_the_table_in_force() {
    let mut balancer = Balancer::new(|_| ());
    balancer.stage.connect(balancer.listener().address());
    let before = balancer.published.load_full();
    let next = balancer.stage.serving();
    let config = Config::forward(before.listeners[0].address(), &[next]);
    let sockets = vec![Arc::clone(&before.listeners[0].endpoints[0].sockets)];
    let table = Table::build(&config, sockets, 1, None, Some(&before));
    balancer.published.publish(table.in_phase(Phase::Draining));
    balancer.turn();
    let picked = |table: &Table| table.pools[0].backends[0].counters.sum(|of| of.picked.get());
    assert_eq!((picked(&before), picked(&table)), (0, 1));
}

/// A listener that is removed while it waits for a permit may have been woken for a free one: another one must get
/// the wake-up. (No run had noticed when it was kept.)
#[test]
fn a_removed_listener_passes_its_wake_up_on() {
    let mut balancer = Balancer::with(0, 64, 1, |_| ());
    // The other worker has the only permit, and two more clients.
    assert!(balancer.gate.try_acquire(1));
    balancer.gate.wait(1);
    balancer.stage.connect(balancer.listener().address());
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.gate.release(), Some(1));
    assert!(balancer.gate.try_acquire(1));
    balancer.gate.wait(1);
    // It releases the permit, and this worker is woken, as it is its turn.
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
    assert!(other.clear(), "a permit is free, and the other worker still sleeps");
}
