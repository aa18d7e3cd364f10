//! Reasons to end: each is reached, and told of in the metrics, in the access log and in the list of those that ended last alike.
//!
//! What takes packets that are dropped, or a shortage, is told of in `attack`, where the access log is held to the same.

use rustix::process::Signal;
use serde_json::Value;

use super::{AccessLog, parse, text};
use crate::failover::actor::{Actor, PROBE, Played, served};
use crate::lb::Lb;
use crate::peers::{Backend, End, Unanswering, refusing};
use crate::place::{PATIENCE, address, eventually, holds_within};
use crate::setup::{PORT, Setup, Target};

#[test]
fn what_both_sides_do() {
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
fn what_becomes_of_attempts() {
    let away = |lb: &Lb| assert_eq!(lb.turn_away(), End::Reset);
    check(&Setup::to(&[refusing("a", 9001)]), &[("connect_refused", "SC", 1)], away);
    let unanswering = Unanswering::new("a", 9002);
    let setup = Setup::to_with("connect_timeout: 300ms", &[unanswering.target()]);
    check(&setup, &[("connect_timed_out", "sC", 1)], away);
    check(&Setup::to(&[refusing("a", 9003).weighing(0)]), &[("no_backend", "SC", 1)], away);
}

#[test]
fn what_becomes_of_those_who_wait() {
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
fn what_becomes_of_those_whose_backend_is_not_what_it_was() {
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
fn what_becomes_of_those_who_are_left_at_the_end() {
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
    let [line] = &log.lines()[..] else { panic!("{:?}", log.lines()) };
    let termination = &parse(line)["termination"];
    assert_eq!((text(&termination["code"]), text(&termination["reason"])), ("KD".into(), "drained".into()));
}

/// A session is cut when the actor plays another role.
#[track_caller]
fn cut(lb: &Lb, actor: &Actor, played: Played) {
    let (_, mut session) = served(lb);
    actor.plays(played);
    assert_eq!(session.end(), End::Reset);
}

/// Does something to a balancer, and asserts that connections ended for these reasons, with these codes, so often each.
#[track_caller]
fn check(setup: &Setup, expected: &[(&str, &str, u64)], attack: impl FnOnce(&Lb)) {
    let log = AccessLog::new();
    let lb = Lb::start(&log.admin(setup.clone()).access_log(&log.json()));
    attack(&lb);
    let lines: u64 = expected.iter().map(|(.., count)| count).sum();
    let written = holds_within(PATIENCE, || log.lines().len() as u64 >= lines);
    assert!(written, "{expected:?} of {:#?}", log.lines());
    let written: Vec<Value> = log.lines().iter().map(|line| parse(line)).collect();
    assert_eq!(written.len() as u64, lines, "{written:#?}");
    eventually("those that ended are listed", || {
        parse(&log.ask("/ended.json")).as_array().unwrap().len() as u64 == lines
    });
    let listed = parse(&log.rondel(["connections", "--ended", "--json"]));
    for &(reason, code, count) in expected {
        let is_one = |line: &&Value| {
            let termination = &line["termination"];
            termination["reason"] == reason && termination["code"] == code
        };
        assert_eq!(written.iter().filter(is_one).count() as u64, count, "{reason} {code}: {written:#?}");
        assert_eq!(listed.as_array().unwrap().iter().filter(is_one).count() as u64, count, "{listed:#?}");
        let series =
            format!("rondel_listener_connections_closed_total{{listener=\"web\",reason=\"{reason}\"}}");
        assert_eq!(log.metric(&series), count, "{reason}");
    }
    lb.end();
}
