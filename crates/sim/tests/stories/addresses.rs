//! A listener of several addresses.

use connection::CloseReason;
use sim::Read;

use crate::balancer::Balancer;

#[test]
fn its_addresses_share_one_bound() {
    let mut balancer = Balancer::new(|config| config.listeners[0].connections_max = 1);
    let other = balancer.add_address();
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    let (mut client, mut backend) = balancer.relay();
    let mut second = balancer.stage.connect(other);
    balancer.turn_while_there_is_something();
    assert!(balancer.stage.accepted().is_none(), "two connections, of one that is allowed");
    assert_eq!(second.send(3), 3);
    client.finish();
    backend.finish();
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.ended(), [(CloseReason::Done, 1)]);
    let mut backend = balancer.next_backend();
    assert_eq!(balancer.read(&mut backend), Read::Bytes(3));
    assert_eq!(balancer.read(&mut client), Read::Fin);
    assert_eq!(balancer.listener().counters.sum(|of| of.accepted.get()), 2);
}

#[test]
fn a_reload_that_removes_one_keeps_what_came_by_it() {
    let mut balancer = Balancer::new(|_| ());
    let other = balancer.add_address();
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    let first = balancer.listener();
    let (mut client, mut backend) = balancer.relay();
    balancer.remove_address();
    balancer.reload(&[]);
    balancer.turn_while_there_is_something();
    assert!(balancer.listener().is_same(&first));
    assert_eq!(balancer.listener().address(), other);
    assert_eq!(client.send(3), 3);
    balancer.turn_while_there_is_something();
    assert_eq!(balancer.read(&mut backend), Read::Bytes(3));
    // A client of the other address is of the same listener.
    balancer.client();
    balancer.next_backend();
    assert_eq!(balancer.listener().counters.sum(|of| of.active.get()), 2);
}
