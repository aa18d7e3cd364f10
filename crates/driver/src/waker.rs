//! Wakes a worker, or control, out of its wait, from any thread.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};

/// An eventfd(2) that one thread polls, a worker by its ring, and any may write.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// A waker that no thread polls yet.
    ///
    /// # Errors
    ///
    /// No descriptor is left (`EMFILE`, `ENFILE`).
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Ends the present wait of the thread that polls it, or the next one. Never blocks; several calls may count as
    /// one.
    pub fn wake(&self) {
        // `EAGAIN` means that the counter is full: the worker is awake already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes the next wait sleep again, and says whether it would not have. What was to be seen must be read
    /// after this, not before. It is for the thread that polls.
    pub fn clear(&self) -> bool {
        // `EAGAIN` means that there was nothing to clear.
        rustix::io::read(&self.0, &mut [0; 8]).is_ok()
    }
}

impl AsRawFd for Waker {
    /// Readable once woken, until [`clear`](Waker::clear).
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
