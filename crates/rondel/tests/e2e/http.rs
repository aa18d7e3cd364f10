//! nginx as backend, wrk as client: every request is answered, and every backend gets its share of connections.

use crate::lb::{Lb, assert_no_kernel_workers};
use crate::place::eventually;
use crate::programs::{Nginx, Reuse, wrk};
use crate::setup::Setup;

#[test]
fn two_backends_under_keep_alive() {
    load(&[Nginx::start("a", 9001), Nginx::start("b", 9002)], Reuse::KeepAlive);
}

#[test]
fn three_backends_under_keep_alive() {
    load(&nginx_times_three(), Reuse::KeepAlive);
}

#[test]
fn two_backends_with_a_connection_per_request() {
    load(&[Nginx::start("a", 9001), Nginx::start("b", 9002)], Reuse::ConnectionPerRequest);
}

#[test]
fn three_backends_with_a_connection_per_request() {
    load(&nginx_times_three(), Reuse::ConnectionPerRequest);
}

fn nginx_times_three() -> [Nginx; 3] {
    [Nginx::start("a", 9001), Nginx::start("b", 9002), Nginx::start("c", 9003)]
}

#[track_caller]
fn load(backends: &[Nginx], reuse: Reuse) {
    let targets: Vec<_> = backends.iter().map(Nginx::target).collect();
    let lb = Lb::start(&Setup::to(&targets));
    let before: Vec<u64> = backends.iter().map(Nginx::accepted).collect();

    let (load, threads) = lb.threads_during(|| wrk(lb.address(), 60, 3, reuse));
    load.flawless();
    assert_no_kernel_workers(&threads);

    // Strict turns: no backend has two connections more than another. The query itself adds one to each.
    let mut shares = Vec::new();
    eventually("shares are equal", || {
        shares = backends.iter().zip(&before).map(|(nginx, before)| nginx.accepted() - before).collect();
        shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1
    });
    println!("{reuse:?}: {} requests, connections {shares:?}", load.requests);
    // wrk opens one more connection than requested, to test the address.
    let connections: u64 = shares.iter().sum();
    match reuse {
        Reuse::KeepAlive => assert!((60..=70).contains(&connections), "{shares:?}"),
        Reuse::ConnectionPerRequest => assert!(connections >= load.requests, "{shares:?}"),
    }
}
