//! The memory of a connection: little when idle, and bounded when its reader is slow.

use std::io::Read;
use std::thread;
use std::time::Duration;

use crate::keyed;
use crate::lb::Lb;
use crate::peers::{Backend, Peer, accept, listen};
use crate::place::{address, holds_within, long_lane};
use crate::setup::{Setup, target};

#[test]
fn a_client_that_does_not_read_costs_little_and_loses_nothing() {
    let backend = Backend::source(9001, 9);
    let lb = Lb::start(&Setup::to(&[backend.target()]));
    let before = lb.memory();

    let client = lb.connect();
    // The subject of the test: time passes, and the backend would send without end.
    thread::sleep(Duration::from_secs(if long_lane() { 10 } else { 3 }));
    let grown = lb.memory().saturating_sub(before);
    assert!(grown < 4 * MIB, "{grown} bytes");
    let busy = lb.cpu_time_over(Duration::from_secs(1));
    assert!(busy < Duration::from_millis(100), "{busy:?} of a second on a CPU with nothing to do");

    assert_eq!(keyed::read_checked(&client.0, 9, 64 * MIB).unwrap(), 64 * MIB);
}

#[test]
fn two_hundred_slow_readers_are_bounded_and_delay_no_other_client() {
    let backends = [Backend::source(9001, 10), Backend::echo(9002)];
    let [source, echo] = backends.each_ref().map(Backend::target);
    let lb =
        Lb::start(&Setup::to(&[source]).listen("echo", address(8081), "echo", "").pool("echo", "", &[echo]));
    let before = lb.memory();

    let slow: Vec<Peer> = (0..200).map(|_| lb.connect()).collect();
    // All are blocked once nothing more arrives at any of them.
    thread::sleep(Duration::from_secs(3));
    let mut client = Peer::connect(address(8081));
    for _ in 0..1_000 {
        client.echoes(b"still served");
    }
    let grown = lb.memory().saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown} bytes");
    let busy = lb.cpu_time_over(Duration::from_secs(1));
    assert!(busy < Duration::from_millis(100), "{busy:?} of a second on a CPU with nothing to do");

    for client in &slow {
        assert_eq!(keyed::read_checked(&client.0, 10, 2 * MIB).unwrap(), 2 * MIB);
    }
}

#[test]
fn memory_of_slow_readers_of_the_status_is_freed() {
    let backends: Vec<_> = (0..6_000).map(|number| target(&format!("b{number}"), 10_000 + number)).collect();
    let lb = Lb::start(&Setup::to(&backends).admin(&format!("socket: off, http: \"{}\"", address(9907))));
    let ask = || {
        let mut reader = Peer::connect(address(9907));
        reader.send(b"GET /status.json HTTP/1.0\r\n\r\n");
        reader
    };
    // One that reads: memory that a status needs once is allocated now.
    assert!(ask().rest().len() > MIB);
    let before = lb.memory();

    // Each reads the first part, so that all of it was computed. The oldest ones have to make room for the others.
    let slow: Vec<Peer> = (0..100)
        .map(|_| {
            let mut reader = ask();
            reader.receive(8);
            reader
        })
        .collect();
    assert!(lb.memory() > before + 8 * MIB, "they hold nothing");
    drop(slow);
    let given_back = || lb.memory() < before + 4 * MIB;
    assert!(holds_within(Duration::from_secs(15), given_back), "{} bytes more", lb.memory() - before);
}

#[test]
fn a_reader_that_pauses_gets_the_rest_and_the_end() {
    // See reliability: the sender finishes while its reader pauses.
    let backend = Backend::scripted("flush", 9001, |peer| {
        let _ = peer.0.set_write_timeout(None);
        keyed::write(&peer.0, 11, 50_000_000).unwrap();
    });
    let lb = Lb::start(&Setup::to(&[backend.target()]));

    let client = lb.connect();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(keyed::read_checked(&client.0, 11, usize::MAX).unwrap(), 50_000_000);
}

#[test]
fn five_thousand_idle_connections_cost_less_than_a_kibibyte_each() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to(&[target("web", 9001)]));
    let before = lb.memory();

    let mut pairs: Vec<(Peer, Peer)> = (0..IDLE)
        .map(|number| {
            let mut client = lb.connect();
            let mut backend = accept(&listener);
            meet(&mut client, &mut backend, number);
            (client, backend)
        })
        .collect();
    let each = lb.memory().saturating_sub(before) / IDLE;
    println!("{each} bytes for each of {IDLE} idle connections");
    assert!(each < 1_024, "{each} bytes each");
    let busy = lb.cpu_time_over(Duration::from_secs(1));
    assert!(busy < Duration::from_millis(100), "{busy:?} of a second on a CPU with nothing to do");

    for (number, (client, backend)) in pairs.iter_mut().enumerate() {
        meet(client, backend, IDLE + number);
    }
    for (client, mut backend) in pairs {
        drop(client);
        assert_eq!(backend.0.read(&mut [0]).unwrap(), 0);
    }
}

/// Each sends something that only the other end of its own connection may receive.
#[track_caller]
fn meet(client: &mut Peer, backend: &mut Peer, number: usize) {
    client.send(&number.to_le_bytes());
    assert_eq!(backend.receive(8), number.to_le_bytes());
    backend.send(&(!number).to_le_bytes());
    assert_eq!(client.receive(8), (!number).to_le_bytes());
}

const IDLE: usize = 5_000;
const MIB: usize = 1 << 20;
