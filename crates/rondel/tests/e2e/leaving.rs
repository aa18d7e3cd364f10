//! Connections whose backend is drained with a deadline, or that a reload removes with their backend or listener.

use std::net::TcpStream;

use crate::admin::Admin;
use crate::lb::{Lb, closes, total};
use crate::peers::{Backend, Client, End};
use crate::place::{address, eventually};
use crate::setup::Setup;

#[test]
fn connections_of_a_removed_backend_end_within_the_timeout() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let setup = |backends: &[_]| admin.of(Setup::to_with("on_remove_timeout: 2s", backends));
    let lb = Lb::start(&setup(&[a.target(), b.target()]));
    let mut sessions = sessions(&lb, 8);

    lb.reload(&setup(&[b.target()]));
    for (_, client) in &mut sessions {
        client.echoes(b"in the first half");
    }
    let status = admin.done("status");
    assert!(
        status.contains("removed backend a") && status.contains("which still has 4 connections: "),
        "{status}"
    );
    let backends = admin.done("backends");
    assert!(
        backends.lines().any(|line| line.starts_with("web/a ") && line.contains("removed")),
        "{backends}"
    );
    for (name, client) in &mut sessions {
        match name.as_str() {
            "a" => assert_eq!(client.end(), End::Reset),
            _ => client.echoes(b"as before"),
        }
    }
    eventually("nothing is listed", || !admin.done("status").contains("removed backend"));
    drop(sessions);
    assert_eq!(closes(&lb.end(), "removed"), 4);
}

#[test]
fn on_remove_can_keep_connections_or_close_them_at_once() {
    for (on_remove, end) in [("keep", None), ("close", Some(End::Reset))] {
        let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
        let settings = format!("on_remove: {on_remove}");
        let lb = Lb::start(&Setup::to_with(&settings, &[a.target()]));
        let mut session = lb.connect();
        assert_eq!(session.line(), "a");
        lb.reload(&Setup::to_with(&settings, &[b.target()]));
        match end {
            None => session.echoes(b"as before"),
            Some(end) => assert_eq!(session.end(), end),
        }
        assert_eq!(lb.connect().line(), "b");
        drop(session);
        assert_eq!(closes(&lb.end(), "removed"), u64::from(on_remove == "close"), "{on_remove}");
    }
}

#[test]
fn a_removed_listener_closes_its_connections() {
    let a = Backend::named("a", 9001);
    let setup = Setup::to_with("on_remove: close", &[a.target()]);
    let lb = Lb::start(&setup.clone().listen("second", address(8081), "web", ""));
    let (mut stays, mut goes) = (lb.connect(), Client::connect(address(8081)));
    assert_eq!([stays.line(), goes.line()], ["a", "a"]);

    lb.reload(&setup);
    assert_eq!(goes.end(), End::Reset);
    stays.echoes(b"as before");
    eventually("the port is closed", || TcpStream::connect(address(8081)).is_err());
    drop(stays);
    assert_eq!(total(&lb.end(), "listener=second", "closed_removed"), 1);
}

#[test]
fn a_backend_that_returns_keeps_its_connections() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let setup = |backends: &[_]| admin.of(Setup::to_with("on_remove_timeout: 2s", backends));
    let both = setup(&[a.target(), b.target()]);
    let lb = Lb::start(&both);
    let mut sessions = sessions(&lb, 4);
    lb.reload(&setup(&[b.target()]));
    assert!(admin.done("status").contains("removed backend a"));
    lb.reload(&both);
    assert!(!admin.done("status").contains("removed backend a"));
    // Its counters continue: two kept connections, among all that it ever had.
    let line = |backends: &str| backends.lines().find(|line| line.starts_with("web/a ")).unwrap().to_owned();
    let words = line(&admin.done("backends"));
    assert_eq!(words.split_whitespace().nth(8), Some("2"), "{words}");
    // A drain of the same length that begins now ends after it would have.
    admin.done("drain web/b --timeout 2s --wait 20");
    for (name, client) in &mut sessions {
        match name.as_str() {
            "a" => client.echoes(b"as before"),
            _ => assert_eq!(client.end(), End::Reset),
        }
    }
    drop(sessions);
    let log = lb.end();
    assert_eq!((closes(&log, "removed"), closes(&log, "backend_drained")), (0, 2));
}

#[test]
fn a_drain_with_a_deadline_shows_its_progress_and_can_be_undone() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let admin = Admin::new();
    let setup = admin.of(Setup::to(&[a.target(), b.target()]));
    let lb = Lb::start(&setup);
    let mut sessions = sessions(&lb, 4);
    assert!(
        admin.done("drain web/a --timeout 1h").contains("web/a is drained within 1h; it has 2 connections")
    );
    // It survives a reload.
    lb.reload(&setup);
    let backends = admin.done("backends");
    let line = backends.lines().find(|line| line.starts_with("web/a ")).unwrap();
    assert!(line.contains("drained(1h left)") || line.contains("drained(59m"), "{line}");
    admin.done("undrain web/a");
    assert!(!admin.done("backends").contains("drained"));
    for (_, client) in &mut sessions {
        client.echoes(b"as before");
    }

    admin.done("drain web/a --timeout 1s --wait 20");
    assert_eq!(lb.connect().line(), "b");
    for line in ["drain web/a --timeout 1", "drain web/a --timeout soon"] {
        assert_eq!(admin.rondel(line).code, 2, "{line}");
    }
    assert!(admin.refused("drain web/a --timeout 25h").contains("at most"));
    drop(sessions);
    assert_eq!(closes(&lb.end(), "backend_drained"), 2);
}

/// This many clients, and the backend of each.
fn sessions(lb: &Lb, number: usize) -> Vec<(String, Client)> {
    let session = |_| {
        let mut client = lb.connect();
        (client.line(), client)
    };
    (0..number).map(session).collect()
}
