//! Accepting: by a multishot accept per listening socket while there is plenty of room, one client a permit near the
//! bounds, not at all at them.
//!
//! ```text
//!             less room than a full queue needs              no permit
//! Accepting ────────────────────────────────────▶ Waiting ◀────────────▶ Listening
//!           ◀────────────────────────────────────         queue empty,
//!             room again, and the queue is empty          or a client came
//! ```
//!
//! A multishot accept empties the kernel's queue into the worker, however long it is. So that the kernel's queue, and
//! not a crowd of accepted sockets, holds the clients at a bound, it is stopped before it could cross one. What it
//! takes beyond, because other workers took the room meanwhile, is held here in order and served first.

use std::collections::{HashSet, VecDeque};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connection::CloseReason;
use driver::{Completion, Driver, Errno, Fd, ListenGroup, Op};
use table::Listener;

use crate::balancer::Client;
use crate::core::Core;
use crate::token::Kind;

/// The acceptors of a worker, one for each address of each listener, and what they share.
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
    /// Accepted, and waiting for permits.
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
    /// Near a bound: takes one client for each permit, and waits for permits.
    Waiting,
    /// Near a bound, with room: a poll says when a client comes.
    Listening,
    /// The kernel had no descriptor for a client, or the rate of the listener allows none yet: waits until then.
    Paused(Instant),
    /// The table has removed the listener: waits for the last of what it has accepted.
    Retired,
}

/// How long an acceptor rests after the kernel could not give it a descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A client that is taken in.
pub(crate) enum Taken {
    /// It has its permits.
    Admitted(Client),
    /// It is to be rejected, for this reason.
    Rejected(Client, CloseReason),
}

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
        Client { socket: self.socket, accepted_at: self.at, listener, source: None }
    }
}

impl Acceptors {
    /// Accepts from these listeners and from no others.
    pub(crate) fn listen_to<D: Driver>(&mut self, core: &mut Core<D>, listeners: &[Arc<Listener>]) {
        for number in 0..self.all.len() {
            let Some(acceptor) = &mut self.all[number] else { continue };
            match listeners.iter().find(|listener| listener.accepts_from(&acceptor.sockets)) {
                Some(listener) => self.set_listener(core, number, listener),
                None => self.retire(core, number),
            }
        }
        let known: HashSet<_> =
            self.all.iter().flatten().map(|acceptor| Arc::as_ptr(&acceptor.sockets)).collect();
        for listener in listeners {
            for endpoint in &listener.endpoints {
                if !known.contains(&Arc::as_ptr(&endpoint.sockets)) {
                    self.begin_accepting(core, listener, &endpoint.sockets);
                }
            }
        }
    }

    fn begin_accepting<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        listener: &Arc<Listener>,
        sockets: &Arc<ListenGroup>,
    ) {
        let acceptor = Acceptor {
            sockets: Arc::clone(sockets),
            listener: Arc::clone(listener),
            mode: Mode::Accepting,
            armed: None,
            held: VecDeque::new(),
        };
        let free = self.all.iter().position(Option::is_none);
        let number = free.unwrap_or(self.all.len());
        if free.is_none() {
            self.all.push(None);
        }
        self.all[number] = Some(acceptor);
        self.begin_waiting_for_clients(core, number);
    }

    /// The table has this listener at the address of an acceptor now. It may be another one than before.
    fn set_listener<D>(&mut self, core: &Core<D>, number: usize, listener: &Arc<Listener>) {
        let before = std::mem::replace(&mut self.get(number).listener, Arc::clone(listener));
        if !before.is_same(listener) {
            self.done_waiting(core, &before);
        }
    }

    /// The queue is empty: takes what comes as it comes, if there is room for a whole queue of it.
    fn begin_waiting_for_clients<D: Driver>(&mut self, core: &mut Core<D>, number: usize) {
        let mode = if self.has_room(core, number) { Mode::Accepting } else { Mode::Listening };
        self.set_mode(number, mode);
        self.arm(core, number);
    }

    /// Whether all that a multishot accept could take at once would find permits. At a rate, each client is asked for
    /// by itself.
    fn has_room<D>(&mut self, core: &Core<D>, number: usize) -> bool {
        let listener = &self.get(number).listener;
        if listener.interval.is_some() {
            return false;
        }
        let of_listener = listener.connections_max.saturating_sub(listener.semaphore.active());
        let of_process = core.connections_max.saturating_sub(core.semaphore.active());
        of_listener.min(of_process) > listener.backlog
    }

    fn arm<D: Driver>(&mut self, core: &mut Core<D>, number: usize) {
        let acceptor = self.get(number);
        assert!(acceptor.armed.is_none(), "one accept at a time");
        let listener = listening_socket(acceptor, core.index);
        let (kind, op) = match acceptor.mode {
            Mode::Accepting => (Kind::Accept, Op::Accept { listener }),
            Mode::Listening => (Kind::Listen, Op::PollReadable { socket: listener }),
            Mode::Waiting | Mode::Paused(_) | Mode::Retired => unreachable!("these take no client"),
        };
        acceptor.armed = Some(kind);
        core.driver.submit(op, accept_token(kind, number));
    }

    fn disarm<D: Driver>(&mut self, core: &mut Core<D>, number: usize) {
        if let Some(kind) = self.get(number).armed {
            let target = accept_token(kind, number);
            core.driver.submit(Op::Cancel { target }, accept_token(Kind::CancelAccept, number));
        }
    }

    fn retire<D: Driver>(&mut self, core: &mut Core<D>, number: usize) {
        let acceptor = self.get(number);
        // In a drain the table still has it, and what was accepted already uses that.
        let table = Arc::clone(&core.table);
        if let Some(listener) = table.listener_on(&acceptor.sockets) {
            self.set_listener(core, number, listener);
        }
        if self.get(number).mode == Mode::Retired {
            return;
        }
        self.set_mode(number, Mode::Retired);
        self.disarm(core, number);
        self.leave_if_done(core, number);
    }

    /// An accept completed: says which client came by it and is to be taken in now.
    ///
    /// Once that is done, [`after_accept`](Self::after_accept) is to be called.
    pub(crate) fn on_accept<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        completion: Completion,
    ) -> Option<Taken> {
        let number = completion.token.slot() as usize;
        let acceptor = self.get(number);
        if !completion.more {
            acceptor.armed = None;
        }
        let listener = Arc::clone(&acceptor.listener);
        match completion.result {
            Ok(client) => {
                let client = Accepted { socket: Fd(client.cast_signed()), at: core.now };
                listener.counters.of(core.index).accepted.add(1);
                if core.is_ending() {
                    return Some(Taken::Rejected(client.of(listener), CloseReason::Drained));
                }
                if acceptor.held.is_empty() && core.admit(&listener).is_ok() {
                    return Some(Taken::Admitted(client.of(listener)));
                }
                acceptor.held.push_back(client);
                None
            }
            // Listening ended, and this accept with it.
            Err(_) if acceptor.mode == Mode::Retired => None,
            Err(Errno::CANCELED) => None,
            Err(errno) => {
                listener.counters.of(core.index).accept_errors.add(1);
                self.on_accept_error(core, number, errno)
            }
        }
    }

    /// What an accept brought was taken in: goes on accepting, as far as there is room.
    pub(crate) fn after_accept<D: Driver>(&mut self, core: &mut Core<D>, completion: Completion) {
        let number = completion.token.slot() as usize;
        let mode = self.get(number).mode;
        if completion.result.is_ok() && mode == Mode::Accepting && !self.has_room(core, number) {
            self.set_mode(number, Mode::Waiting);
            self.disarm(core, number);
        }
        let acceptor = self.get(number);
        if acceptor.mode == Mode::Accepting && acceptor.armed.is_none() {
            self.arm(core, number);
        }
        self.leave_if_done(core, number);
    }

    /// A client came, or listening ended: trying will tell.
    pub(crate) fn on_client<D>(&mut self, core: &mut Core<D>, completion: Completion) {
        let number = completion.token.slot() as usize;
        let acceptor = self.get(number);
        acceptor.armed = None;
        if acceptor.mode == Mode::Listening {
            self.set_mode(number, Mode::Waiting);
        }
        self.leave_if_done(core, number);
    }

    /// An accept failed. If the kernel had no descriptor, the acceptor pauses, and one client is to be rejected.
    fn on_accept_error<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        number: usize,
        errno: Errno,
    ) -> Option<Taken> {
        // A client that left before it was accepted is no reason to pause.
        if matches!(errno, Errno::CONNABORTED | Errno::PROTO | Errno::INTR | Errno::AGAIN) {
            return None;
        }
        self.set_mode(number, Mode::Paused(core.now + ACCEPT_PAUSE));
        self.disarm(core, number);
        // Those that wait in the kernel's queue cannot be told apart from those that are served soon, so
        // that one a pause is told: it need not wait for its own timeout.
        let accepted = self.reserve.take().and_then(|reserve| {
            let socket = listening_socket(self.get(number), core.index);
            core.driver.close(reserve);
            core.driver.accept_now(socket).ok()
        });
        let Some(socket) = accepted else {
            self.hold_reserve(&mut core.driver);
            return None;
        };
        let listener = Arc::clone(&self.get(number).listener);
        listener.counters.of(core.index).accepted.add(1);
        let client = Accepted { socket, at: core.now };
        Some(Taken::Rejected(client.of(listener), CloseReason::NoDescriptor))
    }

    /// Opens the reserve, if it is not.
    pub(crate) fn hold_reserve<D: Driver>(&mut self, driver: &mut D) {
        if self.reserve.is_none() {
            self.reserve = driver.open_reserve().ok();
        }
    }

    /// The next client that waits where there is room again. `number` is the acceptor to begin with, at first 0.
    pub(crate) fn next_client<D: Driver>(&mut self, core: &mut Core<D>, number: &mut usize) -> Option<Taken> {
        if self.resting == 0 {
            return None;
        }
        while *number < self.all.len() {
            let taken = self.next_client_of(core, *number);
            if taken.is_some() {
                return taken;
            }
            *number += 1;
        }
        None
    }

    fn next_client_of<D: Driver>(&mut self, core: &mut Core<D>, number: usize) -> Option<Taken> {
        match self.all[number].as_ref()?.mode {
            Mode::Waiting => self.next_waiting(core, number),
            Mode::Paused(until) if core.now >= until => {
                self.hold_reserve(&mut core.driver);
                // As if it had waited for a permit: clients that are held come first.
                self.set_mode(number, Mode::Waiting);
                self.next_waiting(core, number)
            }
            Mode::Accepting | Mode::Listening | Mode::Paused(_) => None,
            Mode::Retired => {
                let taken = self.next_held(core, number);
                self.leave_if_done(core, number);
                taken
            }
        }
    }

    /// The next client of an acceptor that waits for permits: of those that it holds, or else of the kernel's queue.
    fn next_waiting<D: Driver>(&mut self, core: &mut Core<D>, number: usize) -> Option<Taken> {
        // One client a permit: a multishot accept would empty the kernel's queue into ours.
        loop {
            let acceptor = self.get(number);
            if !acceptor.held.is_empty() {
                return self.next_held(core, number);
            }
            let listener = Arc::clone(&acceptor.listener);
            let socket = listening_socket(acceptor, core.index);
            if acceptor.armed.is_some() {
                return None; // Its end is on the way, perhaps with more clients.
            }
            if let Err(until) = take_rate(core, &listener) {
                self.set_mode(number, Mode::Paused(until));
                self.done_waiting(core, &listener);
                return None;
            }
            if !admit_or_wait(core, &listener) {
                give_back_rate(&listener);
                return None;
            }
            match core.driver.accept_now(socket) {
                Ok(socket) => {
                    listener.counters.of(core.index).accepted.add(1);
                    return Some(Taken::Admitted(Accepted { socket, at: core.now }.of(listener)));
                }
                Err(Errno::AGAIN) => {
                    give_back_rate(&listener);
                    core.dismiss(&listener);
                    self.begin_waiting_for_clients(core, number);
                    self.done_waiting(core, &listener);
                    return None;
                }
                Err(errno) => {
                    give_back_rate(&listener);
                    core.dismiss(&listener);
                    listener.counters.of(core.index).accept_errors.add(1);
                    let taken = self.on_accept_error(core, number, errno);
                    if let Mode::Paused(_) = self.get(number).mode {
                        self.done_waiting(core, &listener);
                        return taken;
                    }
                }
            }
        }
    }

    /// The next client that is held, if there is room for it.
    fn next_held<D>(&mut self, core: &mut Core<D>, number: usize) -> Option<Taken> {
        let Acceptor { listener, held, .. } = self.get(number);
        let listener = Arc::clone(listener);
        if held.is_empty() || !admit_or_wait(core, &listener) {
            return None;
        }
        self.get(number).held.pop_front().map(|client| Taken::Admitted(client.of(listener)))
    }

    /// Waits no longer, so that the next permit wakes another worker that does.
    fn done_waiting<D>(&self, core: &Core<D>, listener: &Listener) {
        let waits = |acceptor: &&Acceptor| acceptor.mode == Mode::Waiting || !acceptor.held.is_empty();
        let mut waiting = self.all.iter().flatten().filter(waits).peekable();
        let is_last = waiting.peek().is_none();
        // Another address of the listener may wait for a permit as well.
        if !waiting.any(|acceptor| acceptor.listener.is_same(listener)) {
            core.wake(listener.semaphore.done_waiting(core.index, listener.connections_max));
        }
        if is_last {
            core.wake(core.semaphore.done_waiting(core.index, core.connections_max));
        }
    }

    /// The next client that was accepted and not begun, as the process ends.
    pub(crate) fn next_left<D>(&mut self, core: &mut Core<D>) -> Option<Client> {
        for number in 0..self.all.len() {
            let Some(acceptor) = &mut self.all[number] else { continue };
            if let Some(client) = acceptor.held.pop_front() {
                return Some(client.of(Arc::clone(&acceptor.listener)));
            }
            self.leave_if_done(core, number);
        }
        None
    }

    fn leave_if_done<D>(&mut self, core: &Core<D>, number: usize) {
        let acceptor = self.get(number);
        if acceptor.mode != Mode::Retired || acceptor.armed.is_some() || !acceptor.held.is_empty() {
            return;
        }
        let listener = Arc::clone(&acceptor.listener);
        // It counts as accepting again, so that `resting` is right.
        self.set_mode(number, Mode::Accepting);
        self.all[number] = None;
        self.done_waiting(core, &listener);
    }
}

fn admit_or_wait<D>(core: &Core<D>, listener: &Listener) -> bool {
    let Err(full) = core.admit(listener) else { return true };
    full.wait(core.index);
    // A permit that was released before the semaphore knew of this worker woke none.
    let Err(full) = core.admit(listener) else { return true };
    full.wait(core.index);
    core.admit(listener).is_ok()
}

/// Takes a new connection from the rate of a listener, if it has one.
///
/// # Errors
///
/// It allows none before this time.
fn take_rate<D>(core: &Core<D>, listener: &Listener) -> Result<(), Instant> {
    let Some(interval) = listener.interval else { return Ok(()) };
    let taken = listener.rate.take(interval, core.now);
    if taken.is_err() {
        listener.counters.of(core.index).rate_pauses.add(1);
    }
    taken
}

/// What was taken brought no connection.
fn give_back_rate(listener: &Listener) {
    if let Some(interval) = listener.interval {
        listener.rate.give_back(interval);
    }
}

fn listening_socket(acceptor: &Acceptor, worker: usize) -> Fd {
    Fd(acceptor.sockets.get(worker).as_raw_fd())
}

fn accept_token(kind: Kind, number: usize) -> driver::Token {
    kind.token(0, u32::try_from(number).expect("there are few listeners"))
}
