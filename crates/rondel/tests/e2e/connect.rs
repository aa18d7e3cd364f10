//! Backends that cannot be reached, and clients beyond the limits.

use std::time::{Duration, Instant};

use crate::lb::{Lb, closes};
use crate::peers::{Backend, End, Unanswering, refusing};
use crate::place::address;
use crate::setup::Setup;

#[test]
fn a_client_does_not_notice_a_backend_that_refuses() {
    let backend = Backend::named("b", 9002);
    let lb = Lb::start(&Setup::to(&[refusing("a", 9001), backend.target()]));

    let begun = Instant::now();
    for _ in 0..20 {
        let mut client = lb.connect();
        client.send(b"early");
        assert_eq!(client.line(), "b");
        assert_eq!(client.receive(5), b"early");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let log = lb.end();
    assert_eq!(closes(&log, "connect_refused"), 0);
    assert_eq!(closes(&log, "done"), 20);
}

#[test]
fn a_client_is_reset_when_every_backend_refuses() {
    let lb = Lb::start(&Setup::to(&[refusing("a", 9001), refusing("b", 9002)]));

    assert_eq!(lb.turn_away(), End::Reset);
    assert_eq!(closes(&lb.end(), "connect_refused"), 1);
}

#[test]
fn the_number_of_attempts_is_exact() {
    let backend = Backend::named("c", 9003);
    let backends = [refusing("a", 9001), refusing("b", 9002), backend.target()];
    let lb = Lb::start(&Setup::to_with("attempts: 2", &backends));

    // It begins with `a`, and `b` is the second and last attempt.
    assert_eq!(lb.turn_away(), End::Reset);
    assert_eq!(closes(&lb.end(), "connect_refused"), 1);
}

#[test]
fn a_backend_that_does_not_answer_delays_a_client_by_the_timeout() {
    let (unanswering, backend) = (Unanswering::new("a", 9001), Backend::named("b", 9002));
    let lb = Lb::start(&Setup::to_with("connect_timeout: 300ms", &[unanswering.target(), backend.target()]));

    let begun = Instant::now();
    assert_eq!(lb.connect().line(), "b");
    let took = begun.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(2)).contains(&took), "{took:?}");
}

#[test]
fn a_client_is_reset_when_no_backend_answers() {
    let unanswering = Unanswering::new("a", 9001);
    let lb = Lb::start(&Setup::to_with("connect_timeout: 300ms", &[unanswering.target()]));

    assert_eq!(lb.turn_away(), End::Reset);
    assert_eq!(closes(&lb.end(), "connect_timed_out"), 1);
}

#[test]
fn a_pool_whose_backends_have_weight_zero_resets_its_clients() {
    let backend = Backend::named("a", 9001);
    let lb = Lb::start(&Setup::to(&[backend.target().weighing(0)]));

    assert_eq!(lb.turn_away(), End::Reset);
    assert_eq!(closes(&lb.end(), "no_backend"), 1);
    assert_eq!(backend.accepted(), 0);
}

#[test]
fn a_client_over_the_limit_waits_and_is_served_when_another_leaves() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]).without_listeners();
    let lb = Lb::start(&setup.listen("web", address(8080), "web", "max_connections: 2"));

    let (mut first, mut second) = (lb.connect(), lb.connect());
    assert_eq!((first.line(), second.line()), ("a".into(), "a".into()));
    for _ in 0..3 {
        let waiting = lb.connect();
        assert!(waiting.silent(), "served or rejected");
        let left = Instant::now();
        drop(std::mem::replace(&mut first, waiting));
        assert_eq!(first.line(), "a");
        assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
    }
    second.echoes(b"untouched");
    drop((first, second));
    assert_eq!(closes(&lb.end(), "no_descriptor"), 0);
}

#[test]
fn backends_see_the_source_address_of_the_pool() {
    let backend = Backend::scripted("who", 9001, |mut peer| {
        let from = peer.0.peer_addr().unwrap().ip();
        peer.send(from.to_string().as_bytes());
    });
    // By default, the kernel would connect from 127.0.0.1.
    let source = address(0).ip();
    let lb = Lb::start(&Setup::to_with(&format!("source: {source}"), &[backend.target()]));

    assert_eq!(lb.connect().rest(), source.to_string().as_bytes());
}
