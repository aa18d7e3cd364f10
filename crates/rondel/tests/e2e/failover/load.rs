//! The cost of probes, and that a busy data plane takes no backend down.

use std::time::Instant;

use crate::failover::actor::{Actor, Played};
use crate::failover::{in_force, print_number};
use crate::lb::Lb;
use crate::place::{eventually, long_lane};
use crate::programs::{Nginx, Reuse, wrk};
use crate::setup::{Setup, Target, target};

#[test]
fn five_hundred_backends_with_tcp_probes() {
    costs("tcp: {}", "tcp");
}

#[test]
fn five_hundred_backends_with_http_probes() {
    costs("http: {}", "http");
}

#[test]
fn five_hundred_backends_with_role_probes() {
    costs("http: { roles: {} }", "http with roles");
}

#[track_caller]
fn costs(kind: &str, name: &str) {
    // All are probed at one port, where one server answers for them.
    let server = Actor::new("all", PROBED, Played::Replica);
    let targets: Vec<Target> =
        (0..BACKENDS).map(|number| target(&format!("b{number}"), 10_000 + number)).collect();
    let probe = format!("probe: {{ {kind}, port: {PROBED}, interval: 1s, timeout: 5s }}, eject: off");
    let lb = Lb::start(&Setup::to_with(&probe, &targets));

    let rounds = if long_lane() { 15 } else { 2 };
    eventually("all have answered", || server.accepted() >= usize::from(BACKENDS));
    let (before, cpu, begun) = (server.accepted(), lb.cpu_time_of_control(), Instant::now());
    eventually("all are probed repeatedly", || server.accepted() - before >= rounds * usize::from(BACKENDS));
    let (cpu, took) = (lb.cpu_time_of_control().saturating_sub(cpu), begun.elapsed());
    let percent = cpu.as_secs_f64() / took.as_secs_f64() * 100.0;
    print_number("500 probes a second", &format!("percent of a core, {name}"), format_args!("{percent:.1}"));
    in_force(&lb);
    let log = lb.log_text();
    assert!(!log.contains("is down") && !log.contains("probe failed"), "{log}");
    // With this many probes there is always an open socket.
    lb.kill();
}

#[test]
fn a_busy_data_plane_takes_no_backend_down() {
    let servers = [Nginx::start("a", 9001), Nginx::start("b", 9002), Nginx::start("c", 9003)];
    let probe =
        "probe: { http: {}, interval: 200ms, fast_interval: 100ms, timeout: 1s, fall: 3 }, on_down: close";
    let lb = Lb::start(&Setup::to_with(probe, &servers.each_ref().map(Nginx::target)));

    let seconds = if long_lane() { 20 } else { 2 };
    for reuse in [Reuse::KeepAlive, Reuse::ConnectionPerRequest] {
        wrk(lb.address(), 400, seconds, reuse).flawless();
    }
    in_force(&lb);
    let log = lb.log_text();
    assert!(!log.contains("is down"), "{log}");
}

const BACKENDS: u16 = 500;

/// The port at which all backends are probed.
const PROBED: u16 = 9000;
