//! How connections end: each direction by itself, with all its data, and with a reset if one side reset.

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
fn a_backend_may_send_first() {
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
fn a_half_closed_client_receives_the_whole_answer() {
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
fn a_half_closed_backend_receives_the_whole_request() {
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
    // No timer of the connection is as short.
    assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
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

// The receiver's kernel takes a part of it, and the rest waits in the balancer's kernel, followed by its FIN.
const ANSWER: usize = 600_000;

#[test]
fn a_slow_client_receives_the_whole_answer_after_the_timeout() {
    let backend = Backend::scripted("brief", 9001, |peer| keyed::write(&peer.0, 7, ANSWER).unwrap());
    let lb = Lb::start(&Setup::to_with("half_closed_timeout: 500ms", &[backend.target()]));

    let mut client = lb.connect();
    eventually("the timeout has passed", || lb.sockets() == 0);
    let answer = client.rest();
    assert_eq!(answer.len(), ANSWER);
    keyed::check(7, 0, &answer);
    assert_eq!(closes(&lb.end(), "half_closed_timeout"), 1);
}

#[test]
fn a_slow_backend_receives_the_whole_request_after_the_timeout() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to_with("half_closed_timeout: 500ms", &[target("late", 9001)]));

    let mut client = lb.connect();
    keyed::write(&client.0, 8, ANSWER).unwrap();
    client.finish();
    let mut backend = accept(&listener);
    backend.send(b"begun");
    eventually("the timeout has passed", || lb.sockets() == 0);
    let request = backend.rest();
    assert_eq!(request.len(), ANSWER);
    keyed::check(8, 0, &request);
    assert_eq!(closes(&lb.end(), "half_closed_timeout"), 1);
}

/// The backend does not want what the client sends, and some of it is never read: a close would reset the client.
#[test]
fn a_client_that_sent_unread_data_receives_the_whole_answer() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to_with("half_closed_timeout: 2s", &[target("early", 9001)]));

    let mut client = lb.connect();
    let backend = accept(&listener);
    keyed::write(&backend.0, 9, ANSWER).unwrap();
    backend.0.shutdown(std::net::Shutdown::Write).unwrap();
    // As long as it takes until the balancer's kernel has some data that the balancer does not read, and no longer:
    // data that arrives after the end resets the client.
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
    eventually("the timeout has passed", || lb.sockets() == 0);
    let answer = client.rest();
    assert_eq!(answer.len(), ANSWER);
    keyed::check(9, 0, &answer);
    assert_eq!(closes(&lb.end(), "half_closed_timeout"), 1);
}

/// How many bytes of this client the balancer's kernel has that the balancer has not read.
fn unread(client: &Peer) -> u64 {
    let row = client.row_of_other_end().expect("it is connected");
    u64::from_str_radix(row[4].split_once(':').expect("two queues").1, 16).unwrap()
}

#[test]
fn a_client_receives_a_complete_answer_when_the_process_ends() {
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
fn a_reset_of_a_half_closed_client_is_detected_while_the_backend_is_silent() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to(&[target("silent", 9001)]));

    let mut client = lb.connect();
    let mut backend = accept(&listener);
    client.send(b"last").finish();
    assert_eq!(backend.rest(), b"last");
    is_closed_soon(&lb, client);
    assert_eq!(closes(&lb.end(), "client_reset"), 1);
}

#[test]
fn a_reset_of_a_half_closed_backend_is_detected_while_the_client_is_silent() {
    let listener = listen(address(9001));
    let lb = Lb::start(&Setup::to(&[target("brief", 9001)]));

    let mut client = lb.connect();
    let mut backend = accept(&listener);
    backend.send(b"last").finish();
    assert_eq!(client.rest(), b"last");
    is_closed_soon(&lb, backend);
    assert_eq!(closes(&lb.end(), "backend_reset"), 1);
}

#[test]
fn a_reset_of_a_half_closed_client_is_detected_after_a_stream() {
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
    is_closed_soon(&lb, client);
    assert_eq!(closes(&lb.end(), "client_reset"), 1);
}

#[track_caller]
fn is_closed_soon(lb: &Lb, peer: Peer) {
    // It is idle until then.
    lb.does_not_spin();
    let left = Instant::now();
    peer.reset();
    eventually("no socket is left", || lb.sockets() == 0);
    // No timer of the connection is as short.
    assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
}

#[test]
fn two_thousand_clients_that_disconnect_at_once_leave_nothing_behind() {
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
fn closing_and_half_closing_use_no_kernel_thread() {
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

// Every poll of io_uring reports a peer's FIN, for the rest of the socket's life: a writer that waits must not be
// woken by it repeatedly, nor have its send handed to a kernel thread.
#[test]
fn a_half_closed_client_that_does_not_read_costs_no_cpu() {
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
