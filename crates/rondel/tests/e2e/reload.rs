//! Reloads: what changes, what does not, and what is rejected as a whole.

use std::net::TcpStream;
use std::time::Duration;

use crate::lb::Lb;
use crate::peers::{Backend, Client, listen};
use crate::place::{address, eventually};
use crate::setup::Setup;
use crate::timeouts::keepalive_left;

#[test]
fn a_new_listener_is_bound() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]);
    let lb = Lb::start(&setup);
    assert!(refused(8081));

    let reloaded = lb.reload(&setup.listen("second", address(8081), "web", ""));
    lb.wait_for("+ listener second", reloaded);
    assert_eq!(Client::connect(address(8081)).line(), "a");
    assert_eq!(lb.connect().line(), "a");
}

#[test]
fn a_removed_listener_stops_accepting_and_its_connections_continue() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]);
    let lb = Lb::start(&setup.clone().listen("second", address(8081), "web", ""));

    let mut client = Client::connect(address(8081));
    assert_eq!(client.line(), "a");
    let reloaded = lb.reload(&setup);
    lb.wait_for("- listener second", reloaded);
    eventually("new connections are refused", || refused(8081));
    client.echoes(b"as before");
    drop(client);
}

#[test]
fn a_connection_keeps_its_backend_when_the_pool_changes() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let lb = Lb::start(&Setup::to(&[a.target()]));

    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    let reloaded = lb.reload(&Setup::to(&[b.target()]));
    lb.wait_for("~ pool web: + backend b", reloaded);
    lb.wait_for("- backend a", reloaded);
    assert_eq!(lb.connect().line(), "b");
    assert_eq!(lb.connect().line(), "b");
    client.echoes(b"still with a");
    assert_eq!((a.accepted(), b.accepted()), (1, 2));
    drop(client);
}

#[test]
fn a_listener_can_change_its_pool() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let setup = Setup::to(&[a.target()]).pool("other", "", &[b.target()]);
    let lb = Lb::start(&setup);
    assert_eq!(lb.connect().line(), "a");

    lb.reload(&setup.without_listeners().listen("web", address(8080), "other", ""));
    assert_eq!(lb.connect().line(), "b");
}

#[test]
fn one_address_that_cannot_be_bound_rejects_the_whole_reload() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let lb = Lb::start(&Setup::to(&[a.target()]));
    let _held = listen(address(8082));

    let refusal =
        lb.reload_refused(&Setup::to(&[b.target()]).listen("good", address(8081), "web", "").listen(
            "bad",
            address(8082),
            "web",
            "",
        ));
    lb.wait_for(&address(8082).to_string(), refusal);
    eventually("the good one is not bound either", || refused(8081));
    assert_eq!(lb.connect().line(), "a");
}

#[test]
fn a_refused_reload_leaves_the_sockets_of_listeners_as_they_are() {
    let backend = Backend::named("a", 9001);
    let pool = |idle: &str| {
        let keepalive = format!("keepalive: {{ idle: {idle}, interval: 1s, probes: 3 }}");
        Setup::to_with(&keepalive, &[backend.target()])
    };
    let lb = Lb::start(&pool("10s"));
    let _held = listen(address(8082));

    lb.reload_refused(&pool("1h").listen("bad", address(8082), "web", ""));
    let mut client = lb.connect();
    assert_eq!(client.line(), "a");
    let left = keepalive_left(&client);
    assert!(left.is_some_and(|left| left <= Duration::from_secs(10)), "{left:?} until it is probed");
    drop(client);
}

#[test]
fn a_broken_file_changes_nothing_and_is_named_by_its_line() {
    let (a, b) = (Backend::named("a", 9001), Backend::named("b", 9002));
    let lb = Lb::start(&Setup::to(&[a.target()]));

    let wrong = Setup::to_with("idle_timeoot: 1s", &[b.target()]).to_string();
    for (broken, named) in [
        (wrong.as_str(), "rondel.yaml:7"),
        ("version: 1\nlisteners: [", "rondel.yaml"),
        ("", "rondel.yaml"),
        ("\0\u{1}", "rondel.yaml"),
    ] {
        let refusal = lb.reload_refused(&broken);
        lb.wait_for(named, refusal);
        assert_eq!(lb.connect().line(), "a");
    }
    lb.reload(&Setup::to(&[b.target()]));
    assert_eq!(lb.connect().line(), "b");
}

#[test]
fn settings_that_need_a_restart_are_rejected_by_name() {
    let backend = Backend::named("a", 9001);
    let setup = Setup::to(&[backend.target()]);
    let lb = Lb::start(&setup);

    let refusal = lb.reload_refused(&setup.runtime("workers: 1"));
    lb.wait_for("runtime.workers", refusal);
    assert_eq!(lb.connect().line(), "a");
}

#[test]
fn a_lower_limit_closes_no_connection() {
    let backend = Backend::named("a", 9001);
    let lb = Lb::start(&Setup::to(&[backend.target()]));

    let mut clients = [lb.connect(), lb.connect(), lb.connect()];
    for client in &mut clients {
        assert_eq!(client.line(), "a");
    }
    let limited = Setup::to(&[backend.target()]).without_listeners();
    lb.reload(&limited.listen("web", address(8080), "web", "max_connections: 1"));
    for client in &mut clients {
        client.echoes(b"as before");
    }
    let mut waiting = lb.connect();
    assert!(waiting.silent(), "served over the new limit, or rejected");
    drop(clients);
    assert_eq!(waiting.line(), "a");
    drop(waiting);
}

/// Whether the port is closed.
fn refused(port: u16) -> bool {
    TcpStream::connect(address(port))
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}
