//! Who is written to and who is read from, while servers change their roles; and what becomes of their clients.

use crate::failover::actor::{Actor, PROBE, Played, asks, pair, served};
use crate::failover::{heard, in_force};
use crate::lb::{Lb, all_closes, closes, total};
use crate::peers::{Client, End};
use crate::place::address;
use crate::setup::{PORT, Setup};

#[test]
fn writers_follow_the_role_and_leave_who_has_lost_it() {
    let [a, b] = pair(Played::Primary, Played::Replica);
    let lb = Lb::start(&writers("", "", &[&a, &b]));
    let (name, mut session) = served(&lb);
    assert_eq!(name, "a");

    let mark = lb.mark();
    a.plays(Played::Replica);
    b.plays(Played::Primary);
    heard(&lb, "a", "role changed from primary to replica", mark);
    heard(&lb, "b", "role changed from replica to primary", mark);
    assert_eq!(session.end(), End::Reset);
    assert_eq!(served(&lb).0, "b");
    assert_eq!(closes(&lb.end(), "role_lost"), 1);
}

#[test]
fn sessions_may_be_kept_with_who_has_lost_its_role() {
    let [a, b] = pair(Played::Primary, Played::Replica);
    let lb = Lb::start(&writers("on_role_loss: keep", "", &[&a, &b]));
    let (_, mut session) = served(&lb);

    let mark = lb.mark();
    b.plays(Played::Primary);
    a.plays(Played::Replica);
    heard(&lb, "a", "role changed from primary to replica", mark);
    heard(&lb, "b", "role changed from replica to primary", mark);
    assert_eq!(asks(&mut session), "a");
    assert_eq!(served(&lb).0, "b");
}

#[test]
fn a_second_one_that_claims_gets_nothing() {
    let [a, b] = pair(Played::Primary, Played::Replica);
    let lb = Lb::start(&writers("", "", &[&a, &b]));
    let (_, mut session) = served(&lb);

    let mark = lb.mark();
    b.plays(Played::Primary);
    lb.wait_for("backends a, b all say that they are the primary", mark);
    in_force(&lb);
    for _ in 0..10 {
        assert_eq!(served(&lb).0, "a");
    }
    assert_eq!(asks(&mut session), "a");
    drop(session);
    assert_eq!(total(&lb.end(), "backend=b", "picked"), 0);
}

#[test]
fn readers_go_to_replicas_and_to_the_primary_only_when_there_is_none() {
    let [a, b] = pair(Played::Primary, Played::Replica);
    let lb = Lb::start(&readers("primary", &[&a, &b]));
    for _ in 0..10 {
        assert_eq!(served(&lb).0, "b");
    }
    let (_, mut session) = served(&lb);
    let mark = lb.mark();
    b.plays(Played::Neither);
    heard(&lb, "b", "role changed from replica to ", mark);
    assert_eq!(served(&lb).0, "a");
    // What it reads is no worse than before.
    assert_eq!(asks(&mut session), "b");
}

#[test]
fn readers_may_be_refused_rather_than_led_to_the_primary() {
    let [a, b] = pair(Played::Primary, Played::Neither);
    let lb = Lb::start(&readers("none", &[&a, &b]));
    assert_eq!(lb.turn_away(), End::Reset);
    assert_eq!(closes(&lb.end(), "no_backend"), 1);
}

#[test]
fn writers_are_held_until_there_is_a_primary() {
    let [a, b] = pair(Played::Replica, Played::Replica);
    let lb = Lb::start(&writers("", "hold: { connections: 10, timeout: 60s }", &[&a, &b]));
    let mut held: Vec<Client> = (0..10).map(|_| lb.connect()).collect();
    for client in &mut held {
        // What they say early is kept for whoever will be there.
        client.send(b"who?\n");
    }
    assert!(held[0].silent());

    let mark = lb.mark();
    b.plays(Played::Primary);
    lb.wait_for("backend b: role changed from replica to primary", mark);
    for client in &mut held {
        assert_eq!(client.line(), "b");
    }
    drop(held);
    let log = lb.end();
    assert_eq!(total(&log, "backend=b", "picked"), 10);
    assert_eq!(total(&log, "backend=a", "picked"), 0);
}

#[test]
fn no_more_are_held_than_may_be_and_no_longer() {
    let [a, b] = pair(Played::Replica, Played::Replica);
    let lb = Lb::start(&writers("", "hold: { connections: 1, timeout: 2s }", &[&a, &b]));
    let mut held = lb.connect();
    assert_eq!(lb.turn_away(), End::Reset);
    assert_eq!(held.end(), End::Reset);
    let ends = all_closes(&lb.end());
    assert_eq!((ends.get("no_primary"), ends.get("hold_full")), (Some(&1), Some(&1)), "{ends:?}");
}

/// A pool whose writers come to the first listener.
fn writers(pool: &str, listener: &str, servers: &[&Actor]) -> Setup {
    cluster(pool, &format!("role: primary, {listener}"), servers)
}

/// A pool whose readers come to the first listener.
fn readers(fallback: &str, servers: &[&Actor]) -> Setup {
    cluster("", &format!("role: replica, fallback: {fallback}"), servers)
}

fn cluster(pool: &str, listener: &str, servers: &[&Actor]) -> Setup {
    let targets: Vec<_> = servers.iter().map(|server| server.target()).collect();
    Setup::empty().listen("web", address(PORT), "web", listener).pool(
        "web",
        &format!("{PROBE}, {pool}"),
        &targets,
    )
}
