//! Connections that are no longer used are closed on both sides, and counted by their reason.

use std::thread;
use std::time::{Duration, Instant};

use crate::lb::{Lb, closes};
use crate::peers::{Backend, Peer, accept, listen};
use crate::place::{address, eventually};
use crate::setup::{Setup, target};

#[test]
fn a_silent_connection_is_closed_on_both_sides() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to_with("idle_timeout: 500ms", &[target("web", 9001)]));

    let begun = Instant::now();
    let mut client = lb.connect();
    let mut backend = accept(&listener);
    client.send(b"once");
    assert_eq!(backend.receive(4), b"once");
    client.end();
    backend.end();
    closed_between(begun, 500, 2_000);
    assert_eq!(closes(&lb.end(), "idle"), 1);
}

#[test]
fn a_trickle_in_one_direction_keeps_a_connection_alive() {
    let backend = Backend::scripted("trickle", 9001, |mut peer| {
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(100));
            peer.send(b".");
        }
    });
    let lb = Lb::start(&Setup::to_with("idle_timeout: 500ms", &[backend.target()]));

    assert_eq!(lb.connect().rest(), b".".repeat(20));
    assert_eq!(closes(&lb.end(), "idle"), 0);
}

#[test]
fn a_client_that_stops_reading_is_idle_although_data_is_pending() {
    let backend = Backend::source(9001, 4);
    let lb = Lb::start(&Setup::to_with("idle_timeout: 500ms", &[backend.target()]));

    let begun = Instant::now();
    let client = lb.connect();
    assert!(client.wait_cut());
    closed_between(begun, 500, 5_000);
    assert_eq!(closes(&lb.end(), "idle"), 1);
}

// Everything is in the kernel, and nothing moves here; but the client's kernel still receives it.
#[test]
fn a_client_that_reads_slowly_is_not_idle() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to_with("idle_timeout: 1s", &[target("web", 9001)]));

    let mut client = lb.connect();
    let mut backend = accept(&listener);
    backend.send(&vec![b'.'; 1_500_000]);
    for _ in 0..25 {
        thread::sleep(Duration::from_millis(120));
        assert_eq!(client.receive(60_000).len(), 60_000);
    }
    // Both can continue as if nothing had happened.
    client.send(b"more");
    assert_eq!(backend.receive(4), b"more");
    drop((client, backend));
    assert_eq!(closes(&lb.end(), "idle"), 0);
}

#[test]
fn a_half_closed_connection_is_closed_after_the_timeout() {
    let backend = Backend::mute(9001);
    let lb = Lb::start(&Setup::to_with("half_closed_timeout: 500ms", &[backend.target()]));

    let begun = Instant::now();
    let mut client = lb.connect();
    client.finish();
    client.end();
    closed_between(begun, 500, 2_000);
    assert_eq!(closes(&lb.end(), "half_closed_timeout"), 1);
}

#[test]
fn a_direction_works_within_the_timeout_of_the_other() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to_with("half_closed_timeout: 500ms", &[target("web", 9001)]));

    let mut client = lb.connect();
    let mut backend = accept(&listener);
    client.finish();
    assert_eq!(backend.rest(), b"");
    // Within the timeout the other direction works.
    backend.send(b"still here");
    assert_eq!(client.receive(10), b"still here");
    backend.finish();
    assert_eq!(client.rest(), b"");
    assert_eq!(closes(&lb.end(), "done"), 1);
}

#[track_caller]
fn closed_between(begun: Instant, earliest: u64, latest: u64) {
    let took = begun.elapsed();
    let expected = Duration::from_millis(earliest)..Duration::from_millis(latest);
    assert!(expected.contains(&took), "closed after {took:?}, expected {expected:?}");
}

#[test]
fn both_sockets_have_their_keepalive() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to_with(
        "keepalive: { idle: 2s, interval: 1s, probes: 3 }",
        &[target("web", 9001)],
    ));

    let mut client = lb.connect();
    let mut backend = accept(&listener);
    client.send(b"once");
    assert_eq!(backend.receive(4), b"once");
    // The backend's socket gets it when it is first needed: once it has been idle for `idle`.
    eventually("both sockets have a keepalive timer", || {
        [&client, &backend].into_iter().all(|peer| keepalive_left(peer).is_some())
    });
    client.send(b"more");
    assert_eq!(backend.receive(4), b"more");
}

/// The time left on the keepalive timer of the socket connected to `peer`, if it runs; the timer has number 2, and a
/// unit of 10 ms (proc(5)).
pub(crate) fn keepalive_left(peer: &Peer) -> Option<Duration> {
    let row = peer.row_of_other_end()?;
    let left = row[5].strip_prefix("02:")?;
    Some(Duration::from_millis(10 * u64::from_str_radix(left, 16).unwrap()))
}
