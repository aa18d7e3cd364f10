//! A server with a role, which its probe reads by HTTP at the port where it serves.

use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::lb::Lb;
use crate::peers::{Backend, Client, Peer};
use crate::setup::Target;

/// It sends its name to clients, for each line that they send.
pub(crate) struct Actor {
    backend: Backend,
    played: Arc<AtomicU8>,
}

/// The answer to probes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Played {
    Primary,
    Replica,
    /// Healthy, without a role.
    Neither,
    /// It closes every probe without an answer, and still serves clients.
    Ill,
}

impl Actor {
    pub(crate) fn new(name: &str, port: u16, played: Played) -> Self {
        let played = Arc::new(AtomicU8::new(played as u8));
        let heard = Arc::new(AtomicU8::new(played.load(Ordering::SeqCst)));
        let said = format!("{name}\n");
        let backend = Backend::scripted(name, port, {
            let played = Arc::clone(&played);
            move |peer| act(&peer, &played, &heard, &said)
        });
        Self { backend, played }
    }

    /// Sets the role.
    pub(crate) fn plays(&self, played: Played) {
        self.played.store(played as u8, Ordering::SeqCst);
    }

    /// The number of accepted connections, of clients and of probes.
    pub(crate) fn accepted(&self) -> usize {
        self.backend.accepted()
    }

    pub(crate) fn target(&self) -> Target {
        self.backend.target()
    }
}

fn act(peer: &Peer, played: &AtomicU8, heard: &AtomicU8, said: &str) {
    peer.0.set_read_timeout(None).unwrap();
    let mut lines = BufReader::new(&peer.0).lines();
    while let Some(Ok(line)) = lines.next() {
        let answer = match line.strip_prefix("GET /").and_then(|rest| rest.split(' ').next()) {
            None => said.to_owned(),
            Some(path) => {
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                // A probe asks for the replica role after the primary role, over another connection. Both answers
                // are of one moment: an actor that changes from replica to primary between them would be neither.
                if path != "replica" {
                    heard.store(played.load(Ordering::SeqCst), Ordering::SeqCst);
                }
                let plays = |role: Played| heard.load(Ordering::SeqCst) == role as u8;
                let status = match path {
                    _ if plays(Played::Ill) => return,
                    "primary" if !plays(Played::Primary) => 503,
                    "replica" if !plays(Played::Replica) => 503,
                    _ => 200,
                };
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")
            }
        };
        if (&peer.0).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A client of the balancer that knows the server it got.
#[track_caller]
pub(crate) fn served(lb: &Lb) -> (String, Client) {
    let mut client = lb.connect();
    let name = asks(&mut client);
    (name, client)
}

/// Asks again.
#[track_caller]
pub(crate) fn asks(client: &mut Client) -> String {
    client.send(b"who?\n").line()
}

/// The servers `a` and `b`.
pub(crate) fn pair(a: Played, b: Played) -> [Actor; 2] {
    [Actor::new("a", 9001, a), Actor::new("b", 9002, b)]
}

/// The probe of a pool of them: fast, but with a timeout that a busy machine does not exceed.
pub(crate) const PROBE: &str =
    "probe: { http: { roles: {} }, interval: 100ms, fast_interval: 100ms, timeout: 5s, rise: 2, fall: 2 }";
