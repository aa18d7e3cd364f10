//! Signals: a storm of SIGHUPs, and SIGTERM, once and twice, in every state that a connection can be in.

use std::net::TcpStream;

use rustix::process::Signal;

use super::stand::{Stand, on_each_stand};
use crate::lb::{Lb, all_closes};
use crate::peers::{Backend, Client, End, Peer, Unanswering, accept, listen};
use crate::place::{address, eventually, long_lane};
use crate::setup::{Setup, target};

#[test]
fn a_thousand_reloads_in_a_row_with_garbage_in_between_are_not_noticed() {
    let reloads = if long_lane() { 1_000 } else { 200 };
    on_each_stand(|stand| {
        let backend = Backend::named("a", 9001);
        let lb = stand.start(&Setup::to(&[backend.target()]));
        let mut standing = lb.connect();
        assert_eq!(standing.line(), "a");
        let good = [
            lb.setup().to_string(),
            lb.setup().clone().listen("second", address(8081), "web", "").to_string(),
        ];
        let garbage = [
            "",
            "\0\u{1}",
            "version: 1\nlisteners: [",
            "a: &a [*a, *a]",
            "version: 99\n",
            &"[".repeat(10_000),
        ];
        for number in 0..reloads {
            match number % 4 {
                0 | 2 => lb.write_config(&good[number / 2 % 2]),
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

/// A connection in some state, with all that keeps it there.
struct Held {
    client: Client,
    _kept: Vec<Box<dyn std::any::Any>>,
}

/// The states that a connection can be in when a signal comes, and how it gets there.
const STATES: [(&str, fn(Stand) -> (Lb, Held)); 5] = [
    ("connecting", |stand| {
        let backend = Unanswering::new("a", 9001);
        let lb = start(stand, &Setup::to_with("connect_timeout: 1h", &[backend.target()]));
        let client = lb.connect();
        eventually("it connects", || lb.sockets() == 2);
        (lb, held(client, vec![Box::new(backend)]))
    }),
    ("silent", |stand| {
        let backend = Backend::mute(9001);
        let lb = start(stand, &Setup::to(&[backend.target()]));
        let client = lb.connect();
        eventually("it is connected", || backend.accepted() == 1);
        (lb, held(client, vec![Box::new(backend)]))
    }),
    ("half closed", |stand| {
        let listener = listen(address(9001));
        let lb = start(stand, &Setup::to(&[target("a", 9001)]));
        let mut client = lb.connect();
        client.send(b"all").finish();
        let mut backend = accept(&listener);
        assert_eq!(backend.rest(), b"all");
        (lb, held(client, vec![Box::new(backend), Box::new(listener)]))
    }),
    ("stuck with a full queue or pipe", |stand| {
        let listener = listen(address(9001));
        let lb = start(stand, &Setup::to(&[target("a", 9001)]));
        let client = lb.connect();
        let backend = accept(&listener);
        assert!(client.stuff(40, 32 << 20) > 1 << 20);
        (lb, held(client, vec![Box::new(backend), Box::new(listener)]))
    }),
    ("stuck after a small message", |stand| {
        let listener = listen(address(9001));
        let lb = start(stand, &Setup::to(&[target("a", 9001)]));
        let mut client = lb.connect();
        client.send(b"unheard");
        let backend = accept(&listener);
        (lb, held(client, vec![Box::new(backend), Box::new(listener)]))
    }),
];
