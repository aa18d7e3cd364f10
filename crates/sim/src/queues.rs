//! Listening sockets and the queues of clients that wait at them.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Weak};

use driver::{Errno, Fd, ListenGroup};

use crate::descriptors::{Socket, Thing};
use crate::faults::Fault;
use crate::link::EndId;
use crate::world::World;

/// All listening sockets of a run.
///
/// The workers know them by the numbers of real descriptors, which do nothing but have numbers.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    all: Vec<Queue>,
    /// By the number of the descriptor that stands in for it. It is never walked: numbers differ from run to run.
    by_number: HashMap<i32, usize>,
}

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Queue {
    address: SocketAddr,
    /// What keeps the socket open.
    owner: Weak<ListenGroup>,
    waiting: VecDeque<EndId>,
    waiting_max: usize,
    listens: bool,
}

impl Queues {
    /// Sockets at `address`, one for each worker, with room for so many clients each.
    pub(crate) fn listen(&mut self, address: SocketAddr, sockets: &Arc<ListenGroup>, backlog: u32) {
        for socket in sockets.iter() {
            self.by_number.insert(socket.as_raw_fd(), self.all.len());
            self.all.push(Queue {
                address,
                owner: Arc::downgrade(sockets),
                waiting: VecDeque::new(),
                waiting_max: usize::try_from(backlog).expect("a small number") + 1,
                listens: true,
            });
        }
    }

    /// Gives the sockets another backlog, listen(2).
    pub(crate) fn relisten(&mut self, sockets: &Arc<ListenGroup>, backlog: u32) {
        for queue in self.of(sockets) {
            queue.waiting_max = usize::try_from(backlog).expect("a small number") + 1;
        }
    }

    fn of(&mut self, sockets: &Arc<ListenGroup>) -> impl Iterator<Item = &mut Queue> {
        let owner = Arc::downgrade(sockets);
        self.all.iter_mut().filter(move |queue| queue.owner.ptr_eq(&owner))
    }

    fn number(&self, listener: Fd) -> usize {
        *self.by_number.get(&listener.0).unwrap_or_else(|| panic!("{listener:?} does not listen"))
    }

    pub(crate) fn is_listening(&self, listener: Fd) -> bool {
        self.by_number.contains_key(&listener.0)
    }

    /// Whether accepting would answer.
    pub(crate) fn is_ready(&self, listener: Fd) -> bool {
        let queue = &self.all[self.number(listener)];
        !queue.waiting.is_empty() || !queue.listens
    }

    /// How many clients wait.
    pub(crate) fn waiting(&self) -> usize {
        self.all.iter().map(|queue| queue.waiting.len()).sum()
    }

    /// The sockets that listen at `address`.
    pub(crate) fn at(&self, address: SocketAddr) -> Vec<usize> {
        let numbered = self.all.iter().enumerate();
        numbered
            .filter(|(_, queue)| queue.listens && queue.address == address)
            .map(|(number, _)| number)
            .collect()
    }

    /// The sockets that this one is of.
    pub(crate) fn owner(&self, number: usize) -> Weak<ListenGroup> {
        Weak::clone(&self.all[number].owner)
    }

    /// Has a client wait; says whether there was room.
    pub(crate) fn push(&mut self, number: usize, end: EndId) -> bool {
        let queue = &mut self.all[number];
        let room = queue.waiting.len() < queue.waiting_max;
        if room {
            queue.waiting.push_back(end);
        }
        room
    }

    pub(crate) fn is_full(&self, number: usize) -> bool {
        self.all[number].waiting.len() >= self.all[number].waiting_max
    }
}

impl World {
    /// accept(2): the next client that waits.
    pub(crate) fn accept(&mut self, listener: Fd) -> Result<Fd, Errno> {
        let number = self.queues.number(listener);
        if !self.queues.all[number].listens {
            return Err(Errno::INVAL);
        }
        // Linux takes the number first.
        if !self.descriptors.have_room(1) {
            self.answered.no_accept += 1;
            return Err(Errno::MFILE);
        }
        if self.queues.all[number].waiting.is_empty() {
            return Err(Errno::AGAIN);
        }
        if self.happens(Fault::NoAccept) {
            self.answered.no_accept += 1;
            return Err(self.random.pick(&[Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]));
        }
        if self.happens(Fault::Aborted) {
            return Err(self.random.pick(&[Errno::CONNABORTED, Errno::PROTO]));
        }
        let end = self.queues.all[number].waiting.pop_front().expect("it is not empty, as checked above");
        let socket = Socket {
            end: Some(end),
            hold_ack: false,
            resets: false,
            unconfirmed: None,
            header_failed: false,
            low_water: 1,
            tables: self.snapshots.len(),
        };
        self.links[end.link].taken = true;
        self.accepted += 1;
        self.on_moved(end.link);
        let fd = self.descriptors.open(Thing::Socket(socket));
        self.note(format_args!("accepted {end:?} as {fd:?}"));
        Ok(fd)
    }

    /// Ends listening: by shutdown(2), or because nothing refers to the sockets any more.
    pub(crate) fn stop_listening(&mut self, sockets: &Arc<ListenGroup>) {
        let owner = Arc::downgrade(sockets);
        self.stop_where(|queue| queue.owner.ptr_eq(&owner));
    }

    /// Sockets that nothing refers to any more are closed. Their numbers are free for others.
    pub(crate) fn close_unowned(&mut self) {
        let all = &self.queues.all;
        self.queues.by_number.retain(|_, number| all[*number].owner.strong_count() > 0);
        self.stop_where(|queue| queue.owner.strong_count() == 0);
    }

    fn stop_where(&mut self, stops: impl Fn(&Queue) -> bool) {
        let mut left = Vec::new();
        for queue in self.queues.all.iter_mut().filter(|queue| queue.listens && stops(queue)) {
            queue.listens = false;
            left.extend(queue.waiting.drain(..));
        }
        for end in left {
            self.link_close(end, true);
        }
    }
}
