//! What control asks of a worker: which connections it has, or to close some. A worker answers one inquiry after the other, a few slots
//! each turn (`inquire`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use connection::CloseReason;
use table::{Backend, Listener};

use crate::inspect::ConnectionView;

/// One question about a worker's connections.
pub struct Inquiry {
    /// Which are meant.
    pub meant: Meant,
    /// What is to be done with them.
    pub errand: Errand,
    /// What the answer is given to: once, from the worker's thread, which it must not hold up. A worker that ends drops it.
    pub answer: Box<dyn FnOnce(Found) + Send>,
}

/// Connections that have all of this; the default means every one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meant {
    /// In this slot, of this generation.
    pub tenant: Option<(u32, u32)>,
    /// Of the listener of this name.
    pub listener: Option<String>,
    /// Of the pool of this name.
    pub pool: Option<String>,
    /// To the backend at this address, or being connected to it.
    pub backend: Option<SocketAddr>,
    /// Of clients at this address.
    pub client: Option<IpAddr>,
}

/// What is done with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// So many are listed at most.
    List(usize),
    /// They are closed, for this reason.
    Close(CloseReason),
}

/// What a worker found.
///
/// Who lived from the question to the answer was looked at once; who came or went in between, once or not at all.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that are listed.
    pub listed: Vec<Listed>,
    /// How many there are, or were closed.
    pub number: u64,
}

/// A connection, as it is listed.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What it looks like.
    pub view: ConnectionView,
    /// The client's address; none if it is gone already.
    pub client: Option<SocketAddr>,
    /// The listener it goes by, with the pool.
    pub listener: Arc<Listener>,
    /// Its backend, or the one it is being connected to; none between attempts.
    pub backend: Option<Arc<Backend>>,
}

/// Control's end: where it asks workers.
pub struct Inquirer(Vec<Desk>);

struct Desk {
    bell: Arc<AtomicBool>,
    inquiries: SyncSender<Inquiry>,
}

/// A worker's end of it.
pub struct Inquiries {
    /// Rung after something was put into the queue.
    bell: Arc<AtomicBool>,
    queue: Receiver<Inquiry>,
    /// Whether there may be more in the queue, rung or not: since one was taken, until none was found.
    more: bool,
    pub(crate) under_way: Option<UnderWay>,
}

/// An inquiry that is being answered.
pub(crate) struct UnderWay {
    pub(crate) inquiry: Inquiry,
    /// The next slot to look at.
    pub(crate) next: u32,
    pub(crate) found: Found,
}

/// How many inquiries may wait for a worker. Beyond, whoever asks is told that it is busy.
pub const INQUIRIES_MAX: usize = 8;

impl Inquirer {
    /// Control's end, and those of so many workers, by index.
    pub fn new(workers: usize) -> (Self, Vec<Inquiries>) {
        let pair = |_| {
            let bell = Arc::new(AtomicBool::new(false));
            let (inquiries, queue) = sync_channel(INQUIRIES_MAX);
            let end = Inquiries { bell: Arc::clone(&bell), queue, more: false, under_way: None };
            (Desk { bell, inquiries }, end)
        };
        let (desks, ends) = (0..workers).map(pair).unzip();
        (Self(desks), ends)
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.0.len()
    }

    /// Asks a worker, which is to be woken then; says whether there was room. One that has ended is asked as well: its answer
    /// is dropped.
    pub fn ask(&self, worker: usize, inquiry: Inquiry) -> bool {
        use std::sync::mpsc::TrySendError;
        let desk = &self.0[worker];
        let asked = desk.inquiries.try_send(inquiry);
        // Release: who hears the bell finds the inquiry.
        desk.bell.store(true, Ordering::Release);
        !matches!(asked, Err(TrySendError::Full(_)))
    }
}

impl Inquiries {
    /// The next inquiry. While there is none, it costs a load.
    pub(crate) fn take(&mut self) -> Option<Inquiry> {
        if !self.more && (!self.bell.load(Ordering::Relaxed) || !self.bell.swap(false, Ordering::Acquire)) {
            return None;
        }
        let inquiry = self.queue.try_recv().ok();
        self.more = inquiry.is_some();
        inquiry
    }

    /// Whether the next turn is to come at once: one is under way, or there may be another.
    pub(crate) fn are_due(&self) -> bool {
        self.more
    }
}

#[cfg(test)]
mod tests {
    use super::{Errand, INQUIRIES_MAX, Inquirer, Inquiry, Meant};

    #[test]
    fn they_are_taken_in_their_order_and_no_more_wait_than_may() {
        let (inquirer, mut ends) = Inquirer::new(2);
        assert!(ends[1].take().is_none());
        for number in 0..=INQUIRIES_MAX {
            assert_eq!(inquirer.ask(1, inquiry(number)), number < INQUIRIES_MAX);
        }
        assert!(ends[0].take().is_none());
        for number in 0..INQUIRIES_MAX {
            assert_eq!(ends[1].take().unwrap().errand, Errand::List(number));
            assert!(ends[1].are_due());
        }
        assert!(ends[1].take().is_none());
        assert!(!ends[1].are_due());
        assert!(inquirer.ask(1, inquiry(9)));
        assert!(ends[1].take().is_some());
        drop(ends);
        assert!(inquirer.ask(0, inquiry(0)), "who has ended is not busy");
    }

    fn inquiry(number: usize) -> Inquiry {
        Inquiry { meant: Meant::default(), errand: Errand::List(number), answer: Box::new(|_| ()) }
    }
}
