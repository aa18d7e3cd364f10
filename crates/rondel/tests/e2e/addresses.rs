//! Addresses of listeners and backends: both families, one socket for both, and addresses that the host does not
//! have yet.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use crate::admin::Admin;
use crate::lb::{Lb, run_with, total};
use crate::peers::{Backend, Client};
use crate::place::{address, eventually, free_v6};
use crate::setup::{Setup, target, target_at};

#[test]
fn clients_and_backends_use_ipv6() {
    let backend = Backend::named_at(target_at("six", free_v6()));
    let listener = free_v6();
    let lb =
        Lb::start(&Setup::to(&[backend.target()]).without_listeners().listen("web", listener, "web", ""));

    let mut client = Client::connect(listener);
    assert_eq!(client.line(), "six");
    client.echoes(b"over IPv6");
    drop(client);
    drop(lb);
}

#[test]
fn a_listener_has_several_addresses_and_ranges_with_one_bound_and_one_count() {
    let backend = Backend::named("a", 9001);
    let ip = address(8000).ip();
    let (range, alone) = (format!("{ip}:8000-8002"), format!("{ip}:8010"));
    let setup = |addresses: &[&str]| {
        let setup = Setup::to(&[backend.target()]).without_listeners();
        setup.listen_at("web", addresses, "web", "max_connections: 4")
    };
    let admin = Admin::new();
    let lb = Lb::start(&admin.of(setup(&[&range, &alone])));
    let mut clients: Vec<Client> = [8000, 8001, 8002, 8010].map(|port| Client::connect(address(port))).into();
    assert!(clients.iter_mut().all(|client| client.line() == "a"));
    // The bound is of all of them together.
    let mut waits = Client::connect(address(8001));
    eventually("it is full", || admin.done("status").contains("it has 4 of 4 connections"));
    assert_eq!(backend.accepted(), 4);
    clients.remove(0);
    assert_eq!(waits.line(), "a");

    // A reload takes one of them and brings another: the rest goes on, and what came by it.
    let mark = lb.mark();
    lb.reload(&admin.of(setup(&[&format!("{ip}:8001-8003"), &alone])));
    let change = format!("~ listener web: address {ip}:8000-8002, {ip}:8010 -> {ip}:8001-8003, {ip}:8010");
    lb.wait_for(&change, mark);
    assert!(TcpStream::connect(address(8000)).is_err());
    for client in &mut clients {
        client.echoes(b"still here");
    }
    drop(waits);
    assert_eq!(Client::connect(address(8003)).line(), "a");
    drop(clients);
    // It kept its counts.
    assert_eq!(total(&lb.end(), "listener=web", "accepted"), 6);
}

#[test]
fn a_port_of_a_range_that_is_taken_refuses_the_whole_start() {
    let _other = TcpListener::bind(address(8001)).unwrap();
    let range = format!("{}:8000-8002", address(8000).ip());
    let setup = Setup::to(&[target("a", 9001)]).without_listeners();
    let said = run_with(&[], &setup.listen_at("web", &[&range], "web", ""));
    assert_ne!(said.code, 0);
    assert!(
        said.text.contains(&format!("listener web: cannot listen on {}", address(8001))),
        "{}",
        said.text
    );
    assert!(TcpStream::connect(address(8000)).is_err());
}

#[test]
fn ipv6_clients_reach_ipv4_backends() {
    let backend = Backend::named("four", 9001);
    let listener = free_v6();
    let lb =
        Lb::start(&Setup::to(&[backend.target()]).without_listeners().listen("web", listener, "web", ""));

    assert_eq!(Client::connect(listener).line(), "four");
    drop(lb);
}

#[test]
fn the_ipv6_wildcard_accepts_ipv4_too() {
    let backend = Backend::named("both", 9001);
    let wildcard = free_wildcard();
    let lb =
        Lb::start(&Setup::to(&[backend.target()]).without_listeners().listen("web", wildcard, "web", ""));

    for loopback in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        assert_eq!(Client::connect(SocketAddr::new(loopback, wildcard.port())).line(), "both");
    }
    drop(lb);
}

#[test]
fn with_v6only_the_ipv6_wildcard_excludes_ipv4() {
    let backend = Backend::named("six", 9001);
    let wildcard = free_wildcard();
    let setup = Setup::to(&[backend.target()]).without_listeners();
    let lb = Lb::start(&setup.listen("web", wildcard, "web", "v6only: true"));

    assert_eq!(Client::connect((Ipv6Addr::LOCALHOST, wildcard.port()).into()).line(), "six");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, wildcard.port())).is_err());
    drop(lb);
}

#[test]
fn an_absent_address_is_bound_with_freebind_and_else_exits_with_4() {
    let setup = Setup::to(&[target("a", 9001)]).without_listeners();
    let patient = setup.clone().listen("web", NOT_HELD.into(), "web", "freebind: true");
    drop(Lb::start(&patient));

    let said = run_with(&[], &setup.listen("web", NOT_HELD.into(), "web", ""));
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains(&SocketAddr::from(NOT_HELD).to_string()), "{}", said.text);
    assert!(said.text.contains("freebind"), "the message has no cure: {}", said.text);
}

/// An address for documentation (RFC 5737), which no host has.
const NOT_HELD: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 8080);

fn free_wildcard() -> SocketAddr {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap()
}
