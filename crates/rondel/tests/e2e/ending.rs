//! Signals and exit codes, which init systems and scripts rely on.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::lb::{Lb, closes, run_with};
use crate::peers::{Backend, End, listen};
use crate::place::{address, eventually};
use crate::setup::Setup;

#[test]
fn without_connections_shutdown_is_immediate() {
    for signal in [Signal::TERM, Signal::INT] {
        let backend = Backend::named("a", 9001);
        let mut lb = Lb::start(&Setup::to(&[backend.target()]));
        assert_eq!(lb.connect().line(), "a");
        eventually("the connection is gone", || lb.sockets() == 0);

        let asked = Instant::now();
        lb.signal(signal);
        assert_eq!(lb.ended(), 0, "{}", lb.log_text());
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
}

#[test]
fn a_connection_may_finish_during_the_drain() {
    let backend = Backend::named("a", 9001);
    let mut lb = Lb::start(&Setup::to(&[backend.target()]).runtime("workers: 2, drain_timeout: 20s"));

    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    lb.signal(Signal::TERM);
    eventually("new connections are refused", || TcpStream::connect(lb.address()).is_err());
    client.echoes(b"still works");
    client.send(b"last").finish();
    assert_eq!(client.rest(), b"last");
    assert_eq!(lb.ended(), 0, "{}", lb.log_text());
    assert_eq!(closes(&lb.log_text(), "drained"), 0);
}

#[test]
fn a_connection_that_does_not_finish_is_closed_at_the_drain_timeout() {
    let backend = Backend::named("a", 9001);
    let mut lb = Lb::start(&Setup::to(&[backend.target()]).runtime("workers: 2, drain_timeout: 500ms"));

    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    let asked = Instant::now();
    lb.signal(Signal::TERM);
    assert_eq!(client.end(), End::Reset);
    assert!(asked.elapsed() >= Duration::from_millis(500), "{:?}", asked.elapsed());
    assert_eq!(lb.ended(), 6, "{}", lb.log_text());
    assert_eq!(closes(&lb.log_text(), "drained"), 1);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let backend = Backend::named("a", 9001);
    let mut lb = Lb::start(&Setup::to(&[backend.target()]).runtime("workers: 2, drain_timeout: 1h"));

    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    lb.signal(Signal::TERM);
    // There is no connection to detect it by: one that is accepted before would be counted, too.
    lb.wait_for("draining: ", 0);
    lb.signal(Signal::TERM);
    assert_eq!(client.end(), End::Reset);
    // It was requested, so it is not a failure.
    assert_eq!(lb.ended(), 0, "{}", lb.log_text());
    assert_eq!(closes(&lb.log_text(), "drained"), 1);
}

#[test]
fn a_reload_during_the_drain_is_rejected() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]).runtime("workers: 2, drain_timeout: 20s");
    let mut lb = Lb::start(&setup);

    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    lb.signal(Signal::TERM);
    eventually("it drains", || TcpStream::connect(lb.address()).is_err());
    lb.signal(Signal::HUP);
    lb.wait_for("not reloading while draining", 0);
    client.echoes(b"still works");
    assert!(TcpStream::connect(lb.address()).is_err());
    drop(client);
    assert_eq!(lb.ended(), 0, "{}", lb.log_text());
}

#[test]
fn a_wrong_configuration_exits_with_3() {
    let backend = Backend::named("a", 9001);
    let said = run_with(&[], &Setup::to_with("balance: randomly", &[backend.target()]));
    assert_eq!(said.code, 3, "{}", said.text);
    assert!(said.text.contains("rondel.yaml:7"), "{}", said.text);
    assert!(said.text.contains("randomly"), "{}", said.text);
}

#[test]
fn a_port_in_use_exits_with_4() {
    let backend = Backend::named("a", 9001);
    let _held = listen(address(8080));
    let said = run_with(&[], &Setup::to(&[backend.target()]));
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains(&address(8080).to_string()), "{}", said.text);
}

#[test]
fn a_second_balancer_on_the_same_port_exits_with_4() {
    let backend = Backend::named("a", 9001);
    let lb = Lb::start(&Setup::to(&[backend.target()]));
    let said = run_with(&[], &Setup::to(&[backend.target()]));
    assert_eq!(said.code, 4, "{}", said.text);
    for _ in 0..20 {
        assert_eq!(lb.connect().line(), "a");
    }
}

#[test]
fn a_restart_on_the_same_port_is_immediate() {
    let backend = Backend::scripted("brief", 9001, |mut peer| {
        peer.send(b"a\n");
    });
    for _ in 0..5 {
        let lb = Lb::start(&Setup::to(&[backend.target()]));
        // The balancer's side closes first, which leaves TIME_WAIT there.
        let mut client = lb.connect();
        assert_eq!(client.rest(), b"a\n");
        drop(client);
        lb.end();
    }
}

#[test]
fn a_restart_after_a_kill_is_immediate() {
    let backend = Backend::named("a", 9001);
    for _ in 0..5 {
        let lb = Lb::start(&Setup::to(&[backend.target()]));
        let clients = [lb.connect(), lb.connect(), lb.connect()];
        for mut client in clients {
            assert_eq!(client.line(), "a");
        }
        lb.kill();
    }
}
