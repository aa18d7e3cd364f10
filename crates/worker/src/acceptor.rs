//! Accepting: by a multishot accept per listening socket while there is plenty of room, one client a place near the
//! bounds, not at all at them.
//!
//! ```text
//!             less room than a full queue needs              no place
//! Accepting ────────────────────────────────────▶ Waiting ◀────────────▶ Listening
//!           ◀────────────────────────────────────         queue empty,
//!             room again, and the queue is empty          or a client came
//! ```
//!
//! A multishot accept empties the kernel's queue into the worker, however long it is. So that the kernel's queue, and
//! not a crowd of accepted sockets, holds the clients at a bound, it is stopped before it could cross one. What it
//! takes beyond all the same, because other workers took the room meanwhile, is held here in order and served first.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connection::CloseReason;
use driver::ListenGroup;
use driver::{Completion, Driver, Errno, Fd, Op};
use table::Listener;

use crate::balancer::Client;
use crate::token::Kind;
use crate::worker::Worker;

/// The acceptors of a worker, and what they share.
#[derive(Default)]
pub(crate) struct Acceptors {
    /// By number; a number is used again only when nothing of the old one is in flight.
    all: Vec<Option<Acceptor>>,
    /// How many of them are not in [`Mode::Accepting`].
    resting: usize,
    /// A descriptor that is open for one thing: to be closed when no other can be had, so that a waiting client
    /// can be accepted and told so.
    reserve: Option<Fd>,
}

struct Acceptor {
    /// Keeps the socket open while the kernel accepts from it.
    sockets: Arc<ListenGroup>,
    /// As the latest table has it.
    listener: Arc<Listener>,
    mode: Mode,
    /// The accept or the poll that is in flight.
    armed: Option<Kind>,
    /// Accepted, and waiting for a place.
    held: VecDeque<Accepted>,
}

/// A client's socket, and when it was accepted.
#[derive(Clone, Copy)]
struct Accepted {
    socket: Fd,
    at: Instant,
}

/// What an acceptor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A multishot accept is armed, or about to be.
    Accepting,
    /// Near a bound: takes one client for each place, and waits for places.
    Waiting,
    /// Near a bound, with room: a poll says when a client comes.
    Listening,
    /// The kernel had no descriptor for a client: waits until then.
    Paused(Instant),
    /// The listener is gone from the table: waits for the last of what it has accepted.
    Retired,
}

/// How long an acceptor rests after the kernel could not give it a descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Acceptors {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.iter().all(Option::is_none)
    }

    pub(crate) fn paused_until(&self) -> Option<Instant> {
        if self.resting == 0 {
            return None;
        }
        let until = |acceptor: &Acceptor| match acceptor.mode {
            Mode::Paused(until) => Some(until),
            Mode::Accepting | Mode::Waiting | Mode::Listening | Mode::Retired => None,
        };
        self.all.iter().flatten().filter_map(until).min()
    }

    /// What each of them does, and how many clients it holds, by number.
    pub(crate) fn modes(&self) -> impl Iterator<Item = (usize, Mode, usize)> {
        let numbered = self.all.iter().enumerate();
        numbered.filter_map(|(number, acceptor)| {
            acceptor.as_ref().map(|acceptor| (number, acceptor.mode, acceptor.held.len()))
        })
    }

    fn get(&mut self, number: usize) -> &mut Acceptor {
        self.all[number].as_mut().expect("what is in flight keeps the acceptor")
    }

    fn set_mode(&mut self, number: usize, mode: Mode) {
        let acceptor = self.get(number);
        let rested = acceptor.mode != Mode::Accepting;
        acceptor.mode = mode;
        let rests = mode != Mode::Accepting;
        self.resting = self.resting + usize::from(rests) - usize::from(rested);
    }
}

impl Accepted {
    fn of(self, listener: Arc<Listener>) -> Client {
        Client { socket: self.socket, accepted_at: self.at, listener }
    }
}

impl<D: Driver> Worker<D> {
    /// Accepts from these listeners and from no others.
    pub(crate) fn listen_to(&mut self, listeners: &[Arc<Listener>]) {
        for number in 0..self.acceptors.all.len() {
            let Some(acceptor) = &mut self.acceptors.all[number] else { continue };
            match listeners.iter().find(|listener| Arc::ptr_eq(&listener.sockets, &acceptor.sockets)) {
                Some(listener) => acceptor.listener = Arc::clone(listener),
                None => self.retire(number),
            }
        }
        for listener in listeners {
            let known = |acceptor: &Acceptor| Arc::ptr_eq(&acceptor.sockets, &listener.sockets);
            if !self.acceptors.all.iter().flatten().any(known) {
                self.begin_accepting(listener);
            }
        }
    }

    fn begin_accepting(&mut self, listener: &Arc<Listener>) {
        let acceptor = Acceptor {
            sockets: Arc::clone(&listener.sockets),
            listener: Arc::clone(listener),
            mode: Mode::Accepting,
            armed: None,
            held: VecDeque::new(),
        };
        let free = self.acceptors.all.iter().position(Option::is_none);
        let number = free.unwrap_or(self.acceptors.all.len());
        if free.is_none() {
            self.acceptors.all.push(None);
        }
        self.acceptors.all[number] = Some(acceptor);
        self.begin_waiting_for_clients(number);
    }

    /// The queue is empty: takes what comes as it comes, if there is room for a whole queue of it.
    fn begin_waiting_for_clients(&mut self, number: usize) {
        let mode = if self.has_room(number) { Mode::Accepting } else { Mode::Listening };
        self.acceptors.set_mode(number, mode);
        self.arm(number);
    }

    /// Whether all that a multishot accept could take at once would find a place.
    fn has_room(&mut self, number: usize) -> bool {
        let listener = &self.acceptors.get(number).listener;
        let of_listener = listener.connections_max.saturating_sub(listener.semaphore.active());
        let queue = listener.backlog;
        let of_process = self.connections_max.saturating_sub(self.gate.active());
        of_listener.min(of_process) > queue
    }

    fn arm(&mut self, number: usize) {
        let index = self.index;
        let acceptor = self.acceptors.get(number);
        assert!(acceptor.armed.is_none(), "one accept at a time");
        let listener = listening_socket(acceptor, index);
        let (kind, op) = match acceptor.mode {
            Mode::Accepting => (Kind::Accept, Op::Accept { listener }),
            Mode::Listening => (Kind::Listen, Op::PollReadable { socket: listener }),
            Mode::Waiting | Mode::Paused(_) | Mode::Retired => unreachable!("these take no client"),
        };
        acceptor.armed = Some(kind);
        self.driver.submit(op, accept_token(kind, number));
    }

    fn disarm(&mut self, number: usize) {
        if let Some(kind) = self.acceptors.get(number).armed {
            let target = accept_token(kind, number);
            self.driver.submit(Op::Cancel { target }, accept_token(Kind::CancelAccept, number));
        }
    }

    fn retire(&mut self, number: usize) {
        let acceptor = self.acceptors.get(number);
        // In a drain the table still has it, and who was accepted already goes by that.
        if let Some(listener) = self.table.listener_on(&acceptor.sockets) {
            acceptor.listener = Arc::clone(listener);
        }
        if acceptor.mode == Mode::Retired {
            return;
        }
        self.acceptors.set_mode(number, Mode::Retired);
        self.disarm(number);
        self.leave_if_done(number);
    }

    pub(crate) fn on_accept(&mut self, completion: Completion) {
        let number = completion.token.slot() as usize;
        let index = self.index;
        let acceptor = self.acceptors.get(number);
        if !completion.more {
            acceptor.armed = None;
        }
        let listener = Arc::clone(&acceptor.listener);
        let mode = acceptor.mode;
        match completion.result {
            Ok(client) => {
                let client = Accepted { socket: Fd(client.cast_signed()), at: self.now };
                listener.counters.of(index).accepted.add(1);
                if self.is_ending() {
                    self.turn_away(client.of(listener), CloseReason::Drained);
                } else if self.acceptors.get(number).held.is_empty() && self.admit(&listener).is_ok() {
                    self.place(client, listener);
                } else {
                    self.acceptors.get(number).held.push_back(client);
                }
                if mode == Mode::Accepting && !self.has_room(number) {
                    self.acceptors.set_mode(number, Mode::Waiting);
                    self.disarm(number);
                }
            }
            // Listening ended, and this accept with it.
            Err(_) if mode == Mode::Retired => {}
            Err(Errno::CANCELED) => {}
            Err(errno) => {
                listener.counters.of(index).accept_errors.add(1);
                self.on_accept_error(number, errno);
            }
        }
        let acceptor = self.acceptors.get(number);
        if acceptor.mode == Mode::Accepting && acceptor.armed.is_none() {
            self.arm(number);
        }
        self.leave_if_done(number);
    }

    /// A client came, or listening ended: trying will tell.
    pub(crate) fn on_client(&mut self, completion: Completion) {
        let number = completion.token.slot() as usize;
        let acceptor = self.acceptors.get(number);
        acceptor.armed = None;
        if acceptor.mode == Mode::Listening {
            self.acceptors.set_mode(number, Mode::Waiting);
        }
        self.leave_if_done(number);
    }

    /// Begins the connection of a client who has its places: here, or at a worker with less to do.
    fn place(&mut self, client: Accepted, listener: Arc<Listener>) {
        match self.handover.give(client.of(listener)) {
            Ok(worker) => self.wake(Some(worker)),
            Err(client) => self.begin_connection(client),
        }
    }

    fn on_accept_error(&mut self, number: usize, errno: Errno) {
        // A client that left before it was accepted is no reason to rest.
        if matches!(errno, Errno::CONNABORTED | Errno::PROTO | Errno::INTR | Errno::AGAIN) {
            return;
        }
        self.acceptors.set_mode(number, Mode::Paused(self.now + ACCEPT_PAUSE));
        self.disarm(number);
        // Those who wait in the kernel's queue cannot be told apart from those who are served soon, so
        // that one a pause is told: it need not wait for its own timeout.
        if let Some(reserve) = self.acceptors.reserve.take() {
            let acceptor = self.acceptors.get(number);
            let listener = Arc::clone(&acceptor.listener);
            let socket = listening_socket(acceptor, self.index);
            self.driver.close(reserve);
            if let Ok(socket) = self.driver.accept_now(socket) {
                listener.counters.of(self.index).accepted.add(1);
                let client = Accepted { socket, at: self.now };
                self.turn_away(client.of(listener), CloseReason::NoDescriptor);
            }
        }
        self.hold_reserve();
    }

    /// Opens the reserve, if it is not.
    pub(crate) fn hold_reserve(&mut self) {
        if self.acceptors.reserve.is_none() {
            self.acceptors.reserve = self.driver.open_reserve().ok();
        }
    }

    /// Serves those who wait, where there is room again.
    pub(crate) fn resume_accepting(&mut self) {
        if self.acceptors.resting == 0 {
            return;
        }
        for number in 0..self.acceptors.all.len() {
            let Some(acceptor) = &self.acceptors.all[number] else { continue };
            match acceptor.mode {
                Mode::Waiting => self.resume_waiting(number),
                Mode::Paused(until) if self.now >= until => {
                    self.hold_reserve();
                    // As if it had waited for a place: those who are held come first.
                    self.acceptors.set_mode(number, Mode::Waiting);
                    self.resume_waiting(number);
                }
                Mode::Accepting | Mode::Listening | Mode::Paused(_) => {}
                Mode::Retired => {
                    self.serve_held(number);
                    self.leave_if_done(number);
                }
            }
        }
    }

    fn resume_waiting(&mut self, number: usize) {
        // One client a place: a multishot accept would empty the kernel's queue into ours.
        while self.serve_held(number) {
            let acceptor = self.acceptors.get(number);
            let listener = Arc::clone(&acceptor.listener);
            let socket = listening_socket(acceptor, self.index);
            if acceptor.armed.is_some() {
                return; // Its end is on the way, perhaps with more clients.
            }
            if !self.admit_or_wait(&listener) {
                return;
            }
            match self.driver.accept_now(socket) {
                Ok(socket) => {
                    listener.counters.of(self.index).accepted.add(1);
                    self.place(Accepted { socket, at: self.now }, listener);
                }
                Err(Errno::AGAIN) => {
                    self.dismiss(&listener);
                    self.begin_waiting_for_clients(number);
                    return self.done_waiting(&listener);
                }
                Err(errno) => {
                    self.dismiss(&listener);
                    listener.counters.of(self.index).accept_errors.add(1);
                    self.on_accept_error(number, errno);
                    if let Mode::Paused(_) = self.acceptors.get(number).mode {
                        return self.done_waiting(&listener);
                    }
                }
            }
        }
    }

    /// Begins the connections that are held, as far as there is room; says whether none is left.
    fn serve_held(&mut self, number: usize) -> bool {
        loop {
            let acceptor = self.acceptors.get(number);
            let listener = Arc::clone(&acceptor.listener);
            if acceptor.held.is_empty() {
                return true;
            }
            if !self.admit_or_wait(&listener) {
                return false;
            }
            if let Some(client) = self.acceptors.get(number).held.pop_front() {
                self.place(client, listener);
            }
        }
    }

    fn admit_or_wait(&self, listener: &Listener) -> bool {
        let Err(full) = self.admit(listener) else { return true };
        full.wait(self.index);
        // A place that was given back before the gate knew of us woke nobody.
        let Err(full) = self.admit(listener) else { return true };
        full.wait(self.index);
        self.admit(listener).is_ok()
    }

    /// Waits no longer, so that the next place wakes someone who does.
    fn done_waiting(&self, listener: &Listener) {
        self.wake(listener.semaphore.done_waiting(self.index, listener.connections_max));
        let waits = |acceptor: &Acceptor| acceptor.mode == Mode::Waiting || !acceptor.held.is_empty();
        if !self.acceptors.all.iter().flatten().any(waits) {
            self.wake(self.gate.done_waiting(self.index, self.connections_max));
        }
    }

    /// Turns away those who were accepted and not begun, as the process ends.
    pub(crate) fn turn_away_held(&mut self) {
        for number in 0..self.acceptors.all.len() {
            while let Some(client) =
                self.acceptors.all[number].as_mut().and_then(|acceptor| acceptor.held.pop_front())
            {
                let listener = Arc::clone(&self.acceptors.get(number).listener);
                self.turn_away(client.of(listener), CloseReason::Drained);
            }
            if self.acceptors.all[number].is_some() {
                self.leave_if_done(number);
            }
        }
    }

    fn leave_if_done(&mut self, number: usize) {
        let acceptor = self.acceptors.get(number);
        if acceptor.mode != Mode::Retired || acceptor.armed.is_some() || !acceptor.held.is_empty() {
            return;
        }
        let listener = Arc::clone(&acceptor.listener);
        // It counts as accepting once more, so that `resting` is right.
        self.acceptors.set_mode(number, Mode::Accepting);
        self.acceptors.all[number] = None;
        self.done_waiting(&listener);
    }
}

fn listening_socket(acceptor: &Acceptor, worker: usize) -> Fd {
    Fd(acceptor.sockets.get(worker).as_raw_fd())
}

fn accept_token(kind: Kind, number: usize) -> driver::Token {
    kind.token(0, u32::try_from(number).expect("there are few listeners"))
}
