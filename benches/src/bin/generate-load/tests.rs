//! Load on a server of this process: the counts and the reasons of failures, never the duration.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::record::{Failed, Report};
use crate::schedule::Pace;
use crate::{Arguments, Plan, generate, path, seconds};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CLOSING: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn as_many_as_are_answered() {
    let server = Server::start(|_| (OK, Then::Keep));
    let report = load(&server, Pace::Answers, "0.2", Carry::Many);
    assert_eq!(report.failed, Failed::default());
    assert!(report.requests > 0);
    assert_eq!(report.bytes, report.requests * OK.len() as u64);
    assert_eq!(server.connections(), u64::from(CONNECTIONS));
}

#[test]
fn at_a_rate() {
    let server = Server::start(|_| (OK, Then::Keep));
    let report = load(&server, rate(200), "0.5", Carry::Many);
    assert_eq!(report.failed, Failed::default());
    assert_eq!(report.requests, 100);
    // Those of the warm-up were sent, and do not count.
    assert_eq!(server.requests(), 110);
    assert_eq!(server.connections(), u64::from(CONNECTIONS));
    assert_eq!(server.connections_used(), u64::from(CONNECTIONS));
}

#[test]
fn one_request_a_connection() {
    for pace in [Pace::Answers, rate(100)] {
        let server = Server::start(|_| (CLOSING, Then::Close));
        let report = load(&server, pace, "0.2", Carry::One);
        assert_eq!(report.failed, Failed::default());
        assert!(report.requests > 0);
        assert_eq!(server.connections_used(), server.requests());
        if pace != Pace::Answers {
            assert_eq!(report.requests, 20);
        }
    }
}

#[test]
fn over_several_threads() {
    let server = Server::start(|_| (OK, Then::Keep));
    let mut plan = plan(server.address, rate(200), "0.5", Carry::Many);
    plan.threads = 3;
    let report = generate(&plan).unwrap();
    assert_eq!(report.requests, 100);
    assert_eq!(server.requests(), 110);
    assert_eq!(server.connections_used(), u64::from(CONNECTIONS));
}

#[test]
fn answers_of_other_kinds() {
    check(Carry::Many, (CLOSING, Then::Close), Failed::default());
    check(Carry::One, ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", Then::Close), Failed::default());
    check(Carry::Many, ("HTTP/1.1 204 No Content\r\n\r\n", Then::Keep), Failed::default());
}

#[test]
fn failed_by_reason() {
    let none = Failed::default();
    let error = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    check(Carry::Many, (error, Then::Keep), Failed { status: 20, ..none });
    check(Carry::Many, ("", Then::Close), Failed { reset: 20, ..none });
    check(Carry::Many, ("", Then::Reset), Failed { reset: 20, ..none });
    check(Carry::One, (&OK[..OK.len() - 1], Then::Close), Failed { reset: 20, ..none });
    check(Carry::One, (&OK[..OK.len() - 1], Then::Reset), Failed { reset: 20, ..none });
    check(Carry::Many, ("220 mail.example.com\r\n", Then::Keep), Failed { protocol: 20, ..none });
    // Four connections send and never get a response; all other requests wait for one of them.
    check(Carry::Many, ("", Then::Keep), Failed { timeout: 20, ..none });
}

/// Every response is `reply`; 20 requests count.
#[track_caller]
fn check(carry: Carry, reply: (&'static str, Then), failed: Failed) {
    let server = Server::start(move |_| reply);
    let report = load(&server, rate(100), "0.2", carry);
    assert_eq!(report.failed, failed, "{reply:?}");
    let in_vain = failed.status + failed.reset + failed.protocol + failed.timeout;
    assert_eq!(report.requests, 20 - in_vain, "{reply:?}");
}

#[test]
fn a_server_that_goes_away() {
    let server = Server::start(|number| if number < 5 { (OK, Then::Keep) } else { ("", Then::Exit) });
    let report = load(&server, rate(100), "0.2", Carry::Many);
    assert!(report.failed.connect > 0, "{report:?}");
    let failed = report.failed.connect + report.failed.reset;
    assert_eq!(report.requests + failed, 20, "{report:?}");
}

#[test]
fn a_large_answer() {
    let body = "x".repeat(3_000_000);
    let answer: &'static str =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).leak();
    let server = Server::start(move |_| (answer, Then::Keep));
    let report = load(&server, rate(20), "0.5", Carry::Many);
    assert_eq!(report.failed, Failed::default());
    assert_eq!((report.requests, report.bytes), (10, 10 * answer.len() as u64));
}

#[test]
fn the_port_is_closed() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for carry in [Carry::Many, Carry::One] {
        let error = generate(&plan(address, Pace::Answers, "0.1", carry)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[test]
fn arguments() {
    assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
    assert!(["0", "-1", "x", "nan", "1e9"].into_iter().all(|text| seconds(text).is_err()));
    assert!(path("/a?b=c").is_ok());
    assert!(["", "a", "/a b", "/\r\n"].into_iter().all(|text| path(text).is_err()));
}

#[derive(Clone, Copy)]
enum Carry {
    Many,
    One,
}

fn load(server: &Server, pace: Pace, seconds: &str, carry: Carry) -> Report {
    generate(&plan(server.address, pace, seconds, carry)).unwrap()
}

fn plan(address: SocketAddr, pace: Pace, text: &str, carry: Carry) -> Plan {
    let arguments = Arguments {
        address,
        connections: NonZeroU32::new(CONNECTIONS).unwrap(),
        seconds: seconds(text).unwrap(),
        rate: match pace {
            Pace::Answers => None,
            Pace::Rate(rate) => Some(rate),
        },
        path: "/".to_owned(),
        close: matches!(carry, Carry::One),
        threads: NonZeroU32::MIN,
    };
    arguments.into_plan()
}

fn rate(per_second: u32) -> Pace {
    Pace::Rate(NonZeroU32::new(per_second).unwrap())
}

const CONNECTIONS: u32 = 4;

/// What the server does after a response.
#[derive(Clone, Copy, Debug)]
enum Then {
    Keep,
    Close,
    Reset,
    /// Closes this connection, and accepts no other.
    Exit,
}

/// A server with a thread for each connection; it lives until the process ends.
struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    connections_used: AtomicU64,
    requests: AtomicU64,
}

impl Server {
    /// Responses by the number of the request.
    fn start(answer: impl Fn(u64) -> (&'static str, Then) + Copy + Send + 'static) -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let server = Self { address, seen: Arc::clone(&seen) };
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                seen.connections.fetch_add(1, Ordering::Relaxed);
                let (seen, listener) = (Arc::clone(&seen), Arc::clone(&listener));
                thread::spawn(move || serve(&client, &seen, &listener, answer));
            }
        });
        server
    }

    fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Relaxed)
    }

    fn connections_used(&self) -> u64 {
        self.seen.connections_used.load(Ordering::Relaxed)
    }

    fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }
}

fn serve(
    mut client: &TcpStream,
    seen: &Seen,
    listener: &TcpListener,
    answer: impl Fn(u64) -> (&'static str, Then),
) {
    let mut lines = BufReader::new(client).lines();
    let mut used = false;
    while lines.by_ref().map_while(Result::ok).any(|line| line.is_empty()) {
        if !std::mem::replace(&mut used, true) {
            seen.connections_used.fetch_add(1, Ordering::Relaxed);
        }
        let (answer, then) = answer(seen.requests.fetch_add(1, Ordering::Relaxed));
        if client.write_all(answer.as_bytes()).is_err() {
            return;
        }
        match then {
            Then::Keep => {}
            Then::Close => return,
            Then::Reset => {
                let socket = SockRef::from(client);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
            Then::Exit => {
                // A listening socket that is shut down refuses connections, and wakes the thread that accepts from
                // it.
                let _ = SockRef::from(listener).shutdown(Shutdown::Both);
                return;
            }
        }
    }
}
