//! The connections that carry requests, and what each of them is at.
//!
//! ```text
//!               connected                     answered
//!     Opening ─────────────▶ Idle ─▶ Asking ─────────────▶ Idle
//!        ▲                    │        │  │ … and the server closes after it
//!        │                    ▼        ▼  └───▶ Ending ───▶ Closed
//!        └────────────────────────── Closed
//! ```
//!
//! A closed one is free as well: its next request opens it again. A connection that fails to connect pauses for a
//! moment, so that a dead server does not get a million connects per second.
//!
//! It does not know when requests are due, nor which ones count.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::clock;
use crate::record::{Failure, Outcome};
use crate::response::{Malformed, Progress, Response};

/// The request, and its address.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
    /// Whether a connection carries more than one request.
    pub(crate) keep_alive: bool,
}

/// The connections of one thread.
pub(crate) struct Connections {
    target: Target,
    epoll: OwnedFd,
    slots: Vec<Slot>,
    /// Those that are free; the one that has been free for longest is first, so that all are used.
    free: VecDeque<usize>,
    /// Those that failed to connect, and when they are free again.
    resting: VecDeque<(Instant, usize)>,
    /// The number of requests in progress.
    asking: usize,
    /// The receive buffer, shared by all.
    buffer: Box<[u8]>,
    /// Why the last failed connect failed.
    error: Option<io::Error>,
}

/// The index of a connection.
#[derive(Default)]
struct Slot {
    state: State,
    response: Response,
    /// How often it was opened: distinguishes events of its socket from those of an earlier one.
    generation: u32,
}

#[derive(Default)]
enum State {
    /// There is no socket.
    #[default]
    Closed,
    /// It is being established, for the request that was due then, or for any.
    Opening { stream: TcpStream, due: Option<Instant> },
    /// It waits for a request.
    Idle { stream: TcpStream },
    /// It has a request, of which this many bytes were sent.
    Asking { stream: TcpStream, due: Instant, sent: usize },
    /// It has its response, and the server will close it. If the client did, the port would be in `TIME_WAIT` for a
    /// minute.
    Ending { stream: TcpStream },
}

/// An event of the kernel.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    slot: usize,
    generation: u32,
    flags: EventFlags,
}

impl Connections {
    /// This many connections to `target`, established if they carry more than one request.
    ///
    /// # Errors
    ///
    /// If none of them can be established.
    pub(crate) fn open(target: Target, count: usize) -> io::Result<Self> {
        let mut slots = Vec::new();
        slots.resize_with(count, Slot::default);
        let mut connections = Self {
            target,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            slots,
            free: VecDeque::with_capacity(count),
            resting: VecDeque::new(),
            asking: 0,
            buffer: vec![0; BUFFER_SIZE].into(),
            error: None,
        };
        if connections.target.keep_alive {
            connections.open_all()?;
        } else {
            TcpStream::connect_timeout(&connections.target.address, OPENING_TIMEOUT)?;
            connections.free.extend(0..count);
        }
        Ok(connections)
    }

    /// Establishes all of them, few enough at a time for the server's accept queue.
    fn open_all(&mut self) -> io::Result<()> {
        let until = clock() + OPENING_TIMEOUT;
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let mut begun = 0;
        while self.free.len() + self.resting.len() < self.slots.len() && clock() < until {
            while begun < self.slots.len() && begun - self.free.len() - self.resting.len() < OPENING_MAX {
                self.connect(begun, None);
                begun += 1;
            }
            self.wait(until, &mut events)?;
            for event in events.drain(..) {
                self.on_event(event);
            }
        }
        if self.free.is_empty() {
            return Err(self.error.take().unwrap_or_else(|| ErrorKind::TimedOut.into()));
        }
        Ok(())
    }

    /// Whether a connection is free.
    pub(crate) fn is_free(&mut self, now: Instant) -> bool {
        while let Some(&(_, slot)) = self.resting.front().filter(|&&(until, _)| until <= now) {
            self.resting.pop_front();
            self.free.push_back(slot);
        }
        !self.free.is_empty()
    }

    /// When the next paused one is free.
    pub(crate) fn next_free(&self) -> Option<Instant> {
        self.resting.front().map(|&(until, _)| until)
    }

    /// The number of requests in progress.
    pub(crate) fn asking(&self) -> usize {
        self.asking
    }

    /// The requests in progress, by when they were due.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = Instant> {
        self.slots.iter().filter_map(|slot| match slot.state {
            State::Opening { due, .. } => due,
            State::Asking { due, .. } => Some(due),
            State::Closed | State::Idle { .. } | State::Ending { .. } => None,
        })
    }

    /// Gives the request that was due at `due` to the connection that has been free for longest. There must be one.
    pub(crate) fn ask(&mut self, due: Instant) -> Option<Outcome> {
        let slot = self.free.pop_front().expect("the caller asked whether one is free");
        self.asking += 1;
        match self.take(slot) {
            State::Closed => self.connect(slot, Some(due)),
            State::Idle { stream } => self.send(slot, stream, due, 0),
            State::Opening { .. } | State::Asking { .. } | State::Ending { .. } => {
                unreachable!("it is at something else")
            }
        }
    }

    /// Waits for events until `until`, and appends them to `events`.
    pub(crate) fn wait(&self, until: Instant, events: &mut Vec<Event>) -> io::Result<()> {
        let timeout = until.saturating_duration_since(clock());
        let timeout = Timespec::try_from(timeout).expect("a timeout of less than a century");
        let mut reported: Vec<epoll::Event> = Vec::with_capacity(EVENTS_MAX);
        match epoll::wait(&self.epoll, spare_capacity(&mut reported), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        events.extend(reported.iter().map(|event| Event::new(event.flags, event.data)));
        Ok(())
    }

    /// Does what can be done now, and returns what happened to a request.
    pub(crate) fn on_event(&mut self, event: Event) -> Option<Outcome> {
        let Event { slot, generation, flags } = event;
        if generation != self.slots[slot].generation {
            // It was closed and opened again, for another event in the same batch.
            return None;
        }
        let readable = flags.intersects(EventFlags::IN | ENDED);
        match self.take(slot) {
            State::Opening { stream, due } => self.on_connected(slot, stream, due, flags),
            State::Asking { stream, due, sent } if sent < self.target.request.len() => {
                self.send(slot, stream, due, sent)
            }
            State::Asking { stream, due, .. } if readable => self.receive(slot, stream, due, flags),
            State::Ending { stream } if readable => {
                drop(stream);
                self.on_ended(slot);
                None
            }
            // It is among the free ones, and is opened again when it is used. No request was lost.
            State::Idle { .. } if readable => None,
            state => {
                self.slots[slot].state = state;
                None
            }
        }
    }

    /// Opens a connection for the request that was due then, or for any.
    fn connect(&mut self, slot: usize, due: Option<Instant>) -> Option<Outcome> {
        self.slots[slot].generation = self.slots[slot].generation.wrapping_add(1);
        match self.begin_connect(slot) {
            Ok(stream) => {
                self.slots[slot].state = State::Opening { stream, due };
                None
            }
            Err(error) => self.on_connect_error(slot, due, error),
        }
    }

    fn begin_connect(&self, slot: usize) -> io::Result<TcpStream> {
        let address = self.target.address;
        let kind = Type::STREAM.nonblocking();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        // Edge-triggered, so that one registration is enough for the life of the connection.
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &socket, Event::data(slot, self.slots[slot].generation), flags)?;
        Ok(socket.into())
    }

    fn on_connected(
        &mut self,
        slot: usize,
        stream: TcpStream,
        due: Option<Instant>,
        flags: EventFlags,
    ) -> Option<Outcome> {
        if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
            let error = stream.take_error().unwrap_or_else(Some);
            return self.on_connect_error(slot, due, error.unwrap_or(ErrorKind::NotConnected.into()));
        }
        if let Some(due) = due {
            return self.send(slot, stream, due, 0);
        }
        self.slots[slot].state = State::Idle { stream };
        self.free.push_back(slot);
        None
    }

    fn on_connect_error(&mut self, slot: usize, due: Option<Instant>, error: io::Error) -> Option<Outcome> {
        self.error = Some(error);
        self.resting.push_back((clock() + REST, slot));
        due.map(|due| self.outcome(due, Err(Failure::Connect)))
    }

    /// Sends the rest of the request after `sent` bytes.
    fn send(&mut self, slot: usize, stream: TcpStream, due: Instant, mut sent: usize) -> Option<Outcome> {
        if sent == 0 {
            self.slots[slot].response.restart();
        }
        while sent < self.target.request.len() {
            match (&stream).write(&self.target.request[sent..]) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Some(self.on_closed(slot, due, Failure::Reset)),
            }
        }
        self.slots[slot].state = State::Asking { stream, due, sent };
        None
    }

    /// Receives the available part of the response.
    fn receive(
        &mut self,
        slot: usize,
        stream: TcpStream,
        due: Instant,
        flags: EventFlags,
    ) -> Option<Outcome> {
        let ended = flags.intersects(ENDED);
        loop {
            let response = &mut self.slots[slot].response;
            let length = match (&stream).read(&mut self.buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Some(self.on_closed(slot, due, Failure::Reset)),
            };
            if length == 0 {
                return Some(match response.on_end() {
                    Progress::Whole => {
                        self.on_ended(slot);
                        self.on_answer(slot, due)
                    }
                    Progress::Part => self.on_closed(slot, due, Failure::Reset),
                });
            }
            match response.on_bytes(&self.buffer[..length]) {
                Ok(Progress::Whole) => {
                    self.on_whole(slot, stream, ended);
                    return Some(self.on_answer(slot, due));
                }
                // The socket is empty, and will report new data; but its end was reported already.
                Ok(Progress::Part) if length < self.buffer.len() && !ended => break,
                Ok(Progress::Part) => {}
                Err(Malformed) => return Some(self.on_closed(slot, due, Failure::Protocol)),
            }
        }
        self.slots[slot].state = State::Asking { stream, due, sent: self.target.request.len() };
        None
    }

    /// The response is complete: the connection is free, or the server closes it, if it has not yet.
    fn on_whole(&mut self, slot: usize, stream: TcpStream, ended: bool) {
        if ended {
            self.on_ended(slot);
        } else if self.slots[slot].response.closes() || !self.target.keep_alive {
            self.slots[slot].state = State::Ending { stream };
        } else {
            self.slots[slot].state = State::Idle { stream };
            self.free.push_back(slot);
        }
    }

    fn on_answer(&mut self, slot: usize, due: Instant) -> Outcome {
        let response = &self.slots[slot].response;
        let result = if response.is_success() { Ok(response.bytes()) } else { Err(Failure::Status) };
        self.outcome(due, result)
    }

    /// The connection is of no further use, and its request has failed with it.
    fn on_closed(&mut self, slot: usize, due: Instant, failure: Failure) -> Outcome {
        self.on_ended(slot);
        self.outcome(due, Err(failure))
    }

    /// The connection is closed. If it should carry more, it is opened again at once, so that the next request need
    /// not wait.
    fn on_ended(&mut self, slot: usize) {
        if self.target.keep_alive {
            self.connect(slot, None);
        } else {
            self.free.push_back(slot);
        }
    }

    fn outcome(&mut self, due: Instant, result: Result<u64, Failure>) -> Outcome {
        self.asking -= 1;
        Outcome { due, result }
    }

    fn take(&mut self, slot: usize) -> State {
        std::mem::take(&mut self.slots[slot].state)
    }
}

impl Event {
    fn new(flags: EventFlags, data: EventData) -> Self {
        let data = data.u64();
        let slot = usize::try_from(data & u64::from(u32::MAX)).expect("32 bits");
        let generation = u32::try_from(data >> 32).expect("32 bits");
        Self { slot, generation, flags }
    }

    /// The user data of an event: `| generation: 32 | slot: 32 |`.
    fn data(slot: usize, generation: u32) -> EventData {
        EventData::new_u64((u64::from(generation) << 32) | slot as u64)
    }
}

/// The input ended, or the connection failed; reading shows which.
const ENDED: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

/// How many connections are established at once while all are opened: a quarter of the usual accept queue of a
/// server, which may have several queues and fill them unevenly.
const OPENING_MAX: usize = 1024;

/// How long to wait for all connections to be established. Others are established later.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection pauses after a failed connect.
const REST: Duration = Duration::from_millis(10);

/// How many bytes are received at once. They stay within the second-level cache.
const BUFFER_SIZE: usize = 256 * 1024;

/// How many events are taken at once. Requests that become due meanwhile are sent between them.
const EVENTS_MAX: usize = 256;
