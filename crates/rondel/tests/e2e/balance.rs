//! The backend of the next connection, exactly, whichever worker accepts it.

use std::collections::BTreeSet;

use crate::lb::{Lb, closes, total};
use crate::peers::{Backend, Client, End, refusing};
use crate::place::{address, eventually};
use crate::setup::{Setup, Target};

#[test]
fn round_robin_is_exact_over_two_workers() {
    let backends = [Backend::named("a", 9001), Backend::named("b", 9002), Backend::named("c", 9003)];
    let lb = Lb::start(&Setup::to(&backends.each_ref().map(Backend::target)));

    assert_eq!(picks(&lb, 300), "abc".repeat(100));
    assert_eq!(backends.each_ref().map(Backend::accepted), [100, 100, 100]);
}

#[test]
fn weights_are_spread_smoothly() {
    let backends = [Backend::named("a", 9001), Backend::named("b", 9002), Backend::named("c", 9003)];
    let [a, b, c] = backends.each_ref().map(Backend::target);
    let lb = Lb::start(&Setup::to(&[a.weighing(5), b, c]));

    assert_eq!(picks(&lb, 21), "aabacaa".repeat(3));
}

#[test]
fn weight_zero_takes_no_connections() {
    let backends = [Backend::named("a", 9001), Backend::named("b", 9002), Backend::named("c", 9003)];
    let [a, b, c] = backends.each_ref().map(Backend::target);
    let lb = Lb::start(&Setup::to(&[a, b.weighing(0), c]));

    assert_eq!(picks(&lb, 10), "ac".repeat(5));
    assert_eq!(backends[1].accepted(), 0);
}

#[test]
fn a_reload_that_keeps_the_pool_continues_the_rotation() {
    let backends = [Backend::named("a", 9001), Backend::named("b", 9002), Backend::named("c", 9003)];
    let targets: [Target; 3] = backends.each_ref().map(Backend::target);
    let lb = Lb::start(&Setup::to(&targets));

    assert_eq!(picks(&lb, 4), "abca");
    lb.reload(&Setup::to(&targets).listen("other", address(8081), "web", ""));
    assert_eq!(picks(&lb, 4), "bcab");
    lb.reload(&Setup::to_with("idle_timeout: 2h", &targets));
    assert_eq!(picks(&lb, 4), "cabc");
}

#[test]
fn fewest_connections_is_exact_over_two_workers() {
    let backends = [Backend::named("a", 9001), Backend::named("b", 9002), Backend::named("c", 9003)];
    let [a, b, c] = backends.each_ref().map(Backend::target);
    let lb = Lb::start(&Setup::to_with("balance: least_connections", &[a.weighing(3), b, c]));

    let clients: Vec<_> = (0..100).map(|_| lb.connect()).collect();
    let mut served: Vec<_> = clients.into_iter().map(|mut client| (client.line(), client)).collect();
    assert_eq!(backends.each_ref().map(Backend::accepted), [60, 20, 20]);
    // All clients of `b` leave: it gets all of the next ones, once its connections are closed.
    served.retain(|(name, _)| name != "b");
    eventually("b takes the next ten", || {
        let next: Vec<_> = (0..10).map(|_| lb.connect()).collect();
        next.into_iter().all(|mut client| client.line() == "b")
    });
}

#[test]
fn two_draws_spread_connections_evenly() {
    let backends = [Backend::named("a", 9001), Backend::named("b", 9002), Backend::named("c", 9003)];
    let lb = Lb::start(&Setup::to_with("balance: random", &backends.each_ref().map(Backend::target)));
    let mut clients: Vec<_> = (0..300).map(|_| lb.connect()).collect();
    for client in &mut clients {
        client.line();
    }
    // With one draw it would be about 100 each, give or take 8; with two it is give or take one or two.
    let each = backends.each_ref().map(Backend::accepted);
    assert!(each.iter().all(|count| count.abs_diff(100) <= 5), "{each:?}");
}

#[test]
fn a_failed_attempt_is_no_longer_counted() {
    let b = Backend::named("b", 9002);
    let targets = [refusing("a", 9001), b.target().weighing(2)];
    let lb = Lb::start(&Setup::to_with("balance: least_connections, eject: off", &targets));

    // The first two find `b` at least as idle for its weight, all others try `a` first. If its connections were
    // still counted, it would seem as busy as `b` to half of them.
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = lb.connect();
        assert_eq!(client.line(), "b");
        clients.push(client);
    }
    drop(clients);
    assert_eq!(total(&lb.end(), "backend=a", "picked"), 18);
}

#[test]
fn a_queued_client_is_served_when_a_backend_has_room() {
    let a = Backend::named("a", 9001);
    let settings = "queue: { size: 1, timeout: 60s }";
    let lb = Lb::start(&Setup::to_with(settings, &[a.target().with("max_connections: 1")]));

    let mut first = lb.connect();
    assert_eq!(first.line(), "a");
    let mut second = lb.connect();
    assert!(second.silent());
    assert_eq!(lb.turn_away(), End::Reset);
    drop(first);
    assert_eq!(second.line(), "a");
    drop(second);
    assert_eq!(closes(&lb.end(), "queue_full"), 1);
}

#[test]
fn a_client_address_always_gets_the_same_backend() {
    let backends = [Backend::named("a", 9001), Backend::named("b", 9002), Backend::named("c", 9003)];
    let lb = Lb::start(&Setup::to_with("balance: maglev", &backends.each_ref().map(Backend::target)));

    let serves = |client: u8| Client::connect_from([127, 0, 0, client].into(), lb.address()).unwrap().line();
    let first: Vec<String> = (1..=32).map(serves).collect();
    let again: Vec<String> = (1..=32).map(serves).collect();
    assert_eq!(first, again);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3);
}

/// The backends of this many connections in turn.
#[track_caller]
fn picks(lb: &Lb, count: usize) -> String {
    (0..count).map(|_| lb.connect().line()).collect()
}
