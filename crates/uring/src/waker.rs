//! Wakes a worker out of its wait, from any thread.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};

/// An eventfd(2) that one worker's ring polls and any thread may write.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// A waker nobody waits on yet.
    ///
    /// # Errors
    ///
    /// No descriptor is left (`EMFILE`, `ENFILE`).
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Ends the worker's present wait, or its next one. Never blocks; several calls may count as one.
    pub fn wake(&self) {
        // `EAGAIN` means that the counter is full: the worker is awake already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes the next wait sleep again, and says whether it would not have. What was to be seen must be looked at after
    /// this, not before. It is for drivers.
    pub fn clear(&self) -> bool {
        // `EAGAIN` means that there was nothing to clear.
        rustix::io::read(&self.0, &mut [0; 8]).is_ok()
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
