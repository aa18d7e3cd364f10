//! A host without IPv6: a port alone means every IPv4 address, and an explicit IPv6 address is rejected with a
//! cure.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::admin::Admin;
use crate::kernel::where_there_is_no_ipv6;
use crate::lb::{Lb, rondel_under, run_with};
use crate::peers::{Backend, Client};
use crate::place::{Folder, address};
use crate::setup::Setup;

/// A free port of every IPv4 address.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port()
}

/// `setup` with the listener `web` at `:PORT`.
fn at_port(setup: &Setup, port: u16) -> String {
    setup.to_string().replace(&format!("\"{}\"", address(8080)), &format!("\":{port}\""))
}

#[test]
fn a_port_alone_serves_ipv4_on_a_host_without_ipv6() {
    let backend = Backend::named("a", 9001);
    let admin = Admin::new();
    let [port, other, http] = [(); 3].map(|()| free_port());
    let setup = admin.of(Setup::to(&[backend.target()]));
    let config = at_port(&setup, port).replace(&format!("\"{}\"", Admin::http()), &format!("\":{http}\""));
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));

    let started = config.clone();
    let lb = where_there_is_no_ipv6(move || Lb::start(&started));
    lb.wait_for(&format!("ready: web on 0.0.0.0:{port};"), 0);
    lb.wait_for(&format!("status at http://0.0.0.0:{http}/"), 0);
    let mut client = Client::connect(at(port));
    assert_eq!(client.line(), "a");

    // What is equal stays: nothing is bound again, and no setting needs a restart.
    assert_eq!(admin.done("reload"), "nothing changed");
    client.echoes(b"through a reload");
    let folder = Folder::new();
    let file = folder.file("next.yaml");
    let moved = config.replace(&format!(":{port}"), &format!(":{other}"));
    std::fs::write(&file, &moved).unwrap();
    let plan = admin.done(&format!("plan {}", file.display()));
    assert_eq!(plan, format!("~ listener web: address 0.0.0.0:{port} -> 0.0.0.0:{other}"));
    lb.reload(&moved);
    assert_eq!(Client::connect(at(other)).line(), "a");
    assert!(admin.done("status").contains(&format!("0.0.0.0:{other}")));
}

#[test]
fn an_ipv6_address_that_is_written_out_exits_with_4_and_the_cure_on_a_host_without_ipv6() {
    let setup = Setup::to(&[crate::peers::refusing("a", 9001)]);
    let written_out = setup.to_string().replace(&address(8080).to_string(), "[::]:18080");
    let said = where_there_is_no_ipv6(move || run_with(&[], &written_out));
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains("use `:18080` for every address of the host"), "{}", said.text);

    let http = setup.admin("socket: off, http: \"[::1]:18081\"").to_string();
    let said = where_there_is_no_ipv6(move || run_with(&[], &http));
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains("or use an IPv4 address"), "{}", said.text);
}

#[test]
fn doctor_reports_a_host_without_ipv6() {
    let backend = Backend::named("a", 9001);
    let port = free_port();
    let folder = Folder::new();
    let file = folder.file("rondel.yaml");
    let doctor = |config: String| {
        std::fs::write(&file, config).unwrap();
        let file = file.to_str().unwrap().to_owned();
        where_there_is_no_ipv6(move || rondel_under(&[], &["doctor", &file]))
    };
    let config = at_port(&Setup::to(&[backend.target()]), port);
    let said = doctor(config.clone());
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains(&format!("ok    listener web: 0.0.0.0:{port} is free")), "{}", said.text);
    assert!(said.text.contains("ok    ipv6: the host has none"), "{}", said.text);

    let said = doctor(config.replace(&backend.target().address.to_string(), "[::1]:9001"));
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("fail  ipv6: the host has none"), "{}", said.text);
    assert!(said.text.contains("[::1]:9001 cannot be reached"), "{}", said.text);
}

#[test]
fn tcp_accepts_a_port_alone_on_a_host_without_ipv6() {
    let backend = Backend::named("a", 9001);
    let port = free_port();
    let to = backend.target().address.to_string();
    let _lb = where_there_is_no_ipv6(move || {
        Lb::command(&["tcp", "--listen", &format!(":{port}"), "--to", &to], &format!("0.0.0.0:{port}"))
    });
    assert_eq!(Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).line(), "a");
}
