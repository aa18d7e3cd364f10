//! Close reasons: each is reached, and the metrics, the access log and the list of ended connections agree on it.
//!
//! Reasons that need dropped packets or a shortage are reached in `attack`, with the same checks.

use std::collections::BTreeMap;

use connection::CloseReason;
use rustix::process::Signal;
use serde_json::Value;

use super::{AccessLog, parse, text};
use crate::failover::actor::{Actor, PROBE, Played, served};
use crate::lb::{Lb, all_closes};
use crate::peers::{Backend, End, Unanswering, refusing};
use crate::place::{PATIENCE, address, eventually, holds_within};
use crate::setup::{PORT, Setup, Target};

#[test]
fn reasons_caused_by_both_sides() {
    let echo = Backend::echo(9001);
    let resetting = Backend::scripted("resetting", 9002, |mut peer| {
        peer.receive(1);
        peer.reset();
    });
    let to = |backend: &Backend, settings: &str| Setup::to_with(settings, &[backend.target()]);
    check(&to(&echo, ""), &[("done", "--", 1)], |lb| super::visit(lb, 1));
    check(&to(&echo, ""), &[("client_reset", "CD", 1)], |lb| {
        let mut client = lb.connect();
        client.echoes(b"x");
        client.reset();
    });
    check(&to(&resetting, ""), &[("backend_reset", "SD", 1)], |lb| {
        let mut client = lb.connect();
        client.send(b"x");
        assert_eq!(client.end(), End::Reset);
    });
    let mute = Backend::mute(9003);
    let short = "idle_timeout: 300ms, half_closed_timeout: 300ms";
    check(&to(&mute, short), &[("idle", "cD", 1)], |lb| assert_eq!(lb.connect().end(), End::Reset));
    check(&to(&mute, short), &[("idle", "sD", 1)], |lb| {
        assert_eq!(lb.connect().send(b"and?").end(), End::Reset);
    });
    check(&to(&mute, short), &[("half_closed_timeout", "sD", 1)], |lb| {
        assert_eq!(lb.connect().finish().end(), End::Reset);
    });
}

#[test]
fn reasons_of_failed_attempts() {
    let away = |lb: &Lb| assert_eq!(lb.turn_away(), End::Reset);
    check(&Setup::to(&[refusing("a", 9001)]), &[("connect_refused", "SC", 1)], away);
    let unanswering = Unanswering::new("a", 9002);
    let setup = Setup::to_with("connect_timeout: 300ms", &[unanswering.target()]);
    check(&setup, &[("connect_timed_out", "sC", 1)], away);
    check(&Setup::to(&[refusing("a", 9003).weighing(0)]), &[("no_backend", "SC", 1)], away);
}

#[test]
fn reasons_of_waiting_clients() {
    let backend = Backend::named("a", 9001);
    let full = |queue: &str| Setup::to_with(queue, &[backend.target().with("max_connections: 1")]);
    check(&full("queue: { size: 0, timeout: 1s }"), &[("done", "--", 1), ("queue_full", "PQ", 1)], |lb| {
        let mut first = lb.connect();
        assert_eq!(first.line(), "a");
        assert_eq!(lb.turn_away(), End::Reset);
        first.finish().rest();
    });
    check(
        &full("queue: { size: 1, timeout: 300ms }"),
        &[("done", "--", 1), ("queue_timed_out", "sQ", 1)],
        |lb| {
            let mut first = lb.connect();
            assert_eq!(first.line(), "a");
            assert_eq!(lb.turn_away(), End::Reset);
            first.finish().rest();
        },
    );
    let replica = Actor::new("b", 9002, Played::Replica);
    let writers = |hold: &str| {
        let setup = Setup::to_with(PROBE, &[replica.target()]).without_listeners();
        setup.listen("web", address(PORT), "web", &format!("role: primary, hold: {{ {hold} }}"))
    };
    let away = |lb: &Lb| assert_eq!(lb.turn_away(), End::Reset);
    check(&writers("connections: 0, timeout: 1s"), &[("hold_full", "PQ", 1)], away);
    check(&writers("connections: 1, timeout: 300ms"), &[("no_primary", "sQ", 1)], away);
}

#[test]
fn reasons_of_clients_that_do_not_show_themselves() {
    let echo = Backend::echo(9001);
    let web = |settings: &str| {
        let setup = Setup::to(&[echo.target()]).runtime("workers: 1, drain_timeout: 5s").without_listeners();
        setup.listen("web", address(PORT), "web", settings)
    };
    let from = |prefix: &str| format!("proxy_protocol: {{ from: [\"{prefix}\"] }}");
    check(&web(&from("127.0.0.0/8")), &[("proxy_invalid", "PR", 2)], |lb| {
        assert_eq!(lb.connect().send(b"GET / HTTP/1.1\r\n\r\n").end(), End::Reset);
        assert_eq!(lb.connect().send(b"PROXY TCP4 ").finish().end(), End::Reset);
    });
    check(&web(&from("192.0.2.0/24")), &[("untrusted_proxy", "PR", 1)], |lb| {
        assert_eq!(lb.turn_away(), End::Reset);
    });
    let short = from("127.0.0.0/8") + ", opening: { timeout: 300ms }";
    check(&web(&short), &[("opening_timed_out", "cR", 1)], |lb| assert_eq!(lb.connect().end(), End::Reset));
    let few = from("127.0.0.0/8") + ", opening: { connections: 2 }";
    check(&web(&few), &[("client_reset", "CR", 2), ("opening_full", "PR", 1)], |lb| {
        let mut clients = [lb.connect(), lb.connect(), lb.connect()];
        assert_eq!(clients[0].end(), End::Reset, "the oldest goes");
        let [_, second, third] = clients;
        second.reset();
        third.reset();
    });
}

#[test]
fn reasons_of_clients_that_are_refused_for_their_address() {
    let echo = Backend::echo(9001);
    let web = |settings: &str| {
        let setup = Setup::to(&[echo.target()]).without_listeners();
        setup.listen("web", address(PORT), "web", settings)
    };
    let denied = web("access: nobody").access("nobody", "rules: [{ deny: 127.0.0.0/8 }]");
    check(&denied, &[("denied", "PR", 1)], |lb| assert_eq!(lb.turn_away(), End::Reset));
    let denied = web("access: nobody, proxy_protocol: { from: any }")
        .access("nobody", "rules: [{ deny: 192.0.2.0/24 }]");
    check(&denied, &[("denied", "PR", 1), ("done", "--", 1)], |lb| {
        let header = |client: &str| format!("PROXY TCP4 {client} 198.51.100.1 1000 443\r\n");
        assert_eq!(lb.connect().send(header("192.0.2.1").as_bytes()).end(), End::Reset);
        let mut client = lb.connect();
        client.send(header("203.0.113.1").as_bytes()).echoes(b"x");
        client.finish().rest();
    });
    let few = web("limits: few").limits("few", "connections: 1");
    check(&few, &[("done", "--", 1), ("source_limit", "PR", 1)], |lb| {
        let mut first = lb.connect();
        first.echoes(b"x");
        assert_eq!(lb.turn_away(), End::Reset);
        first.finish().rest();
    });
    let slow = web("limits: slow").limits("slow", "rate: 1/m, burst: 1");
    check(&slow, &[("done", "--", 1), ("source_rate", "PR", 1)], |lb| {
        let mut first = lb.connect();
        first.echoes(b"x");
        first.finish().rest();
        assert_eq!(lb.turn_away(), End::Reset);
    });
}

#[test]
fn reasons_of_clients_that_no_route_takes() {
    let echo = Backend::echo(9001);
    let web = |settings: &str| {
        let setup = Setup::to(&[echo.target()]).without_listeners();
        let routes = "routes: [{ sni: [a.example], pool: web }]";
        setup.listen("web", address(PORT), "web", &format!("{routes}, {settings}"))
    };
    check(&web(""), &[("hello_invalid", "PR", 2)], |lb| {
        assert_eq!(lb.connect().send(b"GET / HTTP/1.1\r\n\r\n").end(), End::Reset);
        assert_eq!(lb.connect().send(b"\x16\x03\x01").finish().end(), End::Reset);
    });
    check(&web("unknown: refuse"), &[("no_route", "PR", 1)], |lb| {
        // A hello without extensions, and so without a name.
        let before = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0]].concat();
        let length = u8::try_from(before.len()).unwrap();
        let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &before].concat();
        assert_eq!(lb.connect().send(&hello).end(), End::Reset);
    });
    let short = "opening: { timeout: 300ms }";
    check(&web(short), &[("opening_timed_out", "cR", 1)], |lb| assert_eq!(lb.connect().end(), End::Reset));
}

#[test]
fn reasons_of_changed_backends() {
    let setup = |settings: &str, targets: &[Target]| Setup::to_with(&format!("{PROBE}{settings}"), targets);
    let a = Actor::new("a", 9001, Played::Replica);
    check(
        &setup(", on_down: close, on_all_down: closed", &[a.target()]),
        &[("backend_down", "DD", 1)],
        |lb| cut(lb, &a, Played::Ill),
    );

    let (a, b) = (Actor::new("a", 9002, Played::Ill), Actor::new("b", 9003, Played::Replica));
    let targets = [a.target(), b.target().with("tier: backup")];
    check(&setup(", on_demotion: close", &targets), &[("demoted", "UD", 1)], |lb| {
        cut(lb, &a, Played::Replica);
    });

    let a = Actor::new("a", 9004, Played::Primary);
    let writers = setup("", &[a.target()]).without_listeners();
    let writers = writers.listen("web", address(PORT), "web", "role: primary");
    check(&writers, &[("role_lost", "DD", 1)], |lb| cut(lb, &a, Played::Replica));
}

#[test]
fn reasons_caused_by_operators() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let to = |backend: &Backend| Setup::to_with("on_remove: close", &[backend.target()]);
    check_operated(&to(&a), &[("removed", "KD", 1)], |lb, log| {
        ends_one(lb, || lb.reload(&log.with_all(to(&b))));
    });
    check_operated(&to(&a), &[("backend_drained", "KD", 1)], |lb, log| {
        ends_one(lb, || log.rondel(["drain", "web/a", "--timeout", "1s"]));
    });
    check_operated(&to(&a), &[("closed_by_operator", "KD", 1)], |lb, log| {
        ends_one(lb, || log.rondel(["close", "--backend", "web/a"]));
    });
}

/// Only in the log and in the totals: afterwards no process serves metrics or the list. At the deadline of a drain,
/// as at a second signal, all remaining connections end at once, and the process with them.
#[test]
fn reasons_at_shutdown() {
    let echo = Backend::echo(9001);
    let log = AccessLog::new();
    let mut lb = Lb::start(&Setup::to(&[echo.target()]).access_log(&log.json()));
    let mut client = lb.connect();
    client.echoes(b"x");
    lb.signal(Signal::TERM);
    lb.wait_for("draining", 0);
    lb.signal(Signal::TERM);
    assert_eq!(client.end(), End::Reset);
    assert_eq!(lb.ended(), 0);
    assert_eq!(all_closes(&lb.log_text()), BTreeMap::from([("drained".into(), 1)]));
    let [line] = &log.lines()[..] else { panic!("{:?}", log.lines()) };
    let termination = &parse(line)["termination"];
    assert_eq!((text(&termination["code"]), text(&termination["reason"])), ("KD".into(), "drained".into()));
}

/// A new reason does not compile until the place that reaches it is named.
#[test]
fn each_reason_is_reached() {
    // A kernel without memory for sockets cannot be had here; the simulated one is.
    for reason in CloseReason::ALL.into_iter().filter(|&reason| reason != CloseReason::NoResources) {
        let name = format!("\"{}\"", reason.name());
        assert!(reached_in(reason).contains(&name), "{name} is not where it should be");
    }
}

/// The tests in which connections end for this reason.
fn reached_in(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::ClientLost => include_str!("../attack/clients.rs"),
        CloseReason::BackendLost | CloseReason::ConnectUnreachable => {
            include_str!("../attack/backends.rs")
        }
        CloseReason::NoSourceAddress => include_str!("../source.rs"),
        CloseReason::NoSourcePort | CloseReason::NoResources | CloseReason::NoDescriptor => {
            include_str!("../attack/shortage.rs")
        }
        CloseReason::UntrustedProxy
        | CloseReason::ProxyInvalid
        | CloseReason::OpeningTimedOut
        | CloseReason::OpeningFull
        | CloseReason::Denied
        | CloseReason::SourceLimit
        | CloseReason::SourceRate
        | CloseReason::Done
        | CloseReason::ClientReset
        | CloseReason::BackendReset
        | CloseReason::ConnectRefused
        | CloseReason::ConnectTimedOut
        | CloseReason::NoBackend
        | CloseReason::Idle
        | CloseReason::HalfClosedTimeout
        | CloseReason::Drained
        | CloseReason::NoPrimary
        | CloseReason::HoldFull
        | CloseReason::QueueFull
        | CloseReason::QueueTimedOut
        | CloseReason::HelloInvalid
        | CloseReason::NoRoute
        | CloseReason::BackendDown
        | CloseReason::Demoted
        | CloseReason::RoleLost
        | CloseReason::Removed
        | CloseReason::BackendDrained
        | CloseReason::ClosedByOperator => include_str!("reasons.rs"),
    }
}

/// The action resets a session of backend `a`.
#[track_caller]
fn ends_one<R>(lb: &Lb, done: impl FnOnce() -> R) {
    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    done();
    assert_eq!(client.end(), End::Reset);
}

/// A session is closed when the actor takes another role.
#[track_caller]
fn cut(lb: &Lb, actor: &Actor, played: Played) {
    let (_, mut session) = served(lb);
    actor.plays(played);
    assert_eq!(session.end(), End::Reset);
}

/// Runs an action on a balancer, and asserts that connections ended for these reasons, with these codes and counts.
#[track_caller]
fn check(setup: &Setup, expected: &[(&str, &str, u64)], attack: impl FnOnce(&Lb)) {
    check_operated(setup, expected, |lb, _| attack(lb));
}

/// The same for an action of the operator, at the admin socket or with another setup.
#[track_caller]
fn check_operated(setup: &Setup, expected: &[(&str, &str, u64)], attack: impl FnOnce(&Lb, &AccessLog)) {
    let log = AccessLog::new();
    let lb = Lb::start(&log.with_all(setup.clone()));
    attack(&lb, &log);
    let reasons = expected.iter().map(|&(reason, _, count)| (reason.to_owned(), count)).collect();
    log.tells_alike(&reasons);
    let codes = log.count(|line| {
        let termination = &line["termination"];
        Some((text(&termination["reason"]), text(&termination["code"])))
    });
    let expected =
        expected.iter().map(|&(reason, code, count)| ((reason.to_owned(), code.to_owned()), count));
    assert_eq!(codes, expected.collect());
    lb.end();
}

impl AccessLog {
    /// Asserts that connections of the listener `web` ended for exactly these reasons, by the access log, the
    /// metrics and the list of ended connections; all connections of `web` have ended.
    #[track_caller]
    pub(crate) fn tells_alike(&self, expected: &BTreeMap<String, u64>) {
        holds_within(PATIENCE, || self.reasons("web") == *expected);
        assert_eq!(self.reasons("web"), *expected, "reasons logged, and expected");
        eventually("the metrics agree", || self.closes_of_web() == *expected);
        // Of all listeners, only the last ones, with the latest end first. Lines are in the order in which they
        // were written.
        eventually("the list agrees", || {
            let mut listed = parse(&self.rondel(["connections", "--ended", "--json"]));
            let listed = listed.as_array_mut().unwrap();
            let lines: Vec<Value> = self.lines().iter().map(|line| parse(line)).collect();
            let ends = listed.iter().map(|one| text(&one["ended_at"]));
            assert!(ends.is_sorted_by(|one, next| one >= next), "{listed:#?}");
            // Only the list has the time of the end.
            for one in listed.iter_mut() {
                one.as_object_mut().unwrap().remove("ended_at");
            }
            listed.len() == lines.len().min(LISTED_MAX) && listed.iter().all(|one| lines.contains(one))
        });
    }

    /// The number of lines of connections of this listener, by reason; the log is JSON.
    #[track_caller]
    pub(crate) fn reasons(&self, listener: &str) -> BTreeMap<String, u64> {
        self.count(|line| (line["listener"] == listener).then(|| text(&line["termination"]["reason"])))
    }

    /// The count of each item; items that do not occur are missing.
    #[track_caller]
    fn count<K: Ord>(&self, kind: impl Fn(&Value) -> Option<K>) -> BTreeMap<K, u64> {
        let mut counts = BTreeMap::new();
        for kind in self.lines().iter().filter_map(|line| kind(&parse(line))) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// The counters of `web` by reason; those at zero are missing.
    #[track_caller]
    fn closes_of_web(&self) -> BTreeMap<String, u64> {
        let metrics = self.ask("/metrics");
        let of_line = |line: &str| {
            let start = "rondel_listener_connections_closed_total{listener=\"web\",reason=\"";
            let (reason, count) = line.strip_prefix(start)?.split_once("\"} ")?;
            Some((reason.to_owned(), count.parse().unwrap()))
        };
        metrics.lines().filter_map(of_line).filter(|(_, count)| *count > 0).collect()
    }
}

/// The length of the list.
const LISTED_MAX: usize = 100;
