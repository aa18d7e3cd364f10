//! One writer: standbys that serve one at a time, in the order of the file.

use crate::admin::Admin;
use crate::failover::actor::{Actor, PROBE, Played, asks, served};
use crate::failover::heard;
use crate::lb::{Lb, closes};
use crate::peers::{Backend, End, refusing};
use crate::setup::Setup;

#[test]
fn one_backup_serves_at_a_time_and_the_one_before_loses_its_connections() {
    let [a, b, c] = [("a", 9001), ("b", 9002), ("c", 9003)]
        .map(|(name, port)| Actor::new(name, port, if name == "a" { Played::Ill } else { Played::Replica }));
    let settings = format!("{PROBE}, backups: first, on_demotion: close, on_down: close");
    let backup = |actor: &Actor| actor.target().with("tier: backup");
    let lb = Lb::start(&Setup::to_with(&settings, &[a.target(), backup(&b), backup(&c)]));
    let mut sessions: Vec<_> = (0..4).map(|_| served(&lb)).collect();
    assert!(sessions.iter().all(|(name, _)| name == "b"), "two of them serve");

    let mark = lb.mark();
    b.plays(Played::Ill);
    heard(&lb, "b", "is down", mark);
    assert!(sessions.drain(..).all(|(_, mut client)| client.end() == End::Reset));
    let mut at_c = served(&lb);
    assert_eq!([&at_c.0, &served(&lb).0], ["c", "c"]);

    let mark = lb.mark();
    b.plays(Played::Replica);
    heard(&lb, "b", "is up", mark);
    assert_eq!(at_c.1.end(), End::Reset);
    assert_eq!(served(&lb).0, "b");
    assert_eq!(closes(&lb.end(), "demoted"), 1);
}

#[test]
fn with_manual_failback_a_backup_that_returns_waits_for_the_command() {
    let [a, b, c] = [("a", 9001), ("b", 9002), ("c", 9003)]
        .map(|(name, port)| Actor::new(name, port, if name == "c" { Played::Replica } else { Played::Ill }));
    let settings = format!("{PROBE}, backups: first, failback: manual");
    let backup = |actor: &Actor| actor.target().with("tier: backup");
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(Setup::to_with(&settings, &[a.target(), backup(&b), backup(&c)])));
    let mut session = served(&lb);
    assert_eq!(session.0, "c");

    let mark = lb.mark();
    b.plays(Played::Replica);
    heard(&lb, "b", "is up", mark);
    assert_eq!(served(&lb).0, "c");
    admin.done("failback web");
    assert_eq!(served(&lb).0, "b");
    assert_eq!(asks(&mut session.1), "c", "`on_demotion: keep` is the default");
}

#[test]
fn with_balance_first_a_backend_that_refuses_is_not_replaced_before_it_is_down() {
    let b = Backend::named("b", 9002);
    let settings = "balance: first, eject: { failures: 3 }, attempts: 3";
    let lb = Lb::start(&Setup::to_with(settings, &[refusing("a", 9001), b.target()]));
    let mark = lb.mark();
    for _ in 0..3 {
        assert_eq!(lb.turn_away(), End::Reset);
    }
    heard(&lb, "a", "ejected", mark);
    assert_eq!(lb.connect().line(), "b");
    assert_eq!(b.accepted(), 1);
}

#[test]
fn with_balance_first_the_next_backend_takes_what_is_beyond_the_bound() {
    let [a, b] = [Backend::named("a", 9001), Backend::named("b", 9002)];
    let lb =
        Lb::start(&Setup::to_with("balance: first", &[a.target().with("max_connections: 2"), b.target()]));
    let served: Vec<_> = (0..5)
        .map(|_| {
            let mut client = lb.connect();
            (client.line(), client)
        })
        .collect();
    assert_eq!(served.iter().map(|(name, _)| name.as_str()).collect::<String>(), "aabbb");
}
