//! The pipes of streams: how many stay open when the streams have ended.

use std::time::Duration;

use connection::{Direction, HalfView};
use sim::{Peer, Read};
use worker::{PIPES_WARM_MAX, StateView};

use crate::balancer::Balancer;

/// The number of streams, each with one pipe: more pipes beyond the kept ones than one turn closes.
const STREAMS: u32 = 100;

#[test]
fn pipes_of_a_crowd_of_streams_are_closed_once_they_are_idle() {
    let mut balancer = Balancer::new(|_| ());
    let peers: Vec<_> = (0..STREAMS).map(|_| stream(&mut balancer)).collect();
    assert_eq!(pipes(&balancer), (STREAMS, 0));
    // A stream that is idle for a second releases its pipe.
    balancer.pass(Duration::from_millis(1_100));
    assert_eq!(pipes(&balancer), (STREAMS, STREAMS as usize));
    balancer.pass(Duration::from_millis(9_900));
    assert_eq!(pipes(&balancer), (STREAMS, STREAMS as usize), "they are kept for ten seconds");
    // They are counted every ten seconds; the previous count was of the first that was released.
    balancer.pass(Duration::from_millis(200));
    balancer.pass(Duration::from_secs(10));
    while balancer.worker.next_deadline().is_some_and(|deadline| deadline <= balancer.now()) {
        balancer.turn();
    }
    assert_eq!(pipes(&balancer), (PIPES_WARM_MAX, PIPES_WARM_MAX as usize));
    balancer.pass(Duration::from_secs(60));
    assert_eq!(pipes(&balancer), (PIPES_WARM_MAX, PIPES_WARM_MAX as usize));
    drop(peers);
}

#[test]
fn pipes_that_were_needed_meanwhile_are_not_idle() {
    let mut balancer = Balancer::new(|_| ());
    let mut peers: Vec<_> = (0..20).map(|_| stream(&mut balancer)).collect();
    balancer.pass(Duration::from_millis(1_100));
    assert_eq!(pipes(&balancer), (20, 20));
    balancer.pass(Duration::from_secs(5));
    for (client, backend) in &mut peers[..3] {
        go_on(&mut balancer, client, backend);
    }
    assert_eq!(pipes(&balancer), (20, 17));
    balancer.pass(Duration::from_secs(6));
    // Of the four beyond the kept ones, three were needed within the ten seconds.
    assert_eq!(pipes(&balancer), (19, 19));
    balancer.pass(Duration::from_secs(11));
    balancer.pass(Duration::from_secs(10));
    assert_eq!(pipes(&balancer), (PIPES_WARM_MAX, PIPES_WARM_MAX as usize));
}

/// A client that sends until its half splices, and its backend.
fn stream(balancer: &mut Balancer) -> (Peer, Peer) {
    let (mut client, mut backend) = balancer.relay();
    go_on(balancer, &mut client, &mut backend);
    (client, backend)
}

fn go_on(balancer: &mut Balancer, client: &mut Peer, backend: &mut Peer) {
    let (_, free) = pipes(balancer);
    let spliced = splicing(balancer);
    for _ in 0..100 {
        client.send(128 * 1024);
        balancer.turn_while_there_is_something();
        balancer.stage.pass(Duration::ZERO);
        while let Read::Bytes(_) = backend.read(1 << 20) {
            balancer.turn_while_there_is_something();
        }
        if splicing(balancer) > spliced {
            return;
        }
    }
    panic!("it does not splice; {free} pipes are free");
}

fn splicing(balancer: &Balancer) -> usize {
    let views = balancer.worker.inspect().connections.into_iter();
    let to_backend = views.filter_map(|connection| match connection.state {
        StateView::Relaying(halves) => Some(halves[Direction::ToBackend as usize]),
        _ => None,
    });
    to_backend.filter(|half| matches!(half, HalfView::Splicing { .. })).count()
}

/// The number of open pipes, and how many of them no stream uses.
fn pipes(balancer: &Balancer) -> (u32, usize) {
    let view = balancer.worker.inspect();
    (view.pipes_open, view.pipes_free)
}
