//! The relays of a worker: what their halves want is done, and they are told the result.

use std::collections::VecDeque;
use std::time::Instant;

use connection::{Chunk, Chunks, CloseReason, Direction, Fault, Next, QUEUE_BYTES_MAX, Relay, Spliced};
use driver::{BUFFER_SIZE, BufferId, Bytes, Completion, Driver, Errno, Fd, Op, Pipe};

use crate::core::Core;
use crate::held_acks::HeldAcks;
use crate::pipes::Pipes;
use crate::state::{Connection, State};
use crate::token::Kind;

/// What the relays of a worker share. A fault of one is answered with the reason to close its connection.
pub(crate) struct Relays {
    /// The queues of all halves.
    chunks: Chunks,
    pipes: Pipes,
    /// Halves that may have something to do, in their order: those that something happened to, and streams that
    /// gave way to the others. A half stands in it a few times at most.
    runnable: VecDeque<HalfId>,
    /// Halves that wait for a receive buffer, in their order.
    parked: VecDeque<HalfId>,
    held_acks: HeldAcks,
}

/// A half of a connection, which may have ended since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HalfId {
    pub(crate) slot: u32,
    generation: u32,
    direction: Direction,
}

/// How many bytes a half may splice before it gives way to the others.
const STREAM_BUDGET: u32 = 1024 * 1024;

impl Relays {
    /// None yet. `buffers` is how many receive buffers there are, `pipes_max` how many pipes there may be.
    pub(crate) fn new(buffers: u32, pipes_max: u32) -> Self {
        Self {
            chunks: Chunks::new(buffers),
            pipes: Pipes::new(pipes_max),
            runnable: VecDeque::new(),
            parked: VecDeque::new(),
            held_acks: HeldAcks::default(),
        }
    }

    /// Begins the relay of a connection that has got its backend.
    pub(crate) fn begin<D: Driver>(&mut self, core: &mut Core<D>, slot: u32) -> Result<(), CloseReason> {
        core.set_idle_timer(slot)?;
        self.held_acks.hold(core, slot);
        for direction in Direction::BOTH {
            self.run_later(core, slot, direction);
        }
        Ok(())
    }

    /// Has a half run once all that completed in this turn is known: the more is known, the more goes together.
    fn run_later<D>(&mut self, core: &Core<D>, slot: u32, direction: Direction) {
        let half = HalfId { slot, generation: core.slots.generation(slot), direction };
        // What completes for a half mostly completes in a row.
        if self.runnable.back() != Some(&half) {
            self.runnable.push_back(half);
        }
    }

    /// How many halves may have something to do; a half may be counted a few times.
    pub(crate) fn runnable(&self) -> usize {
        self.runnable.len()
    }

    /// How many halves wait for a receive buffer, those of connections that ended since included.
    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// The next half that may have something to do.
    pub(crate) fn next_runnable(&mut self) -> Option<HalfId> {
        self.runnable.pop_front()
    }

    /// The next half that waits for a receive buffer.
    pub(crate) fn next_parked(&mut self) -> Option<HalfId> {
        self.parked.pop_front()
    }

    /// How many pipes are open, and how many of those are in no relay.
    pub(crate) fn count_pipes(&self) -> (u32, usize) {
        self.pipes.count()
    }

    /// When it has something to do next, whatever completes.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.held_acks.next().into_iter().chain(self.pipes.next()).min()
    }

    /// Does what is due by now.
    pub(crate) fn on_time<D: Driver>(&mut self, core: &mut Core<D>) {
        self.held_acks.release(core);
        self.pipes.trim(&mut core.driver, core.now);
    }

    /// Does what a half wants until it wants nothing more for now, if its connection still relays.
    pub(crate) fn run<D: Driver>(&mut self, core: &mut Core<D>, half: HalfId) -> Result<(), CloseReason> {
        if !is_relaying(core, half) {
            return Ok(());
        }
        let HalfId { slot, direction, .. } = half;
        let mut budget = STREAM_BUDGET;
        while budget > 0 {
            let connection = core.slots.get(slot);
            let client = connection.client;
            let relaying = connection.state.relaying();
            let (input, output) = (relaying.input(client, direction), relaying.output(client, direction));
            let Some(next) = relaying.relay.half(direction).next(&self.chunks) else { return Ok(()) };
            let at_output = |fault| reason_of(direction.other(), fault);
            match next {
                Next::Receive { first } => {
                    // Clients mostly speak first.
                    let later = first && direction == Direction::ToClient;
                    let receive = Op::Receive { socket: input, limit: QUEUE_BYTES_MAX, later };
                    core.submit(slot, Kind::Receive(direction), receive);
                }
                Next::StopReceive => core.cancel(slot, Kind::Receive(direction)),
                Next::Send { chunk, more } => {
                    self.send(core, slot, direction, chunk, more).map_err(at_output)?;
                }
                Next::TakePipe => match self.pipes.take(&mut core.driver) {
                    Some(pipe) => {
                        relaying.relay.half(direction).splice(pipe, pipe.capacity);
                        // Streams are checked more often, for when they are idle.
                        core.set_idle_timer(slot)?;
                    }
                    None => relaying.relay.half(direction).copy(),
                },
                Next::GivePipe(pipe) => self.pipes.give_back(pipe, core.now),
                Next::Fill(pipe, length) => {
                    budget = budget.saturating_sub(fill(core, slot, direction, pipe, length));
                }
                Next::Flush(pipe, length) => {
                    flush(core, slot, direction, pipe, length).map_err(at_output)?;
                }
                Next::WaitReadable => {
                    core.submit(slot, Kind::Ready(direction), Op::PollReadable { socket: input });
                }
                Next::WaitWritable => {
                    core.submit(slot, Kind::Ready(direction), Op::PollWritable { socket: output });
                }
                Next::Finish if relaying.relay.is_finished() => return Err(CloseReason::Done),
                Next::Finish => {
                    if core.driver.shutdown_write(output).is_err() {
                        return Err(at_output(Fault::Reset));
                    }
                    // The timeout of a half-closed relay begins with the FIN, however long it was idle before.
                    relaying.relay.on_active(core.now);
                    core.set_idle_timer(slot)?;
                }
                Next::Abort(fault) => return Err(reason_of(direction, fault)),
            }
        }
        self.run_later(core, slot, direction);
        Ok(())
    }

    pub(crate) fn on_receive<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        slot: u32,
        direction: Direction,
        mut completion: Completion,
    ) {
        let now = core.now;
        let relay = &mut core.slots.get(slot).state.relaying().relay;
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
                let generation = core.slots.generation(slot);
                return self.parked.push_back(HalfId { slot, generation, direction });
            }
            Err(Errno::CANCELED | Errno::INTR | Errno::AGAIN) => relay.half(direction).on_stopped(),
            Err(errno) => relay.half(direction).on_failed(fault_of(errno)),
        }
        // Nothing was received into a buffer that is left.
        core.give_back(completion.buffer);
        self.run_later(core, slot, direction);
    }

    pub(crate) fn on_ready<D>(&mut self, core: &mut Core<D>, slot: u32, direction: Direction) {
        core.slots.get(slot).state.relaying().relay.half(direction).on_ready();
        self.run_later(core, slot, direction);
    }

    /// Sends the front of the queue, or a part of it.
    fn send<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        slot: u32,
        direction: Direction,
        chunk: Chunk,
        more: bool,
    ) -> Result<(), Fault> {
        let connection = core.slots.get(slot);
        let client = connection.client;
        let output = connection.state.relaying().output(client, direction);
        let Chunk { buffer, start, length } = chunk;
        let bytes = Bytes::Received { buffer: BufferId(buffer), start, length };
        let sent = match core.driver.send(output, bytes, more) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => return Err(fault_of(errno)),
        };
        if sent > 0 {
            on_delivered(connection, core.index, direction, sent, core.now);
            connection.on_first_bytes(direction, core.index);
        }
        let buffer = connection.state.relaying().relay.half(direction).on_sent(&mut self.chunks, sent);
        core.give_back(buffer.map(BufferId));
        Ok(())
    }

    /// Takes back what a relay that ended has yet: what it had queued, and its pipes.
    pub(crate) fn discard<D: Driver>(
        &mut self,
        core: &mut Core<D>,
        client: Fd,
        socket: Fd,
        relay: &mut Relay<Pipe>,
    ) {
        for (direction, output) in Direction::BOTH.into_iter().zip([socket, client]) {
            if relay.is_handed_over(direction) && !relay.half(direction.other()).has_ended() {
                // What it sent goes nowhere; left unread, it would make the kernel discard what it is to get.
                core.driver.discard_received(output);
            }
            let half = relay.half(direction);
            while let Some(buffer) = half.discard(&mut self.chunks) {
                core.driver.give_back(BufferId(buffer));
            }
            match half.pipe() {
                Some((pipe, 0)) => self.pipes.give_back(pipe, core.now),
                Some((pipe, _)) => self.pipes.discard(&mut core.driver, pipe),
                None => {}
            }
        }
    }
}

/// Whether the half's connection still is, and relays.
fn is_relaying<D>(core: &mut Core<D>, HalfId { slot, generation, .. }: HalfId) -> bool {
    core.slots.lives(slot, generation) && matches!(core.slots.get(slot).state, State::Relaying(_))
}

/// Splices from the input into the pipe; says how many bytes.
fn fill<D: Driver>(core: &mut Core<D>, slot: u32, direction: Direction, pipe: Pipe, length: u32) -> u32 {
    let connection = core.slots.get(slot);
    let client = connection.client;
    let relaying = connection.state.relaying();
    let filled = match core.driver.splice(relaying.input(client, direction), pipe.write, length) {
        Ok(0) => Spliced::Ended,
        Ok(length) => Spliced::Moved(length),
        Err(Errno::AGAIN | Errno::INTR) => Spliced::Blocked,
        Err(errno) => Spliced::Failed(fault_of(errno)),
    };
    relaying.relay.half(direction).on_filled(filled);
    match filled {
        Spliced::Moved(length) => {
            relaying.relay.on_active(core.now);
            length
        }
        Spliced::Blocked | Spliced::Ended | Spliced::Failed(_) => 0,
    }
}

/// Splices from the pipe to the output.
fn flush<D: Driver>(
    core: &mut Core<D>,
    slot: u32,
    direction: Direction,
    pipe: Pipe,
    length: u32,
) -> Result<(), Fault> {
    let connection = core.slots.get(slot);
    let client = connection.client;
    let relaying = connection.state.relaying();
    let moved = match core.driver.splice(pipe.read, relaying.output(client, direction), length) {
        Ok(moved) => Some(moved),
        Err(Errno::AGAIN | Errno::INTR) => None,
        Err(errno) => return Err(fault_of(errno)),
    };
    relaying.relay.half(direction).on_flushed(moved);
    if let Some(moved) = moved {
        on_delivered(connection, core.index, direction, moved, core.now);
    }
    Ok(())
}

/// Bytes were delivered: they are counted, and the relay is not idle.
fn on_delivered(connection: &mut Connection, worker: usize, direction: Direction, bytes: u32, now: Instant) {
    let Connection { listener, stats, state, .. } = connection;
    let relaying = state.relaying();
    relaying.relay.on_active(now);
    stats.on_delivered(direction, bytes);
    let (listener, backend) = (listener.counters.of(worker), relaying.backend.counters.of(worker));
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
