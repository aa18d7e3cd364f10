//! TLS hellos in a run: which ones clients send, and what must come of them.

use std::sync::Arc;

use preface::hello::{Step, read};
use preface::{Step as HeaderStep, Versions};
use table::{Listener, Pool};

use crate::agenda::MILLISECOND;
use crate::headers::Preface;
use crate::world::World;

/// A hello as a client writes it, with this name and these protocols, in records of so many bytes.
pub fn hello(name: Option<&str>, protocols: &[&str], record_bytes: usize) -> Vec<u8> {
    let list = |digits: usize, bytes: &[u8]| [&bytes.len().to_be_bytes()[8 - digits..], bytes].concat();
    let extension = |kind: u8, data: &[u8]| [&[0, kind][..], &list(2, data)].concat();
    let name = name.map(|name| extension(0, &list(2, &[&[0][..], &list(2, name.as_bytes())].concat())));
    let each: Vec<_> = protocols.iter().map(|protocol| list(1, protocol.as_bytes())).collect();
    let protocols = (!each.is_empty()).then(|| extension(16, &list(2, &each.concat())));
    let extensions: Vec<u8> = [name, protocols].into_iter().flatten().flatten().collect();
    let before = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0]].concat();
    let message = [&[1][..], &list(3, &[before, list(2, &extensions)].concat())].concat();
    message.chunks(record_bytes).flat_map(|payload| [&[22, 3, 1][..], &list(2, payload)].concat()).collect()
}

impl World {
    /// Adds what a client asks for to what it begins with.
    pub(crate) fn add_hello(&mut self, preface: &mut Preface) {
        if preface.is_cut || preface.is_silent {
            return;
        }
        let name = self.random.pick(&[None, Some("a.x"), Some("b.x"), Some("c.x"), Some("a.b.x"), Some("y")]);
        let protocols: &[&str] = self.random.pick(&[&[][..], &["h2"], &["p", "h2"], &["q"]]);
        let record_bytes = self.random.pick(&[16_384, 1, 7, 40]);
        let mut bytes = hello(name, protocols, record_bytes);
        match self.random.index(12) {
            0 => {
                preface.is_silent = true;
                bytes.clear();
            }
            1 => {
                preface.is_cut = true;
                bytes.truncate(self.random.index(bytes.len()));
            }
            2 => bytes = b"SSH-2.0-sim\r\n".to_vec(),
            3 => {
                let at = self.random.index(bytes.len());
                let byte = bytes[at];
                bytes[at] ^= 1 << self.random.index(8);
                // One that became longer would have to do with what follows.
                if let Step::Need(_) = read(&mut bytes.clone()) {
                    bytes[at] = byte;
                }
            }
            _ => {}
        }
        preface.bytes.extend(bytes);
    }

    /// What a client has said behind its header, as far as it has values.
    fn said(&self, client: usize) -> Vec<u8> {
        let literal = &self.links[client].ways[0].literal;
        if !self.headers {
            return literal.clone();
        }
        match preface::read(literal, Versions::ALL) {
            HeaderStep::Header(header) => literal[header.length..].to_owned(),
            HeaderStep::Need(_) | HeaderStep::Invalid(_) => Vec::new(),
        }
    }

    /// Whether a client may have been taken for one that says nothing: it may have spoken too late.
    fn may_be_silent(&self, client: usize) -> bool {
        self.said(client).is_empty()
            || self.links[client].trouble.any()
            || self.manners.rest_max > MILLISECOND
    }

    /// Whether a client has shown what routes look at.
    pub(crate) fn has_asked(&self, client: usize) -> bool {
        !self.routes
            || matches!(read(&mut self.said(client)), Step::Hello(_) | Step::NotTls)
            || self.may_be_silent(client)
    }

    /// The pools that a client may go to by a listener.
    pub(crate) fn destinations<'a>(&self, client: usize, listener: &'a Listener) -> Vec<&'a Arc<Pool>> {
        let Some(routes) = &listener.routes else { return vec![&listener.pool] };
        let mut said = self.said(client);
        let route = match read(&mut said) {
            Step::Hello(hello) => {
                let offers = |protocol: &[u8]| hello.protocols.iter().any(|offered| offered == protocol);
                routes.of_hello(hello.name, offers)
            }
            Step::NotTls => routes.not_tls(),
            Step::Need(_) | Step::Invalid(_) => None,
        };
        let silent = routes.silent().filter(|_| self.may_be_silent(client));
        route.into_iter().chain(silent).map(|route| &route.pool).collect()
    }
}
