//! Signals: a storm of SIGHUPs, and SIGTERM, once and twice, in every state of a connection.

use std::any::Any;

use rustix::process::Signal;

use super::stand::{Stand, on_each_stand};
use crate::lb::{Lb, total};
use crate::peers::{Backend, Client, End, Unanswering, accept, listen};
use crate::place::{address, eventually, long_lane};
use crate::setup::{Setup, target};

#[test]
fn no_connection_notices_a_thousand_reloads_with_broken_files_in_between() {
    let reloads = if long_lane() { 1_000 } else { 200 };
    let deep = "[".repeat(10_000);
    let garbage = ["", "\0\u{1}", "version: 1\nlisteners: [", "a: &a [*a, *a]", "version: 99\n", &deep];
    on_each_stand(|stand| {
        let backend = Backend::named("a", 9001);
        let lb = stand.start(&Setup::to(&[backend.target()]));
        let good = [lb.setup().clone(), lb.setup().clone().listen("second", address(8081), "web", "")];
        let mut standing = lb.connect();
        assert_eq!(standing.line(), "a");
        for number in 0..reloads {
            match number % 2 {
                0 => lb.write_config(&good[number / 2 % 2]),
                _ => lb.write_config(&garbage[number / 2 % garbage.len()]),
            }
            lb.signal(Signal::HUP);
            let mut client = lb.connect();
            assert_eq!(client.line(), "a");
            client.echoes(b"new");
            standing.echoes(b"as before");
        }
        lb.reload(&good[1]);
        assert_eq!(Client::connect(address(8081)).line(), "a");
        lb.reload(&good[0]);
        drop(standing);
        lb.recovered(&[("done", reloads as u64 + 1)]);
    });
}

#[test]
fn unfinished_connections_in_every_state_are_reset_at_the_drain_timeout() {
    on_each_stand(|stand| {
        let mut each = EachState::new(stand, "drain_timeout: 500ms");
        each.lb.signal(Signal::TERM);
        each.are_reset();
        assert_eq!(each.lb.ended(), 6, "{}", each.lb.log_text());
        each.are_counted_as_drained();
    });
}

#[test]
fn a_second_signal_resets_connections_in_every_state() {
    for second in [Signal::TERM, Signal::INT] {
        on_each_stand(|stand| {
            let mut each = EachState::new(stand, "drain_timeout: 1h");
            each.lb.signal(Signal::TERM);
            each.lb.wait_for("draining", 0);
            each.lb.signal(second);
            each.are_reset();
            assert_eq!(each.lb.ended(), 0, "{}", each.lb.log_text());
            each.are_counted_as_drained();
        });
    }
}

#[test]
fn a_signal_during_the_start_ends_the_process() {
    on_each_stand(|stand| {
        for second in [None, Some(Signal::TERM)] {
            let setup = stand.complete("drain_timeout: 5s", &Setup::to(&[target("a", 9001)]));
            let mut lb = Lb::run_under(stand.wrapper(), &setup);
            // Its first line, before it listens.
            lb.wait_for("workers=", 0);
            lb.signal(Signal::TERM);
            if let Some(second) = second {
                lb.signal(second);
            }
            assert_eq!(lb.ended(), 0, "{}", lb.log_text());
        }
    });
}

#[test]
fn a_signal_in_a_storm_of_reloads_is_handled() {
    on_each_stand(|stand| {
        let backend = Backend::named("a", 9001);
        let setup = stand.complete("drain_timeout: 5s", &Setup::to(&[backend.target()]));
        let mut lb = Lb::start_under(stand.wrapper(), &setup);
        let mut client = lb.connect();
        assert_eq!(client.line(), "a");
        for _ in 0..200 {
            lb.signal(Signal::HUP);
        }
        lb.signal(Signal::TERM);
        for _ in 0..200 {
            lb.signal(Signal::HUP);
        }
        lb.wait_for("draining", 0);
        client.echoes(b"still works");
        drop(client);
        assert_eq!(lb.ended(), 0, "{}", lb.log_text());
    });
}

/// A balancer with a connection in each state, each at a listener of that name.
struct EachState {
    lb: Lb,
    held: Vec<(&'static str, Client)>,
    /// What keeps them there.
    _kept: Vec<Box<dyn Any>>,
}

impl EachState {
    #[track_caller]
    fn new(stand: Stand, runtime: &str) -> Self {
        let unanswering = Unanswering::new("connecting", 9001);
        let [silent, half_closed, stuck, full] = [9002, 9003, 9004, 9005].map(|port| listen(address(port)));
        let mut setup = Setup::default();
        for (number, (name, limit)) in (1..).zip([
            ("connecting", ""),
            ("silent", ""),
            ("half-closed", ""),
            ("stuck", ""),
            ("full", "max_connections: 1"),
        ]) {
            let backend = target(name, 9000 + number);
            setup = setup.listen(name, address(8080 + number), name, limit).pool(
                name,
                "connect_timeout: 5m",
                &[backend],
            );
        }
        let lb = Lb::start_under(stand.wrapper(), &stand.complete(runtime, &setup));

        let connecting = Client::connect(address(8081));
        eventually("it connects", || lb.sockets() == 2);

        let mut client = Client::connect(address(8082));
        client.send(b"heard");
        let mut quiet = accept(&silent);
        assert_eq!(quiet.receive(5), b"heard");
        let silent = client;

        let mut client = Client::connect(address(8083));
        client.send(b"all").finish();
        let mut half = accept(&half_closed);
        assert_eq!(half.rest(), b"all");
        let half_closed = client;

        let client = Client::connect(address(8084));
        client.send_now(40, 0, 1);
        let unread = accept(&stuck);
        assert!(client.stuff(40, 32 << 20) > 1 << 20);
        let stuck = client;

        let mut client = Client::connect(address(8085));
        client.send(b"heard");
        let mut only = accept(&full);
        assert_eq!(only.receive(5), b"heard");
        let waiting = Client::connect(address(8085));
        let full = client;

        Self {
            lb,
            held: vec![
                ("connecting", connecting),
                ("silent", silent),
                ("half-closed", half_closed),
                ("stuck", stuck),
                ("full", full),
                ("waiting", waiting),
            ],
            _kept: vec![Box::new(unanswering), Box::new((quiet, half, unread, only))],
        }
    }

    #[track_caller]
    fn are_reset(&mut self) {
        for (state, client) in &mut self.held {
            assert_eq!((*state, client.end()), (*state, End::Reset));
        }
    }

    /// All except for the client in the accept queue, which was never accepted.
    #[track_caller]
    fn are_counted_as_drained(&self) {
        let log = self.lb.log_text();
        for state in ["connecting", "silent", "half-closed", "stuck", "full"] {
            assert_eq!(total(&log, &format!("listener={state}"), "closed_drained"), 1, "{state}:\n{log}");
            assert_eq!(total(&log, &format!("listener={state}"), "active"), 0, "{state}:\n{log}");
        }
    }
}
