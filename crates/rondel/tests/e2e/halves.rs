//! How connections end: each direction by itself, with all its data, and with a reset where there was one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use rustix::process::Signal;

use crate::keyed;
use crate::lb::{Lb, assert_no_kernel_workers, closes};
use crate::peers::{Backend, End, Peer, accept, listen};
use crate::place::{Folder, address, eventually};
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

// The receiver's kernel takes a part of it, and the rest waits in the balancer's kernel, which has its FIN.
const ANSWER: usize = 600_000;

#[test]
fn a_client_that_reads_late_gets_the_whole_answer_though_its_time_is_over() {
    let backend = Backend::scripted("brief", 9001, |peer| keyed::write(&peer.0, 7, ANSWER).unwrap());
    let lb = Lb::start(&Setup::to_with("half_closed_timeout: 500ms", &[backend.target()]));

    let mut client = lb.connect();
    eventually("its time is over", || lb.sockets() == 0);
    let answer = client.rest();
    assert_eq!(answer.len(), ANSWER);
    keyed::check(7, 0, &answer);
    assert_eq!(closes(&lb.end(), "half_closed_timeout"), 1);
}

#[test]
fn a_backend_that_reads_late_gets_the_whole_request_though_its_time_is_over() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to_with("half_closed_timeout: 500ms", &[target("late", 9001)]));

    let mut client = lb.connect();
    keyed::write(&client.0, 8, ANSWER).unwrap();
    client.finish();
    let mut backend = accept(&listener);
    backend.send(b"begun");
    eventually("its time is over", || lb.sockets() == 0);
    let request = backend.rest();
    assert_eq!(request.len(), ANSWER);
    keyed::check(8, 0, &request);
    assert_eq!(closes(&lb.end(), "half_closed_timeout"), 1);
}

/// What the client sends is not wanted, and some of it is not even read: a close would reset the client for that.
#[test]
fn a_client_that_sent_more_than_was_wanted_gets_the_whole_answer() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to_with("half_closed_timeout: 3s", &[target("early", 9001)]));

    let mut client = lb.connect();
    let backend = accept(&listener);
    keyed::write(&backend.0, 9, ANSWER).unwrap();
    backend.0.shutdown(std::net::Shutdown::Write).unwrap();
    // As long as it takes until the balancer's kernel has some that the balancer does not read, and no longer: what comes
    // only after the end resets the client.
    let mut sent = 0;
    let stays_unread = || {
        unread(&client) > 0 && {
            thread::sleep(Duration::from_millis(20));
            unread(&client) > 0
        }
    };
    while !stays_unread() {
        sent += client.send_now(10, sent, sent + 64 * 1024);
    }
    eventually("its time is over", || lb.sockets() == 0);
    let answer = client.rest();
    assert_eq!(answer.len(), ANSWER);
    keyed::check(9, 0, &answer);
    assert_eq!(closes(&lb.end(), "half_closed_timeout"), 1);
}

/// How much the balancer's kernel has of what this client sent, as `/proc/net/tcp` tells it (proc(5)).
fn unread(client: &Peer) -> u64 {
    let SocketAddr::V4(local) = client.local_address() else { panic!("an IPv4 address") };
    let client = format!("{:08X}:{:04X}", u32::from_le_bytes(local.ip().octets()), local.port());
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let of_client = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut queues =
        of_client.filter(|fields| fields.get(2) == Some(&client.as_str())).map(|fields| fields[4]);
    let queues = queues.next().expect("it is connected");
    u64::from_str_radix(queues.split_once(':').expect("two queues").1, 16).unwrap()
}

#[test]
fn a_client_whose_answer_is_complete_gets_all_of_it_when_the_process_ends() {
    let backend = Backend::scripted("brief", 9001, |peer| keyed::write(&peer.0, 7, ANSWER).unwrap());
    let setup = Setup::to(&[backend.target()]).runtime("workers: 2, drain_timeout: 500ms");
    let mut lb = Lb::start(&setup);

    let mut client = lb.connect();
    eventually("the answer comes", || client.heard());
    lb.signal(Signal::TERM);
    assert_eq!(lb.ended(), 6, "{}", lb.log_text());
    let answer = client.rest();
    assert_eq!(answer.len(), ANSWER);
    keyed::check(7, 0, &answer);
    assert_eq!(closes(&lb.log_text(), "drained"), 1);
}

#[test]
fn a_client_that_finished_and_resets_is_gone_within_a_moment_though_the_backend_is_silent() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to(&[target("silent", 9001)]));

    let mut client = lb.connect();
    let mut backend = accept(&listener);
    client.send(b"last").finish();
    assert_eq!(backend.rest(), b"last");
    is_gone_within_a_moment(&lb, client);
    assert_eq!(closes(&lb.end(), "client_reset"), 1);
}

#[test]
fn a_backend_that_finished_and_resets_is_gone_within_a_moment_though_the_client_is_silent() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to(&[target("brief", 9001)]));

    let mut client = lb.connect();
    let mut backend = accept(&listener);
    backend.send(b"last").finish();
    assert_eq!(client.rest(), b"last");
    is_gone_within_a_moment(&lb, backend);
    assert_eq!(closes(&lb.end(), "backend_reset"), 1);
}

#[test]
fn a_client_that_finished_and_resets_after_a_stream_is_gone_within_a_moment() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to(&[target("silent", 9001)]));

    let client = lb.connect();
    let mut backend = accept(&listener);
    let request = thread::scope(|scope| {
        scope.spawn(|| {
            keyed::write(&client.0, 11, 20_000_000).unwrap();
            client.0.shutdown(std::net::Shutdown::Write).unwrap();
        });
        backend.rest()
    });
    assert_eq!(request.len(), 20_000_000);
    is_gone_within_a_moment(&lb, client);
    assert_eq!(closes(&lb.end(), "client_reset"), 1);
}

#[track_caller]
fn is_gone_within_a_moment(lb: &Lb, peer: Peer) {
    // It is at rest until then.
    lb.does_not_spin();
    let left = Instant::now();
    peer.reset();
    eventually("no socket is left", || lb.sockets() == 0);
    assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
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
