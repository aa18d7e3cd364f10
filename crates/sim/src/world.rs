//! Everything there is in a run but the workers: time, chance, the network, the kernel's tables, and the peers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::net::SocketAddr;
use std::rc::Rc;

use driver::{Completion, ConnectOptions, Errno, Fd};

use crate::agenda::{Agenda, Answer, Event, MILLISECOND, SECOND};
use crate::buffers::Buffers;
use crate::descriptors::{Descriptors, Socket, Thing};
use crate::faults::{Fault, Faults};
use crate::health::Snapshot;
use crate::link::{EndId, Link};
use crate::peers::{Client, Manners, Peer};
use crate::picks::Picks;
use crate::pipes::Pipe;
use crate::queues::Queues;
use crate::random::Random;
use crate::ring::Ring;
use crate::scenario::Scenario;
use crate::trace::Trace;

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) agenda: Agenda,
    pub(crate) faults: Faults,
    pub(crate) trace: Rc<RefCell<Trace>>,
    pub(crate) links: Vec<Link>,
    pub(crate) queues: Queues,
    pub(crate) descriptors: Descriptors,
    pub(crate) pipes: Vec<Pipe>,
    pub(crate) rings: Vec<Ring>,
    /// Backends by their address. One that is missing refuses every connect.
    pub(crate) hosts: BTreeMap<SocketAddr, Host>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) clients: Vec<Client>,
    pub(crate) manners: Manners,
    pub(crate) picks: Picks,
    /// Every table that was published.
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) network: Network,
    /// Clients that were accepted.
    pub(crate) accepted: u64,
    /// Times that something of a worker's moved: a byte, a FIN, a client, a connect.
    pub(crate) moved: u64,
    /// Bytes that workers sent to backends, and to clients.
    pub(crate) delivered: [u64; 2],
    /// Whether clients send PROXY headers.
    pub(crate) headers: bool,
    /// Whether listeners have routes, and clients say what they ask for.
    pub(crate) routes: bool,
    /// Whether a receive found no buffer.
    pub(crate) starved: bool,
    pub(crate) answered: Answered,
    /// Workers' ends whose last ACK of the handshake waits, what they are connected to, and since when.
    pub(crate) held_acks: Vec<(EndId, SocketAddr, u64)>,
}

/// How links are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    /// The longest that a part is on its way, in nanoseconds.
    pub(crate) latency_max: u64,
    /// How many bytes one way of a link holds.
    pub(crate) room: u64,
    /// Of them, how many the end that reads holds.
    pub(crate) window: u64,
    /// How many a pipe does.
    pub(crate) pipe_capacity: u32,
}

/// A backend, as it answers connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Well,
    /// So many connects of a thousand it does not answer as it should.
    Sick(u32),
    /// It answers no connect.
    Silent,
    /// There is none, and a socket that connects there meets itself.
    Itself,
}

/// How often a worker's attempt to get somewhere failed, by the error.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) refused: u64,
    pub(crate) timed_out: u64,
    pub(crate) unreachable: u64,
    pub(crate) no_address: u64,
    pub(crate) no_port: u64,
    pub(crate) no_descriptor: u64,
    pub(crate) no_resources: u64,
    pub(crate) no_accept: u64,
}

impl Answered {
    fn count(&mut self, answer: Option<Answer>) {
        match answer {
            None => self.timed_out += 1,
            Some(Answer::Accepted) => {}
            Some(Answer::Failed(errno) | Answer::Unconfirmed(errno)) => match errno {
                Errno::TIMEDOUT => self.timed_out += 1,
                Errno::HOSTUNREACH | Errno::NETUNREACH => self.unreachable += 1,
                _ => self.refused += 1,
            },
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        let Self {
            refused,
            timed_out,
            unreachable,
            no_address,
            no_port,
            no_descriptor,
            no_resources,
            no_accept,
        } = self;
        let here = no_address + no_port + no_descriptor + no_resources + no_accept;
        refused + timed_out + unreachable + here == 0
    }
}

impl World {
    /// As the scenario has it, before anything happened.
    pub(crate) fn new(random: Random, scenario: &Scenario, trace: Rc<RefCell<Trace>>) -> Self {
        let mut agenda = Agenda::new();
        let mut clients = Vec::new();
        for (number, (at, to)) in scenario.clients.iter().enumerate() {
            agenda.after(*at, Event::Knock { client: number });
            clients.push(Client::new(*to));
        }
        let ring = |_| Ring::new(Buffers::new(scenario.buffers, scenario.buffers_posted), scenario.limits);
        Self {
            random,
            agenda,
            trace,
            links: Vec::new(),
            queues: Queues::default(),
            descriptors: Descriptors::new(scenario.files_max, scenario.files_reused),
            pipes: Vec::new(),
            rings: (0..scenario.workers).map(ring).collect(),
            hosts: scenario.hosts.iter().copied().collect(),
            peers: Vec::new(),
            clients,
            manners: scenario.manners,
            picks: Picks::new(scenario.variety.headers),
            snapshots: Vec::new(),
            network: scenario.network,
            accepted: 0,
            moved: 0,
            delivered: [0; 2],
            headers: scenario.variety.headers,
            routes: scenario.variety.routes,
            starved: false,
            answered: Answered::default(),
            held_acks: Vec::new(),
            faults: scenario.faults.clone(),
        }
    }

    pub(crate) fn note(&self, line: Arguments<'_>) {
        self.trace.borrow_mut().note(self.agenda.now(), line);
    }

    pub(crate) fn trace_mix(&self, worker: usize, completion: &Completion) {
        let result = match completion.result {
            Ok(number) => u64::from(number),
            Err(errno) => u64::from(errno.raw_os_error().unsigned_abs()) << 32,
        };
        let mut trace = self.trace.borrow_mut();
        trace.mix(self.agenda.now());
        trace.mix(u64::from(completion.token.slot()) << 8 | u64::from(completion.token.kind()));
        trace.mix(result << 1 | worker as u64);
    }

    pub(crate) fn happens(&mut self, fault: Fault) -> bool {
        self.faults.happens(fault, &mut self.random)
    }

    /// The end of a link that a descriptor is; none of what is closed.
    pub(crate) fn end_of(&self, fd: Fd) -> Option<EndId> {
        self.descriptors.peek(fd).and_then(|thing| match thing {
            Thing::Socket(socket) => socket.end,
            Thing::PipeRead(_) | Thing::PipeWrite(_) | Thing::Reserve => None,
        })
    }

    /// What is due next happens.
    pub(crate) fn happen(&mut self) {
        let Some(event) = self.agenda.take() else { return };
        self.note(format_args!("{event:?}"));
        match event {
            Event::Deliver(from) => self.deliver(from),
            Event::Reset(from) => self.on_reset(from),
            Event::GiveUp(at, errno) => self.link_break(at, errno),
            Event::Knock { client } => self.knock(client),
            Event::Connected { worker, end, to, answer } => self.on_connected(worker, end, to, answer),
            Event::SendAck(end) => self.on_ack_overdue(end),
            Event::Act(peer) => self.act(peer),
        }
    }

    pub(crate) fn new_link(&mut self, to_backend: bool) -> usize {
        let latency =
            if self.network.latency_max == 0 { 0 } else { self.random.between(0, self.network.latency_max) };
        let rooms = (self.network.room, self.network.window);
        self.links.push(Link::new(self.agenda.now(), latency, rooms, to_backend));
        self.links.len() - 1
    }

    /// The socket of a connect, or why there is none.
    pub(crate) fn open(&mut self, options: &ConnectOptions) -> Result<Fd, Errno> {
        let opened = self.try_open(options);
        if !self.manners.by_hand {
            self.picks.on_open(options.to, opened.ok());
        }
        opened
    }

    fn try_open(&mut self, options: &ConnectOptions) -> Result<Fd, Errno> {
        let fails = if self.happens(Fault::NoSocket) {
            Some(self.random.pick(&[Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]))
        } else if !self.descriptors.have_room(1) {
            Some(Errno::MFILE)
        } else if options.source.is_some() && self.happens(Fault::NoPort) {
            Some(Errno::ADDRNOTAVAIL)
        } else {
            None
        };
        if let Some(errno) = fails {
            match errno {
                Errno::ADDRNOTAVAIL => self.answered.no_address += 1,
                Errno::MFILE | Errno::NFILE => self.answered.no_descriptor += 1,
                _ => self.answered.no_resources += 1,
            }
            return Err(errno);
        }
        let (hold_ack, tables) = (options.hold_ack, self.snapshots.len());
        let socket = Socket {
            end: None,
            hold_ack,
            resets: false,
            unconfirmed: None,
            header_failed: false,
            tables,
            low_water: 1,
        };
        Ok(self.descriptors.open(Thing::Socket(socket)))
    }

    pub(crate) fn begin_connect(&mut self, worker: usize, socket: Fd, to: SocketAddr) -> Result<(), Errno> {
        let link = self.new_link(true);
        let end = EndId { link, side: 0 };
        let socket_of_link = self.descriptors.socket(socket);
        assert!(socket_of_link.end.replace(end).is_none(), "a socket connects once");
        self.links[link].picked = Some((to, socket_of_link.tables));
        if self.happens(Fault::NoPort) {
            self.answered.no_port += 1;
            return Err(self.random.pick(&[Errno::ADDRNOTAVAIL, Errno::ADDRINUSE]));
        }
        let answer = match self.hosts.get(&to) {
            Some(Host::Sick(trouble)) if self.random.chance(*trouble) => self.trouble(),
            Some(Host::Well | Host::Sick(_)) => Some(Answer::Accepted),
            Some(Host::Silent) => None,
            Some(Host::Itself) => Some(Answer::Unconfirmed(Errno::CONNREFUSED)),
            None => Some(Answer::Failed(Errno::CONNREFUSED)),
        };
        self.answered.count(answer);
        let round_trip = self.delay(link) + self.delay(link);
        if let Some(answer) = answer {
            if let Answer::Unconfirmed(errno) = answer {
                self.descriptors.socket(socket).unconfirmed = Some(errno);
            }
            self.agenda.after(round_trip, Event::Connected { worker, end, to, answer });
        }
        Ok(())
    }

    /// What a backend that is not well answers, if anything.
    fn trouble(&mut self) -> Option<Answer> {
        let refused = Answer::Failed(Errno::CONNREFUSED);
        self.random.pick(&[
            None,
            Some(refused),
            Some(refused),
            Some(Answer::Unconfirmed(Errno::CONNREFUSED)),
            Some(Answer::Unconfirmed(Errno::HOSTUNREACH)),
            Some(Answer::Failed(Errno::CONNRESET)),
            Some(Answer::Failed(Errno::TIMEDOUT)),
            Some(Answer::Failed(Errno::HOSTUNREACH)),
            Some(Answer::Failed(Errno::NETUNREACH)),
        ])
    }

    fn on_connected(&mut self, worker: usize, end: EndId, to: SocketAddr, answer: Answer) {
        let waits = self.answer_connect(worker, end, answer);
        if answer != Answer::Accepted || self.end(end).closed {
            return;
        }
        // The worker may give it up in the same moment; the backend does not know.
        self.links[end.link].taken = waits;
        self.on_moved(end.link);
        if waits && self.holds_ack(end) {
            let held = self.agenda.now();
            self.held_acks.push((end, to, held));
            self.agenda.after(ACK_HELD_MAX, Event::SendAck(end));
            return;
        }
        self.begin_backend(end.other(), to);
    }

    fn holds_ack(&self, end: EndId) -> bool {
        self.descriptors
            .iter()
            .any(|thing| matches!(thing, Thing::Socket(socket) if socket.end == Some(end) && socket.hold_ack))
    }

    /// The ACK of this end goes out, if it was held back: its backend sees the connection.
    pub(crate) fn send_ack(&mut self, end: EndId) {
        let Some(index) = self.held_acks.iter().position(|(held, ..)| *held == end) else { return };
        let (_, to, _) = self.held_acks.remove(index);
        self.begin_backend(end.other(), to);
    }

    fn on_ack_overdue(&mut self, end: EndId) {
        if let Some((_, _, held)) = self.held_acks.iter().find(|(held, ..)| *held == end) {
            let late = self.agenda.now() - held;
            assert!(self.end(end).closed, "an ACK was held back for {} ms", late / MILLISECOND);
        }
        self.send_ack(end);
    }
}

/// How long the kernel holds an ACK back at most.
const ACK_HELD_MAX: u64 = 200 * MILLISECOND;

/// How long a client waits before it knocks again where the queue was full, tcp(7): `tcp_syn_retries`.
pub(crate) const KNOCK_AGAIN: u64 = SECOND;
