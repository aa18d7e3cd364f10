//! Who gets the next connection: exactly the one whose turn it is, whatever worker accepts it.

use crate::lb::Lb;
use crate::peers::Backend;
use crate::place::address;
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
fn weight_zero_takes_nothing() {
    let backends = [Backend::named("a", 9001), Backend::named("b", 9002), Backend::named("c", 9003)];
    let [a, b, c] = backends.each_ref().map(Backend::target);
    let lb = Lb::start(&Setup::to(&[a, b.weighing(0), c]));

    assert_eq!(picks(&lb, 10), "ac".repeat(5));
    assert_eq!(backends[1].accepted(), 0);
}

#[test]
fn a_reload_that_keeps_the_pool_goes_on_where_it_was() {
    let backends = [Backend::named("a", 9001), Backend::named("b", 9002), Backend::named("c", 9003)];
    let targets: [Target; 3] = backends.each_ref().map(Backend::target);
    let lb = Lb::start(&Setup::to(&targets));

    assert_eq!(picks(&lb, 4), "abca");
    lb.reload(&Setup::to(&targets).listen("other", address(8081), "web", ""));
    assert_eq!(picks(&lb, 4), "bcab");
    lb.reload(&Setup::to_with("idle_timeout: 2h", &targets));
    assert_eq!(picks(&lb, 4), "cabc");
}

/// The backends that so many connections, one after the other, are given to.
#[track_caller]
fn picks(lb: &Lb, count: usize) -> String {
    (0..count).map(|_| lb.connect().line()).collect()
}
