//! Clients and backends: what they send and read, at what pace, and how they end.

use std::net::SocketAddr;

use driver::Errno;

use crate::agenda::{Event, MILLISECOND, SECOND};
use crate::bytes::Extent;
use crate::link::EndId;
use crate::world::{KNOCK_AGAIN, World};

/// One that sends and reads at its end of a link.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) end: EndId,
    script: Script,
    /// What it has yet to say of its header and its hello.
    header: Vec<u8>,
    /// Bytes it read.
    pub(crate) read: u64,
    /// How the other side ended.
    pub(crate) saw: Saw,
    /// When it sends its FIN at the earliest, once it has sent all else.
    fin_at: Option<u64>,
    /// Until when it reads nothing, in nanoseconds.
    naps_until: u64,
    /// It does nothing any more.
    pub(crate) over: bool,
    /// Whether it is on the agenda.
    due: bool,
}

/// What a peer saw of the other side's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saw {
    Nothing,
    Fin,
    Reset,
}

/// What a peer means to do.
#[derive(Clone, Copy, Debug)]
struct Script {
    /// Bytes it sends before its FIN.
    total: u64,
    /// Whether it sends nothing until it has read something.
    answers: bool,
    /// The most it sends, and reads, at a time.
    part_max: u32,
    /// The longest it rests between two acts, in nanoseconds.
    rest_max: u64,
    /// The longest that it reads nothing after it has read something, in nanoseconds.
    nap_max: u64,
    /// How long it is still before its FIN, in nanoseconds.
    pause: u64,
    /// Whether it sends no FIN before it has read one.
    follows: bool,
    /// What happens instead of a good end, if anything, after so many bytes, sent and read.
    trouble: Option<(u64, Ending)>,
}

/// How a peer ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Reset,
    /// It sends its FIN, and resets later.
    Regret,
    /// It closes, whatever may still come.
    Close,
    /// It stalls permanently.
    Stall,
    /// It vanished, and the network does not say so.
    Vanish,
}

/// What scripts are made from, the same for all peers of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    pub(crate) bytes_max: u32,
    pub(crate) part_max: u32,
    pub(crate) rest_max: u64,
    /// How many of a thousand do not end well.
    pub(crate) trouble: u32,
    /// How many of a thousand read more slowly than timeouts allow.
    pub(crate) slow: u32,
    /// Which side waits to be spoken to: 0 clients, 1 backends, none both speak at once.
    pub(crate) answering: Option<usize>,
    /// Which side may be still for a while before its FIN, as the other waits for it; none neither.
    pub(crate) pausing: Option<usize>,
    /// Whether all of it is left to a test.
    pub(crate) by_hand: bool,
}

impl Manners {
    /// Peers do nothing of their own.
    pub(crate) fn by_hand() -> Self {
        Self {
            bytes_max: 1,
            part_max: 1,
            rest_max: 0,
            trouble: 0,
            slow: 0,
            answering: None,
            pausing: None,
            by_hand: true,
        }
    }
}

/// A client that connects to a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// Where it knocks.
    pub(crate) to: SocketAddr,
    /// How often it has.
    knocked: u32,
}

/// How often a client knocks at a full queue.
const KNOCKS_MAX: u32 = 5;

impl Client {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self { to, knocked: 0 }
    }
}

impl World {
    fn script(&mut self, side: usize) -> Script {
        let Manners { bytes_max, part_max, rest_max, trouble, slow, answering, pausing, .. } = self.manners;
        let total = if self.random.chance(100) { 0 } else { self.random.some_of(bytes_max).into() };
        let trouble = self.random.chance(trouble).then(|| {
            let after = if self.random.chance(200) { 0 } else { self.random.some_of(bytes_max).into() };
            let ending = self.random.pick(&[
                Ending::Reset,
                Ending::Reset,
                Ending::Regret,
                Ending::Close,
                Ending::Stall,
                Ending::Vanish,
            ]);
            (after, ending)
        });
        let part_max = self.random.some_of(part_max).max(bytes_max / PARTS_USUAL);
        let pauses = pausing == Some(side) && self.random.chance(500);
        let pause = if pauses { self.random.between(0, PAUSE_MAX) } else { 0 };
        let follows = pausing == Some(1 - side);
        let nap_max = if self.random.chance(slow) { NAP_MAX } else { 0 };
        Script {
            total,
            answers: answering == Some(side),
            part_max,
            rest_max,
            nap_max,
            pause,
            follows,
            trouble,
        }
    }

    /// A client knocks: it is put in the queue of some worker, comes again if that is full, or goes.
    pub(crate) fn knock(&mut self, number: usize) {
        let client = self.clients[number];
        let sockets = self.queues.at(client.to);
        if sockets.is_empty() {
            return; // It is refused.
        }
        let queue = self.random.pick(&sockets);
        if self.queues.is_full(queue) {
            if client.knocked < KNOCKS_MAX {
                self.clients[number].knocked += 1;
                self.agenda.after(KNOCK_AGAIN, Event::Knock { client: number });
            }
            return;
        }
        let link = self.new_link(false);
        self.links[link].knocked_at = self.queues.owner(queue);
        assert!(self.queues.push(queue, EndId { link, side: 1 }));
        self.begin_peer(EndId { link, side: 0 });
    }

    pub(crate) fn begin_backend(&mut self, end: EndId, to: SocketAddr) {
        self.note(format_args!("backend {to} has {end:?}"));
        self.begin_peer(end);
    }

    pub(crate) fn begin_peer(&mut self, end: EndId) {
        let mut script = self.script(end.side);
        let mut header = Vec::new();
        if (self.headers || self.routes) && end.side == 0 && !self.manners.by_hand {
            let preface = self.preface(end);
            self.way(end).header = preface.header;
            header = preface.bytes;
            if preface.is_cut {
                script = Script { total: 0, answers: false, follows: false, ..script };
            }
            if preface.is_silent {
                script.trouble = Some((0, Ending::Stall));
            }
        }
        self.note(format_args!("{end:?} is {script:?}"));
        let number = self.peers.len();
        self.peers.push(Peer {
            end,
            script,
            header,
            read: 0,
            saw: Saw::Nothing,
            fin_at: None,
            naps_until: 0,
            over: self.manners.by_hand,
            due: false,
        });
        self.end(end).peer = Some(number);
        self.links[end.link].trouble.still |= script.nap_max > 0;
        self.peer_later(number);
    }

    /// Something changed for a peer: it acts in its time.
    pub(crate) fn peer_later(&mut self, number: usize) {
        let Peer { over, due, script, .. } = &mut self.peers[number];
        if *over || std::mem::replace(due, true) {
            return;
        }
        let rest_max = script.rest_max;
        let rest = if self.random.chance(200) { rest_max } else { rest_max / 16 };
        let rest = self.random.between(0, rest);
        self.agenda.after(rest, Event::Act(number));
    }

    pub(crate) fn act(&mut self, number: usize) {
        self.peers[number].due = false;
        if self.peers[number].over || self.ends_early(number) {
            return;
        }
        let may_go_on = self.read_some(number);
        if self.peers[number].over {
            return;
        }
        let may_go_on = self.send_some(number) || may_go_on;
        if self.ends_well(number) {
            return;
        }
        if may_go_on {
            self.peer_later(number);
        }
    }

    fn sent(&mut self, number: usize) -> u64 {
        let end = self.peers[number].end;
        let way = self.way(end);
        // A reset takes back what had not arrived.
        way.sent.saturating_sub(way.literal.len() as u64)
    }

    /// Says some of its header and its hello; says whether it could go on.
    fn say_some(&mut self, number: usize) -> bool {
        let Peer { end, ref script, ref header, .. } = self.peers[number];
        let most = header.len().min(script.part_max as usize);
        let length = 1 + self.random.index(most);
        let part: Vec<u8> = self.peers[number].header[..length].to_owned();
        match self.link_say(end, &part) {
            Ok(said) => {
                self.peers[number].header.drain(..said as usize);
                true
            }
            Err(Errno::AGAIN) => false,
            Err(_) => {
                self.on_peer_reset(number);
                false
            }
        }
    }

    fn ends_early(&mut self, number: usize) -> bool {
        let sent = self.sent(number);
        let Peer { end, script, read, .. } = self.peers[number];
        let Some((_, ending)) = script.trouble.filter(|(after, _)| sent + read >= *after) else {
            return false;
        };
        self.note(format_args!("{end:?} ends by {ending:?}"));
        self.peers[number].over = ending != Ending::Regret;
        let trouble = &mut self.links[end.link].trouble;
        trouble.over = true;
        match ending {
            Ending::Reset => {
                trouble.reset = true;
                self.link_close(end, true);
            }
            Ending::Regret => {
                trouble.reset = true;
                // Should it be reset already, its next act tells.
                let _ = self.link_finish(end);
                self.peers[number].script.trouble = Some((0, Ending::Reset));
                let delay = self.random.between(0, REGRET_MAX);
                self.agenda.after(delay, Event::Act(number));
            }
            Ending::Close => {
                trouble.reset = true;
                // The other side may pause for longer than it may now.
                trouble.still |= self.manners.pausing.is_some();
                self.link_close(end, false);
            }
            Ending::Stall => trouble.still = true,
            Ending::Vanish => self.link_vanish(end),
        }
        true
    }

    /// Reads once; says whether there is more.
    fn read_some(&mut self, number: usize) -> bool {
        let Peer { end, script, saw, naps_until, .. } = self.peers[number];
        let now = self.agenda.now();
        if saw == Saw::Fin || !self.is_readable(end) || now < naps_until {
            return false;
        }
        if script.nap_max > 0 {
            let nap = self.random.between(0, script.nap_max);
            self.peers[number].naps_until = now + nap;
            self.agenda.after(nap, Event::Act(number));
        }
        let most = self.random.between_u32(1, script.part_max);
        match self.link_receive(end, most) {
            Ok(Some(extent)) => {
                self.peers[number].read += u64::from(extent.length);
                self.is_readable(end)
            }
            Ok(None) => {
                self.peers[number].saw = Saw::Fin;
                false
            }
            Err(Errno::AGAIN) => unreachable!("it was readable"),
            Err(_) => {
                self.on_peer_reset(number);
                false
            }
        }
    }

    fn on_peer_reset(&mut self, number: usize) {
        let end = self.peers[number].end;
        self.note(format_args!("{end:?} was reset"));
        self.peers[number].saw = Saw::Reset;
        self.peers[number].over = true;
        self.link_close(end, false);
    }

    /// Sends once; says whether it could again.
    fn send_some(&mut self, number: usize) -> bool {
        if !self.peers[number].header.is_empty() {
            return self.say_some(number);
        }
        let Peer { end, script, read, saw, .. } = self.peers[number];
        let sent = self.sent(number);
        if sent == script.total || script.answers && read == 0 && saw == Saw::Nothing {
            return false;
        }
        let left = u32::try_from(script.total - sent).expect("scripts are short");
        let length = self.random.between_u32(1, script.part_max.min(left));
        match self.link_send(end, Extent { stream: end, from: sent, length }) {
            Ok(_) => self.way(end).free() > 0,
            Err(Errno::AGAIN) => false,
            Err(_) => {
                self.on_peer_reset(number);
                false
            }
        }
    }

    /// Whether it was still for long enough.
    fn may_finish(&mut self, number: usize) -> bool {
        let now = self.agenda.now();
        let Peer { script, fin_at, .. } = &mut self.peers[number];
        if fin_at.is_none() && script.pause > 0 {
            self.agenda.after(script.pause, Event::Act(number));
        }
        now >= *fin_at.get_or_insert(now + script.pause)
    }

    /// Sends the FIN after the last byte; closes once the other's FIN came, too.
    fn ends_well(&mut self, number: usize) -> bool {
        let Peer { end, script, read, saw, over, .. } = self.peers[number];
        let has_spoken = self.sent(number) == script.total && self.peers[number].header.is_empty();
        let waits = script.answers && read == 0 && saw == Saw::Nothing;
        if over || !has_spoken || waits || script.follows && saw == Saw::Nothing {
            return over;
        }
        if !self.may_finish(number) {
            return false;
        }
        if !self.way(end).is_finished() && self.link_finish(end).is_err() {
            self.on_peer_reset(number);
            return true;
        }
        if saw == Saw::Fin {
            self.peers[number].over = true;
            self.link_close(end, false);
        }
        saw == Saw::Fin
    }
}

/// A stream is sent in so many parts or fewer, so that it is done long before a timeout of a pool, the way a slow
/// peer's window is: nothing moves at a worker while that peer reads a third of it.
pub(crate) const PARTS_USUAL: u32 = 200;

/// The longest that a peer is still before its FIN, in nanoseconds: longer than the half that it ends may be still
/// once it has ended, and less than a connection may be still before.
const PAUSE_MAX: u64 = 6 * SECOND;

/// The longest rest of the slowest peer, in nanoseconds: far less than any timeout of a pool.
pub(crate) const REST_MAX: u64 = 20 * MILLISECOND;

/// The longest that a slow reader reads nothing, in nanoseconds: longer than a half-closed relay may be still.
const NAP_MAX: u64 = 6 * SECOND;

/// How long after its FIN a peer resets at most, in nanoseconds.
const REGRET_MAX: u64 = 3 * SECOND;
