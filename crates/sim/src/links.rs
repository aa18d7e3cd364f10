//! TCP, as far as a relay can tell: two ways of bytes with windows between two ends, FINs, RSTs, and ends that vanish.
//!
//! The end that connects is number 0. What an end sends waits in its kernel until the other has room, is on its way
//! for a while, arrives in parts, and is there until the other end reads it. An end that is closed goes on sending
//! what waits; a reset discards it. That what goes out is what came in is checked here, where a worker sends.

use driver::Errno;

use crate::agenda::{Event, MILLISECOND};
use crate::bytes::Extent;
use crate::faults::Fault;
use crate::health::Snapshot;
use crate::link::{End, EndId, Fin, Way};
use crate::world::World;

impl World {
    pub(crate) fn way(&mut self, from: EndId) -> &mut Way {
        &mut self.links[from.link].ways[from.side]
    }

    pub(crate) fn end(&mut self, end: EndId) -> &mut End {
        &mut self.links[end.link].ends[end.side]
    }

    /// send(2): how many of the bytes were taken.
    pub(crate) fn link_send(&mut self, from: EndId, extent: Extent) -> Result<u32, Errno> {
        let end = self.end(from);
        if let Some(errno) = end.error.take() {
            return Err(errno);
        }
        if end.dead || self.way(from).is_finished() {
            return Err(Errno::PIPE);
        }
        let free = u32::try_from(self.way(from).free()).expect("windows are small");
        if free == 0 {
            return Err(Errno::AGAIN);
        }
        let mut length = free.min(extent.length);
        if self.end(from).peer.is_none() && extent.stream != from {
            if self.happens(Fault::SendAgain) {
                return Err(Errno::AGAIN);
            }
            if self.happens(Fault::ShortSend) {
                length = self.random.some_of(length);
            }
            self.check_send(from, extent);
            self.on_moved(from.link);
        }
        let way = self.way(from);
        if way.stream.is_none() || extent.stream != from {
            way.stream = Some(extent.stream);
        }
        way.sent += u64::from(length);
        self.deliver_later(from);
        Ok(length)
    }

    /// Sends bytes that have values: they are the first of this way, unless a test says otherwise.
    pub(crate) fn link_say(&mut self, from: EndId, bytes: &[u8]) -> Result<u32, Errno> {
        let by_hand = self.manners.by_hand;
        let way = self.way(from);
        assert!(!bytes.is_empty(), "nothing is sent by a call that sends bytes");
        let is_first = way.sent == way.literal.len() as u64;
        assert!(is_first || by_hand, "bytes with values come after others");
        let length = u32::try_from(bytes.len()).expect("few bytes are sent at once");
        let sent = way.sent;
        let taken = self.link_send(from, Extent { stream: from, from: sent, length })?;
        if is_first {
            self.way(from).literal.extend(&bytes[..taken as usize]);
        }
        Ok(taken)
    }

    /// recv(2) with `MSG_PEEK`.
    pub(crate) fn link_peek(&mut self, at: EndId, into: &mut [u8]) -> Result<usize, Errno> {
        let dead = self.end(at).dead;
        let way = self.way(at.other());
        let there = usize::try_from(way.arrived - way.read).expect("windows are small").min(into.len());
        if there > 0 {
            let literal = way.literal.iter().copied().chain(std::iter::repeat(b'x'));
            let from = usize::try_from(way.read).expect("runs are short");
            into.iter_mut().zip(literal.skip(from)).take(there).for_each(|(to, byte)| *to = byte);
            return Ok(there);
        }
        if matches!(way.fin, Fin::Arrived | Fin::Read) {
            return Ok(0);
        }
        match self.end(at).error.take() {
            Some(errno) => Err(errno),
            None if dead => Ok(0),
            None => Err(Errno::AGAIN),
        }
    }

    /// recv(2) of bytes that have arrived, into nothing.
    pub(crate) fn link_skip(&mut self, at: EndId, bytes: u32) -> Result<(), Errno> {
        let way = self.way(at.other());
        if way.arrived - way.read < u64::from(bytes) {
            return Err(Errno::AGAIN);
        }
        match self.link_receive(at, bytes)? {
            Some(extent) if extent.length == bytes => {
                self.on_moved(at.link);
                Ok(())
            }
            _ => Err(Errno::AGAIN),
        }
    }

    /// A worker sends the next bytes of a stream, and of no other: two links are the two sides of one connection.
    fn check_send(&mut self, from: EndId, extent: Extent) {
        if self.manners.by_hand || extent.stream == from {
            return;
        }
        let (one, other) = (from.link, extent.stream.link);
        for (link, partner) in [(one, other), (other, one)] {
            let partner_before = *self.links[link].partner.get_or_insert(partner);
            assert_eq!(partner_before, partner, "bytes of one connection go to another");
        }
        self.check_pair(one, other);
        self.check_headers(one, other);
        let before = self.way(extent.stream).before();
        let position = extent.from.checked_sub(before).expect("a header goes to the other side");
        let way = self.way(from);
        let stream = way.stream.filter(|stream| *stream != from).unwrap_or(extent.stream);
        assert_eq!(stream, extent.stream, "bytes go back to their sender");
        assert_eq!(way.body(), position, "bytes are lost, doubled or out of order");
    }

    /// A client that knocked there may be given that backend, by the table that was in force when it was.
    fn check_pair(&self, one: usize, other: usize) {
        let (client, backend) = if self.links[one].to_backend { (other, one) } else { (one, other) };
        let (to, tables) = self.links[backend].picked.expect("a worker connected it");
        let sockets = &self.links[client].knocked_at;
        let (present, before) = self.snapshots[..tables].split_last().expect("there is a table at first");
        // A reload may have given the address to another listener, before or after the client was accepted.
        let owners = self.snapshots[..tables].iter().filter_map(|snapshot| snapshot.owner(sockets));
        let owners: Vec<_> = owners.collect();
        // A client whose listener is removed uses a table that had it, the last that the worker has seen.
        let allows = |snapshot: &Snapshot| {
            snapshot.allows(&owners, to, |listener| self.destinations(client, listener))
        };
        let by_another = || before.iter().any(|snapshot| allows(snapshot) == Some(true));
        let allowed = allows(present).unwrap_or_else(by_another);
        assert!(allowed, "link {client} was given {to}, which may not have it");
    }

    /// recv(2) of up to `most` bytes; none is the end.
    pub(crate) fn link_receive(&mut self, at: EndId, most: u32) -> Result<Option<Extent>, Errno> {
        let dead = self.end(at).dead;
        let way = self.way(at.other());
        let there = u32::try_from(way.arrived - way.read).expect("windows are small");
        if there > 0 {
            let extent = Extent {
                stream: way.stream.expect("bytes have a stream"),
                from: way.read,
                length: there.min(most),
            };
            way.read += u64::from(extent.length);
            let waits = way.sent > way.arrived;
            self.notify(at.other());
            if waits {
                self.deliver_later(at.other());
            }
            return Ok(Some(extent));
        }
        if matches!(way.fin, Fin::Arrived | Fin::Read) {
            let first = std::mem::replace(&mut way.fin, Fin::Read) == Fin::Arrived;
            if first && self.end(at).peer.is_none() {
                self.on_moved(at.link);
            }
            return Ok(None);
        }
        match self.end(at).error.take() {
            Some(errno) => Err(errno),
            None if dead => Ok(None),
            None => Err(Errno::AGAIN),
        }
    }

    /// Whether a receive would answer.
    pub(crate) fn is_readable(&self, at: EndId) -> bool {
        self.has_arrived(at, 1)
    }

    /// Whether so many bytes wait to be read, or fewer and the end.
    pub(crate) fn has_arrived(&self, at: EndId, low_water: u32) -> bool {
        let link = &self.links[at.link];
        let (way, end) = (&link.ways[1 - at.side], &link.ends[at.side]);
        way.arrived - way.read >= u64::from(low_water)
            || matches!(way.fin, Fin::Arrived | Fin::Read)
            || end.error.is_some()
            || end.dead
    }

    /// Whether no more arrives than has.
    pub(crate) fn has_ended(&self, at: EndId) -> bool {
        let link = &self.links[at.link];
        matches!(link.ways[1 - at.side].fin, Fin::Arrived | Fin::Read) || link.ends[at.side].dead
    }

    /// Whether a poll says that it can be written: with a third of the room free, tcp(7), or to hear that it cannot.
    pub(crate) fn is_writable(&self, at: EndId) -> bool {
        let link = &self.links[at.link];
        let (way, end) = (&link.ways[at.side], &link.ends[at.side]);
        way.free() * 3 >= way.room || way.is_finished() || end.error.is_some() || end.dead
    }

    /// Whether the connection is no more.
    pub(crate) fn is_reset(&self, at: EndId) -> bool {
        self.links[at.link].ends[at.side].dead
    }

    /// `shutdown(SHUT_WR)`.
    pub(crate) fn link_finish(&mut self, from: EndId) -> Result<(), Errno> {
        if self.end(from).dead {
            return Err(Errno::NOTCONN);
        }
        if self.way(from).is_finished() {
            return Ok(());
        }
        if self.end(from).peer.is_none() {
            self.check_finish(from);
            self.on_moved(from.link);
        }
        self.way(from).fin = Fin::Sent;
        self.deliver_later(from);
        Ok(())
    }

    /// A worker's FIN comes after the last byte of a stream that was finished, and only then.
    fn check_finish(&self, from: EndId) {
        if self.manners.by_hand {
            return;
        }
        let link = &self.links[from.link];
        let sent = link.ways[from.side].body();
        let Some(partner) = link.partner else {
            assert_eq!(sent, 0, "bytes without a partner");
            return;
        };
        // The worker connects to backends and is connected to by clients: its partner's peer is on the same side.
        let source = &self.links[partner].ways[from.side];
        assert!(source.is_read_to_the_end(), "a FIN is passed on that never came");
        assert_eq!(sent, source.body(), "a FIN is passed on before the last byte");
    }

    /// close(2). The end is closed; what it sent still arrives, unless it resets.
    pub(crate) fn link_close(&mut self, at: EndId, resets: bool) {
        let end = self.end(at);
        assert!(!end.closed);
        end.closed = true;
        if end.dead || end.vanished {
            end.dead = true;
            return;
        }
        let incoming = self.way(at.other());
        // A close with bytes unread resets, RFC 2525 2.17.
        if resets || incoming.arrived > incoming.read {
            self.check_reset(at);
            return self.link_reset(at);
        }
        if self.end(at).peer.is_none() && !self.way(at).is_finished() {
            // It is unknown whether a connect that was given up came about.
            if self.links[at.link].taken {
                self.check_finish(at);
            }
        }
        let way = self.way(at);
        if way.fin == Fin::No {
            way.fin = Fin::Sent;
        }
        self.deliver_later(at);
    }

    /// A worker resets no side that it gave the FIN, but for a server that lost its role: that discards what is yet to
    /// be delivered.
    fn check_reset(&mut self, at: EndId) {
        let is_worker = self.end(at).peer.is_none() && !self.manners.by_hand;
        if is_worker && self.way(at).is_finished() {
            let fenced = self.links[at.link].to_backend && self.snapshots.iter().any(Snapshot::fences);
            assert!(fenced, "{at:?} is reset though its peer was to get all");
        }
    }

    pub(crate) fn link_reset(&mut self, from: EndId) {
        self.end(from).dead = true;
        self.way(from).cut();
        let delay = self.delay(from.link);
        self.agenda.after(delay, Event::Reset(from));
    }

    /// The RST of the other end arrives.
    pub(crate) fn on_reset(&mut self, from: EndId) {
        let at = from.other();
        let closing = matches!(self.way(from).fin, Fin::Arrived | Fin::Read) && !self.way(at).is_finished();
        let errno = if closing { Errno::PIPE } else { Errno::CONNRESET };
        self.link_break(at, errno);
    }

    /// The connection is no more at this end.
    pub(crate) fn link_break(&mut self, at: EndId, errno: Errno) {
        let now = self.agenda.now();
        let end = self.end(at);
        if end.dead || end.vanished {
            return;
        }
        end.dead = true;
        end.died_at = Some(now);
        if !end.closed {
            end.error = Some(errno);
        }
        self.way(at).cut();
        self.way(at.other()).cut();
        self.notify(at);
    }

    fn deliver_later(&mut self, from: EndId) {
        if self.way(from).delivering {
            return;
        }
        if self.links[from.link].latency == 0 {
            return self.deliver(from);
        }
        self.way(from).delivering = true;
        let delay = self.delay(from.link);
        self.agenda.after(delay, Event::Deliver(from));
    }

    /// A worker moved something of a link.
    pub(crate) fn on_moved(&mut self, link: usize) {
        self.moved += 1;
        self.links[link].moved_at = self.agenda.now();
    }

    /// Some of what was sent arrives, and the FIN after the last byte.
    pub(crate) fn deliver(&mut self, from: EndId) {
        let at = from.other();
        self.way(from).delivering = false;
        if self.end(at).vanished || self.end(from).vanished {
            return;
        }
        let (latency, part) = (self.links[from.link].latency, self.random.next());
        let (now, is_closed) = (self.agenda.now(), self.end(at).closed);
        let way = self.way(from);
        let room = if is_closed { u64::MAX } else { way.window - (way.arrived - way.read) };
        let coming = room.min(way.sent - way.arrived);
        if coming > 0 {
            way.taken_at = now;
        }
        // Mostly all of it.
        way.arrived +=
            if latency > 0 && coming > 0 && part % 4 == 0 { 1 + part / 4 % coming } else { coming };
        let all = way.arrived == way.sent;
        if all && way.fin == Fin::Sent {
            way.fin = Fin::Arrived;
        }
        let is_stuck = coming == 0 && !all;
        if coming > 0 {
            self.on_taken(from, now);
        }
        if is_closed {
            let way = self.way(from);
            let unheard = way.arrived > way.read;
            way.read = way.arrived;
            if unheard && !self.end(at).dead {
                self.end(at).dead = true;
                self.links[at.link].trouble.unheard |= self.end(at).peer.is_none();
                self.way(at).cut();
                let delay = self.delay(from.link);
                self.agenda.after(delay, Event::Reset(at));
            }
        }
        if !all && !is_stuck {
            self.deliver_later(from);
        }
        self.notify(at);
    }

    /// A peer takes bytes that the kernel held for it.
    fn on_taken(&mut self, from: EndId, now: u64) {
        if self.end(from).peer.is_none() {
            self.links[from.link].moved_at = now;
        }
    }

    pub(crate) fn delay(&mut self, link: usize) -> u64 {
        let latency = self.links[link].latency;
        self.random.between(0, latency)
    }

    /// A worker's end whose other end vanished finds out some time, or never.
    pub(crate) fn link_vanish(&mut self, at: EndId) {
        self.end(at).vanished = true;
        self.links[at.link].trouble.still = true;
        if self.random.chance(700) {
            self.links[at.link].trouble.lost = true;
            let errno = self.random.pick(&[Errno::TIMEDOUT, Errno::HOSTUNREACH]);
            let after = self.random.between(1, 3_000) * MILLISECOND;
            self.agenda.after(after, Event::GiveUp(at.other(), errno));
        }
    }

    /// Something changed at this end that its peer may want to act on.
    pub(crate) fn notify(&mut self, at: EndId) {
        if let Some(peer) = self.end(at).peer {
            self.peer_later(peer);
        }
    }
}
