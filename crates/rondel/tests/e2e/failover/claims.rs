//! Two servers that both claim to be the primary: which one gets writes while the file is reloaded and operators
//! run commands.

use std::time::Duration;

use crate::admin::Admin;
use crate::failover::claimant::{Claim, Claimant, Kind, asked, served};
use crate::failover::in_force;
use crate::lb::{Lb, closes, total};
use crate::peers::End;
use crate::place::{address, eventually};
use crate::setup::{PORT, Setup};

#[test]
fn a_reload_keeps_the_role_with_the_newer_timeline_of_postgres() {
    leaves_the_role(Kind::Postgres);
}

#[test]
fn a_reload_keeps_the_role_of_two_redis() {
    leaves_the_role(Kind::Redis);
}

#[test]
fn a_reload_keeps_the_role_of_two_mariadb() {
    leaves_the_role(Kind::MariaDb);
}

/// The old primary `b` is back and claims the role; `a` holds it, and answers a little later. Reloads change one
/// key after another.
#[track_caller]
fn leaves_the_role(kind: Kind) {
    let (a, b) = pair(kind);
    let lb = Lb::start(&setup("interval: 100ms", "", kind, [&b, &a]));
    let (name, session) = served(kind, &lb);
    assert_eq!(name, "a");
    let mark = lb.mark();
    b.claims(Claim::Primary, 1);
    lb.wait_for("backends b, a all report that they are the primary", mark);
    a.takes(Duration::from_millis(50));

    let lag = if kind == Kind::MariaDb { "1h" } else { "1GiB" };
    for (probe, pool) in [
        ("interval: 110ms", ""),
        ("interval: 120ms, timeout: 2s", ""),
        ("interval: 120ms, timeout: 2s, fall: 5", ""),
        ("interval: 120ms, rise: 5", ""),
        ("interval: 120ms, jitter: 20%", ""),
        ("interval: 120ms, fast_interval: 110ms", &format!("max_lag: {lag}")),
        ("interval: 100ms", "eject: off"),
        ("interval: 100ms", "slow_start: 1s, on_down: close"),
    ] {
        lb.reload(&setup(probe, pool, kind, [&b, &a]));
        // Before the next answers, and after them.
        assert_eq!(served(kind, &lb).0, "a", "{probe} {pool}");
        b.answers(2);
        a.answers(2);
        in_force(&lb);
        assert_eq!(served(kind, &lb).0, "a", "{probe} {pool}");
    }
    assert!(session.silent(), "it was closed");
    drop(session);
    let log = lb.end();
    assert_eq!((total(&log, "backend=b", "picked"), closes(&log, "role_lost")), (0, 0), "{log}");
}

#[test]
fn another_claim_gets_the_role_when_its_holder_is_disabled() {
    for kind in [Kind::Postgres, Kind::Redis, Kind::MariaDb] {
        let (a, b) = pair(kind);
        let admin = Admin::new();
        let lb = Lb::start(&admin.of(setup("interval: 100ms", "", kind, [&b, &a])));
        let (name, mut session) = served(kind, &lb);
        assert_eq!(name, "a");
        let mark = lb.mark();
        b.claims(Claim::Primary, 1);
        lb.wait_for("backends b, a all report that they are the primary", mark);

        admin.done("disable web/a");
        assert_eq!(served(kind, &lb).0, "b", "{kind:?}");
        assert_eq!(session.end(), End::Reset);
        admin.done("enable web/a");
        a.answers(2);
        in_force(&lb);
        assert_eq!(served(kind, &lb).0, "b", "{kind:?}: it has the role now");
    }
}

#[test]
fn another_claim_gets_the_role_after_the_deadline_of_its_drained_holder() {
    let kind = Kind::Postgres;
    let (a, b) = pair(kind);
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(setup("interval: 100ms", "", kind, [&b, &a])));
    let (_, mut session) = served(kind, &lb);
    let mark = lb.mark();
    b.claims(Claim::Primary, 1);
    lb.wait_for("backends b, a all report that they are the primary", mark);

    // Its writers stay, so there is no other one meanwhile.
    admin.done("drain web/a");
    let mut held = lb.connect();
    held.send(b"who?\n");
    assert!(held.silent() && session.silent());
    admin.done("drain web/a --timeout 1s");
    assert_eq!(held.line(), "b");
    assert_eq!(session.end(), End::Reset);
    assert_eq!(served(kind, &lb).0, "b");
}

#[test]
fn a_primary_that_rejects_probes_loses_the_role_to_a_newer_timeline() {
    let kind = Kind::Postgres;
    let (a, b) = pair(kind);
    let lb = Lb::start(&setup("interval: 100ms", "", kind, [&b, &a]));
    assert_eq!(served(kind, &lb).0, "a");
    let mark = lb.mark();
    a.claims(Claim::Full, 2);
    lb.wait_for("backend a: probe failed: too many connections", mark);
    a.answers(5);
    in_force(&lb);
    assert_eq!(served(kind, &lb).0, "a", "nothing claims beside it");

    b.claims(Claim::Primary, 1);
    lb.wait_for("backend b: role changed from replica to primary", mark);
    b.answers(3);
    in_force(&lb);
    assert_eq!(served(kind, &lb).0, "a", "the other one is older");

    b.claims(Claim::Primary, 3);
    eventually("the role passes", || lb.log_from(mark).contains("pool web: backend b is the primary"));
    assert_eq!(served(kind, &lb).0, "b");
}

/// The primary `a`, on timeline 2, and `b`, which follows it.
fn pair(kind: Kind) -> (Claimant, Claimant) {
    (Claimant::new(kind, "a", 9001, Claim::Primary, 2), Claimant::new(kind, "b", 9002, Claim::Replica, 1))
}

fn setup(probe: &str, pool: &str, kind: Kind, servers: [&Claimant; 2]) -> Setup {
    Setup::empty()
        .listen("web", address(PORT), "web", "role: primary, hold: { connections: 10, timeout: 60s }")
        .pool(
            "web",
            &format!("probe: {{ {}, {probe} }}, {pool}", asked(kind)),
            &servers.map(Claimant::target),
        )
}
