//! A connection lives: what its halves want is done, and what comes of it is told to them.

use connection::{Chunk, CloseReason, Direction, Fault, Next, QUEUE_BYTES_MAX, Spliced};
use driver::{BUFFER_SIZE, BufferId, Bytes, Completion, Driver, Errno, Op, SocketKeepalive};

use crate::slots::{Connection, State};
use crate::token::Kind;
use crate::worker::{HalfId, Worker};

/// How many bytes a half may splice before it gives way to the others.
const STREAM_BUDGET: u32 = 1024 * 1024;

impl<D: Driver> Worker<D> {
    /// Does what a half wants until it wants nothing more for now.
    fn pump(&mut self, half: HalfId) {
        let HalfId { slot, direction, .. } = half;
        let mut budget = STREAM_BUDGET;
        while budget > 0 {
            let connection = self.slots.get(slot);
            let Some(next) = connection.relay().half(direction).next(&self.chunks) else { return };
            match next {
                Next::Receive { first } => {
                    let socket = connection.input(direction);
                    let token = self.slots.begin(slot, Kind::Receive(direction));
                    // Clients mostly speak first.
                    let later = first && direction == Direction::ToClient;
                    self.driver.submit(Op::Receive { socket, limit: QUEUE_BYTES_MAX, later }, token);
                }
                Next::StopReceive => self.cancel(slot, Kind::Receive(direction)),
                Next::Send { chunk, more } => {
                    if let Err(fault) = self.send(slot, direction, chunk, more) {
                        return self.close(slot, reason_of(direction.other(), fault));
                    }
                }
                Next::TakePipe => {
                    let pipe = self.pipes.take(&mut self.driver);
                    connection.pipes[direction as usize] = pipe;
                    let half = connection.relay().half(direction);
                    match pipe {
                        Some(pipe) => {
                            half.splice(pipe.capacity);
                            // Streams are looked at more often, for when they stand still.
                            self.set_patience(slot);
                        }
                        None => half.copy(),
                    }
                }
                Next::GivePipe => {
                    let pipe = connection.pipes[direction as usize].take();
                    self.pipes.give_back(pipe.expect("a half that splices has a pipe"));
                }
                Next::Fill(length) => budget = budget.saturating_sub(self.fill(slot, direction, length)),
                Next::Flush(length) => {
                    if let Err(fault) = self.flush(slot, direction, length) {
                        return self.close(slot, reason_of(direction.other(), fault));
                    }
                }
                Next::WaitReadable => {
                    let socket = connection.input(direction);
                    let token = self.slots.begin(slot, Kind::Ready(direction));
                    self.driver.submit(Op::PollReadable { socket }, token);
                }
                Next::WaitWritable => {
                    let socket = connection.output(direction);
                    let token = self.slots.begin(slot, Kind::Ready(direction));
                    self.driver.submit(Op::PollWritable { socket }, token);
                }
                Next::Finish if connection.relay().is_finished() => {
                    return self.close(slot, CloseReason::Done);
                }
                Next::Finish => {
                    let output = connection.output(direction);
                    if self.driver.shutdown_write(output).is_err() {
                        return self.close(slot, reason_of(direction.other(), Fault::Reset));
                    }
                    // The patience for a half-closed relay begins with the FIN, however long it was still before.
                    connection.relay().on_active(self.now);
                    self.set_patience(slot);
                }
                Next::Abort(fault) => return self.close(slot, reason_of(direction, fault)),
            }
            if !self.relays(half) {
                return; // It had stood still for too long.
            }
        }
        self.run_later(slot, direction);
    }

    /// Has a half pumped once all that completed in this turn is known: the more is known, the more goes together.
    pub(crate) fn run_later(&mut self, slot: u32, direction: Direction) {
        let half = HalfId { slot, generation: self.slots.generation(slot), direction };
        // What completes for a half mostly completes in a row.
        if self.runnable.back() != Some(&half) {
            self.runnable.push_back(half);
        }
    }

    /// Lets the halves that may have something to do go on, once each.
    pub(crate) fn run_halves(&mut self) {
        for _ in 0..self.runnable.len() {
            let Some(half) = self.runnable.pop_front() else { break };
            self.pump_if_relaying(half);
        }
    }

    pub(crate) fn on_receive(&mut self, slot: u32, direction: Direction, mut completion: Completion) {
        let now = self.now;
        let connection = self.slots.get(slot);
        let relay = connection.relay();
        match completion.result {
            Ok(length) if length > 0 => {
                relay.on_active(now);
                let buffer = completion.buffer.take().expect("bytes come in a buffer");
                let full = length == BUFFER_SIZE;
                relay.half(direction).on_received(&mut self.chunks, buffer.0, length, full, completion.more);
            }
            Ok(_) => relay.half(direction).on_ended(),
            Err(Errno::NOBUFS) => {
                relay.half(direction).on_stopped();
                let generation = self.slots.generation(slot);
                return self.parked.push_back(HalfId { slot, generation, direction });
            }
            Err(Errno::CANCELED | Errno::INTR | Errno::AGAIN) => relay.half(direction).on_stopped(),
            Err(errno) => relay.half(direction).on_failed(fault_of(errno)),
        }
        // Nothing was received into a buffer that is left.
        self.give_back(completion.buffer.map(|buffer| buffer.0));
        self.run_later(slot, direction);
    }

    pub(crate) fn on_ready(&mut self, slot: u32, direction: Direction) {
        self.slots.get(slot).relay().half(direction).on_ready();
        self.run_later(slot, direction);
    }

    /// The timer of a relay came: perhaps it stood still, perhaps it was only looked at early.
    pub(crate) fn on_stillness(&mut self, slot: u32) {
        let now = self.now;
        self.keep_alive(slot);
        if self.slots.get(slot).relay().is_quiet(now) {
            for direction in Direction::BOTH {
                if self.slots.get(slot).relay().half(direction).on_quiet() {
                    self.cancel(slot, Kind::Ready(direction));
                }
            }
        }
        if let Some(finished) = self.slots.get(slot).relay().finished_alone() {
            self.set_alarm(slot, finished);
        }
        self.set_patience(slot);
    }

    /// Gives the backend's socket its keepalive, if it has none yet.
    fn keep_alive(&mut self, slot: u32) {
        let connection = self.slots.get(slot);
        if let (false, Some((socket, _))) = (connection.kept_alive, &connection.backend) {
            let times = connection.listener.pool.keepalive;
            let keepalive =
                SocketKeepalive { idle: times.idle, interval: times.interval, probes: times.probes };
            self.driver.keep_alive(*socket, keepalive);
            connection.kept_alive = true;
        }
    }

    /// Lets halves that waited for a buffer receive again, once each, if there are buffers.
    pub(crate) fn unpark(&mut self) {
        if self.driver.buffers_free() == 0 {
            return;
        }
        for _ in 0..self.parked.len() {
            let Some(half) = self.parked.pop_front() else { break };
            self.pump_if_relaying(half);
        }
    }

    fn pump_if_relaying(&mut self, half: HalfId) {
        if self.relays(half) {
            self.pump(half);
        }
    }

    /// Whether the half's connection still is, and relays.
    fn relays(&mut self, HalfId { slot, generation, .. }: HalfId) -> bool {
        self.slots.lives(slot, generation) && matches!(self.slots.get(slot).state, State::Relaying(_))
    }

    fn cancel(&mut self, slot: u32, kind: Kind) {
        let target = kind.token(self.slots.generation(slot), slot);
        let token = self.slots.begin(slot, Kind::Cancel);
        self.driver.submit(Op::Cancel { target }, token);
    }

    /// Sends the front of the queue, or a part of it.
    fn send(&mut self, slot: u32, direction: Direction, chunk: Chunk, more: bool) -> Result<(), Fault> {
        let (now, index) = (self.now, self.index);
        let connection = self.slots.get(slot);
        let Chunk { buffer, start, length } = chunk;
        let bytes = Bytes { buffer: BufferId(buffer), start, length, more };
        let sent = match self.driver.send(connection.output(direction), bytes) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => return Err(fault_of(errno)),
        };
        if sent > 0 {
            count(connection, index, direction, sent);
            connection.relay().on_active(now);
            connection.on_spoken(direction, index);
        }
        let buffer = connection.relay().half(direction).on_sent(&mut self.chunks, sent);
        self.give_back(buffer);
        Ok(())
    }

    /// Splices from the input into the pipe; says how many bytes.
    fn fill(&mut self, slot: u32, direction: Direction, length: u32) -> u32 {
        let now = self.now;
        let connection = self.slots.get(slot);
        let pipe = connection.pipes[direction as usize].expect("a half that splices has a pipe");
        let filled = match self.driver.splice(connection.input(direction), pipe.write, length) {
            Ok(0) => Spliced::Ended,
            Ok(length) => Spliced::Moved(length),
            Err(Errno::AGAIN | Errno::INTR) => Spliced::Blocked,
            Err(errno) => Spliced::Failed(fault_of(errno)),
        };
        connection.relay().half(direction).on_filled(filled);
        match filled {
            Spliced::Moved(length) => {
                connection.relay().on_active(now);
                length
            }
            Spliced::Blocked | Spliced::Ended | Spliced::Failed(_) => 0,
        }
    }

    /// Splices from the pipe to the output.
    fn flush(&mut self, slot: u32, direction: Direction, length: u32) -> Result<(), Fault> {
        let (now, index) = (self.now, self.index);
        let connection = self.slots.get(slot);
        let pipe = connection.pipes[direction as usize].expect("a half that splices has a pipe");
        let moved = match self.driver.splice(pipe.read, connection.output(direction), length) {
            Ok(moved) => Some(moved),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(errno) => return Err(fault_of(errno)),
        };
        connection.relay().half(direction).on_flushed(moved);
        if let Some(moved) = moved {
            connection.relay().on_active(now);
            count(connection, index, direction, moved);
        }
        Ok(())
    }
}

/// Counts bytes that were delivered.
fn count(connection: &mut Connection, worker: usize, direction: Direction, bytes: u32) {
    connection.facts.on_delivered(direction, bytes);
    let listener = connection.listener.counters.of(worker);
    let backend = connection.backend.as_ref().map(|(_, backend)| backend.counters.of(worker));
    let backend = backend.expect("a relay has a backend");
    let (of_listener, of_backend) = match direction {
        Direction::ToBackend => (&listener.bytes_to_backend, &backend.bytes_to_backend),
        Direction::ToClient => (&listener.bytes_to_client, &backend.bytes_to_client),
    };
    of_listener.add(bytes.into());
    of_backend.add(bytes.into());
}

pub(crate) fn fault_of(errno: Errno) -> Fault {
    match errno {
        Errno::CONNRESET | Errno::PIPE => Fault::Reset,
        _ => Fault::Lost,
    }
}

/// Why a connection ends when the input of this half failed.
pub(crate) fn reason_of(direction: Direction, fault: Fault) -> CloseReason {
    match (direction, fault) {
        (Direction::ToBackend, Fault::Reset) => CloseReason::ClientReset,
        (Direction::ToBackend, Fault::Lost) => CloseReason::ClientLost,
        (Direction::ToClient, Fault::Reset) => CloseReason::BackendReset,
        (Direction::ToClient, Fault::Lost) => CloseReason::BackendLost,
    }
}
