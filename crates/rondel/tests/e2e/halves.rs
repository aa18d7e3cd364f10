//! How connections end: each direction by itself, with all its data, and with a reset where there was one.

use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::keyed;
use crate::lb::{Lb, assert_no_kernel_workers, closes};
use crate::peers::{Backend, End, accept, listen};
use crate::place::{Folder, address};
use crate::programs::shell;
use crate::setup::{Setup, target};

#[test]
fn a_backend_that_speaks_first_is_heard() {
    let backend = Backend::scripted("ssh", 9001, |mut peer| {
        peer.send(b"SSH-2.0-example\r\n");
        let _ = peer.echo();
    });
    let lb = Lb::start(&Setup::to(&[backend.target()]));

    let mut client = lb.connect();
    assert_eq!(client.line(), "SSH-2.0-example\r");
    client.echoes(b"SSH-2.0-client\r\n");
}

#[test]
fn a_client_that_finished_still_gets_the_whole_answer() {
    let backend = Backend::scripted("late", 9001, |mut peer| {
        assert_eq!(peer.rest(), b"hello");
        keyed::write(&peer.0, 1, 1_000_000).unwrap();
    });
    let lb = Lb::start(&Setup::to(&[backend.target()]));

    let mut client = lb.connect();
    client.send(b"hello").finish();
    let answer = client.rest();
    assert_eq!(answer.len(), 1_000_000);
    keyed::check(1, 0, &answer);
    assert_eq!(closes(&lb.end(), "done"), 1);
}

#[test]
fn a_backend_that_finished_still_gets_the_whole_request() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to(&[target("early", 9001)]));

    let mut client = lb.connect();
    let mut backend = accept(&listener);
    backend.send(b"12345").finish();
    assert_eq!(client.rest(), b"12345");

    keyed::write(&client.0, 2, 1_000_000).unwrap();
    client.finish();
    let request = backend.rest();
    assert_eq!(request.len(), 1_000_000);
    keyed::check(2, 0, &request);
    assert_eq!(closes(&lb.end(), "done"), 1);
}

#[test]
fn a_client_that_resets_resets_the_backend() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to(&[target("web", 9001)]));

    let mut client = lb.connect();
    let mut backend = accept(&listener);
    client.send(b"begun");
    assert_eq!(backend.receive(5), b"begun");

    let left = Instant::now();
    client.reset();
    assert_eq!(backend.end(), End::Reset);
    assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
    assert_eq!(closes(&lb.end(), "client_reset"), 1);
}

#[test]
fn a_backend_that_resets_resets_the_client_after_its_data() {
    let backend = Backend::scripted("cut", 9001, |peer| {
        keyed::write(&peer.0, 3, 5_000).unwrap();
        peer.reset();
    });
    let lb = Lb::start(&Setup::to(&[backend.target()]));

    let mut client = lb.connect();
    keyed::check(3, 0, &client.receive(5_000));
    assert_eq!(client.end(), End::Reset);
    assert_eq!(closes(&lb.end(), "backend_reset"), 1);
}

#[test]
fn two_thousand_clients_that_come_and_leave_at_once_leave_nothing_behind() {
    let backend = Backend::named("a", 9001);
    let lb = Lb::start(&Setup::to(&[backend.target()]));

    for _ in 0..1_000 {
        drop(lb.connect());
        lb.connect().reset();
    }
    // The next one is served, and the end of the test finds no socket left.
    assert_eq!(lb.connect().line(), "a");
}

#[test]
fn closing_and_half_closing_cost_no_kernel_thread() {
    let backend = Backend::echo(9001);
    let lb = Lb::start(&Setup::to(&[backend.target()]));

    let ((), threads) = lb.threads_during(|| {
        for _ in 0..200 {
            let mut client = lb.connect();
            client.send(b"hello").finish();
            assert_eq!(client.rest(), b"hello");
            lb.connect().reset();
            drop(lb.connect());
        }
    });
    assert_no_kernel_workers(&threads);
}

// Every poll of io_uring reports a peer's FIN, for as long as the socket lives: who waits to write must not be
// woken by it again and again, nor have its send handed to a kernel thread.
#[test]
fn a_client_that_finished_and_does_not_read_costs_nothing() {
    let stream = Backend::source(9001, 6);
    let trickle = Backend::scripted("trickle", 9002, |peer| {
        let mut stream = &peer.0;
        while io::Write::write_all(&mut stream, &[7; 3000]).is_ok() {}
    });
    for backend in [&stream, &trickle] {
        let lb = Lb::start(&Setup::to(&[backend.target()]));
        let mut client = lb.connect();
        client.finish();
        let (busy, threads) = lb.threads_during(|| {
            // Time for every buffer on the way to fill up.
            thread::sleep(Duration::from_secs(1));
            lb.cpu_time_over(Duration::from_secs(1))
        });
        assert!(busy < Duration::from_millis(100), "{busy:?} of a second on a CPU");
        assert_no_kernel_workers(&threads);
        client.reset();
        assert_eq!(closes(&lb.end(), "client_reset"), 1);
    }
}

#[test]
fn netcat_gets_all_of_it_back() {
    let backend = Backend::echo(9001);
    let lb = Lb::start(&Setup::to(&[backend.target()]));

    let folder = Folder::new();
    let file = folder.file("sent");
    fs::write(&file, keyed::bytes(5, 20_000_000)).unwrap();
    let (ip, port, file) = (lb.address().ip(), lb.address().port(), file.display());
    shell(format!("nc -N {ip} {port} < {file} | cmp - {file}"));
}
