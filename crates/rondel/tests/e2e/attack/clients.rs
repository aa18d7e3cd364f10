//! Clients that are killed, stopped, reset or cut off while they are served.

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::namespace::Namespace;
use super::stand::{on_each_stand, on_each_stand_of_the_long_lane};
use crate::keyed;
use crate::peers::{Backend, Peer, accept, listen};
use crate::place::{Folder, address, eventually};
use crate::programs::Nginx;
use crate::setup::{PORT, Setup, target};

#[test]
fn a_client_killed_in_mid_transfer_resets_its_backend() {
    on_each_stand(|stand| {
        let backend = Nginx::start("a", 9001);
        fs::write(backend.file("big"), keyed::bytes(30, BIG)).unwrap();
        let lb = stand.start(&Setup::to(&[backend.target()]));
        let folder = Folder::new();
        let mut clients: Vec<Curl> = (0..3).map(|_| Curl::slow(&folder)).collect();
        clients.iter().for_each(Curl::has_begun);
        clients.iter_mut().for_each(Curl::kill);
        lb.recovered(&[("client_reset", 3)]);
    });
}

#[test]
fn a_client_stopped_in_mid_transfer_gets_the_rest_when_it_continues() {
    on_each_stand(|stand| {
        let backend = Nginx::start("a", 9001);
        fs::write(backend.file("big"), keyed::bytes(30, BIG)).unwrap();
        let lb = stand.start(&Setup::to(&[backend.target()]));
        let folder = Folder::new();
        let client = Curl::fast(&folder);
        client.has_begun();
        client.signal(Signal::STOP);
        lb.serves_others();
        client.signal(Signal::CONT);
        let body = client.body();
        assert_eq!(body.len(), BIG);
        keyed::check(30, 0, &body);
        lb.recovered(&[("done", 1)]);
    });
}

#[test]
fn a_client_stopped_for_longer_than_the_idle_timeout_is_closed() {
    on_each_stand(|stand| {
        let backend = Nginx::start("a", 9001);
        fs::write(backend.file("big"), keyed::bytes(30, BIG)).unwrap();
        let lb = stand.start(&Setup::to_with("idle_timeout: 500ms", &[backend.target()]));
        let folder = Folder::new();
        let mut client = Curl::fast(&folder);
        client.has_begun();
        client.signal(Signal::STOP);
        eventually("it is closed", || lb.sockets() == 0);
        client.kill();
        lb.recovered(&[("idle", 1)]);
    });
}

#[test]
fn a_vanished_client_is_detected_by_retransmissions() {
    on_each_stand_of_the_long_lane(|stand| {
        Namespace::within(|namespace| {
            namespace.set("ipv4/tcp_retries2", "3");
            let backend = Backend::source(9001, 31);
            let lb = stand.start(&Setup::to(&[backend.target()]));
            let client = lb.connect();
            assert_eq!(keyed::read_checked(&client.0, 31, 1 << 20).unwrap(), 1 << 20);
            namespace.black_hole(PORT);
            lb.recovered(&[("client_lost", 1)]);
            namespace.let_through();
        });
    });
}

#[test]
fn a_vanished_idle_client_is_detected_by_keepalive() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let backend = Backend::named("a", 9001);
            let keepalive = "keepalive: { idle: 1s, interval: 1s, probes: 2 }";
            let lb = stand.start(&Setup::to_with(keepalive, &[backend.target()]));
            let mut client = lb.connect();
            assert_eq!(client.line(), "a");
            namespace.black_hole(PORT);
            lb.recovered(&[("client_lost", 1)]);
            namespace.let_through();
        });
    });
}

#[test]
fn a_temporary_black_hole_before_a_client_loses_nothing() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let backend = Backend::echo(9001);
            let lb = stand.start(&Setup::to(&[backend.target()]));
            let client = lb.connect();
            std::thread::scope(|scope| {
                scope.spawn(|| keyed::write(&client.0, 32, BIG).unwrap());
                assert_eq!(keyed::read_checked(&client.0, 32, 1 << 20).unwrap(), 1 << 20);
                namespace.black_hole(PORT);
                lb.serves_others();
                namespace.let_through();
                let rest = keyed::read_checked_from(&client.0, 32, 1 << 20, BIG - (1 << 20)).unwrap();
                assert_eq!(rest, BIG - (1 << 20));
            });
            drop(client);
            lb.recovered(&[("done", 1)]);
        });
    });
}

#[test]
fn clients_that_reset_at_each_point_of_a_connection_leave_nothing_behind() {
    on_each_stand(|stand| {
        let listener = listen(address(9001));
        let lb = stand.start(&Setup::to(&[target("a", 9001)]));
        // With nothing on the way, with a request on the way, with an answer on the way that does not fit.
        let points: [fn(&mut Peer, &mut Peer); 3] = [
            |_, _| {},
            |client, backend| {
                client.send(b"request");
                assert_eq!(backend.receive(7), b"request");
            },
            |_, backend| assert!(backend.stuff(33, BIG) > 1 << 20),
        ];
        for point in points {
            for _ in 0..3 {
                let mut client = lb.connect();
                let mut backend = accept(&listener);
                point(&mut client, &mut backend);
                client.reset();
                assert!(backend.wait_cut());
            }
        }
        lb.recovered(&[("client_reset", 9)]);
    });
}

/// curl, a client that is a process.
struct Curl {
    child: Child,
    output: std::path::PathBuf,
}

impl Curl {
    /// It reads a megabyte a second.
    fn slow(folder: &Folder) -> Self {
        Self::start(folder, &["--limit-rate", "1M"])
    }

    fn fast(folder: &Folder) -> Self {
        Self::start(folder, &["--limit-rate", "20M"])
    }

    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let output = folder.file(&format!("body-{number}"));
        let mut command = Command::new("curl");
        command.args(["--silent", "--no-buffer"]).args(arguments).arg("--output").arg(&output);
        command.arg(format!("http://{}/files/big", address(PORT)));
        let child = command.stdin(Stdio::null()).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("curl does not start: {error}")), output }
    }

    /// Waits until some of the body has arrived.
    #[track_caller]
    fn has_begun(&self) {
        eventually("curl has begun", || fs::metadata(&self.output).is_ok_and(|file| file.len() > 0));
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The body, once all of it has arrived.
    #[track_caller]
    fn body(mut self) -> Vec<u8> {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "curl: {status}");
        fs::read(&self.output).unwrap()
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// More than fits on the way to a client that does not read.
const BIG: usize = 32 << 20;
