//! The seam: what a worker asks of the kernel is asked of the simulated world.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use driver::{
    BufferId, Bytes, Completion, ConnectOptions, Driver, Errno, Fd, Op, Pipe, Shortages, SocketKeepalive,
    Token,
};

use crate::agenda::{MICROSECOND, MILLISECOND};
use crate::descriptors::{Socket, Thing};
use crate::faults::Fault;
use crate::link::EndId;
use crate::pipes;
use crate::world::World;

/// The simulated kernel, as one worker drives it. Kernels of one run share a world.
pub struct Kernel {
    world: Rc<RefCell<World>>,
    worker: usize,
}

impl Kernel {
    pub(crate) fn new(world: Rc<RefCell<World>>, worker: usize) -> Self {
        Self { world, worker }
    }
}

impl Driver for Kernel {
    fn submit(&mut self, op: Op, token: Token) {
        let mut world = self.world.borrow_mut();
        world.picks.settle();
        world.submit(self.worker, op, token);
    }

    fn wait(&mut self, deadline: Option<Instant>, done: &mut Vec<Completion>) -> Result<(), Errno> {
        let mut world = self.world.borrow_mut();
        world.picks.settle();
        world.enter(self.worker);
        let deadline = deadline.map(|deadline| world.agenda.nanos(deadline));
        world.sleep(self.worker, deadline);
        world.rings[self.worker].woken = false;
        world.reap(self.worker, done);
        Ok(())
    }

    fn now(&self) -> Instant {
        self.world.borrow().agenda.instant()
    }

    fn give_back(&mut self, buffer: BufferId) {
        self.world.borrow_mut().rings[self.worker].buffers.give_back(buffer);
    }

    fn buffers_free(&self) -> u32 {
        self.world.borrow().rings[self.worker].buffers.available()
    }

    fn shortages(&self) -> Shortages {
        // Its queues have no bound.
        Shortages::default()
    }

    fn open(&mut self, options: &ConnectOptions) -> Result<Fd, Errno> {
        let mut world = self.world.borrow_mut();
        let opened = world.open(options);
        world.note(format_args!("worker {} opens a socket to {}: {opened:?}", self.worker, options.to));
        opened
    }

    fn accept_now(&mut self, listener: Fd) -> Result<Fd, Errno> {
        self.world.borrow_mut().accept(listener)
    }

    fn confirm_connect(&mut self, socket: Fd, options: &ConnectOptions) -> Result<(), Errno> {
        let mut world = self.world.borrow_mut();
        let end = world.descriptors.end(socket);
        let picked = world.links[end.link].picked.map(|(to, _)| to);
        assert!(picked.is_none_or(|to| to == options.to), "a connect to another is confirmed");
        world.descriptors.socket(socket).unconfirmed.map_or(Ok(()), Err)
    }

    fn taken_ago(&mut self, socket: Fd) -> Option<Duration> {
        let mut world = self.world.borrow_mut();
        let end = world.descriptors.end(socket);
        let taken_at = world.way(end).taken_at;
        // To the millisecond, as Linux tells it.
        let ago = (world.agenda.now() - taken_at) / MILLISECOND * MILLISECOND;
        Some(Duration::from_nanos(ago))
    }

    fn failure(&mut self, socket: Fd) -> Option<Errno> {
        let mut world = self.world.borrow_mut();
        let end = world.descriptors.end(socket);
        world.end(end).error.take()
    }

    fn peer(&mut self, socket: Fd) -> Option<SocketAddr> {
        let mut world = self.world.borrow_mut();
        let address = peer_address(world.descriptors.end(socket));
        world.picks.on_peer(address.ip());
        Some(address)
    }

    fn local(&mut self, socket: Fd) -> Option<SocketAddr> {
        let mut world = self.world.borrow_mut();
        let end = world.descriptors.end(socket);
        Some(local_address(end))
    }

    fn stay_in_network(&mut self, socket: Fd) {
        self.world.borrow_mut().note(format_args!("worker {} keeps {socket:?} in its network", self.worker));
    }

    fn low_water(&mut self, socket: Fd, bytes: u32) {
        let mut world = self.world.borrow_mut();
        world.note(format_args!("worker {} waits for {bytes} bytes at {socket:?}", self.worker));
        world.descriptors.socket(socket).low_water = bytes;
    }

    fn peek(&mut self, socket: Fd, into: &mut [u8]) -> Result<usize, Errno> {
        let mut world = self.world.borrow_mut();
        let end = world.descriptors.end(socket);
        let peeked = world.link_peek(end, into);
        world.note(format_args!("worker {} peeks at {socket:?} {end:?}: {peeked:?}", self.worker));
        peeked
    }

    fn skip(&mut self, socket: Fd, bytes: u32) -> Result<(), Errno> {
        let mut world = self.world.borrow_mut();
        let end = world.descriptors.end(socket);
        world.note(format_args!("worker {} skips {bytes} bytes at {socket:?} {end:?}", self.worker));
        world.link_skip(end, bytes)
    }

    fn random(&mut self) -> [u8; 16] {
        let mut world = self.world.borrow_mut();
        [world.random.next(), world.random.next()]
            .map(u64::to_be_bytes)
            .as_flattened()
            .try_into()
            .expect("16 bytes")
    }

    fn keep_alive(&mut self, socket: Fd, _keepalive: SocketKeepalive) {
        self.world.borrow_mut().descriptors.end(socket);
    }

    fn release_ack(&mut self, socket: Fd) {
        let mut world = self.world.borrow_mut();
        let end = world.descriptors.end(socket);
        world.send_ack(end);
    }

    fn send(&mut self, socket: Fd, bytes: Bytes<'_>, _more: bool) -> Result<u32, Errno> {
        let mut world = self.world.borrow_mut();
        let end = world.descriptors.end(socket);
        let sent = match bytes {
            Bytes::Received { buffer, start, length } => {
                let extent = world.rings[self.worker].buffers.bytes(buffer, start, length);
                let sent = world.link_send(end, extent);
                world.delivered[end.side] += sent.map_or(0, u64::from);
                sent
            }
            Bytes::Own(bytes) => {
                let sent = world.link_say(end, bytes);
                let whole = sent.is_ok_and(|sent| sent as usize == bytes.len());
                world.descriptors.socket(socket).header_failed |= !whole;
                sent
            }
        };
        if sent.is_ok() {
            world.send_ack(end);
        }
        world.note(format_args!("worker {} sends {bytes:?} to {socket:?} {end:?}: {sent:?}", self.worker));
        sent
    }

    fn shutdown_write(&mut self, socket: Fd) -> Result<(), Errno> {
        let mut world = self.world.borrow_mut();
        let end = world.descriptors.end(socket);
        let finished = world.link_finish(end);
        world.note(format_args!("worker {} sends a FIN to {socket:?} {end:?}: {finished:?}", self.worker));
        if finished.is_ok() {
            world.send_ack(end);
        }
        finished
    }

    fn reset_on_close(&mut self, socket: Fd) {
        let mut world = self.world.borrow_mut();
        world.picks.settle();
        world.descriptors.socket(socket).resets = true;
    }

    fn discard_received(&mut self, socket: Fd) {
        let mut world = self.world.borrow_mut();
        let end = world.descriptors.end(socket);
        world.note(format_args!("worker {} discards what {end:?} received", self.worker));
        while let Ok(Some(_)) = world.link_receive(end, u32::MAX) {}
    }

    fn close(&mut self, fd: Fd) {
        let mut world = self.world.borrow_mut();
        assert!(
            !world.rings.iter().any(|ring| ring.uses(fd)),
            "{fd:?} is closed with an operation in flight"
        );
        let thing = world.descriptors.close(fd);
        world.note(format_args!("worker {} closes {fd:?}, {thing:?}", self.worker));
        match thing {
            Thing::Socket(socket) => world.close_socket(fd, socket),
            Thing::PipeRead(_) | Thing::PipeWrite(_) | Thing::Reserve => {}
        }
    }

    fn open_pipe(&mut self) -> Result<Pipe, Errno> {
        let mut world = self.world.borrow_mut();
        if !world.descriptors.have_room(2) {
            return Err(Errno::MFILE);
        }
        if world.happens(Fault::NoPipe) {
            return Err(world.random.pick(&[Errno::MFILE, Errno::NFILE, Errno::PERM]));
        }
        let capacity = if world.happens(Fault::SmallPipe) { 4096 } else { world.network.pipe_capacity };
        let number = world.pipes.len();
        world.pipes.push(pipes::Pipe { held: None, capacity });
        let read = world.descriptors.open(Thing::PipeRead(number));
        let write = world.descriptors.open(Thing::PipeWrite(number));
        Ok(Pipe { read, write, capacity })
    }

    fn splice(&mut self, from: Fd, to: Fd, length: u32) -> Result<u32, Errno> {
        let mut world = self.world.borrow_mut();
        let moved = world.splice(from, to, length);
        world.note(format_args!("worker {} splices {length} of {from:?} to {to:?}: {moved:?}", self.worker));
        moved
    }

    fn open_reserve(&mut self) -> Result<Fd, Errno> {
        let mut world = self.world.borrow_mut();
        if !world.descriptors.have_room(1) || world.happens(Fault::NoReserve) {
            return Err(Errno::MFILE);
        }
        Ok(world.descriptors.open(Thing::Reserve))
    }
}

impl World {
    /// Lets time pass until the worker's wait ends: something completes, it is woken, or its deadline comes.
    ///
    /// A worker that has something to do gets no further here than the first check.
    fn sleep(&mut self, worker: usize, deadline: Option<u64>) {
        let entering = self.random.between(1, ENTER_MAX);
        self.agenda.pass_until(self.agenda.now() + entering);
        while !self.is_ready(worker) && deadline.is_none_or(|deadline| deadline > self.agenda.now()) {
            if self.happens(Fault::Spurious) {
                return;
            }
            match (self.agenda.next(), deadline) {
                (Some(next), deadline) if deadline.is_none_or(|deadline| next < deadline) => self.happen(),
                (_, Some(deadline)) => self.agenda.pass_until(deadline),
                (_, None) => panic!("worker {worker} waits without end"),
            }
        }
    }

    fn close_socket(&mut self, fd: Fd, socket: Socket) {
        let Some(end) = socket.end else { return };
        self.moved += 1;
        let failed = !self.links[end.link].taken || socket.unconfirmed.is_some();
        self.picks.on_close(fd, failed && !socket.resets || socket.header_failed);
        // A backend that was not told yet that it was heard hears a FIN, but a connection that was reset was never
        // one.
        if socket.resets {
            self.held_acks.retain(|(held, ..)| *held != end);
        } else {
            self.send_ack(end);
        }
        self.link_close(end, socket.resets);
    }

    fn splice(&mut self, from: Fd, to: Fd, length: u32) -> Result<u32, Errno> {
        match (*self.descriptors.get(from), *self.descriptors.get(to)) {
            (Thing::Socket(_), Thing::PipeWrite(pipe)) => self.splice_in(from, pipe, length),
            (Thing::PipeRead(pipe), Thing::Socket(_)) => self.splice_out(pipe, to, length),
            things => panic!("spliced between {things:?}"),
        }
    }

    fn splice_in(&mut self, from: Fd, pipe: usize, length: u32) -> Result<u32, Errno> {
        let end = self.descriptors.end(from);
        let room = self.pipes[pipe].room().min(length);
        if room == 0 || self.happens(Fault::SpliceAgain) {
            return Err(Errno::AGAIN);
        }
        let most = if self.happens(Fault::ShortSplice) { self.random.some_of(room) } else { room };
        let Some(extent) = self.link_receive(end, most)? else { return Ok(0) };
        self.on_moved(end.link);
        self.pipes[pipe].fill(extent);
        Ok(extent.length)
    }

    fn splice_out(&mut self, pipe: usize, to: Fd, length: u32) -> Result<u32, Errno> {
        let end = self.descriptors.end(to);
        let Some(extent) = self.pipes[pipe].held else { return Err(Errno::AGAIN) };
        if self.happens(Fault::SpliceAgain) {
            return Err(Errno::AGAIN);
        }
        let mut most = extent.length.min(length);
        if self.happens(Fault::ShortSplice) {
            most = self.random.some_of(most);
        }
        let sent = self.link_send(end, extent.part(0, most))?;
        self.pipes[pipe].drain(sent);
        self.delivered[end.side] += u64::from(sent);
        self.send_ack(end);
        Ok(sent)
    }
}

/// The address at the other side of a worker's end.
pub(crate) fn peer_address(end: EndId) -> SocketAddr {
    // They come from few hosts, so that some come again.
    let host = u8::try_from(end.link % 4).expect("a small number");
    let port = PORT_FIRST + u16::try_from(end.link).expect("runs have few links");
    SocketAddr::from(([10, 8, 0, host], port))
}

/// The address of a worker's own end.
pub(crate) fn local_address(end: EndId) -> SocketAddr {
    match end.side {
        // It connected.
        0 => SocketAddr::from((
            [10, 7, 0, 1],
            PORT_FIRST + u16::try_from(end.link).expect("runs have few links"),
        )),
        _ => SocketAddr::from(([10, 9, 0, 1], 80)),
    }
}

/// How long entering the kernel takes at most, in nanoseconds.
const ENTER_MAX: u64 = 20 * MICROSECOND;

/// Clients have ports in the order of their links, so that an address says whose it is.
pub(crate) const PORT_FIRST: u16 = 1024;
