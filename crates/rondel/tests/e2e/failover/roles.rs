//! The backends of writers and readers while servers change their roles, and what happens to their connections.

use crate::failover::actor::{Actor, PROBE, Played, asks, pair, served};
use crate::failover::{heard, in_force};
use crate::lb::{Lb, all_closes, closes, total};
use crate::peers::{Client, End};
use crate::place::address;
use crate::setup::{PORT, Setup};

#[test]
fn writers_follow_the_role_and_leave_its_old_holder() {
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
fn with_on_role_loss_keep_sessions_stay_with_the_old_primary() {
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
fn a_second_claim_gets_no_connections() {
    let [a, b] = pair(Played::Primary, Played::Replica);
    let lb = Lb::start(&writers("", "", &[&a, &b]));
    let (_, mut session) = served(&lb);

    let mark = lb.mark();
    b.plays(Played::Primary);
    lb.wait_for("backends a, b all report that they are the primary", mark);
    in_force(&lb);
    for _ in 0..10 {
        assert_eq!(served(&lb).0, "a");
    }
    assert_eq!(asks(&mut session), "a");
    drop(session);
    assert_eq!(total(&lb.end(), "backend=b", "picked"), 0);
}

#[test]
fn readers_use_the_primary_only_when_there_is_no_replica() {
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
    // What it reads is no older than before.
    assert_eq!(asks(&mut session), "b");
}

#[test]
fn without_a_fallback_readers_are_rejected_when_there_is_no_replica() {
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
        // Early data of held clients is kept for the server.
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
fn hold_is_bounded_in_number_and_time() {
    let [a, b] = pair(Played::Replica, Played::Replica);
    let lb = Lb::start(&writers("", "hold: { connections: 1, timeout: 2s }", &[&a, &b]));
    let mut held = lb.connect();
    assert_eq!(lb.turn_away(), End::Reset);
    assert_eq!(held.end(), End::Reset);
    let ends = all_closes(&lb.end());
    assert_eq!((ends.get("no_primary"), ends.get("hold_full")), (Some(&1), Some(&1)), "{ends:?}");
}

/// A pool whose writers use the first listener.
fn writers(pool: &str, listener: &str, servers: &[&Actor]) -> Setup {
    cluster(pool, &format!("role: primary, {listener}"), servers)
}

/// A pool whose readers use the first listener.
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
