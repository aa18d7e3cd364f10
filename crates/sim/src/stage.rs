//! A simulated kernel for one test that says itself what happens: nothing goes wrong, and the test moves the peers.

use std::cell::RefCell;
use std::fs::File;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use driver::{Errno, ListenGroup, Owner, Waker};

use crate::addresses::{backend_address, listener_address};
use crate::agenda::nanos;
use crate::bytes::Extent;
use crate::kernel::Kernel;
use crate::link::EndId;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::world::{Host, World};

/// Where a test plays against a simulated kernel.
pub struct Stage {
    world: Rc<RefCell<World>>,
    listeners: Vec<Arc<ListenGroup>>,
    hosts: usize,
    /// Peers that the test has already.
    known: Vec<usize>,
    wakers: Arc<[Waker]>,
    control: Arc<Waker>,
}

/// A client or a backend, moved by the test.
pub struct Peer {
    world: Rc<RefCell<World>>,
    end: EndId,
}

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(u32),
    /// Nothing is there yet.
    Nothing,
    /// The other side's FIN.
    Fin,
    /// The connection was reset.
    Reset,
}

impl Stage {
    /// A kernel with so many receive buffers. What is left to chance, the order of completions, comes from the seed.
    ///
    /// # Panics
    ///
    /// No descriptor is left for a waker.
    pub fn new(seed: u64, buffers: u16) -> Self {
        let world =
            World::new(Random::new(seed), &Scenario::quiet(buffers), Rc::new(RefCell::new(Trace::default())));
        Self {
            world: Rc::new(RefCell::new(world)),
            listeners: Vec::new(),
            hosts: 0,
            known: Vec::new(),
            wakers: (0..2).map(|_| Waker::new().expect("few are open")).collect(),
            control: Arc::new(Waker::new().expect("few are open")),
        }
    }

    /// The kernel, as the one worker drives it.
    pub fn kernel(&self) -> Kernel {
        Kernel::new(Rc::clone(&self.world), 0)
    }

    /// What ends the worker's wait, once [`notice_wakes`](Self::notice_wakes) was called; and the waker of a
    /// second worker, which is not there.
    pub fn wakers(&self) -> Arc<[Waker]> {
        Arc::clone(&self.wakers)
    }

    /// What wakes control, which is the test itself.
    pub fn control(&self) -> Arc<Waker> {
        Arc::clone(&self.control)
    }

    /// Looks whether the worker was woken.
    pub fn notice_wakes(&self) {
        self.world.borrow_mut().rings[0].woken |= self.wakers[0].clear();
    }

    /// A listening socket of the worker's, and its address. The socket's number is that of a real descriptor.
    ///
    /// # Panics
    ///
    /// No descriptor is left.
    pub fn listen(&mut self) -> (SocketAddr, Arc<ListenGroup>) {
        let address = listener_address(self.listeners.len());
        let stand_in = File::open("/dev/null").expect("few are open");
        let sockets = Arc::new(ListenGroup::new(vec![stand_in.into()], Owner::Process));
        self.world.borrow_mut().queues.listen(address, &sockets, BACKLOG);
        self.listeners.push(Arc::clone(&sockets));
        (address, sockets)
    }

    /// Ends listening, as shutdown(2) of the listening sockets does.
    pub fn stop_listening(&mut self, sockets: &Arc<ListenGroup>) {
        self.world.borrow_mut().stop_listening(sockets);
    }

    /// A client that connects to a listening socket and waits in its queue.
    ///
    /// # Panics
    ///
    /// Nothing listens there, or the queue is full.
    pub fn connect(&mut self, to: SocketAddr) -> Peer {
        let mut world = self.world.borrow_mut();
        let queue = world.queues.at(to)[0];
        let link = world.new_link(false);
        let end = EndId { link, side: 0 };
        assert!(world.queues.push(queue, end.other()), "the queue is full");
        let number = world.peers.len();
        world.begin_peer(end);
        self.known.push(number);
        Peer { world: Rc::clone(&self.world), end }
    }

    /// The address of a backend that accepts.
    pub fn serving(&mut self) -> SocketAddr {
        self.host(Some(Host::Well))
    }

    /// The address of a backend that refuses.
    pub fn refusing(&mut self) -> SocketAddr {
        self.host(None)
    }

    /// From now on there is a backend at this address, and it accepts.
    pub fn serve(&mut self, address: SocketAddr) {
        self.world.borrow_mut().hosts.insert(address, Host::Well);
    }

    /// The address of a backend that does not answer.
    pub fn silent(&mut self) -> SocketAddr {
        self.host(Some(Host::Silent))
    }

    /// An address of this host where nothing listens, and that the worker connects from, port and all.
    pub fn meeting_itself(&mut self) -> SocketAddr {
        self.host(Some(Host::Itself))
    }

    fn host(&mut self, host: Option<Host>) -> SocketAddr {
        let address = backend_address(0, self.hosts);
        self.hosts += 1;
        if let Some(host) = host {
            self.world.borrow_mut().hosts.insert(address, host);
        }
        address
    }

    /// The first backend's connection that the test does not have yet.
    pub fn accepted(&mut self) -> Option<Peer> {
        let world = self.world.borrow();
        let number = (0..world.peers.len()).find(|number| !self.known.contains(number))?;
        self.known.push(number);
        Some(Peer { world: Rc::clone(&self.world), end: world.peers[number].end })
    }

    /// Whether the worker's wait would end at once, time aside: what it has queued is handed over to find out.
    pub fn is_ready(&mut self) -> bool {
        self.notice_wakes();
        self.pass(Duration::ZERO);
        let mut world = self.world.borrow_mut();
        world.enter(0);
        drop(world);
        self.pass(Duration::ZERO);
        self.world.borrow().is_ready(0)
    }

    /// Lets time pass, and all happen that is due by then.
    pub fn pass(&mut self, time: Duration) {
        let mut world = self.world.borrow_mut();
        let until = world.agenda.now() + nanos(time);
        while world.agenda.next().is_some_and(|at| at <= until) {
            world.happen();
        }
        world.agenda.pass_until(until);
    }
}

impl Peer {
    /// Sends so many bytes; says how many the socket took.
    pub fn send(&mut self, length: u32) -> u32 {
        let mut world = self.world.borrow_mut();
        let from = world.way(self.end).sent;
        world.link_send(self.end, Extent { stream: self.end, from, length }).unwrap_or(0)
    }

    /// Sends these bytes, the first of all that it sends; returns how many the socket took.
    pub fn say(&mut self, bytes: &[u8]) -> u32 {
        self.world.borrow_mut().link_say(self.end, bytes).unwrap_or(0)
    }

    /// The bytes with values that the other side sent, as far as they have arrived: a header.
    pub fn heard(&self) -> Vec<u8> {
        let mut world = self.world.borrow_mut();
        let way = world.way(self.end.other());
        let arrived = usize::try_from(way.arrived).expect("few bytes are sent");
        way.literal[..way.literal.len().min(arrived)].to_owned()
    }

    /// Sends the FIN.
    pub fn finish(&mut self) {
        let _ = self.world.borrow_mut().link_finish(self.end);
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.world.borrow_mut().link_close(self.end, true);
    }

    /// Reads up to so many bytes.
    ///
    /// # Panics
    ///
    /// `most` is 0.
    pub fn read(&mut self, most: u32) -> Read {
        assert!(most > 0);
        let mut world = self.world.borrow_mut();
        match world.link_receive(self.end, most) {
            Ok(Some(extent)) => Read::Bytes(extent.length),
            Ok(None) => Read::Fin,
            Err(Errno::AGAIN) => Read::Nothing,
            Err(_) => Read::Reset,
        }
    }
}

/// Room for so many clients in a queue.
const BACKLOG: u32 = 16;
