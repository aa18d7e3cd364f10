//! The ring of a worker: what is queued, what is in flight, and what becomes of it.
//!
//! As on a ring with deferred task work, operations complete only while the worker waits. In what order, and whether
//! now or at the next wait, is left to chance.

use std::collections::VecDeque;

use driver::{BUFFER_SIZE, Completion, ENDED, Errno, Fd, Op, Token};

use crate::agenda::Answer;
use crate::buffers::Buffers;
use crate::descriptors::{Socket, Thing};
use crate::faults::Fault;
use crate::link::EndId;
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Ring {
    queued: Vec<(Op, Token)>,
    /// What the kernel has not completed.
    in_flight: Vec<InFlight>,
    /// Completions beyond the room of a wait's queue.
    overflow: VecDeque<Completion>,
    pub(crate) buffers: Buffers,
    /// Whether a wake-up came that no wait has ended by.
    pub(crate) woken: bool,
    limits: Limits,
}

/// How large things are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Operations that are queued at most; then they go to the kernel early.
    pub(crate) queued_max: usize,
    /// Completions of a wait; more of them come with the next, and multishot operations end.
    pub(crate) completions_max: usize,
    /// Whether receives end by themselves after a number of bytes, as since Linux 6.17.
    pub(crate) receives_end: bool,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    op: Op,
    token: Token,
    /// What a receive has received.
    received: u32,
    cancelled: bool,
    /// What to say, where it is known already.
    answer: Option<Result<u32, Errno>>,
}

/// How many parts one multishot receive takes at a wake-up.
pub(crate) const PARTS_MAX: u64 = 32;

impl Ring {
    pub(crate) fn new(buffers: Buffers, limits: Limits) -> Self {
        Self {
            queued: Vec::new(),
            in_flight: Vec::new(),
            overflow: VecDeque::new(),
            buffers,
            woken: false,
            limits,
        }
    }

    /// Whether the worker has something for the kernel.
    pub(crate) fn has_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    /// Whether an operation on this descriptor is not completed.
    pub(crate) fn uses(&self, fd: Fd) -> bool {
        let on = |op: &Op| fd_of(op) == Some(fd);
        self.queued.iter().any(|(op, _)| on(op)) || self.in_flight.iter().any(|other| on(&other.op))
    }

    /// Operations, except cancels, that are not completed.
    pub(crate) fn unanswered(&self) -> usize {
        let ops = self.queued.iter().map(|(op, _)| op).chain(self.in_flight.iter().map(|other| &other.op));
        ops.filter(|op| !matches!(op, Op::Cancel { .. } | Op::CancelAll { .. })).count()
    }
}

impl World {
    pub(crate) fn submit(&mut self, worker: usize, op: Op, token: Token) {
        self.note(format_args!("worker {worker} submits {op:?} as {}", Shown(token)));
        if self.rings[worker].queued.len() >= self.rings[worker].limits.queued_max {
            self.hand_over(worker);
        }
        self.rings[worker].queued.push((op, token));
    }

    /// The worker's free buffers and queued operations go to the kernel.
    pub(crate) fn enter(&mut self, worker: usize) {
        self.rings[worker].buffers.post();
        self.hand_over(worker);
    }

    fn hand_over(&mut self, worker: usize) {
        for (op, token) in std::mem::take(&mut self.rings[worker].queued) {
            let answer = self.begin(worker, op);
            self.rings[worker].in_flight.push(InFlight { op, token, received: 0, cancelled: false, answer });
        }
    }

    /// Begins an operation; says what it comes to if that is known at once.
    fn begin(&mut self, worker: usize, op: Op) -> Option<Result<u32, Errno>> {
        match op {
            Op::Connect { socket, to } => self.begin_connect(worker, socket, to).err().map(Err),
            Op::Receive { socket, later, .. } => {
                self.descriptors.end(socket);
                // A buffer is chosen before the socket is read.
                let starves = !later && !self.rings[worker].buffers.is_posted();
                self.starved |= starves;
                starves.then_some(Err(Errno::NOBUFS))
            }
            Op::PollReadable { socket } | Op::Accept { listener: socket }
                if self.queues.is_listening(socket) =>
            {
                None
            }
            Op::PollReadable { socket } | Op::PollWritable { socket } | Op::PollReset { socket } => {
                self.descriptors.end(socket);
                None
            }
            Op::Accept { listener } => panic!("{listener:?} does not listen"),
            Op::Cancel { target } => Some(self.cancel(worker, |other| {
                // Edge-triggered polls are known to the kernel by another token.
                other.token == target && !matches!(other.op, Op::PollWritable { .. } | Op::PollReset { .. })
            })),
            Op::CancelAll { fd } => {
                self.descriptors.get(fd);
                Some(self.cancel(worker, |other| fd_of(&other.op) == Some(fd)))
            }
        }
    }

    fn cancel(&mut self, worker: usize, is_meant: impl Fn(&InFlight) -> bool) -> Result<u32, Errno> {
        let mut found = 0;
        for other in self.rings[worker].in_flight.iter_mut().filter(|other| is_meant(other)) {
            // What is done cannot be cancelled; a cancel is done at once.
            if other.answer.is_none() && !other.cancelled {
                other.cancelled = true;
                found += 1;
            }
        }
        if found > 0 { Ok(found) } else { Err(Errno::NOENT) }
    }

    /// A connect of this worker's ended; says whether it is still waited for.
    ///
    /// The token would not tell: after one that was given up, the next has the same.
    pub(crate) fn answer_connect(&mut self, worker: usize, end: EndId, answer: Answer) -> bool {
        let descriptors = &self.descriptors;
        let is_at = |socket| matches!(descriptors.peek(socket), Some(Thing::Socket(socket)) if socket.end == Some(end));
        let mut in_flight = self.rings[worker].in_flight.iter_mut();
        let waiting = in_flight.find(|other| matches!(other.op, Op::Connect { socket, .. } if is_at(socket)));
        let Some(connect) = waiting.filter(|connect| !connect.cancelled) else { return false };
        connect.answer = Some(match answer {
            Answer::Accepted | Answer::Unconfirmed(_) => Ok(0),
            Answer::Failed(errno) => Err(errno),
        });
        true
    }

    /// Whether a wait of this worker would end at once, time aside.
    pub(crate) fn is_ready(&self, worker: usize) -> bool {
        let ring = &self.rings[worker];
        ring.woken || !ring.overflow.is_empty() || ring.in_flight.iter().any(|op| self.completes(op))
    }

    fn completes(&self, InFlight { op, cancelled, answer, .. }: &InFlight) -> bool {
        if *cancelled || answer.is_some() {
            return true;
        }
        match *op {
            Op::Accept { listener } => self.queues.is_ready(listener),
            Op::PollReadable { socket } if self.queues.is_listening(socket) => self.queues.is_ready(socket),
            Op::Receive { socket, .. } | Op::PollReadable { socket } => match self.descriptors.peek(socket) {
                Some(Thing::Socket(Socket { end: Some(end), low_water, .. })) => {
                    self.has_arrived(end, low_water)
                }
                _ => false,
            },
            Op::PollWritable { socket } => self.end_of(socket).is_some_and(|end| self.is_writable(end)),
            Op::PollReset { socket } => self.end_of(socket).is_some_and(|end| self.is_reset(end)),
            Op::Connect { .. } => false,
            Op::Cancel { .. } | Op::CancelAll { .. } => unreachable!("answered when they began"),
        }
    }

    /// Hands out what completes now, in any order.
    pub(crate) fn reap(&mut self, worker: usize, done: &mut Vec<Completion>) {
        let mut waiting = std::mem::take(&mut self.rings[worker].in_flight);
        let before = std::mem::take(&mut self.rings[worker].overflow);
        for completion in before {
            self.post(worker, completion, done);
        }
        for last in (1..waiting.len()).rev() {
            waiting.swap(last, self.random.index(last + 1));
        }
        let ready = waiting.iter().filter(|op| self.completes(op)).count();
        let mut delayed = 0;
        waiting.retain_mut(|op| {
            if !self.completes(op) {
                return true;
            }
            // All of it cannot be late: something ended the wait.
            if delayed + 1 < ready && self.happens(Fault::Delay) {
                delayed += 1;
                return true;
            }
            !self.complete(worker, op, done)
        });
        // Nothing begins while completions are made.
        assert!(self.rings[worker].in_flight.is_empty());
        self.rings[worker].in_flight = waiting;
    }

    fn is_full(&self, worker: usize, done: &[Completion]) -> bool {
        done.len() >= self.rings[worker].limits.completions_max
    }

    fn post(&mut self, worker: usize, completion: Completion, done: &mut Vec<Completion>) {
        if self.is_full(worker, done) {
            return self.rings[worker].overflow.push_back(completion);
        }
        self.note(format_args!("worker {worker} is told {}", ShownCompletion(&completion)));
        self.trace_mix(worker, &completion);
        done.push(completion);
    }

    /// Completes an operation once or more; returns whether it is done.
    fn complete(&mut self, worker: usize, op: &mut InFlight, done: &mut Vec<Completion>) -> bool {
        let ended = |result| Completion { token: op.token, result, more: false, buffer: None };
        if let Some(answer) = op.answer {
            self.post(worker, ended(answer), done);
            return true;
        }
        if op.cancelled && !self.happens(Fault::LateCancel) {
            self.post(worker, ended(Err(Errno::CANCELED)), done);
            return true;
        }
        match op.op {
            Op::Receive { socket, limit, .. } => {
                let end = self.descriptors.end(socket);
                self.complete_receive(worker, op, (end, limit), done)
            }
            Op::Accept { listener } => self.complete_accept(worker, op, listener, done),
            Op::PollReadable { socket } => {
                let over = self.end_of(socket).is_some_and(|end| self.has_ended(end));
                self.post(worker, ended(Ok(if over { 1 | ENDED } else { 1 })), done);
                true
            }
            Op::PollWritable { .. } | Op::PollReset { .. } => {
                self.post(worker, ended(Ok(1)), done);
                true
            }
            // One that has come about has its answer already.
            Op::Connect { .. } => {
                self.post(worker, ended(Err(Errno::CANCELED)), done);
                true
            }
            Op::Cancel { .. } | Op::CancelAll { .. } => unreachable!("answered when they began"),
        }
    }

    fn complete_receive(
        &mut self,
        worker: usize,
        op: &mut InFlight,
        (end, limit): (EndId, u32),
        done: &mut Vec<Completion>,
    ) -> bool {
        let token = op.token;
        let ended = |result| Completion { token, result, more: false, buffer: None };
        if self.happens(Fault::ReceiveAgain) {
            let errno = self.random.pick(&[Errno::AGAIN, Errno::INTR]);
            self.post(worker, ended(Err(errno)), done);
            return true;
        }
        for _ in 0..self.random.between(1, PARTS_MAX) {
            if !self.is_readable(end) {
                return false;
            }
            if !self.rings[worker].buffers.is_posted() || self.happens(Fault::NoBuffers) {
                self.starved = true;
                self.post(worker, ended(Err(Errno::NOBUFS)), done);
                return true;
            }
            let mut most = BUFFER_SIZE;
            if self.happens(Fault::ShortReceive) {
                most = self.random.some_of(most);
            }
            let extent = match self.link_receive(end, most) {
                Ok(Some(extent)) => extent,
                Ok(None) => {
                    self.post(worker, ended(Ok(0)), done);
                    return true;
                }
                Err(errno) => {
                    self.post(worker, ended(Err(errno)), done);
                    return true;
                }
            };
            self.on_moved(end.link);
            op.received = op.received.saturating_add(extent.length);
            // The last part may go beyond.
            let at_limit = self.rings[worker].limits.receives_end && op.received >= limit;
            let more = !at_limit && !self.is_full(worker, done) && !self.happens(Fault::EndsEarly);
            let buffer = Some(self.rings[worker].buffers.receive(extent));
            self.post(worker, Completion { token, result: Ok(extent.length), more, buffer }, done);
            if !more {
                return true;
            }
        }
        false
    }

    fn complete_accept(
        &mut self,
        worker: usize,
        op: &InFlight,
        listener: Fd,
        done: &mut Vec<Completion>,
    ) -> bool {
        loop {
            let (result, more) = match self.accept(listener) {
                Ok(fd) => {
                    let more = !self.is_full(worker, done) && !self.happens(Fault::EndsEarly);
                    (Ok(fd.0.unsigned_abs()), more)
                }
                Err(Errno::AGAIN) => return false,
                Err(errno) => (Err(errno), false),
            };
            self.post(worker, Completion { token: op.token, result, more, buffer: None }, done);
            if !more {
                return true;
            }
        }
    }
}

fn fd_of(op: &Op) -> Option<Fd> {
    match *op {
        Op::Accept { listener: fd }
        | Op::Connect { socket: fd, .. }
        | Op::Receive { socket: fd, .. }
        | Op::PollReadable { socket: fd }
        | Op::PollWritable { socket: fd }
        | Op::PollReset { socket: fd }
        | Op::CancelAll { fd } => Some(fd),
        Op::Cancel { .. } => None,
    }
}

/// A token in few letters.
struct Shown(Token);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "kind {} of slot {}, tenant {}", self.0.kind(), self.0.slot(), self.0.generation())
    }
}

struct ShownCompletion<'a>(&'a Completion);

impl std::fmt::Display for ShownCompletion<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Completion { token, result, more, buffer } = self.0;
        let more = if *more { ", and more" } else { "" };
        write!(f, "{result:?}{more} in {buffer:?} for {}", Shown(*token))
    }
}
