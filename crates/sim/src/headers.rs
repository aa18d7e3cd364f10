//! PROXY headers in a run: which ones clients send, and what must come of them; and what must hold of all that opens.

use std::net::SocketAddr;

use config::HeaderVersion;
use preface::{Ends, Header, Item, Kind, Step, Tlv, Versions, Written, kind, read};
use worker::{Record, StateView, WorkerView};

use crate::agenda::nanos;
use crate::check::LATE_MAX;
use crate::descriptors::{Socket, Thing};
use crate::kernel::{PORT_FIRST, local_address, peer_address};
use crate::link::EndId;
use crate::run::Run;
use crate::world::World;

/// What a client begins with.
#[derive(Debug, Default)]
pub(crate) struct Preface {
    /// What it says before all else.
    pub(crate) bytes: Vec<u8>,
    /// Of them, how many are a header, which goes no further.
    pub(crate) header: u64,
    /// Whether it ends after that, as the header or the hello is not whole.
    pub(crate) is_cut: bool,
    /// Whether it says nothing, and does not end either.
    pub(crate) is_silent: bool,
}

impl World {
    /// What a client begins with.
    pub(crate) fn preface(&mut self, end: EndId) -> Preface {
        let mut preface = if self.headers { self.header(end) } else { Preface::default() };
        preface.header = preface.bytes.len() as u64;
        if self.routes {
            self.add_hello(&mut preface);
        }
        preface
    }

    /// What a client begins with that is behind a proxy.
    fn header(&mut self, end: EndId) -> Preface {
        let host = u8::try_from(self.random.index(4)).expect("a small number");
        let port = PORT_FIRST + u16::try_from(end.link).expect("runs have few links");
        let client = SocketAddr::from(([10, 20, 0, host], port));
        let destination = SocketAddr::from(([192, 0, 2, 1], 443));
        let ends = Ends::new(client, destination);
        let tlv = Item::Tlv(Tlv { kind: kind::UNIQUE_ID, value: b"of the proxy" });
        let header = match self.random.index(8) {
            0..3 => Written::v1(&ends),
            3..6 => Written::v2(&ends, &[tlv, Item::Crc32c]),
            6 => Written::local(),
            _ => Written::v2(&ends, &[]),
        };
        let mut bytes = header.as_bytes().to_owned();
        let (mut is_cut, mut is_silent) = (false, false);
        match self.random.index(16) {
            0 => is_silent = true,
            1 => {
                is_cut = true;
                bytes.truncate(self.random.index(bytes.len()));
            }
            2 => {
                let at = self.random.index(bytes.len());
                let bit = 1 << self.random.index(8);
                bytes[at] ^= bit;
                // One that became longer, or shorter, would have to do with what follows; and lists of connections are
                // checked by the port.
                let names_it =
                    |header: &Header<'_>| header.ends.is_none_or(|ends| ends.client.port() == port);
                match read(&bytes, Versions::ALL) {
                    Step::Invalid(_) => {}
                    Step::Header(header) if header.length == bytes.len() && names_it(&header) => {}
                    Step::Header(_) | Step::Need(_) => bytes[at] ^= bit,
                }
            }
            3 => bytes = b"PROXY UNKNOWN\r\n".to_vec(),
            _ => {}
        }
        if is_silent {
            bytes.clear();
        }
        Preface { bytes, is_cut, is_silent, ..Preface::default() }
    }

    /// The header that a client has sent, if all of it has been taken.
    pub(crate) fn taken_header(&self, client: usize) -> Option<Header<'_>> {
        let way = &self.links[client].ways[0];
        match read(&way.literal, Versions::ALL) {
            Step::Header(header) if header.length as u64 <= way.read => Some(header),
            _ => None,
        }
    }

    /// Whether a connection is relayed as the client's header says, and its backend was sent the one that its pool
    /// says, whole and before all else.
    pub(crate) fn check_headers(&self, one: usize, other: usize) {
        if !self.headers {
            return;
        }
        let (client, backend) = if self.links[one].to_backend { (other, one) } else { (one, other) };
        let header = self.taken_header(client).expect("a backend was given to a client without a header");
        let sent = &self.links[backend].ways[0].literal;
        let (to, _) = self.links[backend].picked.expect("a worker connected it");
        let pools = self.snapshots.iter().rev().flat_map(|snapshot| &snapshot.table.pools);
        let mut pools = pools.filter(|pool| pool.backends.iter().any(|backend| backend.address == to));
        let send_proxy = pools.next().and_then(|pool| pool.send_proxy.as_ref());
        let Some(send_proxy) = send_proxy else {
            return assert!(sent.is_empty(), "a backend was sent a header that reads none");
        };
        let Step::Header(passed) = read(sent, Versions::ALL) else { panic!("a backend was sent {sent:?}") };
        assert_eq!(passed.length, sent.len(), "a backend was sent more than a header");
        let end = EndId { link: client, side: 1 };
        let own = Ends::new(peer_address(end), local_address(end));
        let is_local = header.kind == Kind::Local && send_proxy.version == HeaderVersion::V2;
        let expected = (!is_local).then(|| header.ends.unwrap_or(own));
        assert_eq!(passed.ends, expected, "a backend was told another client");
    }
}

impl Run {
    /// What must hold of headers after every turn.
    pub(crate) fn check_openings(&self, view: &WorkerView) {
        let world = self.world.borrow();
        if !world.headers && !world.routes {
            return;
        }
        let opening = self.tables.iter().flat_map(|table| &table.listeners).map(|listener| listener.opening);
        let longest = opening.map(|opening| nanos(opening.timeout)).max().unwrap_or(0);
        for connection in &view.connections {
            let Some(Thing::Socket(Socket { end: Some(end), low_water, .. })) =
                world.descriptors.peek(connection.client)
            else {
                continue;
            };
            match connection.state {
                StateView::Opening => {
                    // One that waited for a permit until then has no more time, and ends in the next turn.
                    let waited = nanos(connection.stats.waited.into());
                    let accepted_at = world.agenda.nanos(connection.stats.accepted_at);
                    let end = accepted_at + longest.max(waited) + LATE_MAX;
                    assert!(world.agenda.now() <= end, "a client opens past its deadline");
                }
                StateView::Connecting | StateView::Waiting { .. } | StateView::Relaying(_) => {
                    let has_header = !world.headers || world.taken_header(end.link).is_some();
                    assert!(has_header, "a client without a header is served");
                    assert!(world.has_asked(end.link), "a client without a hello is served");
                    assert_eq!(low_water, 1, "a client that is served is heard at {low_water} bytes only");
                }
                StateView::Closing => {}
            }
        }
        for listener in self.listeners() {
            let most = listener.opening.connections_max;
            assert!(listener.opening_semaphore.active() <= most, "more clients open than may");
        }
    }
}

/// The record names the client that its header named.
pub(crate) fn check_record(record: &Record) {
    let Some(ends) = record.introduction.as_ref().and_then(|introduction| introduction.ends) else { return };
    assert_eq!(record.client, Some(ends.client), "a record names another client");
}
