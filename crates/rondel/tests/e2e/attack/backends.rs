//! Backends that are killed, stopped, reset or cut off: before, during and after the connect, and in mid-transfer.

use std::io::ErrorKind;
use std::{fs, thread};

use rustix::process::Signal;

use super::namespace::Namespace;
use super::stand::{on_each_stand, on_each_stand_of_the_long_lane};
use crate::keyed;
use crate::lb::Lb;
use crate::peers::{Backend, Client, End, Unanswering, accept, listen, refusing};
use crate::place::{address, eventually};
use crate::programs::{Nginx, get};
use crate::setup::{Setup, target};

// Before the connect.

#[test]
fn before_the_connect_each_refusal_has_its_reason() {
    for (verdict, reason) in [
        ("drop", "connect_timed_out"),
        ("reject with tcp reset", "connect_refused"),
        ("reject with icmp type host-unreachable", "connect_unreachable"),
    ] {
        on_each_stand(|stand| {
            Namespace::within(|namespace| {
                let backend = Backend::named("a", 9001);
                let lb = stand.start(&Setup::to_with("connect_timeout: 300ms", &[backend.target()]));
                namespace.filter("tcp dport 9001", verdict);
                all_are_reset(&lb, 20);
                lb.serves_others();
                namespace.let_through();
                assert_eq!(lb.connect().line(), "a");
                lb.recovered(&[(reason, 20), ("done", 1)]);
            });
        });
    }
}

#[test]
fn before_the_connect_another_backend_takes_over() {
    for verdict in ["drop", "reject with tcp reset", "reject with icmp type host-unreachable"] {
        on_each_stand(|stand| {
            Namespace::within(|namespace| {
                let backends = [Backend::named("a", 9001), Backend::named("b", 9002)];
                let targets = backends.each_ref().map(Backend::target);
                let lb = stand.start(&Setup::to_with("connect_timeout: 300ms", &targets));
                namespace.filter("tcp dport 9001", verdict);
                let clients: Vec<Client> = (0..10).map(|_| lb.connect()).collect();
                for mut client in clients {
                    client.send(b"early");
                    assert_eq!(client.line(), "b");
                    assert_eq!(client.receive(5), b"early");
                }
                lb.recovered(&[("done", 10)]);
            });
        });
    }
}

#[test]
fn a_backend_stopped_before_the_connect_is_closed_by_the_idle_timeout() {
    on_each_stand(|stand| {
        let backend = Nginx::start("a", 9001);
        let lb = stand.start(&Setup::to_with("idle_timeout: 500ms", &[backend.target()]));
        // Its kernel still accepts for it.
        backend.signal(Signal::STOP);
        let mut clients: Vec<Client> = (0..20).map(|_| lb.connect()).collect();
        for client in &mut clients {
            client.send(b"GET / HTTP/1.0\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.end(), End::Reset);
        }
        backend.signal(Signal::CONT);
        assert_eq!(get(lb.address()), "a");
        lb.recovered(&[("idle", 20), ("done", 1)]);
    });
}

// During the connect.

#[test]
fn during_the_connect_a_black_hole_shorter_than_the_timeout_has_no_effect() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let backend = Backend::named("a", 9001);
            let lb = stand.start(&Setup::to_with("connect_timeout: 10s", &[backend.target()]));
            namespace.black_hole(9001);
            let clients: Vec<Client> = (0..20).map(|_| lb.connect()).collect();
            lb.serves_others();
            assert_eq!(backend.accepted(), 0);
            namespace.let_through();
            // By the second SYN of the kernel.
            for mut client in clients {
                client.send(b"early");
                assert_eq!(client.line(), "a");
                assert_eq!(client.receive(5), b"early");
            }
            lb.recovered(&[("done", 20)]);
        });
    });
}

#[test]
fn a_syn_ack_after_the_timeout_leaves_nothing_behind() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let backend = Backend::named("a", 9001);
            let lb = stand.start(&Setup::to_with("connect_timeout: 300ms", &[backend.target()]));
            // The backend receives, and its packets are dropped; its kernel repeats its SYN-ACK after a second.
            namespace.filter("tcp sport 9001", "drop");
            all_are_reset(&lb, 20);
            namespace.let_through();
            assert_eq!(lb.connect().line(), "a");
            lb.recovered(&[("connect_timed_out", 20), ("done", 1)]);
        });
    });
}

#[test]
fn a_backend_killed_during_the_connect_is_a_refusal() {
    on_each_stand(|stand| {
        let unanswering = Unanswering::new("a", 9001);
        let lb = stand.start(&Setup::to_with("connect_timeout: 10s", &[unanswering.target()]));
        let mut client = lb.connect();
        eventually("it connects", || lb.sockets() == 2);
        drop(unanswering);
        // The response to the second SYN of the kernel.
        assert_eq!(client.end(), End::Reset);
        lb.recovered(&[("connect_refused", 1)]);
    });
}

#[test]
fn clients_that_reset_during_the_connect_end_it_and_those_that_finish_have_its_timeout() {
    on_each_stand(|stand| {
        let unanswering = Unanswering::new("a", 9001);
        let lb = stand.start(&Setup::to_with("connect_timeout: 2s", &[unanswering.target()]));
        for _ in 0..50 {
            lb.connect().reset();
            drop(lb.connect());
        }
        lb.serves_others();
        lb.recovered(&[("client_reset", 50), ("connect_timed_out", 50)]);
    });
}

// After the connect, and in mid-transfer.

#[test]
fn a_backend_killed_in_mid_transfer_ends_what_it_sent_with_a_fin() {
    on_each_stand(|stand| {
        let backend = Nginx::start("a", 9001);
        fs::write(backend.file("big"), keyed::bytes(20, BIG)).unwrap();
        let lb = stand.start(&Setup::to(&[backend.target()]));
        let mut clients: Vec<Client> = (0..3).map(|_| half_read(&lb)).collect();
        backend.signal(Signal::KILL);
        for client in &mut clients {
            // Its kernel sends what it had, and a FIN, as for a backend that is done.
            let rest = client.rest();
            keyed::check(20, HALF_READ, &rest);
            assert!(HALF_READ + rest.len() < BIG, "it was not in mid-transfer");
        }
        drop(clients);
        assert_eq!(lb.turn_away(), End::Reset);
        lb.recovered(&[("done", 3), ("connect_refused", 1)]);
    });
}

#[test]
fn a_backend_stopped_in_mid_transfer_continues_at_its_position() {
    on_each_stand(|stand| {
        let backend = Nginx::start("a", 9001);
        fs::write(backend.file("big"), keyed::bytes(20, BIG)).unwrap();
        let lb = stand.start(&Setup::to(&[backend.target()]));
        let mut clients: Vec<Client> = (0..3).map(|_| half_read(&lb)).collect();
        backend.signal(Signal::STOP);
        lb.serves_others();
        backend.signal(Signal::CONT);
        for client in &mut clients {
            let rest = client.rest();
            assert_eq!(HALF_READ + rest.len(), BIG);
            keyed::check(20, HALF_READ, &rest);
        }
        drop(clients);
        lb.recovered(&[("done", 3)]);
    });
}

#[test]
fn a_backend_that_resets_in_mid_transfer_resets_its_clients() {
    on_each_stand(|stand| {
        let listener = listen(address(9001));
        let lb = stand.start(&Setup::to(&[target("a", 9001)]));
        for _ in 0..5 {
            let client = lb.connect();
            let backend = accept(&listener);
            backend.stuff(21, BIG);
            assert_eq!(keyed::read_checked(&client.0, 21, HALF_READ).unwrap(), HALF_READ);
            backend.reset();
            let cut = keyed::read_checked_from(&client.0, 21, HALF_READ, usize::MAX).unwrap_err();
            assert_eq!(cut.kind(), ErrorKind::ConnectionReset);
        }
        lb.recovered(&[("backend_reset", 5)]);
    });
}

#[test]
fn in_mid_transfer_a_temporary_black_hole_loses_nothing() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let backend = Backend::scripted("a", 9001, |peer| {
                keyed::write(&peer.0, 22, BIG).unwrap();
            });
            let lb = stand.start(&Setup::to(&[backend.target()]));
            let client = lb.connect();
            assert_eq!(keyed::read_checked(&client.0, 22, HALF_READ).unwrap(), HALF_READ);
            namespace.black_hole(9001);
            lb.serves_others();
            namespace.let_through();
            let rest = keyed::read_checked_from(&client.0, 22, HALF_READ, usize::MAX).unwrap();
            assert_eq!(rest, BIG - HALF_READ);
            drop(client);
            lb.recovered(&[("done", 1)]);
        });
    });
}

#[test]
fn in_mid_transfer_a_permanent_black_hole_ends_by_the_idle_timeout() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let backends = [Backend::source(9001, 23), Backend::mute(9002)];
            let [source, mute] = backends.each_ref().map(Backend::target);
            let lb = stand.start(&Setup::to_with("idle_timeout: 500ms", &[source, mute]));
            let download = lb.connect();
            assert_eq!(keyed::read_checked(&download.0, 23, HALF_READ).unwrap(), HALF_READ);
            let upload = lb.connect();
            let sender = upload.0.try_clone().unwrap();
            let flood = thread::spawn(move || keyed::write(&sender, 24, usize::MAX));
            eventually("the upload has its backend", || backends[1].accepted() == 1);
            namespace.black_hole(9001);
            namespace.black_hole(9002);
            lb.serves_others();
            assert!(flood.join().unwrap().is_err());
            assert!(keyed::read_checked_from(&download.0, 23, HALF_READ, usize::MAX).is_err());
            lb.recovered(&[("idle", 2)]);
            // Data that the backends still send would keep their sockets for minutes.
            namespace.let_through();
        });
    });
}

#[test]
fn in_mid_transfer_a_vanished_backend_is_detected_by_retransmissions() {
    on_each_stand_of_the_long_lane(|stand| {
        Namespace::within(|namespace| {
            namespace.set("ipv4/tcp_retries2", "3");
            let backend = Backend::mute(9001);
            let lb = stand.start(&Setup::to(&[backend.target()]));
            let upload = lb.connect();
            let sender = upload.0.try_clone().unwrap();
            let flood = thread::spawn(move || keyed::write(&sender, 25, usize::MAX));
            eventually("the upload has its backend", || backend.accepted() == 1);
            namespace.black_hole(9001);
            assert!(flood.join().unwrap().is_err());
            lb.recovered(&[("backend_lost", 1)]);
            namespace.let_through();
        });
    });
}

#[test]
fn a_vanished_idle_backend_is_detected_by_keepalive() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let backend = Backend::named("a", 9001);
            let keepalive = "keepalive: { idle: 1s, interval: 1s, probes: 2 }";
            let lb = stand.start(&Setup::to_with(keepalive, &[backend.target()]));
            let mut client = lb.connect();
            assert_eq!(client.line(), "a");
            namespace.black_hole(9001);
            assert_eq!(client.end(), End::Reset);
            lb.recovered(&[("backend_lost", 1)]);
            namespace.let_through();
        });
    });
}

#[test]
fn a_backend_whose_network_resets_it_resets_its_client() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let backend = Backend::named("a", 9001);
            let lb = stand.start(&Setup::to(&[backend.target()]));
            let mut client = lb.connect();
            assert_eq!(client.line(), "a");
            namespace.filter("tcp dport 9001", "reject with tcp reset");
            client.send(b"into the wall");
            assert_eq!(client.end(), End::Reset);
            lb.recovered(&[("backend_reset", 1)]);
        });
    });
}

#[test]
fn a_pool_without_live_backends_rejects_clients_at_once() {
    on_each_stand(|stand| {
        let lb = stand.start(&Setup::to(&[refusing("a", 9001), refusing("b", 9002), refusing("c", 9003)]));
        for _ in 0..500 {
            assert_eq!(lb.turn_away(), End::Reset);
        }
        lb.recovered(&[("connect_refused", 500)]);
    });
}

/// This many clients at once get nothing but a reset.
#[track_caller]
fn all_are_reset(lb: &Lb, clients: usize) {
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| assert_eq!(lb.turn_away(), End::Reset));
        }
    });
}

/// A client of nginx that has read the first part of a big file.
#[track_caller]
fn half_read(lb: &Lb) -> Client {
    let mut client = lb.connect();
    client.send(b"GET /files/big HTTP/1.0\r\n\r\n");
    while client.line() != "\r" {}
    assert_eq!(keyed::read_checked(&client.0, 20, HALF_READ).unwrap(), HALF_READ);
    client
}

/// More than fits on the way from a backend to a client that does not read.
const BIG: usize = 32 << 20;

/// How much a client has read when the fault occurs.
const HALF_READ: usize = 1 << 20;
