//! Crowds: thousands of slow readers and slow writers, no buffer left, and as many connections as allowed.

use super::namespace::Namespace;
use super::stand::{Attacked, Stand, on_each_stand};
use crate::peers::{Client, Peer, accept, listen};
use crate::place::{address, eventually, long_lane};
use crate::setup::{Setup, target};

#[test]
fn thousands_of_slow_readers_delay_no_other_client() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let mut crowd = Crowd::new(stand, namespace, thousands());
            let before = crowd.lb.memory();
            for _ in 0..8 {
                crowd.backends_send(32 << 10);
            }
            crowd.lb.serves_others();
            crowd.costs_at_most(before, HELD_MAX);
            crowd.lb.does_not_spin();
            crowd.reads_all();
            crowd.leaves().recovered(&[("done", thousands() as u64)]);
        });
    });
}

#[test]
fn slow_readers_that_reset_free_their_pending_data() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let mut crowd = Crowd::new(stand, namespace, thousands());
            for _ in 0..8 {
                crowd.backends_send(32 << 10);
            }
            crowd.resets().recovered(&[("client_reset", thousands() as u64)]);
        });
    });
}

#[test]
fn thousands_of_slow_writers_cost_as_much_as_idle_connections() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let mut crowd = Crowd::new(stand, namespace, thousands());
            let before = crowd.lb.memory();
            for _ in 0..3 {
                crowd.clients_send(1);
                crowd.lb.serves_others();
                crowd.reads_all();
            }
            crowd.costs_at_most(before, IDLE_MAX);
            crowd.leaves().recovered(&[("done", thousands() as u64)]);
        });
    });
}

#[test]
fn stalled_readers_of_small_messages_leave_buffers_to_others() {
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            // Each message takes a buffer, and a queue holds 8 of them: that would be more than there are, 1024 for
            // each worker.
            let mut crowd = Crowd::limited(stand, namespace, 240, "max_connections: 256");
            for _ in 0..80 {
                crowd.clients_send(1 << 10);
                crowd.backends_send(1 << 10);
            }
            crowd.lb.serves_others();
            crowd.lb.does_not_spin();
            crowd.reads_all();
            crowd.leaves().recovered(&[("done", 240)]);
        });
    });
}

#[test]
fn the_largest_number_of_connections_opens_and_closes_at_once() {
    let size = if long_lane() { 9_000 } else { 500 };
    on_each_stand(|stand| {
        Namespace::within(|namespace| {
            let mut crowd = Crowd::new(stand, namespace, size);
            let before = crowd.lb.memory();
            crowd.clients_send(100);
            crowd.backends_send(100);
            crowd.reads_all();
            crowd.costs_at_most(before, IDLE_MAX);
            crowd.lb.serves_others();
            crowd.lb.does_not_spin();
            let lb = crowd.leaves();
            lb.is_in_its_state_before();
            // The same again, with resets.
            let crowd = Crowd::of(lb, size);
            crowd.resets().recovered(&[("done", size as u64), ("client_reset", size as u64)]);
        });
    });
}

/// Connections with both ends in the test, and what was sent and not yet read.
struct Crowd {
    lb: Attacked,
    pairs: Vec<Pair>,
}

struct Pair {
    client: Client,
    backend: Peer,
    to_backend: Stream,
    to_client: Stream,
}

/// One direction.
#[derive(Clone, Copy)]
struct Stream {
    key: u64,
    sent: usize,
    read: usize,
}

impl Crowd {
    /// This many connections; socket buffers are so small that unread data is in the balancer.
    #[track_caller]
    fn new(stand: Stand, namespace: &Namespace, size: usize) -> Self {
        Self::limited(stand, namespace, size, "max_connections: auto")
    }

    /// The same with this limit of connections, and as many buffers as it implies.
    #[track_caller]
    fn limited(stand: Stand, namespace: &Namespace, size: usize, limit: &str) -> Self {
        namespace.set("ipv4/tcp_rmem", "4096 16384 16384");
        namespace.set("ipv4/tcp_wmem", "4096 16384 16384");
        let runtime = format!("drain_timeout: 5s, {limit}");
        Self::of(stand.start_with(&runtime, &Setup::to(&[target("a", 9001)])), size)
    }

    #[track_caller]
    fn of(lb: Attacked, size: usize) -> Self {
        let listener = listen(address(9001));
        let pair = |number| {
            let stream = |key| Stream { key, sent: 0, read: 0 };
            let (mut to_backend, to_client) = (stream(2 * number), stream(2 * number + 1));
            let client = lb.connect();
            // The backend is connected with the first byte, not when the held ACK has waited long enough.
            to_backend.send(&client, 1);
            Pair { client, backend: accept(&listener), to_backend, to_client }
        };
        let pairs = (0..size as u64).map(pair).collect();
        Self { lb, pairs }
    }

    /// Each client sends this many bytes, or what its socket accepts of them.
    #[track_caller]
    fn clients_send(&mut self, length: usize) {
        for Pair { client, to_backend, .. } in &mut self.pairs {
            to_backend.send(client, length);
        }
    }

    #[track_caller]
    fn backends_send(&mut self, length: usize) {
        for Pair { backend, to_client, .. } in &mut self.pairs {
            to_client.send(backend, length);
        }
    }

    /// Every end reads what was sent to it, and asserts that it is exactly that. The ends do not wait for each
    /// other: one that reads releases buffers that another one needs.
    #[track_caller]
    fn reads_all(&mut self) {
        eventually("all is read", || {
            let left = |pair: &mut Pair| {
                pair.to_backend.receive_now(&pair.backend) + pair.to_client.receive_now(&pair.client)
            };
            self.pairs.iter_mut().map(left).sum::<usize>() == 0
        });
    }

    #[track_caller]
    fn costs_at_most(&self, before: usize, each: usize) {
        let (grown, size) = (self.lb.memory().saturating_sub(before), self.pairs.len());
        println!("{} bytes of memory for each of {size} connections", grown / size);
        assert!(grown <= size * each + HOT, "{grown} bytes for {size} connections");
    }

    /// All clients finish, then all backends.
    fn leaves(self) -> Attacked {
        drop(self.pairs);
        self.lb
    }

    /// All clients reset, and all backends receive it.
    #[track_caller]
    fn resets(self) -> Attacked {
        let (clients, backends): (Vec<_>, Vec<_>) =
            self.pairs.into_iter().map(|pair| (pair.client, pair.backend)).unzip();
        clients.into_iter().for_each(Peer::reset);
        assert!(backends.iter().all(Peer::wait_cut), "a backend did not receive the reset");
        self.lb
    }
}

impl Stream {
    #[track_caller]
    fn send(&mut self, from: &Peer, length: usize) {
        self.sent += from.send_now(self.key, self.sent, self.sent + length);
    }

    /// Reads what has arrived, and returns how many bytes are missing.
    #[track_caller]
    fn receive_now(&mut self, to: &Peer) -> usize {
        self.read += to.receive_now(self.key, self.read, self.sent);
        self.sent - self.read
    }
}

/// The size of a crowd in this lane.
fn thousands() -> usize {
    if long_lane() { 3_000 } else { 200 }
}

/// The memory of a connection with a slow reader at most, in bytes: a full queue, and the buffer that overfilled
/// it.
const HELD_MAX: usize = (64 + 32 + 32) << 10;

/// The memory of an idle connection at most, in bytes.
const IDLE_MAX: usize = 1 << 10;

/// The memory of shared buffers, in bytes.
const HOT: usize = 16 << 20;
