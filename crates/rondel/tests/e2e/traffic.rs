//! Connections of every size and shape at once, with both directions keyed and verified to the last byte.
//!
//! A connection is a number. From it and the seed both ends derive, without exchanging a word, what each sends: how
//! much, in which pieces, with which pauses, and how it reads.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::chance::{Chance, mix};
use crate::keyed;
use crate::peers::{Backend, Peer};
use crate::place::eventually;

/// Random connections of one seed, and how many of them the backends found correct.
pub(crate) struct Traffic {
    seed: u64,
    verified: Arc<AtomicUsize>,
}

impl Traffic {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self { seed, verified: Arc::default() }
    }

    /// A backend that plays its side of every connection.
    pub(crate) fn backend(&self, name: &str, port: u16) -> Backend {
        let (seed, verified) = (self.seed, Arc::clone(&self.verified));
        Backend::scripted(name, port, move |mut peer| {
            let mut number = [0; 8];
            peer.0.read_exact(&mut number).unwrap();
            let ways = Ways::of(seed, u64::from_le_bytes(number));
            exchange(&peer, &ways.to_client, &ways.to_backend).unwrap();
            verified.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Runs the connections `numbers` through `to`, all at once, until both sides of each are done.
    #[track_caller]
    pub(crate) fn run(&self, to: SocketAddr, numbers: Range<u64>) {
        let before = self.verified.load(Ordering::Relaxed);
        let count = usize::try_from(numbers.end - numbers.start).unwrap();
        thread::scope(|scope| {
            for number in numbers {
                scope.spawn(move || {
                    let mut client = Peer::connect(to);
                    client.send(&number.to_le_bytes());
                    let ways = Ways::of(self.seed, number);
                    exchange(&client, &ways.to_backend, &ways.to_client)
                        .unwrap_or_else(|error| panic!("connection {number} of seed {}: {error}", self.seed));
                });
            }
        });
        eventually("the backends find every connection right", || {
            self.verified.load(Ordering::Relaxed) == before + count
        });
    }
}

/// What each side sends over one connection.
struct Ways {
    to_backend: Way,
    to_client: Way,
}

/// One direction.
struct Way {
    key: u64,
    length: usize,
    /// The seed of pieces and pauses.
    chance: Chance,
}

impl Ways {
    fn of(seed: u64, number: u64) -> Self {
        let way = |direction| {
            let key = mix(mix(seed) ^ mix(number * 2 + direction));
            let mut chance = Chance::from_seed(key);
            let length = match chance.below(8) {
                0 => 0,
                1 | 2 => chance.size(1, 2_000),
                3..=5 => chance.size(2_000, 300_000),
                _ => chance.size(300_000, 6_000_000),
            };
            Way { key, length, chance }
        };
        Self { to_backend: way(0), to_client: way(1) }
    }
}

/// Sends one direction and receives the other at the same time; each ends with its own FIN.
fn exchange(peer: &Peer, sending: &Way, receiving: &Way) -> io::Result<()> {
    thread::scope(|scope| {
        let small = thread::Builder::new().stack_size(256 * 1024);
        let sender = small.spawn_scoped(scope, || send(&peer.0, sending)).unwrap();
        let _cut = CutOnPanic(&peer.0);
        let received = receive(&peer.0, receiving);
        sender.join().expect("the sender does not panic").and(received)
    })
}

/// Ends a connection that failed, so that the other side does not wait for the rest of it.
struct CutOnPanic<'a>(&'a TcpStream);

impl Drop for CutOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.0.shutdown(Shutdown::Both);
        }
    }
}

/// Writes in bursts of small and huge pieces, so that the balancer changes the way it relays meanwhile.
fn send(mut stream: &TcpStream, way: &Way) -> io::Result<()> {
    let mut chance = way.chance.clone();
    let mut buffer = Vec::new();
    let mut position = 0;
    while position < way.length {
        let (low, high) = [(1, 64), (64, 4_096), (4_096, 65_536), (262_144, 2_097_152)][chance.size(0, 3)];
        for _ in 0..chance.size(1, 12) {
            let piece = chance.size(low, high).min(way.length - position);
            buffer.resize(piece, 0);
            keyed::fill(way.key, position, &mut buffer);
            stream.write_all(&buffer)?;
            position += piece;
        }
        pause(&mut chance);
    }
    stream.shutdown(Shutdown::Write)
}

/// Reads in pieces of its own, sometimes late, and checks the position of every byte.
fn receive(mut stream: &TcpStream, way: &Way) -> io::Result<()> {
    let mut chance = Chance::from_seed(!way.key);
    let mut buffer = vec![0; 256 * 1024];
    let mut position = 0;
    loop {
        let room = if chance.below(4) == 0 { chance.size(1, 512) } else { buffer.len() };
        match stream.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(now) => {
                keyed::check(way.key, position, &buffer[..now]);
                position += now;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if chance.below(64) == 0 {
            pause(&mut chance);
        }
    }
    assert_eq!(position, way.length, "the stream {:#x} ended early", way.key);
    Ok(())
}

/// Mostly none; sometimes long enough for the balancer to become idle.
fn pause(chance: &mut Chance) {
    if chance.below(3) == 0 {
        thread::sleep(Duration::from_micros(chance.below(8_000)));
    }
}
