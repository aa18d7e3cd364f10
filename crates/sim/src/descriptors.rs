//! The numbers of a process for what it has open: each is closed once, and is not used after that.

use driver::{Errno, Fd};

use crate::link::EndId;

/// What a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Socket(Socket),
    /// The end of a pipe that is read.
    PipeRead(usize),
    /// The end of a pipe that is written.
    PipeWrite(usize),
    Reserve,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Its end of a link; none before it connects.
    pub(crate) end: Option<EndId>,
    /// Whether its last ACK of the handshake is to wait.
    pub(crate) hold_ack: bool,
    /// Whether closing it resets the connection.
    pub(crate) resets: bool,
    /// Why its connect, which succeeded, is none.
    pub(crate) unconfirmed: Option<Errno>,
    /// Whether the header that was to go first did not go as a whole, so that its attempt has failed.
    pub(crate) header_failed: bool,
    /// How many tables there had been when it was opened.
    pub(crate) tables: usize,
    /// How many bytes make it readable.
    pub(crate) low_water: u32,
}

#[derive(Debug)]
pub(crate) struct Descriptors {
    things: Vec<Option<Thing>>,
    open: usize,
    /// How many may be open at once (`RLIMIT_NOFILE`).
    open_max: usize,
    /// Whether the lowest free number is the next, as on Linux; or none is used twice, which shows every use after a
    /// close.
    reuse: bool,
}

/// The first number: above those of the real descriptors that stand in for listening sockets.
const FIRST: i32 = 1_000_000;

impl Descriptors {
    pub(crate) fn new(open_max: usize, reuse: bool) -> Self {
        Self { things: Vec::new(), open: 0, open_max, reuse }
    }

    /// Whether so many more may be opened.
    pub(crate) fn have_room(&self, more: usize) -> bool {
        self.open + more <= self.open_max
    }

    pub(crate) fn open(&mut self, thing: Thing) -> Fd {
        assert!(self.have_room(1));
        self.open += 1;
        let free = self.things.iter().position(Option::is_none).filter(|_| self.reuse);
        let index = free.unwrap_or(self.things.len());
        if free.is_none() {
            self.things.push(None);
        }
        self.things[index] = Some(thing);
        Fd(FIRST + i32::try_from(index).expect("few are opened in a run"))
    }

    pub(crate) fn close(&mut self, fd: Fd) -> Thing {
        let thing = self.slot(fd).take().unwrap_or_else(|| panic!("{fd:?} is closed twice"));
        self.open -= 1;
        thing
    }

    pub(crate) fn get(&mut self, fd: Fd) -> &mut Thing {
        self.slot(fd).as_mut().unwrap_or_else(|| panic!("{fd:?} is used after it was closed"))
    }

    /// What a number stands for, if it does.
    pub(crate) fn peek(&self, fd: Fd) -> Option<Thing> {
        let index = usize::try_from(fd.0 - FIRST).ok()?;
        self.things.get(index).copied().flatten()
    }

    pub(crate) fn socket(&mut self, fd: Fd) -> &mut Socket {
        match self.get(fd) {
            Thing::Socket(socket) => socket,
            thing => panic!("{fd:?} is {thing:?}, and used as a socket"),
        }
    }

    /// The end of a link that a socket is.
    pub(crate) fn end(&mut self, fd: Fd) -> EndId {
        self.socket(fd).end.unwrap_or_else(|| panic!("{fd:?} is used as if it were connected"))
    }

    /// What is open.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Thing> {
        self.things.iter().flatten().copied()
    }

    fn slot(&mut self, fd: Fd) -> &mut Option<Thing> {
        let index = usize::try_from(fd.0 - FIRST).ok();
        index
            .and_then(|index| self.things.get_mut(index))
            .unwrap_or_else(|| panic!("{fd:?} was never opened"))
    }
}
